"""Stage: runs that wait for something, each owned by the thread that pops it.

``waiting`` holds runs that have not begun. ``dict.pop`` is atomic: the thread that gets the item owns the run's next
state. So a worker that begins a run and a stop that cancels it never both succeed, and neither takes a lock.
"""

from collections import deque
from collections.abc import Sequence

from tgscheduler.clock import Bell, Clock
from tgscheduler.timetable.entry import Entry
from tgscheduler.timetable.run import CANCELLED, Run

Occurrence = tuple[Entry, Run]
"""One occurrence: the entry and its run."""

STOPPED = "stopped before it began"


class Stage:
    """Holds occurrences, and hands back each that is cancelled: appends it to ``handed_back``."""

    def __init__(self, clock: Clock, handed_back: deque[Occurrence]) -> None:
        self.clock = clock
        self.waiting: dict[Run, Occurrence] = {}
        #: Why this does not work as it should, None if it does.
        self.degraded: str | None = None
        #: Wakes the loop.
        self.bell: Bell | None = None
        self._handed_back = handed_back
        self._closed = False

    def hold(self, occurrences: Sequence[Occurrence]) -> None:
        """Hold occurrences; they end as cancelled once this is closed."""
        waiting = self.waiting
        for occurrence in occurrences:
            waiting[occurrence[1]] = occurrence
        if self._closed:
            self.close()

    def release(self, run: Run) -> bool:
        """Remove a run; return whether it was still held, and not cancelled meanwhile."""
        return self.waiting.pop(run, None) is not None

    def cancel_waiting(self, run: Run, reason: str) -> bool:
        """End a run that has not begun as cancelled; return whether this call did."""
        occurrence = self.waiting.pop(run, None)
        if occurrence is None:
            return False
        run.reason, run.ended = reason, self.clock.now()
        run.state = CANCELLED
        self._handed_back.append(occurrence)
        return True

    def cancel(self, run: Run, reason: str) -> bool:
        """End a run as cancelled; return whether this call did."""
        return self.cancel_waiting(run, reason)

    def close(self) -> None:
        """Start no more runs; those that wait end as cancelled."""
        self._closed = True
        for run in list(self.waiting):
            self.cancel_waiting(run, STOPPED)

    def reset_after_fork(self) -> None:
        """In a forked copy: hold nothing any more, even if the host has replaced threads by ones that a fork copies."""
        self._closed = True
        self.waiting.clear()

    def on_clock_step(self, seconds: float) -> None:
        """Follow a step of the wall clock by ``seconds``."""
