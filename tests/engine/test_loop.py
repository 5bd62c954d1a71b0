"""The loop, on a clock that is moved by hand (and once on the real one, for what a sleeping loop hears)."""

import threading
import time

import pytest
from helpers import DAY, HOUR, NOON, dues, entry_of, noop, total, wait_for

from tgscheduler.engine import loop as loops
from tgscheduler.scheduler import (
    ForkedIntervalTask,
    IntervalTask,
    MonthdayTask,
    Task,
    ThreadedIntervalTask,
    ThreadedScheduler,
    WeekdayTask,
    method,
)
from tgscheduler.testing import TickedScheduler

# -- fire times ----------------------------------------------------------------------------------------------------


def test_an_interval_starts_on_its_grid_whatever_the_action_takes(ticked):
    starts = []

    def action():
        starts.append(ticked.clock.now() - NOON)
        ticked.clock.advance(0.3)

    ticked.add_interval_task(action, 1)
    ticked.tick(5)
    assert starts == [0, 1, 2, 3, 4, 5]


def test_initialdelay_counts_from_the_start_for_what_was_added_before_it():
    scheduler = TickedScheduler(start=NOON)
    scheduler.stop()
    task = scheduler.add_interval_task(noop, 60, initialdelay=600)
    scheduler.tick(1000)
    assert (task.next_due, total(scheduler.counts())) == (None, 0)
    scheduler.start()
    scheduler.tick(720)
    assert dues(scheduler) == [1600, 1660, 1720]


def test_a_million_steps_of_a_tenth_do_not_drift(ticked):
    task = ticked.add_interval_task(noop, 0.1, initialdelay=0.1)
    ticked.tick(1)
    ticked.clock.advance(100_000)
    ticked.tick()
    assert task.next_due == pytest.approx(NOON + 0.1 + round((ticked.clock.now() - NOON) / 0.1) * 0.1, abs=1e-6)


def test_equal_times_fire_in_the_order_of_their_insertion(ticked):
    order = []
    for number in range(1000):
        ticked.add_single_task(order.append, args=(number,), initialdelay=5)
    ticked.tick(5)
    assert order == list(range(1000))


def test_an_interval_that_is_changed_counts_from_the_next_run(ticked):
    task = ticked.add_interval_task(noop, 10, taskname="it")
    ticked.tick(15)
    task.interval = 3
    ticked.tick(15)
    assert dues(ticked) == [0, 10, 20, 23, 26, 29]
    with pytest.raises(ValueError, match="more than 0"):
        task.interval = 0


# -- late and overlapping ------------------------------------------------------------------------------------------


def test_what_was_missed_runs_as_one_run_that_says_how_many(ticked):
    ticked.add_interval_task(noop, 10, taskname="it")
    ticked.tick(5)
    ticked.clock.advance(60)
    ticked.tick(10)
    found = [(run.due - NOON, run.count, run.until - NOON, run.late) for run in reversed(ticked.runs("it"))]
    assert found == [(0, 1, 0, 0), (10, 6, 60, 55), (70, 1, 70, 0)]
    assert total(ticked.counts()) == 8


def test_missed_calendar_days_are_counted_one_by_one(ticked):
    ticked.add_weekday_task(noop, range(1, 8), (13, 0), taskname="it")
    ticked.clock.advance(7 * DAY)
    ticked.tick()
    [run] = ticked.runs("it")
    assert (run.state, run.due - NOON, run.count, run.until - NOON) == ("ok", HOUR, 7, 6 * DAY + HOUR)


@pytest.mark.realtime
def test_a_task_that_still_runs_is_not_started_again_and_the_reason_names_its_run():
    release = threading.Event()
    scheduler = ThreadedScheduler()
    scheduler.add_interval_task(release.wait, 0.05, taskname="it")
    scheduler.start()
    wait_for(lambda: scheduler.counts()["skipped"] >= 3)
    release.set()
    wait_for(lambda: scheduler.counts()["ok"] >= 2)
    scheduler.stop()
    first = scheduler.runs("it", state="ok")[-1]
    skipped = scheduler.runs("it", state="skipped")[-1]
    assert skipped.reason == f"overlap: the run due {first.due:.3f} has not ended"


# -- adding while it sleeps, from anywhere -------------------------------------------------------------------------


@pytest.mark.realtime
def test_a_task_added_while_the_loop_sleeps_fires_at_its_own_time():
    scheduler = ThreadedScheduler()
    scheduler.add_interval_task(noop, DAY, initialdelay=DAY)
    scheduler.start()
    time.sleep(0.1)
    lateness = []
    for _ in range(10):
        asked = time.time()
        done = threading.Event()
        scheduler.add_single_task(lambda done=done, asked=asked: (lateness.append(time.time() - asked), done.set()))
        assert done.wait(5)
    scheduler.stop()
    assert sorted(lateness)[5] < 0.1


