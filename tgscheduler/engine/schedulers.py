"""The schedulers, and where the turns of their loop run.

==================  =====================================================================
Scheduler           in the thread that calls ``start``, until it is stopped from elsewhere
ThreadedScheduler   in a daemon thread of its own
ForkedScheduler     in a process of its own (:mod:`tgscheduler.engine.forked`)
==================  =====================================================================
"""

import _thread
import functools
import logging
import os
import threading
import weakref
from collections.abc import Callable

from tgscheduler import clock as clocks
from tgscheduler.clock import Clock
from tgscheduler.engine.answering import Answering
from tgscheduler.engine.clerk import Clerk
from tgscheduler.engine.ctrlc import on_ctrl_c
from tgscheduler.engine.keeping import Keeper
from tgscheduler.engine.ledger import Ledger
from tgscheduler.engine.lobby import Lobby
from tgscheduler.engine.loop import Loop
from tgscheduler.engine.registry import Registry
from tgscheduler.engine.timetabling import Timetabling
from tgscheduler.errors import InvalidType, InvalidValue, NotSupported, WrongProcess
from tgscheduler.events import Events
from tgscheduler.executors import capturing, child
from tgscheduler.executors.base import Executor, _current
from tgscheduler.executors.forked import ForkedExecutor
from tgscheduler.executors.sequential import SequentialExecutor
from tgscheduler.executors.threaded import ThreadedExecutor
from tgscheduler.stores.base import Store
from tgscheduler.stores.memory import MemoryStore
from tgscheduler.timetable import triggers, zones
from tgscheduler.timetable.policy import PLAIN, Policy, check_whole, method
from tgscheduler.timetable.run import Run
from tgscheduler.timetable.tasks import Home, Task

log = logging.getLogger(__name__)

_schedulers: "weakref.WeakSet[Scheduler]" = weakref.WeakSet()


