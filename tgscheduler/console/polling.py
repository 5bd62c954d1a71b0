"""Pages that keep themselves up to date: many tabs that ask again and again cost little.

::

    nothing has changed                 304: neither the store nor a template is asked
    another tab has just asked          the fragment that it was given
    else                                the page's handler

"Just" is as long as the reader shows the same list of tasks: until something changes, and then two seconds as a rule.
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
#: Maximum time (seconds) that a tab waits for its turn; the one before it may wait for the store.
_PATIENCE = 0.5

Handler = Callable[[Any, Request], Response]


class Fragments:
    """Fragments of pages that were made for the list of tasks that the reader still shows."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._turn = threading.Lock()
        self._kept: OrderedDict[object, tuple[object, Response]] = OrderedDict()

    def made(self, key: object, tasks: Callable[[], object], make: Callable[[], Response]) -> Response:
        """Return what was made of the present tasks, or make it: one at a time, so that the scheduler has its share."""
        kept = self._find(key, tasks())
        if kept is not None:
            return kept
        is_turn = self._turn.acquire(timeout=_PATIENCE)
        try:
            made_of = tasks()
            kept = self._find(key, made_of)  # another tab may have had it made meanwhile
            if kept is None:
                kept = make()
                if kept.status == 200:
                    self._keep(key, made_of, kept)
            return kept
        finally:
            if is_turn:
                self._turn.release()

    def _find(self, key: object, tasks: object) -> Response | None:
        with self._lock:
            made_of, response = self._kept.get(key, (None, None))
        return response if made_of is tasks else None

    def _keep(self, key: object, tasks: object, response: Response) -> None:
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

        def make() -> Response:
            response = handler(console, request)
            response.headers["ETag"] = tag
            return response

        kept = console.fragments.made(_key(console, request), reader.tasks, make)
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
