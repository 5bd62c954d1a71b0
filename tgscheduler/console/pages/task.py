"""A task: what it is, when it fires next, how its runs went, and what was done to it."""

from collections.abc import Sequence
from typing import NamedTuple

from tgscheduler.console import svg
from tgscheduler.console.console import Console
from tgscheduler.console.http import Problem, Request, Response
from tgscheduler.console.polling import polled
from tgscheduler.console.render import times_of
from tgscheduler.console.routes import Parameter, Route
from tgscheduler.errors import StoreError
from tgscheduler.stores.audit import AuditRecord
from tgscheduler.timetable.durations import Durations
from tgscheduler.views import BAD_STATES, Failures, RunView, TaskSummary

#: Number of fires, of runs in the table, of runs in the chart, and of changes.
FIRES, RUNS, CHARTED, CHANGES = 10, 20, 50, 10

#: What each action did, and what it was to do, as parts of a sentence about the task.
DID = {
    "pause": ("paused it", "pause it"),
    "resume": ("resumed it", "resume it"),
    "run": ("ran it", "run it"),
    "reschedule": ("rescheduled it", "reschedule it"),
    "cancel": ("cancelled a run", "cancel a run"),
    "rerun": ("ran it again", "run it again"),
    "pause_all": ("paused all tasks", "pause all tasks"),
    "resume_all": ("resumed all tasks", "resume all tasks"),
}


@polled
def show(console: Console, request: Request) -> Response:
    """Show the page, also for a task that is gone and has a history."""
    reader, name = console.reader, request.arguments["name"]
    task = reader.task(name)
    history = _history(console, name, task)
    if task is None and not history.recent:
        raise Problem(404, "No such task", f"There is no task {name!r} here, and no run of one on record.")
    return console.render(
        request,
        "task.html",
        name=name,
        task=task,
        definition=None if task is None else reader.definition(task),
        fires=[] if task is None else reader.next_fires(name, FIRES),
        history=history,
        chart=_chart(console, request, history),
        words_of=DID,
    )


class History(NamedTuple):
    """What is on record of a task: its last runs, those of the table with their errors, figures, changes."""

    recent: Sequence[RunView] = ()
    runs: Sequence[RunView] = ()
    failures: Failures = Failures(0, None, "")
    figures: Durations = Durations({})
    changes: Sequence[AuditRecord] = ()


def _history(console: Console, name: str, task: TaskSummary | None) -> History:
    """Return the history of a task; an empty one while the store does not answer."""
    reader = console.reader
    try:
        recent = reader.recent([name], CHARTED)[name]
        return History(
            recent,
            reader.runs(name, limit=RUNS).items,
            reader.failures(recent, CHARTED),
            reader.figures([name])[name],
            reader.audits(name, limit=CHANGES),
        )
    except StoreError:
        if task is None:
            raise
        return History()


def _chart(console: Console, request: Request, history: History) -> svg.Chart | None:
    """Return the durations of the last runs, None if none has ended."""
    points = [
        svg.Point(run.due, run.ended - run.started, run.state in BAD_STATES)
        for run in reversed(history.recent)
        if run.started is not None and run.ended is not None
    ]
    if not points:
        return None
    found = (("median", history.figures.quantile(0.5)), ("p95", history.figures.quantile(0.95)))
    lines = [(words, seconds) for words, seconds in found if seconds is not None]
    return svg.chart(points, lines, times_of(console, request))


ROUTES = (
    Route(
        "GET",
        "tasks/{name}",
        show,
        "viewer",
        "A task.",
        parameters=(Parameter("name", "path", doc="the name of the task"),),
    ),
)
