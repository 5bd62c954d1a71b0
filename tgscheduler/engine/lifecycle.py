"""Lifecycle of a scheduler: start, stop, drain, fork. Opens the store at a start, and closes it at the next stop.

::

    start --> stages, dispatcher, loop (a new one each time) --> turns --> stop: drain, terminate, record, close

Stop sets a flag, rings the bell, and waits for everything with a timeout, for the engine's lock 50 ms at a time: so a
SIGTERM inside an add cannot deadlock.
"""

import _thread
import functools
import threading
from collections.abc import Callable

from tgscheduler import clock as clocks
from tgscheduler.clock import Clock
from tgscheduler.engine.claims import ClaimQueue
from tgscheduler.engine.dispatcher import Dispatcher
from tgscheduler.engine.journal import Journal
from tgscheduler.engine.loop import Loop
from tgscheduler.engine.placements import Placements
from tgscheduler.engine.planner import Planner
from tgscheduler.engine.registry import Registry
from tgscheduler.engine.restore import Restore
from tgscheduler.errors import InvalidValue
from tgscheduler.events import Events
from tgscheduler.executors import log_capture
from tgscheduler.executors.base import Executor, current_occurrence
from tgscheduler.interrupts import on_ctrl_c
from tgscheduler.logs import SafeLogger
from tgscheduler.stores.base import PersistentStore, is_persistent
from tgscheduler.timetable.run import Run

log = SafeLogger(__name__)

#: Timeout (seconds) for the record of a run that stops its own scheduler; the store is closed after that.
CLOSE_AFTER_OWN_RUN = 60.0

#: Timeout (seconds) of a start that waits for the anchors of other processes with the same tasks.
ANCHOR_TIMEOUT = 2.0


