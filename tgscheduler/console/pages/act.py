"""Actions: a page that says what will happen, and the POST that does it.

::

    GET  tasks/{name}/pause     the confirmation, with the fields that the action needs
    POST tasks/{name}/pause     does it, then redirects to where its effect is seen, with a notice
"""

import functools
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, NamedTuple

from tgscheduler.console import actions
from tgscheduler.console.console import Console
from tgscheduler.console.http import Problem, Request, Response, see_other, segment
from tgscheduler.console.pages import timetables
from tgscheduler.console.render import times_of
from tgscheduler.console.routes import Parameter, Route
from tgscheduler.console.times import Times
from tgscheduler.console.verbs import Outcome, running_task
from tgscheduler.moments import iso
from tgscheduler.timetable import zones

#: Number of fires that are shown before a timetable is saved.
FIRES = 5

#: The time of day at which a pause until tomorrow ends.
MORNING = 9


class Action(NamedTuple):
    """An action that needs no more than a confirmation, or the end of a pause."""

    verb: str
    path: str
    #: What the page is called, before the name of the task.
    title: str
    button: str
    danger: bool = False

    @property
    def is_pause(self) -> bool:
        """Whether it takes the end of a pause."""
        return self.verb.startswith("pause")


ACTIONS = (
    Action("pause", "tasks/{name}/pause", "Pause", "Pause"),
    Action("resume", "tasks/{name}/resume", "Resume", "Resume"),
    Action("run", "tasks/{name}/run", "Run now:", "Run now"),
    Action("cancel", "runs/{id}/cancel", "Cancel this run of", "Cancel the run", danger=True),
    Action("rerun", "runs/{id}/rerun", "Run again:", "Run again"),
    Action("pause_all", "pause-all", "Pause all tasks", "Pause all"),
    Action("resume_all", "resume-all", "Resume all tasks", "Resume all"),
)


def _confirm(action: Action, console: Console, request: Request, error: str = "") -> Response:
    """Show what an action will do, and its form."""
    actions.check_permission(console, request.caller)
    times, target = times_of(console, request), _target(request)
    return console.render(
        request,
        "confirm.html",
        action=action,
        path="/".join(segment(part) for part in request.path),
        back=_back(request),
        subject=_subject(console, request),
        description=actions.describe(console, action.verb, **target),
        choices=list(_pauses(times)) if action.is_pause else [],
        until=request.arguments.get("until"),
        at=request.arguments.get("at"),
        error=error,
    )


def _perform(action: Action, console: Console, request: Request) -> Response:
    """Do it, and show its effect; show the form again if the end of a pause is wrong."""
    arguments = _target(request)
    try:
        if action.is_pause:
            arguments.update(until=_until(request), timezone=times_of(console, request).tz.key)
        outcome = actions.perform(console, request.caller, request.peer, action.verb, **arguments)
    except Problem as problem:
        if problem.status not in (409, 422) or not action.is_pause:
            raise
        page = _confirm(action, console, request, problem.detail)
        page.status = problem.status
        return page
    return see_other(request, _effect(console, request, outcome))


def _until(request: Request) -> str | None:
    """Return the end of a pause: a ready choice, or the moment in the field; a moment that is not chosen is refused."""
    chosen: str | None = request.arguments["until"]
    typed: str | None = request.arguments["at"]
    if chosen == "at" and typed is None:
        raise Problem(422, detail="Expected a date and time, got an empty field.")
    if chosen != "at" and typed is not None:
        raise Problem(422, detail="Expected one end of the pause: choose “until” for the date, or clear it.")
    return typed if chosen == "at" else chosen


