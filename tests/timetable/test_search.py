"""A question to a trigger has a bound: what is past it was not found until a moment, from which the search goes on."""

import math
from datetime import UTC, date, datetime

import pytest

from tgscheduler.explain.preview import latest_before
from tgscheduler.timetable import compose, search
from tgscheduler.timetable.compose import none_until
from tgscheduler.timetable.search import STEPS
from tgscheduler.timetable.triggers import Cron, Interval, Once, Weekdays, count_fires, either

NOW = datetime(2025, 3, 29, tzinfo=UTC).timestamp()
YEAR = 365.25 * 86400


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    """On a machine that is busy the bound in time would come first."""
    monkeypatch.setattr(search, "SECONDS", 60.0)


class Closed:
    """A calendar that leaves out every date before one, and counts how often it is asked."""

    def __init__(self, until=date.max):
        self.until, self.asked = until, 0

    def __contains__(self, day):
        self.asked += 1
        return day < self.until


def test_what_leaves_out_everything_is_none_found_for_50_years():
    closed = Closed()
    trigger = Interval(60).except_on(closed)
    assert trigger.next_after(NOW) is None
    assert closed.asked <= STEPS
    assert 50 * YEAR <= none_until(trigger, NOW) - NOW < 50.1 * YEAR


def test_many_that_leave_out_everything_share_the_steps():
    closed = Closed()
    parts = [Interval(60 + number).except_on(closed) for number in range(1000)]
    trigger = either(*parts, Once(NOW + 40 * YEAR))
    assert trigger.next_after(NOW) is None
    assert closed.asked <= STEPS + len(parts)
    assert none_until(trigger, NOW) - NOW >= 86400


def test_a_fire_before_the_others_gave_up_is_found_and_one_after_it_is_not():
    hopeless = Interval(60).except_on(Closed())
    assert either(hopeless, Once(NOW + 20 * YEAR)).next_after(NOW) == NOW + 20 * YEAR
    late = either(hopeless, Once(NOW + 40 * YEAR))
    assert late.next_after(NOW) is None
    assert late.next_after(none_until(late, NOW)) == NOW + 40 * YEAR


def test_from_where_it_ended_a_search_goes_on():
    trigger = Interval(86400).except_on(Closed(date(2090, 1, 1)))
    until = none_until(trigger, NOW)
    first = datetime(2090, 1, 1, tzinfo=UTC).timestamp()
    assert NOW < until < first
    assert trigger.next_after(math.nextafter(until, 0)) == first


@pytest.mark.parametrize(
    ("trigger", "until"),
    [
        (Once(5.0), None),
        (Interval(60).between(0, 1e9), None),
        (Interval(60).except_on(Closed()).between(0, NOW + YEAR), None),
        (Once(NOW + 5).except_on(Closed()), None),
        (Interval(60), None),
    ],
)
def test_what_has_no_fire_any_more_needs_no_search(trigger, until):
    assert none_until(trigger, NOW) is until


def test_a_slow_calendar_ends_a_search_in_time(monkeypatch):
    monkeypatch.setattr(search, "SECONDS", 1.0)
    elapsed = [0.0]
    monkeypatch.setattr(search.clocks, "elapsed", lambda: elapsed[0])

    def slow(day):
        elapsed[0] += 0.1
        return True

    until = none_until(Interval(60).except_on(slow), NOW)
    assert elapsed[0] < 2 * search.SECONDS
    assert 10 * 86400 <= until - NOW < 15 * 86400


def test_counts_and_looks_back_end_too():
    closed = Closed(date(2024, 1, 1))
    assert count_fires(Interval(60).except_on(Closed()), 0.0, NOW, 10_000)[2] is False
    assert latest_before(Interval(60).except_on(closed), NOW - 2 * YEAR) is None
    assert closed.asked <= 2 * STEPS


@pytest.mark.parametrize("trigger", [Cron("* * 29 2 mon", "Europe/Berlin", day_and=True), Weekdays([1], 3)])
def test_a_plain_trigger_is_one_step(trigger, monkeypatch):
    left = search.Search()
    compose.look(trigger.between(0), NOW, left)
    assert left.steps == STEPS - 1
