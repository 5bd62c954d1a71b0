"""The functions of TurboGears 1's scheduler, on one default scheduler.

::

    from tgscheduler import scheduler

    def do_something():
        print("Hello world.")

    scheduler.add_interval_task(action=do_something, taskname="do_something", initialdelay=0, interval=10)

Every function that adds takes these arguments and returns the :class:`Task`, which :func:`cancel` takes back:

``action``
    The callable; ``args`` (a tuple or list) and ``kw`` (a dict) are passed to it.
``processmethod``
    ``method.threaded`` (default): in a thread of its own. ``method.sequential``: in the scheduler's own thread, one
    after another; for quick tasks. ``method.forked``: in a forked process.
``taskname``
    A name for the task, unique among those that wait or run; None: no name.
``start``, ``end``, ``timezone``
    The first and the last moment at which it may fire (POSIX seconds or datetimes), and the zone that its days and
    times are meant in.
``misfire``, ``misfire_cap``, ``grace``, ``overlap``, ``max_instances``, ``timeout``, ``retry``, ``jitter``,
``max_runs``, ``on_lost``, ``max_takeovers``
    What becomes of late, overlapping, endless and failed runs: :mod:`tgscheduler.policy`.
``formerly``
    The name that the task had before: with a store that outlives the process it takes over that one's history.

A bad value is a ValueError or TypeError at the call that says what is expected; nothing is registered then.
"""

import os
import threading
from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar
from datetime import datetime, timedelta
from typing import Any, Unpack

from tgscheduler import building, config
from tgscheduler.engine.forked import ForkedScheduler
from tgscheduler.engine.schedulers import Scheduler, ThreadedScheduler
from tgscheduler.events import Callback, Event
from tgscheduler.executors.base import current_run
from tgscheduler.timetable.daytasks import CronLikeTask, CronTask, DayTaskRescheduler, MonthdayTask, WeekdayTask
from tgscheduler.timetable.policy import Policy, Retry, method
from tgscheduler.timetable.run import Run
from tgscheduler.timetable.tasks import Action, Args, IntervalTask, Kw, SingleTask, Task, TimeOnDay, TriggerTask
from tgscheduler.timetable.terms import Options
from tgscheduler.timetable.triggers import Trigger
from tgscheduler.timetable.variants import (
    ForkedCronLikeTask,
    ForkedCronTask,
    ForkedIntervalTask,
    ForkedMonthdayTask,
    ForkedSingleTask,
    ForkedTaskMixin,
    ForkedTriggerTask,
    ForkedWeekdayTask,
    ThreadedCronLikeTask,
    ThreadedCronTask,
    ThreadedIntervalTask,
    ThreadedMonthdayTask,
    ThreadedSingleTask,
    ThreadedTaskMixin,
    ThreadedTriggerTask,
    ThreadedWeekdayTask,
)

__all__ = [
    "CronLikeTask",
    "CronTask",
    "DayTaskRescheduler",
    "Event",
    "ForkedCronLikeTask",
    "ForkedCronTask",
    "ForkedIntervalTask",
    "ForkedMonthdayTask",
    "ForkedScheduler",
    "ForkedSingleTask",
    "ForkedTaskMixin",
    "ForkedTriggerTask",
    "ForkedWeekdayTask",
    "IntervalTask",
    "MonthdayTask",
    "Policy",
    "Retry",
    "Run",
    "Scheduler",
    "SingleTask",
    "Task",
    "ThreadedCronLikeTask",
    "ThreadedCronTask",
    "ThreadedIntervalTask",
    "ThreadedMonthdayTask",
    "ThreadedScheduler",
    "ThreadedSingleTask",
    "ThreadedTaskMixin",
    "ThreadedTriggerTask",
    "ThreadedWeekdayTask",
    "TriggerTask",
    "WeekdayTask",
    "add_cron_like_task",
    "add_cron_task",
    "add_interval_task",
    "add_monthday_task",
    "add_monthly_task",
    "add_single_task",
    "add_task",
    "add_weekday_task",
    "add_weekly_task",
    "build",
    "cancel",
    "cancel_run",
    "counts",
    "counts_by_task",
    "current_run",
    "explain",
    "get_task",
    "get_tasks",
    "gone",
    "health",
    "method",
    "pause",
    "pause_all",
    "rename_task",
    "reschedule_task",
    "resume",
    "resume_all",
    "run_now",
    "runs",
    "start_scheduler",
    "stop_scheduler",
    "subscribe",
    "why",
]

_default: Scheduler | None = None
#: Whom the functions serve instead, for whoever runs in this context: a rehearsal.
_here: ContextVar[Scheduler | None] = ContextVar("tgscheduler_here", default=None)
_making = threading.Lock()


def build(settings: Mapping[str, Any]) -> ThreadedScheduler:
    """Return a new scheduler made from ``tg.scheduler.*`` settings that are checked already."""
    return ThreadedScheduler(**building.arguments(settings))


def _get_scheduler() -> Scheduler:
    """Return the default scheduler; its settings are those that stand when it is started."""
    global _default
    here = _here.get()
    if here is not None:
        return here
    if _default is None:
        with _making:
            if _default is None:
                _default = build(config.settings())
    return _default


