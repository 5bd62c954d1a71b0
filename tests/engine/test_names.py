"""Names, look-ups, cancel and rename, in every state of a task."""

import threading

import pytest
from helpers import noop, wait_for

from tgscheduler.errors import DuplicateTask
from tgscheduler.scheduler import SingleTask, ThreadedScheduler, method
from tgscheduler.testing import TickedScheduler


@pytest.fixture
def ticked():
    """Its clock begins at 0, so that due times are delays."""
    return TickedScheduler()


@pytest.fixture
def threaded():
    scheduler = ThreadedScheduler()
    scheduler.start()
    yield scheduler
    scheduler.stop()


def test_every_adding_verb_returns_the_task_under_its_name(ticked):
    tasks = [
        ticked.add_interval_task(noop, 60, taskname="interval"),
        ticked.add_single_task(noop, initialdelay=1, taskname="single"),
        ticked.add_weekday_task(noop, [1], (0, 0), taskname="weekday"),
        ticked.add_weekly_task(noop, [1], (0, 0), taskname="weekly"),
        ticked.add_monthday_task(noop, [1], (0, 0), taskname="monthday"),
        ticked.add_monthly_task(noop, [1], (0, 0), taskname="monthly"),
        ticked.add_cron_like_task(noop, "* * * * *", taskname="cron-like"),
        ticked.add_daytime_task(noop, "daytime", [1], None, (0, 0), method.threaded, None, None),
    ]

    assert ticked.get_tasks() == {task.name: task for task in tasks}
    assert all(task.action is noop for task in tasks)
    assert tasks[0].interval == 60


def test_get_tasks_is_a_new_dict(ticked):
    ticked.add_interval_task(noop, 60, taskname="it")
    ticked.get_tasks().clear()
    assert list(ticked.get_tasks()) == ["it"]


def test_a_name_that_waits_is_taken_and_nothing_is_registered(ticked):
    task = ticked.add_interval_task(noop, 60, taskname="it")
    with pytest.raises(DuplicateTask, match="'it'"):
        ticked.add_single_task(noop, taskname="it")
    with pytest.raises(ValueError, match="already waits or runs"):
        ticked.schedule_task(SingleTask("it", noop), 5)
    assert ticked.get_task("it") is task
    assert ticked.health()["tasks"] == 1


def test_a_single_task_gives_its_name_back_when_it_has_ended(ticked):
    for _ in range(3):
        ticked.add_single_task(noop, taskname="it")
        assert "it" in ticked.get_tasks()
        ticked.tick(1)
        assert ticked.get_task("it") is None
        assert ticked.get_tasks() == {}


def test_an_ended_single_task_is_gone_before_the_loop_has_noticed(threaded):
    seen = []

    def ended_then_look():
        wait_for(lambda: threaded.counts()["ok"] >= 1)
        seen.append((threaded.get_task("it"), threaded.get_tasks()))
        threaded.add_single_task(noop, taskname="it", initialdelay=3600)

    threaded.add_single_task(noop, taskname="it")
    threaded.add_single_task(ended_then_look, initialdelay=0.01)
    wait_for(lambda: threaded.counts()["ok"] == 2)
    assert seen == [(None, {})]


def test_a_running_single_task_keeps_its_name(threaded):
    release = threading.Event()
    threaded.add_single_task(release.wait, taskname="it")
    wait_for(lambda: threaded.counts()["running"])
    with pytest.raises(DuplicateTask):
        threaded.add_single_task(noop, taskname="it")
    release.set()
    wait_for(lambda: threaded.get_task("it") is None)


def test_cancel_takes_a_task_or_a_name_and_never_complains(ticked):
    task = ticked.add_interval_task(noop, 60, taskname="it", initialdelay=1)
    ticked.cancel(task)
    ticked.cancel(task)
    ticked.cancel("it")
    ticked.cancel(None)
    ticked.cancel("nobody")
    ticked.cancel(SingleTask("never added", noop))
    ticked.tick(120)

    assert (ticked.get_tasks(), sum(ticked.counts().values()), task.next_due) == ({}, 0, None)
    ticked.add_interval_task(noop, 60, taskname="it")


def test_cancel_of_something_else_says_what_is_expected(ticked):
    with pytest.raises(TypeError, match="expected a Task"):
        ticked.cancel(5)


def test_cancel_of_a_running_task_lets_the_run_end_and_frees_the_name(threaded):
    release = threading.Event()
    task = threaded.add_interval_task(release.wait, 60, taskname="it")
    wait_for(lambda: threaded.counts()["running"])
    threaded.cancel(task)
    again = threaded.add_interval_task(noop, 60, taskname="it", initialdelay=60)
    release.set()
    wait_for(lambda: threaded.counts()["ok"] == 1)

    assert threaded.get_tasks() == {"it": again}


