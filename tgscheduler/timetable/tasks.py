"""Tasks: an action with its arguments, and when it fires.

This module has the base class and the tasks that count real seconds; calendar tasks are in
:mod:`tgscheduler.timetable.calendar_tasks`, and the variants by where the action runs in
:mod:`tgscheduler.timetable.variants`. Constructors are those of kronos. They refuse invalid values, so every Task is
valid.

A Task belongs to the application. The scheduler keeps its state and its next due time in an
:mod:`~tgscheduler.timetable.entry`, to which the task has one reference.
"""

import logging
import sys
from collections.abc import Callable, Iterable, Mapping
from datetime import time, timedelta
from types import FunctionType, MappingProxyType
from typing import Any, ClassVar, Protocol, Unpack

from tgscheduler import clock as clocks
from tgscheduler.errors import InvalidType, InvalidValue
from tgscheduler.timetable import triggers
from tgscheduler.timetable.actions import LAZY, check_callable, check_result
from tgscheduler.timetable.options import NO_OPTIONS, Options, TaskOptions
from tgscheduler.timetable.policy import DEFAULT_POLICY, Policy, method
from tgscheduler.timetable.triggers import LARGEST, SHORTEST, Trigger

log = logging.getLogger("tgscheduler.task")

Action = Callable[..., Any]
Args = Iterable[Any] | None
Kw = Mapping[str, Any] | None
TimeOnDay = tuple[int, int] | list[int] | time | int | Iterable[tuple[int, int] | time]

_NO_KW: Mapping[str, Any] = MappingProxyType({})


class SchedulerContext:
    """What a scheduler's tasks share: the clock, the zone (an IANA name, None: the host's) and the policy."""

    __slots__ = ("clock", "policy", "timezone")

    def __init__(self, clock: clocks.Clock, timezone: str | None, policy: Policy = DEFAULT_POLICY) -> None:
        self.clock = clock
        self.timezone = timezone
        self.policy = policy


class Rescheduler(Protocol):
    """The methods of a scheduler that ``reschedule`` may use."""

    def schedule_task(self, task: "Task", delay: float) -> Any:
        """Schedule the task ``delay`` seconds from now."""

    def schedule_task_abs(self, task: "Task", abstime: float) -> Any:
        """Schedule the task at ``abstime``, POSIX seconds."""


class EntryView(Protocol):
    """The attributes of an entry that its task uses."""

    @property
    def context(self) -> SchedulerContext: ...
    @property
    def next_due(self) -> float | None: ...
    @property
    def trigger(self) -> Trigger | None: ...
    @property
    def policy(self) -> Policy: ...
    @property
    def label(self) -> str | None: ...
    @property
    def paused(self) -> bool: ...
    def interval_changed(self) -> None: ...


#: The context of a task that is in no scheduler.
_NO_SCHEDULER = SchedulerContext(clocks.Clock(), None)


