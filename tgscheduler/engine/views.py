"""Views: frozen snapshots of a scheduler's tasks and runs, for readers.

Pages, texts, logs and tests read these, and nothing else of the engine. A view is taken at one moment; many views are
taken some at a time, so that the loop never waits long for the lock or the interpreter.
:attr:`Views.version` changes with everything that a view shows, except the passing of time.
"""

import copy
import math
from collections.abc import Iterable, Mapping
from operator import attrgetter
from typing import Any, NamedTuple

from tgscheduler.clock import Clock, giving_way
from tgscheduler.engine.journal import Journal
from tgscheduler.engine.planner import Planner
from tgscheduler.engine.registry import Registry
from tgscheduler.errors import InvalidType
from tgscheduler.logs import brief
from tgscheduler.timetable.entry import CANCELLED, DECIDING, EXHAUSTED, SCHEDULED, Entry
from tgscheduler.timetable.plan import fire_time, first_placement, next_due, placement_after_stop, unfound_until
from tgscheduler.timetable.policy import Policy
from tgscheduler.timetable.run import Run, Where, cursor
from tgscheduler.timetable.tasks import Task
from tgscheduler.timetable.triggers import Trigger

#: Maximum number of views that are taken in one hold of the lock.
MAX_AT_ONCE = 128


class RunView(NamedTuple):
    """A snapshot of one run; the fields are those of :class:`~tgscheduler.timetable.run.Run`."""

    id: str
    task: str
    due: float
    until: float
    count: int  # type: ignore[assignment]  # hides the method of tuples
    state: str
    attempt: int
    takeovers: int
    started: float | None
    ended: float | None
    late: float | None
    where: Where | None
    reason: str | None
    error: str | None
    log: str

    @property
    def cursor(self) -> str:
        """A text for ``before`` of ``runs()``: the runs that follow this one."""
        return cursor(self.due, self.id)

    @classmethod
    def of(cls, run: Run) -> "RunView":
        """Return a run as it is now."""
        return cls(*_values_of(run))


_values_of = attrgetter(*RunView._fields)


class TaskView(NamedTuple):
    """A snapshot of one task. Times are POSIX seconds; ``math.inf`` and ``-math.inf`` mean no bound."""

    #: Its name, or ``module.qualname`` of its action.
    name: str
    #: The name of its class.
    kind: str
    #: What it calls, and with what: the very objects, which are the application's.
    action: Any
    args: Any
    kw: Mapping[str, Any]
    #: Where its action runs: sequential, threaded or forked.
    method: str
    #: pending, scheduled, deciding, exhausted or cancelled.
    state: str
    #: When it is due next; None: it waits for no time.
    next_due: float | None
    #: When that fires, with jitter or after a pause.
    next_fire: float | None
    #: When it fires; None for a task that runs once.
    trigger: Trigger | None
    #: The IANA name of its zone.
    timezone: str
    #: What becomes of its late, overlapping, endless and failed runs.
    policy: Policy
    #: The first moment at which it may fire.
    start: float | None
    #: The last moment at which it may fire.
    end: float
    #: How many runs are left of its ``max_runs``; None: no bound.
    runs_left: int | None
    #: It does not run before this moment.
    paused_until: float
    #: No task runs before this moment.
    all_paused_until: float
    #: When it was added.
    added_at: float
    #: Its last run that was started, None if there was none.
    last_run: RunView | None
    #: How many of its runs have started and not ended.
    in_flight: int
    #: How many of its runs wait for those.
    queued: int
    #: Whether it runs once.
    one_shot: bool
    #: Whether its class overrides ``reschedule``.
    self_rescheduling: bool
    #: Whether ``next_due`` was set by ``schedule_task`` or ``schedule_task_abs``, and not by the trigger.
    manual_due: bool
    #: When it will be due, also before a start: as if the scheduler started now.
    upcoming_due: float | None
    #: Why that cannot be known; None: it can.
    fault: str | None
    #: Where a search ended without a fire time: it continues then. None: there is a fire time, or it never fires.
    unfound: float | None
    #: Whether the scheduler gives fire times: it has been started.
    started: bool
    #: The moment of this view.
    now: float

    @property
    def has_ended(self) -> bool:
        """Whether it fires no more."""
        return self.state in ("exhausted", "cancelled")

    @property
    def held_until(self) -> float:
        """The end of its present pause, minus infinity if it is not paused."""
        held = max(self.paused_until, self.all_paused_until)
        return held if held > self.now else -math.inf


