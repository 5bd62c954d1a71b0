"""What to do with a task that is due: start it, skip it, and when it comes next. Pure decisions.

The loop, and every preview of it, calls :func:`decide`.
"""

import math
from dataclasses import dataclass

from tgscheduler.errors import InvalidValue
from tgscheduler.timetable.run import WAITING, Run
from tgscheduler.timetable.triggers import Interval, Trigger

#: A stretch of missed calendar occurrences is counted up to here; beyond it the Run says "at least".
MOST_COUNTED = 10_000


@dataclass(slots=True)
class Decision:
    """What becomes of the occurrences from the due time to ``until`` (POSIX seconds; None: one), and what follows.

    ``count`` is how many they are; 0: none at all (a time put by hand on a day that is none of the task's).
    ``skip`` is the reason for which they do not run, None when they do (as one run).
    """

    count: int
    until: float | None
    skip: str | None
    note: str | None
    next_due: float | None


#: What every single task gets.
_ONCE = Decision(1, None, None, None, None)


def decide(due: float, now: float, trigger: Trigger | None, last: Run | None, by_hand: bool = False) -> Decision:
    """Decide on a task whose fire time ``due`` has come.

    What was missed since ``due`` runs as one run (misfire: run once), unless the last run has not ended: then it is
    skipped (overlap: skip), and the reason names that run. A trigger whose answer is no later moment is an error: it
    would be asked for ever.
    """
    if trigger is None:
        if last is None:
            return _ONCE
        return Decision(1, due, None if last is None else _overlap(last), None, None)
    following = trigger.next_after(due)
    if following is not None and not due < following < math.inf:  # not a number is neither
        raise _no_answer(following, due)
    if by_hand and not _on_its_day(trigger, due):
        return Decision(0, due, None, None, following)
    if following is None or following > now:
        return Decision(1, due, None if last is None else _overlap(last), None, following)
    count, until, note = _stretch(due, following, now, trigger)
    following = trigger.next_after(now)
    if following is not None and not now < following < math.inf:
        raise _no_answer(following, now)
    return Decision(count, until, _overlap(last), note, following)


def _no_answer(fire: float, moment: float) -> InvalidValue:
    return InvalidValue(f"next_after: expected a time after {moment!r}, or None, got {fire!r}")


def _overlap(last: Run | None) -> str | None:
    if last is None or last.ended is not None:
        return None
    if last.state == WAITING:
        return f"overlap: the run due {last.due:.3f} still waits for its turn"
    return f"overlap: the run due {last.due:.3f} has not ended"


def _stretch(due: float, following: float, now: float, trigger: Trigger) -> tuple[int, float, str | None]:
    """Return how many occurrences lie in [due, now], the last of them, and a note where they were not all counted."""
    if isinstance(trigger, Interval):
        return 1 + trigger.count(following, now), trigger.latest(now), None
    count, until = 1, due
    fire: float | None = following
    while fire is not None and fire <= now:
        count, until = count + 1, fire
        if count == MOST_COUNTED:
            return count, until, f"at least {MOST_COUNTED} occurrences"
        last, fire = fire, trigger.next_after(fire)
        if fire is not None and not last < fire:
            raise _no_answer(fire, last)
    return count, until, None


def _on_its_day(trigger: Trigger, moment: float) -> bool:
    has = getattr(trigger, "on_its_day", None)
    return has is None or bool(has(moment))
