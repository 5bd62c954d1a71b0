"""The reader's own choices, kept in cookies: the zone of all times, and the colours."""

from urllib.parse import quote

from tgscheduler.console.console import Console
from tgscheduler.console.http import Problem, Request, Response, see_other
from tgscheduler.console.render import THEMES
from tgscheduler.console.routes import Parameter, Route
from tgscheduler.errors import InvalidValue
from tgscheduler.timetable import zones

#: Seconds for which a browser keeps a choice: a year.
_KEPT = 365 * 86400


def choose(console: Console, request: Request) -> Response:
    """Keep a choice, and go back to the page."""
    zone, theme = request.arguments["zone"], request.arguments["theme"]
    if zone is not None:
        cookie = f"tgs_zone={_zone(zone)}"
    elif theme in THEMES:
        cookie = f"tgs_theme={theme}"
    else:
        raise Problem(422, detail=f"Expected a zone, or a theme of {', '.join(THEMES)}; got {theme!r}.")
    response = see_other(request, "./" + quote(request.arguments["back"], safe="/?&=%+~:,@!$'()*;"))
    response.headers["Set-Cookie"] = f"{cookie}; Max-Age={_KEPT}; SameSite=Strict; HttpOnly"
    return response


def _zone(choice: str) -> str:
    kind, _, name = choice.partition(":")
    if choice in ("server", "utc"):
        return choice
    if kind != "browser":
        raise Problem(422, detail=f"Expected server, utc or browser:NAME as the zone, got {choice!r}.")
    try:
        return f"browser:{zones.zone(name).key}"
    except InvalidValue as error:
        raise Problem(422, detail=str(error)) from None


ROUTES = (
    Route(
        "POST",
        "display",
        choose,
        "viewer",
        "Choose the zone of all times (`zone`), or the colours (`theme`); each is a cookie.",
        body=(
            Parameter("zone", "body", doc="server, utc, or browser: and the name of a zone"),
            Parameter("theme", "body", doc="auto, light or dark"),
            Parameter("back", "body", doc="the page to go back to, below the mount", default=""),
        ),
    ),
)
