"""Triggers by wall time: days of the week, days of the month, cron lines, in a zone.

The rules for clock changes are in :mod:`tgscheduler.timetable.zones`; a cron line in which a clock field begins with
``*`` follows real time through them.
"""

import functools
import math
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from tgscheduler.timetable import cron, zones
from tgscheduler.timetable.checks import TimeOnDay, check_times
from tgscheduler.timetable.compose import Composable
from tgscheduler.timetable.days import MonthDay, check_days, check_monthdays, days_in

_DAY = timedelta(days=1)

#: More seconds than any change of an offset moves the clock by.
_NEAR = 3 * zones.DAY
_BEFORE_MIDNIGHT: TimeOnDay = (-1, 0)


@dataclass(frozen=True, slots=True)
class Weekdays(Composable):
    """Fire on days of the week, 1 (Monday) to 7, at one or several times of day of a zone (None: UTC).

    ``timeonday``: (hour, minute), a ``datetime.time``, an hour, or a list of the first two. ``times`` has them as
    pairs, in order.

    >>> Weekdays(range(1, 6), [(19, 0), (7, 30)], "Europe/Berlin").times
    ((7, 30), (19, 0))
    """

    days: tuple[int, ...]
    timeonday: TimeOnDay | tuple[TimeOnDay, ...]
    timezone: str | None = None
    times: tuple[TimeOnDay, ...] = field(init=False, repr=False, compare=False)
    _zone: ZoneInfo = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _set(self, check_days("weekdays", self.days, 7))

    def _next(self, moment: float) -> float | None:
        tz, days, times = self._zone, self.days, self.times
        day = zones.wall(moment, tz).replace(second=0)
        passed = (day.hour, day.minute)
        for _ in range(400):
            if day.isoweekday() in days:
                for at in times:
                    if at > passed:  # a wall time that has passed is never later than the moment
                        fire = zones.instant(day.replace(hour=at[0], minute=at[1]), tz)
                        if fire > moment:
                            return float(fire)
            passed = _BEFORE_MIDNIGHT
            day += _DAY
        return None

    def on_scheduled_day(self, moment: float) -> bool:
        """Return whether ``moment`` is on one of the days."""
        return zones.wall(moment, self._zone).isoweekday() in self.days


@dataclass(frozen=True, slots=True)
class Monthdays(Composable):
    """Fire on days of the month at one or several times of day (see :class:`Weekdays`) of a zone (None: UTC).

    Days are 1 to 31, -1 (the last day) to -31, ``"last"``, and weekdays such as ``"2nd tuesday"`` or ``"last fri"``;
    a string alone is one such day. Months that lack a day are skipped, never moved to their last day.

    >>> Monthdays(["last", "second tuesday", 15], (2, 30)).days
    (15, '2nd tuesday', -1)
    """

    days: tuple[MonthDay, ...]
    timeonday: TimeOnDay | tuple[TimeOnDay, ...]
    timezone: str | None = None
    times: tuple[TimeOnDay, ...] = field(init=False, repr=False, compare=False)
    _zone: ZoneInfo = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _set(self, check_monthdays(self.days))

    def _next(self, moment: float) -> float | None:
        tz, times = self._zone, self.times
        now = zones.wall(moment, tz)
        year, month, today, passed = now.year, now.month, now.day, (now.hour, now.minute)
        for _ in range(14):
            for day in days_in(self.days, year, month):
                if day < today:
                    continue
                for at in times:
                    if day > today or at > passed:  # a wall time that has passed is never later than the moment
                        fire = zones.instant(datetime(year, month, day, *at), tz)
                        if fire > moment:
                            return float(fire)
            today = 0
            year, month = (year, month + 1) if month < 12 else (year + 1, 1)
        return None

    def on_scheduled_day(self, moment: float) -> bool:
        """Return whether ``moment`` is on one of the days."""
        day = zones.wall(moment, self._zone)
        return day.day in days_in(self.days, day.year, day.month)


