"""Triggers against a minute scan over UTC, and the laws that every trigger keeps."""

import dataclasses
import importlib
import math
import pickle
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_triggers import KINDS, any_case, assert_true, moments, windows
from wallscan import EPOCH, Scan, fires, on_monthdays, on_weekdays

from tgscheduler.errors import InvalidType, InvalidValue, SchedulerError
from tgscheduler.testing import TickedScheduler
from tgscheduler.timetable.triggers import Cron, Interval, Monthdays, Once, Trigger, Weekdays

YEARS = [
    ("Europe/Berlin", 2025),
    ("Pacific/Apia", 2011),  # a day that never was, and two changes more
    ("America/St_Johns", 2010),  # a fold over midnight
    ("Australia/Lord_Howe", 2024),  # half an hour, and a leap year
    ("America/Sao_Paulo", 2018),  # a gap and a fold at midnight
]
NAN, INF = float("nan"), float("inf")
WEEKLY_AT = [(0, 0), (0, 30), (2, 30), (12, 0), (23, 30)]
MONTHLY_AT = [(0, 0), (2, 15), (9, 0), (23, 59)]


def minute_of(year):
    return int((datetime(year, 1, 1, tzinfo=UTC) - EPOCH).total_seconds()) // 60


@cache
def scan_of_year(zone, year):
    return Scan(
        zone, minute_of(year), minute_of(year + 1), {hour * 60 + minute for hour, minute in WEEKLY_AT + MONTHLY_AT}
    )


def assert_year(trigger, year, expected):
    start, end = minute_of(year) * 60.0, minute_of(year + 1) * 60.0
    assert len(expected) > 5
    assert fires(trigger, start - 0.5, end) == expected


