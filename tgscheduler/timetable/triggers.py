"""When something fires: frozen values that answer one question, ``next_after(moment)``.

======================================  ==============================================================
``Once(moment)``                        at one instant
``Interval(seconds, anchor)``           at ``anchor + k * seconds``, whatever the clock on the wall does
``Weekdays(days, timeonday, zone)``     on days of the week (1 = Monday) at a time of day
``Monthdays(days, timeonday, zone)``    on days of the month at a time of day
``Cron(line, zone)``                    when a cron line matches
======================================  ==============================================================

Moments and answers are POSIX seconds; an answer is always strictly later than the moment asked. A trigger keeps no
state: the same question gets the same answer, so a preview is what the loop will do.
"""

import math
import operator
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from itertools import islice
from typing import Any, Protocol, runtime_checkable
from zoneinfo import ZoneInfo

from tgscheduler.errors import InvalidType, InvalidValue
from tgscheduler.timetable import cron, zones

#: Longest interval, delay or moment (seconds); beyond it someone has given milliseconds.
LARGEST = 1e11

#: Shortest interval (seconds): below it two fire times are the same float.
SHORTEST = 1e-6

TimeOnDay = tuple[int, int]


@runtime_checkable
class Trigger(Protocol):
    """Anything that can say when it fires next."""

    def next_after(self, moment: float) -> float | None:
        """Return the earliest fire time strictly later than ``moment``, None when there is none any more."""


@dataclass(frozen=True, slots=True)
class Once:
    """Fire at ``moment`` and never again."""

    moment: float

    def next_after(self, moment: float) -> float | None:
        """Return the moment while it is still to come."""
        return self.moment if moment < self.moment else None


@dataclass(frozen=True, slots=True)
class Interval:
    """Fire at ``anchor``, ``anchor + seconds``, ``anchor + 2 * seconds``, …: without drift.

    >>> Interval(60, anchor=30).next_after(100)
    150.0
    """

    seconds: float
    anchor: float = 0.0

    def __post_init__(self) -> None:
        if type(self.seconds) is not float:
            object.__setattr__(self, "seconds", check_seconds("interval", self.seconds, above_zero=True))
        elif not SHORTEST <= self.seconds <= LARGEST:
            check_seconds("interval", self.seconds, above_zero=True)
        if type(self.anchor) is not float or not 0 <= self.anchor <= LARGEST:
            object.__setattr__(self, "anchor", _check_anchor(self.anchor))

    @classmethod
    def sound(cls, seconds: float, anchor: float) -> "Interval":
        """Return the interval of two floats that are checked already: what a task makes at each placing."""
        made = object.__new__(cls)
        object.__setattr__(made, "seconds", seconds)
        object.__setattr__(made, "anchor", anchor)
        return made

    def next_after(self, moment: float) -> float:
        """Return the first point of the grid later than ``moment``."""
        anchor, seconds = self.anchor, self.seconds
        if moment < anchor:
            return anchor
        return anchor + (self._steps(moment) + 1) * seconds

    def count(self, first: float, last: float) -> int:
        """Return how many fire times lie in [first, last]; ``first`` is one of them."""
        return self._steps(last) - self._steps(first) + 1

    def latest(self, moment: float) -> float:
        """Return the last fire time at or before ``moment``, which is not before the anchor."""
        return self.anchor + self._steps(moment) * self.seconds

    def _steps(self, moment: float) -> int:
        """Return the largest k with ``anchor + k * seconds <= moment``: the floor, mended for rounding."""
        k = math.floor((moment - self.anchor) / self.seconds)
        while self.anchor + k * self.seconds > moment:
            k -= 1
        while self.anchor + (k + 1) * self.seconds <= moment:
            k += 1
        return k


