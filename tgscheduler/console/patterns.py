"""Patterns: regular expressions for the texts that the API takes, as its description gives them to clients.

What matches is taken. A few spellings more are, such as names of months with capitals.
"""

import functools

from tgscheduler.timetable.cron import ALIASES, DAYS, FIELDS, Field

_TIME = r"([01][0-9]|2[0-3]):[0-5][0-9]"
_LEAP_YEAR = r"([12][0-9](0[48]|[2468][048]|[13579][26])|1[26]00|2[048]00)"
_DATE = (
    r"([12][0-9]{3}-((0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])|(0[13-9]|1[0-2])-(29|30)|(0[13578]|1[02])-31)"
    rf"|{_LEAP_YEAR}-02-29)"
)
#: A moment, as ``parse_moment`` takes it.
MOMENT = (
    rf"^(now|-?[0-9]{{1,10}}(\.[0-9]{{1,9}})?|{_TIME}(:[0-5][0-9])?"
    rf"|{_DATE}([T ]{_TIME}(:[0-5][0-9](\.[0-9]{{1,6}})?)?(Z|[+-]{_TIME})?)?)$"
)

#: The cursor of a run.
CURSOR = r"^-?[0-9]{1,10}\.[0-9]{1,6}_([0-9a-f]{6}-)?[1-9][0-9]{0,17}$"

#: An Idempotency-Key.
KEY = r"^[!-~]{1,255}$"

_TIMES = rf"( {_TIME}){{1,4}}"
_WEEKDAY = "(mon|tue|wed|thu|fri|sat|sun)"
_UNITS = "(s|min|h|seconds?|minutes?|hours?|days?|weeks?)"


@functools.cache
def timetable() -> str:
    """Return the pattern of a timetable as text."""
    forms = [
        "|".join(ALIASES),
        f"every ([1-9][0-9]{{0,4}} )?{_UNITS}",
        f"(daily|weekdays|{_listed(f'{_WEEKDAY}(-{_WEEKDAY})?')}){_TIMES}",
        f"{_listed(f'({_between(1, 31)})|last|(1st|2nd|3rd|4th|last) {_WEEKDAY}')}{_TIMES}",
        _cron_line(),
    ]
    return f"^({'|'.join(forms)})$"


def _cron_line() -> str:
    second, minute, hour, day, month, weekday = map(_field, FIELDS)
    early = _field(FIELDS[3]._replace(high=29))  # every month has such a day, now and then
    days = f"({day}|L) \\*|{early} {month}|(30 (4|6|9|11)|(30|31) ([13578]|10|12))"
    return f"({second} )?{minute} {hour} ({days}) ({weekday}|([0-7]|{'|'.join(DAYS)})(L|#[1-4]))"


def _field(field: Field) -> str:
    """Return the pattern of a field: ``*``, numbers, names and ascending ranges, some with a step, in a list."""
    low, high, names = field.low, field.high, field.names
    forms = [rf"(\*|{_ranges(low, high)})(/({_between(1, high - low)}))?", _between(low, high)]
    forms += [f"{name}(-({'|'.join(names[place:])}))?" for place, name in enumerate(names)]
    return _listed("|".join(forms))


def _ranges(low: int, high: int) -> str:
    """Return the pattern of ascending ranges, below 100."""
    parts = []
    for tens in range(low // 10, high // 10 + 1):
        first, last = max(low, tens * 10), min(high, tens * 10 + 9)
        parts += [f"{number}-({_between(number, last)})" for number in range(first, last)]
        if last < high:
            parts.append(f"({_between(first, last)})-({_between(last + 1, high)})")
    return "|".join(parts)


def _between(low: int, high: int) -> str:
    """Return the pattern of the whole numbers from ``low`` to ``high``, below 100."""
    parts = []
    for tens in range(low // 10, high // 10 + 1):
        first, last = max(low, tens * 10) % 10, min(high, tens * 10 + 9) % 10
        parts.append(f"{tens or ''}{first if first == last else f'[{first}-{last}]'}")
    return "|".join(parts)


def _listed(item: str) -> str:
    return f"({item})(,({item})){{0,3}}"
