"""Triggers made of triggers: any of several, without some dates, within bounds.

===================================  ==============================================
``either(*triggers)``                whenever any of them fires
``trigger.except_on(calendar)``      not on the dates of a calendar
``trigger.between(start, end)``      not before ``start``, not after ``end``
===================================  ==============================================
"""

import math
from collections.abc import Callable, Container, Hashable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Protocol, runtime_checkable
from zoneinfo import ZoneInfo

from tgscheduler.errors import InvalidType, InvalidValue
from tgscheduler.timetable import zones
from tgscheduler.timetable.checks import YEAR, check_asked, check_moment
from tgscheduler.timetable.search import NEVER, Found, Search

#: Maximum time (seconds) that a calendar may leave out: the search ends there.
_LONGEST_SEARCH = 50 * YEAR

Calendar = Container[date] | Callable[[date], bool]


@runtime_checkable
class Trigger(Protocol):
    """Any object that has ``next_after``."""

    def next_after(self, moment: float) -> float | None:
        """Return the earliest fire time strictly later than ``moment`` (POSIX seconds), None if there is none."""


def next_fire(trigger: Trigger, moment: float) -> float | None:
    """Return a trigger's next fire time; raise InvalidValue if it is not later than ``moment``."""
    fire = trigger.next_after(moment)
    if fire is not None and not moment < fire < math.inf:  # NaN fails both comparisons
        raise not_later_error(fire, moment)
    return fire


def look(trigger: Trigger, moment: float, search: Search) -> Found:
    """Return a trigger's next fire time, within what is left of a search."""
    if type(trigger) is Either or type(trigger) is ExceptOn or type(trigger) is Between:
        return trigger._look(moment, search)
    search.steps -= 1
    fire = next_fire(trigger, moment)
    return NEVER if fire is None else Found(fire, fire)


def none_until(trigger: Trigger, moment: float) -> float | None:
    """Return the moment at which the search after ``moment`` ended at its bounds; None if it was finished."""
    fire, until = look(trigger, moment, Search())
    return until if fire is None and until < math.inf else None


def not_later_error(fire: float, moment: float) -> InvalidValue:
    """Return the error for a next fire time that is not later than ``moment``."""
    return InvalidValue(f"next_after: expected a time after {moment!r}, or None, got {fire!r}")


class Composable:
    """Base of this package's triggers: they can leave out dates, and can be bounded."""

    __slots__ = ()

    def next_after(self, moment: float) -> float | None:
        """Return the earliest fire time strictly later than ``moment``, in POSIX seconds.

        None if there is none any more, or none was found within the bounds of a search. ``moment`` is a finite number
        of POSIX seconds or a datetime with a zone; anything else raises InvalidType or InvalidValue. Nothing fires
        before the year 2 nor after 9998.
        """
        if not (type(moment) is float and zones.START <= moment < zones.END):
            moment = max(check_asked(moment), zones.START)
            if moment >= zones.END:
                return None
        fire = self._next(moment)
        return fire if fire is not None and fire < zones.END else None

    def _next(self, moment: float) -> float | None:
        """Return the next fire time after a checked moment."""
        raise NotImplementedError(f"{type(self).__name__} has no next_after")

    def except_on(self, calendar: Calendar, timezone: str | None = None) -> "ExceptOn":
        """Return this trigger without the fires whose date is in ``calendar``.

        ``calendar``: a set, list or tuple of ``datetime.date``, anything else that supports ``date in calendar``
        (such as the objects of the package ``holidays``), or a function of a date. The date is that of the trigger's
        own zone, UTC if it has none; ``timezone``, an IANA name, overrides it.
        """
        return ExceptOn(self, calendar, timezone)

    def between(self, start: float | datetime | None = None, end: float | datetime | None = None) -> "Between":
        """Return this trigger from ``start`` to ``end``, both included (None: no bound).

        A bound is POSIX seconds or a datetime, one without a zone only if the trigger has a zone.
        """
        return Between(self, start, end)  # type: ignore[arg-type]  # a caller may give more types than are kept


