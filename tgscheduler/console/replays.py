"""Replays: a request that comes again under its Idempotency-Key gets the answer of the first, and does nothing."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import replace
from typing import Any

from tgscheduler.console.http import Problem, Response

#: Maximum number of answers that are kept.
MOST = 1000


class Replays:
    """Keeps the last answers by key, in memory."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._kept: OrderedDict[Hashable, tuple[Any, Response]] = OrderedDict()

    def answer(self, key: Hashable, request: Any, make: Callable[[], Response]) -> Response:
        """Return the answer that is kept under a key, or make one and keep it; a Problem is not kept.

        ``request`` is what a request under the key must be equal to; raise a Problem 409 if it is not. Of two that come
        at the same time, the second waits for the answer of the first.
        """
        with self._lock:
            kept = self._kept.get(key)
            if kept is None:
                kept = request, make()
                self._kept[key] = kept
                if len(self._kept) > self._most:
                    self._kept.popitem(last=False)
            elif kept[0] != request:
                raise Problem(
                    409, "Key in use", "This Idempotency-Key came before with another request; use a new one."
                )
        return replace(kept[1], headers=dict(kept[1].headers))  # whoever sends an answer adds to its headers