def _set(trigger: Weekdays | Monthdays, days: tuple[MonthDay, ...]) -> None:
    times = check_times(trigger.timeonday)
    object.__setattr__(trigger, "days", days)
    object.__setattr__(trigger, "timeonday", times[0] if len(times) == 1 else times)
    object.__setattr__(trigger, "times", times)
    object.__setattr__(trigger, "_zone", zones.zone(trigger.timezone))


@dataclass(frozen=True, slots=True)
class Cron(Composable):
    """Fire when a cron line matches the wall time of a zone (None: UTC).

    A line whose second, minute or hour begins with ``*`` follows real time through clock changes; each wall time of
    any other line fires once a day, as in cron. ``day_and``: day of month and day of week must both match.
    """

    line: str
    timezone: str | None = None
    day_and: bool = False
    _fires: "_Fires" = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        zones.zone(self.timezone)
        cron.parse(self.line, self.day_and)
        object.__setattr__(self, "_fires", _fires(self.line, self.timezone, bool(self.day_and)))

    def next_after(self, moment: float) -> float | None:
        """Return the next match, None when there is none for 50 years."""
        asked, answer = self._fires.last
        if type(moment) is float and asked <= moment < answer:
            return answer
        return Composable.next_after(self, moment)

    def _next(self, moment: float) -> float | None:
        return self._fires.next_after(moment)

    @property
    def follows_real_time(self) -> bool:
        """Whether it follows real time through clock changes: second, minute or hour begins with ``*``."""
        return self._fires.cron.wildcard


class _Fires:
    """A cron line in a zone, shared by all equal triggers: ten thousand tasks compute one next fire time."""

    __slots__ = ("_tz", "cron", "key", "last")

    def __init__(self, line: str, timezone: str | None, day_and: bool) -> None:
        self.key = (line, timezone, day_and)
        self.cron = cron.parse(line, day_and)
        self._tz = zones.zone(timezone)
        #: The last moment that was looked up, and its next fire time; that is also the one of every moment between
        #: them. One tuple, so that no thread sees a mixed pair.
        self.last = (math.inf, -math.inf)

    def next_after(self, moment: float) -> float | None:
        fire = self._next_real(math.floor(moment)) if self.cron.wildcard else self._next_fixed(moment)
        if fire is not None:
            self.last = (moment, fire)
        return fire

    def _next_fixed(self, moment: float) -> float | None:
        when: datetime | None = zones.wall(moment, self._tz)
        while (when := self.cron.next_after(when)) is not None:  # type: ignore[arg-type]
            fire = zones.instant(when, self._tz)
            if fire > moment:
                return float(fire)
        return None

    def _next_real(self, moment: int) -> float | None:
        """Return the next fire time in real time: plain arithmetic between two changes of the offset."""
        tz = self._tz
        while True:
            ahead = zones.offset(moment, tz)
            when = self.cron.next_after(zones.naive(moment + ahead))
            if when is None:
                return None
            fire = zones.seconds_of(when) - ahead
            if fire - moment > 2 * _NEAR and zones.next_change(moment, tz, moment + _NEAR) is None:
                # No wall time in between matches, whatever the offset becomes: no change moves it by that much.
                moment = fire - _NEAR
                if moment > zones.END:
                    return None
                continue
            change = zones.next_change(moment, tz, fire)
            if change is None:
                return float(fire)
            # The change's own second belongs to the new offset: search from one second before it, in new wall time.
            after = zones.offset(change, tz)
            when = self.cron.next_after(zones.naive(change - 1 + after))
            if when is None:
                return None
            fire = zones.seconds_of(when) - after
            if zones.next_change(change, tz, fire) is None:
                return float(fire)
            moment = change

    def __reduce__(self) -> tuple[Any, ...]:
        return _fires, self.key


@functools.lru_cache(maxsize=4096)
def _fires(line: str, timezone: str | None, day_and: bool) -> _Fires:
    return _Fires(line, timezone, day_and)
