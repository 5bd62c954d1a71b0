"""The JSON API: its routes, and what answers them.

=========  =========================================================================================================
lists      ``{"items": […], "next": cursor or null}``
times      ISO 8601 with the offset of the task's zone, and POSIX seconds beside them
errors     ``application/problem+json``
caching    each answer has an ETag of its content: ``If-None-Match`` gets 304
changes    ``If-Match`` gets 412 if the task or run has changed; ``Idempotency-Key`` starts a run once
=========  =========================================================================================================
"""

import hashlib
import re
from functools import partial
from typing import Any

from tgscheduler.console import actions
from tgscheduler.console.console import Console
from tgscheduler.console.http import JSON, TEXT, Problem, Request, Response, json_response
from tgscheduler.console.patterns import KEY
from tgscheduler.console.routes import Handler, Parameter, Route
from tgscheduler.console.shapes import (
    AUDIT,
    FIGURES,
    FIRE,
    HEALTH,
    OUTCOME,
    PREVIEW,
    RUN,
    TASK,
    TASK_DETAIL,
    WHY,
    Figures,
    Reason,
    Schema,
    Simulated,
    TaskDetail,
    page,
)
from tgscheduler.errors import InvalidType, InvalidValue
from tgscheduler.messages import shown
from tgscheduler.moments import FORMS, parse_moment
from tgscheduler.timetable import zones
from tgscheduler.timetable.run import STATES
from tgscheduler.views import STATUSES, RunView, TaskSummary

#: The path of the API below the mount.
PREFIX = "api/v1"

# -- answers -----------------------------------------------------------------------------------------------------------


def tagged(request: Request, response: Response) -> Response:
    """Return a response with the ETag of its content, or 304 if the client has that."""
    etag = _etag(response)
    if _matches(request.headers.get("if-none-match", ""), etag):
        return Response(status=304, type=response.type, headers={"ETag": etag})
    response.headers["ETag"] = etag
    return response


def _etag(response: Response) -> str:
    return f'"{hashlib.blake2b(response.content(), digest_size=12).hexdigest()}"'


def _matches(header: str, etag: str) -> bool:
    given = [each.strip().removeprefix("W/") for each in header.split(",")]
    return etag in given or given == ["*"]


def _json(request: Request, value: Any) -> Response:
    return tagged(request, json_response(value))


def _page(request: Request, items: list[dict[str, Any]], following: str | None = None) -> Response:
    return _json(request, {"items": items, "next": following})


# -- what is asked for -------------------------------------------------------------------------------------------------


def _moment(request: Request, name: str, timezone: str, now: float) -> float | None:
    value = request.arguments[name]
    return None if value is None else parse_moment(name, value, timezone, now)


def _task(console: Console, name: str) -> TaskSummary:
    found = console.reader.task(name)
    if found is None:
        history = console.reader.runs(task=name, limit=1).items
        known = "; it has ended, and /runs?task= has its runs" if history else ""
        raise Problem(404, "No such task", f"There is no task {shown(name)}{known}.")
    return found


def _run(console: Console, id: str) -> RunView:
    found = console.reader.run(id)
    if found is None:
        raise Problem(404, "No such run", f"There is no run {shown(id)}: its record may be forgotten.")
    return found


# -- reading -----------------------------------------------------------------------------------------------------------


def tasks(console: Console, request: Request) -> Response:
    """Answer with a page of tasks, by name."""
    wanted, text, after = (request.arguments[name] for name in ("state", "q", "cursor"))
    limit = request.arguments["limit"]
    found = sorted(
        (
            task
            for task in console.reader.tasks()
            if (not wanted or task.status in wanted)
            and (not text or text.casefold() in task.name.casefold())
            and (after is None or task.name > after)
        ),
        key=lambda task: task.name,
    )
    items = found[:limit]
    following = items[-1].name if len(found) > limit else None
    return _page(request, [TASK.of(task, task.view.timezone) for task in items], following)


def _task_detail(console: Console, name: str) -> dict[str, Any]:
    task = _task(console, name)
    return TASK_DETAIL.of(TaskDetail(task, console.reader.definition(task)), task.view.timezone)


def task(console: Console, request: Request) -> Response:
    """Answer with a task and what it calls."""
    return _json(request, _task_detail(console, request.arguments["name"]))


def next_fires(console: Console, request: Request) -> Response:
    """Answer with the next fires of a task."""
    task = _task(console, request.arguments["name"])
    fires = console.reader.next_fires(task.name, request.arguments["n"])
    return _page(request, [FIRE.of(fire, task.view.timezone) for fire in fires])


def runs(console: Console, request: Request) -> Response:
    """Answer with a page of runs, newest due time first."""
    name, states, before, limit = (request.arguments[each] for each in ("task", "state", "before", "limit"))
    zone = actions.zone_of(console, name)
    found = console.reader.runs(
        name, states or None, _moment(request, "since", zone, console.reader.now), before, limit
    )
    zone_of = {each: actions.zone_of(console, each) for each in {run.task for run in found.items}}
    return _page(request, [RUN.of(run, zone_of[run.task]) for run in found.items], found.next)


