"""What comes: a task's fires from a moment on, by the very functions that the loop calls, and what clock changes make
of them.

::

    due       upcoming(trigger, due, end, left)      the times that the loop goes through
    fire_at   fire_time(label, due, policy)          with the task's jitter
    note      a wall time that was not, or came twice; several that are one fire; a pause
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple
from zoneinfo import ZoneInfo

from tgscheduler.timetable import zones
from tgscheduler.timetable.compose import Between, Either, ExceptOn, Trigger, ask, on_its_day
from tgscheduler.timetable.plan import fire_time, upcoming
from tgscheduler.timetable.policy import PLAIN, Policy
from tgscheduler.timetable.walltime import Cron, Monthdays, Weekdays

#: More times of day than this in one gap are counted.
_MOST_TIMES = 6

#: No change further off than this (seconds) is looked for at a time.
_LOOK = 400 * zones.DAY

#: The search backwards ends at this distance (seconds).
_FARTHEST = 50 * 366 * zones.DAY


class Fire(NamedTuple):
    """One fire to come: when it is due, when it fires (with its jitter), and what is to be said of it."""

    due: float
    fire_at: float
    note: str | None


@dataclass(frozen=True, slots=True)
class Outlook:
    """What decides on a task's coming fires, as it stood at one moment.

    ``due``: the next due time, None: there is none. ``left``: how many runs it may still have. ``single``: it runs
    once. Where ``trigger`` is None only the next fire is known.
    """

    label: str
    trigger: Trigger | None
    due: float | None
    policy: Policy = PLAIN
    end: float = math.inf
    left: int | None = None
    by_hand: bool = False
    paused_until: float = -math.inf
    single: bool = False

    def fires(self) -> Iterator[Fire]:
        """Yield the coming fires, in order; without end where the timetable has none."""
        trigger, due = self.trigger, self.due
        if due is None:
            return
        if self.single:
            yield from self._once(due)
            return
        following: float | None = due
        if self.by_hand and trigger is not None and not on_its_day(trigger, due):
            following = ask(trigger, due)
        notes, at = Notes(trigger), -math.inf
        while following is not None and following <= self.end:
            if max(at, fire_time(self.label, following, self.policy)) >= self.paused_until:
                break
            at = max(at, fire_time(self.label, following, self.policy))
            yield Fire(following, at, "paused: it does not run")
            following = None if trigger is None else ask(trigger, following)
        for moment in upcoming(trigger, following, self.end, self.left):
            # What is due while an earlier one is still being spread fires right after that.
            at = max(at, fire_time(self.label, moment, self.policy))
            yield Fire(moment, at, notes.of(moment))

    def _once(self, due: float) -> Iterator[Fire]:
        fire_at = fire_time(self.label, due, self.policy)
        if self.paused_until == math.inf:  # it is kept until it is resumed
            return
        if self.paused_until > fire_at:
            yield Fire(due, self.paused_until, "kept until the end of the pause")
        else:
            yield Fire(due, fire_at, None)


def latest_before(trigger: Trigger, moment: float) -> float | None:
    """Return a trigger's last fire earlier than ``moment``, None where there is none within 50 years."""
    high, width = moment, 60.0
    while True:
        low = moment - width
        fire = ask(trigger, low)
        if fire is not None and fire < moment:
            break
        if width > _FARTHEST:
            return None
        high, width = low, width * 2
    low = fire
    while True:  # between low, a fire, and high there may be thousands: halve what is left
        fire = ask(trigger, low)
        if fire is None or fire >= moment:
            return low
        low = fire
        middle = (low + high) / 2
        if middle > low:
            fire = ask(trigger, middle)
            if fire is not None and fire < moment:
                low = fire
            else:
                high = middle


