"""Checks of passwords and tokens: dear by design, so successes are remembered, and failures slow further tries.

::

    failures of a peer under one name      a wait that is doubled by each                   FREE, LONGEST
    failures of a peer under all names     some at once, then one in some seconds           PEER_FREE, PEER_PACE

Behind a proxy all clients are one peer. One that fails again and again under one name slows that name only, because its
failures come too slowly for the second bound.
"""

import hmac
import ipaddress
import math
import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import TypeVar

from tgscheduler import clock, passwords

#: Seconds for which a success is remembered after its last use, and the failures under a name after the last one.
REMEMBERED, FAILING = 300.0, 900.0

#: Failures under a name that cost no wait; after each further one it is twice as long, up to the longest (seconds).
FREE, LONGEST = 5, 60.0

#: Failures of a peer under all names that cost no wait; then there may be one in so many seconds.
PEER_FREE, PEER_PACE = 50, 5.0

#: Seconds for which a request waits for the checks of others, so that a flood of them does not hold every thread.
PATIENCE = 2.0

#: Maximum number of successes, of names with failures, and of peers with failures.
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
        #: How many failures, and the time of the last one.
        self._failures: OrderedDict[bytes, tuple[int, float]] = OrderedDict()
        #: When all failures of a peer are forgotten, at the pace of PEER_PACE.
        self._peers: OrderedDict[str, float] = OrderedDict()
        # One check at a time: each takes a core and 32 MiB, and many tabs that come back at once need only one.
        self._checking = threading.Lock()

    def find(self, peer: str, login: str, given: str, kept: Mapping[str, str]) -> str | None:
        """Return the name whose hash is that of the password, None if there is none; raise Slowed.

        ``login`` is what the failures are counted under: the name of a user, or the token itself. All hashes are
        verified, so that the time tells nothing of them.
        """
        found = self._remembered(given, kept)
        if found is not None:
            return found
        if not self._checking.acquire(timeout=PATIENCE):
            raise Slowed(1.0)
        try:
            return self._remembered(given, kept) or self._verified(_network(peer), login, given, kept)
        finally:
            self._checking.release()

    def _verified(self, network: str, login: str, given: str, kept: Mapping[str, str]) -> str | None:
        tried = self._digest(network, login)
        self._check_pace(network, tried)
        matches = [name for name, text in kept.items() if passwords.verify(given, text)]
        if not matches:
            self._note_failure(network, tried)
            return None
        self._failures.pop(tried, None)
        _keep(self._good, self._digest(matches[0], kept[matches[0]], given), self._now() + REMEMBERED)
        return matches[0]

    def _remembered(self, given: str, kept: Mapping[str, str]) -> str | None:
        now = self._now()
        for name, text in kept.items():
            digest = self._digest(name, text, given)
            if self._good.get(digest, now) > now:
                _keep(self._good, digest, now + REMEMBERED)
                return name
        return None

    def _digest(self, *texts: str) -> bytes:
        return hmac.digest(self._key, "\0".join(texts).encode("utf-8", "surrogatepass"), "sha256")

    def _check_pace(self, network: str, tried: bytes) -> None:
        now = self._now()
        count, last = self._failures.get(tried, (0, now))
        wait = min(LONGEST, 2.0 ** min(count - FREE, 10)) if count >= FREE else 0.0
        free = self._peers.get(network, now) - (PEER_FREE - 1) * PEER_PACE
        left = max(last + wait, free) - now
        if left > 0:
            raise Slowed(left)

    def _note_failure(self, network: str, tried: bytes) -> None:
        now = self._now()
        count, last = self._failures.get(tried, (0, now))
        _keep(self._failures, tried, (1 if now - last > FAILING else count + 1, now))
        _keep(self._peers, network, max(self._peers.get(network, now), now) + PEER_PACE)


def _keep(table: OrderedDict[K, V], key: K, value: V) -> None:
    table.pop(key, None)  # so that it becomes the newest, whatever another thread does meanwhile
    table[key] = value
    while len(table) > MOST:
        table.popitem(last=False)


def _network(peer: str) -> str:
    """Return what one person can easily change the address within: the /64 of an IPv6 address."""
    try:
        address = ipaddress.IPv6Address(peer.partition("%")[0])
    except ValueError:
        return peer
    return str(address.ipv4_mapped or ipaddress.ip_network((address, 64), strict=False))