@dataclass(frozen=True, slots=True)
class Either(Composable):
    """Fire whenever any of ``triggers`` does; once if several fire at the same instant."""

    triggers: tuple[Trigger, ...] = field(compare=False)
    _same: frozenset[Hashable] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        found = {_value(part): part for trigger in self.triggers for part in _parts(trigger)}
        if not found:
            raise InvalidValue("either: expected at least one trigger, got none")
        object.__setattr__(self, "triggers", tuple(found.values()))
        object.__setattr__(self, "_same", frozenset(found))

    def _next(self, moment: float) -> float | None:
        return self._look(moment, Search()).fire

    def _look(self, moment: float, search: Search) -> Found:
        """Return the earliest of their next fire times, unless the search of a part ended before it."""
        nearest, until = math.inf, math.inf
        for number, trigger in enumerate(self.triggers):
            share = search.share(len(self.triggers) - number)
            found = look(trigger, moment, share)
            search.take_back(share)
            until = min(until, found.until)
            if found.fire is not None and found.fire < nearest:
                nearest = found.fire
        return Found(nearest if nearest <= until < math.inf else None, until)

    def on_scheduled_day(self, moment: float) -> bool:
        """Return whether ``moment`` is on a day of any of them."""
        return any(on_scheduled_day(trigger, moment) for trigger in self.triggers)


def either(*triggers: Trigger) -> Either:
    """Return a trigger that fires whenever any of ``triggers`` does.

    They may be custom triggers, which get ``except_on`` and ``between`` in this way.
    """
    return Either(triggers)


@dataclass(frozen=True, slots=True)
class ExceptOn(Composable):
    """Fire as ``trigger`` does, but not on the dates of ``calendar`` in ``timezone`` (None: UTC).

    The search ends if everything is left out for 50 years: some 18,000 dates, however often it fires.
    """

    trigger: Trigger
    calendar: Calendar = field(compare=False)
    timezone: str | None = None
    _zone: ZoneInfo = field(init=False, repr=False, compare=False)
    _same: Hashable = field(init=False, repr=False)

    def __post_init__(self) -> None:
        calendar = _check_calendar(self.calendar)
        timezone = _date_zone(self.trigger) if self.timezone is None else self.timezone
        object.__setattr__(self, "trigger", _check_trigger("except_on", self.trigger))
        object.__setattr__(self, "calendar", calendar)
        object.__setattr__(self, "timezone", timezone)
        object.__setattr__(self, "_zone", zones.zone(timezone))
        object.__setattr__(self, "_same", _value(calendar))

    def _next(self, moment: float) -> float | None:
        return self._look(moment, Search()).fire

    def _look(self, moment: float, search: Search) -> Found:
        """Return the first fire on a date that is not left out."""
        found, last = look(self.trigger, moment, search), math.inf
        while (fire := found.fire) is not None:
            if fire >= zones.END:
                return NEVER
            if not self._leaves_out(fire):
                break
            # The rest of that date is left out as well: continue where the next may begin, however often it fires.
            day = zones.next_day(fire, self._zone)
            last = min(last, fire + _LONGEST_SEARCH)
            if fire > last or search.spent:
                return Found(None, float(day))
            found = look(self.trigger, math.nextafter(day, -math.inf), search)
        return found

    def on_scheduled_day(self, moment: float) -> bool:
        """Return whether ``moment`` is on a day of the trigger that is not left out."""
        return not _has_days(self.trigger) or (on_scheduled_day(self.trigger, moment) and not self._leaves_out(moment))

    def _leaves_out(self, moment: float) -> bool:
        day, calendar = zones.wall(moment, self._zone).date(), self.calendar
        if hasattr(calendar, "__contains__"):
            return day in calendar
        return bool(calendar(day))


