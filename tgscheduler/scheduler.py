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

A bad value is a ValueError or TypeError at the call that says what is expected; nothing is registered then.
"""

import os
import threading
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import Any

from tgscheduler import config
from tgscheduler.engine.forked import ForkedScheduler
from tgscheduler.engine.schedulers import Scheduler, ThreadedScheduler
from tgscheduler.timetable.policy import method
from tgscheduler.timetable.run import Run, current_run
from tgscheduler.timetable.tasks import (
    Action,
    Args,
    CronLikeTask,
    DayTaskRescheduler,
    IntervalTask,
    Kw,
    MonthdayTask,
    SingleTask,
    Task,
    TimeOnDay,
    WeekdayTask,
)
from tgscheduler.timetable.variants import (
    ForkedCronLikeTask,
    ForkedIntervalTask,
    ForkedMonthdayTask,
    ForkedSingleTask,
    ForkedTaskMixin,
    ForkedWeekdayTask,
    ThreadedCronLikeTask,
    ThreadedIntervalTask,
    ThreadedMonthdayTask,
    ThreadedSingleTask,
    ThreadedTaskMixin,
    ThreadedWeekdayTask,
)

__all__ = [
    "CronLikeTask",
    "DayTaskRescheduler",
    "ForkedCronLikeTask",
    "ForkedIntervalTask",
    "ForkedMonthdayTask",
    "ForkedScheduler",
    "ForkedSingleTask",
    "ForkedTaskMixin",
    "ForkedWeekdayTask",
    "IntervalTask",
    "MonthdayTask",
    "Run",
    "Scheduler",
    "SingleTask",
    "Task",
    "ThreadedCronLikeTask",
    "ThreadedIntervalTask",
    "ThreadedMonthdayTask",
    "ThreadedScheduler",
    "ThreadedSingleTask",
    "ThreadedTaskMixin",
    "ThreadedWeekdayTask",
    "WeekdayTask",
    "add_cron_like_task",
    "add_interval_task",
    "add_monthday_task",
    "add_monthly_task",
    "add_single_task",
    "add_weekday_task",
    "add_weekly_task",
    "build",
    "cancel",
    "counts",
    "current_run",
    "get_task",
    "get_tasks",
    "health",
    "method",
    "rename_task",
    "runs",
    "start_scheduler",
    "stop_scheduler",
]

_default: Scheduler | None = None
_making = threading.Lock()


def build(settings: Mapping[str, Any]) -> ThreadedScheduler:
    """Return a new scheduler made from ``tg.scheduler.*`` settings that are checked already."""
    return ThreadedScheduler(**_arguments(settings))


def _arguments(settings: Mapping[str, Any]) -> dict[str, Any]:
    names = ("timezone", "threads", "children", "stop_timeout", "history")
    return {name: settings[f"tg.scheduler.{name}"] for name in names if f"tg.scheduler.{name}" in settings}


def _get_scheduler() -> Scheduler:
    """Return the default scheduler; its settings are those that stand when it is started."""
    global _default
    if _default is None:
        with _making:
            if _default is None:
                _default = build(config.settings())
    return _default


def _configured() -> Scheduler:
    """Return the default scheduler with the settings of now, unless it runs already."""
    scheduler = _get_scheduler()
    if not scheduler.running:
        scheduler.configure(**_arguments(config.settings()))
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
    if _default is not None:
        _default.stop()


def add_interval_task(
    action: Action,
    interval: float | timedelta,
    args: Args = None,
    kw: Kw = None,
    initialdelay: float | timedelta = 0,
    processmethod: str = method.threaded,
    taskname: str | None = None,
) -> Task:
    """Run ``action`` every ``interval`` seconds, first ``initialdelay`` seconds from now (or from the start).

    An ``initialdelay`` of 600 and an ``interval`` of 60 mean "start running after 10 minutes and run every minute
    after that". Fire times are absolute: whatever the action takes, nothing drifts.
    """
    return _get_scheduler().add_interval_task(action, interval, args, kw, initialdelay, processmethod, taskname)


def add_single_task(
    action: Action,
    args: Args = None,
    kw: Kw = None,
    initialdelay: float | timedelta = 0,
    processmethod: str = method.threaded,
    taskname: str | None = None,
) -> Task:
    """Run ``action`` once, ``initialdelay`` seconds from now (or from the start)."""
    return _get_scheduler().add_single_task(action, args, kw, initialdelay, processmethod, taskname)


def add_weekday_task(
    action: Action,
    weekdays: Iterable[int],
    timeonday: TimeOnDay,
    args: Args = None,
    kw: Kw = None,
    processmethod: str = method.threaded,
    taskname: str | None = None,
) -> Task:
    """Run ``action`` on days of the week, 1 (Monday) to 7, at ``timeonday``.

    ``timeonday`` is (hour, minute), a ``datetime.time`` or an hour alone, in the scheduler's zone.
    """
    return _get_scheduler().add_weekday_task(action, weekdays, timeonday, args, kw, processmethod, taskname)


def add_monthday_task(
    action: Action,
    monthdays: Iterable[int],
    timeonday: TimeOnDay,
    args: Args = None,
    kw: Kw = None,
    processmethod: str = method.threaded,
    taskname: str | None = None,
) -> Task:
    """Run ``action`` on days of the month, 1 to 31, at ``timeonday``; months without that day are passed over."""
    return _get_scheduler().add_monthday_task(action, monthdays, timeonday, args, kw, processmethod, taskname)


def add_cron_like_task(
    action: Action,
    cron_str: str,
    args: Args = None,
    kw: Kw = None,
    processmethod: str = method.threaded,
    taskname: str | None = None,
) -> Task:
    """Run ``action`` when **all** fields of ``minute hour day-of-month month day-of-week`` match.

    This is TGScheduler 1.7's rule; cron runs when either of the two day fields matches.
    """
    return _get_scheduler().add_cron_like_task(action, cron_str, args, kw, processmethod, taskname)


add_weekly_task = add_weekday_task
add_monthly_task = add_monthday_task


def cancel(task: Task | str | None) -> None:
    """Cancel a task, or the task of that name; harmless where it is gone already."""
    _get_scheduler().cancel(task)


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
    before: float | None = None,
    limit: int = 100,
) -> list[Run]:
    """Return what became of occurrences, newest due time first (``since <= due < before``, POSIX seconds)."""
    return _get_scheduler().runs(task, state, since, before, limit)


def counts() -> dict[str, int]:
    """Return how many occurrences are in each state; their sum is the number that came due."""
    return _get_scheduler().counts()


def health() -> dict[str, Any]:
    """Return how the engine is: state, reasons and figures."""
    return _get_scheduler().health()