@pytest.mark.parametrize("processmethod", [method.sequential, method.threaded])
def test_an_action_may_add_tasks(processmethod):
    scheduler, done = ThreadedScheduler(), threading.Event()
    scheduler.add_single_task(lambda: scheduler.add_single_task(done.set), processmethod=processmethod)
    scheduler.start()
    assert done.wait(5)
    scheduler.stop()


# -- calendar tasks, and times put by hand -------------------------------------------------------------------------


def test_a_weekday_task_wakes_on_its_days_only(ticked):
    ticked.add_weekday_task(noop, [1, 3], (12, 30), taskname="it")
    assert ticked.get_task("it").next_due == NOON + DAY + HOUR / 2
    ticked.tick(8 * DAY)
    assert dues(ticked) == [DAY + 1800, 3 * DAY + 1800, 8 * DAY + 1800][:2]


def test_a_time_by_hand_on_a_wrong_day_runs_nothing_and_goes_on_to_the_right_one(ticked):
    task = WeekdayTask("it", [3], (12, 30), noop)
    ticked.schedule_task(task, 60)  # today is a Sunday
    ticked.tick(61)
    assert (total(ticked.counts()), task.next_due) == (0, NOON + 3 * DAY + 1800)


def test_a_time_by_hand_on_a_right_day_runs(ticked):
    task = MonthdayTask("it", [1], (18, 0), noop)
    ticked.schedule_task_abs(task, NOON + 60)
    ticked.tick(61)
    assert (dues(ticked), task.next_due) == ([60], NOON + 6 * HOUR)


def test_the_seeds_reschedule_of_a_weekday_task_is_tomorrow(ticked):
    task = WeekdayTask("it", [3], (12, 30), noop)
    ticked.schedule_task(task, 0)
    task.reschedule(ticked)
    assert task.next_due == NOON + DAY + 1800
    ticked.tick(2 * DAY)
    assert total(ticked.counts()) == 0
    ticked.tick(2 * DAY)
    assert dues(ticked) == [3 * DAY + 1800]


# -- classes of the user's own -------------------------------------------------------------------------------------


def own_class(base, executed, delays):
    class Own(base):
        def execute(self):
            executed.append(self.name)

        def reschedule(self, scheduler):
            scheduler.schedule_task(self, delays.pop(0))

    return Own


@pytest.mark.parametrize("base", [Task, IntervalTask, ThreadedIntervalTask])
def test_a_class_that_overrides_execute_and_reschedule_is_scheduled_by_them(base, ticked):
    executed, delays = [], [10, 5, 100]
    own = own_class(base, executed, delays)
    task = own("it", noop) if base is Task else own("it", 3600, noop)
    ticked.schedule_task(task, 1)
    ticked.tick(20)
    assert (executed, dues(ticked)) == (["it"] * 3, [1, 11, 16])
    assert ticked.get_task("it") is task


def test_a_class_of_the_users_own_under_real_threads_and_processes():
    executed, scheduler = [], ThreadedScheduler()
    own = own_class(ThreadedIntervalTask, executed, [0.01] * 3 + [3600])
    scheduler.schedule_task(own("it", 3600, noop), 0)
    forked = own_class(ForkedIntervalTask, executed, [0.01] * 3 + [3600])
    scheduler.schedule_task(forked("forked", 3600, noop), 0)
    scheduler.start()
    wait_for(lambda: total(scheduler.counts()) == 8)  # one that falls into a slow fork is skipped, and counted
    scheduler.stop()
    assert "it" in executed
    assert "forked" not in executed


def test_a_reschedule_that_raises_ends_the_task_with_its_reason(ticked, caplog):
    class Own(IntervalTask):
        def reschedule(self, scheduler):
            raise ValueError("no more")

    ticked.schedule_task(Own("it", 10, noop), 0)
    ticked.add_interval_task(noop, 10, taskname="other")
    ticked.tick(30)
    assert ticked.get_task("it") is None
    [run] = ticked.runs("it")
    assert (run.state, run.reason) == ("ok", "its reschedule raised ValueError: no more; the task ends")
    assert len([record for record in caplog.records if "its reschedule raised" in record.getMessage()]) == 1
    assert len(ticked.runs("other")) == 4


def test_a_class_that_overrides_execute_alone_runs_once(ticked):
    executed = []

    class Own(Task):
        def execute(self):
            executed.append(1)

    ticked.schedule_task(Own("it", noop), 1)
    ticked.tick(10)
    assert (executed, ticked.get_tasks()) == ([1], {})