def _configured() -> Scheduler:
    """Return the default scheduler with the settings of now, unless it runs already."""
    scheduler = _get_scheduler()
    if not scheduler.running:
        scheduler.configure(**building.arguments(config.settings()))
    return scheduler


def __getattr__(name: str) -> Scheduler:
    """Return the default scheduler as ``scheduler``, where TGScheduler 1.7 has it."""
    if name == "scheduler":
        return _get_scheduler()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _renew_lock() -> None:
    global _making
    _making = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


def start_scheduler(ready: Callable[[], bool] | None = None) -> Scheduler:
    """Start the default scheduler in a thread of its own and return it; when it runs already, just return it.

    Nothing fires before ``ready()`` is true (None: at once).
    """
    return _configured().start_scheduler(ready)


def stop_scheduler() -> None:
    """Stop the default scheduler; its tasks stay. Harmless before any start, twice, and inside a task."""
    scheduler = _here.get() or _default
    if scheduler is not None:
        scheduler.stop()


def add_interval_task(
    action: Action,
    interval: float | timedelta,
    args: Args = None,
    kw: Kw = None,
    initialdelay: float | timedelta = 0,
    processmethod: str = method.threaded,
    taskname: str | None = None,
    **options: Unpack[Options],
) -> Task:
    """Run ``action`` every ``interval`` seconds, first ``initialdelay`` seconds from now (or from the start).

    An ``initialdelay`` of 600 and an ``interval`` of 60 mean "start running after 10 minutes and run every minute
    after that". Fire times are absolute: whatever the action takes, nothing drifts.
    """
    return _get_scheduler().add_interval_task(
        action, interval, args, kw, initialdelay, processmethod, taskname, **options
    )


def add_single_task(
    action: Action,
    args: Args = None,
    kw: Kw = None,
    initialdelay: float | timedelta = 0,
    processmethod: str = method.threaded,
    taskname: str | None = None,
    *,
    at: float | datetime | None = None,
    **options: Unpack[Options],
) -> Task:
    """Run ``action`` once, ``initialdelay`` seconds from now (or from the start), or ``at`` a moment.

    ``at`` is POSIX seconds or a datetime. One without a zone is read in ``timezone``, or else in that of the scheduler,
    and is refused where neither is set; in a gap of the clock it is the first moment after that.
    """
    return _get_scheduler().add_single_task(action, args, kw, initialdelay, processmethod, taskname, at=at, **options)


def add_weekday_task(
    action: Action,
    weekdays: Iterable[int],
    timeonday: TimeOnDay,
    args: Args = None,
    kw: Kw = None,
    processmethod: str = method.threaded,
    taskname: str | None = None,
    **options: Unpack[Options],
) -> Task:
    """Run ``action`` on days of the week, 1 (Monday) to 7, at ``timeonday``.

    ``timeonday`` is (hour, minute), a ``datetime.time`` or an hour alone, or a list of the first two, in the
    scheduler's zone, or that of ``timezone=``.
    """
    return _get_scheduler().add_weekday_task(action, weekdays, timeonday, args, kw, processmethod, taskname, **options)


def add_monthday_task(
    action: Action,
    monthdays: Iterable[int | str] | str,
    timeonday: TimeOnDay,
    args: Args = None,
    kw: Kw = None,
    processmethod: str = method.threaded,
    taskname: str | None = None,
    **options: Unpack[Options],
) -> Task:
    """Run ``action`` on days of the month at ``timeonday``.

    Days are 1 to 31 (months without that day are passed over), -1 or ``"last"`` for the last one, -2 for the one
    before, or words such as ``"2nd tuesday"`` and ``"last fri"``.
    """
    return _get_scheduler().add_monthday_task(
        action, monthdays, timeonday, args, kw, processmethod, taskname, **options
    )


def add_cron_task(
    action: Action,
    line: str,
    args: Args = None,
    kw: Kw = None,
    processmethod: str = method.threaded,
    taskname: str | None = None,
    **options: Unpack[Options],
) -> Task:
    """Run ``action`` when a cron line ``minute hour day-of-month month day-of-week`` matches: ``"0 9 * * 1-5"``.

    Also six fields with seconds first, names of months and days, ``L`` for the last day, ``FRI#2`` for the second
    Friday, ``@daily`` and its kin. Where day of month and day of week are both restricted, either suffices.
    """
    return _get_scheduler().add_cron_task(action, line, args, kw, processmethod, taskname, **options)


def add_task(
    action: Action,
    trigger: Trigger,
    args: Args = None,
    kw: Kw = None,
    processmethod: str = method.threaded,
    taskname: str | None = None,
    **options: Unpack[Options],
) -> Task:
    """Run ``action`` when ``trigger`` says so: one of :mod:`tgscheduler.triggers`, or any object of your own.

    Its ``next_after(moment)`` returns the earliest fire time later than ``moment``, both POSIX seconds, None when
    there is none any more. It is never asked while the timetable is locked.
    """
    return _get_scheduler().add_task(action, trigger, args, kw, processmethod, taskname, **options)


