"""What to do with a task that is due: start it, skip it, and when it comes next. Pure decisions.

``decide`` is for the many tasks that have agreed to nothing beyond their timetable, ``judge`` for those with terms:

::

    what is due   [due .. until], the stretch that has been missed, and what follows it
      misfire     which of it still runs, as how many runs: the rest is missed (grace, misfire)
      max_runs    not more than are left
      overlap     start, wait in the task's line, or skip, by what still runs
"""

import math
from collections import deque
from dataclasses import dataclass, replace
from typing import NamedTuple

from tgscheduler.timetable.asking import stretch
from tgscheduler.timetable.compose import Trigger, ask, look, no_later, on_its_day
from tgscheduler.timetable.policy import LATE, Policy, spread
from tgscheduler.timetable.realtime import Interval
from tgscheduler.timetable.run import MISSED, RUNNING, SKIPPED, WAITING, Run
from tgscheduler.timetable.search import STEPS, Search

#: A stretch of missed calendar occurrences is counted up to here; beyond it the Run says "at least".
MOST_COUNTED = 10_000

#: A local name: it is compared with in each decision.
_NEVER = math.inf

#: So many occurrences of a task wait in its line at most (``overlap='queue'``, ``misfire='run_all'``).
LONGEST_LINE = 1000


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


#: What every task gets that runs once.
ONCE = Decision(1, None, None, None, None)


def decide(
    due: float, now: float, trigger: Trigger | None, last: Run | None, by_hand: bool = False, walk: bool = True
) -> Decision | None:
    """Decide on a task whose fire time ``due`` has come.

    What was missed since ``due`` runs as one run (misfire: run once), unless the last run has not ended: then it is
    skipped (overlap: skip), and the reason names that run. A trigger whose answer is no later moment is an error: it
    would be asked for ever. Without ``walk`` the decision is None where a trigger would be asked for each occurrence
    that was missed.
    """
    if trigger is None:
        if last is None:
            return ONCE
        return Decision(1, due, _overlap(last), None, None)
    following = trigger.next_after(due)
    if following is not None and not due < following < _NEVER:  # as ask() does, without its call
        raise no_later(following, due)
    if by_hand and not on_its_day(trigger, due):
        return Decision(0, due, None, None, following)
    if following is None or following > now:
        return Decision(1, due, None if last is None else _overlap(last), None, following)
    if not walk and type(trigger) is not Interval:
        return None
    count, until, note = _stretch(trigger, due, now)
    return Decision(count, until, _overlap(last), note, ask(trigger, now))


@dataclass(slots=True)
class Part:
    """A stretch of occurrences that becomes one Run.

    ``state`` is RUNNING (start it), WAITING (behind what runs), MISSED or SKIPPED.
    """

    due: float
    until: float
    count: int
    state: str
    reason: str | None = None


class Verdict(NamedTuple):
    """What becomes of everything that is due, in order of time, and when the task is due next."""

    parts: list[Part]
    next_due: float | None


def judge(
    due: float,
    now: float,
    trigger: Trigger | None,
    policy: Policy,
    *,
    running: int = 0,
    waiting: int = 0,
    oldest: Run | None = None,
    left: int | None = None,
    end: float = math.inf,
    paused: str | None = None,
    by_hand: bool = False,
) -> Verdict:
    """Decide on a task with terms whose fire time ``due`` has come.

    ``running`` of its runs have not ended, the ``oldest`` among them, and ``waiting`` occurrences wait in its line.
    ``left``: how many runs it may still have; ``end``: its last moment; ``paused``: the reason for which none runs.
    """
    # With jitter an occurrence can be missed only when the time over which it is spread has gone by.
    horizon = min(now - policy.jitter, end)
    following = None if trigger is None else ask(trigger, due)
    parts: list[Part] = []
    if not (by_hand and trigger is not None and not on_its_day(trigger, due)):
        whole = Part(due, due, 1, RUNNING)
        if trigger is not None and following is not None and following <= horizon:
            count, until, note = _stretch(trigger, due, horizon)
            whole = Part(due, until, count, RUNNING, note)
            following = ask(trigger, horizon)
        parts = _misfire(whole, now, horizon, trigger, policy)
    if paused is not None:
        parts = [Part(part.due, part.until, part.count, SKIPPED, paused) for part in parts]
    parts = overlaps(parts, policy, running, waiting, oldest)
    if left is not None:
        parts, left = _leave(parts, left)
    if (following is not None and following > end) or left == 0:
        following = None
    return Verdict(parts, following)


