"""What to do with an entry that is due: start it, queue it or skip it, and when it is due next. Pure decisions.

::

    what is due   all occurrences in [due .. until], and the next due time
      misfire     which of them still run, as how many runs; the rest is missed (grace, misfire)
      pause       nothing runs; a one-shot task is kept
      overlap     start, wait in the task's queue, or skip, depending on what still runs
      max_runs    not more than are left
"""

import math
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from tgscheduler.timetable.compose import Trigger, look, next_fire, none_until, not_later_error, on_scheduled_day
from tgscheduler.timetable.entry import Entry
from tgscheduler.timetable.fire_counts import count_fires
from tgscheduler.timetable.intervals import Interval, Once
from tgscheduler.timetable.policy import SKIP_GRACE, Policy, jitter_fraction
from tgscheduler.timetable.run import MISSED, SKIPPED, WAITING, Run
from tgscheduler.timetable.search import STEPS, Search

#: Maximum number of missed calendar occurrences that are counted; beyond it the run's reason says "at least".
MOST_COUNTED = 10_000

#: Maximum time (seconds) over which missed calendar occurrences are counted under the engine's lock, one by one.
COUNTED_AT_ONCE = 60.0

#: Maximum number of occurrences of a task that wait in its queue (``overlap='queue'``, ``misfire='run_all'``).
LONGEST_QUEUE = 1000


class Decision(NamedTuple):
    """The runs of everything that is due, in order of time, and the next due time.

    Of the WAITING ``runs`` the first ``starts`` start at once, and the others wait in the task's queue. The rest is
    MISSED or SKIPPED, with the reason. ``next_due``: POSIX seconds, None: nothing follows.
    """

    runs: Sequence[Run]
    starts: int
    next_due: float | None
    #: The search ended here without a fire time: it continues at this moment.
    unfound: float | None = None


DecisionTuple = tuple[Sequence[Run], int, float | None, float | None]
"""A Decision, or a plain tuple of its fields."""


def decide(entry: Entry, due: float, label: str, now: float, paused_until: float = -math.inf) -> DecisionTuple:
    """Return the :class:`Decision` on an entry that the loop took out, due at ``due``.

    Nothing changes but the grid of an interval, which is made here, at its first run.

    ``label``: the name of its runs. ``paused_until``: nothing runs before that moment. Raises InvalidValue if the
    trigger returns a moment that is not later.
    """
    task, trigger = entry.task, entry.made_trigger
    if trigger is None:
        if task.has_interval and not task.self_rescheduling:
            trigger = entry.trigger  # makes the grid
    elif task.self_rescheduling:
        trigger = None
    if entry.limits is None and paused_until <= now:
        last = entry.last_run
        if last is None or last.ended is not None:
            # The early exit of nearly every occurrence: a run on time, with no limits, as a bare tuple. It saves a
            # quarter of a run (docs/design/0009).
            if trigger is None:
                return (Run(label, due),), 1, None, None
            following = trigger.next_after(due)
            if following is not None and not due < following < math.inf:  # as next_fire() does, without its call
                raise not_later_error(following, due)
            if (following is None or following > now) and not entry.manual_due:
                return (Run(label, due),), 1, following, None
    if paused_until > now and entry.one_shot:
        return Decision((), 0, due)  # kept until the end of the pause
    limits, running = entry.limits, entry.running()
    end = math.inf if limits is None else limits.end
    if trigger is not None and limits is not None and limits.unfound == due:  # no fire time: the search continues
        fire = next_fire(trigger, _before(due))
        if fire is None or fire > min(now, end):
            return _searched(Decision((), 0, fire if fire is not None and fire <= end else None), entry, due, now)
        due = fire
    decision = decide_fully(
        due,
        label,
        now,
        trigger,
        entry.policy,
        running=len(running),
        waiting=0 if limits is None else len(limits.queue),
        oldest=running[0] if running else None,
        runs_left=None if limits is None else limits.runs_left,
        end=end,
        paused=pause_reason(now, paused_until),
        manual_due=entry.manual_due,
    )
    return _searched(decision, entry, due, now)


