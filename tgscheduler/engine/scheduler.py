"""The schedulers: a facade over the engine's parts, with the public documentation of each method.

==================  =====================================================================
Scheduler           in the thread that calls ``start``, until it is stopped from elsewhere
ThreadedScheduler   in a daemon thread of its own
ForkedScheduler     in a process of its own (:mod:`tgscheduler.engine.forked`)
==================  =====================================================================
"""

import functools
import logging
import os
import weakref
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, Concatenate, ParamSpec, TypeVar

from tgscheduler.clock import Clock
from tgscheduler.engine.adding import AddMethods
from tgscheduler.engine.control import Control, added_tasks, noting_added
from tgscheduler.engine.health import health
from tgscheduler.engine.journal import Journal
from tgscheduler.engine.lifecycle import Lifecycle
from tgscheduler.engine.placements import Placements
from tgscheduler.engine.planner import Planner
from tgscheduler.engine.reads import Reads
from tgscheduler.engine.registry import Registry
from tgscheduler.engine.views import Views
from tgscheduler.errors import InvalidType, InvalidValue, NotSupported, WrongProcess
from tgscheduler.events import Callback, Events
from tgscheduler.executors import child
from tgscheduler.executors.base import Executor
from tgscheduler.executors.forked import ForkedExecutor
from tgscheduler.executors.sequential import SequentialExecutor
from tgscheduler.executors.threaded import ThreadedExecutor
from tgscheduler.stores.audit import AuditRecord
from tgscheduler.stores.base import Store
from tgscheduler.stores.memory import MemoryStore
from tgscheduler.timetable import triggers, zones
from tgscheduler.timetable.entry import Entry
from tgscheduler.timetable.policy import DEFAULT_POLICY, Policy, check_whole, method
from tgscheduler.timetable.run import Run
from tgscheduler.timetable.tasks import SchedulerContext, Task
from tgscheduler.timetable.triggers import Trigger

log = logging.getLogger(__name__)

P = ParamSpec("P")
R = TypeVar("R")

_schedulers: "weakref.WeakSet[Scheduler]" = weakref.WeakSet()


def _reads(method: Callable[Concatenate[Reads, P], R]) -> "Callable[Concatenate[Scheduler, P], R]":
    """Return a method of the scheduler that asks its reads: same signature, same docstring."""

    @functools.wraps(method)
    def read(self: "Scheduler", /, *args: P.args, **kw: P.kwargs) -> R:
        self._check_read()
        return method(self._reads, *args, **kw)

    read.__module__, read.__qualname__ = __name__, f"Scheduler.{method.__name__}"
    return read


