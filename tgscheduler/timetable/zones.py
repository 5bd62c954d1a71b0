"""Wall time to POSIX seconds and back; the rules for clock changes are here and nowhere else.

A wall time inside a *gap* (the clock jumped over it) is due at the first instant after the gap; a wall time inside a
*fold* (the clock showed it twice) is due at the first of the two. Real-time instants have neither.
"""

import functools
import itertools
import math
import zoneinfo
from datetime import UTC, datetime, timedelta, tzinfo

from tgscheduler.clock import posix_zone
from tgscheduler.errors import InvalidType, InvalidValue
from tgscheduler.messages import shown

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NAIVE_EPOCH = datetime(1970, 1, 1)
DAY = 86400

#: The calendar of all triggers: from the year 2 to the end of 9998, so that each of its dates has a day before and
#: after it in every zone.
START = -62_104_060_800.0
END = 253_370_764_800.0


#: What a host's configuration says until a zone is chosen.
_PLACEHOLDER = "Factory"


def names() -> list[str]:
    """Return the IANA names that there are."""
    return sorted(zoneinfo.available_timezones() - {_PLACEHOLDER})


def zone(name: str | None) -> zoneinfo.ZoneInfo:
    """Return the zone of an IANA name, None being UTC, or of ``TZ=`` and a POSIX rule.

    Raises InvalidValue, with the nearest name, when there is none of that name.
    """
    if name is not None and not isinstance(name, str):
        raise InvalidType(f"timezone: expected an IANA name such as 'Europe/Berlin', got {shown(name)}")
    return _zone("UTC" if name is None else name)


@functools.lru_cache(maxsize=1024)
def _zone(name: str) -> zoneinfo.ZoneInfo:
    if name.startswith("right/"):
        plain = name.removeprefix("right/")
        raise InvalidValue(f"{shown(name)} counts leap seconds, which POSIX time does not; write {shown(plain)}")
    if name == _PLACEHOLDER:
        raise InvalidValue(f"{name!r} is no time zone, but stands for one that was never set")
    try:
        return posix_zone(name.removeprefix("TZ=")) if name.startswith("TZ=") else zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise InvalidValue(f"{shown(name)} is no time zone{_nearest(name)}") from None


def _nearest(name: str) -> str:
    import difflib

    known = names()
    last = {each.rpartition("/")[2].lower(): each for each in known}
    found = difflib.get_close_matches(name.lower().replace(" ", "_"), list(last), n=1, cutoff=0.75)
    near = last[found[0]] if found else next(iter(difflib.get_close_matches(name, known, n=1)), None)
    return f"; did you mean {near!r}?" if near else "; expected an IANA name such as 'Europe/Berlin'"


def wall(moment: float, tz: tzinfo) -> datetime:
    """Return the wall time at ``moment``, to the second, as a naive datetime."""
    return (_EPOCH + timedelta(seconds=math.floor(moment))).astimezone(tz).replace(tzinfo=None)


def offset(moment: int, tz: tzinfo) -> int:
    """Return the seconds by which wall time is ahead of UTC at ``moment``."""
    return _seconds((_EPOCH + timedelta(seconds=moment)).astimezone(tz).utcoffset())


def instant(when: datetime, tz: tzinfo) -> int:
    """Return the POSIX seconds at which a naive wall time is due: after a gap, first in a fold."""
    naive = seconds_of(when)
    aware = when.replace(tzinfo=tz, fold=0)
    first = naive - _seconds(aware.utcoffset())
    second = naive - _seconds(aware.replace(fold=1).utcoffset())
    if first <= second:
        return first
    return _first_with_other_offset(second, first, tz)


def moment_of(when: datetime) -> float:
    """Return the POSIX seconds of an aware datetime: after a gap; in a fold its ``fold`` selects the pass."""
    before, after = (_seconds(when.replace(fold=fold).utcoffset()) for fold in (0, 1))
    if before >= after:
        return when.timestamp()
    assert when.tzinfo is not None
    naive = seconds_of(when.replace(tzinfo=None))
    return float(_first_with_other_offset(naive - after, naive - before, when.tzinfo))


def next_day(moment: float, tz: tzinfo) -> int:
    """Return the first instant after ``moment`` that may lie on another date: the day's end, or a change before it."""
    start = math.floor(moment)
    day = wall(start, tz).replace(hour=0, minute=0, second=0)
    end = seconds_of(day + timedelta(days=1)) - offset(start, tz)
    change = next_change(start, tz, end)
    return end if change is None else change


def next_change(moment: int, tz: tzinfo, until: int) -> int | None:
    """Return the first instant in (moment, until] at which the UTC offset changes, None when there is none."""
    until = min(until, int(END) - 1)
    if until - moment < 6 * DAY and offset(moment, tz) == offset(until, tz):
        return None  # no zone has changed twice within six days since 1970
    for year in range(_year(moment), _year(until) + 1):
        for change in _changes(tz, year):
            if moment < change <= until:
                return change
    return None


@functools.lru_cache(maxsize=4096)
def _changes(tz: tzinfo, year: int) -> tuple[int, ...]:
    """Return the instants in one year (UTC) at which the offset changes; daily samples find them all."""
    start, end = (seconds_of(datetime(y, 1, 1)) for y in (year, year + 1))
    offsets = [offset(day, tz) for day in range(start - 1, end + DAY - 1, DAY)]
    return tuple(
        change
        for number, (before, after) in enumerate(itertools.pairwise(offsets))
        if before != after
        and (change := _first_with_other_offset(start - 1 + number * DAY, start - 1 + (number + 1) * DAY, tz)) < end
    )


def _year(moment: int) -> int:
    return (_EPOCH + timedelta(seconds=moment)).year


def seconds_of(when: datetime) -> int:
    """Return a naive datetime as seconds since 1970, as if it were UTC."""
    delta = when - _NAIVE_EPOCH
    return delta.days * DAY + delta.seconds


def _first_with_other_offset(low: int, high: int, tz: tzinfo) -> int:
    """Return the first second in (low, high] whose offset is not that of ``low``."""
    before = offset(low, tz)
    while high - low > 1:
        middle = (low + high) // 2
        if offset(middle, tz) == before:
            low = middle
        else:
            high = middle
    return high


def _seconds(delta: timedelta | None) -> int:
    assert delta is not None  # every ZoneInfo has an offset
    return delta.days * DAY + delta.seconds


def naive(seconds: int) -> datetime:
    """Return seconds since 1970 as a naive datetime: the inverse of :func:`seconds_of`."""
    return _NAIVE_EPOCH + timedelta(seconds=seconds)
