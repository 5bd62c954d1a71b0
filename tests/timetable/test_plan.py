"""Decisions: what to run now, what was missed or is skipped and why, and when next."""

from datetime import UTC, datetime

import pytest
from helpers import entry_for

from tgscheduler.timetable.plan import MOST_COUNTED, Decision, decide
from tgscheduler.timetable.run import OK, RUNNING, SKIPPED, WAITING, Run
from tgscheduler.timetable.triggers import Cron, Interval, Monthdays, Once, Weekdays

DAY = 86400.0
HOURLY = Interval(3600, anchor=0)


def a_run(state, ended=None):
    run = Run("task", 1000.5, state=state)
    run.ended = ended
    return run


def decided(due, now, trigger, last=None, manual_due=False):
    """Return the one run of a decision (None: there is none), whether it starts, and what follows."""
    decision = Decision(*decide(entry_for(trigger, due=due, last_run=last, manual_due=manual_due), due, "task", now))
    assert len(decision.runs) <= 1
    return next(iter(decision.runs), None), decision.starts, decision.next_due


def posix(*when):
    return datetime(*when, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("trigger", "due", "now", "next_due"),
    [
        (HOURLY, 3600.0, 3600.0, 7200.0),
        (HOURLY, 3600.0, 7199.9, 7200.0),  # late, and nothing missed
        (Weekdays([4], (0, 0)), 0.0, 5.0, 7 * DAY),
        (Monthdays([1], (0, 0)), 0.0, 5.0, 31 * DAY),
        (Cron("0 */6 * * *"), 0.0, 5.0, 21600.0),
        (Once(50.0), 50.0, 60.0, None),
        (None, 50.0, 60.0, None),  # a single task
    ],
)
def test_what_is_due_runs_as_one_occurrence(trigger, due, now, next_due):
    run, starts, following = decided(due, now, trigger)
    assert (run.state, run.due, run.count, run.until, run.reason, starts) == (WAITING, due, 1, due, None, 1)
    assert following == next_due


@pytest.mark.parametrize(
    ("trigger", "due", "now", "count", "until", "next_due"),
    [
        (HOURLY, 3600.0, 7200.0, 2, 7200.0, 10800.0),
        (HOURLY, 3600.0, 7 * DAY + 1, 7 * 24, 7 * DAY, 7 * DAY + 3600),
        (Interval(0.1, anchor=0.0), 0.0, 1e6 + 0.05, 10_000_001, 1e6, 10_000_001 * 0.1),
        (Weekdays(range(1, 8), (0, 0)), 0.0, 7 * DAY, 8, 7 * DAY, 8 * DAY),
        (Monthdays([1], (0, 0)), 0.0, 60 * DAY, 3, 59 * DAY, 90 * DAY),
        (Cron("*/15 * * * *"), 0.0, DAY - 1, 96, DAY - 900, DAY),
    ],
)
def test_what_was_missed_runs_once_and_is_counted(trigger, due, now, count, until, next_due):
    run, starts, following = decided(due, now, trigger)
    assert (run.state, run.count, run.until, run.reason, starts) == (WAITING, count, until, None, 1)
    assert following == next_due


def test_a_long_stretch_of_a_calendar_is_counted_up_to_a_bound():
    run, _, following = decided(0.0, 30 * DAY, Cron("* * * * *"))
    assert run.count == MOST_COUNTED
    assert run.until == (MOST_COUNTED - 1) * 60
    assert run.reason == f"at least {MOST_COUNTED} occurrences"
    assert following == 30 * DAY + 60


def test_missed_days_are_counted_through_a_clock_change():
    daily = Weekdays(range(1, 8), (2, 30), "Europe/Berlin")
    run, _, following = decided(posix(2025, 3, 29, 1, 30), posix(2025, 3, 31, 12), daily)
    assert run.count == 3
    assert run.until == posix(2025, 3, 31, 0, 30)
    assert following == posix(2025, 4, 1, 0, 30)


@pytest.mark.parametrize("trigger", [HOURLY, None])
@pytest.mark.parametrize(
    ("last", "skip"),
    [
        (None, None),
        (a_run(OK, ended=2000.0), None),
        (a_run(RUNNING), "overlap: the run due 1000.500 has not ended"),
        (a_run(WAITING), "overlap: the run due 1000.500 still waits for its turn"),
    ],
)
def test_a_task_that_has_not_ended_is_not_started_again(trigger, last, skip):
    run, starts, following = decided(3600.0, 3600.0, trigger, last)
    assert (run.state, run.reason, starts) == ((SKIPPED, skip, 0) if skip else (WAITING, None, 1))
    assert run.count == 1
    assert following == (trigger and 7200.0)


def test_a_missed_stretch_is_skipped_as_one():
    run, _, following = decided(3600.0, 10800.0, HOURLY, a_run(RUNNING))
    assert (run.count, run.until, following) == (3, 10800.0, 14400.0)
    assert (run.state, run.reason[:7]) == (SKIPPED, "overlap")


FRIDAYS = Weekdays([5], (3, 0), "Europe/Berlin")


@pytest.mark.parametrize(
    ("trigger", "due", "count", "next_due"),
    [
        (FRIDAYS, posix(2025, 1, 15, 10), 0, posix(2025, 1, 17, 2)),
        (FRIDAYS, posix(2025, 1, 17, 10), 1, posix(2025, 1, 24, 2)),
        (FRIDAYS, posix(2025, 1, 16, 23, 30), 1, posix(2025, 1, 17, 2)),  # Friday already, in Berlin
        (Monthdays([31], (3, 0)), posix(2025, 2, 1), 0, posix(2025, 3, 31, 3)),
        (HOURLY, 1800.0, 1, 3600.0),  # an interval has no days
        (Cron("0 3 * * *"), 1800.0, 1, 3 * 3600.0),
    ],
)
def test_a_time_put_by_hand_counts_on_the_task_s_days_only(trigger, due, count, next_due):
    run, starts, following = decided(due, due, trigger, manual_due=True)
    assert (run.count if run else 0, starts) == (count, count)
    assert following == next_due


def test_a_preview_is_what_the_loop_does():
    """The same question gets the same answer, and no run is touched by it."""
    last = a_run(RUNNING)
    first, second = (decided(3600.0, 9000.0, HOURLY, last) for _ in range(2))
    assert repr(first) == repr(second)
    assert (last.state, last.ended) == (RUNNING, None)
