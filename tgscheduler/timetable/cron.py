"""Cron lines: checked, and rewritten for cronsim, which is given naive times only.

Five fields ``minute hour day-of-month month day-of-week``, or six with seconds first. A line that cronsim
would read differently from cron is rewritten here, and one that it would refuse without a reason is refused here.
"""

import copy
import functools
import re
from datetime import datetime
from typing import NamedTuple

from cronsim import CronSim, CronSimError

from tgscheduler.errors import InvalidType, InvalidValue

ALIASES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}


class Field(NamedTuple):
    """One field of a cron line: its name, its bounds and the names of its values."""

    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()


MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")

FIELDS = (
    Field("second", 0, 59),
    Field("minute", 0, 59),
    Field("hour", 0, 23),
    Field("day-of-month", 1, 31),
    Field("month", 1, 12, MONTHS),
    Field("day-of-week", 0, 7, DAYS),
)

_MENDS = {
    "?": "write '*'",
    "h": "write a number, and jitter= to spread tasks",
    "~": "write a number, and jitter= to spread tasks",
    "w": "only 'LW', the last weekday of a month, is known; list the days otherwise",
}

_NO_DATE = "no date ever matches; look at day-of-month and month"


class Cron(NamedTuple):
    """A parsed cron line, shared by all tasks that use it."""

    line: str
    wildcard: bool
    """Whether second, minute or hour begins with ``*``: then it follows real time through clock changes."""
    sim: CronSim

    def next_after(self, when: datetime) -> datetime | None:
        """Return the first matching naive time later than ``when``, None when there is none for 50 years."""
        sim = copy.copy(self.sim)
        sim.dt = when
        try:
            found: datetime = next(sim)
        except (StopIteration, OverflowError, ValueError):
            return None
        return found


def parse(line: str, day_and: bool = False) -> Cron:
    """Return the parsed form of a cron line.

    ``day_and`` makes day-of-month and day-of-week both match, as the cron-like tasks of TGScheduler 1.7 do; cron
    itself takes either when both are restricted. Raises InvalidValue with the field, the value and a hint.
    """
    if not isinstance(line, str):
        raise InvalidType(f"cron line: expected a string such as '0 9 * * 1-5', got {line!r}")
    return _parse(line, bool(day_and))


@functools.lru_cache(maxsize=4096)
def _parse(line: str, day_and: bool) -> Cron:
    alias = line.strip().lower()
    if alias.startswith("@"):
        if alias not in ALIASES:
            raise InvalidValue(f"cron line {line!r}: {_alias_mend(alias)}")
        parts = ALIASES[alias].split()
    else:
        parts = alias.split()
    if parts and "tz=" in parts[0]:
        raise InvalidValue(f"cron line {line!r}: a zone does not stand in the line: use timezone=")
    if len(parts) not in (5, 6):
        raise InvalidValue(
            f"cron line {line!r}: expected five fields (minute hour day-of-month month day-of-week) or six with "
            f"seconds first, got {len(parts)}"
        )
    fields = FIELDS[6 - len(parts) :]
    try:
        checked = [_check(part, field) for part, field in zip(parts, fields, strict=True)]
        sim = CronSim(" ".join(checked), datetime(2000, 1, 1))
    except InvalidValue as error:
        raise InvalidValue(f"cron line {line!r}: {error}") from None
    except CronSimError:  # every field is valid: what is left is a day that its month never has
        raise InvalidValue(f"cron line {line!r}: {_NO_DATE}") from None
    if day_and:
        sim.day_and = True
    clock_fields = parts[: len(parts) - 3]
    cron = Cron(line, any(part.startswith("*") for part in clock_fields), sim)
    if cron.next_after(datetime(2000, 1, 1)) is None:
        raise InvalidValue(f"cron line {line!r}: {_NO_DATE}")
    return cron


def _alias_mend(alias: str) -> str:
    if alias == "@reboot":
        return "for a run at start use add_single_task, or call_on_startup"
    if alias.startswith("@every"):
        return "for a fixed distance use add_interval_task"
    return f"expected one of {', '.join(ALIASES)}"


def _check(text: str, field: Field) -> str:
    """Return one field in a form that cronsim reads correctly, or raise InvalidValue."""
    for sign, mend in _MENDS.items():
        plain = text.replace("lw", "") if field.name == "day-of-month" else text
        for name in field.names:
            plain = plain.replace(name, "")
        if sign in plain:
            raise InvalidValue(f"{field.name} {text!r}: {sign.upper()!r} is not known here: {mend}")
    return ",".join(_check_item(item, field) for item in text.split(","))


def _check_item(item: str, field: Field) -> str:
    body, slash, step_text = item.partition("/")
    if body in ("l", "lw") and field.name == "day-of-month" and not slash:
        return item
    if field.name == "day-of-week" and not slash:
        last = re.fullmatch(r"([0-9]+|[a-z]{3})(l|#[0-9]+)", body)
        if last:
            day = _number(last[1], item, field)
            if last[2] != "l" and not 1 <= int(last[2][1:]) <= 5:
                raise InvalidValue(f"{field.name} {item!r}: expected #1 to #5")
            return f"{day}{last[2]}"
    if body == "*":
        low, high, single = field.low, field.high, False
        text = "*"
    else:
        first, dash, second = body.partition("-")
        low = high = _number(first, item, field)
        if dash:
            high = _number(second, item, field)
            if first.isdigit() != second.isdigit():
                raise InvalidValue(f"{field.name} {item!r}: a range mixes name and number; write both as numbers")
            if high == 0 and field.name == "day-of-week" and low:
                high = 7  # cron lets a week end on Sunday: fri-sun
            if high < low:
                raise InvalidValue(f"{field.name} {item!r}: the range runs backwards; write it as a list")
        single = not dash
        text = f"{low}-{high}" if high > low else str(low)
    if not slash:
        return text
    if not (step_text.isascii() and step_text.isdigit()) or int(step_text) == 0:
        raise InvalidValue(f"{field.name} {item!r}: expected a step of 1 or more behind the '/'")
    if int(step_text) > field.high - field.low + (field.low == 1):
        raise InvalidValue(f"{field.name} {item!r}: the step is larger than the field; steps count inside a field only")
    if not single and low == high:
        return text  # a-a/n is a: cronsim would continue to the end of the field
    return f"{text}/{int(step_text)}"


def _number(text: str, item: str, field: Field) -> int:
    if text in field.names:
        return field.names.index(text) + field.low
    if text.isascii() and text.isdigit() and field.low <= int(text) <= field.high:
        return int(text)
    known = f" or {field.names[0]} to {field.names[-1]}" if field.names else ""
    mend = "; 'L' stands alone in day-of-month, and behind a day of the week (5L)" if text == "l" else ""
    raise InvalidValue(f"{field.name} {item!r}: expected {field.low} to {field.high}{known}, got {text!r}{mend}")
