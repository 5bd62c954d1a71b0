"""Moves waiting entries when the wall clock is stepped.

=====================================  ==================================================================
intervals, single tasks with a delay   count real seconds: their due time moves with the clock
due time set by hand, or step forward  keep their due time; what was jumped over is late
other calendar tasks, step back        follow the new time; what has run does not run again, unless the step
                                       was a correction of more than 3 h
=====================================  ==================================================================

If other processes use the same store, its clock counts, and intervals stay on the grid that they share.
"""

import math

from tgscheduler.engine.placements import Placements, ToPlace
from tgscheduler.engine.planned import PlannedBatch
from tgscheduler.engine.planner import Planner
from tgscheduler.engine.registry import Registry
from tgscheduler.logs import SafeLogger
from tgscheduler.timetable.entry import Entry
from tgscheduler.timetable.intervals import Interval
from tgscheduler.timetable.plan import MAX_CLOCK_ROLLBACK, next_due

log = SafeLogger(__name__)


def follow_step(
    planner: Planner, placements: Placements, registry: Registry, seconds: float, now: float, batch: PlannedBatch
) -> list[ToPlace]:
    """Move waiting entries to their due times by the new clock, under the lock.

    Return those with a slow trigger, for :meth:`Placements.place_slowly`.
    """
    log.warning("the wall clock was stepped by %+.1f s", seconds)
    shifted: list[Entry] = []
    late: list[Entry] = []
    restore = planner.restore
    shared = restore is not None and not restore.alone
    placings: list[ToPlace] = []
    for entry in registry.agenda.clear():
        due = entry.due
        assert due is not None
        if (not shared or entry.trigger is None) and _shift(entry, seconds):
            entry.high_water += seconds
            planner.schedule(entry, due + seconds)
            shifted.append(entry)
        elif seconds > 0 or entry.manual_due or entry.trigger is None:
            planner.schedule(entry, due)
        else:
            late.append(entry)
            if seconds < -MAX_CLOCK_ROLLBACK:
                entry.high_water = -math.inf
            placings.append((entry, _find_after_step, (max(now, entry.high_water),)))
    if restore is not None:
        restore.on_clock_step(shifted, seconds)
        if not shared:
            restore.on_clock_set_back(late, now)
    return placements.place_quick(placings, now, batch)


def _shift(entry: Entry, seconds: float) -> bool:
    """Move the grid of an interval; return whether the entry counts real seconds."""
    trigger = entry.trigger
    if isinstance(trigger, Interval):
        entry.trigger = Interval.sound(trigger.seconds, trigger.anchor + seconds)
        return True
    return entry.counts_seconds


def _find_after_step(entry: Entry, moment: float) -> float | None:
    trigger = entry.trigger
    assert trigger is not None
    entry.manual_due = False
    return next_due(entry, trigger, moment)
