"""Why: a task and a moment, and why the task did or did not run then."""

from tgscheduler.console.console import Console
from tgscheduler.console.http import Request, Response
from tgscheduler.console.render import times_of
from tgscheduler.console.routes import Parameter, Route
from tgscheduler.errors import InvalidValue
from tgscheduler.moments import parse_moment

#: Maximum number of names that the form suggests.
MOST_NAMES = 200


def show(console: Console, request: Request) -> Response:
    """Show the form, and the answer once both fields are filled in."""
    times, task, at = times_of(console, request), request.arguments["task"], request.arguments["at"]
    errors: dict[str, str] = {}
    lines: list[str] = []
    moment = times.now
    if at is not None:
        try:
            moment = parse_moment("at", at, times.tz.key, times.now)
        except InvalidValue as error:
            errors["at"] = str(error).removeprefix("at: ")
    if task is not None and at is not None and not errors:
        try:
            lines = [line.strip() for line in console.reader.why(task, moment).splitlines()]
        except InvalidValue as error:
            errors["task"] = str(error).removeprefix("why: ")
    response = console.render(
        request,
        "why.html",
        task=task or "",
        moment=moment,
        lines=lines[1:],  # the first repeats the question
        errors=errors,
        names=[each.name for each in console.reader.tasks()[:MOST_NAMES]],
    )
    response.status = 400 if errors else 200
    return response


ROUTES = (
    Route(
        "GET",
        "why",
        show,
        "viewer",
        "Why a task did or did not run at a moment.",
        (
            Parameter("task", doc="The name of the task."),
            Parameter("at", doc="The moment; wall time is read in the reader's zone."),
        ),
    ),
)
