"""Verbs: what each action needs, how it says what it will do, and how it does it.

=================  ==========================================================================================
``pause``          a task does not run until a moment, or until it is resumed
``resume``         the end of that
``run``            a task runs once, at once
``reschedule``     a task gets another timetable, which is given as text
``cancel``         a run that waits or runs ends as cancelled
``rerun``          the task of a run that was not ok runs once more
``pause_all``      no task runs until a moment, or until all are resumed
``resume_all``     the end of that, and of the pause of every single task
=================  ==========================================================================================

No verb is a toggle: each says what holds afterwards, and says so if it held before.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from tgscheduler import clock as clocks
from tgscheduler.console.console import Console
from tgscheduler.console.http import Problem
from tgscheduler.messages import printable, shown
from tgscheduler.timetable import zones
from tgscheduler.timetable.plan import max_concurrency
from tgscheduler.timetable.run import CANCELLED, FAILED, LOST, MISSED, RUNNING, SKIPPED, TIMED_OUT, WAITING, Run
from tgscheduler.timetable.trigger_phrases import stamp
from tgscheduler.timetable.triggers import Interval, Trigger, in_words
from tgscheduler.views import RunView, TaskSummary

#: The states of a run whose task may be run again because of it.
RERUN_STATES = (FAILED, TIMED_OUT, LOST, CANCELLED, MISSED, SKIPPED)

#: Maximum time (seconds) that an answer waits for what the scheduler decides; it takes milliseconds if it is not busy.
_PATIENCE = 0.05


class Outcome(NamedTuple):
    """What an action has done."""

    #: What was done, or that nothing had to be done, as a sentence.
    text: str
    changed: bool = True
    task: str | None = None
    run: RunView | None = None
    #: What else the audit log says of it.
    detail: str = ""
    #: What the audit log says came of it, if nothing was changed.
    unchanged: str = "nothing to do"


@dataclass(frozen=True, slots=True)
class Order:
    """What an action is asked for, checked against what there is."""

    console: Console
    timezone: str
    #: What the verb needs: a task, a run, or neither.
    target: TaskSummary | Run | None = None
    until: float = math.inf
    timetable: Trigger | None = None

    @property
    def task(self) -> TaskSummary:
        """The task that the verb is about."""
        assert isinstance(self.target, TaskSummary)
        return self.target

    @property
    def run(self) -> Run:
        """The run that the verb is about."""
        assert isinstance(self.target, Run)
        return self.target

    @property
    def trigger(self) -> Trigger:
        """The trigger of the new timetable."""
        assert self.timetable is not None
        return self.timetable

    @property
    def name(self) -> str:
        """The name of the task."""
        return self.task.name

    @property
    def end(self) -> float | None:
        """The end of a pause as the scheduler's verbs take it: None, until it is resumed."""
        return None if self.until == math.inf else self.until

    def said(self, moment: float) -> str:
        """Return a moment as wall time, with its zone."""
        return f"{stamp(moment, zones.zone(self.timezone))}, {self.timezone}"

    def until_said(self, moment: float, resumed: str) -> str:
        """Return the end of a pause in words."""
        return f"until {resumed if moment == math.inf else self.said(moment)}"


class Verb(NamedTuple):
    """What a verb needs, how it says what it will do, and how it does it."""

    needs: str
    describe: Callable[[Order], str]
    perform: Callable[[Order], Outcome]


def running_task(console: Console, name: str) -> TaskSummary:
    """Return a task that still fires; raise a Problem 409 for one that has ended, 404 if there is none."""
    found = console.reader.task(name)
    if found is None or found.view.has_ended:
        if found is not None or console.reader.runs(task=name, limit=1).items:
            raise Problem(409, "Ended", f"{shown(name)} has ended, and fires no more; its runs are still on record.")
        raise Problem(404, "No such task", f"There is no task {shown(name)}.")
    return found


# -- pauses -----------------------------------------------------------------------------------------------------------


def _describe_pause(asked: Order) -> str:
    view = asked.task.view
    if view.paused_until == asked.until:
        return f"{asked.name} is paused so already: nothing changes."
    said = f"{asked.name} does not run {asked.until_said(asked.until, 'it is resumed')}. "
    said += "It is kept until then." if view.one_shot else "What comes due meanwhile is recorded as skipped."
    return f"{said} A run that is in progress goes on." if view.in_flight else said


