"""The adding verbs of a scheduler: each makes a task and hands it to one door, ``_add``.

The positional order is that of the seed's functions, the keywords are kronos's; what else a task may choose
(:class:`~tgscheduler.timetable.terms.Options`) is given by name.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Unpack

from tgscheduler.engine.registry import Registry
from tgscheduler.errors import InvalidValue
from tgscheduler.timetable import triggers
from tgscheduler.timetable.daytasks import CronLikeTask, CronTask, MonthdayTask, WeekdayTask
from tgscheduler.timetable.policy import method
from tgscheduler.timetable.tasks import Action, Args, IntervalTask, Kw, SingleTask, Task, TimeOnDay, TriggerTask
from tgscheduler.timetable.terms import Options
from tgscheduler.timetable.triggers import Trigger
from tgscheduler.timetable.variants import variant


class Verbs:
    """What adds tasks; the functions of :mod:`tgscheduler.scheduler` document each."""

    _registry: Registry

    def _add(self, task: Task, delay: float | None) -> None:
        raise NotImplementedError

    def schedule_task_abs(self, task: Task, abstime: float) -> None:
        """Put a task at an absolute time."""
        raise NotImplementedError

    def _take(self, task: Task, delay: float | None, options: Options) -> Task:
        if options:
            task.configure(**self._in_zone(options))
        self._add(task, delay)
        return task

    def _in_zone(self, options: Options) -> Options:
        """Return options whose moments without a zone are read in that of the scheduler, where the task has none."""
        zone = self._registry.home.timezone
        if zone is None or options.get("timezone") is not None:
            return options
        read = options.copy()
        for name in ("start", "end"):
            if isinstance(value := options.get(name), datetime):
                read[name] = triggers.check_moment(name, value, zone)
        return read

    def add_interval_task(
        self,
        action: Action,
        interval: float | timedelta,
        args: Args = None,
        kw: Kw = None,
        initialdelay: float | timedelta = 0,
        processmethod: str = method.threaded,
        taskname: str | None = None,
        **options: Unpack[Options],
    ) -> Task:
        """Add a task that runs every ``interval`` seconds, first after ``initialdelay`` seconds."""
        # What nearly every call has is checked without a call.
        delay = initialdelay if type(initialdelay) is float and 0 <= initialdelay < 1e9 else _delay(initialdelay)
        task: Task = variant(IntervalTask, processmethod)(taskname, interval, action, args, kw)
        if options:
            task.configure(**self._in_zone(options))
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
        *,
        at: float | datetime | None = None,
        **options: Unpack[Options],
    ) -> Task:
        """Add a task that runs once, after ``initialdelay`` seconds, or ``at`` a moment."""
        delay = _delay(initialdelay)
        task: Task = variant(SingleTask, processmethod)(taskname, action, args, kw)
        if at is None:
            return self._take(task, delay, options)
        if delay:
            raise InvalidValue(f"expected at or initialdelay, got both: at={at!r}, initialdelay={initialdelay!r}")
        moment = triggers.check_moment("at", at, options.get("timezone") or self._registry.home.timezone)
        if options:
            terms = task.configure(**self._in_zone(options))._terms
            if terms is not None and not (terms.start or moment) <= moment <= terms.end:
                raise InvalidValue(f"at: expected a moment from start to end, got {at!r}")
        self.schedule_task_abs(task, moment)
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
        **options: Unpack[Options],
    ) -> Task:
        """Add a task that runs on days of the week (1 = Monday) at a time of day."""
        task: Task = variant(WeekdayTask, processmethod)(taskname, weekdays, timeonday, action, args, kw)
        return self._take(task, None, options)

    def add_monthday_task(
        self,
        action: Action,
        monthdays: Iterable[int | str] | str,
        timeonday: TimeOnDay,
        args: Args = None,
        kw: Kw = None,
        processmethod: str = method.threaded,
        taskname: str | None = None,
        **options: Unpack[Options],
    ) -> Task:
        """Add a task that runs on days of the month at a time of day."""
        task: Task = variant(MonthdayTask, processmethod)(taskname, monthdays, timeonday, action, args, kw)
        return self._take(task, None, options)

    def add_cron_task(
        self,
        action: Action,
        line: str,
        args: Args = None,
        kw: Kw = None,
        processmethod: str = method.threaded,
        taskname: str | None = None,
        **options: Unpack[Options],
    ) -> Task:
        """Add a task that runs when a cron line matches."""
        task: Task = variant(CronTask, processmethod)(taskname, line, action, args, kw)
        return self._take(task, None, options)

    def add_task(
        self,
        action: Action,
        trigger: Trigger,
        args: Args = None,
        kw: Kw = None,
        processmethod: str = method.threaded,
        taskname: str | None = None,
        **options: Unpack[Options],
    ) -> Task:
        """Add a task that runs when a trigger says so."""
        task: Task = variant(TriggerTask, processmethod)(taskname, trigger, action, args, kw)
        return self._take(task, None, options)

    def add_cron_like_task(
        self,
        action: Action,
        cron_str: str,
        args: Args = None,
        kw: Kw = None,
        processmethod: str = method.threaded,
        taskname: str | None = None,
        **options: Unpack[Options],
    ) -> Task:
        """Add a task that runs when all fields of a cron-like line match."""
        task: Task = variant(CronLikeTask, processmethod)(taskname, action, cron_str, args, kw)
        return self._take(task, None, options)

    def add_daytime_task(
        self,
        action: Action,
        taskname: str | None,
        weekdays: Iterable[int] | None,
        monthdays: Iterable[int | str] | str | None,
        timeonday: TimeOnDay,
        processmethod: str = method.threaded,
        args: Args = None,
        kw: Kw = None,
        **options: Unpack[Options],
    ) -> Task:
        """Add a weekday or a monthday task: one of the two kinds of days is given, the other is None or empty."""
        if weekdays and monthdays:
            raise InvalidValue("expected weekdays or monthdays, got both; add two tasks")
        if weekdays:
            return self.add_weekday_task(action, weekdays, timeonday, args, kw, processmethod, taskname, **options)
        if monthdays:
            return self.add_monthday_task(action, monthdays, timeonday, args, kw, processmethod, taskname, **options)
        raise InvalidValue("expected weekdays or monthdays, got neither")

    add_weekly_task = add_weekday_task
    add_monthly_task = add_monthday_task


def _delay(value: float | timedelta) -> float:
    if (type(value) is float or type(value) is int) and 0 <= value < 1e9:  # what nearly every call has
        return float(value)
    return triggers.check_seconds("initialdelay", value)
