"""The console as a WSGI application, and its place in CherryPy's tree.

It is grafted, not mounted: no tool, dispatcher or error page of CherryPy has a part in its requests.
"""

from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any

import cherrypy

from tgscheduler import scheduler as functions
from tgscheduler.console.console import Console
from tgscheduler.console.service import Service
from tgscheduler.console.settings import ConsoleSettings
from tgscheduler.console.table import TABLE
from tgscheduler.engine.scheduler import Scheduler


class App:
    """Answers WSGI requests."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._service = Service(console, TABLE)

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        response = self._service.answer(environ)
        content = response.content()
        headers = {"Content-Type": response.type, "Content-Length": str(len(content)), **response.headers}
        if response.status in (204, 304):
            content = b""
            headers = {name: value for name, value in headers.items() if not name.startswith("Content-")}
        start_response(f"{response.status} {HTTPStatus(response.status).phrase}", list(headers.items()))
        return [] if environ.get("REQUEST_METHOD") == "HEAD" else [content]


def mount(path: str, scheduler: Scheduler | None = None, settings: ConsoleSettings | None = None) -> Console:
    """Mount the console of a scheduler (None: the default one) at a path of CherryPy's tree; return it."""
    console = Console(scheduler or functions.configured_scheduler(), settings)
    cherrypy.tree.graft(App(console), path)
    return console
