"""The functions of TurboGears 1's scheduler, on one default scheduler.

::

    from tgscheduler import scheduler

    def do_something():
        print("Hello world.")

    scheduler.add_interval_task(action=do_something, taskname="do_something", initialdelay=0, interval=10)

Every function that adds a task takes these arguments and returns the :class:`Task`, which :func:`cancel` removes:

``action``
    The callable; ``args`` (a tuple or list) and ``kw`` (a dict) are passed to it.
``processmethod``
    ``method.threaded`` (default): in a separate thread. ``method.sequential``: in the scheduler's own thread, one after
    another; for quick tasks. ``method.forked``: in a forked process.
``taskname``
    A name for the task, unique among those that wait or run; None: no name.
``start``, ``end``, ``timezone``
    The first and the last moment at which it may fire (POSIX seconds or datetimes), and the time zone of its days and
    times.
``misfire``, ``misfire_cap``, ``grace``, ``overlap``, ``max_instances``, ``timeout``, ``retry``, ``jitter``,
``max_runs``, ``on_lost``, ``max_takeovers``
    What happens to late, overlapping, endless and failed runs: :mod:`tgscheduler.policy`.
``formerly``
    The former name of the task: with a persistent store the task takes over the history of that name.

For a bad value the call raises ValueError or TypeError, which says what is expected; nothing is registered then.
"""

import functools
import inspect
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Concatenate, ParamSpec, TypeVar

from tgscheduler import config
from tgscheduler.engine.forked import ForkedScheduler
from tgscheduler.engine.scheduler import Scheduler, ThreadedScheduler
from tgscheduler.events import Event
from tgscheduler.executors.base import current_run
from tgscheduler.settings import scheduler_arguments
from tgscheduler.stores.audit import AuditRecord
from tgscheduler.timetable.calendar_tasks import CronLikeTask, CronTask, DayTaskRescheduler, MonthdayTask, WeekdayTask
from tgscheduler.timetable.policy import Policy, Retry, method
from tgscheduler.timetable.run import Run
from tgscheduler.timetable.tasks import IntervalTask, SingleTask, Task, TriggerTask
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
    "AuditRecord",
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
    "audit",
    "audits",
    "build",
    "cancel",
    "cancel_run",
    "counts",
    "counts_by_hour",
    "counts_by_task",
    "current_run",
    "durations",
    "explain",
    "get_task",
    "get_tasks",
    "gone",
    "health",
    "method",
    "pause",
    "pause_all",
    "recent_runs",
    "rename_task",
    "reschedule_task",
    "resume",
    "resume_all",
    "run",
    "run_now",
    "runs",
    "start_scheduler",
    "stop_scheduler",
    "subscribe",
    "timezone",
    "view",
    "views",
    "why",
]

P = ParamSpec("P")
R = TypeVar("R")

_default: Scheduler | None = None
#: Overrides the default scheduler in the current context.
_override: ContextVar[Scheduler | None] = ContextVar("tgscheduler_override", default=None)
_create_lock = threading.Lock()


def build(settings: Mapping[str, Any]) -> ThreadedScheduler:
    """Return a new scheduler, made from checked ``tg.scheduler.*`` settings."""
    return ThreadedScheduler(**scheduler_arguments(settings))


def _get_scheduler() -> Scheduler:
    """Return the default scheduler; the settings are applied when it is made, and again when it is started."""
    global _default
    override = _override.get()
    if override is not None:
        return override
    if _default is None:
        with _create_lock:
            if _default is None:
                _default = build(config.settings())
    return _default


def configured_scheduler() -> Scheduler:
    """Return the default scheduler, applying the current settings unless it is already running."""
    scheduler = _get_scheduler()
    if not scheduler.running:
        scheduler.configure(**scheduler_arguments(config.settings()))
    return scheduler


@contextmanager
def serving(scheduler: Scheduler, everywhere: bool) -> Iterator[None]:
    """Let the functions of this module serve a scheduler for the body of the ``with``.

    They serve it in all threads, or (not ``everywhere``) in the calling context only.
    """
    global _default
    if not everywhere:
        token = _override.set(scheduler)
        try:
            yield
        finally:
            _override.reset(token)
        return
    with _create_lock:
        before, _default = _default, scheduler
    try:
        yield
    finally:
        with _create_lock:
            _default = before


def __getattr__(name: str) -> Scheduler:
    """Return the default scheduler as ``scheduler``, the name that it has in TGScheduler 1.7."""
    if name == "scheduler":
        return _get_scheduler()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _renew_lock() -> None:
    global _create_lock
    _create_lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


def start_scheduler(ready: Callable[[], bool] | None = None) -> Scheduler:
    """Start the default scheduler in a separate thread and return it; if it runs already, only return it.

    Nothing fires before ``ready()`` is true (None: at once).
    """
    return configured_scheduler().start_scheduler(ready)


def stop_scheduler() -> None:
    """Stop the default scheduler; its tasks stay. Legal before any start, twice, and inside a task."""
    scheduler = _override.get() or _default
    if scheduler is not None:
        scheduler.stop()


def _on_default(method: Callable[Concatenate[Any, P], R]) -> Callable[P, R]:
    """Return a function that calls the default scheduler's method: same signature, same docstring."""
    name = method.__name__

    @functools.wraps(method)
    def function(*args: P.args, **kw: P.kwargs) -> R:
        return getattr(_get_scheduler(), name)(*args, **kw)  # type: ignore[no-any-return]

    signature = inspect.signature(method)
    function.__signature__ = signature.replace(parameters=list(signature.parameters.values())[1:])  # type: ignore[attr-defined]
    function.__module__, function.__qualname__ = __name__, name
    return function


add_interval_task = _on_default(Scheduler.add_interval_task)
add_single_task = _on_default(Scheduler.add_single_task)
add_weekday_task = _on_default(Scheduler.add_weekday_task)
add_monthday_task = _on_default(Scheduler.add_monthday_task)
add_cron_task = _on_default(Scheduler.add_cron_task)
add_task = _on_default(Scheduler.add_task)
add_cron_like_task = _on_default(Scheduler.add_cron_like_task)
cancel = _on_default(Scheduler.cancel)
pause = _on_default(Scheduler.pause)
resume = _on_default(Scheduler.resume)
pause_all = _on_default(Scheduler.pause_all)
resume_all = _on_default(Scheduler.resume_all)
run_now = _on_default(Scheduler.run_now)
reschedule_task = _on_default(Scheduler.reschedule_task)
cancel_run = _on_default(Scheduler.cancel_run)
audit = _on_default(Scheduler.audit)
subscribe = _on_default(Scheduler.subscribe)
get_task = _on_default(Scheduler.get_task)
get_tasks = _on_default(Scheduler.get_tasks)
view = _on_default(Scheduler.view)
views = _on_default(Scheduler.views)
run = _on_default(Scheduler.run)
recent_runs = _on_default(Scheduler.recent_runs)
runs = _on_default(Scheduler.runs)
counts = _on_default(Scheduler.counts)
counts_by_task = _on_default(Scheduler.counts_by_task)
counts_by_hour = _on_default(Scheduler.counts_by_hour)
durations = _on_default(Scheduler.durations)
audits = _on_default(Scheduler.audits)
gone = _on_default(Scheduler.gone)
health = _on_default(Scheduler.health)
explain = _on_default(Scheduler.explain)
why = _on_default(Scheduler.why)
rename_task = _on_default(Scheduler.rename)
add_weekly_task = add_weekday_task
add_monthly_task = add_monthday_task


def timezone() -> str:
    """Return the IANA name of the time zone of calendar tasks."""
    return _get_scheduler().timezone
