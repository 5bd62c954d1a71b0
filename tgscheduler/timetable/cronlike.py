"""The cron-like lines of TGScheduler 1.7, by its rules, and their translation into a cron line.

Five fields, each a list of numbers, names and ranges, or ``*``; a step behind ``/`` counts over the field's whole
list. ``jan-3`` (a range of name and number) is refused, and all five fields must match.
"""

from collections.abc import Sequence
from typing import NamedTuple

from tgscheduler.errors import InvalidType, InvalidValue
from tgscheduler.timetable import cron

_FIELDS = cron.FIELDS[1:]


class CronFields(NamedTuple):
    """The values that each field stands for; days of the week count from 0 = Monday."""

    minutes: Sequence[int]
    hours: Sequence[int]
    doms: Sequence[int]
    months: Sequence[int]
    dows: Sequence[int]

    @classmethod
    def parse(cls, line: str) -> "CronFields":
        """Return the fields of a line; raise InvalidType or InvalidValue with the field and what is expected."""
        if not isinstance(line, str):
            raise InvalidType(f"cron_str: expected a string such as '*/30 8-18 * * mon-fri', got {line!r}")
        parts = line.split()
        if len(parts) != 5:
            raise InvalidValue(f"cron_str {line!r}: expected minute hour day-of-month month day-of-week, got {parts}")
        try:
            values = [_values(part, field) for part, field in zip(parts, _FIELDS, strict=True)]
        except InvalidValue as error:
            raise InvalidValue(f"cron_str {line!r}: {error}") from None
        minutes, hours, doms, months, dows = values
        return cls(minutes, hours, doms, months, sorted({(day - 1) % 7 for day in dows}))

    def line(self) -> str:
        """Return the same as a cron line; a field that began with ``*`` still does, so that it follows real time."""
        days = sorted((day + 1) % 7 for day in self.dows)
        return " ".join([*map(_text, self[:4]), "*" if len(days) == 7 else _text(days)])


def _text(values: Sequence[int]) -> str:
    if isinstance(values, range) and len(values) > 1:  # only ``*`` is kept as a range
        return "*" if values.step == 1 else f"*/{values.step}"
    return ",".join(str(value) for value in sorted(set(values)))


def _values(text: str, field: cron.Field) -> Sequence[int]:
    body, slash, step_text = text.partition("/")
    step = 1
    if slash:
        if not (step_text.isascii() and step_text.isdigit()) or int(step_text) == 0:
            raise InvalidValue(f"{field.name} {text!r}: expected a step of 1 or more behind the '/'")
        step = int(step_text)
    if body == "*":
        return range(field.low, field.high + 1)[::step]
    values: list[int] = []
    for item in body.split(","):
        first, dash, last = item.partition("-")
        if not dash:
            values.append(_value(first, item, field))
            continue
        low, high = _value(first, item, field), _value(last, item, field)
        if first.isdigit() != last.isdigit():
            raise InvalidValue(f"{field.name} {item!r}: a range mixes name and number; write both as numbers")
        if high < low:
            raise InvalidValue(f"{field.name} {item!r}: the range runs backwards; write it as a list")
        values.extend(range(low, high + 1))
    return values[::step]


def _value(text: str, item: str, field: cron.Field) -> int:
    name = text.lower()
    if name in field.names:
        return field.names.index(name) + field.low
    if text.isascii() and text.isdigit() and field.low <= int(text) <= field.high:
        return int(text)
    known = f" or {field.names[0]} to {field.names[-1]}" if field.names else ""
    raise InvalidValue(f"{field.name} {item!r}: expected {field.low} to {field.high}{known}, got {text!r}")
