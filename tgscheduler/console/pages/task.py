"""A task: what it is, when it fires next, how its runs went, and what was done to it."""

from collections.abc import Sequence

from tgscheduler.console import svg
from tgscheduler.console.console import Console
from tgscheduler.console.http import Problem, Request, Response
from tgscheduler.console.polling import polled
from tgscheduler.console.render import times_of
from tgscheduler.console.routes import Parameter, Route
from tgscheduler.errors import StoreError
from tgscheduler.stores.audit import AuditRecord
from tgscheduler.timetable.durations import Durations
from tgscheduler.views import BAD_STATES, RunView, TaskSummary, failures

#: Number of fires, of runs in the table, of runs in the chart, and of changes.
FIRES, RUNS, CHARTED, CHANGES = 10, 20, 50, 10

#: What each action did, as part of a sentence about the task.
DID = {
    "pause": "paused it",
    "resume": "resumed it",
    "run": "ran it",
    "reschedule": "rescheduled it",
    "cancel": "cancelled a run",
    "rerun": "ran it again",
}


@polled
def show(console: Console, request: Request) -> Response:
    """Show the page, also for a task that is gone and has a history."""
    reader, name = console.reader, request.arguments["name"]
    task = reader.task(name)
    recent, figures, changes = _history(console, name, task)
    if task is None and not recent:
        raise Problem(404, "No such task", f"There is no task {name!r} here, and no run of one on record.")
    return console.render(
        request,
        "task.html",
        name=name,
        task=task,
        definition=None if task is None else reader.definition(task),
        fires=[] if task is None else reader.next_fires(name, FIRES),
        recent=recent[:RUNS],
        failures=failures(recent),
        figures=figures,
        chart=_chart(console, request, recent, figures),
        did=DID,
        changes=changes,
    )


def _history(
    console: Console, name: str, task: TaskSummary | None
) -> tuple[list[RunView], Durations, list[AuditRecord]]:
    """Return the last runs of a task, its figures, and what was done to it; nothing while the store does not answer."""
    reader = console.reader
    try:
        return reader.recent([name], CHARTED)[name], reader.figures([name])[name], reader.audits(name, limit=CHANGES)
    except StoreError:
        if task is None:
            raise
        return [], Durations({}), []


def _chart(console: Console, request: Request, recent: Sequence[RunView], figures: Durations) -> svg.Chart | None:
    """Return the durations of the last runs, None if none has ended."""
    points = [
        svg.Point(run.due, run.ended - run.started, run.state in BAD_STATES)
        for run in reversed(recent)
        if run.started is not None and run.ended is not None
    ]
    if not points:
        return None
    found = (("median", figures.quantile(0.5)), ("p95", figures.quantile(0.95)))
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
