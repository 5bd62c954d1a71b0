"""Tasks: an action with its arguments, and when it fires.

These are the kinds; the variants that say where the action runs stand in :mod:`tgscheduler.timetable.variants`.
Constructors are those of kronos. Bad values are refused there, so a Task that exists is sound.
"""

import logging
import sys
from collections.abc import Callable, Iterable, Mapping
from datetime import time, timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from tgscheduler import clock as clocks
from tgscheduler.errors import InvalidType, InvalidValue
from tgscheduler.timetable import triggers, zones
from tgscheduler.timetable.cronlike import CronFields
from tgscheduler.timetable.policy import method
from tgscheduler.timetable.triggers import Cron, Interval, Monthdays, Trigger, Weekdays

if TYPE_CHECKING:
    from tgscheduler.timetable.run import Run

log = logging.getLogger("tgscheduler.task")

Action = Callable[..., Any]
Args = Iterable[Any] | None
Kw = Mapping[str, Any] | None
TimeOnDay = tuple[int, int] | list[int] | time | int

_NO_KW: Mapping[str, Any] = MappingProxyType({})


class Home:
    """Where a task looks for the time: the clock and the zone (an IANA name, None: the host's) of its scheduler."""

    __slots__ = ("clock", "timezone")

    def __init__(self, clock: clocks.Clock, timezone: str | None) -> None:
        self.clock = clock
        self.timezone = timezone


class Planner(Protocol):
    """What ``reschedule`` is given: a scheduler, as far as a task needs it."""

    def schedule_task(self, task: "Task", delay: float) -> Any:
        """Put the task ``delay`` seconds ahead."""

    def schedule_task_abs(self, task: "Task", abstime: float) -> Any:
        """Put the task at ``abstime``, POSIX seconds."""


_REAL_HOME = Home(clocks.Clock(), None)


class Task:
    """What is run: base of all kinds. A subclass that overrides ``execute`` and ``reschedule`` is scheduled by them.

    ``name``: a string or None. ``action``: called as ``action(*args, **kw)`` with the very objects given here.
    """

    __slots__ = (
        "__dict__",
        "__weakref__",
        "_by_hand",
        "_due",
        "_final",
        "_gone",
        "_home",
        "_label",
        "_last",
        "_mark",
        "_number",
        "_seq",
        "_trigger",
        "action",
        "args",
        "kw",
        "name",
    )

    method: ClassVar[str] = method.sequential
    _reschedules_itself: ClassVar[bool] = False

    # The engine's own marks; written under its lock.
    _trigger: Trigger | None
    _home: Home
    _seq: int  # its entry in the agenda; 0: none
    _due: float
    _by_hand: bool  # put at this time by schedule_task, not by its trigger
    _final: bool  # no occurrence follows the last one
    _gone: bool  # cancelled
    _label: str | None  # what a task without a name is called, and its number in the registry
    _number: Any
    _last: "Run | None"
    _mark: float  # the last due time that was decided on

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls._reschedules_itself = getattr(cls.reschedule, "__module__", None) != __name__

    def __init__(self, name: str | None, action: Action, args: Args = None, kw: Kw = None) -> None:
        if name is not None:
            name = check_name(name)
        if not callable(action):
            raise InvalidType(f"action: expected a callable, got {action!r}")
        self.name = name
        self.action = action
        self.args = () if args is None else _check_args(args)
        self.kw = _NO_KW if not kw else _check_kw(kw)
        self._trigger = None
        self._home = _REAL_HOME
        self._seq = 0
        self._due = 0.0
        self._by_hand = False
        self._final = False
        self._gone = False
        self._label = None
        self._number = None
        self._last = None
        self._mark = 0.0

    def execute(self) -> None:
        """Call the action, and nothing else."""
        if self.kw:
            self.action(*self.args, **self.kw)
        else:  # an empty mapping proxy costs ten times as much as none
            self.action(*self.args)

    def reschedule(self, scheduler: Planner) -> None:
        """Put the task into the scheduler for its next time: for subclasses; the loop itself asks the trigger."""
        raise NotImplementedError(f"{type(self).__name__} has no reschedule: use one of the concrete task classes")

    def handle_exception(self) -> None:
        """Deal with the exception that the action has just raised: log it. Subclasses may do otherwise."""
        log.error("%s: the action failed", self._label or self.name, exc_info=sys.exception())

    @property
    def next_due(self) -> float | None:
        """When it fires next, in POSIX seconds; None while it waits for no time (or for the scheduler's start)."""
        return self._due if self._seq else None

    def _adopt(self, home: Home) -> None:
        """Take over a scheduler's clock and zone."""
        self._home = home

    def _first_due(self, now: float, delay: float | None) -> float | None:
        """Return the first fire time ``delay`` seconds from now (None: as the trigger says)."""
        return now + (delay or 0.0)

    def _put_at(self, due: float) -> None:
        """Take note of a fire time given by hand."""

    def _shift(self, seconds: float) -> bool:
        """Follow a step of the wall clock, as tasks that count real seconds do; say whether it did."""
        return False

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._label or self.name or self.action!r}>"


class SingleTask(Task):
    """A task that runs once."""

    __slots__ = ()

    def reschedule(self, scheduler: Planner) -> None:
        """Do nothing: it does not come again."""

    def _put_at(self, due: float) -> None:
        self._by_hand = True

    def _shift(self, seconds: float) -> bool:
        return not self._by_hand  # a delay counts real seconds, an absolute time is the wall clock's


