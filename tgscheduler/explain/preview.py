"""Preview: a task's coming fires, computed by the functions that the loop calls, with notes on clock changes.

::

    fire_time(label, due, policy)     when the loop plans a due time, with the task's jitter
    plan.decide_fully(due, ...)       the runs of that due time, and the next due time
    note                              a wall time that does not exist, or comes twice; several in one fire; a pause
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple
from zoneinfo import ZoneInfo

from tgscheduler.engine.views import TaskView
from tgscheduler.timetable import zones
from tgscheduler.timetable.calendars import Cron, Monthdays, Weekdays
from tgscheduler.timetable.compose import Between, Either, ExceptOn, Trigger, look, next_fire, none_until
from tgscheduler.timetable.plan import decide_fully, fire_time, pause_reason
from tgscheduler.timetable.policy import DEFAULT_POLICY, Policy
from tgscheduler.timetable.run import MISSED, SKIPPED, Run
from tgscheduler.timetable.search import Search

#: Maximum number of times of day in one gap that are listed; more are counted.
_MOST_TIMES = 6

#: Maximum time (seconds) ahead in which one search looks for a change of the offset.
_LOOK = 400 * zones.DAY

#: Maximum time (seconds) that a search goes back.
_FARTHEST = 50 * 366 * zones.DAY


class Fire(NamedTuple):
    """One coming run: its due time, when it begins (with its jitter), a note, and whether it will be skipped."""

    due: float
    fire_at: float
    note: str | None
    skipped: bool = False


@dataclass(frozen=True, slots=True)
class Forecast:
    """A task's state at ``now``, from which its coming fires follow.

    ``due``: the next due time, None: there is none; ``unfound``: the search found none up to there. ``runs_left``:
    number of runs that it may still have. ``one_shot``: it runs once. If ``trigger`` is None only the next fire is
    known.
    """

    label: str
    trigger: Trigger | None
    due: float | None
    policy: Policy = DEFAULT_POLICY
    end: float = math.inf
    runs_left: int | None = None
    manual_due: bool = False
    paused_until: float = -math.inf
    one_shot: bool = False
    now: float = -math.inf
    unfound: float | None = None

    @classmethod
    def of(cls, view: TaskView) -> "Forecast":
        """Return the forecast of a task; if the scheduler is stopped, as if it started now."""
        return cls(
            view.name,
            view.trigger,
            view.upcoming_due,
            view.policy,
            view.end,
            view.runs_left,
            view.manual_due,
            view.held_until,
            view.one_shot,
            view.now,
            view.unfound,
        )

    def fires(self, since: float = -math.inf) -> Iterator[Fire]:
        """Yield the coming fires, in order; without end if the timetable has none.

        For a task that is late or paused they are what the loop would decide: one that makes up for several, or one
        that does not run. Runs are taken to last no time. Of the fires before ``since`` few are yielded, if any.
        """
        due, now, runs_left, manual_due = self.due, self.now, self.runs_left, self.manual_due
        notes = ClockChangeNotes(self.trigger)
        while due is not None:
            now = max(now, fire_time(self.label, due, self.policy), self.paused_until if self.one_shot else now)
            if now == math.inf:  # it is kept until it is resumed
                return
            paused = pause_reason(now, self.paused_until)
            decision = decide_fully(
                due,
                self.label,
                now,
                self.trigger,
                self.policy,
                runs_left=runs_left,
                end=self.end,
                paused=paused,
                manual_due=manual_due,
            )
            manual_due, starts, due = False, decision.starts, decision.next_due
            for run in decision.runs:
                runs_then = run.state not in (SKIPPED, MISSED)
                if runs_left is not None and runs_then:
                    runs_left -= 1
                starts -= runs_then
                yield Fire(run.due, now, self._note(run, paused, starts < 0, notes), not runs_then)
            if due is not None and runs_left is None and self.trigger is not None:
                due = self._skip(self.trigger, due, since)

    def none_until(self, last: Fire | None, runs: int) -> float | None:
        """Return the moment up to which a search found nothing after the ``last`` fire, None if it was finished.

        ``runs``: number of fires before.
        """
        if self.unfound is not None or self.trigger is None or (self.runs_left is not None and runs >= self.runs_left):
            return self.unfound
        until = None if last is None else none_until(self.trigger, last.due)
        return until if until is not None and until <= self.end else None

    def _skip(self, trigger: Trigger, due: float, since: float) -> float | None:
        """Return the first due time that may begin at ``since`` or later, with its maximum jitter."""
        earliest = _before(since - self.policy.jitter)
        if due > earliest:
            return due
        following = next_fire(trigger, earliest)
        return None if following is None or following > self.end else following

    def _note(self, run: Run, paused: str | None, queued: bool, notes: "ClockChangeNotes") -> str | None:
        if run.state in (SKIPPED, MISSED):
            return f"{'paused' if paused else run.reason}: it does not run"
        said = [] if run.count == 1 else [f"one run for {run.count:,} occurrences"]
        if queued:
            said.append("it waits for the run before it to end")
        if self.one_shot and self.paused_until > run.due:
            said.append("kept until the end of the pause")
        note = notes.of(run.due)
        return "; ".join(said if note is None else [*said, note]) or None


def _before(moment: float) -> float:
    return math.nextafter(moment, -math.inf)


def latest_before(trigger: Trigger, moment: float) -> float | None:
    """Return a trigger's last fire earlier than ``moment``, None if none is found within 50 years and one search."""
    search = Search()
    high, width = moment, 60.0
    while True:
        low = moment - width
        fire = look(trigger, low, search).fire
        if fire is not None and fire < moment:
            break
        if width > _FARTHEST or search.spent:
            return None
        high, width = low, width * 2
    low = fire
    while True:  # between low (a fire) and high there may be thousands: halve the range
        fire = look(trigger, low, search).fire
        if fire is None or fire >= moment or search.spent:
            return low
        low = fire
        middle = (low + high) / 2
        if middle > low:
            fire = look(trigger, middle, search).fire
            if fire is not None and fire < moment:
                low = fire
            else:
                high = middle


