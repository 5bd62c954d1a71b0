"""Days of the week and of the month, as callers write them, and the dates that they mean.

===================  ========================================================
``1`` to ``31``      that day; a month that lacks it is skipped
``-1`` to ``-31``    from the end: -1 is the last day (also ``"last"``)
``"2nd tuesday"``    the nth such weekday: 1st to 5th, first to fifth, last
===================  ========================================================
"""

import calendar
import functools
import operator
from collections.abc import Iterable
from itertools import islice
from typing import Any

from tgscheduler.errors import InvalidType, InvalidValue

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")

_ORDINALS = (("1st", "first"), ("2nd", "second"), ("3rd", "third"), ("4th", "fourth"), ("5th", "fifth"), ("last",))

#: The nth weekdays by their one form: n (0: the last one), and the weekday from 0 = Monday.
NTH = {f"{ways[0]} {name}": ((n + 1) % 6, day) for n, ways in enumerate(_ORDINALS) for day, name in enumerate(WEEKDAYS)}

#: Every spelling of them.
_SPELLINGS = {
    f"{way} {spelling}": f"{ways[0]} {name}"
    for ways in _ORDINALS
    for way in ways
    for name in WEEKDAYS
    for spelling in (name, name[:3])
}

MonthDay = int | str
"""A day of the month in its one form: 1 to 31, -31 to -1, or a key of ``NTH``."""

#: Maximum number of days read from a caller's iterable, which may be endless.
_MOST = 1000


def check_days(what: str, days: Iterable[int], last: int) -> tuple[int, ...]:
    """Return days in order and without duplicates; raise InvalidType or InvalidValue unless each is in 1..last."""
    example = "[1, 2, 3] or range(1, 8)" if last == 7 else "[1, 15]"
    if isinstance(days, (str, bytes)) or not isinstance(days, Iterable):
        raise InvalidType(f"{what}: expected a list of days such as {example}, got {days!r}")
    checked = set()
    for day in islice(days, _MOST):
        if isinstance(day, bool) or not hasattr(day, "__index__"):
            raise InvalidType(f"{what}: expected whole numbers from 1 to {last}, got {day!r}")
        number = int(operator.index(day))
        if not 1 <= number <= last:
            monday = " (1 is Monday, 7 is Sunday)" if last == 7 else ""
            raise InvalidValue(f"{what}: expected days from 1 to {last}{monday}, got {number}")
        checked.add(number)
    if not checked:
        raise InvalidValue(f"{what}: expected at least one day, such as {example}, got none")
    return tuple(sorted(checked))


def check_monthdays(days: Any) -> tuple[MonthDay, ...]:
    """Return days of the month in one order and form, without duplicates; a string alone is one such day.

    Raises InvalidType or InvalidValue.

    >>> check_monthdays(["last Fri", "last", 1, "second tuesday"])
    (1, '2nd tuesday', 'last friday', -1)
    """
    example = "[1, 15], 'last' or ['2nd tuesday', -1]"
    if isinstance(days, str):
        days = (days,)
    if isinstance(days, bytes) or not isinstance(days, Iterable):
        raise InvalidType(f"monthdays: expected a list of days such as {example}, got {days!r}")
    checked = {_check_monthday(day) for day in islice(days, _MOST)}
    if not checked:
        raise InvalidValue(f"monthdays: expected at least one day, such as {example}, got none")
    return tuple(sorted(checked, key=_order))


def _check_monthday(day: Any) -> MonthDay:
    expected = "monthdays: expected 1 to 31, -1 (the last day) to -31, 'last', or a weekday as in '2nd tuesday'"
    if isinstance(day, str):
        text = " ".join(day.lower().split())
        if text == "last":
            return -1
        if text not in _SPELLINGS:
            raise InvalidValue(f"{expected} or 'last fri', got {day!r}")
        return _SPELLINGS[text]
    if isinstance(day, bool) or not hasattr(day, "__index__"):
        raise InvalidType(f"{expected}, got {day!r}")
    number = int(operator.index(day))
    if not 1 <= abs(number) <= 31:
        raise InvalidValue(f"{expected}, got {number}")
    return number


def _order(day: MonthDay) -> tuple[int, int, int]:
    """Return a sort key, as days come in a month: numbers, nth weekdays and then last ones, days from the end."""
    if isinstance(day, str):
        n, weekday = NTH[day]
        return 1, n or 6, weekday
    return (0 if day > 0 else 2), day, 0


@functools.lru_cache(maxsize=4096)
def days_in(days: tuple[MonthDay, ...], year: int, month: int) -> tuple[int, ...]:
    """Return the days of one month that are meant, in order."""
    first, length = calendar.monthrange(year, month)
    meant = set()
    for day in days:
        if isinstance(day, str):
            n, weekday = NTH[day]
            start = 1 + (weekday - first) % 7
            meant.add(start + 7 * (n - 1) if n else start + (length - start) // 7 * 7)
        else:
            meant.add(day if day > 0 else length + 1 + day)
    return tuple(sorted(day for day in meant if 1 <= day <= length))
