"""Tasks: an action with its arguments, and when it fires.

Here stand the base and what counts real seconds; tasks of the calendar stand in
:mod:`tgscheduler.timetable.daytasks`, the variants that say where the action runs in
:mod:`tgscheduler.timetable.variants`. Constructors are those of kronos. Bad values are refused there, so a Task that
exists is sound.
"""

import logging
import math
import sys
from collections.abc import Callable, Iterable, Mapping
from datetime import time, timedelta
from types import FunctionType, MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Unpack

from tgscheduler import clock as clocks
from tgscheduler.errors import InvalidType, InvalidValue
from tgscheduler.timetable import triggers
from tgscheduler.timetable.actions import LAZY, check_callable, check_result
from tgscheduler.timetable.compose import ask, none_until
from tgscheduler.timetable.policy import PLAIN, Policy, method
from tgscheduler.timetable.terms import Options, Terms
from tgscheduler.timetable.triggers import LARGEST, SHORTEST, Interval, Trigger

if TYPE_CHECKING:
    from tgscheduler.timetable.run import Run

log = logging.getLogger("tgscheduler.task")

Action = Callable[..., Any]
Args = Iterable[Any] | None
Kw = Mapping[str, Any] | None
TimeOnDay = tuple[int, int] | list[int] | time | int | Iterable[tuple[int, int] | time]

#: A wall clock set back by more than this (seconds) was corrected: what ran at the wrong times may run again.
CORRECTION = 3 * 3600.0

_NO_KW: Mapping[str, Any] = MappingProxyType({})


