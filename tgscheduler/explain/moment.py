"""Why a task did or did not run at a moment: first from the records, then from the rules.

::

    records     a Run that covers the moment; what was running then
    preview     a fire to come
    uptimes     before the start, while stopped, before the task was added, after it had ended
    timetable   a fire without a record; or no fire, with the ones before and after
"""

import math
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from tgscheduler.engine.views import TaskView
from tgscheduler.errors import InvalidValue
from tgscheduler.explain.phrases import run_in_words, zone_in_words
from tgscheduler.explain.preview import ClockChangeNotes, Fire, Forecast, latest_before, passes
from tgscheduler.explain.task import fire_in_words
from tgscheduler.logs import brief
from tgscheduler.timetable import zones
from tgscheduler.timetable.compose import none_until
from tgscheduler.timetable.run import Run
from tgscheduler.timetable.trigger_phrases import none_until_in_words, stamp
from tgscheduler.timetable.triggers import Trigger, check_moment, in_words

#: Maximum number of runs at one moment that are listed, of runs before it that are searched, and of runs in memory.
_MOST_TOLD = 5
_MOST_RUNS = 10_000
_ALL_RUNS = 1_000_000

#: Maximum number of coming fires that are checked, before the timetable alone is.
_MOST_FIRES = 1000


class Records(Protocol):
    """The records of a scheduler."""

    @property
    def timezone(self) -> str:
        """The IANA name of its zone."""

    def runs(
        self, task: Any = None, state: Any = None, since: Any = None, before: Any = None, limit: int = 100
    ) -> list[Run]:
        """Return runs, newest due time first."""

    def counts(self) -> dict[str, int]:
        """Return the number of occurrences in each state."""

    def counts_by_task(self) -> dict[str, dict[str, int]]:
        """Return the same, by task."""


def why(
    records: Records, task: Any, view: TaskView | None, at: float | datetime, uptimes: Sequence[list[float]]
) -> str:
    """Return why a task did, or did not, run at a moment (POSIX seconds or a datetime, naive: in its zone)."""
    name = view.name if view is not None else task if isinstance(task, str) else task.name or "?"
    zone = records.timezone if view is None else view.timezone
    tz, moment = zones.zone(zone), check_moment("at", at, zone)
    runs = records.runs(name, before=moment + 1.0, limit=_MOST_RUNS)
    if view is None and not runs and not records.runs(name, limit=1):
        raise InvalidValue(f"why: there is no task {task!r} here, and no record of one")
    lines = [f"{name} at {stamp(moment, tz)}, {zone_in_words(zone)}"]
    if not -zones.END / 5 < moment < zones.END:
        return f"{lines[0]}\n  no calendar reaches that far, and no record"
    lines += _on_the_wall(at, moment, tz)
    covering = [run for run in runs if run.due < moment + 1.0 and moment <= run.until]
    lines += [run_in_words(run, tz) for run in covering[:_MOST_TOLD]]
    if len(covering) > _MOST_TOLD:
        lines.append(f"and {len(covering) - _MOST_TOLD} runs more")
    lines += _around(runs, covering, moment, tz)
    if view is None:
        if not covering:
            lines.append("there is no such task any more, and no record of a run that was due then")
        return "\n  ".join(lines)
    try:
        lines += _by_rules(records, view, moment, tz, covering, uptimes)
    except Exception as error:  # a custom trigger
        lines.append(f"its trigger raised {brief(error)}")
    return "\n  ".join(lines)


def _by_rules(
    records: Records,
    view: TaskView,
    moment: float,
    tz: ZoneInfo,
    covering: list[Run],
    uptimes: Sequence[list[float]],
) -> Iterator[str]:
    trigger = view.trigger
    if covering:
        note = ClockChangeNotes(trigger).of(covering[0].due)
        if note is not None:
            yield note
        return
    ahead = _ahead(Forecast.of(view), moment)
    if ahead is not None:
        yield from _to_come(records, view, ahead, tz)
        return
    fire = None if trigger is None else trigger.next_after(math.nextafter(moment, -math.inf))
    due_then = fire is not None and fire < moment + 1.0
    if moment <= view.now:
        alive = True
        for reason in _absent(view, moment, tz, uptimes):
            alive = False
            yield reason
        if due_then and alive:
            yield _unrecorded(records, moment, tz)
    elif due_then:
        yield _not_then(view, tz)
    if not due_then:
        yield from _no_fire(view, moment, tz)


def _to_come(records: Records, view: TaskView, fire: Fire, tz: ZoneInfo) -> Iterator[str]:
    if not view.started:
        yield f"it would run then if the scheduler started now: due {fire_in_words(fire, tz)}"
    elif fire.due > view.now:
        yield f"still to come: due {fire_in_words(fire, tz)}"
    elif fire.fire_at > view.now:
        yield f"it waits: due {fire_in_words(fire, tz)}"
    else:
        yield f"it is due and about to run: due {fire_in_words(fire, tz)}"
    for run in records.runs(view.name, "running") + records.runs(view.name, "waiting"):
        yield f"the run before it has not ended: {run_in_words(run, tz)}"