class Task:
    """Base class of all tasks: an action, its arguments and when it fires.

    A subclass that overrides ``execute`` and ``reschedule`` is scheduled by them. ``name``: a string or None.
    ``action``: called as ``action(*args, **kw)`` with the very objects given here.
    """

    __slots__ = ("__dict__", "__weakref__", "action", "args", "chosen_options", "kw", "name", "scheduler_entry")

    method: ClassVar[str] = method.sequential
    #: Whether a class outside of this package overrides ``reschedule``.
    self_rescheduling: ClassVar[bool] = False
    #: Whether it repeats on a grid that begins at its first due time.
    has_interval: ClassVar[bool] = False
    #: Whether it fires by a trigger: one that is made from its arguments, or one that was given. False for an interval,
    #: whose grid is made at its first use.
    has_trigger: ClassVar[bool] = False
    #: The trigger that it was made with; None for a kind that makes its own.
    given_trigger: Trigger | None = None

    #: Its entry in a scheduler, set by the engine; None: it is in no scheduler.
    scheduler_entry: EntryView | None
    #: The options that :meth:`configure` has set; None: none.
    chosen_options: TaskOptions | None

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        for verb in ("execute", "reschedule", "handle_exception"):
            check_callable(f"{cls.__qualname__}.{verb}", getattr(cls, verb))
        cls.self_rescheduling = not str(getattr(cls.reschedule, "__module__", None)).startswith(f"{__package__}.")
        cls.has_trigger = cls.has_trigger or cls.make_trigger is not Task.make_trigger

    def __init__(self, name: str | None, action: Action, args: Args = None, kw: Kw = None) -> None:
        if name is not None:
            name = check_name(name)
        if type(action) is not FunctionType or action.__code__.co_flags & LAZY or action.__dict__:
            check_callable("action", action)  # the usual case is checked without a call
        self.name = name
        self.action = action
        self.args = () if args is None else _check_args(args)
        self.kw = _NO_KW if not kw else _check_kw(kw)
        self.scheduler_entry = self.chosen_options = None

    def execute(self) -> object:
        """Call the action, and nothing else; raise UnfinishedAction if it returned its work instead of doing it."""
        # an empty mapping proxy costs ten times as much as none
        result = self.action(*self.args, **self.kw) if self.kw else self.action(*self.args)
        if result is not None:
            check_result(result)
        return None

    def reschedule(self, scheduler: Rescheduler) -> None:
        """Schedule the task's next time: called for classes outside of this package that override it.

        For all others the loop uses the trigger, and never calls this.
        """
        raise NotImplementedError(f"{type(self).__name__} has no reschedule: use one of the concrete task classes")

    def handle_exception(self) -> None:
        """Log the exception that the action has just raised. Subclasses may override this."""
        label = None if self.scheduler_entry is None else self.scheduler_entry.label
        log.error("%s: the action failed", label or self.name, exc_info=sys.exception())

    def configure(self, **options: Unpack[Options]) -> "Task":
        """Choose a zone, bounds and policies before the task is added; return self.

        The options are those of the functions that add tasks: ``start``, ``end``, ``timezone`` and the fields of
        :class:`~tgscheduler.timetable.policy.Policy`. Raises InvalidValue or InvalidType for an invalid one.
        """
        if self.scheduler_entry is not None:
            raise InvalidValue(f"{self!r} is in a scheduler already: choose its options before it is added")
        updated = options_of(self).updated(options)
        self.chosen_options = None if updated == NO_OPTIONS else updated
        return self

    @property
    def next_due(self) -> float | None:
        """When it fires next, in POSIX seconds; None while it waits for no time (or for the scheduler's start)."""
        return None if self.scheduler_entry is None else self.scheduler_entry.next_due

    @property
    def trigger(self) -> Trigger | None:
        """When it fires; None for a task that runs once, and for one that has no fire time yet."""
        return self.given_trigger if self.scheduler_entry is None else self.scheduler_entry.trigger

    @property
    def policy(self) -> Policy:
        """Its policy: its own choices over its scheduler's."""
        return options_of(self).policy(DEFAULT_POLICY) if self.scheduler_entry is None else self.scheduler_entry.policy

    @property
    def timezone(self) -> str:
        """The IANA name of the zone in which its days and times are meant."""
        return options_of(self).timezone or self._context.timezone or clocks.local_zone()

    @property
    def paused(self) -> bool:
        """Whether it is paused at this moment."""
        return self.scheduler_entry is not None and self.scheduler_entry.paused

    @property
    def _context(self) -> SchedulerContext:
        return _NO_SCHEDULER if self.scheduler_entry is None else self.scheduler_entry.context

    def make_trigger(self, timezone: str) -> Trigger | None:
        """Return the trigger for the constructor's arguments in a zone; None if the task has none of its own."""
        return None

    def __getstate__(self) -> Any:
        """Return the state of a copy: it is in no scheduler, and has a dict for the proxy of tasks without ``kw``."""
        state: Any = super().__getstate__()
        slots = state[1]
        slots["scheduler_entry"] = None
        if slots.get("kw") is _NO_KW:
            slots["kw"] = {}
        return state

    def __repr__(self) -> str:
        label = None if self.scheduler_entry is None else self.scheduler_entry.label
        return f"<{type(self).__name__} {label or self.name or self.action!r}>"


