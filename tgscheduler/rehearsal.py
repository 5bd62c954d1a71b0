"""Rehearsal: all fires of an application's timetable in the days to come, without running any action.

::

    from tgscheduler.rehearsal import simulate

    print(simulate(jobs.schedule, datetime(2025, 3, 1), 31, timezone="Europe/Berlin"))

The fires are those of the preview (``explain.preview``), which calls the functions that the planner calls.
"""

import heapq
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, NamedTuple

from tgscheduler import config
from tgscheduler.engine.scheduler import Scheduler
from tgscheduler.engine.views import TaskView
from tgscheduler.errors import InvalidType, InvalidValue
from tgscheduler.explain.phrases import zone_in_words
from tgscheduler.explain.preview import Forecast
from tgscheduler.explain.task import timetable_in_words, warnings
from tgscheduler.logs import brief
from tgscheduler.testing import TickedScheduler, installed
from tgscheduler.timetable import zones
from tgscheduler.timetable.actions import check_callable
from tgscheduler.timetable.trigger_phrases import none_until_in_words, stamp
from tgscheduler.timetable.triggers import check_moment, check_seconds

#: Maximum number of fires in a simulation.
MOST_FIRES = 1_000_000

#: Maximum number of collisions, notes and tasks that a report lists; more are counted.
_MOST_TOLD = 20

_DAY = 86400.0


class SimulatedFire(NamedTuple):
    """One fire: when it is due and when it fires (POSIX seconds), the task's name, and a note."""

    due: float
    fire_at: float
    task: str
    note: str | None


class Collision(NamedTuple):
    """A minute (POSIX seconds of its beginning) in which more than one task fires, and those tasks."""

    minute: float
    tasks: tuple[str, ...]


@dataclass(frozen=True)
class Simulation:
    """The fires of a timetable from ``start`` to ``end`` (POSIX seconds; ``end`` not included)."""

    start: float
    end: float
    timezone: str
    #: Every fire, in the order in which they come.
    fires: list[SimulatedFire]
    #: When each task fires, in words.
    timetables: dict[str, str]
    #: Remarks on tasks: only the next fire is known, a cron line that restricts both day fields, a trigger that raised.
    remarks: list[str]
    #: Whether there are more than a million fires, of which these are the first.
    truncated: bool

    @cached_property
    def by_task(self) -> dict[str, list[SimulatedFire]]:
        """The fires of each task, including tasks that have none."""
        found: dict[str, list[SimulatedFire]] = {name: [] for name in self.timetables}
        for fire in self.fires:
            found[fire.task].append(fire)
        return found

    @cached_property
    def collisions(self) -> list[Collision]:
        """The minutes in which more than one task fires."""
        return [
            Collision(minute, tasks)
            for minute, fires in _minutes(self.fires)
            if len(tasks := tuple(dict.fromkeys(fire.task for fire in fires))) > 1
        ]

    @cached_property
    def busiest(self) -> tuple[float, int]:
        """The first minute with the most fires (POSIX seconds of its beginning), and the number of these."""
        return max(
            ((minute, len(fires)) for minute, fires in _minutes(self.fires)),
            key=lambda found: found[1],
            default=(self.start, 0),
        )

    @cached_property
    def notes(self) -> list[str]:
        """Remarks on tasks, and notes on fires, as on one that a clock change moves."""
        tz = zones.zone(self.timezone)
        told = [f"{fire.task}, {stamp(fire.due, tz)}: {fire.note}" for fire in self.fires if fire.note is not None]
        return self.remarks + told

    def __str__(self) -> str:
        return "\n".join(self._report())

    def _report(self) -> Iterator[str]:
        tz = zones.zone(self.timezone)
        yield f"{stamp(self.start, tz)} to {stamp(self.end, tz)}, {zone_in_words(self.timezone)}"
        more = f", cut off after the first {MOST_FIRES}" if self.truncated else ""
        yield f"{_many(len(self.fires), 'fire')} of {_many(len(self.timetables), 'task')}{more}"
        width = max((len(name) for name in self.timetables), default=0)
        rows = [
            f"  {name:<{width}}  {len(self.by_task[name]):>8}  {words}"
            for name, words in sorted(self.timetables.items())
        ]
        yield from _cut(rows, "tasks")
        minute, count = self.busiest
        if count:
            yield f"busiest minute: {stamp(minute, tz)}, {_many(count, 'fire')}"
        yield f"collisions: {_many(len(self.collisions), 'minute')} in which more than one task fires"
        together: dict[tuple[str, ...], list[float]] = {}
        for minute, tasks in self.collisions:
            together.setdefault(tuple(sorted(tasks)), []).append(minute)
        rows = [
            f"  {len(minutes):>8}  {', '.join(tasks)}; first {stamp(minutes[0], tz)}"
            for tasks, minutes in sorted(together.items(), key=lambda found: -len(found[1]))
        ]
        yield from _cut(rows, "sets of tasks")
        yield f"notes: {len(self.notes)}"
        yield from _cut([f"  {note}" for note in self.notes], "notes")


