"""The loop: one turn after another, each from the timetable to the executors.

::

    collect ended runs
    resume claimed runs
    place waiting entries       after a start, batch by batch
    plan                        under the lock: follow a step of the clock, due entries, requested runs
    dispatch the runs
    run slow code               slow triggers and reschedule methods, without the lock
    start retries
    work                        a slice of sequential runs; if more wait, the turn ends here
    collect ended runs
    tend workers                end runs past their timeout
    sleep on the bell           until the next of all these times, at most 30 s
"""

import math
import queue
import threading
from collections.abc import Callable

from tgscheduler import clock as clocks
from tgscheduler.clock import Clock
from tgscheduler.engine.clock_step import follow_step
from tgscheduler.engine.dispatcher import Dispatcher
from tgscheduler.engine.placements import Placements, ToPlace
from tgscheduler.engine.planned import PlannedBatch
from tgscheduler.engine.planner import Planner
from tgscheduler.engine.registry import Registry
from tgscheduler.errors import StoreError
from tgscheduler.executors import log_capture
from tgscheduler.logs import SafeLogger, brief, describe, enable_loggers, package_logger
from tgscheduler.timetable.policy import method

log = SafeLogger(__name__)

#: Maximum time (seconds) between two checks for ended runs while runs are open.
COLLECT_INTERVAL = 1.0

#: Maximum wait (seconds) per turn while the store is holding up the timetable. A reply wakes the loop earlier.
CLAIM_POLL = 0.1


