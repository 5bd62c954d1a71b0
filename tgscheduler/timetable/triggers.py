"""When a task fires: frozen values with one method, ``next_after(moment)``.

======================================  ==============================================================
``Once(moment)``                        at one instant
``Interval(seconds, anchor)``           at ``anchor + k * seconds``, in real time
``Weekdays(days, timeonday, zone)``     on days of the week (1 = Monday) at times of day
``Monthdays(days, timeonday, zone)``    on days of the month, also the last or the 2nd Tuesday
``Cron(line, zone)``                    when a cron line matches
``either(trigger, trigger, …)``         whenever any of them does
``trigger.except_on(calendar)``         not on the dates of a calendar
``trigger.between(start, end)``         within bounds
======================================  ==============================================================

Moments are POSIX seconds; the result is always strictly later than ``moment``. A trigger keeps no state: the same call
returns the same result, so a preview shows what the loop will do.
"""

from tgscheduler.timetable.calendars import Cron, Monthdays, Weekdays
from tgscheduler.timetable.checks import (
    LARGEST,
    SHORTEST,
    TimeOnDay,
    check_moment,
    check_seconds,
    check_timeonday,
    check_times,
)
from tgscheduler.timetable.compose import Between, Calendar, Composable, Either, ExceptOn, Trigger, either
from tgscheduler.timetable.days import MonthDay, check_days, check_monthdays
from tgscheduler.timetable.fire_counts import count_fires, is_quick
from tgscheduler.timetable.intervals import Interval, Once
from tgscheduler.timetable.trigger_phrases import day_rule_warning, in_words

__all__ = [
    "LARGEST",
    "SHORTEST",
    "Between",
    "Calendar",
    "Composable",
    "Cron",
    "Either",
    "ExceptOn",
    "Interval",
    "MonthDay",
    "Monthdays",
    "Once",
    "TimeOnDay",
    "Trigger",
    "Weekdays",
    "check_days",
    "check_moment",
    "check_monthdays",
    "check_seconds",
    "check_timeonday",
    "check_times",
    "count_fires",
    "day_rule_warning",
    "either",
    "in_words",
    "is_quick",
]
