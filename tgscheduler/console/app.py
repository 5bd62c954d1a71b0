"""The console as a WSGI application, and its place in CherryPy's tree.

It is grafted into the tree, not mounted: no tool, dispatcher, session or error page of CherryPy has a part in it.
"""

import errno
import functools
import gzip
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from http import HTTPStatus
from types import ModuleType
from typing import Any

import cherrypy

from tgscheduler import config
from tgscheduler import scheduler as functions
from tgscheduler.console import wire
from tgscheduler.console.access import find_function
from tgscheduler.console.console import Console
from tgscheduler.console.http import Response
from tgscheduler.console.routes import Table
from tgscheduler.console.service import Service
from tgscheduler.console.settings import configured
from tgscheduler.console.table import TABLE
from tgscheduler.engine.scheduler import Scheduler
from tgscheduler.errors import ConfigError
from tgscheduler.messages import printable, shown

#: Text that is shorter is sent as it is (bytes).
_WORTH_PACKING = 1024

_TEXTS = ("text/", "application/json", "application/problem+json", "image/svg+xml")


class App:
    """Answers WSGI requests."""

    def __init__(self, console: Console, table: Table = TABLE) -> None:
        self.console = console
        self._service = Service(console, table, _Server())

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer one request."""
        response = self._service.answer(environ)
        content = _packed(environ, response)
        headers = {"Content-Type": response.type, "Content-Length": str(len(content)), **response.headers}
        if response.status in (204, 304):
            content = b""
            headers = {name: value for name, value in headers.items() if not name.startswith("Content-")}
        start_response(
            f"{response.status} {HTTPStatus(response.status).phrase}",
            [
                (name, printable(value).encode("latin-1", "replace").decode("latin-1"))
                for name, value in headers.items()
            ],
        )
        sent = [] if environ["REQUEST_METHOD"] == "HEAD" else [content]
        _log_access(environ, response.status, len(content))
        return sent if wire.has_known_end(environ) else _closing(sent)


def _packed(environ: dict[str, Any], response: Response) -> bytes:
    """Return the content, compressed if the client takes that; note it in the response's headers."""
    content = response.content()
    if len(content) < _WORTH_PACKING or not response.type.startswith(_TEXTS):
        return content
    response.headers["Vary"] = "Accept-Encoding"
    if not wire.takes_gzip(environ):
        return content
    response.headers["Content-Encoding"] = "gzip"
    return _compressed(content)


@functools.lru_cache(maxsize=64)
def _compressed(content: bytes) -> bytes:
    """Return content compressed: once for a file, and for a fragment that many tabs are given."""
    return gzip.compress(content, 6, mtime=0)


def _log_access(environ: dict[str, Any], status: int, size: int) -> None:
    """Write the line of the access log that CherryPy writes for its own applications; none while nothing changes."""
    if status == 304:
        return
    protocol = environ.get("SERVER_PROTOCOL", "")
    atoms = {
        "h": environ.get("REMOTE_ADDR") or "-",
        "t": cherrypy.log.time(),
        "r": f"{environ['REQUEST_METHOD']} {environ.get('REQUEST_URI') or environ['PATH_INFO']} {protocol}",
        "s": str(status),
        "b": str(size) if size else "-",
        "f": environ.get("HTTP_REFERER", ""),
        "a": environ.get("HTTP_USER_AGENT", ""),
        "o": environ.get("HTTP_HOST", "-"),
    }
    safe = {name: printable(text.replace("\\", r"\\")).replace('"', r"\"") for name, text in atoms.items()}
    line = cherrypy.log.access_log_format.format_map(defaultdict(lambda: "-", safe))
    cherrypy.log.access_log.info("%s", line)


def _closing(parts: list[bytes]) -> Iterator[bytes]:
    """Yield the parts, then end the connection: its next bytes may be a body's, and must not be taken for a request.

    cheroot closes without a word for this error (cheroot/server.py: ``HTTPConnection.communicate``).
    """
    yield from parts
    raise ConnectionResetError(errno.ECONNRESET, "the end of the request is not known")


class _Server:
    """What CherryPy knows of itself."""

    @property
    def host(self) -> str:
        return cherrypy.server.socket_host or ""

    @property
    def is_behind_proxy(self) -> bool:
        configs = [cherrypy.config]
        for app in list(cherrypy.tree.apps.values()):
            configs += [each for each in getattr(app, "config", {}).values() if isinstance(each, dict)]
            configs += _configs_below(getattr(app, "root", None), set())
        return any(each.get("tools.proxy.on") for each in configs)


def _configs_below(node: object, seen: set[int]) -> Iterator[dict[str, Any]]:
    """Yield the ``_cp_config`` of a controller, of its handlers and of the controllers below it."""
    seen.add(id(node))
    attributes = _attributes(node)
    yield attributes.get("_cp_config") or {}
    for child in attributes.values():
        if id(child) not in seen and (_is_handler(child) or any(map(_is_handler, _attributes(child).values()))):
            yield from _configs_below(child, seen)


def _attributes(node: object) -> dict[str, Any]:
    """Return the attributes of an object and of its classes, without a call of its properties.

    None of a function's type, of numbers and the like, because no class of Python itself is a controller.
    """
    classes = [each for each in type(node).__mro__ if each.__module__ != "builtins"]
    merged: dict[str, Any] = {}
    for each in (*reversed(classes), *([] if isinstance(node, ModuleType | type) else [node])):
        merged.update(getattr(each, "__dict__", {}))
    return merged


def _is_handler(value: object) -> bool:
    return not {"exposed", "_cp_config"}.isdisjoint(_attributes(value))


def mount(path: str, scheduler: Scheduler | None = None) -> Console:
    """Put a console at a path of CherryPy's tree, in place of one that is there."""
    config.check("tg.scheduler.console", path, "console.mount()")
    there = cherrypy.tree.apps.get(path.rstrip("/"))
    if there is not None and not isinstance(there, App):
        raise ConfigError(
            f"tg.scheduler.console: another application is mounted at {shown(path)}; expected a free path"
        )
    check()
    console = Console(functions.configured_scheduler() if scheduler is None else scheduler)
    cherrypy.tree.graft(App(console), path)
    return console


def check() -> None:
    """Raise ConfigError if a console cannot work as it is configured."""
    settings = configured()
    settings.check()
    if settings.auth is not None:
        find_function(settings.auth)


def unmount(path: str) -> None:
    """Take the console away from a path; nothing if none is there."""
    if is_mounted(path):
        del cherrypy.tree.apps[path.rstrip("/")]


def is_mounted(path: str) -> bool:
    """Return whether there is a console at a path."""
    return isinstance(cherrypy.tree.apps.get(path.rstrip("/")), App)