class ClockChangeNotes:
    """Notes on a trigger's fires at clock changes; cheap for a fire that is far from any change."""

    __slots__ = ("_zones",)

    def __init__(self, trigger: Trigger | None) -> None:
        found: dict[str, list[_Wall]] = {}
        for part in _wall_parts(trigger):
            found.setdefault(part.timezone or "UTC", []).append(part)
        self._zones = [_Zone(zones.zone(name), parts) for name, parts in found.items() if name != "UTC"]

    def of(self, due: float) -> str | None:
        """Return the note on the fire at ``due``, None if there is none."""
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
        parts = [part for part in self._parts if part.next_after(_before(due)) == due]
        if not parts:
            return None
        before, after = zones.offset(second - 1, self._tz), zones.offset(second, self._tz)
        if after > before:
            return _gap(parts, second + before, second + after)
        if passes(due, self._tz) is not None:
            return f"{zones.wall(due, self._tz):%H:%M} comes twice that day: this is the first of the two"
        return None


def passes(moment: float, tz: ZoneInfo) -> tuple[float, float] | None:
    """Return the two moments with the same wall time as ``moment``, None if there is only one."""
    wall = zones.wall(moment, tz)
    first, second = (float(zones.moment_of(wall.replace(tzinfo=tz, fold=fold))) for fold in (0, 1))
    return (first, second) if first < second else None


def _gap(parts: list[_Wall], start: int, end: int) -> str | None:
    """Return the note on fires in a gap of the wall clock, from ``start`` to ``end`` (seconds of wall time)."""
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
    """Yield the parts of a trigger that fire by wall time, without those that follow real time."""
    if type(trigger) is Either:
        for part in trigger.triggers:
            yield from _wall_parts(part)
    elif type(trigger) is Between or type(trigger) is ExceptOn:
        yield from _wall_parts(trigger.trigger)
    elif (
        type(trigger) is Weekdays
        or type(trigger) is Monthdays
        or (type(trigger) is Cron and not trigger.follows_real_time)
    ):
        yield trigger
