"""Backlog: due runs that cannot start yet. Retries wait until their backoff ends, queued runs until a slot is free.

Only the loop's thread adds and releases them; any thread may cancel one, as in an executor.
"""

import heapq
import itertools
import math
from collections import deque

from tgscheduler.clock import Clock
from tgscheduler.executors.stage import Occurrence, Stage


class Backlog(Stage):
    """Occurrences that wait in the queue of their task, or until a time (POSIX seconds)."""

    def __init__(self, clock: Clock, handed_back: deque[Occurrence]) -> None:
        super().__init__(clock, handed_back)
        self._times: list[tuple[float, int, Occurrence]] = []
        self._sequence = itertools.count()
        #: When the first of them is released (POSIX seconds), infinity if none waits for a time.
        self.earliest = math.inf

    def hold_until(self, moment: float, occurrence: Occurrence) -> None:
        """Hold an occurrence until ``moment``."""
        heapq.heappush(self._times, (moment, next(self._sequence), occurrence))
        self.earliest = self._times[0][0]
        self.hold([occurrence])

    def ready(self, now: float) -> list[Occurrence]:
        """Return those whose time has come; they are held until :meth:`release` is called for them."""
        found: list[Occurrence] = []
        while self._times and self._times[0][0] <= now:
            found.append(heapq.heappop(self._times)[2])
        self.earliest = self._times[0][0] if self._times else math.inf
        return found

    def on_clock_step(self, seconds: float) -> None:
        """Follow a step of the wall clock: a backoff counts real seconds."""
        self._times = [(moment + seconds, number, occurrence) for moment, number, occurrence in self._times]
        self.earliest += seconds