@dataclass(frozen=True, slots=True)
class Weekdays:
    """Fire on days of the week, 1 (Monday) to 7, at ``timeonday`` (hour, minute) of a zone (None: UTC)."""

    days: tuple[int, ...]
    timeonday: TimeOnDay
    timezone: str | None = None
    _zone: ZoneInfo = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _set(self, check_days("weekdays", self.days, 7))

    def next_after(self, moment: float) -> float | None:
        """Return the next such day's fire time."""
        return _next_day(moment, self._zone, self.timeonday, self._has)

    def on_its_day(self, moment: float) -> bool:
        """Say whether ``moment`` lies on one of the days."""
        return self._has(zones.wall(moment, self._zone))

    def _has(self, day: datetime) -> bool:
        return day.isoweekday() in self.days


@dataclass(frozen=True, slots=True)
class Monthdays:
    """Fire on days of the month, 1 to 31, at ``timeonday`` (hour, minute) of a zone (None: UTC).

    Months that lack a day are passed over, never moved to their last day.
    """

    days: tuple[int, ...]
    timeonday: TimeOnDay
    timezone: str | None = None
    _zone: ZoneInfo = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _set(self, check_days("monthdays", self.days, 31))

    def next_after(self, moment: float) -> float | None:
        """Return the next such day's fire time."""
        return _next_day(moment, self._zone, self.timeonday, self._has)

    def on_its_day(self, moment: float) -> bool:
        """Say whether ``moment`` lies on one of the days."""
        return self._has(zones.wall(moment, self._zone))

    def _has(self, day: datetime) -> bool:
        return day.day in self.days


@dataclass(frozen=True, slots=True)
class Cron:
    """Fire when a cron line matches the wall time of a zone (None: UTC).

    A line whose second, minute or hour begins with ``*`` follows real time through clock changes, any other is due
    once a day that it matches, as in cron. ``day_and``: day of month and day of week must both match.
    """

    line: str
    timezone: str | None = None
    day_and: bool = False
    _zone: ZoneInfo = field(init=False, repr=False, compare=False)
    _cron: cron.Cron = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_zone", zones.zone(self.timezone))
        object.__setattr__(self, "_cron", cron.parse(self.line, self.day_and))

    def next_after(self, moment: float) -> float | None:
        """Return the next match, None when there is none for 50 years."""
        start = math.floor(moment)
        if self._cron.wildcard:
            try:
                return self._next_real(start)
            except (OverflowError, ValueError):  # the end of the year 9999
                return None
        when: datetime | None = zones.wall(start, self._zone)
        while (when := self._cron.next_after(when)) is not None:  # type: ignore[arg-type]
            fire = zones.instant(when, self._zone)
            if fire > moment:
                return float(fire)
        return None

    def _next_real(self, moment: int) -> float | None:
        """Between two offset changes a cron line is plain arithmetic: look stretch by stretch."""
        tz = self._zone
        while True:
            ahead = zones.offset(moment, tz)
            when = self._cron.next_after(zones.naive(moment + ahead))
            if when is None:
                return None
            fire = zones.seconds_of(when) - ahead
            change = zones.next_change(moment, tz, fire)
            if change is None:
                return float(fire)
            # The change's own second belongs to the new offset: ask from one second before it, in new wall time.
            after = zones.offset(change, tz)
            when = self._cron.next_after(zones.naive(change - 1 + after))
            if when is None:
                return None
            fire = zones.seconds_of(when) - after
            if zones.next_change(change, tz, fire) is None:
                return float(fire)
            moment = change


def _next_day(moment: float, tz: ZoneInfo, timeonday: TimeOnDay, has: "_Has") -> float | None:
    hour, minute = timeonday
    day = zones.wall(moment, tz).replace(hour=hour, minute=minute, second=0)
    for _ in range(400):
        if has(day):
            fire = zones.instant(day, tz)
            if fire > moment:
                return float(fire)
        try:
            day += timedelta(days=1)
        except OverflowError:  # the end of the year 9999
            return None
    return None


class _Has(Protocol):
    def __call__(self, day: datetime, /) -> bool: ...


