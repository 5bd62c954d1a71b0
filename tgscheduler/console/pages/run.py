"""One run: what happened, its traceback and log, its times and its place."""

from tgscheduler.console.console import Console
from tgscheduler.console.http import Problem, Request, Response
from tgscheduler.console.pages import loglines, tracebacks
from tgscheduler.console.polling import polled
from tgscheduler.console.routes import Parameter, Route
from tgscheduler.console.verbs import RERUN_STATES

#: States of a run that has not ended.
OPEN = ("waiting", "running")


@polled
def show(console: Console, request: Request) -> Response:
    """Show one run."""
    run = console.reader.run(request.arguments["id"])
    if run is None:
        raise Problem(
            404,
            "No such run",
            "There is no run of this id. The store in memory forgets its runs at a restart, a database when its "
            "retention is over.",
        )
    level = request.arguments["level"]
    if level not in loglines.LEVELS:
        raise Problem(400, detail=f"level: expected one of {', '.join(loglines.LEVELS)}, got {level[:100]!r}.")
    task = console.reader.task(run.task)
    retry = None if task is None else task.view.policy.retry
    return console.render(
        request,
        "run.html",
        run=run,
        task=task,
        parts=tracebacks.parts(run.error or ""),
        records=loglines.records(run.log, level),
        level=level,
        levels=loglines.LEVELS,
        attempts=None if retry is None else retry.times + 1,
        can_cancel=run.state in OPEN,
        can_rerun=run.state in RERUN_STATES and task is not None and task.status != "ended",
    )


ROUTES = (
    Route(
        "GET",
        "runs/{id}",
        show,
        "viewer",
        "One run.",
        (
            Parameter("id", "path", doc="The id of the run."),
            Parameter("level", doc="The least level of the log records to show.", default=loglines.LEVELS[0]),
        ),
    ),
)
