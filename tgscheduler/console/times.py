"""Times for readers of the console: in the zone that they chose, with that zone shown; relative words; durations.

::

    08:42:00 CET               today
    Mon 09:00 CET              within a week
    1 Dec 02:30 CET            within the year
    Fri 20 Nov 2026 09:00:00 CET     full

Each is a ``<time datetime>``, so that ``console.js`` reads the moment from the page and keeps the countdowns going.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from markupsafe import Markup

from tgscheduler.errors import InvalidValue
from tgscheduler.explain.phrases import reason_in_words
from tgscheduler.timetable import zones

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MINUTE, _HOUR = 60, 3600

#: What stands where there is no number, and where there is no time.
DASH = "\u2013"
NONE = Markup('<span class="faint">\u2013</span>')


@dataclass(frozen=True, slots=True)
class Times:
    """The reader's zone, and the moment of the page (POSIX seconds)."""

    tz: ZoneInfo
    #: server, browser or utc.
    choice: str
    now: float

    @classmethod
    def chosen(cls, cookie: str | None, server: str, now: float) -> "Times":
        """Return the zone of a cookie: ``utc``, ``browser:Europe/Berlin``, else that of the server."""
        choice, _, name = (cookie or "server").partition(":")
        if choice == "utc":
            return cls(zones.zone("UTC"), choice, now)
        if choice == "browser":
            try:
                return cls(zones.zone(name), choice, now)
            except InvalidValue:
                pass  # a browser may know a zone that the server's data does not
        return cls(zones.zone(server), "server", now)

    @property
    def offset(self) -> int:
        """The seconds by which the reader's zone is ahead of UTC now."""
        return zones.offset(math.floor(self.now), self.tz)

    def wall(self, moment: float) -> datetime:
        """Return a moment as an aware datetime in the reader's zone, to the second."""
        return (_EPOCH + timedelta(seconds=math.floor(moment))).astimezone(self.tz)

    def abbreviation(self, moment: float) -> str:
        """Return the name of the reader's zone at a moment: CET, or UTC+03 for a zone that has no letters."""
        name = self.wall(moment).tzname() or ""
        return name if name[:1].isalpha() else f"UTC{name}"

    def at(self, moment: float | None) -> Markup:
        """Return a moment as short as its distance allows."""
        return self._time(moment, self._short)

    def full(self, moment: float | None) -> Markup:
        """Return a moment with date, year and second."""
        return self._time(moment, lambda wall: f"{_date(wall)} {wall:%Y} {wall:%H:%M:%S}")

    def dated(self, moment: float | None) -> Markup:
        """Return a moment with date and time, without the year if it is this year: for lists."""
        return self._time(moment, self._dated)

    def clock(self, moment: float | None) -> Markup:
        """Return the time of day to the second."""
        return self._time(moment, lambda wall: f"{wall:%H:%M:%S}")

    def relative(self, moment: float | None) -> Markup:
        """Return the distance from now in words: in 38 s, tomorrow, 3 min ago."""
        if moment is None or not math.isfinite(moment):
            return NONE
        return Markup('<time datetime="{}" data-relative>{}</time>').format(iso(moment), self.distance(moment))

    def distance(self, moment: float) -> str:
        """Return the text of :meth:`relative`."""
        ahead = moment - self.now
        if abs(ahead) < 0.5:
            return "now"
        words = _rough(abs(ahead))
        if words is not None:
            return f"in {words}" if ahead > 0 else f"{words} ago"
        days = (self.wall(moment).date() - self.wall(self.now).date()).days
        if abs(days) <= 1:
            return {1: "tomorrow", 0: "today", -1: "yesterday"}[days]
        return f"in {days} days" if days > 0 else f"{-days} days ago"

    def plain(self, moment: float) -> str:
        """Return a full moment as text without markup: for titles and labels."""
        wall = self.wall(moment)
        return f"{_date(wall)} {wall:%Y} {wall:%H:%M:%S} {self.abbreviation(moment)}"

    def reason(self, text: str) -> str:
        """Return a run's reason with the moments in it in the reader's zone."""
        return reason_in_words(text, self.tz, lambda moment, _: self._text(moment))

    def days(self, since: float, until: float) -> Iterator[float]:
        """Yield the midnights of the reader's zone within [since, until]."""
        day = self.wall(since).replace(tzinfo=None, hour=0, minute=0, second=0)
        while (moment := zones.instant(day, self.tz)) <= until:
            if moment >= since:
                yield moment
            day += timedelta(days=1)

    def _text(self, moment: float) -> str:
        return f"{self._short(self.wall(moment))} {self.abbreviation(moment)}"

    def _short(self, wall: datetime) -> str:
        now = self.wall(self.now)
        if wall.date() == now.date():
            return f"{wall:%H:%M:%S}"
        time = f"{wall:%H:%M:%S}".removesuffix(":00")
        if abs((wall.date() - now.date()).days) < 7:
            return f"{wall:%a} {time}"
        return f"{wall.day} {wall:%b} {time}" if wall.year == now.year else f"{wall.day} {wall:%b %Y} {time}"

    def _dated(self, wall: datetime) -> str:
        year = "" if wall.year == self.wall(self.now).year else f"{wall:%Y} "
        return f"{_date(wall)} {year}{wall:%H:%M:%S}"

    def _time(self, moment: float | None, text: Callable[[datetime], str]) -> Markup:
        if moment is None or not math.isfinite(moment):
            return NONE
        try:
            words, zone = text(self.wall(moment)), self.abbreviation(moment)
        except OverflowError:  # beyond the calendar
            return Markup("{:.0f} POSIX seconds").format(moment)
        shown = Markup('<time datetime="{}" title="{}">{} <abbr>{}</abbr></time>')
        return shown.format(iso(moment), utc(moment), words, zone)


