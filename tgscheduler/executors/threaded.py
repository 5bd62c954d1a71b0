"""Threaded: a bounded, elastic pool of daemon threads that reuses idle ones.

::

    submit --> queue --> worker (1 .. bound), each: take, Executor.run
                 |
              grower: while work waits and no worker is idle, one more worker each millisecond, then two, four, …

The grower is a thread of its own, so that neither the loop nor busy workers have to check, and a thread that cannot be
started delays no run. Beyond the bound occurrences wait in the queue, in order.
"""

import heapq
import itertools
import math
import queue
import threading
from collections import deque
from collections.abc import Sequence

from tgscheduler import clock as clocks
from tgscheduler.clock import Clock
from tgscheduler.executors.base import Executor, here
from tgscheduler.executors.stage import Occurrence
from tgscheduler.logs import SafeLogger
from tgscheduler.timetable.policy import method
from tgscheduler.timetable.run import LOST, TIMED_OUT, Run

log = SafeLogger(__name__)

#: Maximum time (seconds) for which a worker is idle: then it ends, but the last one stays.
IDLE_TIMEOUT = 30.0

#: Interval (seconds) at which the grower checks the queue while work waits. While workers take work from the queue, it
#: adds workers only at every GROW_EVERY-th check.
GROW_INTERVAL = 0.001
GROW_EVERY = 10


_Deadline = tuple[float, int, int, Occurrence]
"""When a timeout ends (``clock.elapsed``), a number that breaks ties, the attempt, and the occurrence."""