def _set(trigger: Weekdays | Monthdays, days: tuple[int, ...]) -> None:
    object.__setattr__(trigger, "days", days)
    object.__setattr__(trigger, "timeonday", check_timeonday(trigger.timeonday))
    object.__setattr__(trigger, "_zone", zones.zone(trigger.timezone))


def check_seconds(what: str, value: object, above_zero: bool = False) -> float:
    """Return a duration in seconds, from a number or a timedelta; raise InvalidType or InvalidValue otherwise."""
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if isinstance(value, bool) or not hasattr(value, "__float__") or isinstance(value, (str, bytes)):
        raise InvalidType(f"{what}: expected a number of seconds or a timedelta, got {value!r}")
    try:
        seconds = float(value)
    except (OverflowError, ValueError):  # an int of 400 digits, a signalling NaN
        seconds = math.nan
    if not math.isfinite(seconds):
        raise InvalidValue(f"{what}: expected a finite number of seconds, got {value!r}")
    if above_zero and seconds <= 0:
        raise InvalidValue(f"{what}: expected more than 0 seconds, got {value!r}")
    if above_zero and seconds < SHORTEST:
        raise InvalidValue(f"{what}: expected at least {SHORTEST:f} seconds, got {value!r}")
    if seconds < 0:
        raise InvalidValue(f"{what}: expected 0 seconds or more, got {value!r}")
    if seconds > LARGEST:
        raise InvalidValue(f"{what}: {value!r} seconds are {seconds / 31557600:.0f} years; is it milliseconds?")
    return seconds


def _check_anchor(value: float) -> float:
    """Return an anchor as float; one before 1970 is as good as any other."""
    sign = -1.0 if isinstance(value, (int, float)) and value < 0 else 1.0
    return sign * check_seconds("anchor", value if sign > 0 else -value)


def check_days(what: str, days: Iterable[int], last: int) -> tuple[int, ...]:
    """Return days in order and without doubles; raise InvalidType or InvalidValue unless each is in 1..last."""
    example = "[1, 2, 3] or range(1, 8)" if last == 7 else "[1, 15]"
    if isinstance(days, (str, bytes)) or not isinstance(days, Iterable):
        raise InvalidType(f"{what}: expected a list of days such as {example}, got {days!r}")
    checked = set()
    for day in islice(days, 1000):
        if isinstance(day, bool) or not hasattr(day, "__index__"):
            raise InvalidType(f"{what}: expected whole numbers from 1 to {last}, got {day!r}")
        number = operator.index(day)
        if not 1 <= number <= last:
            monday = " (1 is Monday, 7 is Sunday)" if last == 7 else ""
            raise InvalidValue(f"{what}: expected days from 1 to {last}{monday}, got {number}")
        checked.add(number)
    if not checked:
        raise InvalidValue(f"{what}: expected at least one day, such as {example}, got none")
    return tuple(sorted(checked))


def check_timeonday(value: Any) -> TimeOnDay:
    """Return (hour, minute) from such a pair, a ``datetime.time`` or an hour alone."""
    expected = "timeonday: expected (hour, minute), a datetime.time or an hour"
    pair: tuple[Any, ...]
    if isinstance(value, time):
        if value.second or value.microsecond:
            raise InvalidValue(f"{expected}; seconds are not supported, got {value!r}")
        if value.tzinfo is not None:
            raise InvalidValue(f"{expected} without a zone; the zone is the scheduler's, got {value!r}")
        return value.hour, value.minute
    pair = tuple(value) if isinstance(value, (tuple, list)) else (value, 0)
    if len(pair) != 2 or any(isinstance(part, bool) or not hasattr(part, "__index__") for part in pair):
        raise InvalidType(f"{expected}, got {value!r}")
    hour, minute = (operator.index(part) for part in pair)
    if not 0 <= hour <= 23 or not 0 <= minute <= 59:
        raise InvalidValue(f"{expected} between (0, 0) and (23, 59), got {value!r}")
    return hour, minute
