"""Simulate: type a timetable, and see what it would do."""

from tgscheduler.console.console import Console
from tgscheduler.console.http import Request, Response
from tgscheduler.console.pages import timetables
from tgscheduler.console.routes import Parameter, Route

#: Number of fires that are shown.
FIRES = 20


def show(console: Console, request: Request) -> Response:
    """Show the form, and the fires of the timetable in it."""
    zone = request.arguments["zone"] or console.reader.timezone
    typed = timetables.typed(console.reader, request.arguments["line"], zone, FIRES)
    response = console.render(
        request, "simulate.html", typed=typed, examples=timetables.EXAMPLES, zone_names=timetables.zone_names()
    )
    response.status = 400 if typed.errors else 200
    return response


ROUTES = (
    Route(
        "GET",
        "simulate",
        show,
        "viewer",
        "What a timetable would do.",
        (
            Parameter("line", doc="A cron line, or words such as: every 90 s, mon-fri 09:00.", default=""),
            Parameter("zone", doc="The IANA name of a time zone; the scheduler's if there is none."),
        ),
    ),
)
