"""Answering why a task did or did not run at a moment: first from the records, then from the rules.

::

    records     a Run that covers the moment; what was running then
    to come     the fires of the preview
    lives       before the start, while stopped, before the task was added, after it was over
    timetable   a fire that no record is left of; none at all, with the ones before and after
"""

import math
from collections.abc import Iterator
from datetime import datetime
from zoneinfo import ZoneInfo

from tgscheduler.engine.explaining import Explaining, fire_in_words
from tgscheduler.errors import InvalidValue
from tgscheduler.executors.base import brief
from tgscheduler.timetable import zones
from tgscheduler.timetable.compose import none_until
from tgscheduler.timetable.preview import Fire, Notes, Outlook, latest_before, passes
from tgscheduler.timetable.run import Run
from tgscheduler.timetable.tasks import Task
from tgscheduler.timetable.telling import none_until_in_words, run_in_words, stamp, zone_in_words
from tgscheduler.timetable.triggers import Trigger, check_moment, in_words

#: As many runs at one moment are told at most; so many of the task's before it are looked through; a memory has fewer.
_MOST_TOLD = 5
_MOST_RUNS = 10_000
_ALL_RUNS = 1_000_000

#: So many fires to come are gone through before the timetable alone is asked.
_MOST_FIRES = 1000


class Answering(Explaining):
    """What answers for a task's past and future; :func:`tgscheduler.scheduler.why` documents it."""

    def why(self, task: str | Task, at: float | datetime) -> str:
        """Return why a task did, or did not, run at a moment (POSIX seconds or a datetime, naive: in its zone)."""
        found = self._find("why", task)
        name = task if isinstance(task, str) else task.name or task._label or "?"
        name = name if found is None else self._name_of(found)
        zone = self.timezone if found is None else found.timezone
        tz, moment = zones.zone(zone), check_moment("at", at, zone)
        records = self.runs(name, before=moment + 1.0, limit=_MOST_RUNS)
        if found is None and not records and not self.runs(name, limit=1):
            raise InvalidValue(f"why: there is no task {task!r} here, and no record of one")
        lines = [f"{name} at {stamp(moment, tz)}, {zone_in_words(zone)}"]
        if not -zones.END / 5 < moment < zones.END:
            return f"{lines[0]}\n  no calendar reaches that far, and no record"
        lines += _on_the_wall(at, moment, tz)
        covering = [run for run in records if run.due < moment + 1.0 and moment <= run.until]
        lines += [run_in_words(run, tz) for run in covering[:_MOST_TOLD]]
        if len(covering) > _MOST_TOLD:
            lines.append(f"and {len(covering) - _MOST_TOLD} runs more")
        lines += _around(records, covering, moment, tz)
        if found is None:
            if not covering:
                lines.append("there is no such task any more, and no record of a run that was due then")
            return "\n  ".join(lines)
        try:
            lines += self._by_rules(found, moment, tz, covering)
        except Exception as error:  # a trigger of the application's own
            lines.append(f"its trigger raised {brief(error)}")
        return "\n  ".join(lines)

    # -- rules ---------------------------------------------------------------------------------------------------

    def _by_rules(self, task: Task, moment: float, tz: ZoneInfo, covering: list[Run]) -> Iterator[str]:
        outlook = self._outlook(task)
        trigger = outlook.trigger
        if covering:
            note = Notes(trigger).of(covering[0].due)
            if note is not None:
                yield note
            return
        ahead = _ahead(outlook, moment)
        if ahead is not None:
            yield from self._to_come(task, outlook, ahead, tz)
            return
        now = self.clock.now()
        fire = None if trigger is None else trigger.next_after(math.nextafter(moment, -math.inf))
        due_then = fire is not None and fire < moment + 1.0
        if moment <= now:
            alive = True
            for reason in self._absent(task, moment, tz):
                alive = False
                yield reason
            if due_then and alive:
                yield from self._unrecorded(moment, tz)
        elif due_then:
            yield from self._not_then(task, outlook, tz)
        if not due_then:
            yield from _no_fire(task, outlook, moment, tz)

    def _to_come(self, task: Task, outlook: Outlook, fire: Fire, tz: ZoneInfo) -> Iterator[str]:
        now = self.clock.now()
        if self._loop is None or not self._loop.placed:
            yield f"it would run then if the scheduler started now: due {fire_in_words(fire, tz)}"
        elif fire.due > now:
            yield f"still to come: due {fire_in_words(fire, tz)}"
        elif fire.fire_at > now:
            yield f"it waits: due {fire_in_words(fire, tz)}"
        else:
            yield f"it is due and about to run: due {fire_in_words(fire, tz)}"
        for run in self._open_runs(outlook.label):
            yield f"the run before it has not ended: {run_in_words(run, tz)}"

    def _absent(self, task: Task, moment: float, tz: ZoneInfo) -> Iterator[str]:
        """Yield why nothing of the task could run at a moment that is over."""
        lives = list(self._registry.lives)
        if not lives:
            yield "the scheduler has not been started"
        elif moment < lives[0][0]:
            yield f"that was before the scheduler was started, {stamp(lives[0][0], tz)}"
        else:
            _, stopped = max(life for life in lives if life[0] <= moment)
            if moment > stopped:
                again = [life[0] for life in lives if life[0] > moment]
                until = f", and was started {stamp(again[0], tz)}" if again else ""
                yield f"the scheduler had been stopped, {stamp(stopped, tz)}{until}"
        if moment < task._added:
            yield f"that was before the task was added, {stamp(task._added, tz)}"
        if task._gone:
            yield "the task has been cancelled"
        terms = task._terms
        if terms is not None and terms.start is not None and moment < terms.start:
            yield f"that was before its start, {stamp(terms.start, tz)}"
        if terms is not None and moment > terms.end:
            yield f"that was after its end, {stamp(terms.end, tz)}"
        if terms is not None and terms.left == 0:
            yield f"it has had its {task.policy.max_runs} runs"

    def _not_then(self, task: Task, outlook: Outlook, tz: ZoneInfo) -> Iterator[str]:
        """Yield why it does not run at a moment to come, though its trigger has a fire there."""
        if task._gone:
            yield "the task has been cancelled"
        elif outlook.due is None:
            yield "it fires no more: it has had its last occurrence"
        elif outlook.paused_until == math.inf:
            yield "still to come: due then; it is paused, and does not run until it is resumed"
        elif outlook.end < math.inf or outlook.left is not None:
            end = "" if outlook.end == math.inf else f", its end is {stamp(outlook.end, tz)}"
            left = "" if outlook.left is None else f", {outlook.left} runs are left"
            yield f"its timetable has a fire then, which its bounds may cut off{end}{left}"
        else:
            yield "still to come: due then"

    def _unrecorded(self, moment: float, tz: ZoneInfo) -> Iterator[str]:
        """Yield why nothing is recorded of a fire that the timetable had."""
        kept = sum(count for states in self.counts_by_task().values() for count in states.values())
        remembered = self.runs(limit=_ALL_RUNS) if sum(self.counts().values()) > kept else []
        oldest = min((run.due for run in remembered), default=-math.inf)
        if moment <= oldest + 1.0:
            yield (
                f"it was due then, by its timetable of now, but that is older than what the history remembers: "
                f"{len(remembered)} runs, the oldest due {stamp(oldest, tz)}"
            )
        else:
            yield (
                "by its timetable of now it was due then, but there is no record of it: it has been rescheduled "
                "since, its wall clock was stepped, or its record is forgotten"
            )

    def _open_runs(self, name: str) -> list[Run]:
        return self.runs(name, "running") + self.runs(name, "waiting")


