"""What comes is what the loop does: the preview against the ticked scheduler, and the notes on clock changes."""

import itertools
import math
from datetime import UTC, date, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tgscheduler.explain.preview import ClockChangeNotes, Fire, Forecast, latest_before, passes
from tgscheduler.testing import TickedScheduler
from tgscheduler.timetable import zones
from tgscheduler.timetable.policy import Policy
from tgscheduler.timetable.triggers import Cron, Interval, Monthdays, Once, Weekdays, either

BERLIN = zones.zone("Europe/Berlin")
START = datetime(2025, 3, 28, tzinfo=UTC)
DAY = 86400.0


class Every:
    """A trigger of an application's own."""

    def next_after(self, moment):
        return math.floor(moment / 7000) * 7000.0 + 7000


TRIGGERS = [
    Interval(7200, anchor=100),
    Weekdays(range(1, 8), [(2, 0), (2, 30), (3, 0)], "Europe/Berlin"),
    Monthdays(["last", 1, "2nd tuesday"], (2, 30), "Europe/Berlin"),
    Cron("*/40 * * * *", "Europe/Berlin"),
    Cron("15,45 2 * * *", "Europe/Berlin"),
    either(Weekdays([6, 7], 2, "Europe/Berlin"), Cron("30 2 * * *", "America/New_York"), Interval(50_000)),
    Weekdays(range(1, 8), (2, 30), "Europe/Berlin").except_on([date(2025, 3, 30)]),
    Interval(9000).between(START, datetime(2025, 4, 2, tzinfo=UTC)),
    Once(START.timestamp() + 5000),
    Every(),
]


def fired(engine, task):
    return [(run.due, run.started) for run in engine.runs(task, limit=10_000)][::-1]


@pytest.mark.parametrize("jitter", [0, 40])
def test_a_single_task_is_kept_until_the_end_of_the_pause(jitter):
    engine = TickedScheduler(start=START)
    task = engine.add_single_task(int, initialdelay=100, taskname="once", jitter=jitter)
    [fire] = Forecast.of(engine.view(task)).fires()
    engine.pause(task, START.timestamp() + 500)
    [kept] = Forecast.of(engine.view(task)).fires()
    assert (fire.due, kept.fire_at, kept.note) == (kept.due, START.timestamp() + 500, "kept until the end of the pause")
    engine.pause(task)
    assert list(Forecast.of(engine.view(task)).fires()) == []
    engine.resume(task)
    engine.tick(1000)
    assert fired(engine, task) == [(fire.due, fire.fire_at)]


def test_before_the_start_it_is_as_if_it_started_now_and_changes_nothing():
    engine = TickedScheduler(start=START, timezone="Europe/Berlin")
    engine.stop()
    daily = engine.add_weekday_task(int, range(1, 8), (2, 30), taskname="daily")
    often = engine.add_interval_task(int, 1000, initialdelay=70, taskname="often")
    foreseen = {
        task: [fire.due for fire in itertools.islice(Forecast.of(engine.view(task)).fires(), 3)]
        for task in (daily, often)
    }
    assert often.trigger is None
    engine.start()
    engine.tick(3 * DAY)
    for task in (daily, often):
        assert [run.due for run in engine.runs(task, limit=1000)][::-1][:3] == foreseen[task]


def test_after_a_stop_too():
    engine = TickedScheduler(start=START, timezone="Europe/Berlin")
    task = engine.add_interval_task(int, 1000, taskname="often")
    engine.tick(2500)
    engine.stop()
    engine.tick(2000)
    first = next(Forecast.of(engine.view(task)).fires()).due
    engine.start()
    assert task.next_due == first == START.timestamp() + 5000


def test_a_time_by_hand_on_no_day_of_its_own_is_none():
    monday = datetime(2025, 6, 2, 12, tzinfo=UTC).timestamp()
    trigger = Weekdays([2], 9)
    assert next(Forecast("task", trigger, monday, manual_due=True).fires()).due == monday + 21 * 3600
    assert next(Forecast("task", trigger, monday).fires()).due == monday


def dues(**outlook):
    return [fire.due for fire in Forecast("task", **outlook).fires()]


def test_it_ends_where_the_loop_does():
    assert dues(trigger=Interval(10), due=None) == []
    assert dues(trigger=Interval(10), due=10.0, end=30.0) == [10, 20, 30]
    assert dues(trigger=Interval(10), due=10.0, runs_left=2) == [10, 20]
    assert dues(trigger=None, due=10.0) == [10]
    berlin = Weekdays(range(1, 8), (2, 30), "Europe/Berlin")
    first = datetime(2025, 3, 29, 1, 30, tzinfo=UTC).timestamp()
    assert [due - first for due in dues(trigger=berlin, due=first, runs_left=3)] == [0, DAY - 1800, 2 * DAY - 3600]


def test_what_is_late_comes_as_the_loop_decides_on_it():
    def told(**policy):
        outlook = Forecast("task", Interval(10), 10.0, Policy(**policy), now=45.0)
        return [fire[:3] for fire in itertools.islice(outlook.fires(), 3)]

    assert told() == [(10, 45, "one run for 4 occurrences"), (50, 50, None), (60, 60, None)]
    assert told(grace=17)[:2] == [
        (10, 45, "25.0 s late; grace is 17 s: it does not run"),
        (30, 45, "one run for 2 occurrences"),
    ]
    assert [
        fire.skipped
        for fire in itertools.islice(Forecast("it", Interval(10), 10.0, Policy(grace=17), now=45.0).fires(), 2)
    ] == [
        True,
        False,
    ]
    assert told(misfire="run_all", misfire_cap=2)[1:] == [
        (30, 45, None),
        (40, 45, "it waits for the run before it to end"),
    ]