# -- a year of each kind in five zones --------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [5400, 86400, 25200])
def test_a_year_of_an_interval_is_every_so_many_real_minutes(seconds):
    year, anchor = 2024, minute_of(2024) + 7
    expected = [real * 60.0 for real in range(anchor, minute_of(2025)) if (real - anchor) % (seconds // 60) == 0]
    assert_year(Interval(seconds, anchor=anchor * 60), year, expected)


@pytest.mark.slow
@pytest.mark.parametrize(("zone", "year"), YEARS)
@pytest.mark.parametrize("days", [(1, 2, 3, 4, 5, 6, 7), (5,), (6, 7)])
@pytest.mark.parametrize("at", WEEKLY_AT)
def test_a_year_of_weekdays_is_what_the_scan_finds(zone, year, days, at):
    expected = scan_of_year(zone, year).fixed({at[0] * 60 + at[1]}, on_weekdays(days))
    assert_year(Weekdays(days, at, zone), year, expected)


@pytest.mark.slow
@pytest.mark.parametrize(("zone", "year"), YEARS)
@pytest.mark.parametrize("days", [(1,), (29, 30, 31), (4, 30), tuple(range(1, 32))])
@pytest.mark.parametrize("at", MONTHLY_AT)
def test_a_year_of_monthdays_is_what_the_scan_finds(zone, year, days, at):
    expected = scan_of_year(zone, year).fixed({at[0] * 60 + at[1]}, on_monthdays(days))
    assert_year(Monthdays(days, at, zone), year, expected)


@pytest.mark.slow
@pytest.mark.parametrize(("zone", "year"), YEARS)
def test_a_year_of_each_kind_runs_as_the_scan_finds(zone, year):
    start, end, scan = minute_of(year), minute_of(year + 1), scan_of_year(zone, year)
    engine = TickedScheduler(start=start * 60 - 0.5, timezone=zone)
    expected = {
        engine.add_interval_task(int, 25200, initialdelay=0.5): [real * 60.0 for real in range(start, end, 420)],
        engine.add_weekday_task(int, [6, 7], (0, 30)): scan.fixed({30}, on_weekdays((6, 7))),
        engine.add_monthday_task(int, range(1, 32), (2, 15)): scan.fixed({135}, lambda day: True),
    }
    engine.tick_to(end * 60 - 1)
    assert {task: [run.started for run in engine.runs(task, limit=9999)][::-1] for task in expected} == expected


# -- windows of up to 40 days, half of them around clock changes ------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
@settings(derandomize=True, deadline=None, max_examples=12)
@pytest.mark.slow
def test_every_kind_fires_as_the_scan_finds(kind, data):
    window = data.draw(windows())
    assert_true(KINDS[kind](data.draw, window), window, data)


@pytest.mark.slow
@given(data=st.data())
@settings(derandomize=True, deadline=None, max_examples=600)
def test_what_is_composed_of_composed_ones_fires_as_the_scan_finds(data):
    window = data.draw(windows())
    assert_true(any_case(data.draw, window, 3), window, data, most=1000)


# -- the laws ---------------------------------------------------------------------------------------------------------


def check_answers(kind, data):
    window = data.draw(windows())
    if kind in KINDS:
        trigger = KINDS[kind](data.draw, window).trigger
    else:
        trigger = Interval(data.draw(st.floats(0.001, 1e7)), data.draw(st.floats(0, 4e9)))
    asked = moments(window[0]) | st.floats(window[1] * 60, window[2] * 60)
    first, second = sorted([data.draw(asked), data.draw(asked)])
    fire, later = trigger.next_after(first), trigger.next_after(second)
    assert trigger.next_after(first) == fire
    assert later is None or (fire is not None and fire <= later)
    if fire is None:
        return
    assert type(fire) is float
    assert first < fire
    between = first + (fire - first) * data.draw(st.floats(0, 0.99))
    assert between >= fire or trigger.next_after(between) == fire  # nothing fires in between


@pytest.mark.parametrize("kind", [*KINDS, "any interval"])
@given(data=st.data())
@settings(derandomize=True, deadline=None, max_examples=5)
def test_an_answer_is_later_pure_monotone_and_the_earliest(kind, data):
    check_answers(kind, data)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [*KINDS, "any interval"])
@given(data=st.data())
@settings(derandomize=True, deadline=None, max_examples=50)
def test_many_answers_are_later_pure_monotone_and_the_earliest(kind, data):
    check_answers(kind, data)


@given(st.floats(1e-6, 1e7), st.floats(0, 4.2e9), st.floats(0, 4.2e9))
@settings(derandomize=True, deadline=None, max_examples=200)
def test_an_interval_fires_on_its_grid_and_leaves_no_point_out(seconds, anchor, moment):
    trigger = Interval(seconds, anchor)
    fire = trigger.next_after(moment)
    assert fire > moment
    if moment < anchor:
        assert fire == anchor
        return
    k = round((Fraction(fire) - Fraction(anchor)) / Fraction(seconds))
    near = [anchor + n * seconds for n in range(k - 3, k + 4) if n >= 0]
    assert fire == min(point for point in near if point > moment)


@pytest.mark.parametrize("seconds", [0.1, 1 / 3, 1.0])
def test_an_interval_does_not_drift(seconds):
    trigger, anchor, moment = Interval(seconds, 1.7e9), 1.7e9, 1.7e9
    for k in range(1, 20001):
        moment = trigger.next_after(moment)
        assert moment == anchor + k * seconds


# -- what they are ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("trigger", "moment", "fire"),
    [
        (Once(100.0), 99.999, 100.0),
        (Once(100.0), 100.0, None),
        (Interval(60, anchor=30), 0, 30.0),
        (Interval(60, anchor=30), 30, 90.0),
        (Interval(60), 119.5, 120.0),
        (Interval(timedelta(minutes=1)), 0, 60.0),
        (Interval(Fraction(1, 4)), 0, 0.25),
        (Interval(Decimal("0.5")), 0.5, 1.0),
        (Interval(60, anchor=-30), 0, 30.0),
        (Interval(60, anchor=datetime(1970, 1, 1, 0, 5, tzinfo=UTC)), 0, 300.0),
        (Once(datetime(1970, 1, 1, 0, 5, tzinfo=UTC)), 0, 300.0),
        (Interval(1e-6), 9e9, math.nextafter(9e9, INF)),  # floats are coarser than the grid there
        (Weekdays([4], (0, 0)), -1, 0.0),  # 1970-01-01 was a Thursday; without a zone: UTC
        (Weekdays(range(1, 8), time(1, 0)), 0, 3600.0),
        (Monthdays([1], 0), 0, 31 * 86400.0),
        (Cron("@daily"), 0, 86400.0),
        (Cron("@hourly"), 0.5, 3600.0),
        (
            Cron("0 0 29 2 *"),
            datetime(2096, 3, 1, tzinfo=UTC).timestamp(),
            datetime(2104, 2, 29, tzinfo=UTC).timestamp(),
        ),
    ],
)
def test_next_after(trigger, moment, fire):
    assert trigger.next_after(moment) == fire


def test_the_longest_wait_there_is():
    trigger = Cron("0 0 * 2 MON#5")
    leap = datetime(2072, 2, 29, tzinfo=UTC).timestamp()
    assert trigger.next_after(leap) == datetime(2112, 2, 29, tzinfo=UTC).timestamp()


@pytest.mark.parametrize("trigger", [Cron("* * * * *", "Europe/Berlin"), Cron("0 0 29 2 *"), Weekdays([1], (0, 0))])
def test_after_the_end_of_the_calendar_nothing_fires(trigger):
    assert trigger.next_after(datetime(9999, 12, 31, 23, 59, tzinfo=UTC).timestamp()) is None


