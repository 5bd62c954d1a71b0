"""What the engine must know of a trigger: whether asking it takes long, and how many fires were missed."""

import enum
from datetime import UTC, date, datetime

import pytest
from wallscan import fires

from tgscheduler.errors import InvalidValue
from tgscheduler.timetable.triggers import (
    Between,
    Composable,
    Cron,
    Interval,
    Monthdays,
    Once,
    Weekdays,
    count_fires,
    either,
    is_quick,
)

DAY = 86400.0
PLAIN = [Once(5.0), Interval(60), Weekdays([1], 3), Monthdays(["last"], [(3, 0), (5, 0)], "Asia/Gaza"), Cron("@daily")]


class Own(Composable):
    """A trigger of an application's own, on our base class."""

    def next_after(self, moment):
        return moment + 60


class OwnInterval(Interval):
    """A trigger of ours that an application has changed."""

    def next_after(self, moment):
        return moment + 1


class Dates(set):
    """A set that an application has changed: only what is in it is taken."""

    def __contains__(self, day):
        raise AssertionError


@pytest.mark.parametrize("trigger", PLAIN, ids=repr)
def test_a_plain_trigger_is_one_step_also_within_bounds(trigger):
    assert is_quick(trigger)
    assert is_quick(trigger.between(0, 1e9).between(5))


@pytest.mark.parametrize("trigger", [Own(), OwnInterval(60), None, "@daily", Interval, object()], ids=str)
def test_someone_else_s_may_do_anything(trigger):
    assert not is_quick(trigger)


@pytest.mark.parametrize(
    "trigger",
    [
        either(*PLAIN),
        either(Once(5.0)).between(0),
        Interval(60).except_on(()),
        Interval(60).except_on(lambda day: False).between(0),
        Own().between(0),
        type("Mine", (Between,), {})(Interval(60)),
    ],
    ids=repr,
)
def test_what_is_made_of_several_or_looks_at_dates_may_take_many_steps(trigger):
    assert not is_quick(trigger)


def test_values_of_an_application_s_classes_become_plain_ones():
    """Days, times and dates are compared under the engine's lock."""

    class Day(date):
        def __eq__(self, other):
            raise AssertionError

        __hash__ = date.__hash__

    days = enum.IntEnum("days", "monday")
    trigger = Weekdays(days, (days.monday, days.monday)).except_on([Day(2025, 12, 25)])
    assert {type(part) for part in (*trigger.trigger.days, *trigger.trigger.timeonday)} == {int}
    assert {type(day) for day in trigger.calendar} == {date}
    assert type(Interval(enum.IntEnum("every", "one").one).seconds) is float


# -- what was missed --------------------------------------------------------------------------------------------------


class Counted(Composable):
    """An interval that counts how often it is asked."""

    asked = 0

    def next_after(self, moment):
        self.asked += 1
        return moment + 60


@pytest.mark.parametrize(
    ("trigger", "due", "now", "found"),
    [
        (Interval(60), 0.0, 0.0, (1, 0.0, True)),
        (Interval(60), 0.0, 59.9, (1, 0.0, True)),
        (Interval(60), 0.0, 60.0, (2, 60.0, True)),
        (Interval(60), 30.0, 60.0, (2, 60.0, True)),  # due by hand
        (Interval(0.1), 0.0, 1e6 + 0.05, (10_000_001, 1e6, True)),
        (Interval(60).between(0, 600), 0.0, 1e9, (11, 600.0, True)),
        (Interval(60).between(0, 630), 0.0, 1e9, (11, 600.0, True)),
        (Interval(60).between(0, 1e9), 0.0, 630.0, (11, 600.0, True)),
        (Interval(60).between(60), 60.0, 120.0, (2, 120.0, True)),
        (Interval(60).between(600).between(None, 6000), 30.0, 1e9, (92, 6000.0, True)),  # due by hand, before the start
        (Interval(0.001).between(0, 1e6).between(10, 2e6), 10.0, 2e6, (999_990_001, 1e6, True)),
        (Interval(60).between(0, 600), 600.0, 1e9, (1, 600.0, True)),
        (Once(5.0), 5.0, 1e9, (1, 5.0, True)),
        (Weekdays(range(1, 8), 0), 0.0, 7 * DAY, (8, 7 * DAY, True)),
        (Weekdays(range(1, 8), [(0, 0), (12, 0)]), 0.0, 7 * DAY, (15, 7 * DAY, True)),
        (Cron("* * * * *"), 0.0, 99 * 60.0, (100, 99 * 60.0, True)),
        (Cron("* * * * *"), 0.0, 100 * 60.0, (100, 99 * 60.0, False)),
        (either(Interval(60), Interval(90)), 0.0, 180.0, (5, 180.0, True)),
        (Interval(3600).except_on({date(1970, 1, 2)}), 0.0, 2 * DAY, (25, 2 * DAY, True)),
        (Counted(), 0.0, 6000.0, (100, 5940.0, False)),
    ],
)
def test_a_stretch(trigger, due, now, found):
    assert count_fires(trigger, due, now, 100) == found


def test_a_count_by_arithmetic_is_the_count_of_the_fires():
    for trigger in (Interval(7, 3).between(20, 900), Interval(0.3, 1).between(5.05).between(None, 77.7)):
        due = trigger.next_after(0.0)
        expected = [due, *fires(trigger, due, 1000.0)]
        assert count_fires(trigger, due, 1000.0, 10) == (len(expected), expected[-1], True)


def test_a_walk_is_bounded():
    trigger = Counted()
    count_fires(trigger, 0.0, 1e12, 50)
    assert trigger.asked == 50


def test_missed_days_are_counted_through_a_clock_change():
    trigger = Weekdays(range(1, 8), [(2, 30), (2, 45)], "Europe/Berlin")
    due = datetime(2025, 3, 29, 1, 30, tzinfo=UTC).timestamp()
    end = datetime(2025, 3, 31, 12, tzinfo=UTC).timestamp()
    assert count_fires(trigger, due, end, 100)[0] == 5  # two times in one gap are one fire


@pytest.mark.parametrize("answer", [10.0, 5.0, float("nan"), float("inf")])
@pytest.mark.parametrize("good", [0, 3])
def test_an_answer_that_is_no_later_moment_is_an_error(good, answer):
    class Stuck:
        asked = 0

        def next_after(self, moment):
            self.asked += 1
            return moment + 1 if self.asked <= good else answer

    with pytest.raises(InvalidValue, match=r"next_after: expected a time after 1\d\.0, or None, got"):
        count_fires(Stuck(), 10.0, 1e9, 100)


def test_a_subclass_of_an_interval_is_asked():
    assert count_fires(OwnInterval(60), 0.0, 10.0, 100) == (11, 10.0, True)
    assert count_fires(Between(OwnInterval(60), 0, 5), 0.0, 10.0, 100) == (6, 5.0, True)

    class Even(Between):
        def next_after(self, moment):
            return moment + 2

    assert count_fires(Even(Interval(1)), 0.0, 10.0, 100) == (6, 10.0, True)
