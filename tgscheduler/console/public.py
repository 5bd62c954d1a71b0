"""What strangers may ask for: static files, and one word for a load balancer."""

from tgscheduler.console import assets
from tgscheduler.console.console import Console
from tgscheduler.console.http import TEXT, Problem, Request, Response
from tgscheduler.console.routes import Parameter, Route

#: For a year, without asking again.
_FOR_EVER = "public, max-age=31536000, immutable"


def static(console: Console, request: Request) -> Response:
    """Return a static file of this version."""
    asset = assets.assets().get("/".join(request.arguments["file"]))
    if asset is None or request.arguments["version"] != assets.version():
        raise Problem(404, "No such file", "The console has no such static file; reload the page that asked for it.")
    return Response(asset.content, 200, asset.type, {"Cache-Control": _FOR_EVER})


def healthz(console: Console, request: Request) -> Response:
    """Return whether the scheduler works: 503 if it has failed or is stopped."""
    state = console.scheduler.health()["state"]
    return _word(state, state in ("ok", "degraded"))


def readyz(console: Console, request: Request) -> Response:
    """Return whether the scheduler works as it should: 503 as well while it is degraded, such as by a store down."""
    state = console.scheduler.health()["state"]
    return _word("ready" if state == "ok" else state, state == "ok")


def _word(word: str, is_well: bool) -> Response:
    return Response(f"{word}\n", 200 if is_well else 503, TEXT)


ROUTES = (
    Route(
        "GET",
        "static/{version}/{file*}",
        static,
        "public",
        "A static file.",
        parameters=(Parameter("version", "path"), Parameter("file", "path")),
        makes=("*/*",),
    ),
    Route("GET", "healthz", healthz, "public", "One word: whether the scheduler works.", makes=(TEXT,)),
    Route("GET", "readyz", readyz, "public", "One word: whether it works as it should.", makes=(TEXT,)),
)