def simulate(
    schedule: Callable[[], Any] | Scheduler,
    start: float | datetime,
    days: float,
    timezone: str | None = None,
    scheduler: TickedScheduler | None = None,
) -> Simulation:
    """Return every fire that a timetable has within ``days`` days of 24 hours from ``start`` on; no action runs.

    ``schedule``: a function without arguments that adds tasks, such as an application's ``jobs.schedule``; meanwhile
    the module-level functions serve a scheduler of its own for this thread, and ``tg.scheduler`` is True. Or a
    Scheduler, whose present tasks are used. ``start``: POSIX seconds or a datetime, one without a zone only with
    ``timezone``, in which tasks are meant (None: that of the scheduler, or of the settings). ``scheduler``: the
    TickedScheduler to which the tasks are added, None: a new one with the policy of the settings. A fire with jitter
    counts when it fires. Raises InvalidValue or InvalidType for an invalid argument.
    """
    length = check_seconds("days", days, above_zero=True) * _DAY
    if timezone is not None:
        zones.zone(timezone)
    begin = check_moment("start", start, timezone)
    if not 0 <= begin <= begin + length <= zones.END:
        raise InvalidValue(f"start, days: expected a time from 1970 to 9999, got {start!r} and {days!r}")
    if isinstance(schedule, Scheduler):
        return _look_ahead(schedule, begin, begin + length, timezone)
    if not callable(schedule):
        raise InvalidType(f"schedule: expected a function that adds tasks, or a Scheduler, got {schedule!r}")
    check_callable("schedule", schedule)
    ticked = _stage(begin, timezone) if scheduler is None else scheduler
    if not isinstance(ticked, TickedScheduler):
        raise InvalidType(f"scheduler: expected a TickedScheduler, whose clock can be set, got {scheduler!r}")
    if ticked.clock.now() > begin:
        raise InvalidValue(f"start: expected no time before that of the scheduler's clock, got {start!r}")
    ticked.clock.advance_to(begin)
    try:
        with installed(ticked, everywhere=False):
            schedule()
        return _look_ahead(ticked, begin, begin + length, timezone)
    finally:
        if scheduler is None:
            ticked.stop()


def _stage(begin: float, timezone: str | None) -> TickedScheduler:
    """Return a scheduler at that time, with the zone and the policy of the settings."""
    settings = config.settings()
    zone = timezone or settings.get("tg.scheduler.timezone") or Scheduler().timezone
    return TickedScheduler(begin, zone, policy=config.policy(settings))


def _look_ahead(scheduler: Scheduler, start: float, end: float, timezone: str | None) -> Simulation:
    remarks: list[str] = []
    timetables: dict[str, str] = {}
    streams = []
    for view in scheduler.views():
        if view.state not in ("pending", "scheduled"):
            continue
        timetables[view.name] = timetable_in_words(view, zones.zone(view.timezone))
        if view.self_rescheduling:
            remarks.append(f"{view.name}: it reschedules itself, only its next fire is known")
        remarks += [f"{view.name}: {warning}" for warning in warnings(view.trigger)]
        if view.fault is not None:
            remarks.append(f"{view.name}: {view.fault}")
        streams.append(_fires(view, start, end, remarks))
    merged = heapq.merge(*streams, key=lambda fire: fire.fire_at)
    fires = list(itertools.islice(merged, MOST_FIRES))
    truncated = next(merged, None) is not None
    return Simulation(start, end, timezone or scheduler.timezone, fires, timetables, remarks, truncated)


def _fires(view: TaskView, start: float, end: float, remarks: list[str]) -> Iterator[SimulatedFire]:
    """Yield the fires of one task from ``start`` to ``end``; an exception becomes a remark."""
    forecast, fire, told = Forecast.of(view), None, 0
    try:
        for fire in forecast.fires(start):
            told += 1
            if fire.fire_at >= end:
                return
            if fire.fire_at >= start:
                yield SimulatedFire(fire.due, fire.fire_at, view.name, fire.note)
        until = forecast.none_until(fire, told)
        if until is not None:
            remarks.append(f"{view.name}: {none_until_in_words(until, zones.zone(view.timezone))}")
    except Exception as error:  # a custom trigger
        remarks.append(f"{view.name}: its trigger raised {brief(error)}")


def _minutes(fires: list[SimulatedFire]) -> Iterator[tuple[float, list[SimulatedFire]]]:
    for minute, found in itertools.groupby(fires, lambda fire: fire.fire_at // 60):
        yield minute * 60, list(found)


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


def _cut(lines: list[str], what: str) -> Iterator[str]:
    yield from lines[:_MOST_TOLD]
    if len(lines) > _MOST_TOLD:
        yield f"  and {len(lines) - _MOST_TOLD:,} {what} more"
