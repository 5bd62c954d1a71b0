"""What the engine must know of a trigger before and after it asks it: whose code runs, and what was missed."""

from tgscheduler.timetable.compose import Between, Either, ExceptOn, Trigger, ask
from tgscheduler.timetable.realtime import Interval, Once
from tgscheduler.timetable.walltime import Cron, Monthdays, Weekdays

_PLAIN = frozenset((Once, Interval, Weekdays, Monthdays, Cron))


def is_own(trigger: object) -> bool:
    """Say whether asking a trigger runs this package's code only: quick, and without side effects.

    A subclass, a calendar that is no set of dates and a trigger of another package may do anything.
    """
    if type(trigger) in _PLAIN:
        return True
    if type(trigger) is Between:
        return is_own(trigger.trigger)
    if type(trigger) is ExceptOn:
        return type(trigger.calendar) is frozenset and is_own(trigger.trigger)
    return type(trigger) is Either and all(map(is_own, trigger.triggers))


def stretch(trigger: Trigger, due: float, now: float, most: int) -> tuple[int, float, bool]:
    """Count the fires in [due, now]: how many, the last one counted, and whether that is all of them.

    ``due`` counts as one, whether the trigger or a hand has put it there. Intervals, bounded ones too, count by
    arithmetic; others are asked for one fire after the other, up to ``most``. Raises InvalidValue where a trigger's
    answer is no later moment.
    """
    following = ask(trigger, due)
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
        if count >= most:
            return count, until, False
        count, until = count + 1, following
        following = ask(trigger, until)
    return count, until, True