def iso(moment: float) -> str:
    """Return a moment for machines, in UTC; with a fraction only if it has one."""
    whole = f"{_EPOCH + timedelta(seconds=math.floor(moment)):%Y-%m-%dT%H:%M:%S}"
    return f"{whole}{_fraction(moment)}Z"


def utc(moment: float) -> str:
    """Return a moment in UTC for people, to the millisecond."""
    return f"{_EPOCH + timedelta(seconds=math.floor(moment)):%Y-%m-%d %H:%M:%S}{_fraction(moment)} UTC"


def duration(seconds: float | None) -> str:
    """Return how long something took, in two figures or two units.

    >>> [duration(each) for each in (0.0004, 0.012, 0.41, 3.14, 41, 192, 7380, 200000)]
    ['0.4 ms', '12 ms', '0.41 s', '3.1 s', '41 s', '3 min 12 s', '2 h 3 min', '2 d 7 h']
    """
    if seconds is None or not math.isfinite(seconds):
        return DASH
    size = abs(seconds)
    sign = "-" if seconds < 0 else ""
    if size < 0.0995:
        return f"{sign}{size * 1000:.{0 if size >= 0.00095 or size == 0 else 1}f} ms"
    if size < 59.5:
        return f"{sign}{size:.{2 if size < 0.995 else 1 if size < 9.95 else 0}f} s"
    whole = round(size)
    for unit, smaller, length, part in (("d", "h", 86400, 3600), ("h", "min", 3600, 60), ("min", "s", 60, 1)):
        if whole >= length:
            rest = whole % length // part
            return f"{sign}{whole // length} {unit}" + (f" {rest} {smaller}" if rest else "")
    return f"{sign}{whole} s"


def _rough(seconds: float) -> str | None:
    """Return a distance as one number, None if it is counted in days. ``console.js`` has the same steps."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 100 * _MINUTE:
        return f"{seconds / _MINUTE:.0f} min"
    return f"{seconds / _HOUR:.0f} h" if seconds < 18 * _HOUR else None


def _date(wall: datetime) -> str:
    return f"{wall:%a} {wall.day} {wall:%b}"


def _fraction(moment: float) -> str:
    return f"{math.floor(moment % 1 * 1000) / 1000:.3f}"[1:].rstrip("0").rstrip(".")