@pytest.mark.parametrize(
    ("trigger", "twin"),
    [
        (Once(5.0), Once(5.0)),
        (Interval(60, 30), Interval(60.0, 30.0)),
        (Weekdays([7, 1, 1], [3, 0], "Europe/Berlin"), Weekdays((1, 7), (3, 0), "Europe/Berlin")),
        (Monthdays(range(1, 4), 5), Monthdays([3, 2, 1], (5, 0))),
        (Cron("0 9 * * 1-5", "Europe/Berlin", day_and=True), Cron("0 9 * * 1-5", "Europe/Berlin", day_and=True)),
    ],
)
def test_triggers_are_values(trigger, twin):
    assert trigger == twin
    assert hash(trigger) == hash(twin)
    assert isinstance(trigger, Trigger)
    copy = pickle.loads(pickle.dumps(trigger))
    assert copy == trigger
    assert copy.next_after(1.7e9) == trigger.next_after(1.7e9)
    for field in dataclasses.fields(trigger):
        with pytest.raises(AttributeError):
            setattr(trigger, field.name, None)


def test_they_are_public():
    assert importlib.import_module("tgscheduler.triggers").Interval is Interval


def test_an_interval_counts_by_arithmetic():
    trigger = Interval(0.1, anchor=1000.0)
    assert trigger.count(1000.0, 1000.0) == 1
    assert trigger.count(1000.0, 1000.95) == 10
    assert trigger.latest(1000.95) == 1000.0 + 9 * 0.1


def test_a_moment_is_on_its_day_by_the_zone_s_calendar():
    sunday = datetime(2025, 6, 1, 23, 30, tzinfo=UTC).timestamp()  # Monday the 2nd in Berlin
    assert date(2025, 6, 2).isoweekday() == 1
    assert Weekdays([1], (3, 0), "Europe/Berlin").on_scheduled_day(sunday)
    assert not Weekdays([1], (3, 0)).on_scheduled_day(sunday)
    assert Monthdays([2], (3, 0), "Europe/Berlin").on_scheduled_day(sunday)
    assert not Monthdays([2], (3, 0)).on_scheduled_day(sunday)


@pytest.mark.parametrize(
    ("make", "kind", "words"),
    [
        (lambda: Interval(0), ValueError, ["interval", "more than 0", "got 0"]),
        (lambda: Interval(-1.5), ValueError, ["more than 0", "-1.5"]),
        (lambda: Interval(1e-9), ValueError, ["at least 0.000001", "1e-09"]),
        (lambda: Interval(NAN), ValueError, ["finite", "nan"]),
        (lambda: Interval(INF), ValueError, ["finite", "inf"]),
        (lambda: Interval(10**400), ValueError, ["finite", "1000"]),
        (lambda: Interval(Decimal("sNaN")), ValueError, ["finite", "sNaN"]),
        (lambda: Interval(1e12), ValueError, ["milliseconds", "1000000000000.0"]),
        (lambda: Interval("60"), TypeError, ["interval", "number of seconds", "'60'"]),
        (lambda: Interval(True), TypeError, ["number of seconds", "True"]),
        (lambda: Interval(None), TypeError, ["number of seconds", "None"]),
        (lambda: Interval(60, anchor=NAN), ValueError, ["anchor", "finite", "nan"]),
        (lambda: Interval(60, anchor="0"), TypeError, ["anchor", "number", "'0'"]),
        (lambda: Once(NAN), ValueError, ["moment", "finite", "nan"]),
        (lambda: Once("noon"), TypeError, ["moment", "a datetime", "'noon'"]),
        (lambda: Once(datetime(2025, 1, 1)), ValueError, ["moment", "tzinfo="]),
        (lambda: Interval(60, anchor=1.7e12), ValueError, ["anchor", "milliseconds"]),
        (lambda: Weekdays([0], (3, 0)), ValueError, ["weekdays", "1 to 7", "1 is Monday", "got 0"]),
        (lambda: Weekdays([1], (3, 0), "Berlin"), ValueError, ["'Berlin'", "'Europe/Berlin'"]),
        (lambda: Weekdays([1], (3, 0), 5), TypeError, ["timezone", "5", "'Europe/Berlin'"]),
        (lambda: Monthdays([32], (3, 0)), ValueError, ["monthdays", "1 to 31", "got 32"]),
        (lambda: Monthdays([1], (24, 0)), ValueError, ["timeonday", "(23, 59)", "(24, 0)"]),
        (lambda: Cron("0 9 * *"), ValueError, ["five fields", "got 4"]),
        (lambda: Cron("0 9 * * *", "Mars/Phobos"), ValueError, ["'Mars/Phobos'"]),
    ],
)
def test_a_bad_trigger_cannot_be_made(make, kind, words):
    with pytest.raises(SchedulerError) as caught:
        make()
    assert isinstance(caught.value, (InvalidValue, InvalidType))
    assert isinstance(caught.value, kind)
    for word in words:
        assert word in str(caught.value)