def _pause(asked: Order) -> Outcome:
    changed = asked.console.scheduler.pause(asked.name, asked.end)
    until = asked.until_said(asked.until, "it is resumed")
    said = f"{asked.name} is paused {until}." if changed else f"{asked.name} was paused {until} already."
    return Outcome(said, changed, asked.name, detail=until)


def _describe_resume(asked: Order) -> str:
    task = asked.task
    if task.view.paused_until <= task.view.now:
        return f"{asked.name} is not paused by itself: nothing changes.{_all_paused(asked)}"
    return f"{asked.name} runs by its timetable again.{_all_paused(asked)}"


def _resume(asked: Order) -> Outcome:
    changed = asked.console.scheduler.resume(asked.name)
    said = f"{asked.name} is resumed." if changed else f"{asked.name} was not paused."
    return Outcome(said + _all_paused(asked), changed, asked.name)


def _all_paused(asked: Order) -> str:
    until, now = asked.task.view.all_paused_until, asked.task.view.now
    return " All tasks are paused: it runs when these are resumed." if until > now else ""


def _describe_pause_all(asked: Order) -> str:
    return (
        f"No task runs {asked.until_said(asked.until, 'all are resumed')}. "
        "What comes due meanwhile is recorded as skipped. Runs that are in progress go on."
    )


def _pause_all(asked: Order) -> Outcome:
    changed = asked.console.scheduler.pause_all(asked.end)
    until = asked.until_said(asked.until, "all are resumed")
    said = f"All tasks are paused {until}." if changed else f"All tasks were paused {until} already."
    return Outcome(said, changed, detail=until)


def _describe_resume_all(asked: Order) -> str:
    paused = [task.name for task in asked.console.reader.tasks() if task.paused_until is not None]
    if not paused:
        return "Nothing is paused: nothing changes."
    return f"All tasks run by their timetables again: {len(paused)} are paused now."


def _resume_all(asked: Order) -> Outcome:
    changed = asked.console.scheduler.resume_all()
    return Outcome("All tasks are resumed." if changed else "Nothing was paused.", changed)


# -- runs -------------------------------------------------------------------------------------------------------------


def _describe_run(asked: Order) -> str:
    said = f"{asked.name} runs once, at once, with its own arguments. Its timetable goes on as it is."
    return said + _beside(asked)


def _beside(asked: Order) -> str:
    if not asked.task.view.in_flight:
        return ""
    becomes = "runs beside it"
    if _is_full(asked):
        becomes = "waits for its end" if _queues(asked) else "is recorded as skipped, unless that ends first"
    return f" A run is in progress: the new one {becomes}."


def _is_full(asked: Order) -> bool:
    """Return whether no further run of the task may begin now."""
    view = asked.task.view
    return view.in_flight >= max_concurrency(view.policy) or view.queued > 0


def _queues(asked: Order) -> bool:
    return asked.task.view.policy.overlap == "queue"


def _run_now(asked: Order) -> Outcome:
    name, console = asked.name, asked.console
    if not console.reader.started:
        raise Problem(409, "Not started", "The scheduler does not run, so nothing can run: start it first.")
    run = console.scheduler.run_now(name)
    _wait_until(lambda: run.state != WAITING)
    view = console.reader.view_of(run)
    if view.state == SKIPPED:
        said = f"{name} is running: by its overlap policy, this run was skipped."
    elif view.state != WAITING:
        said = f"{name} was started."
    elif not _is_full(asked):
        said = f"{name} is about to run."
    elif _queues(asked):
        said = f"{name} is running: by its overlap policy, this run waits for the end of that."
    else:
        said = f"{name} is running: by its overlap policy, this run is skipped, unless that ends first."
        return Outcome(said, False, name, view, run.id, "skipped, unless the run in progress ended first")
    return Outcome(said, view.state != SKIPPED, name, view, run.id, f"skipped: {view.reason}")


def _wait_until(is_decided: Callable[[], bool]) -> None:
    """Let the scheduler decide; not for long, as it may be busy, and a clock that is moved by hand stands still."""
    end = clocks.elapsed() + _PATIENCE
    while not is_decided() and clocks.elapsed() < end:
        clocks.pause(0.001)


