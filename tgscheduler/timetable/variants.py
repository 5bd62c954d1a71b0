"""The task classes by kind of task (rows) and by where the action runs (columns).

==============  ======================  ====================
in the loop     in a thread             in a process
==============  ======================  ====================
IntervalTask    ThreadedIntervalTask    ForkedIntervalTask
SingleTask      ThreadedSingleTask      ForkedSingleTask
WeekdayTask     ThreadedWeekdayTask     ForkedWeekdayTask
MonthdayTask    ThreadedMonthdayTask    ForkedMonthdayTask
CronTask        ThreadedCronTask        ForkedCronTask
CronLikeTask    ThreadedCronLikeTask    ForkedCronLikeTask
TriggerTask     ThreadedTriggerTask     ForkedTriggerTask
==============  ======================  ====================
"""

from typing import Any

from tgscheduler.timetable.calendar_tasks import CronLikeTask, CronTask, MonthdayTask, WeekdayTask
from tgscheduler.timetable.policy import method, unknown_method
from tgscheduler.timetable.tasks import IntervalTask, SingleTask, Task, TriggerTask


class ThreadedTaskMixin:
    """Run the action in a thread of its own."""

    __slots__ = ()
    method = method.threaded

    def threadedcall(self) -> None:
        """Execute the task; an exception goes to ``handle_exception``.

        For callers of TGScheduler 1.7: the engine never calls it.
        """
        assert isinstance(self, Task)
        try:
            self.execute()
        except Exception:
            self.handle_exception()


class ForkedTaskMixin:
    """Run the action in a forked process of its own."""

    __slots__ = ()
    method = method.forked


class ThreadedIntervalTask(ThreadedTaskMixin, IntervalTask):
    """Interval task in a thread of its own."""

    __slots__ = ()


class ThreadedSingleTask(ThreadedTaskMixin, SingleTask):
    """Single task in a thread of its own."""

    __slots__ = ()


class ThreadedWeekdayTask(ThreadedTaskMixin, WeekdayTask):
    """Weekday task in a thread of its own."""

    __slots__ = ()


class ThreadedMonthdayTask(ThreadedTaskMixin, MonthdayTask):
    """Monthday task in a thread of its own."""

    __slots__ = ()


class ThreadedCronTask(ThreadedTaskMixin, CronTask):
    """Cron task in a thread of its own."""

    __slots__ = ()


class ThreadedCronLikeTask(ThreadedTaskMixin, CronLikeTask):
    """Cron-like task in a thread of its own."""

    __slots__ = ()


class ThreadedTriggerTask(ThreadedTaskMixin, TriggerTask):
    """Task by a trigger in a thread of its own."""

    __slots__ = ()


class ForkedIntervalTask(ForkedTaskMixin, IntervalTask):
    """Interval task in a process of its own."""

    __slots__ = ()


class ForkedSingleTask(ForkedTaskMixin, SingleTask):
    """Single task in a process of its own."""

    __slots__ = ()


class ForkedWeekdayTask(ForkedTaskMixin, WeekdayTask):
    """Weekday task in a process of its own."""

    __slots__ = ()


class ForkedMonthdayTask(ForkedTaskMixin, MonthdayTask):
    """Monthday task in a process of its own."""

    __slots__ = ()


class ForkedCronTask(ForkedTaskMixin, CronTask):
    """Cron task in a process of its own."""

    __slots__ = ()


class ForkedCronLikeTask(ForkedTaskMixin, CronLikeTask):
    """Cron-like task in a process of its own."""

    __slots__ = ()


class ForkedTriggerTask(ForkedTaskMixin, TriggerTask):
    """Task by a trigger in a process of its own."""

    __slots__ = ()


#: The table above: the classes by kind and by method.
VARIANTS: dict[type[Task], dict[str, type[Task]]] = {
    kind: {variant.method: variant for variant in (kind, threaded, forked)}
    for kind, threaded, forked in (
        (IntervalTask, ThreadedIntervalTask, ForkedIntervalTask),
        (SingleTask, ThreadedSingleTask, ForkedSingleTask),
        (WeekdayTask, ThreadedWeekdayTask, ForkedWeekdayTask),
        (MonthdayTask, ThreadedMonthdayTask, ForkedMonthdayTask),
        (CronTask, ThreadedCronTask, ForkedCronTask),
        (CronLikeTask, ThreadedCronLikeTask, ForkedCronLikeTask),
        (TriggerTask, ThreadedTriggerTask, ForkedTriggerTask),
    )
}


def variant(kind: type[Task], processmethod: str) -> Any:
    """Return the class for a kind of task and a processmethod; raise InvalidValue when there is no such method."""
    try:
        return VARIANTS[kind][processmethod]
    except (KeyError, TypeError):
        raise unknown_method(processmethod) from None
