"""Sequential: in the thread of the loop, one after another."""

from collections import deque

from tgscheduler.clock import Clock
from tgscheduler.executors.base import Executor, Occurrence, give_up, here
from tgscheduler.timetable.policy import method
from tgscheduler.timetable.run import Run

#: The loop looks at its timetable again after this many seconds of sequential work, or one longer action.
SLICE = 0.005


class SequentialExecutor(Executor):
    """Keeps what is due in a line; the loop lets it work a slice at a time, in between its own turns."""

    method = method.sequential

    def __init__(self, clock: Clock, ended: deque[Occurrence]) -> None:
        super().__init__(clock, ended)
        self._line: deque[Occurrence] = deque()

    def _enqueue(self, occurrence: Occurrence) -> None:
        self._line.append(occurrence)

    def work(self) -> bool:
        """Perform what waits, for one slice; say whether more waits."""
        if not self._line:
            return False
        where, line, clock = here(), self._line, self.clock
        end = clock.elapsed() + SLICE
        while line:
            if self.carry_out(line.popleft(), where) and clock.elapsed() >= end:
                break
        return bool(line)

    def close(self) -> None:
        """Start nothing any more."""
        self._line.clear()
        super().close()

    def abandon(self, but: Run | None = None) -> None:
        """Give up an action that has not returned: its thread cannot be ended."""
        for run in list(self.running):
            if run is not but:
                give_up(self, run, "the loop's thread is left behind")