def _describe_cancel(asked: Order) -> str:
    run = asked.run
    if run.ended is not None:
        return f"This run of {run.task} has ended ({run.state}): nothing changes."
    if run.state != RUNNING:
        return f"This run of {run.task} does not begin, and ends as cancelled."
    task = asked.console.reader.task(run.task)
    if task is not None and task.view.method == "forked":
        return f"The process of this run of {run.task} is ended, and the run ends as cancelled."
    return (
        f"This run of {run.task} ends as cancelled, and its action is told so; "
        "an action in a thread cannot be ended, and goes on until it returns."
    )


def _cancel(asked: Order) -> Outcome:
    run, console = asked.run, asked.console
    if console.scheduler.cancel_run(run):
        _wait_until(lambda: run.ended is not None)
        view = console.reader.view_of(run)
        said = f"This run of {run.task} is cancelled."
        if view.ended is None:
            said = f"This run of {run.task} ends as cancelled as soon as its process has ended."
        return Outcome(said, True, run.task, view, run.id)
    if run.state == CANCELLED:
        return Outcome(
            f"This run of {run.task} was cancelled already.", False, run.task, console.reader.view_of(run), run.id
        )
    if run.ended is None:
        raise Problem(409, "Out of reach", f"This run of {run.task} is another process's, which has to cancel it.")
    ended = asked.said(run.ended)
    raise Problem(409, "Ended", f"This run of {run.task} cannot be cancelled: it has ended ({run.state}), {ended}.")


def _describe_rerun(asked: Order) -> str:
    run = asked.run
    return f"{_describe_run(_of_task(asked))} The run that was {run.state} stays on record as it is."


def _rerun(asked: Order) -> Outcome:
    return _run_now(_of_task(asked))


def _of_task(asked: Order) -> Order:
    """Return the order to run the task of a run, if that was not ok."""
    run = asked.run
    if run.state not in RERUN_STATES:
        raise Problem(409, detail=f"Expected a run that was {', '.join(RERUN_STATES)}; this one is {run.state}.")
    return Order(asked.console, asked.timezone, running_task(asked.console, run.task))


# -- timetables -------------------------------------------------------------------------------------------------------


def _describe_reschedule(asked: Order) -> str:
    if _has_timetable(asked):
        return f"{asked.name} has that timetable already: nothing changes."
    words, before = in_words(asked.trigger), printable(asked.task.timetable)
    instead = "" if words == before else f", and no more {before}"
    held = "That holds until the application starts again, with the timetable of its code."
    return f"{asked.name} fires {words}{instead}. {held}{_paused(asked)}"


def _has_timetable(asked: Order) -> bool:
    """Return whether the task has the timetable already; an interval, from whatever moment it is counted."""
    view, new = asked.task.view, asked.trigger
    if view.manual_due:
        return False
    if isinstance(new, Interval) and isinstance(view.trigger, Interval):
        return new.seconds == view.trigger.seconds
    return new == view.trigger


def _paused(asked: Order) -> str:
    view = asked.task.view
    if view.held_until == -math.inf:
        return ""
    if view.all_paused_until >= view.paused_until:
        return f" All tasks are paused {asked.until_said(view.held_until, 'all are resumed')}: it does not run before."
    return f" It is paused {asked.until_said(view.held_until, 'it is resumed')}: it does not run before."


def _reschedule(asked: Order) -> Outcome:
    if _has_timetable(asked):
        return Outcome(f"{asked.name} had that timetable already.", False, asked.name)
    due = asked.console.scheduler.reschedule_task(asked.name, asked.trigger)
    words = in_words(asked.trigger)
    said = f"{asked.name} fires {words} from now on; the next time is {asked.said(due)}.{_paused(asked)}"
    return Outcome(said, True, asked.name, detail=words)


VERBS = {
    "pause": Verb("task", _describe_pause, _pause),
    "resume": Verb("task", _describe_resume, _resume),
    "run": Verb("task", _describe_run, _run_now),
    "reschedule": Verb("task", _describe_reschedule, _reschedule),
    "cancel": Verb("run", _describe_cancel, _cancel),
    "rerun": Verb("run", _describe_rerun, _rerun),
    "pause_all": Verb("all", _describe_pause_all, _pause_all),
    "resume_all": Verb("all", _describe_resume_all, _resume_all),
}