def _ahead(outlook: Outlook, moment: float) -> Fire | None:
    """Return the fire to come that is due, or fires, within the second of ``moment``."""
    for number, fire in enumerate(outlook.fires(moment)):
        if moment <= fire.due < moment + 1.0 or moment <= fire.fire_at < moment + 1.0:
            return fire
        if fire.due > moment or number >= _MOST_FIRES:
            return None
    return None


def _no_fire(task: Task, outlook: Outlook, moment: float, tz: ZoneInfo) -> Iterator[str]:
    """Yield that the timetable has no fire then, and which ones it has around."""
    trigger = outlook.trigger
    if trigger is None:
        if outlook.due is not None:
            yield f"it was not due then; it is due {stamp(outlook.due, tz)}"
        elif task._reschedules_itself:
            yield f"its class {type(task).__name__} says when it comes, and there is no record of that moment"
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
    """Return the first of the two moments of a wall time, where ``moment`` is the second and the first fires."""
    twice = passes(moment, tz)
    if twice is None or math.floor(moment) != twice[1]:
        return None
    return twice[0] if trigger.next_after(math.nextafter(twice[0], -math.inf)) == twice[0] else None


def _around(records: list[Run], covering: list[Run], moment: float, tz: ZoneInfo) -> Iterator[str]:
    """Yield what of the task was running at the moment, beside the runs that were due then."""
    for run in records:
        if run in covering or run.started is None or not run.started <= moment:
            continue
        if run.ended is None or run.ended > moment:
            yield f"a run was in progress then: {run_in_words(run, tz)}"


def _on_the_wall(at: float | datetime, moment: float, tz: ZoneInfo) -> Iterator[str]:
    """Yield what is to be said of the wall time asked for: it did not exist, or came twice."""
    twice = passes(moment, tz)
    if twice is not None:
        which = "first" if moment < twice[1] else "second"
        yield f"that wall time came twice in this zone: this is the {which} of the two"
    if isinstance(at, datetime) and at.utcoffset() is None:
        shown = zones.wall(moment, tz)
        if shown != at.replace(microsecond=0, fold=0):
            yield f"{at:%H:%M:%S} did not exist in this zone: the clock went on to {shown:%H:%M:%S}"
