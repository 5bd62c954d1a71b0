"""The lobby: occurrences that wait for something else than a thread: a retry for its time, others for their turn.

The loop's thread puts them in and sends them on; anybody may withdraw one, as from an executor.
"""

import heapq
import itertools
import math
from collections import deque

from tgscheduler.clock import Clock
from tgscheduler.executors.base import Executor, Occurrence


class Lobby(Executor):
    """Occurrences that wait in the line of their task, or until a time (POSIX seconds)."""

    method = "lobby"

    def __init__(self, clock: Clock, ended: deque[Occurrence]) -> None:
        super().__init__(clock, ended)
        self._times: list[tuple[float, int, Occurrence]] = []
        self._numbers = itertools.count()
        #: When the first of them is to be sent on, infinity when none is.
        self.earliest = math.inf

    def _enqueue(self, occurrence: Occurrence) -> None:
        """It is sent on by whoever has put it in."""

    def wait_until(self, moment: float, occurrence: Occurrence) -> None:
        """Take an occurrence in until ``moment``."""
        heapq.heappush(self._times, (moment, next(self._numbers), occurrence))
        self.earliest = self._times[0][0]
        self.submit(occurrence)

    def ready(self, now: float) -> list[Occurrence]:
        """Return those whose time has come; they are in until they :meth:`leave`."""
        found: list[Occurrence] = []
        while self._times and self._times[0][0] <= now:
            found.append(heapq.heappop(self._times)[2])
        self.earliest = self._times[0][0] if self._times else math.inf
        return found

    def leave(self, occurrence: Occurrence) -> bool:
        """Let an occurrence out; False where it has been withdrawn meanwhile."""
        return self.waiting.pop(occurrence[1], None) is not None

    def shift(self, seconds: float) -> None:
        """Follow a step of the wall clock: what waits for a time counts real seconds."""
        self._times = [(moment + seconds, number, occurrence) for moment, number, occurrence in self._times]
        self.earliest += seconds