def test_from_a_moment_far_ahead_what_lies_before_is_not_gone_through():
    begin = datetime(2090, 1, 1, tzinfo=UTC).timestamp()
    outlook = Forecast("task", Interval(1), 0.0, Policy(jitter=500))
    found = list(itertools.islice(outlook.fires(begin), 600))
    assert found[-1].due - 600 < begin - 500 <= found[1].due
    whole = Forecast("task", Interval(1), begin - 2000, Policy(jitter=500))
    expected = list(itertools.takewhile(lambda fire: fire.due <= found[-1].due, whole.fires()))
    assert [fire for fire in found if fire.fire_at >= begin] == [fire for fire in expected if fire.fire_at >= begin]


def test_what_is_spread_beyond_the_next_one_fires_right_after_it():
    fires = list(itertools.islice(Forecast("task", Interval(1), 0.0, Policy(jitter=100)).fires(), 50))
    assert [fire.fire_at for fire in fires] == sorted(fire.fire_at for fire in fires)
    assert all(fire.due <= fire.fire_at for fire in fires)


# -- notes -----------------------------------------------------------------------------------------------------------


def notes(trigger, year, month, day, days=2):
    begin = datetime(year, month, day, tzinfo=UTC).timestamp()
    found, of, moment = {}, ClockChangeNotes(trigger).of, begin
    while (moment := trigger.next_after(moment)) is not None and moment < begin + days * DAY:
        found[datetime.fromtimestamp(moment, UTC).strftime("%d %H:%M")] = of(moment)
    return {when: note for when, note in found.items() if note is not None}


@pytest.mark.parametrize(
    ("trigger", "expected"),
    [
        (Weekdays(range(1, 8), (2, 30), "Europe/Berlin"), "02:30 does not exist that day"),
        (Monthdays([30], (2, 0), "Europe/Berlin"), "02:00 does not exist that day"),
        (Cron("30 2 * * *", "Europe/Berlin"), "02:30 does not exist that day"),
        (Weekdays(range(1, 8), [(2, 0), (2, 30), (3, 0)], "Europe/Berlin"), "02:00, 02:30 and 03:00 are one fire"),
        (Cron("0-59 2 * * *", "Europe/Berlin"), "60 times from 02:00 to 02:59 are one fire"),
        (
            either(Weekdays([7], (2, 30), "Europe/Berlin"), Cron("0 3 * * *", "Europe/Berlin")),
            "02:30 and 03:00 are one fire",
        ),
        (Weekdays([7], (2, 30), "Europe/Berlin").between(0).except_on([]), "02:30 does not exist that day"),
    ],
)
def test_a_gap_moves_a_fire(trigger, expected):
    assert notes(trigger, 2025, 3, 29) == {"30 01:00": f"{expected}: the clock goes from 02:00 to 03:00"}


@pytest.mark.parametrize(
    "trigger",
    [
        Weekdays(range(1, 8), (3, 0), "Europe/Berlin"),
        Weekdays(range(1, 8), (2, 30)),
        Cron("*/15 * * * *", "Europe/Berlin"),
        Interval(900),
        Every(),
    ],
)
@pytest.mark.parametrize("month", [3, 10])
def test_a_time_that_is_there_once_needs_no_note(trigger, month):
    assert notes(trigger, 2025, month, 25, days=8) == {}


def test_a_fold_lets_a_time_come_twice():
    trigger = Weekdays(range(1, 8), [(1, 59), (2, 0), (2, 59), (3, 0)], "Europe/Berlin")
    assert notes(trigger, 2025, 10, 25, days=3) == {
        "26 00:00": "02:00 comes twice that day: this is the first of the two",
        "26 00:59": "02:59 comes twice that day: this is the first of the two",
    }


def test_a_day_that_was_left_out():
    trigger = Weekdays(range(1, 8), (12, 0), "Pacific/Apia")
    assert notes(trigger, 2011, 12, 28, days=4) == {
        "30 10:00": "2011-12-30 12:00 does not exist that day: the clock goes from 2011-12-30 00:00 to 2011-12-31 00:00"
    }


def test_two_passes():
    first, second = datetime(2025, 10, 26, 0, 30, tzinfo=UTC).timestamp(), datetime(2025, 10, 26, 1, 30, tzinfo=UTC)
    assert passes(first, BERLIN) == passes(second.timestamp(), BERLIN) == (first, second.timestamp())
    assert passes(first - 7200, BERLIN) is None


# -- backwards -------------------------------------------------------------------------------------------------------


@settings(max_examples=80, deadline=None)
@given(trigger=st.sampled_from(TRIGGERS), ahead=st.integers(0, 20 * 86400))
def test_the_latest_before_is_the_one_after_which_none_comes_before(trigger, ahead):
    moment = START.timestamp() + ahead
    before = latest_before(trigger, moment)
    following = trigger.next_after(-1e9 if before is None else before)
    assert before is None or before < moment
    assert following is None or following >= moment


def test_far_back():
    assert latest_before(Once(0.0), 40 * 366 * DAY) == 0.0
    assert latest_before(Once(0.0), 0.0) is None
    assert (
        latest_before(Cron("0 0 29 2 *"), datetime(2027, 1, 1, tzinfo=UTC).timestamp())
        == datetime(2024, 2, 29, tzinfo=UTC).timestamp()
    )


def test_a_fire_has_four_parts():
    assert Fire(1.0, 2.0, None)._fields == ("due", "fire_at", "note", "skipped")
