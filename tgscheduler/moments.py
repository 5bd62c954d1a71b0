"""Moments as people and programs write them: text or a number to POSIX seconds, and back to ISO 8601.

=====================================  =====================================================
``2026-11-25T09:00:00+01:00``, ``…Z``  that moment
``1764057600``, ``1764057600.5``       POSIX seconds
``2026-11-25 09:00``, ``2026-11-25``   wall time in a named zone; of a date, its beginning
``09:00``                              today, or if asked for a moment ahead, the next time
``now``                                the present
=====================================  =====================================================
"""

import re
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from tgscheduler.errors import InvalidType, InvalidValue
from tgscheduler.messages import shown
from tgscheduler.timetable import zones
from tgscheduler.timetable.checks import check_moment

#: The forms, for messages and documents.
FORMS = "'2026-11-25T09:00:00+01:00', '2026-11-25 09:00' or '09:00' in a named zone, or POSIX seconds"

#: The largest number of POSIX seconds, before and after 1970: a larger one is milliseconds by mistake.
LARGEST = 9_999_999_999

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_NUMBER = re.compile(r"[+-]?\d{1,12}(\.\d{1,9})?", re.ASCII)
_TIME = re.compile(r"\d\d:\d\d(:\d\d)?", re.ASCII)
_DATE = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:\d\d)?)?", re.ASCII)


def parse_moment(what: str, value: object, timezone: str, now: float, ahead: bool = False) -> float:
    """Return a moment in POSIX seconds; wall time is read in ``timezone``, an IANA name.

    A time of day alone is today's, or the next one if the moment is to be ``ahead`` of ``now``. Raises InvalidValue or
    InvalidType.
    """
    if not isinstance(value, str):
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return _number(what, value)
        raise InvalidType(f"{what}: expected {FORMS}, got {shown(value)}")
    text, tz = value.strip(), zones.zone(timezone)
    try:
        if text == "now":
            return now
        if _NUMBER.fullmatch(text):
            return _number(what, float(text))
        if _TIME.fullmatch(text):
            return _time_of_day(time.fromisoformat(text), tz, now, ahead)
        if _DATE.fullmatch(text):
            when = datetime.fromisoformat(text)
            return _dated(what, zones.moment_of(when if when.tzinfo else when.replace(tzinfo=tz)))
    except InvalidValue:
        raise
    except (ValueError, OverflowError) as error:
        raise InvalidValue(f"{what}: {shown(value)} is no moment: {error}") from None
    mend = "; a + in a URL is written %2B" if re.search(r"T.* \d\d:\d\d$", text) else ""
    raise InvalidValue(f"{what}: expected {FORMS}, got {shown(value)}{mend}")


def _number(what: str, value: float) -> float:
    moment = check_moment(what, value, None)
    if abs(moment) > LARGEST:
        raise InvalidValue(f"{what}: expected at most {LARGEST} POSIX seconds, got {moment:.0f}; is it milliseconds?")
    return moment


def _dated(what: str, moment: float) -> float:
    if not zones.START < moment < zones.END:
        raise InvalidValue(f"{what}: expected a moment of the years 2 to 9998, got {moment:.0f} POSIX seconds")
    return moment


def _time_of_day(clock: time, tz: ZoneInfo, now: float, ahead: bool) -> float:
    today = datetime.combine(zones.wall(now, tz).date(), clock)
    moment = float(zones.instant(today, tz))
    return moment if moment > now or not ahead else float(zones.instant(today + timedelta(days=1), tz))


def iso(moment: float, timezone: str) -> str:
    """Return a moment as ISO 8601 with the zone's offset, to the millisecond if it has a fraction.

    An offset with seconds, as before 1900, is no ISO 8601: such a moment is given in UTC. Raises OverflowError beyond
    the calendar.

    >>> iso(1764057600.0, "Europe/Berlin")
    '2025-11-25T09:00:00+01:00'
    """
    when = _EPOCH + timedelta(milliseconds=round(moment * 1000))
    there = when.astimezone(zones.zone(timezone))
    ahead = there.utcoffset()
    if ahead is not None and ahead.seconds % 60 == 0:
        when = there
    return when.isoformat(timespec="milliseconds" if when.microsecond else "seconds")
