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
from wallscan import DAY, EPOCH, Scan, changes, date_of, fires, on_monthdays, on_weekdays

from tgscheduler.errors import InvalidType, InvalidValue, SchedulerError
from tgscheduler.testing import TickedScheduler
from tgscheduler.timetable.triggers import Cron, Interval, Monthdays, Once, Trigger, Weekdays

ZONES = [
    "Europe/Berlin",
    "Europe/Dublin",
    "America/Sao_Paulo",
    "America/St_Johns",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "Africa/Casablanca",
    "Africa/Cairo",
    "Antarctica/Troll",
    "Antarctica/Casey",
    "Asia/Gaza",
    "Asia/Pyongyang",
    "Asia/Kathmandu",
]
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
LAST_MINUTE = int((datetime(2101, 1, 1, tzinfo=UTC) - EPOCH).total_seconds()) // 60


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


@st.composite
def windows(draw):
    """Draw a zone, and a stretch of minutes from 1970 to 2100 in it."""
    zone = draw(st.sampled_from(ZONES))
    length = draw(st.integers(1, 40 * DAY))
    start = draw(st.integers(0, LAST_MINUTE - length))
    if changes(zone) and draw(st.booleans()):
        start = max(0, draw(st.sampled_from(changes(zone))) - draw(st.integers(0, length)))
    return zone, start, start + length


def numbers(low, high):
    """Draw a cron field of numbers in one of its forms: its text and what it stands for."""
    ends = st.tuples(st.integers(low, high), st.integers(low, high)).map(sorted)
    steps = st.integers(1, 20 if high > 20 else high)
    return st.one_of(
        st.integers(low, high).map(lambda n: (str(n), {n})),
        st.sets(st.integers(low, high), min_size=2, max_size=4).map(lambda s: (",".join(map(str, sorted(s))), s)),
        ends.map(lambda e: (f"{e[0]}-{e[1]}", set(range(e[0], e[1] + 1)))),
        st.tuples(ends, steps).map(lambda e: (f"{e[0][0]}-{e[0][1]}/{e[1]}", set(range(e[0][0], e[0][1] + 1, e[1])))),
        st.tuples(st.integers(low, high), steps).map(lambda e: (f"{e[0]}/{e[1]}", set(range(e[0], high + 1, e[1])))),
    )


def stars(low, high):
    """Draw a cron field that begins with an asterisk."""
    whole = range(low, high + 1)
    steps = st.integers(2, 20 if high > 20 else high)
    return st.just(("*", set(whole))) | steps.map(lambda n: (f"*/{n}", set(whole[::n])))


@st.composite
def cron_lines(draw):
    """Draw a cron line: its text, whether both days must match, its minutes of the day, a test for its days."""
    wildcard = draw(st.booleans())
    minute, hour = draw(numbers(0, 59)), draw(numbers(0, 23))
    if wildcard:
        which = draw(st.integers(0, 2))
        minute = draw(stars(0, 59)) if which != 1 else minute
        hour = draw(stars(0, 23)) if which != 0 else hour
    dom = draw(st.just(("*", set(range(1, 32)))) | numbers(1, 31) | stars(1, 31))
    dow = draw(st.just(("*", set(range(8)))) | numbers(0, 7) | stars(0, 6))
    day_and = draw(st.booleans())
    both = day_and or dom[0].startswith("*") or dow[0].startswith("*")

    def has_day(day):
        when = date_of(day)
        by_dom, by_dow = when.day in dom[1], bool({when.isoweekday(), when.isoweekday() % 7} & dow[1])
        return by_dom and by_dow if both else by_dom or by_dow

    times = {h * 60 + m for h in hour[1] for m in minute[1]}
    return f"{minute[0]} {hour[0]} {dom[0]} * {dow[0]}", day_and, wildcard, times, has_day


TIMES = st.tuples(st.integers(0, 23), st.integers(0, 59))


