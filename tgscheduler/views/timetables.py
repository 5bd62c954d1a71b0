"""Timetables as people type them, and the Python that makes the same.

=========================================  ==================================================
``0 9 * * 1-5``, ``@daily``                a cron line of five or six fields, or an alias
``every 90 s``, ``every 5 minutes``        an interval; the first fire is one interval from now
``mon-fri 09:00``, ``daily 07:30 19:00``   days of the week at times of day
``1,15 02:30``, ``last, 2nd tue 23:00``    days of the month at times of day
=========================================  ==================================================
"""

import re

from tgscheduler.errors import InvalidValue, SchedulerError
from tgscheduler.messages import shown
from tgscheduler.timetable.calendars import Cron, Monthdays, Weekdays
from tgscheduler.timetable.checks import TimeOnDay, check_seconds
from tgscheduler.timetable.compose import Trigger
from tgscheduler.timetable.days import WEEKDAYS
from tgscheduler.timetable.intervals import Interval
from tgscheduler.timetable.trigger_phrases import in_words

EXPECTED = (
    "expected a cron line such as '0 9 * * 1-5', 'every 90 s', 'mon-fri 09:00' or '1,15 02:30', "
    "with times as hours and minutes"
)

#: Maximum length (characters) of a timetable as text.
LONGEST = 200

_UNITS = {"s": 1, "sec": 1, "second": 1, "min": 60, "minute": 60, "h": 3600, "hour": 3600, "day": 86400, "week": 604800}
_INTERVAL = re.compile(r"every\s+(?:(\d+(?:\.\d+)?)\s*)?([a-z]+?)s?", re.IGNORECASE)
_TIMES = re.compile(r"^(.*?)((?:[\s,]+(?:at\s+|and\s+)?\d{1,2}:\d{2})+)$", re.IGNORECASE)
_EVERY_DAY = ("", "daily", "every day", "day")


def parse(text: str, timezone: str, now: float) -> Trigger:
    """Return the trigger that a text means; its days and times are in ``timezone``. Raise InvalidValue."""
    line = " ".join(text.split())
    if not line or len(text) > LONGEST or not text.isprintable():
        raise InvalidValue(f"timetable: {EXPECTED}, got {shown(text)}")
    interval = _INTERVAL.fullmatch(line)
    if interval is not None and interval[2].lower() in _UNITS:
        seconds = check_seconds("every", float(interval[1] or 1) * _UNITS[interval[2].lower()], above_zero=True)
        return Interval(seconds, now + seconds)
    timed = _TIMES.match(f" {line}")
    if timed is not None:
        return _on_days(timed[1].strip(" ,"), timed[2], timezone, text)
    if line.startswith("@") or len(line.split()) in (5, 6):
        return Cron(line, timezone)
    raise InvalidValue(f"timetable: {EXPECTED}, got {shown(text)}")


def _on_days(days: str, times: str, timezone: str, text: str) -> Trigger:
    at = tuple(_time(hour, minute, text) for hour, minute in re.findall(r"(\d{1,2}):(\d{2})", times))
    said = days.lower().removeprefix("on ").replace(" and ", ",")
    if said in _EVERY_DAY:
        return Weekdays(tuple(range(1, 8)), at, timezone)
    parts = [part.strip() for part in said.split(",") if part.strip()]
    try:
        weekdays = [_weekdays(part) for part in parts]
        if all(weekdays):
            return Weekdays(tuple(day for found in weekdays for day in found), at, timezone)
        monthdays = tuple(int(part) if re.fullmatch(r"-?\d{1,2}", part) else part for part in parts)
        return Monthdays(monthdays, at, timezone)
    except SchedulerError as error:
        raise InvalidValue(f"timetable: {EXPECTED}, got {shown(text)}: {error}") from None


def _time(hour: str, minute: str, text: str) -> TimeOnDay:
    at = int(hour), int(minute)
    if at > (23, 59) or at[1] > 59:
        raise InvalidValue(f"timetable: expected a time of day from 00:00 to 23:59, got {shown(text)}")
    return at


def _weekdays(part: str) -> list[int]:
    """Return the days of the week (1 = Monday) of "mon", "monday", "mon-fri", "weekdays"; none for anything else."""
    if part in ("weekdays", "weekday"):
        return [1, 2, 3, 4, 5]
    ends = [_weekday(end.strip()) for end in part.split("-")]
    if len(ends) > 2 or 0 in ends:
        return []
    first, last = ends[0], ends[-1]
    return [(day - 1) % 7 + 1 for day in range(first, last + 1 if last >= first else last + 8)]


def _weekday(name: str) -> int:
    """Return the number of a weekday by its name or the first letters of it, 0 if it is none."""
    found = [number for number, full in enumerate(WEEKDAYS, 1) if len(name) > 2 and full.startswith(name)]
    return found[0] if len(found) == 1 else 0


def code_of(trigger: Trigger) -> str:
    """Return the line of Python that adds a task with a trigger."""
    if isinstance(trigger, Cron):
        return f"add_cron_task(action, {trigger.line!r}, timezone={trigger.timezone!r})"
    if isinstance(trigger, Interval):
        return f"add_interval_task(action, interval={trigger.seconds:g})"
    if isinstance(trigger, Weekdays):
        return f"add_weekday_task(action, {list(trigger.days)}, {_code(trigger.times)}, timezone={trigger.timezone!r})"
    if isinstance(trigger, Monthdays):
        return f"add_monthday_task(action, {list(trigger.days)}, {_code(trigger.times)}, timezone={trigger.timezone!r})"
    return f"add_task(action, {in_words(trigger)})"


def _code(times: tuple[TimeOnDay, ...]) -> str:
    return repr(times[0] if len(times) == 1 else list(times))
