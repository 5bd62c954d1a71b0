"""A run's captured log as records, each with its level; a record's further lines belong to it."""

import re
from typing import NamedTuple

#: From the least to the most severe.
LEVELS = ("debug", "info", "warning", "error", "critical")

#: How log capture begins a record: time, level, logger.
_RECORD = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} (?P<level>\w+) ")


class Record(NamedTuple):
    """One record; ``level`` is one of LEVELS, or a level of the application's own, or "" for a line without one."""

    level: str
    text: str


def records(log: str, least: str = LEVELS[0]) -> list[Record]:
    """Return the records of a log from level ``least`` on; one of an unknown level is never left out."""
    found: list[Record] = []
    for line in log.splitlines():
        start = _RECORD.match(line)
        if start is None and found and found[-1].level:
            found[-1] = found[-1]._replace(text=f"{found[-1].text}\n{line}")
        else:
            found.append(Record("" if start is None else start["level"].lower(), line))
    floor = LEVELS.index(least)
    return [record for record in found if record.level not in LEVELS or LEVELS.index(record.level) >= floor]
