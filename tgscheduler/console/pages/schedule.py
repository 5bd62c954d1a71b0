"""The schedule: what is wrong, what fires in the coming hour, day or week, and every task."""

from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from tgscheduler.console import svg
from tgscheduler.console.console import Console
from tgscheduler.console.http import Request, Response
from tgscheduler.console.polling import polled
from tgscheduler.console.render import times_of
from tgscheduler.console.routes import Parameter, Route
from tgscheduler.errors import StoreError
from tgscheduler.views import BAD_STATES, STATUSES, Failures, FireView, RunView, TaskSummary, failures

#: Number of tasks on a page.
PAGE = 50

#: What the timeline shows: its words, seconds back, seconds ahead.
SPANS = {
    "hour": ("1 h", "The coming hour", 60, 3600),
    "day": ("24 h", "The coming day", 1800, 86400),
    "week": ("7 days", "The coming week", 4 * 3600, 7 * 86400),
}

SORTS = ("next", "name", "state", "last")

#: Maximum number of lanes, and of fires of a task that are found one by one; beyond, a lane is looked at in steps.
LANES, _FIRES, _LOOKS = 12, 60, 48

#: Maximum number of failing tasks that are named.
_NAMED = 3


class Row(NamedTuple):
    """A task in the table, its last runs, and its failures since the last good one."""

    task: TaskSummary
    recent: Sequence[RunView]
    failures: Failures


class Trouble(NamedTuple):
    """A task that is failing, in the sentence at the head."""

    name: str
    failures: Failures


@polled
def schedule(console: Console, request: Request) -> Response:
    """Show the page."""
    reader, choice = console.reader, request.arguments
    tasks = reader.tasks()
    counts = Counter(task.status for task in tasks)
    found = _sorted(_filtered(tasks, choice["q"], choice["state"]), choice["sort"])
    page = min(choice["page"], max(1, -(-len(found) // PAGE)))
    shown = found[(page - 1) * PAGE : page * PAGE]
    failing = [task.name for task in tasks if task.status == "failing"][:_NAMED]
    names = [*failing, *(task.name for task in shown)]
    recent: dict[str, list[RunView]] = {name: [] for name in names}
    with suppress(StoreError):  # the tasks are shown without them
        recent = reader.recent(list(recent), svg.RUNS)
    return console.render(
        request,
        "schedule.html",
        tasks=tasks,
        counts=counts,
        today=_today(console, request),
        upcoming=_upcoming(tasks),
        troubles=[Trouble(name, reader.failures(recent[name], svg.RUNS)) for name in failing],
        rows=[Row(task, recent[task.name], failures(recent[task.name], svg.RUNS)) for task in shown],
        matching=len(found),
        first=(page - 1) * PAGE + 1,
        page=page,
        pages=max(1, -(-len(found) // PAGE)),
        choice=choice,
        health=reader.health(),
        statuses=STATUSES,
        spans=SPANS,
        all_paused=any(task.view.all_paused_until > task.view.now for task in tasks[:1]),
        timeline=_timeline(console, request, shown),
    )


def _filtered(tasks: Sequence[TaskSummary], text: str | None, state: str | None) -> list[TaskSummary]:
    wanted = (text or "").casefold().strip()
    if not wanted and state is None:
        return list(tasks)
    return [task for task in tasks if (state is None or task.status == state) and wanted in task.name.casefold()]


def _sorted(tasks: list[TaskSummary], by: str) -> list[TaskSummary]:
    if by == "name":
        return sorted(tasks, key=lambda task: task.name.casefold())
    if by == "state":
        return sorted(tasks, key=lambda task: _SEVERITY.index(task.status))
    if by == "last":
        return sorted(tasks, key=lambda task: -((task.last and task.last.started) or 0.0))
    return tasks


#: Statuses, the worst first.
_SEVERITY = ("failing", "late", "paused", "running", "ok", "new", "off", "ended")


def _upcoming(tasks: Iterable[TaskSummary]) -> TaskSummary | None:
    """Return the task that fires next, of those that are not paused."""
    return next((task for task in tasks if task.next_fire is not None and task.paused_until is None), None)


def _today(console: Console, request: Request) -> dict[str, int]:
    """Return how many occurrences ran and failed since the last midnight of the reader's zone."""
    times = times_of(console, request)
    counts: dict[str, int] = {}
    with suppress(StoreError):
        counts = console.reader.counts(next(times.days(times.now - 86400, times.now), times.now))
    ran = ("ok", "cancelled", *BAD_STATES)
    return {
        "runs": sum(counts.get(state, 0) for state in ran),
        "failed": sum(counts.get(state, 0) for state in BAD_STATES),
    }


# -- the timeline ------------------------------------------------------------------------------------------------------


class Timeline(NamedTuple):
    """The drawing, its twin as rows (task, fires, whether there are more), and the number of lanes left out."""

    drawing: Any
    title: str
    lanes: Sequence[svg.Lane]
    rows: Sequence[tuple[str, Sequence[FireView], bool]]
    others: int


def _timeline(console: Console, request: Request, shown: Sequence[TaskSummary]) -> Timeline:
    times, (_, title, back, ahead) = times_of(console, request), SPANS[request.arguments["span"]]
    since, until = times.now - back, times.now + ahead
    due = [task for task in shown if task.next_fire is not None and task.next_fire < until]
    names = [task.name for task in due[:LANES]]
    fires = console.reader.fires(times.now, until, names, _FIRES)
    of: dict[str, list[FireView]] = {name: [] for name in names}
    for fire in fires.items:
        of[fire.task].append(fire)
    lanes, rows = [], []
    step = (until - times.now) / _LOOKS
    for name in names:
        marks, looks = _marks(of[name]), []
        if name in fires.dense:
            looks = _marks(console.reader.samples(name, of[name][-1].fire_at + step, until, step))
        lanes.append(svg.lane(name, marks, looks, since, until, step))
        rows.append((name, of[name], name in fires.dense))
    label = f"{title}: when each task fires; the table below says the same"
    return Timeline(svg.timeline(lanes, since, until, times, label), title, lanes, rows, len(due) - len(names))


def _marks(fires: Iterable[FireView]) -> list[svg.Mark]:
    return [svg.Mark(fire.fire_at, fire.skipped) for fire in fires]


ROUTES = (
    Route(
        "GET",
        "",
        schedule,
        "viewer",
        "The schedule.",
        parameters=(
            Parameter("q", doc="part of a task's name"),
            Parameter("state", doc="only tasks of this status", choices=STATUSES),
            Parameter("sort", doc="the column to sort by", default="next", choices=SORTS),
            Parameter("page", kind="integer", doc="pages of 50 tasks", default=1, least=1, most=1_000_000),
            Parameter("span", doc="what the timeline shows", default="hour", choices=tuple(SPANS)),
        ),
    ),
)
