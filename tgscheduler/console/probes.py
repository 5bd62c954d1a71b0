"""One word for a load balancer."""

from tgscheduler.console.console import Console
from tgscheduler.console.http import TEXT, Request, Response
from tgscheduler.console.routes import Route


def healthz(console: Console, request: Request) -> Response:
    """Return whether the scheduler works."""
    state = str(console.scheduler.health()["state"])
    return Response(f"{state}\n", 200 if state == "ok" else 503, TEXT)


ROUTES = (Route("GET", "healthz", healthz, "public", "Whether the scheduler works.", makes=(TEXT,)),)
