"""Notices: what a page says once, after the action that led to it.

The text waits in memory under a token that the redirect carries, so that no address can put words on a page.
"""

import secrets
import threading
from collections import OrderedDict

#: Maximum number of notices that wait.
MOST = 200


class Notices:
    """Keeps each notice until it has been shown."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: OrderedDict[str, str] = OrderedDict()

    def leave(self, text: str) -> str:
        """Keep a text; return the token that takes it."""
        token = secrets.token_urlsafe(9)
        with self._lock:
            self._waiting[token] = text
            while len(self._waiting) > MOST:
                self._waiting.popitem(last=False)
        return token

    def take(self, token: str) -> str | None:
        """Return a text, and forget it; None if there is none."""
        with self._lock:
            return self._waiting.pop(token, None)