def _searched(decision: Decision, entry: Entry, due: float, now: float) -> Decision:
    """Return the decision with the moment at which the search ended, if it found no next fire time."""
    limits = entry.limits
    if decision.next_due is not None or limits is None or not limits.slow_trigger:
        return decision
    if limits.runs_left is not None and limits.runs_left == sum(run.state == WAITING for run in decision.runs):
        return decision  # these are its last runs
    return decision._replace(unfound=unfound_until(entry, max(due, now - entry.policy.jitter)))


def decide_fully(
    due: float,
    label: str,
    now: float,
    trigger: Trigger | None,
    policy: Policy,
    *,
    running: int = 0,
    waiting: int = 0,
    oldest: Run | None = None,
    runs_left: int | None = None,
    end: float = math.inf,
    paused: str | None = None,
    manual_due: bool = False,
) -> Decision:
    """Return the :class:`Decision` on what came due at ``due``, by all policies.

    ``running``: number of the task's runs that have not ended; ``oldest``: the oldest of them; ``waiting``: number of
    occurrences in its queue; ``runs_left``: number of runs that it may still have; ``end``: its last moment;
    ``paused``: the reason why nothing runs; ``manual_due``: ``due`` was set by ``schedule_task``, and counts only on
    one of the trigger's days.
    """
    # With jitter an occurrence is missed only after the whole time over which jitter spreads it.
    horizon = min(now - policy.jitter, end)
    following = None if trigger is None else next_fire(trigger, due)
    runs: list[Run] = []
    if not (manual_due and trigger is not None and not on_scheduled_day(trigger, due)):
        whole = Run(label, due)
        if trigger is not None and following is not None and following <= horizon:
            whole = _count_due(label, trigger, due, horizon)
            following = next_fire(trigger, horizon)
        runs = apply_misfire(whole, now, horizon, trigger, policy)
    if paused is not None:
        for run in runs:
            run.state, run.reason = SKIPPED, paused
    starts = apply_overlap(runs, policy, running, waiting, oldest)
    if runs_left is not None:
        runs, runs_left = apply_max_runs(runs, runs_left)
    if (following is not None and following > end) or runs_left == 0:
        following = None
    return Decision(runs, starts, following)


def pause_reason(now: float, until: float) -> str | None:
    """Return the reason why nothing runs before ``until``, None if that has passed."""
    if until <= now:
        return None
    return "paused" if until == math.inf else f"paused until {until:.3f}"


def apply_misfire(whole: Run, now: float, horizon: float, trigger: Trigger | None, policy: Policy) -> list[Run]:
    """Divide what is due, up to ``horizon``, into what is missed and what still runs."""
    grace, skip, label = policy.grace, policy.misfire == "skip", whole.task
    tolerated = SKIP_GRACE if grace is None and skip else grace
    # An occurrence is late from the end of the time over which jitter spreads it.
    earliest = -math.inf if tolerated is None else now - tolerated - policy.jitter
    live: list[Run] = []
    if trigger is None or whole.count == 1 or (policy.misfire == "run_once" and whole.due >= earliest):
        if whole.due >= earliest:
            return [whole]
    elif policy.misfire == "run_once":
        first = next_fire(trigger, _before(earliest))
        if first is not None and first <= horizon:
            live = [_count_due(label, trigger, first, horizon)]
    else:
        fires = _last_fires(trigger, whole.due, horizon, policy.misfire_cap or 1)
        live = [Run(label, fire) for fire in fires if fire >= earliest]
    if not live:
        whole.state, whole.reason = MISSED, _and(_late(now - whole.until, policy, tolerated), whole.reason)
        return [whole]
    if live[0].due == whole.due:
        return live
    assert trigger is not None
    missed = _count_due(label, trigger, whole.due, _before(live[0].due))
    reason = f"misfire: {policy.misfire}"
    if missed.until < earliest:
        reason = _late(now - missed.until, policy, tolerated)
    elif policy.misfire == "run_all":
        reason = f"misfire: run_all makes up for {policy.misfire_cap} at most"
    missed.state, missed.reason = MISSED, _and(reason, missed.reason)
    return [missed, *live]