def _run_detail(console: Console, id: str) -> dict[str, Any]:
    run = _run(console, id)
    return RUN.of(run, actions.zone_of(console, run.task))


def run(console: Console, request: Request) -> Response:
    """Answer with a run."""
    return _json(request, _run_detail(console, request.arguments["id"]))


def run_log(console: Console, request: Request) -> Response:
    """Answer with what a run has logged, as text."""
    return tagged(request, Response(_run(console, request.arguments["id"]).log, type=TEXT))


def why(console: Console, request: Request) -> Response:
    """Answer why a task did, or did not, run at a moment."""
    name = request.arguments["task"]
    zone = actions.zone_of(console, name)
    at = parse_moment("at", request.arguments["at"], zone, console.reader.now)
    if console.reader.task(name) is None and not console.reader.runs(task=name, limit=1).items:
        raise Problem(404, "No such task", f"There is no task {shown(name)}, and no record of one.")
    return _json(request, WHY.of(Reason(name, at, zone, console.reader.why(name, at)), zone))


def simulate(console: Console, request: Request) -> Response:
    """Answer what a timetable would do that no task has."""
    line, zone = request.arguments["line"], request.arguments["timezone"]
    zone = console.reader.timezone if zone is None else zone
    zones.zone(zone)
    start = _moment(request, "from", zone, console.reader.now)
    preview = console.reader.simulate(line, zone, start, request.arguments["n"])
    return _json(request, PREVIEW.of(Simulated(line, preview), zone))


def health(console: Console, request: Request) -> Response:
    """Answer how the scheduler is."""
    return _json(request, HEALTH.of(console.reader.health(), console.reader.timezone))


def audit(console: Console, request: Request) -> Response:
    """Answer with a page of the audit log, newest first."""
    name, before, limit = (request.arguments[each] for each in ("task", "before", "limit"))
    found = console.reader.audits(name, before, limit + 1)
    items, more = found[:limit], len(found) > limit
    following = str(items[-1].id) if more and items[-1].id is not None else None
    zone = actions.zone_of(console, name)
    return _page(request, [AUDIT.of(each, zone) for each in items], following)


def figures(console: Console, request: Request) -> Response:
    """Answer with the figures of some tasks."""
    names, reader = request.arguments["task"], console.reader
    found = reader.figures(names, _moment(request, "since", reader.timezone, reader.now))
    return _page(request, [FIGURES.of(Figures(name, each), reader.timezone) for name, each in found.items()])


# -- changing ----------------------------------------------------------------------------------------------------------

#: The verbs that start a run, which two equal requests must not do twice.
STARTS = ("run", "rerun")


def _change(verb: str, console: Console, request: Request) -> Response:
    """Do what a verb says to the task or run of the path, or to all tasks."""
    given = {_TARGETS.get(name, name): value for name, value in request.arguments.items()}
    make = partial(_done, verb, console, request, given)
    key = request.headers.get("idempotency-key")
    if key is None or verb not in STARTS:
        return make()
    if not re.fullmatch(KEY, key):
        raise Problem(400, detail="Idempotency-Key: expected 1 to 255 visible ASCII characters.")
    return console.replays.answer((request.caller, key), (verb, given), make)


_TARGETS = {"name": "task", "id": "run"}


def _done(verb: str, console: Console, request: Request, given: dict[str, Any]) -> Response:
    with console.changing:  # so that no other change comes between the look at the ETag and this one
        if "if-match" in request.headers:
            _check_unchanged(console, request.headers["if-match"], given)
        outcome = actions.perform(console, request.caller, request.peer, verb, **given)
    return json_response(OUTCOME.of(outcome, actions.zone_of(console, outcome.task)))


def _check_unchanged(console: Console, expected: str, given: dict[str, Any]) -> None:
    """Raise a Problem 412 if the task or run is not as the client has read it."""
    if "task" in given:
        now = _task_detail(console, given["task"])
    elif "run" in given:
        now = _run_detail(console, given["run"])
    else:
        raise Problem(412, detail="If-Match: all tasks together have no ETag; leave it out.")
    if not _matches(expected, _etag(json_response(now))):
        raise Problem(412, "Changed", "If-Match: it has changed since it was read; read it again.")


# -- routes ------------------------------------------------------------------------------------------------------------

_KEY = Parameter(
    "Idempotency-Key", "header", "key", "A text of the client's: a second request with it gets the first answer."
)
_NAME = Parameter("name", "path", "string", "The name of the task.", required=True)
_ID = Parameter("id", "path", "string", "The id of the run.", required=True)
_LIMIT = Parameter("limit", "query", "integer", "How many there are on a page.", default=50, least=1, most=500)
_FIRES = partial(Parameter, "n", "query", "integer", "How many fires.", least=1, most=1000)
_ZONE_DOC = "The IANA name of the zone in which wall time is meant; without it: that of the task, or of the scheduler."
_TIMETABLE_DOC = "A timetable: a cron line, or as in `every 90 s`, `mon-fri 09:00`, `1,15 02:30`."
_TIMEZONE = Parameter("timezone", "body", "timezone", _ZONE_DOC)
_UNTIL = Parameter("until", "body", "time", f"The end of the pause: {FORMS}. Without it: until it is resumed.")


