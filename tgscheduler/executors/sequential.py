"""Sequential: in the thread of the loop, one after another."""

from collections import deque

from tgscheduler.clock import Clock
from tgscheduler.executors.base import Executor, Occurrence, give_up, here, log
from tgscheduler.timetable.policy import method
from tgscheduler.timetable.run import Run
from tgscheduler.timetable.tasks import IntervalTask

#: A sequential action that takes longer than its interval, and than this (seconds), gets a warning: all others waited.
LONG = 1.0

#: The loop looks at its timetable again after this many seconds of sequential work, or one longer action.
SLICE = 0.005


class SequentialExecutor(Executor):
    """Keeps what is due in a line; the loop lets it work a slice at a time, in between its own turns."""

    method = method.sequential
    takes_many = True

    def __init__(self, clock: Clock, ended: deque[Occurrence]) -> None:
        super().__init__(clock, ended)
        self._line: deque[Occurrence] = deque()

    def _enqueue(self, occurrence: Occurrence) -> None:
        self._line.append(occurrence)

    def submit_all(self, occurrences: list[Occurrence]) -> None:
        """Take many occurrences, in order."""
        waiting = self.waiting
        for occurrence in occurrences:
            waiting[occurrence[1]] = occurrence
        self._line.extend(occurrences)
        if self._closed:
            self.close()

    def work(self) -> bool:
        """Perform what waits, for one slice; say whether more waits."""
        if not self._line:
            return False
        where, line, clock = here(), self._line, self.clock
        began = clock.elapsed()
        while line:
            occurrence = line.popleft()
            if self.carry_out(occurrence, where) and (took := clock.elapsed() - began) >= SLICE:
                if took >= LONG:
                    self._warn(occurrence, took)
                break
        return bool(line)

    def _warn(self, occurrence: Occurrence, took: float) -> None:
        task, run = occurrence
        if task.method == method.sequential and not (isinstance(task, IntervalTask) and took < task.interval):
            log.warning("%s: its action held the loop for %.1f s, and all other tasks with it", run.task, took)

    def close(self) -> None:
        """Start nothing any more."""
        self._line.clear()
        super().close()

    def abandon(self, but: Run | None = None) -> None:
        """Give up an action that has not returned: its thread cannot be ended."""
        for run in list(self.running):
            if run is not but:
                give_up(self, run, "the loop's thread is left behind")