def _before(moment: float) -> float:
    return math.nextafter(moment, -math.inf)


def _and(reason: str, note: str | None) -> str:
    return reason if note is None else f"{reason}; {note}"


def _late(seconds: float, policy: Policy, tolerated: float | None) -> str:
    what = "grace is" if policy.grace is not None else "misfire: skip tolerates"
    return f"{seconds:.1f} s late; {what} {tolerated:g} s"


def _last_fires(trigger: Trigger, due: float, horizon: float, most: int) -> list[float]:
    """Return the last fire times in [due, horizon], at most ``most``; ``due`` is one.

    A trigger only finds later times: it is called from further and further back, until there are enough or the search
    is spent.
    """
    search, found = Search(STEPS + 8 * most), [due]
    back = most * trigger.seconds if isinstance(trigger, Interval) else 1.0
    while True:
        begin = horizon - back
        fire: float | None = due if begin <= due else next_fire(trigger, _before(begin))
        fires: deque[float] = deque(maxlen=most)
        while fire is not None and fire <= horizon:
            if search.spent:
                return found
            fires.append(fire)
            fire = look(trigger, fire, search).fire
        if begin <= due or len(fires) == most:
            return list(fires)
        found, back = list(fires) or found, back * 4


def apply_max_runs(runs: list[Run], runs_left: int) -> tuple[list[Run], int]:
    """Return the runs up to the last one that is allowed, and how many are left then; the others are dropped."""
    kept: list[Run] = []
    for run in runs:
        if run.state == WAITING:
            if runs_left == 0:
                break
            runs_left -= 1
        kept.append(run)
    return kept, runs_left


def apply_overlap(runs: list[Run], policy: Policy, running: int, waiting: int, oldest: Run | None) -> int:
    """Return how many runs start now; mark those that are skipped.

    Runs after the first make up for missed ones: if they cannot start they wait, unless the first is skipped.
    ``running``: number of the task's runs that have not ended; ``oldest``: the oldest of them; ``waiting``: number of
    occurrences in its queue.
    """
    most = max_concurrency(policy)
    first, starts = True, 0
    for run in runs:
        if run.state != WAITING:
            continue
        made_up, first = not first, False
        if running < most and not waiting:
            running += 1
            starts += 1
        elif policy.overlap != "queue" and not made_up:
            run.state, run.reason = SKIPPED, (_overlap(oldest) if most == 1 else None) or _too_many(running, waiting)
            first = True  # the one after it is skipped as well
        elif waiting >= LONGEST_QUEUE:
            run.state, run.reason = SKIPPED, f"overlap: {waiting} occurrences wait already"
        else:
            waiting += 1
    return starts


def max_concurrency(policy: Policy) -> float:
    """Return the maximum number of runs of a task at a time."""
    if policy.overlap != "allow":
        return 1
    return math.inf if policy.max_instances is None else policy.max_instances


def retry_at(policy: Policy, run: Run, now: float, kind: type[BaseException]) -> float | None:
    """Return when a run that failed by an exception of class ``kind`` begins its next attempt, None if never."""
    retry = policy.retry
    if retry is None or run.attempt > retry.times or not issubclass(kind, retry.on):
        return None
    return now + retry.wait(run.task, run.due, run.attempt)


def fire_time(label: str, due: float, policy: Policy) -> float:
    """Return when an occurrence fires: its due time plus its jitter."""
    return due + policy.jitter * jitter_fraction(label, due) if policy.jitter else due


