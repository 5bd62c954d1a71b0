"""Facts about a trigger that the engine needs: whether it may be slow, and how many fire times were missed."""

from tgscheduler.timetable.calendars import Cron, Monthdays, Weekdays
from tgscheduler.timetable.compose import Between, Trigger, look
from tgscheduler.timetable.intervals import Interval, Once
from tgscheduler.timetable.search import STEPS, Search

_QUICK = frozenset((Once, Interval, Weekdays, Monthdays, Cron))


def is_quick(trigger: object) -> bool:
    """Return whether a trigger's ``next_after`` is one short step of this package's code, without side effects.

    A trigger made of several, or with dates left out, may take many steps. A subclass and a trigger of another package
    may do anything.
    """
    return type(trigger) in _QUICK or (type(trigger) is Between and is_quick(trigger.trigger))


def count_fires(trigger: Trigger, due: float, now: float, most: int) -> tuple[int, float, bool]:
    """Count the fire times in [due, now]; return how many, the last one counted, and whether that is all of them.

    ``due`` counts as one, whether the trigger or a caller has set it. Intervals, bounded ones too, are counted by
    arithmetic; others one by one, up to ``most``, within one search. Raises InvalidValue if a trigger returns a moment
    that is not later.
    """
    search = Search(STEPS + most)
    following, searched = look(trigger, due, search)
    if following is None and searched <= now:
        return 1, due, False
    if following is None or following > now:
        return 1, due, True
    grid, end = trigger, now
    while type(grid) is Between:
        end = end if grid.end is None else min(end, grid.end)
        grid = grid.trigger
    if type(grid) is Interval:
        return 1 + grid.count(following, end), grid.latest(end), True
    count, until = 1, due
    while following is not None and following <= now:
        if count >= most or search.spent:
            return count, until, False
        count, until = count + 1, following
        following, searched = look(trigger, until, search)
    return count, until, following is not None or searched > now