class IntervalTask(Task):
    """A task that runs every ``interval`` seconds (a number or a timedelta)."""

    __slots__ = ("_seconds",)
    _trigger: Interval | None

    def __init__(
        self, name: str | None, interval: float | timedelta, action: Action, args: Args = None, kw: Kw = None
    ) -> None:
        super().__init__(name, action, args, kw)
        if type(interval) is int and 0 < interval < triggers.LARGEST:  # what nearly every call has
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
        if self._trigger is not None:
            self._trigger = Interval.sound(self._seconds, self._due if self._seq else self._trigger.anchor)

    def reschedule(self, scheduler: Planner) -> None:
        """Put the task ``interval`` seconds ahead."""
        scheduler.schedule_task(self, self.interval)

    def _first_due(self, now: float, delay: float | None) -> float:
        due = now + (delay or 0.0)
        self._trigger = Interval.sound(self._seconds, due)
        return due

    def _put_at(self, due: float) -> None:
        self._trigger = Interval.sound(self._seconds, due)

    def _shift(self, seconds: float) -> bool:
        assert self._trigger is not None
        self._trigger = Interval.sound(self._seconds, self._trigger.anchor + seconds)
        return True


class DayTaskRescheduler:
    """What weekday and monthday tasks share: a time of day, and ``get_schedule_time``."""

    __slots__ = ()
    timeonday: tuple[int, int]
    _home: Home

    def get_schedule_time(self, today: bool = True) -> float:
        """Return ``timeonday`` of today (of tomorrow when that is over, or not ``today``) in POSIX seconds."""
        tz = zones.zone(_zone_name(self._home))
        now = zones.wall(self._home.clock.now(), tz)
        hour, minute = self.timeonday
        day = now.replace(hour=hour, minute=minute, second=0)
        if not today or (now.hour, now.minute) >= self.timeonday:
            day += timedelta(days=1)
        return float(zones.instant(day, tz))


class _DayTask(DayTaskRescheduler, Task):
    __slots__ = ("days", "timeonday")

    def _first_due(self, now: float, delay: float | None) -> float | None:
        if delay is not None:
            self._by_hand = True
            return now + delay
        assert self._trigger is not None
        return self._trigger.next_after(now)

    def _put_at(self, due: float) -> None:
        self._by_hand = True


class WeekdayTask(_DayTask):
    """A task that runs on days of the week (1 = Monday to 7) at a time of day."""

    __slots__ = ()

    def __init__(
        self,
        name: str | None,
        weekdays: Iterable[int],
        timeonday: TimeOnDay,
        action: Action,
        args: Args = None,
        kw: Kw = None,
    ) -> None:
        super().__init__(name, action, args, kw)
        self.days = triggers.check_days("weekdays", weekdays, 7)
        self.timeonday = triggers.check_timeonday(timeonday)

    def reschedule(self, scheduler: Planner) -> None:
        """Put the task at tomorrow's ``timeonday``; on a day that is none of its own it runs nothing."""
        scheduler.schedule_task_abs(self, self.get_schedule_time(False))

    def _adopt(self, home: Home) -> None:
        self._home = home
        self._trigger = Weekdays(self.days, self.timeonday, _zone_name(home))


class MonthdayTask(_DayTask):
    """A task that runs on days of the month (1 to 31) at a time of day; months without that day are passed over."""

    __slots__ = ()

    def __init__(
        self,
        name: str | None,
        monthdays: Iterable[int],
        timeonday: TimeOnDay,
        action: Action,
        args: Args = None,
        kw: Kw = None,
    ) -> None:
        super().__init__(name, action, args, kw)
        self.days = triggers.check_days("monthdays", monthdays, 31)
        self.timeonday = triggers.check_timeonday(timeonday)

    def reschedule(self, scheduler: Planner) -> None:
        """Not applicable: raise NotImplementedError."""
        raise NotImplementedError("a monthday task is not rescheduled by hand: its scheduler knows its next day")

    def _adopt(self, home: Home) -> None:
        self._home = home
        self._trigger = Monthdays(self.days, self.timeonday, _zone_name(home))


class CronLikeTask(Task):
    """A task that runs when **all** fields of a line ``minute hour day-of-month month day-of-week`` match.

    That all must match is TGScheduler 1.7's rule, unlike cron's. ``minutes hours doms months dows`` (0 = Monday)
    are what the line stands for.
    """

    __slots__ = ("cron_str", "doms", "dows", "hours", "minutes", "months")

    def __init__(self, name: str | None, action: Action, cron_str: str, args: Args = None, kw: Kw = None) -> None:
        super().__init__(name, action, args, kw)
        self.cron_str = cron_str
        fields = CronFields.parse(cron_str)
        self.minutes, self.hours, self.doms, self.months, self.dows = fields
        self._trigger = Cron(fields.line(), None, day_and=True)

    def get_schedule_time(self, today: bool = True) -> float:
        """Return the next time that matches, in POSIX seconds."""
        due = self._in_zone(self._home).next_after(self._home.clock.now())
        if due is None:
            raise InvalidValue(f"cron line {self.cron_str!r}: no date matches within 50 years")
        return due

    def reschedule(self, scheduler: Planner) -> None:
        """Put the task at its next matching time."""
        scheduler.schedule_task_abs(self, self.get_schedule_time())

    def _first_due(self, now: float, delay: float | None) -> float | None:
        assert self._trigger is not None
        return self._trigger.next_after(now) if delay is None else now + delay

    def _adopt(self, home: Home) -> None:
        self._home = home
        self._trigger = self._in_zone(home)

    def _in_zone(self, home: Home) -> Cron:
        assert isinstance(self._trigger, Cron)
        return Cron(self._trigger.line, _zone_name(home), day_and=True)


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


def _zone_name(home: Home) -> str:
    return home.timezone or clocks.local_zone()
