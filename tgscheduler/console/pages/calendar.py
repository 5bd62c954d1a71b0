"""Calendar: a month, a cell a day: what came of the past, what is to come, and what falls together."""

import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable
from datetime import date, timedelta
from typing import NamedTuple

from tgscheduler.console.console import Console
from tgscheduler.console.http import Problem, Request, Response
from tgscheduler.console.polling import polled
from tgscheduler.console.render import times_of
from tgscheduler.console.routes import Parameter, Route
from tgscheduler.timetable.run import OK
from tgscheduler.views import BAD_STATES, UNRUN_STATES, DayView, Fires, FireView

#: Years that a calendar shows.
FIRST_YEAR, LAST_YEAR = 1970, 2200

#: Maximum number of tasks that are looked at for collisions, and of the fires of one of them in a day: a task that
#: fires more often meets every other one.
COMPARED = 40
SELDOM = 4

#: Maximum number of tasks that are listed on a day, those that fire first, and of the fires of one that are found.
LISTED = 60
FIRES = 24

_DAY = 86400.0


class Cell(NamedTuple):
    """One day of the calendar."""

    day: DayView
    in_month: bool
    is_today: bool
    ok: int
    bad: int
    unrun: int
    #: Number of minutes to come in which tasks meet.
    meetings: int

    @property
    def next_date(self) -> date:
        """The date of the day after."""
        return self.day.date + timedelta(days=1)

    @property
    def is_empty(self) -> bool:
        """Whether nothing was due, and nothing will be."""
        return not (self.day.fires or sum(self.day.counts.values()))


@polled
def show(console: Console, request: Request) -> Response:
    """Show a month, and below it one of its days if that is asked for."""
    times = times_of(console, request)
    today = times.wall(times.now).date()
    month = _month(request.arguments["month"]) or today.replace(day=1)
    cells = _cells(console, month, today, times.tz.key)
    chosen = _chosen(request.arguments["day"], cells)
    fires = _fires(console, chosen)
    return console.render(
        request,
        "calendar.html",
        month=month,
        before=_before(month),
        after=_after(month),
        weeks=[cells[place : place + 7] for place in range(0, len(cells), 7)],
        bad=sum(cell.bad for cell in cells if cell.in_month),
        bad_states=BAD_STATES,
        unrun_states=UNRUN_STATES,
        chosen=chosen,
        rows=_by_task(fires.items),
        meetings=_meetings(fires.items),
        dense=fires.dense,
        faults=fires.faults,
        left_out=max(0, len(console.reader.tasks()) - LISTED),
        seldom=SELDOM,
    )


def _cells(console: Console, month: date, today: date, timezone: str) -> list[Cell]:
    """Return the days of a month, and those beside it that fill its first and last week."""
    first = month - timedelta(days=month.weekday())
    weeks = -(-((_after(month) - first).days) // 7)
    days = console.reader.days(first, 7 * weeks, timezone)
    return [
        Cell(
            day,
            in_month=day.date.month == month.month,
            is_today=day.date == today,
            ok=day.counts.get(OK, 0),
            bad=sum(day.counts.get(state, 0) for state in BAD_STATES),
            unrun=sum(day.counts.get(state, 0) for state in UNRUN_STATES),
            meetings=meetings,
        )
        for day, meetings in zip(days, _meetings_by_day(console, days), strict=True)
    ]


def _month(text: str | None) -> date | None:
    if text is None:
        return None
    found = re.fullmatch(r"(\d{4})-(0[1-9]|1[0-2])", text, re.ASCII)
    if found is None or not FIRST_YEAR <= int(found[1]) <= LAST_YEAR:
        expected = f"one from {FIRST_YEAR}-01 to {LAST_YEAR}-12, such as 2026-11"
        raise Problem(400, detail=f"month: expected {expected}, got {text[:100]!r}.")
    return date(int(found[1]), int(found[2]), 1)


def _before(month: date) -> date:
    return (month - timedelta(days=1)).replace(day=1)


def _after(month: date) -> date:
    return (month + timedelta(days=31)).replace(day=1)


def _chosen(text: str | None, cells: Iterable[Cell]) -> Cell | None:
    if text is None:
        return None
    found = next((cell for cell in cells if cell.day.date.isoformat() == text), None)
    if found is None:
        raise Problem(400, detail=f"day: expected one of the month, such as 2026-11-25, got {text[:100]!r}.")
    return found


def _fires(console: Console, chosen: Cell | None) -> Fires:
    """Return the fires to come on the day that is asked for, none if none is."""
    if chosen is None:
        return Fires([], frozenset(), {})
    names = [task.name for task in console.reader.tasks()[:LISTED]]
    return console.reader.fires(max(chosen.day.begin, console.reader.now), chosen.day.end, names, FIRES)


def _meetings_by_day(console: Console, days: list[DayView]) -> list[int]:
    """Return, by day, the number of minutes to come in which tasks meet."""
    reader, now = console.reader, console.reader.now
    begin, end = max(days[0].begin, now), days[-1].end
    if end <= now:
        return [0] * len(days)
    names = [task.name for task in reader.tasks()[:COMPARED]]
    often = reader.fires(begin, begin + _DAY, names, SELDOM).dense
    fires = reader.fires(begin, end, [name for name in names if name not in often], SELDOM * len(days))
    begins, found = [day.begin for day in days], [list[FireView]() for _ in days]
    for fire in fires.items:
        if fire.task not in fires.dense:
            found[bisect_right(begins, fire.fire_at) - 1].append(fire)
    return [len(_meetings(of_day)) for of_day in found]


def _meetings(fires: Iterable[FireView]) -> list[tuple[float, list[str]]]:
    """Return the minutes of a day (POSIX seconds of their beginning) in which tasks meet, and these tasks."""
    minutes: defaultdict[float, dict[str, None]] = defaultdict(dict)
    for name, found in _by_task(fires):
        if len(found) <= SELDOM:
            for fire in found:
                minutes[fire.fire_at // 60 * 60][name] = None
    return [(minute, list(names)) for minute, names in sorted(minutes.items()) if len(names) > 1]


def _by_task(fires: Iterable[FireView]) -> list[tuple[str, list[FireView]]]:
    """Return the fires of each task, in the order of their first ones."""
    found: defaultdict[str, list[FireView]] = defaultdict(list)
    for fire in fires:
        found[fire.task].append(fire)
    return list(found.items())


ROUTES = (
    Route(
        "GET",
        "calendar",
        show,
        "viewer",
        "A month: fires to come, what became of the past, and collisions.",
        (
            Parameter("month", doc="The month, such as 2026-11; the present one if there is none."),
            Parameter("day", doc="A day of it whose fires are listed, such as 2026-11-25."),
        ),
    ),
)
