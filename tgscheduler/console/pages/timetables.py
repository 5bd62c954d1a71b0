"""A timetable as a person types it: its next fires, or what is wrong with it, beside the field."""

import functools
from typing import NamedTuple

from tgscheduler.errors import SchedulerError
from tgscheduler.timetable import zones
from tgscheduler.views import Preview, Reader

#: What a person may type, and what it means.
EXAMPLES = {
    "0 9 * * 1-5": "a cron line: at 09:00 from Monday to Friday",
    "every 90 s": "an interval, in seconds, minutes, hours, days or weeks",
    "mon-fri 09:00": "days of the week, at a time of day or several",
    "1,15 02:30": "days of the month",
    "last 23:00": "the last day of the month; also 2nd tue, last fri",
    "daily 07:30 19:00": "every day, twice",
    "@hourly": "an alias of a cron line",
}

#: Areas whose zones are places; the others are older names of them.
_AREAS = ("Africa", "America", "Antarctica", "Asia", "Atlantic", "Australia", "Europe", "Indian", "Pacific")


class Typed(NamedTuple):
    """A timetable and a zone as they were typed, and what they mean; no preview: a field is empty, or has an error."""

    line: str
    zone: str
    errors: dict[str, str]
    preview: Preview | None = None


def typed(reader: Reader, line: str, zone: str, fires: int) -> Typed:
    """Return what a timetable means, with its next ``fires`` fires."""
    try:
        zones.zone(zone)
    except SchedulerError as error:
        return Typed(line, zone, {"zone": str(error)})
    if not line:
        return Typed(line, zone, {})
    try:
        return Typed(line, zone, {}, reader.simulate(line, zone, n=fires))
    except SchedulerError as error:
        return Typed(line, zone, {"line": str(error).removeprefix("timetable: ")})


@functools.cache
def zone_names() -> tuple[str, ...]:
    """Return the names of time zones to choose from."""
    return ("UTC", *(name for name in zones.names() if name.partition("/")[0] in _AREAS))