class Notes:
    """What clock changes make of a trigger's fires; a look that costs next to nothing far from any change."""

    __slots__ = ("_zones",)

    def __init__(self, trigger: Trigger | None) -> None:
        found: dict[str, list[_Wall]] = {}
        for part in _wall_parts(trigger):
            found.setdefault(part.timezone or "UTC", []).append(part)
        self._zones = [_Zone(zones.zone(name), parts) for name, parts in found.items() if name != "UTC"]

    def of(self, due: float) -> str | None:
        """Return what is to be said of the fire at ``due``, None: nothing."""
        said = [note for zone in self._zones if (note := zone.note(due)) is not None]
        return "; ".join(said) or None


_Wall = Weekdays | Monthdays | Cron


class _Zone:
    __slots__ = ("_parts", "_quiet_from", "_quiet_until", "_tz")

    def __init__(self, tz: ZoneInfo, parts: list[_Wall]) -> None:
        self._tz, self._parts = tz, parts
        self._quiet_from, self._quiet_until = math.inf, -math.inf

    def note(self, due: float) -> str | None:
        if self._quiet_from <= due < self._quiet_until or not 0 <= due < zones.END - _LOOK:
            return None
        second = math.floor(due)
        change = zones.next_change(second - zones.DAY, self._tz, second + _LOOK)
        until = second + _LOOK if change is None else change
        if until - zones.DAY > due:
            self._quiet_from, self._quiet_until = due, until - zones.DAY
            return None
        parts = [part for part in self._parts if part.next_after(math.nextafter(due, -math.inf)) == due]
        if not parts:
            return None
        before, after = zones.offset(second - 1, self._tz), zones.offset(second, self._tz)
        if after > before:
            return _gap(parts, second + before, second + after)
        if passes(due, self._tz) is not None:
            return f"{zones.wall(due, self._tz):%H:%M} comes twice that day: this is the first of the two"
        return None


def passes(moment: float, tz: ZoneInfo) -> tuple[float, float] | None:
    """Return the two moments that the wall shows as it does at ``moment``, None where it shows that only once."""
    wall = zones.wall(moment, tz)
    first, second = (float(zones.moment_of(wall.replace(tzinfo=tz, fold=fold))) for fold in (0, 1))
    return (first, second) if first < second else None


def _gap(parts: list[_Wall], start: int, end: int) -> str | None:
    """Say what a jump of the wall clock from ``start`` to ``end`` (seconds of wall time) makes of fires there."""
    wanted: set[float] = set()
    for part in parts:
        naive = replace(part, timezone=None)
        fire = naive.next_after(start - 1)
        while fire is not None and fire <= end:
            wanted.add(fire)
            fire = naive.next_after(fire)
    dated = end - start >= zones.DAY
    said = [_time(moment, dated) for moment in sorted(wanted)]
    if not wanted or min(wanted) == end:
        return None
    jump = f"the clock goes from {_time(start, dated)} to {_time(end, dated)}"
    if len(said) == 1:
        return f"{said[0]} does not exist that day: {jump}"
    listed = f"{', '.join(said[:-1])} and {said[-1]}"
    if len(said) > _MOST_TIMES:
        listed = f"{len(said)} times from {said[0]} to {said[-1]}"
    return f"{listed} are one fire: {jump}"


def _time(moment: float, dated: bool) -> str:
    wall = zones.naive(math.floor(moment))
    return f"{wall:%Y-%m-%d %H:%M}" if dated else f"{wall:%H:%M:%S}".removesuffix(":00")


def _wall_parts(trigger: Trigger | None) -> Iterator[_Wall]:
    """Yield what fires by a wall clock, of a trigger and its parts; what follows real time is no part of it."""
    if type(trigger) is Either:
        for part in trigger.triggers:
            yield from _wall_parts(part)
    elif type(trigger) is Between or type(trigger) is ExceptOn:
        yield from _wall_parts(trigger.trigger)
    elif (
        type(trigger) is Weekdays
        or type(trigger) is Monthdays
        or (type(trigger) is Cron and not trigger._fires.cron.wildcard)
    ):
        yield trigger