class Loop:
    """Turns a timetable into runs, from a start to its stop; another start makes another loop."""

    def __init__(
        self, clock: Clock, registry: Registry, planner: Planner, placements: Placements, dispatcher: Dispatcher
    ) -> None:
        self._clock = clock
        self._registry = registry
        self._planner = planner
        self._placements = placements
        self.dispatcher = dispatcher
        executors = dispatcher.executors.values()
        self._sequential = dispatcher.executors[method.sequential]  # the only one that this loop lets work
        self._elsewhere = [executor for executor in executors if not executor.on_loop]
        self.bell: clocks.Bell = queue.SimpleQueue()
        dispatcher.connect(self.bell)
        planner.bell, planner.wake_at, planner.stopping = self.bell, -math.inf, False
        #: Called once a start has placed all entries, with their number; set by the lifecycle.
        self.after_placing: Callable[[int], None] = lambda placed: None
        self._placed = 0
        #: Set by a stop: no turn begins any more.
        self.stopping = False
        #: Set once a stop has drained the runs: only this thread collects what ends after that.
        self.drained = False
        #: Whether ``run`` has returned; the thread that it runs in.
        self.done = False
        self.thread: int | None = None
        #: Why the loop gave up, None while it works.
        self.fault: str | None = None

    def run(self, ready: Callable[[], bool] | None = None) -> None:
        """Turn until stopped. ``ready`` is called first, again and again, until it returns true.

        The loop survives one fault; a second one ends it, and sets ``fault``.
        """
        self.thread = threading.get_ident()
        faults = 0
        try:
            while not self.stopping:
                try:
                    deadline = self.turn() if self._planner.started else self._get_ready(ready)
                    if not self.stopping:
                        self._clock.wait(self.bell, deadline)
                except BaseException as error:
                    # In the main thread a signal handler's: Ctrl-C, or the application's own sys.exit().
                    if not isinstance(error, Exception) and threading.current_thread() is threading.main_thread():
                        raise
                    faults += 1
                    end = " and gives up: nothing fires any more" if faults > 1 else ""
                    log.critical("the loop met a fault%s\n%s", end, describe(error))
                    if faults > 1:
                        self.fault = f"the loop gave up: {brief(error)}"
                        return
        finally:
            self.done = True
            if self.drained:
                self._collect_last()

    def _collect_last(self) -> None:
        """Record runs that ended after the stop: the run that stopped its own scheduler, or abandoned ones."""
        try:
            self.dispatcher.collect()
        except StoreError as error:
            log.warning("a run that ended after the stop is not on record: %s", error)

    def _get_ready(self, ready: Callable[[], bool] | None) -> float:
        """Begin once ``ready()`` returns true; return until when to sleep (POSIX seconds)."""
        if ready is not None and not ready():
            return self._clock.now() + 0.02
        if not self.stopping:
            self.begin_placing()
        return -math.inf

    def begin_placing(self) -> None:
        """Begin to place the waiting entries."""
        self._clock.step()
        with self._registry.lock:
            self._placed = self._placements.begin(self._clock.now())
        if not self._placed:
            self.after_placing(0)

    def place_waiting(self) -> None:
        """Place the next entries of a start; with a persistent store all of them, as it may change their grids."""
        placements, batch = self._placements, PlannedBatch()
        while placements.pending:
            now = self._clock.now()
            with self._registry.lock:
                slow = placements.place_batch(now, batch)
            self.dispatcher.dispatch(batch)
            placements.place_slowly(slow, now, batch)
            self.dispatcher.dispatch(batch)
            if not placements.pending:
                self.after_placing(self._placed)
            elif self._planner.restore is None:
                break

    def stop(self) -> None:
        """Begin no more turns; may be called at any moment, in a signal handler too."""
        self.stopping = self._planner.stopping = True
        self.bell.put(None)

    def reset_after_fork(self) -> None:
        """In a forked copy: turn no more, even if the host has replaced threads by ones that a fork copies."""
        self.stopping = True
        self.dispatcher.reset_after_fork()

    def interrupt(self) -> None:
        """End the loop by KeyboardInterrupt, after a real Ctrl-C."""
        self._planner.interrupted = True  # in case an action catches the exception
        raise KeyboardInterrupt

    def mark_stopped(self) -> None:
        """Note that the runs are drained, and when the scheduler stopped."""
        self.drained = True
        planner = self._planner
        if planner.started:
            self._registry.uptimes[-1][1] = self._clock.now()
        planner.started, planner.bell = False, None
        self._registry.version += 1

    @property
    def earliest(self) -> float:
        """When there is something to do next (POSIX seconds), infinity if nothing; for a loop that is ticked."""
        if self._placements.pending or self.dispatcher.requests:
            return -math.inf
        due, retry = self._registry.agenda.earliest, self.dispatcher.backlog.earliest
        return due if due < retry else retry

    def turn(self) -> float | None:
        """Do one turn; return until when to sleep (POSIX seconds), None for no deadline."""
        dispatcher, planner, registry = self.dispatcher, self._planner, self._registry
        log_capture.go_on()
        if package_logger.disabled:
            enable_loggers()
        if len(dispatcher.journal.handed_back) > dispatcher.collect_threshold:
            dispatcher.collect()
        if dispatcher.claims is not None:
            dispatcher.resume_claimed()
        if self._placements.pending:
            self.place_waiting()
        stepped = self._clock.step()
        batch = PlannedBatch()
        slow: list[ToPlace] = []
        if not (registry.lock.acquire(False) or registry.lock.acquire(timeout=0.05)):
            return self._clock.now()  # its holder may be the thread that stops the loop: try again
        try:
            if self.stopping:  # meanwhile, or in a forked copy
                return None
            if stepped:
                for stage in dispatcher.stages:
                    stage.on_clock_step(stepped)
                slow = follow_step(planner, self._placements, registry, stepped, self._clock.now(), batch)
            now = self._clock.now()
            blocked = dispatcher.claims is not None and dispatcher.claims.at_capacity
            if not blocked:
                planner.plan(now, batch)
            while dispatcher.requests:
                planner.plan_request(*dispatcher.requests.popleft(), now, batch)
            deadline = now + CLAIM_POLL if blocked else registry.agenda.earliest
            planner.wake_at = deadline
        finally:  # what was planned before a fault is dispatched all the same
            registry.lock.release()
            dispatcher.dispatch(batch)
        if stepped:
            dispatcher.events.publish("clock-stepped", seconds=stepped, before=now - stepped, after=now)
        if slow or batch.to_ask or batch.to_reschedule:
            self._run_slow_code(slow, batch, now)
            deadline = now
        if dispatcher.backlog.earliest <= now:
            dispatcher.release_retries(now)
        more = self._placements.pending
        if self._sequential.waiting:
            more = self._sequential.work() or more
        if planner.interrupted:
            raise KeyboardInterrupt
        if more:
            return now
        if len(dispatcher.journal.handed_back) > dispatcher.collect_threshold:
            dispatcher.collect()
        if self._elsewhere and len(dispatcher.journal):
            deadline = self._tend_workers(now, deadline)
        return None if deadline == math.inf else deadline

    def _run_slow_code(self, slow: list[ToPlace], batch: PlannedBatch, now: float) -> None:
        """Call slow triggers and ``reschedule`` methods, without the lock, and dispatch what they lead to."""
        planner, dispatch = self._planner, self.dispatcher.dispatch
        if slow:
            self._placements.place_slowly(slow, now, batch)
            dispatch(batch)  # a trigger that failed is recorded
        for entry, due in batch.to_ask:
            planner.plan_slowly(entry, due, now, batch)
            dispatch(batch)
        for entry in batch.to_reschedule:
            planner.call_reschedule(entry)

    def _tend_workers(self, now: float, deadline: float) -> float:
        """Enforce the timeouts of runs outside of the loop's thread, and recover executors that are degraded.

        Return until when to sleep (POSIX seconds): not beyond ``deadline``, the next timeout, the next retry, the
        timeout of a claim, or COLLECT_INTERVAL.
        """
        dispatcher = self.dispatcher
        deadline = min(deadline, now + COLLECT_INTERVAL, dispatcher.backlog.earliest)
        if dispatcher.claims is not None:
            deadline = min(deadline, now + dispatcher.claims.timeout_left)
        for executor in self._elsewhere:
            if executor.enforces_timeouts:
                deadline = min(deadline, executor.enforce_timeouts(now))
            if executor.degraded is not None:
                executor.recover()
        return deadline