def _misfire(whole: Part, now: float, horizon: float, trigger: Trigger | None, policy: Policy) -> list[Part]:
    """Divide what is due, up to ``horizon``, into what is missed and what still runs."""
    grace, skip = policy.grace, policy.misfire == "skip"
    tolerated = LATE if grace is None and skip else grace
    # An occurrence is late from the end of the time over which jitter spreads it.
    earliest = -math.inf if tolerated is None else now - tolerated - policy.jitter
    live: list[Part] = []
    if trigger is None or whole.count == 1 or (policy.misfire == "run_once" and whole.due >= earliest):
        if whole.due >= earliest:
            return [whole]
    elif policy.misfire == "run_once":
        first = ask(trigger, _before(earliest))
        if first is not None and first <= horizon:
            count, until, note = _stretch(trigger, first, horizon)
            live = [Part(first, until, count, RUNNING, note)]
    else:
        fires = _last(trigger, whole.due, horizon, policy.misfire_cap or 1)
        live = [Part(fire, fire, 1, RUNNING) for fire in fires if fire >= earliest]
    if not live:
        reason = _late(now - whole.until, policy, tolerated)
        return [replace(whole, state=MISSED, reason=_and(reason, whole.reason))]
    if live[0].due == whole.due:
        return live
    assert trigger is not None
    count, until, note = _stretch(trigger, whole.due, _before(live[0].due))
    reason = f"misfire: {policy.misfire}"
    if until < earliest:
        reason = _late(now - until, policy, tolerated)
    elif policy.misfire == "run_all":
        reason = f"misfire: run_all makes up for {policy.misfire_cap} at most"
    return [Part(whole.due, until, count, MISSED, _and(reason, note)), *live]


def _before(moment: float) -> float:
    return math.nextafter(moment, -math.inf)


def _and(reason: str, note: str | None) -> str:
    return reason if note is None else f"{reason}; {note}"


def _late(seconds: float, policy: Policy, tolerated: float | None) -> str:
    what = "grace is" if policy.grace is not None else "misfire: skip tolerates"
    return f"{seconds:.1f} s late; {what} {tolerated:g} s"


def _last(trigger: Trigger, due: float, horizon: float, most: int) -> list[float]:
    """Return the last fires from ``due``, which is one, to ``horizon``: ``most`` of them at most.

    A trigger only knows what follows: it is asked from further and further back, until there are enough, or the search
    is at its end.
    """
    search, found = Search(STEPS + 8 * most), [due]
    back = most * trigger.seconds if isinstance(trigger, Interval) else 1.0
    while True:
        begin = horizon - back
        fire: float | None = due if begin <= due else ask(trigger, _before(begin))
        fires: deque[float] = deque(maxlen=most)
        while fire is not None and fire <= horizon:
            if search.spent:
                return found
            fires.append(fire)
            fire = look(trigger, fire, search).fire
        if begin <= due or len(fires) == most:
            return list(fires)
        found, back = list(fires) or found, back * 4


def _leave(parts: list[Part], left: int) -> tuple[list[Part], int]:
    """Return what may still run of the parts, and how many runs are left then: what is beyond is due no more."""
    kept: list[Part] = []
    for part in parts:
        if part.state in (RUNNING, WAITING):
            if left == 0:
                break
            left -= 1
        kept.append(part)
    return kept, left


def overlaps(parts: list[Part], policy: Policy, running: int, waiting: int, oldest: Run | None) -> list[Part]:
    """Start what may start beside what runs; what was missed waits in line, the rest is as the policy says."""
    most = slots(policy)
    first = True
    for i, part in enumerate(parts):
        if part.state != RUNNING:
            continue
        made_up, first = not first, False
        if running < most and not waiting:
            running += 1
        elif policy.overlap != "queue" and not made_up:
            reason = (_overlap(oldest) if most == 1 else None) or _too_many(running, waiting)
            parts[i] = replace(part, state=SKIPPED, reason=reason)
            first = True  # and so is what was missed after it
        elif waiting >= LONGEST_LINE:
            parts[i] = replace(part, state=SKIPPED, reason=f"overlap: {waiting} occurrences wait already")
        else:
            parts[i] = replace(part, state=WAITING)
            waiting += 1
    return parts


def slots(policy: Policy) -> float:
    """Return how many runs of a task there may be at a time."""
    if policy.overlap != "allow":
        return 1
    return math.inf if policy.max_instances is None else policy.max_instances


def retry_at(policy: Policy, run: Run, now: float, kind: type[BaseException]) -> float | None:
    """Return when a run that has failed by an exception of that kind begins its next attempt, None: it has failed."""
    retry = policy.retry
    if retry is None or run.attempt > retry.times or not issubclass(kind, retry.on):
        return None
    return now + retry.wait(run.task, run.due, run.attempt)


def fire_time(label: str, due: float, policy: Policy) -> float:
    """Return when an occurrence fires: its due time, and its jitter."""
    return due + policy.jitter * spread(label, due) if policy.jitter else due


def pause_reason(now: float, until: float) -> str | None:
    """Return the reason for which nothing runs at ``now``, None when no pause lasts ``until`` a later moment."""
    if now >= until:
        return None
    return "paused" if until == math.inf else f"paused until {until:.3f}"


def _overlap(last: Run | None) -> str | None:
    if last is None or last.ended is not None:
        return None
    if last.state == WAITING:
        return f"overlap: the run due {last.due:.3f} still waits for its turn"
    return f"overlap: the run due {last.due:.3f} has not ended"


def _too_many(running: int, waiting: int) -> str:
    if not running:
        return f"overlap: {waiting} occurrences wait already"
    return f"overlap: {running} runs have not ended" + (f", and {waiting} wait" if waiting else "")


def _stretch(trigger: Trigger, due: float, now: float) -> tuple[int, float, str | None]:
    """Return how many occurrences lie in [due, now], the last of them, and a note where they were not all counted."""
    count, until, exact = stretch(trigger, due, now, MOST_COUNTED)
    return count, until, None if exact else f"at least {count} occurrences"
