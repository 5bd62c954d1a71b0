"""Triggers and moments in plain English, for pages, log lines and ``explain``."""

import itertools
import math
import re
from collections.abc import Callable, Iterable
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

from cronsim.explain import explain

from tgscheduler.messages import printable
from tgscheduler.timetable import cron, zones
from tgscheduler.timetable.calendars import Cron, Monthdays, Weekdays
from tgscheduler.timetable.checks import TimeOnDay
from tgscheduler.timetable.compose import Between, Either, ExceptOn, Trigger, zones_of
from tgscheduler.timetable.days import NTH, WEEKDAYS, MonthDay
from tgscheduler.timetable.intervals import Interval, Once

#: Maximum number of characters shown of a name or ``repr`` from outside this package.
_LONGEST = 100

#: Maximum number of times, and of dates, that are listed; longer lists are counted.
_MOST_TIMES = 6
_MOST_DATES = 3

_UNITS = (("hour", 3600), ("minute", 60), ("second", 1))
_DAY = 86400


def in_words(trigger: Trigger) -> str:
    """Return when a trigger fires, as part of a sentence; for a custom trigger its ``repr``, shortened and printable.

    >>> in_words(Weekdays(range(1, 6), [(7, 30), (19, 0)], "Europe/Berlin"))
    'on weekdays (Mon-Fri) at 07:30 and 19:00, Europe/Berlin'
    """
    say = _SAYINGS.get(type(trigger))
    return say(trigger) if say else _shown(trigger)


def day_rule_warning(line: str) -> str | None:
    """Return a warning if a cron line restricts both day fields: either suffices then, but many users mean both."""
    parsed = cron.parse(line)
    if parsed.sim.day_and:
        return None
    day, weekday = line.split()[-3::2]
    return (
        f"cron line {line!r}: day-of-month {day!r} or day-of-week {weekday!r} suffices, as in cron: it fires "
        f"{_dates(parsed)}; where both must match, use Cron(line, day_and=True)"
    )