class ThreadedExecutor(Executor):
    """Runs actions in at most ``threads`` threads."""

    method = method.threaded
    enforces_timeouts = True
    places = "threads"

    def __init__(self, clock: Clock, handed_back: deque[Occurrence], threads: int = 100) -> None:
        super().__init__(clock, handed_back)
        self._bound = threads
        self._queue: queue.SimpleQueue[Occurrence | None] = queue.SimpleQueue()
        self._grower_bell: clocks.Bell = queue.SimpleQueue()
        self._lock = threading.Lock()  # taken when a worker starts or ends, never in between
        self._workers: dict[int, threading.Thread] = {}
        self._idlers: set[int] = set()
        self._begun: deque[_Deadline] = deque()  # workers append runs with a timeout, the loop enforces it
        self._deadlines: list[_Deadline] = []
        self._sequence = itertools.count()
        self._submitted = 0
        self._grower_woken = False
        self._number = 0

    @property
    def capacity(self) -> int:
        """Maximum number of threads."""
        return self._bound

    @property
    def busy(self) -> int:
        """Number of workers."""
        return len(self._workers)

    def start(self) -> None:
        """Start the first worker and the grower."""
        self._add_worker()
        threading.Thread(target=self._grow, name="tgscheduler-grower", daemon=True).start()

    def submit(self, occurrences: Sequence[Occurrence]) -> None:
        """Take occurrences, in order."""
        waiting = self.waiting
        for occurrence in occurrences:
            waiting[occurrence[1]] = occurrence
        self._submitted += len(occurrences)
        put = self._queue.put
        for occurrence in occurrences:
            put(occurrence)
        self._wake_grower()
        if self._closed:
            self.close()

    def _wake_grower(self) -> None:
        """Wake the grower if more occurrences wait than there are idle workers."""
        if not self._grower_woken and self._queue.qsize() > len(self._idlers):
            self._grower_woken = True
            self._grower_bell.put(None)

    def _on_begin(self, occurrence: Occurrence, timeout: float) -> None:
        self._begun.append((self.clock.elapsed() + timeout, next(self._sequence), occurrence[1].attempt, occurrence))
        if self.bell is not None:
            self.bell.put(None)

    def enforce_timeouts(self, now: float) -> float:
        """End runs past their timeout; each keeps its thread, and counts as abandoned, until its action returns."""
        while self._begun:
            heapq.heappush(self._deadlines, self._begun.popleft())
        elapsed = self.clock.elapsed()
        while self._deadlines and self._deadlines[0][0] <= elapsed:
            _, _, attempt, (entry, run) = heapq.heappop(self._deadlines)
            if run.attempt == attempt and run.ended is None and run in self.running:
                timeout = entry.policy.timeout
                thread = run.where.thread if run.where else "?"
                if self.abandon_run(
                    run, TIMED_OUT, f"timed out after {timeout:g} s; {thread} is held until it returns"
                ):
                    log.warning("%s: timed out after %g s; its action still holds %s", run.task, timeout, thread)
        return now + self._deadlines[0][0] - elapsed if self._deadlines else math.inf

    def close(self) -> None:
        """End waiting occurrences as cancelled, idle workers at once, and busy workers after their run."""
        super().close()
        self._grower_bell.put(None)
        for _ in range(len(self._workers) + 1):
            self._queue.put(None)

    def terminate(self, but: Run | None = None) -> None:
        """Abandon the actions that have not returned: their daemon threads are left behind."""
        for run in list(self.running):
            if run is not but:
                self.leave_behind(run, f"thread {run.where.thread if run.where else '?'} is left behind")

    def _add_worker(self) -> bool:
        with self._lock:
            if self._closed or len(self._workers) >= self._bound:
                return False
            self._number += 1
            thread = threading.Thread(target=self._serve, name=f"tgscheduler-worker-{self._number}", daemon=True)
            try:
                thread.start()
            except RuntimeError as error:  # the host's limit on threads
                if self.degraded is None:
                    log.warning("no further worker thread (%s); due runs wait for the present ones", error)
                self.degraded = f"no further worker thread: {error}"
                return False
            assert thread.ident is not None
            self._workers[thread.ident] = thread
            self.degraded = None
            return True

    def _grow(self) -> None:
        while not self._closed:
            self._grower_bell.get()
            looks, step, taken = 0, 1, self._taken()
            while not self._closed:
                clocks.pause(GROW_INTERVAL)
                if not self._too_few():
                    break
                before, taken = taken, self._taken()
                stuck = taken == before
                looks += 1
                if not stuck and looks % GROW_EVERY:
                    continue
                for _ in range(step):
                    if not self._add_worker():
                        break
                if self.degraded:
                    clocks.pause(0.2)
                step = step * 2 if stuck else 1
            self._grower_woken = False
            if self._too_few():
                self._grower_bell.put(None)  # submitted between the last look and the flag

    def _too_few(self) -> bool:
        return self._queue.qsize() > len(self._idlers) and self.busy < self._bound

    def _taken(self) -> int:
        return self._submitted - self._queue.qsize()

    def _serve(self) -> None:
        me, where = threading.get_ident(), here()
        self._workers[me] = threading.current_thread()  # counted before it takes anything
        take = self._queue.get_nowait
        item: Occurrence | None = None
        try:
            while True:
                try:
                    item = take()
                except queue.Empty:
                    item = self._await(me)
                if item is None:
                    return
                self.run(item, where)
                item = None  # an idle worker keeps no task alive
        finally:  # also if other code has raised an exception in this thread: its run is lost
            with self._lock:
                self._workers.pop(me, None)
            if item is not None:
                self.abandoned_runs.pop(item[1], None)
                self.finish(item[1], LOST, reason="its worker thread was ended from outside")
                self._grower_bell.put(None)

    def _await(self, me: int) -> Occurrence | None:
        """Wait for an occurrence; return None if this worker is to end."""
        self._idlers.add(me)
        try:
            while True:
                try:
                    return self._queue.get(timeout=IDLE_TIMEOUT)
                except queue.Empty:
                    with self._lock:
                        if len(self._idlers) > 1:  # one stays
                            self._idlers.discard(me)
                            return None
        finally:
            self._idlers.discard(me)
            self._wake_grower()  # for occurrences submitted while this worker had one and still counted as idle