class Scheduler(Timetabling, Answering):
    """A timetable and the engine that runs it; this one runs in the thread that calls :meth:`start`.

    ``timezone``: an IANA name, None: the host's. ``threads``, ``children``: how many threaded and forked runs there
    are at a time (None: twice the cores). ``stop_timeout``: seconds that :meth:`stop` leaves to running actions.
    ``history``: how many ended runs are remembered in memory. ``policy``: what holds for tasks that choose nothing.
    ``store``: where runs and tasks are remembered (:func:`tgscheduler.stores.open`), None: in memory. Where it does
    not answer within ``store_timeout`` seconds, ``on_store_down`` says whether runs start all the same ("run") or wait
    ("pause"). Raises InvalidValue or InvalidType for what cannot be.
    """

    def __init__(
        self,
        *,
        timezone: str | None = None,
        threads: int = 100,
        children: int | None = None,
        stop_timeout: float = 5.0,
        history: int = 10_000,
        policy: Policy = PLAIN,
        clock: Clock | None = None,
        store: Store | None = None,
        store_timeout: float = 2.0,
        on_store_down: str = "run",
    ) -> None:
        self.clock = clock or Clock()
        self._events = self._make_events()
        self._registry = Registry(Home(self.clock, None))
        self._ledger = Ledger(MemoryStore())
        self._keeper = Keeper(self._ledger)
        self._executors: dict[str, Executor] = {}
        self._loop: Loop | None = None
        self._life = threading.Lock()  # held by the one start or stop in progress
        self._stopper: int | None = None
        self._hurry = False
        self._copied = False  # by a fork of the application: the original runs in the parent
        self.configure(timezone, threads, children, stop_timeout, history, policy, store, store_timeout, on_store_down)
        _schedulers.add(self)

    def configure(
        self,
        timezone: str | None = None,
        threads: int = 100,
        children: int | None = None,
        stop_timeout: float = 5.0,
        history: int = 10_000,
        policy: Policy = PLAIN,
        store: Store | None = None,
        store_timeout: float = 2.0,
        on_store_down: str = "run",
    ) -> None:
        """Set what the constructor sets, for the next start; tasks that were added before it follow."""
        if timezone is not None:
            zones.zone(timezone)
        seconds = triggers.check_seconds("stop_timeout", stop_timeout)
        check_whole("threads", threads)
        check_whole("history", history)
        if children is not None:
            check_whole("children", children)
        if not isinstance(policy, Policy):
            raise InvalidType(f"policy: expected a Policy(...), got {policy!r}")
        self._store_timeout = triggers.check_seconds("store_timeout", store_timeout)
        if on_store_down not in ("run", "pause"):
            raise InvalidValue(f"on_store_down: expected 'run' or 'pause', got {on_store_down!r}")
        self._on_store_down = on_store_down
        self._registry.home.timezone = timezone
        self._registry.home.policy = PLAIN if policy == PLAIN else policy
        self._threads, self._children, self.stop_timeout = threads, children, seconds
        if store is not None:
            self._ledger.store = store
        elif self._ledger.store.lasts:
            self._ledger.store = MemoryStore()
        if isinstance(self._ledger.store, MemoryStore):
            self._ledger.store.bound(history)

    # -- life ----------------------------------------------------------------------------------------------------

    @property
    def running(self) -> bool:
        """Whether the loop turns."""
        loop = self._loop
        return loop is not None and not loop.stopping and loop.fault is None

    def start(self) -> None:
        """Run the timetable in this thread until it is stopped from elsewhere, or by Ctrl-C in the main thread."""
        loop = self._begin()
        if loop is None:
            return
        if self._hurry:  # a stop came while we started
            self.stop()
            return
        try:
            with on_ctrl_c(loop.interrupt):
                loop.run()
        except BaseException:  # Ctrl-C, or what a signal handler of the application's raises
            self.stop()
            raise
        if not loop.stopping:
            self.stop()
        while self._loop is loop:  # whoever stopped us may still drain what runs
            clocks.pause(0.01)

    def start_scheduler(self, ready: Callable[[], bool] | None = None) -> "Scheduler":
        """Run the timetable in a daemon thread, from when ``ready()`` is true (None: at once); return self."""
        loop = self._begin()
        if loop is not None:
            thread = threading.Thread(target=loop.run, args=(ready,), name="tgscheduler-loop", daemon=True)
            try:
                thread.start()
            except RuntimeError:
                self.stop()
                raise
            if self._hurry:  # a stop came while we started
                self.stop()
        return self

    def stop(self, timeout: float | None = None) -> None:
        """Stop; the tasks stay. Legal at any moment: before start, twice, from inside a task, in a signal handler.

        Nothing new starts and what waits for a thread or a process ends as cancelled. What runs is left ``timeout``
        seconds (None: ``stop_timeout``), then processes are ended and threads left behind; a second stop ends that
        time at once. A task that stops its scheduler is not waited for.
        """
        if self._loop is not None:
            self._loop.stopping = True
            self._loop.bell.put(None)
        if not self._life.acquire(blocking=False):
            self._hurry = True
            if self._stopper not in (None, threading.get_ident()):
                end = clocks.elapsed() + 5.0
                while self._stopper is not None and clocks.elapsed() < end:
                    clocks.pause(0.01)
            return
        self._stopper = threading.get_ident()
        try:
            if self._loop is not None:
                self._drain(self._loop, self.stop_timeout if timeout is None else timeout)
        finally:
            loop = self._loop
            if loop is not None:
                loop.leave()
                loop.refuse()
                loop.settle()
                self._keeper.close(max(2.0, self._store_timeout), _own_run())
                capturing.end()
                self._events.publish("scheduler-stopped")
            self._events.drain(1.0)
            self._loop = self._stopper = None
            self._hurry = False
            self._life.release()

    stop_scheduler = stop

    def _begin(self) -> Loop | None:
        """Make the loop and executors of this start; None when it is running already."""
        if child.forked_run is not None:
            raise WrongProcess(f"start: {_in_a_child()}")
        if not self._life.acquire(timeout=self.stop_timeout + 5.0):
            raise InvalidValue("start: the scheduler is being stopped and has not ended; try again later")
        try:
            if self._loop is not None:
                return None
            self._copied = self._hurry = False
            self._registry.forget_runs()
            self._executors = self._make_executors()
            clerk, recall = self._keeper.open(
                self.clock, self._registry, self._store_timeout, self._on_store_down == "run"
            )
            if clerk is not None:
                self._executors[Clerk.method] = clerk
            try:
                for executor in self._executors.values():
                    executor.start()
            except RuntimeError:  # the host's limit on threads
                for executor in self._executors.values():
                    executor.close()
                self._keeper.close(0.0)
                raise
            capturing.begin()
            _warn_of_greenlets()
            self._loop = Loop(self, self.clock, self._registry, self._ledger, self._executors, self._events, recall)
            return self._loop
        finally:
            self._life.release()

    def _make_executors(self) -> dict[str, Executor]:
        ended = self._ledger.ended
        return {
            Lobby.method: Lobby(self.clock, ended),
            method.sequential: SequentialExecutor(self.clock, ended),
            method.threaded: ThreadedExecutor(self.clock, ended, self._threads),
            method.forked: ForkedExecutor(self.clock, ended, self._children),
        }

    def _make_events(self) -> Events:
        return Events(self.clock.now)

    def _drain(self, loop: Loop, timeout: float) -> None:
        own = _own_run()
        executors = self._executors.values()
        for executor in executors:
            executor.close()
        end = clocks.elapsed() + timeout
        on_loop = loop.thread == threading.get_ident()
        step = 0.0005
        try:
            while not (
                (loop.done or on_loop or loop.thread is None) and all(executor.idle(own) for executor in executors)
            ):
                if self._hurry or clocks.elapsed() >= end:
                    break
                clocks.pause(step)
                step = min(step * 2, 0.02)
        finally:  # also when a Ctrl-C tears the waiting apart
            for executor in executors:
                executor.abandon(own)
        loop.refuse()
        while self._ledger.ended:
            if not loop.settle():
                break

    # -- processes -----------------------------------------------------------------------------------------------

    def _check_use(self, task: Task | None = None) -> None:
        """Raise where this process cannot change the timetable."""
        if child.forked_run is not None:
            raise WrongProcess(_in_a_child())
        if task is not None and task.method == method.forked and not hasattr(os, "fork"):
            raise NotSupported("processmethod forked: this platform has no os.fork; use method.threaded")
        if self._copied:
            self._copied = False
            log.warning(
                "this process is a fork: the scheduler runs in its parent, and what is changed here is not seen there; "
                "start() runs a timetable of this process's own"
            )

    def _become_a_copy(self) -> None:
        """In a forked child: nothing of the engine runs here, its locks are new, its open runs are the parent's."""
        was_running = self._loop is not None
        if self._loop is not None:
            self._loop.forget()
        self._registry.lock = threading.Lock()
        self._life = threading.Lock()
        self._loop = self._stopper = None
        self._executors = {}
        self._ledger.forget()
        self._keeper.forget()
        self._events.forget()
        self._copied = was_running


class ThreadedScheduler(Scheduler):
    """A scheduler in a daemon thread of its own."""

    def start(self) -> None:
        """Start the thread and return."""
        self.start_scheduler()


def _after_fork_in_child() -> None:
    for scheduler in list(_schedulers):
        scheduler._become_a_copy()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)


@functools.cache
def _warn_of_greenlets() -> None:
    """Say, once, that the host has replaced threads by something else."""
    by = str(_thread.start_new_thread.__module__).split(".")[0]
    if by != "_thread":
        log.warning(
            "%s has replaced threads in this process, which is not supported: an action that computes holds up the "
            "timetable and all other actions, and a fork copies all that runs; start the scheduler in a process "
            "that is not patched",
            by,
        )


def _own_run() -> Run | None:
    """Return the run from inside of which we are called: a stop does not wait for it."""
    current = _current.get()
    return None if current is None else current[1]


def _in_a_child() -> str:
    return (
        f"this is the child process of a forked run ({child.forked_run}), and the timetable is its parent's: "
        "what is changed here would be lost; use method.threaded for an action that changes the timetable"
    )