def _absent(view: TaskView, moment: float, tz: ZoneInfo, uptimes: Sequence[list[float]]) -> Iterator[str]:
    """Yield the reasons why the task could not run at a past moment."""
    if not uptimes:
        yield "the scheduler has not been started"
    elif moment < uptimes[0][0]:
        yield f"that was before the scheduler was started, {stamp(uptimes[0][0], tz)}"
    else:
        _, stopped = max(uptime for uptime in uptimes if uptime[0] <= moment)
        if moment > stopped:
            again = [uptime[0] for uptime in uptimes if uptime[0] > moment]
            until = f", and was started {stamp(again[0], tz)}" if again else ""
            yield f"the scheduler had been stopped, {stamp(stopped, tz)}{until}"
    if moment < view.added_at:
        yield f"that was before the task was added, {stamp(view.added_at, tz)}"
    if view.state == "cancelled":
        yield "the task has been cancelled"
    if view.start is not None and moment < view.start:
        yield f"that was before its start, {stamp(view.start, tz)}"
    if moment > view.end:
        yield f"that was after its end, {stamp(view.end, tz)}"
    if view.runs_left == 0:
        yield f"it has had its {view.policy.max_runs} runs"


def _not_then(view: TaskView, tz: ZoneInfo) -> str:
    """Return why the task does not run at a future moment, although its trigger fires then."""
    if view.state == "cancelled":
        return "the task has been cancelled"
    if view.upcoming_due is None and view.unfound is None:
        return "it fires no more: it has had its last occurrence"
    if view.held_until == math.inf:
        return "still to come: due then; it is paused, and does not run until it is resumed"
    if view.end < math.inf or view.runs_left is not None:
        end = "" if view.end == math.inf else f", its end is {stamp(view.end, tz)}"
        left = "" if view.runs_left is None else f", {view.runs_left} runs are left"
        return f"its timetable has a fire then, which its bounds may cut off{end}{left}"
    return "still to come: due then"


def _unrecorded(records: Records, moment: float, tz: ZoneInfo) -> str:
    """Return why there is no record of a fire that the timetable had."""
    kept = sum(count for states in records.counts_by_task().values() for count in states.values())
    remembered = records.runs(limit=_ALL_RUNS) if sum(records.counts().values()) > kept else []
    oldest = min((run.due for run in remembered), default=-math.inf)
    if moment <= oldest + 1.0:
        return (
            f"it was due then, by its timetable of now, but that is older than what the history remembers: "
            f"{len(remembered)} runs, the oldest due {stamp(oldest, tz)}"
        )
    return (
        "by its timetable of now it was due then, but there is no record of it: it has been rescheduled "
        "since, its wall clock was stepped, or its record is forgotten"
    )


def _ahead(forecast: Forecast, moment: float) -> Fire | None:
    """Return the coming fire that is due, or fires, within the second of ``moment``."""
    for number, fire in enumerate(forecast.fires(moment)):
        if moment <= fire.due < moment + 1.0 or moment <= fire.fire_at < moment + 1.0:
            return fire
        if fire.due > moment or number >= _MOST_FIRES:
            return None
    return None


def _no_fire(view: TaskView, moment: float, tz: ZoneInfo) -> Iterator[str]:
    """Yield that the timetable has no fire then, and its fires before and after."""
    trigger = view.trigger
    if trigger is None:
        if view.upcoming_due is not None:
            yield f"it was not due then; it is due {stamp(view.upcoming_due, tz)}"
        elif view.self_rescheduling:
            yield f"its class {view.kind} says when it comes, and there is no record of that moment"
        else:
            yield "it runs once, and was not due then"
        return
    yield f"its timetable has no fire then: it fires {in_words(trigger)}"
    second = _other_pass(trigger, moment, tz)
    if second is not None:
        yield f"that wall time came twice; of the two it fires at the first, {stamp(second, tz)}"
    before, after = latest_before(trigger, moment), trigger.next_after(moment)
    yield f"the fire before: {'none' if before is None else stamp(before, tz)}"
    until = none_until(trigger, moment) if after is None else None
    if until is not None:
        yield f"the fire after: {none_until_in_words(until, tz)}"
    else:
        yield f"the fire after: {'none' if after is None else stamp(after, tz)}"


def _other_pass(trigger: Trigger, moment: float, tz: ZoneInfo) -> float | None:
    """Return the first of two moments with the same wall time, if ``moment`` is the second and the first one fires."""
    twice = passes(moment, tz)
    if twice is None or math.floor(moment) != twice[1]:
        return None
    return twice[0] if trigger.next_after(math.nextafter(twice[0], -math.inf)) == twice[0] else None


def _around(records: list[Run], covering: list[Run], moment: float, tz: ZoneInfo) -> Iterator[str]:
    """Yield the task's runs that were in progress at the moment, besides those that were due then."""
    for run in records:
        if run in covering or run.started is None or not run.started <= moment:
            continue
        if run.ended is None or run.ended > moment:
            yield f"a run was in progress then: {run_in_words(run, tz)}"


def _on_the_wall(at: float | datetime, moment: float, tz: ZoneInfo) -> Iterator[str]:
    """Yield a line if the wall time did not exist, or came twice."""
    twice = passes(moment, tz)
    if twice is not None:
        which = "first" if moment < twice[1] else "second"
        yield f"that wall time came twice in this zone: this is the {which} of the two"
    if isinstance(at, datetime) and at.utcoffset() is None:
        shown = zones.wall(moment, tz)
        if shown != at.replace(microsecond=0, fold=0):
            yield f"{at:%H:%M:%S} did not exist in this zone: the clock went on to {shown:%H:%M:%S}"
