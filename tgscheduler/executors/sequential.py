"""Sequential: actions run in the loop's thread, one after another."""

from collections import deque
from collections.abc import Sequence

from tgscheduler.clock import Clock
from tgscheduler.executors.base import Executor, here, log
from tgscheduler.executors.stage import Occurrence
from tgscheduler.timetable.policy import method
from tgscheduler.timetable.run import Run
from tgscheduler.timetable.tasks import IntervalTask

#: A sequential action that takes longer than its interval, and than this (seconds), is warned about: all others waited.
SLOW_ACTION = 1.0

#: Maximum time (seconds) of sequential work in one turn, but for an action that takes longer.
SLICE = 0.005


class SequentialExecutor(Executor):
    """Queues due runs; the loop calls :meth:`work` for one slice in each turn."""

    method = method.sequential
    on_loop = True

    def __init__(self, clock: Clock, handed_back: deque[Occurrence]) -> None:
        super().__init__(clock, handed_back)
        self._queue: deque[Occurrence] = deque()

    def submit(self, occurrences: Sequence[Occurrence]) -> None:
        """Take occurrences, in order."""
        self._queue.extend(occurrences)
        self.hold(occurrences)

    def work(self) -> bool:
        """Perform waiting runs, for one slice; return whether more wait."""
        if not self._queue:
            return False
        where, queue, clock = here(), self._queue, self.clock
        began = clock.elapsed()
        while queue:
            occurrence = queue.popleft()
            if self.run(occurrence, where) and (took := clock.elapsed() - began) >= SLICE:
                if took >= SLOW_ACTION:
                    self._warn(occurrence, took)
                break
        return bool(queue)

    def _warn(self, occurrence: Occurrence, took: float) -> None:
        task, run = occurrence[0].task, occurrence[1]
        if task.method == method.sequential and not (isinstance(task, IntervalTask) and took < task.interval):
            log.warning("%s: its action held the loop for %.1f s; all other tasks waited", run.task, took)

    def close(self) -> None:
        """Start no more runs."""
        self._queue.clear()
        super().close()

    def terminate(self, but: Run | None = None) -> None:
        """Abandon an action that has not returned: a thread cannot be ended."""
        for run in list(self.running):
            if run is not but:
                self.leave_behind(run, "the loop's thread is left behind")