def test_handle_exception_may_be_overridden(ticked, caplog):
    handled = []

    class Own(IntervalTask):
        def handle_exception(self):
            handled.append(self.name)

    ticked.schedule_task(Own("it", 10, lambda: 1 / 0), 0)
    ticked.tick(1)
    assert (handled, ticked.counts()["failed"]) == (["it"], 1)
    assert not caplog.records


def test_a_trigger_that_raises_disables_its_task_and_no_other(ticked, caplog):
    task = ticked.add_weekday_task(noop, [1], (12, 0), taskname="it")
    ticked.add_interval_task(noop, DAY, taskname="other")

    class Broken:
        def next_after(self, moment):
            raise ZeroDivisionError("broken")

    entry_of(task).trigger = Broken()
    ticked.tick(3 * DAY)
    assert ticked.get_task("it") is None
    [run] = ticked.runs("it")
    assert (run.state, run.reason) == ("skipped", "its trigger raised ZeroDivisionError: broken")
    assert len(ticked.runs("other")) == 4


# -- the loop itself -----------------------------------------------------------------------------------------------


@pytest.mark.realtime
def test_one_fault_of_the_loop_is_survived_and_two_are_shouted_about(monkeypatch, caplog):
    scheduler = ThreadedScheduler()
    scheduler.add_interval_task(noop, 0.02)
    real, left = loops.Loop.turn, [1]

    def turn(self):
        if left and left.pop():
            raise MemoryError("injected")
        return real(self)

    monkeypatch.setattr(loops.Loop, "turn", turn)
    scheduler.start()
    wait_for(lambda: scheduler.counts()["ok"] > 3)
    assert scheduler.running
    left.append(1)
    wait_for(lambda: not scheduler.running)
    health = scheduler.health()
    assert (health["state"], "gave up: MemoryError" in health["reasons"][0]) == ("failed", True)
    assert len([record for record in caplog.records if record.levelname == "CRITICAL"]) == 2
    scheduler.stop()
    scheduler.start()  # a fresh start is a fresh loop
    wait_for(lambda: scheduler.health()["state"] == "ok")
    scheduler.stop()


@pytest.mark.realtime
def test_a_thousand_rings_start_nothing_early():
    scheduler = ThreadedScheduler()
    scheduler.add_interval_task(noop, 0.1, initialdelay=0.1)
    scheduler.start()
    wait_for(lambda: scheduler._planner.started)
    for _ in range(1000):
        scheduler._lifecycle.loop.bell.put(None)
    wait_for(lambda: scheduler.counts()["ok"] == 2)
    scheduler.stop()
    assert all(run.late >= 0 for run in scheduler.runs())


def test_health_tells_state_figures_and_the_next_fire(ticked):
    ticked.add_interval_task(noop, 60, initialdelay=60)
    assert ticked.health() == {
        "state": "ok",
        "reasons": [],
        "lag": 0.0,
        "waiting": 0,
        "running": 0,
        "threads": 0,
        "children": 0,
        "abandoned": 0,
        "tasks": 1,
        "next_due": NOON + 60,
        "buffered": 0,
        "dropped": 0,
    }
    ticked.clock.advance(90)
    assert ticked.health()["reasons"] == ["the loop is 30.0 s behind"]
    ticked.stop()
    assert ticked.health()["state"] == "stopped"


def test_settings_that_come_after_the_tasks_hold_at_the_start():
    scheduler = TickedScheduler(start=NOON, timezone="UTC")
    scheduler.stop()
    task = scheduler.add_weekday_task(noop, range(1, 8), (15, 0))
    scheduler.configure(timezone="Asia/Tokyo", history=3)
    scheduler.start()
    assert task.next_due == NOON + DAY - 6 * HOUR
    scheduler.add_interval_task(noop, 1)
    scheduler.tick(10)
    assert len(scheduler.runs()) == 3


@pytest.mark.parametrize(
    ("setting", "error"),
    [
        ({"timezone": "Berlin"}, "did you mean 'Europe/Berlin'"),
        ({"threads": 0}, "threads: expected 1 or more"),
        ({"threads": True}, "threads: expected a whole number"),
        ({"children": 0}, "children: expected 1 or more"),
        ({"history": "many"}, "history: expected a whole number"),
        ({"stop_timeout": -1}, "stop_timeout: expected 0 seconds or more"),
    ],
)
def test_a_setting_that_cannot_be_is_an_error_at_the_constructor(setting, error):
    with pytest.raises((ValueError, TypeError), match=error):
        ThreadedScheduler(**setting)


@pytest.mark.realtime
def test_health_does_not_name_the_time_of_a_cancelled_task(ticked):
    early = ticked.add_single_task(noop, initialdelay=5)
    ticked.add_single_task(noop, initialdelay=10)
    ticked.cancel(early)
    assert ticked.health()["next_due"] == NOON + 10
