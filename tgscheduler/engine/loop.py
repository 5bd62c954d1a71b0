"""The loop: one turn after another, each from the timetable to the executors.

::

    collect what has ended -> go on with what the store has committed -> plan what is due (the one lock)
        -> dispatch it -> ask slow triggers -> start retries -> a slice of sequential work
        -> end what is past its timeout -> sleep on the bell until the next of all these times, 30 s at most
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
from tgscheduler.executors import capturing
from tgscheduler.logs import SafeLogger, brief, describe, enable_loggers, package_logger

log = SafeLogger(__name__)

#: Maximum time (seconds) between two looks for ended runs while runs are open.
COLLECT_INTERVAL = 1.0

#: Maximum wait (seconds) per turn while the store is holding up the timetable. A reply wakes the loop earlier.
CLAIM_POLL = 0.1


class Loop:
    """Turns a timetable into runs, from start to stop; a second start makes another."""

    def __init__(
        self, clock: Clock, registry: Registry, planner: Planner, placements: Placements, dispatcher: Dispatcher
    ) -> None:
        self._clock = clock
        self._registry = registry
        self._planner = planner
        self._placements = placements
        self.dispatcher = dispatcher
        executors = dispatcher.executors.values()
        self._on_loop = [executor for executor in executors if executor.on_loop]
        self._elsewhere = [executor for executor in executors if not executor.on_loop]
        self.bell: clocks.Bell = queue.SimpleQueue()
        dispatcher.connect(self.bell)
        planner.bell, planner.wake_at, planner.stopping = self.bell, -math.inf, False
        #: What a start leads to, once all entries are placed; it gets their number.
        self.after_placing: Callable[[int], None] = lambda placed: None
        self._placed = 0
        #: Set by a stop: no turn begins any more.
        self.stopping = False
        #: The stop has drained what ran: no other thread collects what ends now.
        self.drained = False
        #: The loop has left; its thread while it is in.
        self.done = False
        self.thread: int | None = None
        #: Why the loop gave up, None while it works.
        self.fault: str | None = None

    def run(self, ready: Callable[[], bool] | None = None) -> None:
        """Turn until stopped. ``ready`` is asked first, again and again, until it is true.

        One fault is survived; a second one ends the loop, and ``fault`` says so: it is never alive and silent.
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
        """Record what ended after the stop: the run that stopped us from inside, or what it left behind."""
        try:
            self.dispatcher.collect()
        except StoreError as error:
            log.warning("a run that ended after the stop is not on record: %s", error)

    def _get_ready(self, ready: Callable[[], bool] | None) -> float:
        """Begin once ``ready()`` is true; return until when to sleep."""
        if ready is not None and not ready():
            return self._clock.now() + 0.02
        if not self.stopping:
            self.begin()
        return -math.inf

    def begin(self) -> None:
        """Begin to give the waiting entries their fire times."""
        self._clock.step()
        with self._registry.lock:
            self._placed = self._placements.begin(self._clock.now())
        if not self._placed:
            self.after_placing(0)

    def place_waiting(self) -> None:
        """Place the next entries of a start; with a persistent store all of them, as it may know their grids better."""
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
        """Let no turn begin any more: legal at any moment, in a signal handler too."""
        self.stopping = self._planner.stopping = True
        self.bell.put(None)

    def reset_after_fork(self) -> None:
        """In a forked copy: turn no more, also if a host has replaced threads by what a fork copies."""
        self.stopping = True
        self.dispatcher.reset_after_fork()

    def interrupt(self) -> None:
        """End the loop by KeyboardInterrupt: a real Ctrl-C came."""
        self._planner.interrupted = True  # also if an action swallows what is raised now
        raise KeyboardInterrupt

    def mark_stopped(self) -> None:
        """Note that all is drained, and when."""
        self.drained = True
        planner = self._planner
        if planner.started:
            self._registry.uptimes[-1][1] = self._clock.now()
        planner.started, planner.bell = False, None

    @property
    def earliest(self) -> float:
        """When there is something to do next, infinity if there is not."""
        if self._placements.pending or self.dispatcher.requests:
            return -math.inf
        due, retry = self._registry.agenda.earliest, self.dispatcher.backlog.earliest
        return due if due < retry else retry

    def turn(self) -> float | None:
        """Do what is due; return until when to sleep (POSIX seconds), None for no deadline."""
        dispatcher, planner, registry = self.dispatcher, self._planner, self._registry
        capturing.go_on()
        if package_logger.disabled:
            enable_loggers()
        if len(dispatcher.journal.ended) > dispatcher.collect_threshold:
            dispatcher.collect()
        if dispatcher.claims is not None:
            dispatcher.resume_claimed()
        if self._placements.pending:
            self.place_waiting()
        stepped = self._clock.step()
        batch = PlannedBatch()
        slow: list[ToPlace] = []
        if not (registry.lock.acquire(False) or registry.lock.acquire(timeout=0.05)):
            return self._clock.now()  # its holder may be the thread that is stopping us: look again
        try:
            if self.stopping:  # since it was asked for, or this is a fork's copy
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
        finally:  # what was planned before a fault is done all the same
            registry.lock.release()
            dispatcher.dispatch(batch)
        if stepped:
            dispatcher.events.publish("clock-stepped", seconds=stepped, before=now - stepped, after=now)
        if slow or batch.to_ask or batch.to_reschedule:
            self._run_slow_code(slow, batch, now)
            deadline = now
        if dispatcher.backlog.earliest <= now:
            dispatcher.release_ready(now)
        more = self._placements.pending
        for executor in self._on_loop:
            if executor.waiting:
                more = executor.work() or more
        if planner.interrupted:
            raise KeyboardInterrupt
        if more:
            return now
        if len(dispatcher.journal.ended) > dispatcher.collect_threshold:
            dispatcher.collect()
        if self._elsewhere and len(dispatcher.journal):
            deadline = self._look_elsewhere(now, deadline)
        return None if deadline == math.inf else deadline

    def _run_slow_code(self, slow: list[ToPlace], batch: PlannedBatch, now: float) -> None:
        """Do what may take long, without the lock, and what follows at once."""
        planner, dispatch = self._planner, self.dispatcher.dispatch
        if slow:
            self._placements.place_slowly(slow, now, batch)
            dispatch(batch)  # one that is wrong is on record
        for entry, due in batch.to_ask:
            planner.ask(entry, due, now, batch)
            dispatch(batch)
        for entry in batch.to_reschedule:
            planner.call_reschedule(entry)

    def _look_elsewhere(self, now: float, deadline: float) -> float:
        """Look after runs that are not on this thread; return until when to sleep at most."""
        dispatcher = self.dispatcher
        deadline = min(deadline, now + COLLECT_INTERVAL, dispatcher.backlog.earliest)
        if dispatcher.claims is not None:
            deadline = min(deadline, now + dispatcher.claims.patience_left)
        for executor in self._elsewhere:
            if executor.enforces_timeouts:
                deadline = min(deadline, executor.enforce_timeouts(now))
            if executor.degraded is not None:
                executor.recover()
        return deadline
