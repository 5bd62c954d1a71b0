"""The adding verbs of a scheduler: each makes a task and hands it to one door, ``_add``.

The positional order is that of the seed's functions, the keywords are kronos's.
"""

from collections.abc import Iterable
from datetime import timedelta

from tgscheduler.errors import InvalidValue
from tgscheduler.timetable import triggers
from tgscheduler.timetable.policy import method
from tgscheduler.timetable.tasks import (
    Action,
    Args,
    CronLikeTask,
    IntervalTask,
    Kw,
    MonthdayTask,
    SingleTask,
    Task,
    TimeOnDay,
    WeekdayTask,
)
from tgscheduler.timetable.variants import variant


class Verbs:
    """What adds tasks; the functions of :mod:`tgscheduler.scheduler` document each."""

    def _add(self, task: Task, delay: float | None) -> None:
        raise NotImplementedError

    def add_interval_task(
        self,
        action: Action,
        interval: float | timedelta,
        args: Args = None,
        kw: Kw = None,
        initialdelay: float | timedelta = 0,
        processmethod: str = method.threaded,
        taskname: str | None = None,
    ) -> Task:
        """Add a task that runs every ``interval`` seconds, first after ``initialdelay`` seconds."""
        delay = _delay(initialdelay)
        task: Task = variant(IntervalTask, processmethod)(taskname, interval, action, args, kw)
        self._add(task, delay)
        return task

    def add_single_task(
        self,
        action: Action,
        args: Args = None,
        kw: Kw = None,
        initialdelay: float | timedelta = 0,
        processmethod: str = method.threaded,
        taskname: str | None = None,
    ) -> Task:
        """Add a task that runs once, after ``initialdelay`` seconds."""
        delay = _delay(initialdelay)
        task: Task = variant(SingleTask, processmethod)(taskname, action, args, kw)
        self._add(task, delay)
        return task

    def add_weekday_task(
        self,
        action: Action,
        weekdays: Iterable[int],
        timeonday: TimeOnDay,
        args: Args = None,
        kw: Kw = None,
        processmethod: str = method.threaded,
        taskname: str | None = None,
    ) -> Task:
        """Add a task that runs on days of the week (1 = Monday) at a time of day."""
        task: Task = variant(WeekdayTask, processmethod)(taskname, weekdays, timeonday, action, args, kw)
        self._add(task, None)
        return task

    def add_monthday_task(
        self,
        action: Action,
        monthdays: Iterable[int],
        timeonday: TimeOnDay,
        args: Args = None,
        kw: Kw = None,
        processmethod: str = method.threaded,
        taskname: str | None = None,
    ) -> Task:
        """Add a task that runs on days of the month at a time of day."""
        task: Task = variant(MonthdayTask, processmethod)(taskname, monthdays, timeonday, action, args, kw)
        self._add(task, None)
        return task

    def add_cron_like_task(
        self,
        action: Action,
        cron_str: str,
        args: Args = None,
        kw: Kw = None,
        processmethod: str = method.threaded,
        taskname: str | None = None,
    ) -> Task:
        """Add a task that runs when all fields of a cron-like line match."""
        task: Task = variant(CronLikeTask, processmethod)(taskname, action, cron_str, args, kw)
        self._add(task, None)
        return task

    def add_daytime_task(
        self,
        action: Action,
        taskname: str | None,
        weekdays: Iterable[int] | None,
        monthdays: Iterable[int] | None,
        timeonday: TimeOnDay,
        processmethod: str = method.threaded,
        args: Args = None,
        kw: Kw = None,
    ) -> Task:
        """Add a weekday or a monthday task: one of the two kinds of days is given, the other is None or empty."""
        if weekdays and monthdays:
            raise InvalidValue("expected weekdays or monthdays, got both; add two tasks")
        if weekdays:
            return self.add_weekday_task(action, weekdays, timeonday, args, kw, processmethod, taskname)
        if monthdays:
            return self.add_monthday_task(action, monthdays, timeonday, args, kw, processmethod, taskname)
        raise InvalidValue("expected weekdays or monthdays, got neither")

    add_weekly_task = add_weekday_task
    add_monthly_task = add_monthday_task


def _delay(value: float | timedelta) -> float:
    if (type(value) is float or type(value) is int) and 0 <= value < 1e9:  # what nearly every call has
        return float(value)
    return triggers.check_seconds("initialdelay", value)
