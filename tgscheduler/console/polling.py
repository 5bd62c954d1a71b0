"""Pages that keep themselves up to date: many tabs that ask again and again cost little.

::

    nothing has changed                 304: neither the store nor a template is asked
    another tab has just asked          the fragment that it was given
    else                                the page's handler

"Just" is as long as the reader shows the same list of tasks: until something changes, and then a second at most.
"""

import functools
import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from tgscheduler.console import assets
from tgscheduler.console.http import Request, Response
from tgscheduler.console.render import LIVE, may_act

#: Maximum number of fragments that are kept.
MOST = 100

Handler = Callable[[Any, Request], Response]


class Fragments:
    """Fragments of pages that were made for the list of tasks that the reader still shows."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[object, tuple[object, Response]] = OrderedDict()

    def find(self, key: object, tasks: object) -> Response | None:
        """Return what was made of these tasks, None if there is nothing."""
        with self._lock:
            made_of, response = self._kept.get(key, (None, None))
        return response if made_of is tasks else None

    def keep(self, key: object, tasks: object, response: Response) -> None:
        """Keep what was made of these tasks."""
        with self._lock:
            self._kept.pop(key, None)
            self._kept[key] = tasks, response
            while len(self._kept) > MOST:
                self._kept.popitem(last=False)


def polled(handler: Handler) -> Handler:
    """Let the handler of a page answer 304 while nothing has changed that the page shows."""

    @functools.wraps(handler)
    def answer(console: Any, request: Request) -> Response:
        reader, tag = console.reader, etag(console, request)
        time = {"X-Time": f"{reader.now:.3f}"}
        if request.headers.get("if-none-match") == tag:
            return Response(status=304, headers={"ETag": tag, **time})
        if request.query.get("fragment") != [LIVE] or "notice" in request.query:
            response = handler(console, request)
            response.headers.update({"ETag": tag, **time})
            return response
        key, tasks = _key(console, request), reader.tasks()
        kept = console.fragments.find(key, tasks)
        if kept is None:
            kept = handler(console, request)
            kept.headers["ETag"] = tag
            if kept.status == 200:
                console.fragments.keep(key, tasks, kept)
        return Response(kept.body, kept.status, kept.type, {**kept.headers, **time})

    return answer


def etag(console: Any, request: Request) -> str:
    """Return what tells one state of a page from another: the engine's change counter, the reader, the minute."""
    reader = console.reader
    shown = (reader.version, reader.started, reader.health().reasons, assets.version(), *_reader(console, request))
    return f'"{hashlib.sha256(repr(shown).encode()).hexdigest()[:20]}"'


def _key(console: Any, request: Request) -> tuple[object, ...]:
    query = tuple(sorted((name, *values) for name, values in request.query.items()))
    return (request.path, query, request.root, *_reader(console, request))


def _reader(console: Any, request: Request) -> tuple[object, ...]:
    """Return what a page depends on beside the scheduler."""
    minute = console.reader.now // 60
    return minute, request.cookies.get("tgs_zone"), may_act(console, request), console.settings.read_only