class Lifecycle:
    """Starts and stops the parts of one scheduler."""

    def __init__(
        self,
        clock: Clock,
        registry: Registry,
        journal: Journal,
        planner: Planner,
        placements: Placements,
        events: Events,
        make_executors: Callable[[], dict[str, Executor]],
    ) -> None:
        self._clock = clock
        self._registry = registry
        self._journal = journal
        self._planner = planner
        self.placements = placements
        self._events = events
        self._make_executors = make_executors
        #: Settings, for the next start.
        self.stop_timeout = 5.0
        self.store_timeout = 2.0
        self.run_unclaimed = True
        #: The loop and the dispatcher of the current start; None: it is stopped.
        self.loop: Loop | None = None
        self.dispatcher: Dispatcher | None = None
        #: The executors of the last start: abandoned runs are counted until the next start.
        self.executors: list[Executor] = []
        self._lifecycle_lock = threading.Lock()  # held by the one start or stop in progress
        self._stopping_thread: int | None = None
        self._stop_now = False
        self._closing: threading.Thread | None = None
        #: Whether this process is a fork of the one that runs the timetable.
        self.forked = False

    @property
    def running(self) -> bool:
        """Whether the loop runs."""
        loop = self.loop
        return loop is not None and not loop.stopping and loop.fault is None

    # -- start ---------------------------------------------------------------------------------------------------

    def make_loop(self) -> Loop | None:
        """Make and return the loop of this start, with its stages; return None if the scheduler runs already."""
        if not self._lifecycle_lock.acquire(timeout=self.stop_timeout + 5.0):
            raise InvalidValue("start: the scheduler is being stopped and has not ended; try again later")
        try:
            if self.loop is not None:
                return None
            self.forked = self._stop_now = False
            self._registry.forget_runs()
            executors = self._make_executors()
            claims, self._planner.restore = self._open_store()
            try:
                for executor in executors.values():
                    executor.start()
            except RuntimeError:  # the host's limit on threads
                for executor in executors.values():
                    executor.close()
                self._close_store(0.0)
                raise
            log_capture.begin()
            _warn_of_greenlets()
            dispatcher = Dispatcher(
                self._clock,
                self._registry,
                self._planner,
                self.placements,
                self._journal,
                executors,
                claims,
                self._events,
            )
            loop = Loop(self._clock, self._registry, self._planner, self.placements, dispatcher)
            loop.after_placing = self._after_placing
            self._planner.catching_up = {} if claims is None else claims.catching_up
            self.executors = list(executors.values())
            self.dispatcher, self.loop = dispatcher, loop
            return loop
        finally:
            self._lifecycle_lock.release()

    def _after_placing(self, placed: int) -> None:
        restore, dispatcher = self._planner.restore, self.dispatcher
        if restore is not None and dispatcher is not None:
            restore.submit_saves()
            for entry, anchor in restore.adopt_peer_anchors(ANCHOR_TIMEOUT):
                self.placements.adopt_anchor(entry, anchor)
            orphans, restore.orphans = restore.orphans, []
            if orphans:
                dispatcher.take_over(orphans, self._clock.now())
        self._events.publish("scheduler-started", tasks=placed)

    def run(self) -> None:
        """Run the timetable in this thread until it is stopped from elsewhere, or by Ctrl-C in the main thread."""
        loop = self.make_loop()
        if loop is None or self.stop_if_asked():
            return
        try:
            with on_ctrl_c(loop.interrupt):
                loop.run()
        except BaseException:  # Ctrl-C, or an exception of the application's signal handler
            self.stop()
            raise
        if not loop.stopping:
            self.stop()
        while self.loop is loop:  # another thread that stops the scheduler may still drain the runs
            clocks.pause(0.01)

    def start_in_thread(self, ready: Callable[[], bool] | None = None) -> None:
        """Run the timetable in a daemon thread, as soon as ``ready()`` returns true (None: at once)."""
        loop = self.make_loop()
        if loop is None:
            return
        thread = threading.Thread(target=loop.run, args=(ready,), name="tgscheduler-loop", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            self.stop()
            raise
        self.stop_if_asked()

    def stop_if_asked(self) -> bool:
        """Stop if a stop was requested during the start; return whether one was."""
        if self._stop_now:
            self.stop()
            return True
        return False

    # -- stop ----------------------------------------------------------------------------------------------------

    def stop(self, timeout: float | None = None) -> None:
        """Stop, within ``timeout`` seconds (None: ``stop_timeout``) and the time that it takes to end processes."""
        if self.loop is not None:
            self.loop.stop()
        if not self._lifecycle_lock.acquire(blocking=False):
            self._stop_now = True
            if self._stopping_thread not in (None, threading.get_ident()):
                end = clocks.elapsed() + 5.0
                while self._stopping_thread is not None and clocks.elapsed() < end:
                    clocks.pause(0.01)
            return
        self._stopping_thread = threading.get_ident()
        loop, dispatcher = self.loop, self.dispatcher
        try:
            if loop is not None and dispatcher is not None:
                self._drain(loop, dispatcher, self.stop_timeout if timeout is None else timeout)
        finally:
            if loop is not None and dispatcher is not None:
                loop.mark_stopped()
                dispatcher.cancel_requests()
                dispatcher.collect()
                self._close_store(max(2.0, self.store_timeout), _own_run())
                log_capture.end()
                self._events.publish("scheduler-stopped")
            self._events.drain(1.0)
            self.loop = self.dispatcher = self._planner.restore = self._stopping_thread = None
            self._stop_now = False
            self._lifecycle_lock.release()

    def _drain(self, loop: Loop, dispatcher: Dispatcher, timeout: float) -> None:
        own = _own_run()
        executors = dispatcher.executors.values()
        for stage in dispatcher.stages:
            stage.close()
        end = clocks.elapsed() + timeout
        on_loop = loop.thread == threading.get_ident()
        step = 0.0005
        try:
            while not (
                (loop.done or on_loop or loop.thread is None) and all(executor.idle(own) for executor in executors)
            ):
                if self._stop_now or clocks.elapsed() >= end:
                    break
                clocks.pause(step)
                step = min(step * 2, 0.02)
        finally:  # also when a Ctrl-C interrupts the waiting
            for executor in executors:
                executor.terminate(own)
        dispatcher.cancel_requests()
        while self._journal.handed_back:
            if not dispatcher.collect():
                break

    # -- the store -----------------------------------------------------------------------------------------------

    def _open_store(self) -> tuple[ClaimQueue | None, Restore | None]:
        """Open a persistent store and load its records; raise StoreError if that fails."""
        self._end_closing()
        store = self._journal.store
        if not is_persistent(store):
            return None, None
        claims = ClaimQueue(
            self._clock, self._journal.handed_back, store, self._events, self.store_timeout, self.run_unclaimed
        )
        store.open(claims.on_claimed, claims.on_status, self._clock, claims.on_orphans)
        self._journal.submit_audits()
        try:
            return claims, Restore(store, self._registry)
        except BaseException:
            store.close(0.0)
            raise

    def _close_store(self, timeout: float, own: Run | None = None) -> None:
        """Write what is left, for at most ``timeout`` seconds; wait first for ``own``, the run that calls stop."""
        store = self._journal.store
        if not is_persistent(store):
            return
        if own is None or not self._journal.is_open(own):
            _close(store, timeout)
            return
        closing = threading.Thread(
            target=self._close_after, args=(store, timeout, own), name="tgscheduler-closing", daemon=True
        )
        self._closing = closing
        try:
            closing.start()
        except RuntimeError:  # the host's limit on threads
            self._closing = None
            _close(store, timeout)

    def _close_after(self, store: PersistentStore, timeout: float, own: Run) -> None:
        end = clocks.elapsed() + CLOSE_AFTER_OWN_RUN
        while self._journal.is_open(own) and clocks.elapsed() < end and self._closing is threading.current_thread():
            if own.ended is not None:
                self._journal.record_handed_back()
            clocks.pause(0.005)
        _close(store, timeout)

    def _end_closing(self) -> None:
        closing, self._closing = self._closing, None
        if closing is not None:
            closing.join(10.0)

    # -- forks ---------------------------------------------------------------------------------------------------

    def reset_after_fork(self) -> None:
        """In a forked child: drop the loop and the open runs, which are the parent's, and make new locks."""
        was_running = self.loop is not None
        if self.loop is not None:
            self.loop.reset_after_fork()
        self._registry.lock = threading.Lock()
        self._lifecycle_lock = threading.Lock()
        self.loop = self.dispatcher = self._closing = self._stopping_thread = None
        self._planner.reset_after_fork()
        self._journal.reset_after_fork()
        self._events.reset_after_fork()
        self.forked = was_running


@functools.cache
def _warn_of_greenlets() -> None:
    """Log, once, that the host has replaced threads."""
    by = str(_thread.start_new_thread.__module__).split(".")[0]
    if by != "_thread":
        log.warning(
            "%s has replaced threads in this process, which is not supported: an action that computes holds up the "
            "timetable and all other actions, and a fork copies all that runs; start the scheduler in a process "
            "that is not patched",
            by,
        )


def _close(store: PersistentStore, timeout: float) -> None:
    lost = store.close(timeout)
    if lost:
        log.error("%d records of runs could not be written before the stop", lost)


def _own_run() -> Run | None:
    """Return the run that the caller is in, None if it is in none: a stop does not wait for it."""
    current = current_occurrence.get()
    return None if current is None else current[1]