@given(
    window=windows(),
    week=st.sets(st.integers(1, 7), min_size=1),
    month=st.sets(st.integers(1, 31), min_size=1),
    at=TIMES,
    line=cron_lines(),
    interval=st.tuples(st.integers(1, 5000), st.integers(0, 50000)),
)
@settings(derandomize=True, deadline=None, max_examples=30)
def test_every_kind_fires_as_the_scan_finds(window, week, month, at, line, interval):
    zone, start, end = window
    text, day_and, wildcard, times, has_day = line
    minutes = {at[0] * 60 + at[1]}
    scan, first, last = Scan(zone, start, end, times | minutes), start * 60 - 0.5, end * 60.0
    assert fires(Weekdays(week, at, zone), first, last) == scan.fixed(minutes, on_weekdays(week))
    assert fires(Monthdays(month, at, zone), first, last) == scan.fixed(minutes, on_monthdays(month))
    expected = scan.real(times, has_day) if wildcard else scan.fixed(times, has_day)
    assert fires(Cron(text, zone, day_and), first, last) == expected
    step, anchor = interval[0], start + interval[1]
    expected = [real * 60.0 for real in range(start, end) if real >= anchor and (real - anchor) % step == 0]
    assert fires(Interval(step * 60, anchor * 60), first, last) == expected


# -- the laws ---------------------------------------------------------------------------------------------------------


@st.composite
def moments(draw, zone):
    """Draw a moment, half of them within three days of a clock change, with a fraction."""
    minute = draw(st.integers(0, LAST_MINUTE))
    if changes(zone) and draw(st.booleans()):
        minute = draw(st.sampled_from(changes(zone))) + draw(st.integers(-3 * DAY, 3 * DAY))
    return max(0, minute) * 60 + draw(st.sampled_from([0, -1, 1, 30])) + draw(st.sampled_from([0.0, 0.25, 0.999999]))


KINDS = {
    "weekdays": lambda draw, zone: Weekdays(draw(st.sets(st.integers(1, 7), min_size=1)), draw(TIMES), zone),
    "monthdays": lambda draw, zone: Monthdays(draw(st.sets(st.integers(1, 31), min_size=1)), draw(TIMES), zone),
    "interval": lambda draw, zone: Interval(draw(st.floats(0.001, 1e7)), draw(st.floats(0, 4e9))),
    "cron": lambda draw, zone: Cron(draw(cron_lines())[0], zone, draw(st.booleans())),
    "cron with seconds": lambda draw, zone: Cron(f"{draw(stars(0, 59))[0]} {draw(cron_lines())[0]}", zone),
    "once": lambda draw, zone: Once(draw(st.floats(0, 4e9))),
}


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
@settings(derandomize=True, deadline=None, max_examples=30)
def test_an_answer_is_later_pure_monotone_and_the_earliest(kind, data):
    zone = data.draw(st.sampled_from(ZONES))
    trigger = KINDS[kind](data.draw, zone)
    moment, other = data.draw(moments(zone)), data.draw(moments(zone))
    fire, later = trigger.next_after(moment), trigger.next_after(other)
    assert trigger.next_after(moment) == fire
    if fire is None:
        assert kind == "once"
        assert trigger.moment <= moment
        return
    assert type(fire) is float
    assert fire > moment
    between = moment + (fire - moment) * data.draw(st.floats(0, 0.99))
    assert trigger.next_after(between) == fire or between >= fire  # nothing fires in between
    if later is not None:
        assert (fire <= later) if moment <= other else (later <= fire)


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
    assert Weekdays([1], (3, 0), "Europe/Berlin").on_its_day(sunday)
    assert not Weekdays([1], (3, 0)).on_its_day(sunday)
    assert Monthdays([2], (3, 0), "Europe/Berlin").on_its_day(sunday)
    assert not Monthdays([2], (3, 0)).on_its_day(sunday)


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


@pytest.mark.parametrize("moment", [NAN, INF, -INF])
@pytest.mark.parametrize("trigger", [Interval(60), Weekdays([1], (0, 0)), Monthdays([1], (0, 0)), Cron("@daily")])
def test_a_moment_that_is_no_number_is_an_error(trigger, moment):
    if moment == -INF and isinstance(trigger, Interval):
        assert trigger.next_after(moment) == 0.0  # before the anchor
        return
    with pytest.raises((ValueError, OverflowError)):
        trigger.next_after(moment)
