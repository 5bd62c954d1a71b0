"""Stage: runs that wait for something, each owned by the thread that pops it.

``waiting`` holds what was taken and has not begun. ``dict.pop`` is one atomic step: the thread that gets the item owns
the run's next state, so that a worker that begins a run and a stop that cancels it never both do, and neither takes a
lock.
"""

from collections import deque
from collections.abc import Sequence

from tgscheduler.clock import Bell, Clock
from tgscheduler.timetable.entry import Entry
from tgscheduler.timetable.run import CANCELLED, Run

Occurrence = tuple[Entry, Run]
"""One due instant of one task on its way to its end."""

STOPPED = "stopped before it began"


class Stage:
    """Holds occurrences, and hands back each that is cancelled by appending it to ``ended``."""

    def __init__(self, clock: Clock, ended: deque[Occurrence]) -> None:
        self.clock = clock
        self.waiting: dict[Run, Occurrence] = {}
        #: Why this cannot work as it should, None if it can.
        self.degraded: str | None = None
        #: Rung when the loop is to look.
        self.bell: Bell | None = None
        self._ended = ended
        self._closed = False

    def hold(self, occurrences: Sequence[Occurrence]) -> None:
        """Take occurrences in; they end as cancelled once this is closed."""
        waiting = self.waiting
        for occurrence in occurrences:
            waiting[occurrence[1]] = occurrence
        if self._closed:
            self.close()

    def leave(self, run: Run) -> bool:
        """Let a run out; return whether it was still in, and not withdrawn meanwhile."""
        return self.waiting.pop(run, None) is not None

    def cancel_waiting(self, run: Run, reason: str) -> bool:
        """End a run that has not begun as cancelled; return whether this call did."""
        occurrence = self.waiting.pop(run, None)
        if occurrence is None:
            return False
        run.reason, run.ended = reason, self.clock.now()
        run.state = CANCELLED
        self._ended.append(occurrence)
        return True

    def cancel(self, run: Run, reason: str) -> bool:
        """End a run as cancelled; return whether this call did."""
        return self.cancel_waiting(run, reason)

    def close(self) -> None:
        """Start nothing any more: what waits ends as cancelled."""
        self._closed = True
        for run in list(self.waiting):
            self.cancel_waiting(run, STOPPED)

    def reset_after_fork(self) -> None:
        """In a forked copy: hold nothing any more, also if a host has replaced threads by what a fork copies."""
        self._closed = True
        self.waiting.clear()

    def on_clock_step(self, seconds: float) -> None:
        """Follow a step of the wall clock by so many seconds."""
