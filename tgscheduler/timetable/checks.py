"""Durations, moments and times of day, as callers write them: checked, and in the one form that triggers keep."""

import math
import operator
from datetime import datetime, time, timedelta
from typing import Any

from tgscheduler.errors import InvalidType, InvalidValue
from tgscheduler.messages import shown
from tgscheduler.timetable import zones

#: Maximum interval, delay or moment (seconds); a larger number is taken for milliseconds by mistake.
LARGEST = 1e11

#: Minimum interval (seconds): below it two fire times are the same float.
SHORTEST = 1e-6

YEAR = 31_557_600

TimeOnDay = tuple[int, int]


def check_seconds(what: str, value: object, above_zero: bool = False) -> float:
    """Return a duration in seconds, from a number or a timedelta; raise InvalidType or InvalidValue otherwise."""
    if isinstance(value, timedelta):
        value = value.total_seconds()
    seconds = _number(what, value, "seconds", "a timedelta")
    if above_zero and seconds <= 0:
        raise InvalidValue(f"{what}: expected more than 0 seconds, got {value!r}")
    if above_zero and seconds < SHORTEST:
        raise InvalidValue(f"{what}: expected at least {SHORTEST:f} seconds, got {value!r}")
    if seconds < 0:
        raise InvalidValue(f"{what}: expected 0 seconds or more, got {value!r}")
    if seconds > LARGEST:
        raise InvalidValue(f"{what}: {value!r} seconds are {seconds / YEAR:.0f} years; is it milliseconds?")
    return seconds


def check_moment(what: str, value: object, timezone: str | None) -> float:
    """Return a moment in POSIX seconds, from a number (before 1970 it is negative) or a datetime.

    A datetime without a zone is read in ``timezone``, an IANA name; None: it is refused. A wall time inside a gap means
    the first instant after the gap; one inside a fold means the first of the two, unless a datetime with a zone has
    ``fold=1``. Raises InvalidType or InvalidValue.
    """
    moment = _moment(what, value, timezone)
    if abs(moment) > LARGEST and not isinstance(value, datetime):
        raise InvalidValue(f"{what}: {value!r} seconds are {moment / YEAR:.0f} years from 1970; is it milliseconds?")
    return moment


def check_asked(value: object) -> float:
    """Return the argument of ``next_after`` in POSIX seconds, as :func:`check_moment` does, but without its maximum."""
    return _moment("moment", value, None)


def _moment(what: str, value: object, timezone: str | None) -> float:
    if isinstance(value, datetime):
        if value.utcoffset() is None:
            if timezone is None:
                raise InvalidValue(
                    f"{what}: expected a datetime with a zone, got {value!r}; "
                    "write tzinfo=ZoneInfo('Europe/Berlin'), or whichever zone is meant"
                )
            value = value.replace(tzinfo=zones.zone(timezone), fold=0)
        return zones.moment_of(value)
    return _number(what, value, "POSIX seconds", "a datetime")


def _number(what: str, value: object, unit: str, other: str) -> float:
    if isinstance(value, bool) or not hasattr(value, "__float__") or isinstance(value, (str, bytes)):
        raise InvalidType(f"{what}: expected a number of {unit} or {other}, got {shown(value)}")
    try:
        number = float(value)
    except (OverflowError, ValueError):  # an int of 400 digits, a signalling NaN
        number = math.nan
    if not math.isfinite(number):
        raise InvalidValue(f"{what}: expected a finite number of {unit}, got {value!r}")
    return number


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
    hour, minute = (int(operator.index(part)) for part in pair)
    if not 0 <= hour <= 23 or not 0 <= minute <= 59:
        raise InvalidValue(f"{expected} between (0, 0) and (23, 59), got {value!r}")
    return hour, minute


def check_times(value: Any) -> tuple[TimeOnDay, ...]:
    """Return one or several times of day in order and without duplicates.

    Several are a list, tuple or set of (hour, minute) pairs or ``datetime.time``; a pair of whole numbers is one.
    """
    if type(value) is tuple and len(value) == 2:  # what nearly every call has
        hour, minute = value
        if type(hour) is int and type(minute) is int and 0 <= hour <= 23 and 0 <= minute <= 59:
            return (value,)
    parts = value if isinstance(value, (list, tuple, set, frozenset)) else ()
    times = [check_timeonday(part) for part in parts if isinstance(part, (list, tuple, time))]
    if not times:
        return (check_timeonday(value),)
    if len(times) < len(value):
        odd = next(part for part in value if not isinstance(part, (list, tuple, time)))
        raise InvalidType(f"timeonday: expected several times as (hour, minute) or datetime.time, got {odd!r}")
    return tuple(sorted(set(times)))
