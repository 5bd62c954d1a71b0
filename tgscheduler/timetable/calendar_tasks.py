"""Calendar tasks: on days of the week or month, or by a cron line, in a zone."""

from collections.abc import Iterable
from datetime import timedelta

from tgscheduler.errors import InvalidValue
from tgscheduler.timetable import triggers, zones
from tgscheduler.timetable.cronlike import CronFields
from tgscheduler.timetable.tasks import Action, Args, Kw, Rescheduler, Task, TimeOnDay
from tgscheduler.timetable.triggers import Cron, Monthdays, Trigger, Weekdays


class DayTaskRescheduler:
    """Base of weekday and monthday tasks: times of day, and ``get_schedule_time``."""

    __slots__ = ()

    def get_schedule_time(self, today: bool = True) -> float:
        """Return today's next ``timeonday`` in POSIX seconds; tomorrow's if none is left or ``today`` is false."""
        assert isinstance(self, _DayTask)
        tz = zones.zone(self.timezone)
        now = zones.wall(self._context.clock.now(), tz)
        later = [time for time in self.times if today and time > (now.hour, now.minute)]
        hour, minute = later[0] if later else self.times[0]
        day = now.replace(hour=hour, minute=minute, second=0)
        return float(zones.instant(day if later else day + timedelta(days=1), tz))


class _DayTask(DayTaskRescheduler, Task):
    __slots__ = ("days", "timeonday", "times")

    def _set(self, timeonday: TimeOnDay) -> None:
        #: Its times of day, in order; ``timeonday`` is the only one, or all of them.
        self.times = triggers.check_times(timeonday)
        self.timeonday = self.times[0] if len(self.times) == 1 else self.times


class WeekdayTask(_DayTask):
    """A task that runs on days of the week (1 = Monday to 7) at a time of day, or at several."""

    __slots__ = ()

    def __init__(
        self,
        name: str | None,
        weekdays: Iterable[int],
        timeonday: TimeOnDay,
        action: Action,
        args: Args = None,
        kw: Kw = None,
    ) -> None:
        super().__init__(name, action, args, kw)
        self.days = triggers.check_days("weekdays", weekdays, 7)
        self._set(timeonday)

    def reschedule(self, scheduler: Rescheduler) -> None:
        """Schedule the task at tomorrow's ``timeonday``; if that is not one of its days, nothing runs then."""
        scheduler.schedule_task_abs(self, self.get_schedule_time(False))

    def make_trigger(self, timezone: str) -> Trigger:
        """Return its days and times in a zone."""
        return Weekdays(self.days, self.timeonday, timezone)


class MonthdayTask(_DayTask):
    """A task that runs on days of the month at a time of day, or at several.

    Days are 1 to 31 (months without that day are skipped), -1 for the last one, -2 for the one before, ``"last"``,
    or words such as ``"2nd tuesday"`` and ``"last fri"``.
    """

    __slots__ = ()

    def __init__(
        self,
        name: str | None,
        monthdays: Iterable[int | str] | str,
        timeonday: TimeOnDay,
        action: Action,
        args: Args = None,
        kw: Kw = None,
    ) -> None:
        super().__init__(name, action, args, kw)
        self.days = triggers.check_monthdays(monthdays)
        self._set(timeonday)

    def reschedule(self, scheduler: Rescheduler) -> None:
        """Not applicable: raise NotImplementedError."""
        raise NotImplementedError("a monthday task is not rescheduled by hand: its scheduler knows its next day")

    def make_trigger(self, timezone: str) -> Trigger:
        """Return its days and times in a zone."""
        return Monthdays(self.days, self.timeonday, timezone)


class _LineTask(Task):
    """Base of tasks by a cron line."""

    __slots__ = ()

    def get_schedule_time(self, today: bool = True) -> float:
        """Return the next time that matches, in POSIX seconds."""
        trigger = self.make_trigger(self.timezone)
        assert trigger is not None
        due = trigger.next_after(self._context.clock.now())
        if due is None:
            raise InvalidValue(f"{self!r}: no date matches within 50 years")
        return due

    def reschedule(self, scheduler: Rescheduler) -> None:
        """Schedule the task at its next matching time."""
        scheduler.schedule_task_abs(self, self.get_schedule_time())


class CronTask(_LineTask):
    """A task that runs when a cron line matches: ``minute hour day-of-month month day-of-week``.

    Also six fields with seconds first, names, ``L``, ``#``, and ``@daily`` and the like. If both day fields are
    restricted, either suffices, as in cron.
    """

    __slots__ = ("line",)

    def __init__(self, name: str | None, line: str, action: Action, args: Args = None, kw: Kw = None) -> None:
        super().__init__(name, action, args, kw)
        self.line = Cron(line).line

    def make_trigger(self, timezone: str) -> Trigger:
        """Return its line in a zone."""
        return Cron(self.line, timezone)


class CronLikeTask(_LineTask):
    """A task that runs when **all** fields of a line ``minute hour day-of-month month day-of-week`` match.

    This is TGScheduler 1.7's rule, unlike cron's. ``minutes hours doms months dows`` (0 = Monday) are the values of
    the fields.
    """

    __slots__ = ("_line", "cron_str", "doms", "dows", "hours", "minutes", "months")

    def __init__(self, name: str | None, action: Action, cron_str: str, args: Args = None, kw: Kw = None) -> None:
        super().__init__(name, action, args, kw)
        self.cron_str = cron_str
        fields = CronFields.parse(cron_str)
        self.minutes, self.hours, self.doms, self.months, self.dows = fields
        self._line = Cron(fields.line(), None, day_and=True).line

    def make_trigger(self, timezone: str) -> Trigger:
        """Return its line in a zone; all fields must match."""
        return Cron(self._line, timezone, day_and=True)