@dataclass(frozen=True, slots=True)
class Between(Composable):
    """Fire as ``trigger`` does from ``start`` to ``end`` (POSIX seconds, both included; None: no bound)."""

    trigger: Trigger
    start: float | None = None
    end: float | None = None

    def __post_init__(self) -> None:
        found = zones_of(_check_trigger("between", self.trigger))
        timezone = found.pop() if len(found) == 1 else None
        for bound in ("start", "end"):
            value = getattr(self, bound)
            if value is not None:
                object.__setattr__(self, bound, check_moment(bound, value, timezone))
        if self.start is not None and self.end is not None and self.end < self.start:
            raise InvalidValue(f"end: expected no earlier moment than start ({self.start!r}), got {self.end!r}")

    def _next(self, moment: float) -> float | None:
        return self._look(moment, Search()).fire

    def _look(self, moment: float, search: Search) -> Found:
        """Return the trigger's next fire within the bounds."""
        if self.start is not None and moment < self.start:
            moment = math.nextafter(self.start, -math.inf)
        found = look(self.trigger, moment, search)
        return NEVER if self.end is not None and found.until > self.end else found

    def on_scheduled_day(self, moment: float) -> bool:
        """Return whether ``moment`` is on a day of the trigger."""
        return on_scheduled_day(self.trigger, moment)


def on_scheduled_day(trigger: Trigger, moment: float) -> bool:
    """Return whether ``moment`` is on one of a trigger's days; for a trigger without days it always is."""
    on_day = getattr(trigger, "on_scheduled_day", None)
    return on_day is None or bool(on_day(moment))


def _has_days(trigger: Trigger) -> bool:
    if isinstance(trigger, (Between, ExceptOn)):
        return _has_days(trigger.trigger)
    if isinstance(trigger, Either):
        return all(map(_has_days, trigger.triggers))
    return hasattr(trigger, "on_scheduled_day")


def zones_of(trigger: Trigger) -> set[str | None]:
    """Return the zones in whose wall time a trigger fires; real-time triggers and custom ones add none.

    If dates of a named zone are left out of a real-time trigger, that is its zone.
    """
    if isinstance(trigger, Either):
        return set().union(*map(zones_of, trigger.triggers))
    if isinstance(trigger, (Between, ExceptOn)):
        found = zones_of(trigger.trigger)
        if not found and isinstance(trigger, ExceptOn) and trigger.timezone:
            found.add(trigger.timezone)
        return found
    return {trigger.timezone} if isinstance(trigger, Composable) and hasattr(trigger, "timezone") else set()


def _date_zone(trigger: Trigger) -> str | None:
    found = zones_of(trigger)
    if len(found) > 1:
        names = " or ".join(sorted(name or "UTC" for name in found))
        raise InvalidValue(f"except_on: expected timezone=, as the triggers have different zones: {names}?")
    return found.pop() if found else None


def _parts(trigger: Trigger) -> Iterator[Trigger]:
    if isinstance(trigger, Either):
        yield from trigger.triggers
    else:
        yield _check_trigger("either", trigger)


def _check_trigger(what: str, trigger: Any) -> Trigger:
    if isinstance(trigger, type) or not callable(getattr(trigger, "next_after", None)):
        raise InvalidType(f"{what}: expected a trigger such as Interval(60), got {trigger!r}")
    return trigger  # type: ignore[no-any-return]


def _check_calendar(calendar: Any) -> Calendar:
    expected = "except_on: expected a set or list of datetime.date, a calendar or a function of a date"
    if isinstance(calendar, (set, frozenset, list, tuple)):
        for day in calendar:
            if not isinstance(day, date) or isinstance(day, datetime):
                raise InvalidType(f"except_on: expected datetime.date(2025, 12, 25) or the like, got {day!r}")
        return frozenset(date(day.year, day.month, day.day) for day in calendar)
    if isinstance(calendar, type):
        raise InvalidType(f"{expected}, got the class {calendar.__qualname__}: call it first")
    if isinstance(calendar, (str, bytes)) or not (hasattr(calendar, "__contains__") or callable(calendar)):
        raise InvalidType(f"{expected}, got {calendar!r}")
    return calendar  # type: ignore[no-any-return]


class _ById:
    """An object that cannot be hashed, as a hashable value: equal to itself only."""

    __slots__ = ("what",)

    def __init__(self, what: object) -> None:
        self.what = what

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _ById) and other.what is self.what

    def __hash__(self) -> int:
        return id(self.what)


def _value(what: Any) -> Hashable:
    try:
        hash(what)
    except TypeError:
        return _ById(what)
    return what  # type: ignore[no-any-return]