class Home:
    """What a task has from its scheduler: the clock, the zone (an IANA name, None: the host's) and the policy."""

    __slots__ = ("clock", "policy", "timezone")

    def __init__(self, clock: clocks.Clock, timezone: str | None, policy: Policy = PLAIN) -> None:
        self.clock = clock
        self.timezone = timezone
        self.policy = policy

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Let a copy of a task that is in no scheduler be in none either."""
        return "_REAL_HOME" if self is _REAL_HOME else super().__reduce_ex__(protocol)


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
        "_added",
        "_by_hand",
        "_due",
        "_entry",
        "_final",
        "_gone",
        "_home",
        "_label",
        "_last",
        "_mark",
        "_numbers",
        "_terms",
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
    _terms: Terms | None  # what was agreed beyond the trigger; None: nothing
    _entry: list[Any] | None  # its place in the agenda; None: it waits for no time
    _due: float
    _by_hand: bool  # put at this time by schedule_task, not by its trigger
    _final: bool  # no occurrence follows the last one
    _gone: bool  # cancelled
    _label: str | None  # what a task without a name is called, and where in the registry that comes from
    _numbers: Any
    _last: "Run | None"
    _mark: float  # the last due time that was decided on
    _added: float  # when it was

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        for verb in ("execute", "reschedule", "handle_exception"):
            check_callable(f"{cls.__qualname__}.{verb}", getattr(cls, verb))
        cls._reschedules_itself = not str(getattr(cls.reschedule, "__module__", None)).startswith(f"{__package__}.")

    def __init__(self, name: str | None, action: Action, args: Args = None, kw: Kw = None) -> None:
        if name is not None:
            name = check_name(name)
        if type(action) is not FunctionType or action.__code__.co_flags & LAZY or action.__dict__:
            check_callable("action", action)  # what nearly every call has is checked without a call
        self.name = name
        self.action = action
        self.args = () if args is None else _check_args(args)
        self.kw = _NO_KW if not kw else _check_kw(kw)
        self._home = _REAL_HOME
        self._trigger = self._terms = self._entry = self._label = self._numbers = self._last = None
        self._by_hand = self._final = self._gone = False
        self._due = self._mark = self._added = 0.0

    def execute(self) -> object:
        """Call the action, and nothing else; raise UnfinishedAction if it returned its work instead of doing it."""
        # an empty mapping proxy costs ten times as much as none
        result = self.action(*self.args, **self.kw) if self.kw else self.action(*self.args)
        if result is not None:
            check_result(result)
        return None

    def reschedule(self, scheduler: Planner) -> None:
        """Put the task into the scheduler for its next time: for subclasses; the loop itself asks the trigger."""
        raise NotImplementedError(f"{type(self).__name__} has no reschedule: use one of the concrete task classes")

    def handle_exception(self) -> None:
        """Deal with the exception that the action has just raised: log it. Subclasses may do otherwise."""
        log.error("%s: the action failed", self._label or self.name, exc_info=sys.exception())

    def configure(self, **options: Unpack[Options]) -> "Task":
        """Choose a zone, bounds and policies before the task is added; return self.

        What the functions that add tasks take by name: ``start``, ``end``, ``timezone`` and what
        :class:`~tgscheduler.timetable.policy.Policy` holds. Raises InvalidValue or InvalidType for what cannot be.
        """
        if self._home is not _REAL_HOME:
            raise InvalidValue(f"{self!r} is in a scheduler already: choose its options before it is added")
        terms = self._terms or Terms()
        terms.choose(options, PLAIN)
        self._terms = terms
        return self

    @property
    def next_due(self) -> float | None:
        """When it fires next, in POSIX seconds; None while it waits for no time (or for the scheduler's start)."""
        return None if self._entry is None or self._is_unfound else self._due

    @property
    def _is_unfound(self) -> bool:
        """Whether its due time is none: the search for one goes on there."""
        return self._terms is not None and self._terms.unfound == self._due

    @property
    def trigger(self) -> Trigger | None:
        """When it fires; None for a task that runs once, and for one that reschedules itself."""
        return self._trigger

    @property
    def policy(self) -> Policy:
        """What was chosen for it: its own choices over its scheduler's."""
        return self._home.policy if self._terms is None else self._terms.policy

    @property
    def timezone(self) -> str:
        """The IANA name of the zone in which its days and times are meant."""
        own = None if self._terms is None else self._terms.timezone
        return own or self._home.timezone or clocks.local_zone()

    @property
    def paused(self) -> bool:
        """Whether it is paused at this moment."""
        return self._terms is not None and self._terms.paused_until > self._home.clock.now()

    def _adopt(self, home: Home) -> None:
        """Take over a scheduler's clock, zone and policy."""
        self._home = home
        terms = self._terms
        if terms is None:
            if home.policy is PLAIN:
                return self._build()
            terms = self._terms = Terms()
        terms.adopt(home.policy)
        if terms.needless:
            self._terms = None
        if terms.trigger is None:
            return self._build()
        self._trigger = terms.trigger
        return None

    def _build(self) -> None:
        """Make the trigger that the constructor's arguments mean in the zone of now."""

    def _first_due(self, now: float, delay: float | None) -> float | None:
        """Return the first fire time, None when there is none: ``delay`` seconds from now, or (None) as it comes."""
        terms, trigger = self._terms, self._trigger
        if trigger is None or delay is not None:
            self._by_hand = trigger is not None
            begin = now if terms is None or terms.start is None else max(now, terms.start)
            due = begin + (delay or 0.0)
            return due if terms is None or due <= terms.end else None
        return self._due_after(now)

    def _due_after(self, moment: float) -> float | None:
        """Return the trigger's next fire time within the task's bounds."""
        terms, trigger = self._terms, self._trigger
        assert trigger is not None
        if terms is None:
            return ask(trigger, moment)
        if terms.start is not None:
            moment = max(moment, math.nextafter(terms.start, -math.inf))
        due = ask(trigger, moment)
        return due if due is None or due <= terms.end else None

    def _none_until(self, moment: float) -> float | None:
        """Return up to which moment its trigger finds no fire after ``moment``; None where none is to come at all."""
        terms, trigger = self._terms, self._trigger
        if terms is None or not terms.slow or trigger is None or terms.left == 0:
            return None
        if terms.start is not None:
            moment = max(moment, math.nextafter(terms.start, -math.inf))
        until = none_until(trigger, moment)
        return until if until is not None and until <= terms.end else None

    def _due_after_stop(self, now: float) -> float | None:
        """Return when it fires after a stop that it had a time before: what was due meanwhile is no occurrence."""
        trigger = self._trigger
        if trigger is None or (self._due >= now and self._by_hand):
            return self._due
        if isinstance(trigger, Interval) and self._due >= now:
            if self._mark and self._due - now > trigger.seconds:  # the wall clock was set back meanwhile
                steps = math.ceil((trigger.anchor - now) / trigger.seconds)
                trigger = self._trigger = Interval.sound(trigger.seconds, trigger.anchor - steps * trigger.seconds)
                return self._due_after(now)
            return self._due
        self._by_hand = False
        ran = self._mark if self._mark - now <= CORRECTION else -math.inf
        return self._due_after(max(now, ran))

    def _put_at(self, due: float) -> None:
        """Take note of a fire time given by hand."""
        self._by_hand = True

    def _shift(self, seconds: float) -> bool:
        """Follow a step of the wall clock, as what counts real seconds does; say whether it did."""
        trigger = self._trigger
        if isinstance(trigger, Interval):
            self._trigger = Interval.sound(trigger.seconds, trigger.anchor + seconds)
            return True
        return trigger is None and not self._by_hand  # an absolute time is the wall clock's

    def __getstate__(self) -> Any:
        """Return what a copy is made of, without the proxy that tasks without ``kw`` share: it cannot be pickled."""
        state: Any = super().__getstate__()
        slots = state[1]
        if slots.get("kw") is _NO_KW:
            slots["kw"] = {}
        return state

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._label or self.name or self.action!r}>"