def stamp(moment: float, tz: ZoneInfo) -> str:
    """Return a moment as wall time, with the zone's abbreviation and offset."""
    try:
        wall, ahead = zones.wall(moment, tz), zones.offset(math.floor(moment), tz)
        name = wall.replace(tzinfo=tz, fold=_fold(moment, tz)).tzname() or ""
    except (OverflowError, ValueError):  # beyond the calendar
        return f"{moment:.3f} POSIX seconds"
    fraction = f"{moment - math.floor(moment):.3f}"[1:].rstrip("0").rstrip(".")
    hours, minutes = divmod(abs(ahead) // 60, 60)
    offset = f"{'-' if ahead < 0 else '+'}{hours:02d}:{minutes:02d}"
    said = f"{wall:%a %Y-%m-%d %H:%M:%S}{fraction}"
    return f"{said} {offset}" if not name.isalpha() else f"{said} {name} ({offset})"


def _fold(moment: float, tz: ZoneInfo) -> int:
    wall = zones.wall(moment, tz)
    return int(zones.moment_of(wall.replace(tzinfo=tz)) != math.floor(moment))


def none_until_in_words(until: float, tz: ZoneInfo) -> str:
    """Return the text for a search that found no fire time until ``until``."""
    return f"none found until {zones.wall(until, tz):%Y-%m-%d}"


def _once(trigger: Once) -> str:
    return f"once, {_moment(trigger.moment, None)} UTC"


def _interval(trigger: Interval) -> str:
    """Return an interval in its largest whole unit; one day is 24 hours, as a calendar day may have 23 or 25."""
    seconds = trigger.seconds
    if seconds % _DAY == 0 and seconds > _DAY:
        return f"every {seconds / _DAY:.0f} days"
    for unit, size in _UNITS:
        if seconds % size == 0:
            return f"every {unit}" if seconds == size else f"every {seconds / size:.0f} {unit}s"
    return f"every {seconds:.6f}".rstrip("0") + " seconds"


def _weekdays(trigger: Weekdays) -> str:
    days = trigger.days
    if len(days) == 7:
        said = "every day"
    elif days == (1, 2, 3, 4, 5):
        said = "on weekdays (Mon-Fri)"
    elif len(days) == 1:
        said = f"every {WEEKDAYS[days[0] - 1].capitalize()}"
    else:
        said = f"on {_listed(_runs(days, lambda day: WEEKDAYS[day - 1].capitalize()))}"
    return f"{said} at {_times(trigger.times)}, {trigger.timezone or 'UTC'}"


def _monthdays(trigger: Monthdays) -> str:
    numbers = [day for day in trigger.days if isinstance(day, int) and day > 0]
    if len(numbers) == 31:
        said = "every day"
    else:
        others = [_monthday(day) for day in trigger.days if day not in numbers]
        said = f"on {_listed(_runs(numbers, lambda day: f'the {_nth(day)}') + others)} of the month"
    return f"{said} at {_times(trigger.times)}, {trigger.timezone or 'UTC'}"


def _monthday(day: MonthDay) -> str:
    if isinstance(day, str):
        n, weekday = NTH[day]
        return f"the {_nth(n) if n else 'last'} {WEEKDAYS[weekday].capitalize()}"
    return "the last day" if day == -1 else f"the {_nth(-day)} to last day"


def _cron(trigger: Cron) -> str:
    parsed = cron.parse(trigger.line, trigger.day_and)
    *clock, day, month, weekday = parsed.sim.parts
    if day == "*" or weekday == "*":
        said = _explained([*clock, day, month, weekday])
    else:
        rule = "both must match" if parsed.sim.day_and else "either suffices"
        in_months = _part(parsed, 4).replace("every day", "").strip()
        said = f"{_clock(parsed)} {_dates(parsed)} ({rule}) {in_months}".rstrip()
    line = " ".join(trigger.line.split())
    return f"{said}, {trigger.timezone or 'UTC'} (cron {line})"


def _dates(parsed: cron.Cron) -> str:
    """Return the two day fields one after the other: cronsim's text for both hardly tells "either" from "both"."""
    word = "and" if parsed.sim.day_and else "or"
    return f"{_part(parsed, 3).replace('every month', 'the month')} {word} {_part(parsed, 5)}"


def _clock(parsed: cron.Cron) -> str:
    """Return the times of day in words."""
    return _explained([*parsed.sim.parts[:3], "*", "*", "*"]).removesuffix(" every day")


def _part(parsed: cron.Cron, place: int) -> str:
    """Return one of the three date fields in words."""
    fields = [*parsed.sim.parts[:3], "*", "*", "*"]
    fields[place] = parsed.sim.parts[place]
    return _explained(fields).removeprefix(_clock(parsed)).strip() or "every day"


def _explained(fields: list[str]) -> str:
    *others, weekday = fields
    said = explain(" ".join([*map(_distinct, others), _distinct(weekday, same=(0, 7))]))
    # cronsim 2.8 counts 21th, 22th, 23th, 31th (explain.py: ordinal)
    said = re.sub(r"\b([23])([123])th\b", lambda found: f"{found[1]}{found[2]}{_SUFFIXES[found[2]]}", said)
    return said[0].lower() + said[1:]


def _distinct(field: str, same: tuple[int, int] | None = None) -> str:
    """Return a field without repetition, as cronsim lists each item. ``same``: two numbers for one day."""
    items = field.split(",")
    if len(items) == 1:
        return field
    if not all(re.fullmatch(r"\d+(-\d+)?", item) for item in items):
        if same:
            items = [re.sub(rf"^{same[0]}(?=$|\D)(?!-)", str(same[1]), item) for item in items]
        return ",".join(dict.fromkeys(items))
    ranges = [range(int(item.partition("-")[0]), int(item.rpartition("-")[2]) + 1) for item in items]
    numbers = set(itertools.chain(*ranges))
    if same and numbers.issuperset(same):
        numbers.discard(same[0])
    if len(numbers) == sum(map(len, ranges)):
        return field
    return ",".join(_runs(sorted(numbers), str)).replace(" to ", "-")


def _either(trigger: Either) -> str:
    return "; or ".join(map(in_words, trigger.triggers))


def _except_on(trigger: ExceptOn) -> str:
    calendar = trigger.calendar
    if isinstance(calendar, frozenset):
        if not calendar:
            return in_words(trigger.trigger)
        days: list[date] = sorted(calendar)
        if len(days) <= _MOST_DATES:
            said = f"on {_listed([day.isoformat() for day in days])}"
        else:
            said = f"on {len(days)} dates from {days[0].isoformat()} to {days[-1].isoformat()}"
    elif hasattr(calendar, "__contains__"):
        said = f"on the dates of {_shown(type(calendar).__name__)}"  # its repr may list all of them
    else:
        said = f"where {_shown(getattr(calendar, '__name__', calendar))} says so"
    zone = "" if zones_of(trigger.trigger) == {trigger.timezone} else f" ({trigger.timezone or 'UTC'})"
    return f"{in_words(trigger.trigger)}, except {said}{zone}"


def _between(trigger: Between) -> str:
    found = zones_of(trigger.trigger)
    zone = found.pop() if len(found) == 1 else None
    bounds = (("from", trigger.start), ("to", trigger.end))
    said = " ".join(f"{word} {_moment(moment, zone)}" for word, moment in bounds if moment is not None)
    if not said:
        return in_words(trigger.trigger)
    return f"{in_words(trigger.trigger)}, {said} {zone or 'UTC'}"


_SAYINGS: dict[type, Callable[[Any], str]] = {
    Once: _once,
    Interval: _interval,
    Weekdays: _weekdays,
    Monthdays: _monthdays,
    Cron: _cron,
    Either: _either,
    ExceptOn: _except_on,
    Between: _between,
}


def _moment(moment: float, zone: str | None) -> str:
    """Return date and time in a zone; seconds and their fraction only if there are any."""
    try:
        wall = zones.wall(moment, zones.zone(zone))
    except OverflowError:  # datetime.max or datetime.min, given to mean "no bound"
        return f"the {'last' if moment > 0 else 'first'} day of the calendar"
    fraction = f"{moment - math.floor(moment):.6f}"[1:].rstrip("0").rstrip(".")
    seconds = f":{wall.second:02d}{fraction}" if wall.second or fraction else ""
    return f"{wall.date().isoformat()} {wall:%H:%M}{seconds}"


def _times(times: tuple[TimeOnDay, ...]) -> str:
    said = [f"{hour:02d}:{minute:02d}" for hour, minute in times]
    return _listed(said) if len(said) <= _MOST_TIMES else f"{len(said)} times from {said[0]} to {said[-1]}"


def _runs(days: Iterable[int], name: Callable[[int], str]) -> list[str]:
    """Return days by name, three or more in a row as one: Tuesday to Thursday."""
    runs: list[list[int]] = []
    for day in days:
        if runs and day == runs[-1][-1] + 1:
            runs[-1].append(day)
        else:
            runs.append([day])
    return [
        said
        for run in runs
        for said in ([f"{name(run[0])} to {name(run[-1])}"] if len(run) > 2 else [name(day) for day in run])
    ]


def _listed(said: list[str]) -> str:
    return said[0] if len(said) == 1 else f"{', '.join(said[:-1])} and {said[-1]}"


_SUFFIXES = {"1": "st", "2": "nd", "3": "rd"}


def _nth(number: int) -> str:
    suffix = "th" if 10 < number < 14 else _SUFFIXES.get(str(number)[-1], "th")
    return f"{number}{suffix}"


def _shown(what: object) -> str:
    """Return the ``repr`` of any object (a string as it is), printable and shortened; never raise."""
    try:
        text = what if isinstance(what, str) else repr(what)
    except Exception:
        text = f"a {type(what).__qualname__}"
    text = printable(text)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
