"""The slow truth: a scan over UTC, minute by minute, that knows no algorithm of a trigger.

A real minute *shows* a wall time. A wall time *arrives* at the first real minute that shows it or a later one: so what
a gap skips arrives together at its end, and what a fold shows again has arrived already.
"""

from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DAY = 1440  # in minutes; wall times are counted in minutes since 1970 as well
LEAD = 2 * DAY  # a fold shortly before the window is in the scan


class Scan:
    """What the clocks of a zone show from one real minute to another (minutes since 1970, the end excluded).

    Only wall times at ``times`` (minutes of the day) are kept: a year of all of them takes its time.
    """

    def __init__(self, zone: str, start: int, end: int, times) -> None:
        self.start, self.end = start, end
        tz, minute, step = ZoneInfo(zone), EPOCH + timedelta(minutes=start - LEAD), timedelta(minutes=1)
        #: (real minute, wall minute): what is shown, and what arrives.
        self.shown: list[tuple[int, int]] = []
        self.arrivals: list[tuple[int, int]] = []
        known, ahead, highest = None, 0, None
        for real in range(start - LEAD, end):
            offset = minute.astimezone(tz).utcoffset()
            minute += step
            if offset is not known:
                known, ahead = offset, (offset.days * 86400 + offset.seconds) // 60
            wall = real + ahead
            if wall % DAY in times:
                self.shown.append((real, wall))
            if highest is None or wall == highest + 1:
                if wall % DAY in times:
                    self.arrivals.append((real, wall))
                highest = wall
            elif wall > highest:  # a gap
                self.arrivals.extend((real, late) for late in range(highest + 1, wall + 1) if late % DAY in times)
                highest = wall
        self.shown = [(real, wall) for real, wall in self.shown if real >= start]
        self.arrivals = [(real, wall) for real, wall in self.arrivals if real >= start]

    def fixed(self, times, has_day, seconds=(0,)):
        """Return when a timetable of fixed wall times fires: what arrives, once an instant.

        Of a minute that was skipped no second was ever shown: all of them arrive with the first minute after it.
        """
        shown = set(self.shown) if set(seconds) != {0} else None
        return _instants(self.arrivals, times, has_day, seconds, shown)

    def real(self, times, has_day, seconds=(0,)):
        """Return when a timetable in real time fires: whenever the clock shows such a time."""
        return _instants(self.shown, times, has_day, seconds, None)


def _instants(pairs, times, has_day, seconds, shown):
    found = set()
    for real, wall in pairs:
        if wall % DAY in times and has_day(wall // DAY):
            late = shown is not None and (real, wall) not in shown
            found.update(real * 60.0 + second for second in ((0,) if late else seconds))
    return sorted(found)


@cache
def date_of(day):
    """Return the date of a day counted from 1970-01-01."""
    return (EPOCH + timedelta(days=day)).date()


def on_weekdays(days):
    """Return a test for days: ISO weekdays."""
    return lambda day: date_of(day).isoweekday() in days


def on_monthdays(days):
    """Return a test for days: days of the month."""
    return lambda day: date_of(day).day in days


@cache
def changes(zone):
    """Return the real minutes from 1970 to 2100 at which a zone's offset changes, by samples and bisection."""
    tz = ZoneInfo(zone)

    def offset(minute):
        return (EPOCH + timedelta(minutes=minute)).astimezone(tz).utcoffset()

    found, stride = [], 3 * DAY
    last = offset(0)
    for low in range(0, 131 * 365 * DAY, stride):
        high = low + stride
        if (now := offset(high)) == last:
            continue
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if offset(middle) == last else (low, middle)
        found.append(high)
        last = now
    return found


def fires(trigger, after, end):
    """Return the fires of a trigger in (after, end), asked one from the other."""
    found = []
    moment = trigger.next_after(after)
    while moment is not None and moment < end:
        found.append(moment)
        moment = trigger.next_after(moment)
    return found
