"""Checks of passwords and tokens: dear by design, so successes are remembered, and failures slow their peer."""

import hmac
import ipaddress
import math
import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import TypeVar

from tgscheduler import clock, passwords

#: Seconds for which a success is remembered, and a peer's failures.
REMEMBERED, FAILING = 300.0, 900.0

#: Failures of a peer that cost no wait; after each further one it is twice as long, up to the longest (seconds).
FREE, LONGEST = 5, 60.0

#: Seconds for which a request waits for the checks of others, so that a flood of them does not hold every thread.
PATIENCE = 2.0

#: Maximum number of successes, and of peers with failures.
MOST = 1000

K = TypeVar("K")
V = TypeVar("V")


class Slowed(Exception):
    """A peer has failed too often, or too many peers ask at once: it must wait for some seconds."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"{seconds:.0f} s")
        self.seconds = max(1, math.ceil(seconds))


class Logins:
    """Verifies what peers give; ``now`` returns seconds."""

    def __init__(self, now: Callable[[], float] = clock.elapsed) -> None:
        self._now = now
        self._key = secrets.token_bytes(32)
        self._good: OrderedDict[bytes, float] = OrderedDict()
        self._failures: OrderedDict[str, tuple[int, float]] = OrderedDict()
        # One check at a time: each takes a core and 32 MiB, and many tabs that come back at once need only one.
        self._checking = threading.Lock()

    def find(self, peer: str, given: str, kept: Mapping[str, str]) -> str | None:
        """Return the name whose hash is that of the password, None if there is none; raise Slowed.

        All hashes are verified, so that the time tells nothing of them.
        """
        found = self._remembered(given, kept)
        if found is not None:
            return found
        if not self._checking.acquire(timeout=PATIENCE):
            raise Slowed(1.0)
        try:
            return self._remembered(given, kept) or self._verified(peer, given, kept)
        finally:
            self._checking.release()

    def _verified(self, peer: str, given: str, kept: Mapping[str, str]) -> str | None:
        self._check_pace(peer)
        matches = [name for name, text in kept.items() if passwords.verify(given, text)]
        if not matches:
            self._note_failure(peer)
            return None
        _keep(self._good, self._digest(matches[0], given, kept[matches[0]]), self._now() + REMEMBERED)
        return matches[0]

    def _remembered(self, given: str, kept: Mapping[str, str]) -> str | None:
        now = self._now()
        for name, text in kept.items():
            if self._good.get(self._digest(name, given, text), now) > now:
                return name
        return None

    def _digest(self, name: str, given: str, kept: str) -> bytes:
        text = "\0".join((name, kept, given))
        return hmac.digest(self._key, text.encode("utf-8", "surrogatepass"), "sha256")

    def _check_pace(self, peer: str) -> None:
        count, last = self._failures.get(_network(peer), (0, 0.0))
        wait = min(LONGEST, 2.0 ** (count - FREE)) if count >= FREE else 0.0
        left = last + wait - self._now()
        if left > 0:
            raise Slowed(left)

    def _note_failure(self, peer: str) -> None:
        network, now = _network(peer), self._now()
        count, last = self._failures.get(network, (0, now))
        _keep(self._failures, network, (1 if now - last > FAILING else count + 1, now))


def _keep(table: OrderedDict[K, V], key: K, value: V) -> None:
    table[key] = value
    table.move_to_end(key)
    while len(table) > MOST:
        table.popitem(last=False)


def _network(peer: str) -> str:
    """Return what one person can easily change the address within: the /64 of an IPv6 address."""
    try:
        address = ipaddress.IPv6Address(peer.partition("%")[0])
    except ValueError:
        return peer
    return str(address.ipv4_mapped or ipaddress.ip_network((address, 64), strict=False))