class SingleTask(Task):
    """A task that runs once."""

    __slots__ = ()

    def reschedule(self, scheduler: Planner) -> None:
        """Do nothing: it does not come again."""


class IntervalTask(Task):
    """A task that runs every ``interval`` seconds (a number or a timedelta)."""

    __slots__ = ("_seconds",)

    def __init__(
        self, name: str | None, interval: float | timedelta, action: Action, args: Args = None, kw: Kw = None
    ) -> None:
        Task.__init__(self, name, action, args, kw)  # super() is felt where 100,000 are made
        if (type(interval) is float or type(interval) is int) and SHORTEST <= interval <= LARGEST:
            # what nearly every call has
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
        if isinstance(self._trigger, Interval):
            self._trigger = Interval.sound(self._seconds, self._trigger.anchor if self._entry is None else self._due)

    def reschedule(self, scheduler: Planner) -> None:
        """Put the task ``interval`` seconds ahead."""
        scheduler.schedule_task(self, self.interval)

    def _first_due(self, now: float, delay: float | None) -> float | None:
        terms = self._terms
        if terms is None:
            due = now + (delay or 0.0)
            self._trigger = Interval.sound(self._seconds, due)
            return due
        if terms.trigger is not None:
            return super()._first_due(now, delay)
        begin = (now if terms.start is None else terms.start) + (delay or 0.0)
        grid = self._trigger = Interval.sound(self._seconds, begin)
        first = grid.next_after(math.nextafter(max(now, begin), -math.inf))  # its grid may have begun already
        return first if first is not None and first <= terms.end else None

    def _put_at(self, due: float) -> None:
        if self._terms is None or self._terms.trigger is None:
            self._trigger = Interval.sound(self._seconds, due)
        else:
            self._by_hand = True


class TriggerTask(Task):
    """A task that fires when a trigger says so: any object with ``next_after(moment)``, in POSIX seconds."""

    __slots__ = ()

    def __init__(self, name: str | None, trigger: Trigger, action: Action, args: Args = None, kw: Kw = None) -> None:
        super().__init__(name, action, args, kw)
        check_trigger(trigger)
        self._terms = Terms()
        self._terms.take_trigger(trigger)
        self._trigger = trigger

    def reschedule(self, scheduler: Planner) -> None:
        """Put the task at its trigger's next fire time."""
        assert self._trigger is not None
        due = self._trigger.next_after(self._home.clock.now())
        if due is not None:
            scheduler.schedule_task_abs(self, due)


def check_trigger(trigger: object) -> None:
    """Raise InvalidType unless that can be asked when it fires."""
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