def takes_long(entry: Entry, due: float, now: float) -> bool:
    """Return whether a decision may take long, and must be made without the engine's lock.

    Its trigger may be slow, or many missed occurrences have to be counted one by one.
    """
    if entry.limits is not None and entry.limits.slow_trigger:
        return True
    if now - due <= entry.policy.jitter + COUNTED_AT_ONCE or entry.task.self_rescheduling:
        return False
    return type(entry.trigger) not in (Interval, Once, type(None))


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


def _count_due(label: str, trigger: Trigger, due: float, now: float) -> Run:
    """Return one Run for the occurrences in [due, now], with a note if not all of them were counted."""
    count, until, exact = count_fires(trigger, due, now, MOST_COUNTED)
    run = Run(label, due, count, until)
    run.reason = None if exact else f"at least {count} occurrences"
    return run


# -- fire times outside of a turn: at an add, a start, a manual change ----------------------------------------------

#: If the wall clock was set back by more than this (seconds), it was wrong before: what ran then may run again.
MAX_CLOCK_ROLLBACK = 3 * 3600.0


class Placement(NamedTuple):
    """A fire time that an entry gets outside of a turn; ``trigger``: its trigger from then on."""

    due: float | None
    trigger: Trigger | None
    manual_due: bool = False
    #: The search ended here without a fire time: it continues at this moment.
    unfound: float | None = None


def first_placement(entry: Entry, now: float, delay: float | None) -> Placement:
    """Return the first fire time: ``delay`` seconds from now, or (None) by the trigger."""
    limits, trigger = entry.limits, entry.trigger
    start, end = (None, math.inf) if limits is None else (limits.start, limits.end)
    if entry.begins_grid:
        due: float | None = (now if start is None else start) + (delay or 0.0)
        assert due is not None
        grid = entry.grid(due)
        if start is not None:
            due = grid.next_after(_before(max(now, due)))  # its grid may have begun already
        return Placement(due if due is not None and due <= end else None, grid)
    if trigger is None or delay is not None:
        due = max(now, start or now) + (delay or 0.0)
        return Placement(due if due <= end else None, trigger, trigger is not None)
    return Placement(next_due(entry, trigger, now), trigger)


def placement_after_stop(entry: Entry, now: float) -> Placement:
    """Return the next fire time of an entry after a stop; what was due meanwhile is no occurrence."""
    trigger, due, high_water = entry.trigger, entry.due, entry.high_water
    assert due is not None
    if trigger is None or (due >= now and entry.manual_due):
        return Placement(due, trigger, entry.manual_due)
    if isinstance(trigger, Interval) and due >= now:
        if high_water and due - now > trigger.seconds:  # the wall clock was set back meanwhile
            steps = math.ceil((trigger.anchor - now) / trigger.seconds)
            trigger = Interval.sound(trigger.seconds, trigger.anchor - steps * trigger.seconds)
            return Placement(next_due(entry, trigger, now), trigger, entry.manual_due)
        return Placement(due, trigger, entry.manual_due)
    ran = high_water if high_water - now <= MAX_CLOCK_ROLLBACK else -math.inf
    return Placement(next_due(entry, trigger, max(now, ran)), trigger)


def next_due(entry: Entry, trigger: Trigger, moment: float) -> float | None:
    """Return a trigger's next fire time after ``moment``, within the bounds of an entry."""
    limits = entry.limits
    if limits is None:
        return next_fire(trigger, moment)
    if limits.start is not None:
        moment = max(moment, _before(limits.start))
    due = next_fire(trigger, moment)
    return due if due is None or due <= limits.end else None


def unfound_until(entry: Entry, moment: float) -> float | None:
    """Return the moment at which the search for a fire time after ``moment`` ended at its bounds.

    None if there is a fire time, or there never is one (:mod:`tgscheduler.timetable.search`).
    """
    limits, trigger = entry.limits, entry.trigger
    if limits is None or not limits.slow_trigger or trigger is None or limits.runs_left == 0:
        return None
    if limits.start is not None:
        moment = max(moment, _before(limits.start))
    until = none_until(trigger, moment)
    return until if until is not None and until <= limits.end else None