def add_cron_like_task(
    action: Action,
    cron_str: str,
    args: Args = None,
    kw: Kw = None,
    processmethod: str = method.threaded,
    taskname: str | None = None,
    **options: Unpack[Options],
) -> Task:
    """Run ``action`` when **all** fields of ``minute hour day-of-month month day-of-week`` match.

    This is TGScheduler 1.7's rule; cron runs when either of the two day fields matches.
    """
    return _get_scheduler().add_cron_like_task(action, cron_str, args, kw, processmethod, taskname, **options)


add_weekly_task = add_weekday_task
add_monthly_task = add_monthday_task


def cancel(task: Task | str | None) -> None:
    """Cancel a task, or the task of that name; harmless where it is gone already."""
    _get_scheduler().cancel(task)


def pause(task: Task | str, until: float | datetime | None = None) -> bool:
    """Let a task run nothing ``until`` a moment (None: until it is resumed); False where it was so already.

    What comes due meanwhile is recorded as skipped; a task that runs once is kept until then.
    """
    return _get_scheduler().pause(task, until)


def resume(task: Task | str) -> bool:
    """Let a paused task run again from now on; False where it was not paused."""
    return _get_scheduler().resume(task)


def pause_all(until: float | datetime | None = None) -> bool:
    """Let no task run anything ``until`` a moment (None: until all are resumed); False where it was so already."""
    return _get_scheduler().pause_all(until)


def resume_all() -> bool:
    """End :func:`pause_all`, and the pause of every single task; False where nothing was paused."""
    return _get_scheduler().resume_all()


def run_now(task: Task | str) -> Run:
    """Run a task at once, beside its timetable and also while it is paused; return the Run.

    Its overlap policy holds: where it runs already, the Run ends as skipped, or waits in line.
    """
    return _get_scheduler().run_now(task)


def reschedule_task(task: Task | str, trigger: Trigger) -> float:
    """Let a task fire by another trigger from now on; return when it does so first (POSIX seconds)."""
    return _get_scheduler().reschedule_task(task, trigger)


def cancel_run(run: Run) -> bool:
    """End a run that waits or runs as cancelled; False where it has ended.

    A forked one is ended with its process. An action in a thread cannot be ended: ``current_run().cancelled`` tells
    it to return, and its thread counts as abandoned until it does.
    """
    return _get_scheduler().cancel_run(run)


def subscribe(callback: Callback, names: str | Iterable[str] | None = None) -> Callable[[], None]:
    """Call ``callback(event)`` for each event of these names (None: of all); return what ends that again.

    Names and facts: :mod:`tgscheduler.events`. Listeners are called in a thread of their own.
    """
    return _get_scheduler().subscribe(callback, names)


def get_task(taskname: str) -> Task | None:
    """Return the task of that name, None when there is none."""
    return _get_scheduler().get_task(taskname)


def get_tasks() -> dict[str, Task]:
    """Return a new dict of names to tasks."""
    return _get_scheduler().get_tasks()


def rename_task(taskname: str, newname: str) -> None:
    """Give a task another name; nothing happens where it is unknown."""
    _get_scheduler().rename(taskname, newname)


def runs(
    task: str | Task | None = None,
    state: str | None = None,
    since: float | None = None,
    before: float | Run | None = None,
    limit: int = 100,
) -> list[Run]:
    """Return what became of occurrences, newest due time first (``since <= due < before``, POSIX seconds).

    Where ``before`` is the last Run of a page, the next page follows.
    """
    return _get_scheduler().runs(task, state, since, before, limit)


def counts(since: float | None = None) -> dict[str, int]:
    """Return how many occurrences are in each state; their sum is the number that came due.

    ``since`` (POSIX seconds): only those that were due in the hour of that moment, or later.
    """
    return _get_scheduler().counts(since)


def counts_by_task(since: float | None = None) -> dict[str, dict[str, int]]:
    """Return, by the task's name, how many occurrences are in each state; ``since`` as for :func:`counts`."""
    return _get_scheduler().counts_by_task(since)


def gone() -> list[str]:
    """Return the names that the store has a history of, and that no task has any more; a new one can take it over.

    That is what the option ``formerly`` of a task does. Without a store that outlives the process there are none.
    """
    return _get_scheduler().gone()


def health() -> dict[str, Any]:
    """Return how the engine is: state, reasons and figures."""
    return _get_scheduler().health()


def explain(task: str | Task, n: int = 5) -> str:
    """Return what a task is and when it fires, in words: its zone, policy and bounds, and its next ``n`` fires.

    The fires are those that the loop will go through, in local time, with a note where a clock change moves one. ``n``
    is 1 to 1000. Raises InvalidValue for a task that is not there.
    """
    return _get_scheduler().explain(task, n)


def why(task: str | Task, at: float | datetime) -> str:
    """Return why a task did, or did not, run ``at`` a moment, from the records and the rules.

    ``at``: POSIX seconds or a datetime, one without a zone in the task's. Works for a name that only the records know;
    raises InvalidValue for one that nobody does.
    """
    return _get_scheduler().why(task, at)