def test_cancel_takes_back_a_run_that_waits_for_a_thread():
    release, ran = threading.Event(), []
    scheduler = ThreadedScheduler(threads=1)
    scheduler.add_single_task(release.wait)
    late = scheduler.add_single_task(ran.append, args=(1,), taskname="late")
    scheduler.start()
    wait_for(lambda: scheduler.counts()["waiting"] == 1)
    scheduler.cancel(late)
    release.set()
    wait_for(lambda: scheduler.counts()["cancelled"] == 1)
    scheduler.stop()

    assert ran == []
    assert scheduler.runs("late")[0].reason == "its task was cancelled before it began"


@pytest.mark.parametrize("processmethod", [method.sequential, method.threaded])
def test_a_task_may_cancel_itself_and_add_itself_again(threaded, processmethod):
    times = []

    def action():
        times.append(1)
        threaded.cancel("it")
        if len(times) < 5:
            threaded.add_interval_task(action, 0.01, taskname="it", processmethod=processmethod)

    threaded.add_interval_task(action, 0.01, taskname="it", processmethod=processmethod)
    wait_for(lambda: len(times) == 5 and not threaded.get_tasks())


def test_rename_moves_the_name_and_later_runs(ticked):
    task = ticked.add_interval_task(noop, 60, taskname="old")
    ticked.tick(1)
    ticked.rename_task("old", "new")
    ticked.tick(60)

    assert (task.name, ticked.get_task("old"), ticked.get_task("new")) == ("new", None, task)
    assert [run.task for run in ticked.runs()] == ["new", "old"]


def test_rename_of_no_one_does_nothing_and_onto_a_taken_name_is_an_error(ticked):
    ticked.add_interval_task(noop, 60, taskname="one")
    ticked.add_interval_task(noop, 60, taskname="two")
    ticked.rename_task("nobody", "three")
    ticked.rename_task("one", "one")
    with pytest.raises(DuplicateTask, match="'two'"):
        ticked.rename_task("one", "two")
    with pytest.raises(ValueError, match="printable"):
        ticked.rename_task("one", "on\ne")
    assert sorted(ticked.get_tasks()) == ["one", "two"]


def test_rename_in_mid_run_leaves_the_run_its_name(threaded):
    release = threading.Event()
    threaded.add_single_task(release.wait, taskname="old")
    wait_for(lambda: threaded.counts()["running"])
    threaded.rename_task("old", "new")
    assert list(threaded.get_tasks()) == ["new"]
    release.set()
    wait_for(lambda: threaded.counts()["ok"] == 1)

    assert [run.task for run in threaded.runs()] == ["old"]
    assert threaded.get_tasks() == {}


def test_rename_of_a_task_without_a_name_gives_it_one(ticked):
    task = ticked.add_interval_task(noop, 60)
    ticked.rename_task(task, "it")
    assert ticked.get_tasks() == {"it": task}


def test_unnamed_tasks_are_told_apart_and_numbers_come_back(ticked):
    first, second = ticked.add_interval_task(noop, 60), ticked.add_interval_task(noop, 60)
    ticked.tick(1)
    label = f"{noop.__module__}.noop"

    assert {run.task for run in ticked.runs()} == {label, f"{label}#2"}
    assert (first.name, ticked.get_tasks()) == (None, {})
    ticked.cancel(first)
    ticked.add_single_task(noop)
    ticked.tick(1)
    assert ticked.runs(second)[0].task == f"{label}#2"
    assert len(ticked.runs(label)) == 2


def test_ten_thousand_renames_leave_one_name(ticked):
    ticked.add_interval_task(noop, 60, taskname="0")
    for number in range(10_000):
        ticked.rename_task(str(number), str(number + 1))
    assert list(ticked.get_tasks()) == ["10000"]


def test_a_task_that_waits_elsewhere_is_refused(ticked):
    task = ticked.add_interval_task(noop, 60)
    other = TickedScheduler()
    with pytest.raises(ValueError, match="another scheduler"):
        other.schedule_task(task, 1)
    ticked.cancel(task)
    other.schedule_task(task, 1)
    other.tick(2)
    assert sum(other.counts().values()) == 1


def test_schedule_task_moves_a_task_that_waits(ticked):
    task = ticked.add_single_task(noop, initialdelay=100, taskname="it")
    ticked.schedule_task(task, 10)
    assert task.next_due == 10
    ticked.schedule_task_abs(task, 20)
    ticked.tick(200)
    assert [run.due for run in ticked.runs()] == [20]


@pytest.mark.parametrize(
    ("abstime", "message"),
    [(1_900_000_000_000, "milliseconds"), (float("nan"), "finite"), ("60", "number"), (-1, "0 seconds")],
)
def test_an_absolute_time_that_cannot_be_is_an_error_and_registers_nothing(ticked, abstime, message):
    with pytest.raises((ValueError, TypeError), match=message):
        ticked.schedule_task_abs(SingleTask("it", noop), abstime)
    assert ticked.get_tasks() == {}
