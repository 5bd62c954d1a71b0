"""The wall clock is stepped: what fires then, and what does not again."""

import pytest
from helpers import DAY, HOUR, NOON, dues, noop, states


def test_a_step_forward_keeps_intervals_and_makes_calendar_tasks_late(ticked):
    ticked.add_interval_task(noop, 600, taskname="interval")
    ticked.add_weekday_task(noop, range(1, 8), (12, 30), taskname="calendar")
    single = ticked.add_single_task(noop, initialdelay=900, taskname="single")
    ticked.tick(60)
    ticked.clock.step_by(HOUR)
    ticked.tick()
    assert [run.late for run in ticked.runs("calendar")] == [1860]
    assert single.next_due == NOON + HOUR + 900
    ticked.tick(600)
    assert dues(ticked, "interval") == [0, HOUR + 600]


def test_a_step_back_runs_no_occurrence_twice(ticked):
    ticked.add_interval_task(noop, 600, taskname="interval", initialdelay=600)
    ticked.add_cron_like_task(noop, "*/5 * * * *", taskname="calendar")
    ticked.tick(1200)
    before = dues(ticked, "calendar")
    ticked.clock.step_by(-HOUR / 2)
    ticked.tick(1700)
    assert dues(ticked, "calendar") == before == [300, 600, 900, 1200]  # silent until the clock has passed the mark
    assert len(ticked.runs("interval")) == 4
    ticked.tick(500)
    assert dues(ticked, "calendar") == [*before, 1500]


@pytest.mark.parametrize("while_stopped", [True, False])
def test_a_step_back_and_a_stop_run_no_occurrence_twice(ticked, while_stopped):
    ticked.add_interval_task(noop, 600, taskname="interval", initialdelay=600)
    ticked.add_cron_like_task(noop, "*/5 * * * *", taskname="calendar")
    ticked.tick(1200)
    if not while_stopped:
        ticked.clock.step_by(-HOUR / 2)
        ticked.tick()
    ticked.stop()
    if while_stopped:
        ticked.clock.step_by(-HOUR / 2)
    ticked.start()
    ticked.tick(1790)
    assert dues(ticked, "calendar") == [300, 600, 900, 1200]
    ticked.tick(400)
    assert dues(ticked, "calendar") == [300, 600, 900, 1200, 1500]
    if not while_stopped:
        assert len(ticked.runs("interval")) == 5


@pytest.mark.parametrize("seconds", [HOUR, 30 * HOUR, 1234.5])
def test_a_step_forward_while_stopped_keeps_the_grid_of_an_interval_and_what_a_single_task_owes(ticked, seconds):
    ticked.add_interval_task(noop, 600, taskname="interval", initialdelay=600)
    ticked.add_single_task(noop, taskname="single", initialdelay=2000)
    ticked.tick(1300)
    ticked.stop()
    ticked.clock.step_by(seconds)
    ticked.start()
    ticked.tick(600)
    *before, after = dues(ticked, "interval")
    assert before == [600, 1200]  # what the clock jumped over came due while it was stopped
    assert after % 600 == 0
    assert 0 <= after - 1300 - seconds <= 600
    assert states(ticked, "single") == [(2000, 1, "ok")]


@pytest.mark.parametrize(
    "seconds",
    [
        -100,
        -HOUR / 2,
        -8 * HOUR,
        -365 * DAY,
    ],
)
def test_a_step_back_while_stopped_keeps_an_interval_silent_for_no_longer_than_itself(ticked, seconds):
    task = ticked.add_interval_task(noop, 600, taskname="interval", initialdelay=600)
    ticked.tick(1300)
    ticked.stop()
    ticked.clock.step_by(seconds)
    ticked.start()
    assert 0 <= task.next_due - ticked.clock.now() <= 600


def test_after_a_correction_and_a_stop_what_has_run_runs_again(ticked):
    ticked.add_cron_like_task(noop, "0 * * * *", taskname="calendar")
    ticked.tick(10 * HOUR)
    ticked.clock.step_by(-4 * HOUR)
    ticked.tick(HOUR / 2)
    ticked.stop()
    ticked.start()
    ticked.tick(HOUR)
    assert dues(ticked, "calendar").count(7 * HOUR) == 2


def test_a_task_that_had_not_run_follows_a_step_back_at_once(ticked):
    task = ticked.add_weekday_task(noop, range(1, 8), (11, 30), taskname="calendar")
    assert task.next_due == NOON + DAY - 1800
    ticked.clock.step_by(-HOUR)
    ticked.tick()
    assert task.next_due == NOON - 1800


def test_a_large_step_back_is_a_correction(ticked):
    task = ticked.add_cron_like_task(noop, "0 * * * *", taskname="calendar")
    ticked.tick(10 * HOUR)
    ticked.clock.step_by(-8 * HOUR)
    ticked.tick()
    assert task.next_due == NOON + 3 * HOUR
