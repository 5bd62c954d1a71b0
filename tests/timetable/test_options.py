"""A task's options: chosen over the scheduler's policy, bounds, and what errors say."""

import math
from datetime import UTC, datetime, timedelta, timezone

import pytest
from helpers import entry_of

from tgscheduler.errors import InvalidType, InvalidValue
from tgscheduler.scheduler import IntervalTask, Policy, Retry, ThreadedScheduler, WeekdayTask
from tgscheduler.testing import TickedScheduler
from tgscheduler.timetable.entry import Limits
from tgscheduler.timetable.options import NO_OPTIONS, TaskOptions
from tgscheduler.timetable.policy import DEFAULT_POLICY
from tgscheduler.timetable.tasks import options_of
from tgscheduler.timetable.triggers import Interval

NOON = datetime(2025, 6, 1, 12, tzinfo=UTC)


def chosen(**options):
    return NO_OPTIONS.updated(options)


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"time_out": 3}, InvalidType, "'time_out' is no option of a task; did you mean 'timeout'"),
        ({"misfires": "skip"}, InvalidType, "did you mean 'misfire'"),
        ({"xyz": 1}, InvalidType, "'xyz' is no option of a task; expected one of misfire, .*, timezone"),
        ({"timezone": "Berlin"}, InvalidValue, "did you mean 'Europe/Berlin'"),
        ({"start": "today"}, InvalidType, "start: expected a number of POSIX seconds or a datetime, got 'today'"),
        ({"start": datetime(2025, 6, 1)}, InvalidValue, "start: expected a datetime with a zone"),
        ({"end": datetime(2025, 6, 1)}, InvalidValue, "end: expected a datetime with a zone"),
        ({"end": True}, InvalidType, "end: expected a number of POSIX seconds or a datetime"),
        ({"end": 1e12}, InvalidValue, "end: .* is it milliseconds"),
        ({"start": 10, "end": 9}, InvalidValue, r"end: expected no earlier moment than start \(10.0\), got 9"),
        ({"grace": -1}, InvalidValue, "grace: expected 0 seconds or more"),
        ({"misfire": "run_all"}, InvalidValue, "expected misfire_cap as well"),
        ({"max_instances": 3}, InvalidValue, "max_instances: goes with overlap='allow'"),
    ],
)
def test_an_option_that_cannot_be_changes_nothing_and_registers_nothing(options, error, said):
    task = IntervalTask("it", 60, int).configure(grace=5, start=7)
    with pytest.raises(error, match=said):
        task.configure(**{"start": 1, **options})
    assert (options_of(task), task.policy.grace) == (TaskOptions({"grace": 5}, 7.0, math.inf), 5.0)
    engine = ThreadedScheduler()  # one that has no zone of its own
    with pytest.raises(error, match=said):
        engine.add_interval_task(int, 60, taskname="it", **options)
    assert (engine.get_tasks(), engine.health()["tasks"]) == ({}, 0)


def test_bounds_are_moments_in_the_zone_that_was_given():
    bounds = chosen(start=datetime(2025, 6, 1, 12), end=NOON, timezone="Europe/Berlin")
    assert (bounds.start, bounds.end) == (NOON.timestamp() - 7200, NOON.timestamp())
    bounds = chosen(start=NOON.astimezone(timezone(timedelta(hours=9))))
    assert bounds.start == NOON.timestamp()
    assert chosen(start=5, end=5).end == 5.0
    assert chosen(start=None, end=None).end == math.inf


def test_what_was_chosen_stands_over_the_scheduler_s_policy_and_what_goes_with_it_falls():
    default = Policy(misfire="run_all", misfire_cap=5, overlap="allow", max_instances=3, grace=60, retry=2)
    assert chosen(timeout=1).policy(default) == Policy("run_all", 5, 60.0, "allow", 3, timeout=1.0, retry=Retry(2))
    assert chosen(misfire="skip").policy(default).misfire_cap is None
    assert chosen(overlap="queue").policy(default).max_instances is None
    assert chosen(grace=None, retry=None).policy(default) == Policy("run_all", 5, None, "allow", 3)


def test_a_scheduler_s_policy_reaches_tasks_whenever_they_were_added():
    ticked = TickedScheduler(policy=Policy(grace=5))
    task = ticked.add_interval_task(int, 60)
    own = ticked.add_interval_task(int, 60, grace=7)
    plain = ticked.add_interval_task(int, 60, grace=None)
    assert (task.policy.grace, own.policy.grace, plain.policy) == (5.0, 7.0, DEFAULT_POLICY)
    ticked.stop()
    ticked.configure(timezone="UTC", policy=Policy(grace=9, overlap="queue"))
    ticked.start()
    assert (task.policy.grace, own.policy.grace, plain.policy.grace) == (9.0, 7.0, None)
    assert own.policy.overlap == "queue"
    ticked.stop()
    ticked.configure(timezone="UTC")
    ticked.start()
    assert task.policy is DEFAULT_POLICY


def test_a_task_with_nothing_chosen_has_no_limits():
    ticked = TickedScheduler()
    task = ticked.add_interval_task(int, 60, start=None, end=None, timezone=None)
    assert entry_of(task).limits is None
    assert options_of(task) is NO_OPTIONS
    for options in ({"grace": None}, {"start": 0}, {"end": 0}, {"timezone": "UTC"}, {"grace": 0}, {"max_runs": 1}):
        assert chosen(**options) != NO_OPTIONS


def test_options_are_chosen_before_a_task_is_added():
    task = IntervalTask("it", 60, int)
    assert task.configure(grace=3, timezone="Europe/Berlin") is task
    assert (task.policy.grace, task.timezone) == (3.0, "Europe/Berlin")
    task.configure(jitter=1)  # on top
    assert (task.policy.grace, task.policy.jitter) == (3.0, 1.0)
    ticked = TickedScheduler()
    ticked.schedule_task(task, 0)
    with pytest.raises(InvalidValue, match="is in a scheduler already"):
        task.configure(grace=4)
    assert WeekdayTask("day", [1], 3, int).configure(timezone="Asia/Tokyo").timezone == "Asia/Tokyo"


def test_a_trigger_of_someone_else_or_of_several_is_slow():
    class Own(Interval):
        pass

    class CustomTrigger:
        def next_after(self, moment):
            return None

    limits = Limits()
    for trigger, slow in (
        (Interval(3), False),
        (Interval(3).between(0, 9), False),
        (Own(3), True),
        (Interval(3).except_on(()), True),
        (CustomTrigger(), True),
    ):
        limits.give_trigger(trigger)
        assert limits.slow_trigger == slow
