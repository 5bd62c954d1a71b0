"""Days of a calendar: how many fires each has by the timetables of now, and what became of those that came due."""

import functools
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import NamedTuple

from tgscheduler import clock as clocks
from tgscheduler.engine.views import TaskView
from tgscheduler.timetable import zones
from tgscheduler.timetable.compose import Trigger, next_fire
from tgscheduler.timetable.fire_counts import count_fires, is_quick
from tgscheduler.timetable.intervals import Interval

#: Maximum number of fires of one task in a day that are counted one by one.
_MOST = 1500

#: Maximum time (seconds) of one count of the fires to come.
LONGEST = 0.03


class DayView(NamedTuple):
    """One day of a zone, from ``begin`` to ``end`` (POSIX seconds; ``end`` not included)."""

    date: date
    begin: float
    end: float
    #: How many fires are to come, and whether that is all of them: otherwise there are at least so many.
    fires: int
    exact: bool
    #: The tasks with the most fires to come, most first.
    tasks: tuple[str, ...]
    #: What became of the occurrences that came due, by state.
    counts: Mapping[str, int]


def days_of(first: date, number: int, timezone: str) -> list[tuple[date, float, float]]:
    """Return days of a zone with their beginning and end."""
    tz = zones.zone(timezone)
    dates = [first + timedelta(days=n) for n in range(number + 1)]
    begins = [float(zones.instant(datetime(day.year, day.month, day.day), tz)) for day in dates]
    return list(zip(dates, begins, begins[1:], strict=False))


def day_views(
    days: Sequence[tuple[date, float, float]],
    views: Iterable[TaskView],
    counts: Mapping[date, Mapping[str, int]],
    now: float,
) -> list[DayView]:
    """Return what is to come on each day by the timetables of ``views``, beside ``counts`` of what was."""
    ahead: list[Counter[str]] = [Counter() for _ in days]
    inexact = [False] * len(days)
    deadline = clocks.elapsed() + LONGEST
    for view in views:
        if view.has_ended or view.upcoming_due is None:
            continue
        if clocks.elapsed() > deadline:
            inexact = [end > now for _, _, end in days]
            break
        for place, (_, begin, end) in enumerate(days):
            if end <= now:
                continue
            found, exact = _fires_on(view, max(begin, now), end, now)
            inexact[place] = inexact[place] or not exact
            if found:
                ahead[place][view.name] = found
    return [
        DayView(day, begin, end, sum(tasks.values()), not some, tuple(dict(tasks.most_common(5))), counts.get(day, {}))
        for (day, begin, end), tasks, some in zip(days, ahead, inexact, strict=True)
    ]


def _fires_on(view: TaskView, begin: float, end: float, now: float) -> tuple[int, bool]:
    """Return how many fires a task has from ``begin`` to ``end``, and whether that is exact."""
    due, trigger = view.upcoming_due, view.trigger
    assert due is not None
    first = max(due, view.held_until, now)
    if trigger is None:
        return int(begin <= first < end), True
    end, begin = min(end, math.nextafter(view.end, math.inf)), max(begin, first)
    if begin >= end:
        return 0, True
    one = int(begin == due and view.manual_due)
    if type(trigger) is Interval:
        return trigger.count(math.nextafter(begin, -math.inf), math.nextafter(end, -math.inf)) - 1 + one, True
    if not is_quick(trigger):
        return one, False
    found, exact = _count(trigger, begin, end)  # type: ignore[arg-type]  # quick ones are frozen values
    return found + one, exact


@functools.lru_cache(maxsize=20_000)
def _count(trigger: Trigger, begin: float, end: float) -> tuple[int, bool]:
    due = next_fire(trigger, math.nextafter(begin, -math.inf))
    if due is None or due >= end:
        return 0, True
    count, _, exact = count_fires(trigger, due, math.nextafter(end, -math.inf), _MOST)
    return count, exact