class Scheduler(AddMethods):
    """A timetable and the engine that runs it; this one runs in the thread that calls :meth:`start`.

    ``timezone``: an IANA name, None: the host's. ``threads``, ``children``: how many threaded and forked runs there
    are at a time (None: twice the cores). ``stop_timeout``: seconds that :meth:`stop` leaves to running actions.
    ``history``: how many ended runs are remembered in memory. ``policy``: what holds for tasks that choose nothing.
    ``store``: where runs and tasks are remembered (:func:`tgscheduler.stores.open`), None: in memory. If it does not
    answer within ``store_timeout`` seconds, ``on_store_down`` says whether runs start all the same ("run") or wait
    ("pause"). Raises InvalidValue or InvalidType for a bad value.
    """

    def __init__(
        self,
        *,
        timezone: str | None = None,
        threads: int = 100,
        children: int | None = None,
        stop_timeout: float = 5.0,
        history: int = 10_000,
        policy: Policy = DEFAULT_POLICY,
        clock: Clock | None = None,
        store: Store | None = None,
        store_timeout: float = 2.0,
        on_store_down: str = "run",
    ) -> None:
        self.clock = clock = clock or Clock()
        self._events = self._make_events()
        self._registry = Registry(SchedulerContext(clock, None))
        self._journal = Journal(MemoryStore())
        self._planner = Planner(clock, self._registry, self)
        self._placements = Placements(clock, self._registry, self._planner)
        self._lifecycle = Lifecycle(
            clock, self._registry, self._journal, self._planner, self._placements, self._events, self._make_executors
        )
        self._control = Control(clock, self._registry, self._planner, self._events, self._lifecycle)
        self._views = Views(clock, self._registry, self._planner, self._journal)
        self._reads = Reads(self._registry, self._planner, self._journal, self._views)
        self.configure(timezone, threads, children, stop_timeout, history, policy, store, store_timeout, on_store_down)
        _schedulers.add(self)

    def configure(
        self,
        timezone: str | None = None,
        threads: int = 100,
        children: int | None = None,
        stop_timeout: float = 5.0,
        history: int = 10_000,
        policy: Policy = DEFAULT_POLICY,
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
        answer_within = triggers.check_seconds("store_timeout", store_timeout)
        if on_store_down not in ("run", "pause"):
            raise InvalidValue(f"on_store_down: expected 'run' or 'pause', got {on_store_down!r}")
        life, context = self._lifecycle, self._registry.context
        life.stop_timeout, life.store_timeout, life.run_unclaimed = seconds, answer_within, on_store_down == "run"
        context.timezone, context.policy = timezone, DEFAULT_POLICY if policy == DEFAULT_POLICY else policy
        self._threads, self._children = threads, children
        if store is not None:
            self._journal.store = store
        elif self._journal.store.persistent:
            self._journal.store = MemoryStore()
        if isinstance(self._journal.store, MemoryStore):
            self._journal.store.bound(history)

    # -- start and stop ------------------------------------------------------------------------------------------

    @property
    def running(self) -> bool:
        """Whether the loop runs."""
        return self._lifecycle.running

    @property
    def stop_timeout(self) -> float:
        """Seconds that :meth:`stop` leaves to running actions."""
        return self._lifecycle.stop_timeout

    def start(self) -> None:
        """Run the timetable in this thread until it is stopped from elsewhere, or by Ctrl-C in the main thread."""
        _check_process("start")
        self._lifecycle.run()

    def start_scheduler(self, ready: Callable[[], bool] | None = None) -> "Scheduler":
        """Run the timetable in a daemon thread, from when ``ready()`` is true (None: at once); return self."""
        _check_process("start")
        self._lifecycle.start_in_thread(ready)
        return self

    def stop(self, timeout: float | None = None) -> None:
        """Stop; the tasks stay. Legal at any moment: before start, twice, from inside a task, in a signal handler.

        Nothing new starts, and what waits for a thread or a process ends as cancelled. Running actions have
        ``timeout`` seconds (None: ``stop_timeout``), then processes are ended and threads left behind; a second stop
        ends that time at once. A task that stops its scheduler is not waited for.
        """
        self._lifecycle.stop(timeout)

    stop_scheduler = stop

    def _make_executors(self) -> dict[str, Executor]:
        handed_back = self._journal.handed_back
        return {
            method.sequential: SequentialExecutor(self.clock, handed_back),
            method.threaded: ThreadedExecutor(self.clock, handed_back, self._threads),
            method.forked: ForkedExecutor(self.clock, handed_back, self._children),
        }

    def _make_events(self) -> Events:
        return Events(self.clock.now)

    # -- tasks come and go ---------------------------------------------------------------------------------------

    def schedule(self, task: Task, delay: float | None) -> None:
        """Add a task; its first fire time is in ``delay`` seconds, or (None) by its trigger.

        Before the start it waits for that, and the delay counts from there.
        """
        self._check_use(task)
        registry, planner = self._registry, self._planner
        made, asked = None, None
        # What has a trigger gets its entry without the lock: its zone may be read from files, its trigger may be slow.
        if task.has_trigger or task.scheduler_entry is not None:
            made = registry.entry_of(task) or Entry(task, registry.context, self.clock.now())
            if made.slow_trigger:
                asked = self._placements.ask_first(made, delay)
        with registry.lock:
            now = self.clock.now()
            planner.place(registry.admit(task, now, made), delay, now, asked)
        if added_tasks.get() is not None or self._events.wanted:
            self._control.note_added(task)

    def schedule_task(self, task: Task, delay: float) -> None:
        """Schedule a task ``delay`` seconds from now, or from the start if that is later; move it if it waits."""
        _check_task(task)
        self.schedule(task, triggers.check_seconds("delay", delay))

    def schedule_task_abs(self, task: Task, abstime: float) -> None:
        """Schedule a task at an absolute time, POSIX seconds; move it if it waits."""
        _check_task(task)
        due = triggers.check_seconds("abstime", abstime)
        self._check_use(task)
        with self._registry.lock:
            self._planner.place_at(self._registry.admit(task, self.clock.now()), due)
        self._control.note_added(task)

    def cancel(self, task: Task | str | None) -> None:
        """Cancel a task, or the task of that name: it fires no more; a run in progress goes on.

        None, a task that has ended and an unknown name are no errors.
        """
        if task is None:
            return
        self._check_use()
        if not isinstance(task, str):
            _check_task(task)
        self._control.cancel(task)

    def rename(self, taskname: str | Task, newname: str) -> None:
        """Give a task another name; nothing happens if it is unknown. Raise DuplicateTask for a taken name."""
        self._check_use()
        self._control.rename(taskname, newname)

    rename_task = rename

    noting_added = staticmethod(noting_added)

    def discard(self, tasks: Iterable[Task]) -> None:
        """Cancel many tasks; give up silently if this thread was stopped in the middle of adding one."""
        self._control.cancel_many(tasks)

    # -- control -------------------------------------------------------------------------------------------------

    def pause(self, task: Task | str, until: float | datetime | None = None) -> bool:
        """Pause a task ``until`` a moment (None: until it is resumed); return False if it was paused so already.

        What comes due meanwhile is recorded as skipped; a task that runs once is kept until then.
        """
        self._check_use()
        return self._control.pause(task, until)

    def resume(self, task: Task | str) -> bool:
        """Resume a paused task; return False if it was not paused."""
        self._check_use()
        return self._control.resume(task)

    def pause_all(self, until: float | datetime | None = None) -> bool:
        """Pause all tasks ``until`` a moment (None: until all are resumed); return False if they were so already."""
        self._check_use()
        return self._control.pause_all(until)

    def resume_all(self) -> bool:
        """End :meth:`pause_all`, and the pause of every single task; return False if nothing was paused."""
        self._check_use()
        return self._control.resume_all()

    def run_now(self, task: Task | str) -> Run:
        """Run a task at once, beside its timetable and also while it is paused; return the Run.

        Its overlap policy holds: if it runs already, the Run ends as skipped, or waits in the task's queue.
        """
        self._check_use()
        return self._control.run_now(task)

    def reschedule_task(self, task: Task | str, trigger: Trigger) -> float:
        """Give a task another trigger from now on; return its first fire time (POSIX seconds).

        Raise InvalidValue, and leave the task as it is, if the trigger has no fire time any more.
        """
        self._check_use()
        return self._control.reschedule_task(task, trigger)

    def cancel_run(self, run: Run) -> bool:
        """End a run that waits or runs as cancelled; return False if it has ended.

        A forked one is ended with its process. An action in a thread cannot be ended: ``current_run().cancelled``
        tells it to return, and its thread counts as abandoned until it does.
        """
        self._check_use()
        return self._control.cancel_run(run)

    def audit(self, record: AuditRecord) -> None:
        """Add a record to the audit log: who changed what, when and from where. The engine itself adds none.

        A persistent store writes it at once, or when it is back. While the store is not open, before the start and
        after a stop, the last 1,000 records wait in memory for the next start.
        """
        self._check_use()
        if not isinstance(record, AuditRecord):
            raise InvalidType(f"audit: expected an AuditRecord(...), got {record!r}")
        self._journal.audit(record)

    def subscribe(self, callback: Callback, names: str | Iterable[str] | None = None) -> Callable[[], None]:
        """Call ``callback(event)`` for each event of these names (None: of all); return a function that ends it.

        Names and facts: :mod:`tgscheduler.events`. Listeners are called in a thread of their own.
        """
        self._check_use()
        return self._events.subscribe(callback, names)

    # -- reading -------------------------------------------------------------------------------------------------

    @property
    def version(self) -> int:
        """A number that changes with the tasks and their runs: what was read at the same number is the same."""
        return self._views.version

    @property
    def started(self) -> float | None:
        """When it was started (POSIX seconds), None while it is stopped."""
        uptimes = self._registry.uptimes
        return uptimes[-1][0] if uptimes and self.running else None

    @property
    def store_name(self) -> str:
        """Where runs are remembered: the address of the store without a password, or "memory"."""
        return getattr(self._journal.store, "name", "memory")

    @property
    def default_timezone(self) -> str | None:
        """The zone that was set for this scheduler; None: it is the host's."""
        return self._registry.context.timezone

    @property
    def timezone(self) -> str:
        """The IANA name of the zone in which calendar tasks are meant."""
        return self._reads.timezone

    def get_task(self, taskname: str) -> Task | None:
        """Return the task of that name, None if there is none."""
        self._check_read()
        with self._registry.lock:
            entry = self._registry.find(taskname)
            return None if entry is None else entry.task

    def get_tasks(self) -> dict[str, Task]:
        """Return a new dict of names to tasks."""
        self._check_read()
        with self._registry.lock:
            return self._registry.named_tasks()

    @property
    def tasks(self) -> dict[str, Task]:
        """A new dict of the named tasks."""
        return self.get_tasks()

    view = _reads(Reads.view)
    views = _reads(Reads.views)
    runs = _reads(Reads.runs)
    recent_runs = _reads(Reads.recent_runs)
    run = _reads(Reads.run)
    counts = _reads(Reads.counts)
    counts_by_task = _reads(Reads.counts_by_task)
    counts_by_hour = _reads(Reads.counts_by_hour)
    durations = _reads(Reads.durations)
    audits = _reads(Reads.audits)
    gone = _reads(Reads.gone)
    explain = _reads(Reads.explain)
    why = _reads(Reads.why)

    def health(self) -> dict[str, Any]:
        """Return how the engine is: ``state`` (stopped, ok, degraded, failed) with its ``reasons``, and figures."""
        self._check_read()
        return health(self.clock, self._registry, self._planner, self._journal, self._lifecycle)

    # -- processes -----------------------------------------------------------------------------------------------

    def _check_read(self) -> None:
        """Raise if the timetable cannot be read in this process."""

    def _check_use(self, task: Task | None = None) -> None:
        """Raise if this process cannot change the timetable."""
        if child.forked_run is not None:
            raise WrongProcess(_in_a_child())
        if task is not None and task.method == method.forked and not hasattr(os, "fork"):
            raise NotSupported("processmethod forked: this platform has no os.fork; use method.threaded")
        if self._lifecycle.forked:
            self._lifecycle.forked = False
            log.warning(
                "this process is a fork: the scheduler runs in its parent, and what is changed here is not seen there; "
                "start() runs a timetable of this process's own"
            )

    def _after_fork_in_child(self) -> None:
        self._lifecycle.reset_after_fork()


class ThreadedScheduler(Scheduler):
    """A scheduler in a daemon thread of its own."""

    def start(self) -> None:
        """Start the thread and return."""
        self.start_scheduler()


def _after_fork_in_child() -> None:
    for scheduler in list(_schedulers):
        scheduler._after_fork_in_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)


def _check_task(task: object) -> None:
    if not isinstance(task, Task):
        raise InvalidType(f"task: expected a Task, got {task!r}")


def _check_process(verb: str) -> None:
    if child.forked_run is not None:
        raise WrongProcess(f"{verb}: {_in_a_child()}")


def _in_a_child() -> str:
    return (
        f"this is the child process of a forked run ({child.forked_run}), and the timetable is its parent's: "
        "what is changed here would be lost; use method.threaded for an action that changes the timetable"
    )
