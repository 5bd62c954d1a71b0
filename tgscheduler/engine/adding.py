"""Methods that add tasks: each makes a task and passes it to the scheduler's ``schedule``.

The positional order is that of the seed's functions, the keywords are kronos's; further options of a task
(:class:`~tgscheduler.timetable.options.Options`) are keyword arguments.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Protocol, Unpack

from tgscheduler.errors import InvalidValue
from tgscheduler.timetable import triggers
from tgscheduler.timetable.calendar_tasks import CronLikeTask, CronTask, MonthdayTask, WeekdayTask
from tgscheduler.timetable.options import Options
from tgscheduler.timetable.policy import method
from tgscheduler.timetable.tasks import (
    Action,
    Args,
    IntervalTask,
    Kw,
    SingleTask,
    Task,
    TimeOnDay,
    TriggerTask,
    options_of,
)
from tgscheduler.timetable.triggers import Trigger
from tgscheduler.timetable.variants import variant


class Schedules(Protocol):
    """The methods of a scheduler that are used below."""

    def schedule(self, task: Task, delay: float | None) -> None:
        """Add a task; its first fire time is in ``delay`` seconds, or (None) by its trigger."""

    @property
    def default_timezone(self) -> str | None:
        """The zone that was set for the scheduler; None: the host's."""

    def schedule_task_abs(self, task: Task, abstime: float) -> None:
        """Schedule a task at an absolute time (POSIX seconds)."""


class AddMethods:
    """The ``add_…`` methods of a scheduler; without state."""

    def add_interval_task(
        self: Schedules,
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
        # A float is checked without a call.
        delay = initialdelay if type(initialdelay) is float and 0 <= initialdelay < 1e9 else _delay(initialdelay)
        task: Task = variant(IntervalTask, processmethod)(taskname, interval, action, args, kw)
        if options:
            task.configure(**_in_zone(options, self.default_timezone))
        self.schedule(task, delay)
        return task

    def add_single_task(
        self: Schedules,
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

        ``at`` is POSIX seconds or a datetime. One without a zone is read in ``timezone``, or else in that of the
        scheduler, and is refused if neither is set; in a gap of the clock it is the first moment after that.
        """
        delay = 0.0 if initialdelay == 0 else _delay(initialdelay)
        task: Task = variant(SingleTask, processmethod)(taskname, action, args, kw)
        if at is None and not options:
            self.schedule(task, delay)
            return task
        if at is None:
            return _schedule(self, task, delay, options)
        if delay:
            raise InvalidValue(f"expected at or initialdelay, got both: at={at!r}, initialdelay={initialdelay!r}")
        moment = triggers.check_moment("at", at, options.get("timezone") or self.default_timezone)
        if options:
            bounds = options_of(task.configure(**_in_zone(options, self.default_timezone)))
            if not (bounds.start or moment) <= moment <= bounds.end:
                raise InvalidValue(f"at: expected a moment from start to end, got {at!r}")
        self.schedule_task_abs(task, moment)
        return task

    def add_weekday_task(
        self: Schedules,
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
        task: Task = variant(WeekdayTask, processmethod)(taskname, weekdays, timeonday, action, args, kw)
        return _schedule(self, task, None, options)

    def add_monthday_task(
        self: Schedules,
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

        Days are 1 to 31 (months without that day are skipped), -1 or ``"last"`` for the last one, -2 for the one
        before, or words such as ``"2nd tuesday"`` and ``"last fri"``.
        """
        task: Task = variant(MonthdayTask, processmethod)(taskname, monthdays, timeonday, action, args, kw)
        return _schedule(self, task, None, options)

    def add_cron_task(
        self: Schedules,
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
        Friday, ``@daily`` and the like. If day of month and day of week are both restricted, either suffices.
        """
        task: Task = variant(CronTask, processmethod)(taskname, line, action, args, kw)
        return _schedule(self, task, None, options)

    def add_task(
        self: Schedules,
        action: Action,
        trigger: Trigger,
        args: Args = None,
        kw: Kw = None,
        processmethod: str = method.threaded,
        taskname: str | None = None,
        **options: Unpack[Options],
    ) -> Task:
        """Run ``action`` when ``trigger`` fires: one of :mod:`tgscheduler.triggers`, or any object of your own.

        Its ``next_after(moment)`` returns the earliest fire time later than ``moment``, both POSIX seconds, None if
        there is none any more. A custom one is never called while the timetable is locked.
        """
        task: Task = variant(TriggerTask, processmethod)(taskname, trigger, action, args, kw)
        return _schedule(self, task, None, options)

    def add_cron_like_task(
        self: Schedules,
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
        task: Task = variant(CronLikeTask, processmethod)(taskname, action, cron_str, args, kw)
        return _schedule(self, task, None, options)

    def add_daytime_task(
        self: Schedules,
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
            add = AddMethods.add_weekday_task
            return add(self, action, weekdays, timeonday, args, kw, processmethod, taskname, **options)
        if monthdays:
            return AddMethods.add_monthday_task(
                self, action, monthdays, timeonday, args, kw, processmethod, taskname, **options
            )
        raise InvalidValue("expected weekdays or monthdays, got neither")

    add_weekly_task = add_weekday_task
    add_monthly_task = add_monthday_task


def _schedule(scheduler: Schedules, task: Task, delay: float | None, options: Options) -> Task:
    if options:
        task.configure(**_in_zone(options, scheduler.default_timezone))
    scheduler.schedule(task, delay)
    return task


def _in_zone(options: Options, zone: str | None) -> Options:
    """Return options whose moments without a zone are read in ``zone``, unless the task has one of its own."""
    if zone is None or options.get("timezone") is not None:
        return options
    read = options.copy()
    for name in ("start", "end"):
        if isinstance(value := options.get(name), datetime):
            read[name] = triggers.check_moment(name, value, zone)
    return read


def _delay(value: float | timedelta) -> float:
    if (type(value) is float or type(value) is int) and 0 <= value < 1e9:  # the usual case
        return float(value)
    return triggers.check_seconds("initialdelay", value)