def options_of(task: Task) -> TaskOptions:
    """Return a task's options, NO_OPTIONS if it has chosen none."""
    return task.chosen_options or NO_OPTIONS


class SingleTask(Task):
    """A task that runs once."""

    __slots__ = ()

    def reschedule(self, scheduler: Rescheduler) -> None:
        """Do nothing: it runs once."""


class IntervalTask(Task):
    """A task that runs every ``interval`` seconds (a number or a timedelta)."""

    __slots__ = ("_seconds",)

    has_interval = True

    def __init__(
        self, name: str | None, interval: float | timedelta, action: Action, args: Args = None, kw: Kw = None
    ) -> None:
        Task.__init__(self, name, action, args, kw)  # super() is slow if 100,000 are made
        if (type(interval) is float or type(interval) is int) and SHORTEST <= interval <= LARGEST:
            # the usual case
            self._seconds = float(interval)
        else:
            self._seconds = triggers.check_seconds("interval", interval, above_zero=True)

    @property
    def interval(self) -> float:
        """Seconds between two runs; a new value counts from the next run on."""
        return self._seconds

    @interval.setter
    def interval(self, interval: float | timedelta) -> None:
        self._seconds = triggers.check_seconds("interval", interval, above_zero=True)
        if self.scheduler_entry is not None:
            self.scheduler_entry.interval_changed()

    def reschedule(self, scheduler: Rescheduler) -> None:
        """Schedule the task ``interval`` seconds from now."""
        scheduler.schedule_task(self, self.interval)


class TriggerTask(Task):
    """A task that fires by a trigger: any object with ``next_after(moment)``, in POSIX seconds."""

    __slots__ = ("given_trigger",)

    has_trigger = True

    def __init__(self, name: str | None, trigger: Trigger, action: Action, args: Args = None, kw: Kw = None) -> None:
        super().__init__(name, action, args, kw)
        check_trigger(trigger)
        self.given_trigger = trigger

    def reschedule(self, scheduler: Rescheduler) -> None:
        """Schedule the task at its trigger's next fire time."""
        trigger = self.trigger
        assert trigger is not None
        due = trigger.next_after(self._context.clock.now())
        if due is not None:
            scheduler.schedule_task_abs(self, due)


def check_trigger(trigger: object) -> None:
    """Raise InvalidType unless ``trigger`` is an object that has ``next_after``."""
    if isinstance(trigger, type) or not callable(getattr(trigger, "next_after", None)):
        raise InvalidType(
            "trigger: expected an object with next_after(moment), such as Cron('0 9 * * 1-5') or "
            f"either(Weekdays(...), Monthdays(...)), got {trigger!r}"
        )
    check_callable("trigger.next_after", trigger.next_after)  # type: ignore[attr-defined]


def check_name(name: object) -> str | None:
    """Return a task's name (None for the empty one); raise InvalidType or InvalidValue."""
    if not isinstance(name, str):
        raise InvalidType(f"taskname: expected a string, got {name!r}")
    if not name.isprintable():
        raise InvalidValue(f"taskname: expected printable characters only, got {name!r}")
    if len(name) > 200:
        raise InvalidValue(f"taskname: expected at most 200 characters, got {len(name)}: {name[:40]!r}…")
    return name or None


def _check_args(args: Any) -> Any:
    if isinstance(args, (tuple, list)):
        return args or ()
    if isinstance(args, (str, bytes, Mapping)) or not isinstance(args, Iterable):
        raise InvalidType(f"args: expected a tuple or list of arguments, got {args!r}; for one write ({args!r},)")
    return tuple(args)


def _check_kw(kw: Any) -> Mapping[str, Any]:
    if not isinstance(kw, Mapping):
        raise InvalidType(f"kw: expected a mapping of names to values, got {kw!r}")
    for key in kw:
        if not isinstance(key, str):
            raise InvalidType(f"kw: expected names that are strings, got {key!r}")
    return kw
