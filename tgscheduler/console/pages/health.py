"""Health: the state of the engine and of its store, the configuration, the versions."""

from tgscheduler.console.console import Console
from tgscheduler.console.findings import STATES, findings
from tgscheduler.console.http import Request, Response
from tgscheduler.console.polling import polled
from tgscheduler.console.routes import Route


@polled
def show(console: Console, request: Request) -> Response:
    """Show everything of the scheduler's health."""
    health = console.reader.health()
    return console.render(
        request,
        "health.html",
        health=health,
        sentence=STATES[health.state],
        findings=findings(health),
        store_down=next((reason for reason in health.reasons if reason.startswith("the store is down")), None),
    )


ROUTES = (Route("GET", "health", show, "viewer", "The health of the scheduler, its configuration and versions."),)