def _pauses(times: Times) -> Iterator[tuple[str, str, float | None]]:
    """Yield the ready choices for the end of a pause: value, words, moment."""
    yield "", "until it is resumed", None
    tomorrow = times.wall(times.now).replace(tzinfo=None, hour=MORNING, minute=0, second=0) + timedelta(days=1)
    for words, moment in (
        ("for an hour", times.now // 60 * 60 + 3600.0),
        ("for four hours", times.now // 60 * 60 + 4 * 3600.0),
        ("until tomorrow morning", float(zones.instant(tomorrow, times.tz))),
    ):
        yield iso(moment, times.tz.key), words, moment


# -- reschedule ------------------------------------------------------------------------------------------------------


def _reschedule_form(console: Console, request: Request, error: str = "") -> Response:
    """Show the fields, and once they are filled in the next fires, to be saved."""
    actions.check_permission(console, request.caller)
    given = request.arguments
    task = running_task(console, given["name"])
    typed = timetables.typed(console.reader, given["line"], given["zone"] or task.view.timezone, FIRES)
    if error:
        typed = typed._replace(errors={"line": error}, preview=None)
    description = ""
    if typed.preview is not None:
        description = actions.describe(console, "reschedule", task=task.name, timetable=typed.line, timezone=typed.zone)
    response = console.render(
        request,
        "reschedule.html",
        task=task,
        path=f"{_back(request)}/reschedule",
        back=_back(request),
        typed=typed,
        description=description,
        examples=timetables.EXAMPLES,
        zone_names=timetables.zone_names(),
    )
    response.status = 422 if typed.errors else 200
    return response


def _reschedule(console: Console, request: Request) -> Response:
    """Save a timetable whose fires have been shown; show them if it is another one, or say why it cannot be saved."""
    given = request.arguments
    if given["shown"] != f"{given['line']} {given['zone']}":
        return _reschedule_form(console, request)
    arguments = {"task": given["name"], "timetable": given["line"], "timezone": given["zone"] or None}
    try:
        outcome = actions.perform(console, request.caller, request.peer, "reschedule", **arguments)
    except Problem as problem:
        if problem.status != 422:
            raise
        return _reschedule_form(console, request, problem.detail)
    return see_other(request, _effect(console, request, outcome))


# -- paths -----------------------------------------------------------------------------------------------------------


def _target(request: Request) -> dict[str, Any]:
    """Return the task or run that the path names, as the verbs take it."""
    names = {"name": "task", "id": "run"}
    return {names[key]: value for key, value in request.arguments.items() if key in names}


def _subject(console: Console, request: Request) -> str:
    """Return the name of the task in question, empty for all."""
    id = request.arguments.get("id")
    if id is None:
        return str(request.arguments.get("name", ""))
    run = console.reader.run(id)
    return "" if run is None else run.task


def _back(request: Request) -> str:
    """Return the page that the action was asked for on."""
    return "/".join(segment(part) for part in request.path[:-1])


def _effect(console: Console, request: Request, outcome: Outcome) -> str:
    """Return the page that shows what an action has done, with a notice: the run, the task, or the schedule."""
    page = _back(request) if outcome.run is None else f"runs/{segment(str(outcome.run.id))}"
    return f"{page}?notice={console.notices.leave(outcome.text)}"


# -- routes ----------------------------------------------------------------------------------------------------------

_NAME = Parameter("name", "path", doc="The name of the task.")
_ID = Parameter("id", "path", doc="The id of the run.")
_UNTIL = (
    Parameter("until", "body", doc="The end of the pause, `at` for the next field; empty: until it is resumed."),
    Parameter("at", "body", doc="The end of the pause as wall time in the reader's zone."),
)
_LINE = Parameter("line", doc="The timetable.", default="")
_ZONE = Parameter("zone", doc="The IANA name of its time zone; empty: that of the task.", default="")
_SHOWN = Parameter("shown", "body", doc="The timetable and zone whose fires were shown.", default="")


def _routes(action: Action) -> tuple[Route, Route]:
    path = tuple(each for each in (_NAME, _ID) if f"{{{each.name}}}" in action.path)
    confirm, perform = functools.partial(_confirm, action), functools.partial(_perform, action)
    body = _UNTIL if action.is_pause else ()
    return (
        Route("GET", action.path, confirm, "operator", f"{action.button}: what will happen.", path),
        Route("POST", action.path, perform, "operator", f"{action.button}, and show its effect.", path, body),
    )


_RESCHEDULE = "tasks/{name}/reschedule"
_FIELDS = (_LINE._replace(where="body"), _ZONE._replace(where="body"), _SHOWN)

ROUTES = (
    *(route for action in ACTIONS for route in _routes(action)),
    Route("GET", _RESCHEDULE, _reschedule_form, "operator", "Reschedule: what will happen.", (_NAME, _LINE, _ZONE)),
    Route("POST", _RESCHEDULE, _reschedule, "operator", "Reschedule, and show its effect.", (_NAME,), _FIELDS),
)