class Views:
    """Makes views of one scheduler."""

    def __init__(self, clock: Clock, registry: Registry, planner: Planner, journal: Journal) -> None:
        self._clock = clock
        self._registry = registry
        self._planner = planner
        self._journal = journal

    @property
    def version(self) -> int:
        """A number that changes with what the views show: a start, a stop, a task, a run."""
        return self._registry.version + self._journal.version

    def tasks(self) -> list[TaskView]:
        """Return all tasks that wait, run or have a name: first those that wait for a time, in order."""
        registry, taken = self._registry, []
        with registry.lock:
            entries = registry.entries()
        for place in giving_way(range(0, len(entries), MAX_AT_ONCE), 1):
            with registry.lock:
                taken += self._take(entry for entry in entries[place : place + MAX_AT_ONCE] if entry in registry)
        return [_foreseen(view, twin, delay) for view, twin, delay in taken]

    def task(self, verb: str, task: str | Task) -> TaskView | None:
        """Return a task of this scheduler, even one that has ended; None if it is unknown, or only has a history."""
        if not isinstance(task, (str, Task)):
            raise InvalidType(f"{verb}: expected a Task or the name of one, got {task!r}")
        with self._registry.lock:
            entry = self._registry.look_up(task) if isinstance(task, str) else self._registry.entry_of(task)
            taken = [] if entry is None else self._take([entry])
        return _foreseen(*taken[0]) if taken else None

    def names(self, verb: str, tasks: str | Task | Iterable[str | Task] | None) -> list[str] | None:
        """Return the names of one task or several, as their runs have them; None for None, which means all."""
        if tasks is None:
            return None
        if isinstance(tasks, (str, Task)):
            tasks = [tasks]
        elif not isinstance(tasks, Iterable):
            raise InvalidType(f"{verb}: expected a Task, the name of one, or several of them, got {tasks!r}")
        return [self.name_of(verb, each) for each in tasks]

    def name_of(self, verb: str, task: str | Task) -> str:
        """Return the name of a task, as its runs have it."""
        if isinstance(task, str):
            return task
        view = self.task(verb, task)
        return task.name or "?" if view is None else view.name

    def _take(self, entries: Iterable[Entry]) -> list[tuple[TaskView, Entry | None, float | None]]:
        """Return views, each with a copy of the entry if the trigger must be called for its next due time."""
        now, started, held = self._clock.now(), self._planner.started, self._registry.paused_until
        pending, taken = self._registry.pending_start, []
        for entry in entries:
            view, twin = self._view(entry, now, started, held), None
            unplaced = entry in pending or (entry.state is SCHEDULED and not started)
            if unplaced or (entry.state is DECIDING and entry.trigger is not None):
                twin = copy.copy(entry)
                twin.limits = copy.copy(entry.limits)
            taken.append((view, twin, pending.get(entry)))
        return taken

    def _view(self, entry: Entry, now: float, started: bool, all_paused_until: float) -> TaskView:
        limits, task, due = entry.limits, entry.task, entry.next_due
        unfound = entry.due if entry.state is SCHEDULED and entry.is_unfound else None
        last = entry.last_run
        if entry.state in (EXHAUSTED, CANCELLED) and entry.label is None and task.name is None and last is not None:
            name = last.task  # it was released, and has no label any more
        else:
            name = self._registry.label(entry)
        return TaskView(
            name=name,
            kind=type(task).__name__,
            action=task.action,
            args=task.args,
            kw=task.kw,
            method=task.method,
            state=entry.state.value,
            next_due=due,
            next_fire=None if due is None else fire_time(name, due, entry.policy),
            trigger=None if task.self_rescheduling else entry.trigger,
            timezone=task.timezone,
            policy=entry.policy,
            start=None if limits is None else limits.start,
            end=math.inf if limits is None else limits.end,
            runs_left=None if limits is None else limits.runs_left,
            paused_until=-math.inf if limits is None else limits.paused_until,
            all_paused_until=all_paused_until,
            added_at=entry.added_at,
            last_run=None if last is None else RunView.of(last),
            in_flight=len(entry.running()),
            queued=0 if limits is None else len(limits.queue),
            one_shot=entry.one_shot,
            self_rescheduling=task.self_rescheduling,
            manual_due=entry.manual_due,
            upcoming_due=due,
            fault=None,
            unfound=unfound,
            started=started,
            now=now,
        )


def _foreseen(view: TaskView, twin: Entry | None, delay: float | None) -> TaskView:
    """Return a view with the due time that the entry would get now; without the lock, as its trigger may be custom."""
    if twin is None or (view.self_rescheduling and twin.state is DECIDING):
        return view
    try:
        if twin.state is DECIDING:
            assert twin.trigger is not None
            assert twin.due is not None
            handled = max(twin.due, view.now - twin.policy.jitter)
            return view._replace(upcoming_due=next_due(twin, twin.trigger, handled))
        twin.adopt()
        if twin.state is SCHEDULED:
            placement = placement_after_stop(twin, view.now)
        else:
            placement = first_placement(twin, view.now, delay)
        unfound = unfound_until(twin, view.now) if placement.due is None else None
    except Exception as error:  # a custom trigger
        return view._replace(upcoming_due=None, fault=f"its trigger raised {brief(error)}")
    limits, due = twin.limits, view.next_due
    return view._replace(
        next_fire=None if due is None else fire_time(view.name, due, twin.policy),
        trigger=None if view.self_rescheduling else placement.trigger,
        policy=twin.policy,
        start=None if limits is None else limits.start,
        end=math.inf if limits is None else limits.end,
        runs_left=None if limits is None else limits.runs_left,
        manual_due=placement.manual_due,
        upcoming_due=placement.due,
        unfound=unfound,
    )
