"""What a persistent store makes of tasks with options, of pauses and moves, and of a clock that is stepped."""

import math
import sqlite3

import pytest
from helpers import DAY, HOUR, NOON, CustomTrigger, flaky, noop, states, wait_for

from tgscheduler import stores
from tgscheduler.engine.scheduler import ThreadedScheduler
from tgscheduler.scheduler import Retry


def stored(url):
    """Return due (from noon), count, state, attempt and reason of what is in the store, oldest first."""
    store = stores.open(url)
    runs = sorted(store.runs(limit=1000), key=lambda run: run.due)
    store.close(1)
    return [(run.due - NOON, run.count, run.state, run.attempt, run.reason) for run in runs]


def test_a_trigger_of_the_applications_own_makes_up_for_what_it_missed(begin):
    def schedule(scheduler):
        scheduler.add_task(noop, CustomTrigger(lambda moment: (moment // 600 + 1) * 600), taskname="it")

    begin(NOON, schedule).tick(1000)
    second = begin(NOON + 3000, schedule)
    second.tick(700)
    assert states(second) == [(600, 1, "ok"), (1200, 4, "ok"), (3600, 1, "ok")]


def test_a_grid_that_begins_at_a_moment_goes_on_there(begin):
    def schedule(scheduler):
        scheduler.add_interval_task(noop, 600, start=NOON + 100, taskname="it")

    begin(NOON, schedule).tick(800)
    second = begin(NOON + 2000, schedule)
    second.tick(1000)
    assert states(second) == [(100, 1, "ok"), (700, 1, "ok"), (1300, 2, "ok"), (2500, 1, "ok")]


def test_what_comes_due_while_it_is_stopped_is_made_up_for_in_the_same_process_too(begin):
    scheduler = begin(NOON, lambda each: each.add_interval_task(noop, 60, taskname="it"))
    scheduler.tick(70)
    scheduler.stop()
    scheduler.clock.advance(300)
    scheduler.start()
    scheduler.tick(60)
    assert states(scheduler) == [(0, 1, "ok"), (60, 1, "ok"), (120, 5, "ok"), (420, 1, "ok")]


@pytest.mark.parametrize("step", [-HOUR, HOUR])
def test_a_calendar_task_follows_the_new_time_and_runs_nothing_twice(begin, step):
    def schedule(scheduler):
        scheduler.add_cron_like_task(noop, "*/30 * * * *", taskname="it")

    scheduler = begin(NOON, schedule)
    scheduler.tick(2 * HOUR)
    scheduler.clock.step_by(step)
    scheduler.tick(2 * HOUR)
    second = begin(scheduler.clock.now() + 60, schedule)
    second.tick(HOUR)
    found = [due for due, _, _ in states(second)]
    assert len(found) == len(set(found))
    assert found[-1] == 5.5 * HOUR + step - 0.5 * HOUR
    assert sum(count for _, count, _ in states(second)) == (5 * HOUR + max(step, 0)) // 1800 - (step < 0) * 2


def test_after_a_correction_by_more_than_three_hours_it_runs_again_in_a_new_process_too(begin):
    def schedule(scheduler):
        scheduler.add_cron_like_task(noop, "0 * * * *", taskname="it")

    begin(NOON, schedule).tick(6 * HOUR)
    second = begin(NOON + HOUR / 2, schedule)
    second.tick(2 * HOUR)
    assert [due for due, _, _ in states(second)].count(2 * HOUR) == 2


def test_a_clock_that_was_a_little_fast_makes_no_calendar_occurrence_run_again(begin):
    def schedule(scheduler):
        scheduler.add_cron_like_task(noop, "*/10 * * * *", taskname="it")

    begin(NOON, schedule).tick(2 * HOUR)
    second = begin(NOON + 1.5 * HOUR, schedule)
    second.tick(HOUR)
    found = [due for due, _, _ in states(second)]
    assert len(found) == len(set(found))
    assert found[-1] == 2.5 * HOUR


def test_a_run_that_is_tried_again_is_one_record(begin, url):
    scheduler = begin(NOON, lambda each: None)
    scheduler.add_single_task(flaky(scheduler, 2), taskname="it", retry=Retry(2, delay=10, jitter=0))
    scheduler.tick(100)
    scheduler.stop()
    assert stored(url) == [(0, 1, "ok", 3, "after 3 attempts")]


def test_a_line_and_what_has_no_room_are_on_record(begin, url):
    def schedule(scheduler):
        scheduler.add_interval_task(lambda: scheduler.clock.advance(25), 10, taskname="queue", overlap="queue",
                                    end=NOON + 40)  # fmt: skip

    scheduler = begin(NOON, schedule)
    scheduler.tick(300)
    scheduler.stop()
    assert sum(count for _, count, *_ in stored(url)) == 5
    assert {state for _, _, state, *_ in stored(url)} == {"ok"}


def test_a_run_by_hand_is_on_record_and_moves_nothing(begin, url):
    scheduler = begin(NOON, lambda each: each.add_interval_task(noop, HOUR, taskname="it", initialdelay=HOUR))
    scheduler.tick(10)
    scheduler.run_now("it")
    scheduler.tick(HOUR)
    scheduler.stop()
    assert stored(url) == [(10, 1, "ok", 1, "by hand"), (HOUR, 1, "ok", 1, None)]


def test_tasks_without_a_name_are_known_by_their_action_in_order(begin, url):
    def schedule(scheduler):
        scheduler.add_interval_task(noop, HOUR)
        scheduler.add_interval_task(noop, 2 * HOUR)

    begin(NOON, schedule).tick(1)
    second = begin(NOON + 4.5 * HOUR, schedule)
    second.tick(HOUR)
    assert states(second, "helpers.noop") == [(0, 1, "ok"), (HOUR, 4, "ok"), (5 * HOUR, 1, "ok")]
    assert states(second, "helpers.noop#2") == [(0, 1, "ok"), (2 * HOUR, 2, "ok")]


def test_single_tasks_without_a_name_are_new_each_time(begin, url):
    for start in (NOON, NOON + DAY):
        scheduler = begin(start, lambda each: each.add_single_task(noop, at=NOON + 10))
        scheduler.tick(20)
    assert len(scheduler.runs()) == 2


def test_a_name_that_is_not_text_for_every_database_keeps_its_history(begin):
    name = "rå\N{SNOWMAN} 'quoted' \"too\"; DROP TABLE tg_run"
    begin(NOON, lambda each: each.add_interval_task(noop, 60, taskname=name)).tick(70)
    second = begin(NOON + 100, lambda each: each.add_interval_task(noop, 60, taskname=name))
    second.tick(30)
    assert states(second, name) == [(0, 1, "ok"), (60, 1, "ok"), (120, 1, "ok")]


def test_why_and_explain_tell_of_what_ran_before_the_restart(begin):
    def schedule(scheduler):
        scheduler.add_interval_task(noop, 60, taskname="it")

    begin(NOON, schedule).tick(70)
    second = begin(NOON + 1000, schedule)
    assert "ran" in second.why("it", NOON + 60)
    assert "every minute" in second.explain("it")


@pytest.mark.realtime
@pytest.mark.parametrize("processmethod", ["sequential", "threaded"])
def test_the_run_that_stops_its_scheduler_is_on_record_and_it_starts_again(url, processmethod):
    scheduler = ThreadedScheduler(store=stores.open(url))

    def stop():
        scheduler.stop()

    scheduler.add_single_task(stop, taskname="stop", processmethod=processmethod)
    scheduler.start()
    wait_for(lambda: not scheduler.running and scheduler._lifecycle.loop is None)
    wait_for(lambda: scheduler.counts()["ok"] == 1)
    scheduler.add_single_task(noop, taskname="it")
    scheduler.start()
    wait_for(lambda: scheduler.counts()["ok"] == 2)
    scheduler.stop()
    assert {(task, state) for task, state in [(run.task, run.state) for run in stores.open(url).runs()]} == {
        ("stop", "ok"), ("it", "ok")
    }  # fmt: skip


@pytest.mark.realtime
def test_a_run_that_waits_for_its_claim_can_be_cancelled_and_a_stop_does_not_wait_for_the_store(url, tmp_path):
    store = stores.open(url, timeout=0.2)
    scheduler = ThreadedScheduler(store=store, store_timeout=0.2, on_store_down="pause")
    scheduler.add_interval_task(noop, 0.05, taskname="it")
    scheduler.start()
    holder = sqlite3.connect(tmp_path / "scheduler.db", isolation_level=None)
    try:
        wait_for(lambda: scheduler.counts()["ok"] >= 1)
        holder.execute("BEGIN EXCLUSIVE")
        [waiting] = wait_for(lambda: scheduler.runs(state="waiting"))
        assert scheduler.cancel_run(waiting)
        assert (waiting.state, waiting.reason) == ("cancelled", "cancelled by hand")
    finally:
        holder.close()
        scheduler.stop()
    cancelled = stores.open(url).runs(state="cancelled")
    assert "cancelled by hand" in [run.reason for run in cancelled]
    assert math.isclose(cancelled[-1].due, waiting.due)


def test_a_catch_up_of_many_runs_makes_small_claims_and_drops_nothing(begin, url):
    def schedule(scheduler):
        for number in range(8):
            scheduler.add_cron_task(noop, "* * * * *", taskname=f"task {number}", misfire="run_all", misfire_cap=1500)

    begin(NOON, schedule).tick(61)
    store = stores.open(url, days=None)
    sizes, claim = [], store.claim

    def note(claims):
        sizes.append([len(each.opened) + len(each.closed) for each in claims])
        claim(claims)

    store.claim = note
    second = begin(NOON + DAY, schedule, store=store)
    second.tick(1)
    assert max(map(max, sizes)) <= 512
    assert max(map(sum, sizes)) <= 2048 + 1440
    assert sum(map(sum, sizes)) == 8 * 1439
    assert second.health()["dropped"] == 0
    assert sum(second.counts().values()) == 8 * 1440


# -- clocks that were wrong --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("delay", [0, 600])
@pytest.mark.parametrize("ahead", [60 * DAY, 2 * HOUR])
def test_an_interval_that_was_added_by_a_clock_ahead_begins_again_at_the_next_start(begin, caplog, ahead, delay):
    def schedule(scheduler):
        scheduler.add_interval_task(noop, HOUR, taskname="it", initialdelay=delay)

    begin(NOON + ahead, schedule).tick(1000)
    second = begin(NOON, schedule)
    second.tick(HOUR)
    assert "it: " in caplog.text
    assert "a clock was wrong" in caplog.text
    third = begin(NOON + HOUR + 700, schedule)
    third.tick(HOUR)
    assert [due for due, _, _ in states(third) if due < ahead][:2] == [delay, delay + HOUR]


def test_a_delay_that_is_not_over_is_no_wrong_clock(begin, caplog):
    def schedule(scheduler):
        scheduler.add_interval_task(noop, HOUR, taskname="it", initialdelay=5 * HOUR)
        scheduler.add_interval_task(noop, HOUR, taskname="other", start=NOON + 5 * HOUR)

    begin(NOON, schedule).tick(10)
    second = begin(NOON + 2 * HOUR, schedule)
    second.tick(4 * HOUR)
    assert states(second) == states(second, "other") == [(5 * HOUR, 1, "ok"), (6 * HOUR, 1, "ok")]
    assert "wrong" not in caplog.text


@pytest.mark.parametrize("restart", [True, False])
def test_a_task_that_never_ran_is_not_silent_when_the_clock_is_put_back_to_before_it_was_added(begin, restart):
    def schedule(scheduler):
        scheduler.add_cron_like_task(noop, "30 * * * *", taskname="it")

    scheduler = begin(NOON, schedule)
    scheduler.tick(60)
    if restart:
        scheduler = begin(NOON - 2 * HOUR, schedule)
    else:
        scheduler.clock.step_by(-2 * HOUR)
    scheduler.tick(HOUR)
    assert states(scheduler) == [(-1.5 * HOUR, 1, "ok")]


def test_a_task_that_ran_before_the_clock_was_put_back_says_until_when_it_does_not_run(begin, caplog):
    def schedule(scheduler):
        scheduler.add_cron_like_task(noop, "30 * * * *", taskname="it")

    begin(NOON, schedule).tick(HOUR)
    second = begin(NOON, schedule)
    second.tick(3 * HOUR)
    assert states(second) == [(0.5 * HOUR, 1, "ok"), (1.5 * HOUR, 1, "ok"), (2.5 * HOUR, 1, "ok")]
    assert "it: it is on record as run until " in caplog.text


# -- attempts ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("processmethod", ["threaded", "sequential"])
def test_each_attempt_is_on_record_before_it_starts(begin, url, processmethod):
    seen = []

    def look():
        reader = stores.open(url)
        seen.append([run.attempt for run in reader.runs(state="running")])
        reader.close(1)
        raise OSError

    scheduler = begin(
        NOON,
        lambda each: each.add_single_task(
            look, taskname="it", retry=Retry(2, 1.0, jitter=0), processmethod=processmethod
        ),
    )
    scheduler.tick(10)
    assert seen == [[1], [2], [3]]
    scheduler.stop()
    assert stored(url)[-1][2:4] == ("failed", 3)