def _get(path: str, handler: Handler, doc: str, answer: Schema, *parameters: Parameter, makes: str = JSON) -> Route:
    return Route(
        "GET", f"{PREFIX}/{path}", _checked(handler), "viewer", doc, parameters, answers={200: answer}, makes=(makes,)
    )


def _post(path: str, verb: str, doc: str, *body: Parameter) -> Route:
    target = (_NAME,) if "{name}" in path else (_ID,) if "{id}" in path else ()
    given = (*target, _KEY) if verb in STARTS else target
    handler = partial(_change, verb)
    return Route("POST", f"{PREFIX}/{path}", handler, "operator", doc, given, body, {200: OUTCOME.reference})


def _checked(handler: Handler) -> Handler:
    """Return a handler that refuses with a Problem 422 what the package refuses as a value."""

    def checked(console: Console, request: Request) -> Response:
        try:
            return handler(console, request)
        except (InvalidValue, InvalidType) as error:
            raise actions.refused(error) from None

    return checked


ROUTES = (
    _get(
        "tasks", tasks, "Return a page of tasks, by name.", page(TASK),
        Parameter("state", "query", "string", "Only tasks in these states.", many=True, choices=STATUSES),
        Parameter("q", "query", "string", "Only tasks with this text in their names, in any case."),
        Parameter("cursor", "query", "string", "The `next` of the page before."), _LIMIT,
    ),
    _get("tasks/{name}", task, "Return a task and what it calls.", TASK_DETAIL.reference, _NAME),
    _get(
        "tasks/{name}/next", next_fires, "Return the next fires of a task, as the loop will go through them.",
        page(FIRE), _NAME, _FIRES(default=10),
    ),
    _get(
        "runs", runs, "Return a page of runs, newest due time first.", page(RUN),
        Parameter("task", "query", "string", "Only runs of the task of this name."),
        Parameter("state", "query", "string", "Only runs in these states.", many=True, choices=STATES),
        Parameter("since", "query", "time", f"Only runs that were due then or later: {FORMS}."),
        Parameter("before", "query", "cursor", "The `next` of the page before."), _LIMIT,
    ),
    _get("runs/{id}", run, "Return a run.", RUN.reference, _ID),
    _get("runs/{id}/log", run_log, "Return what a run has logged.", {"type": "string"}, _ID, makes=TEXT),
    _get(
        "why", why, "Return why a task did, or did not, run at a moment.", WHY.reference,
        Parameter("task", "query", "string", "The name of the task; it may have ended.", required=True),
        Parameter("at", "query", "time", f"The moment: {FORMS}.", required=True),
    ),
    _get(
        "simulate", simulate, "Return what a timetable would do that no task has.", PREVIEW.reference,
        Parameter("line", "query", "timetable", _TIMETABLE_DOC, required=True),
        Parameter("timezone", "query", "timezone", _ZONE_DOC),
        Parameter("from", "query", "time", f"Where it begins: {FORMS}. Without it: now."), _FIRES(default=20, most=100),
    ),
    _get(
        "audit", audit, "Return a page of the audit log, newest first.", page(AUDIT),
        Parameter("task", "query", "string", "Only changes of the task of this name, or of all tasks."),
        Parameter("before", "query", "integer", "The `next` of the page before.", least=0, most=2**53), _LIMIT,
    ),
    _get(
        "figures", figures, "Return how long the runs of some tasks took, and how they ended.", page(FIGURES),
        Parameter("task", "query", "string", "The names of the tasks.", required=True, many=True),
        Parameter("since", "query", "time", f"Only what was due in the hour of this moment or later: {FORMS}."),
    ),
    _get("health", health, "Return how the scheduler is.", HEALTH.reference),
    _post("tasks/{name}/pause", "pause", "Pause a task: what comes due is recorded as skipped.", _UNTIL, _TIMEZONE),
    _post("tasks/{name}/resume", "resume", "End the pause of a task."),
    _post("tasks/{name}/run", "run", "Run a task once, at once, with its own arguments."),
    _post(
        "tasks/{name}/reschedule", "reschedule",
        "Give a task another timetable, until the application starts again.",
        Parameter("timetable", "body", "timetable", _TIMETABLE_DOC, required=True), _TIMEZONE,
    ),
    _post("runs/{id}/cancel", "cancel", "End a run that waits or runs as cancelled."),
    _post("runs/{id}/rerun", "rerun", "Run the task of a run that was not ok once more."),
    _post("pause-all", "pause_all", "Pause all tasks.", _UNTIL, _TIMEZONE),
    _post("resume-all", "resume_all", "End the pause of all tasks, and of every single one."),
)  # fmt: skip
