"""Each sentence of the guide that promises something, one after another."""

import inspect
import json
import logging
import os
import sched
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime

import pytest
from helpers import running, wait_for
from snippets import EVERY_TEN_SECONDS, SEQUENTIAL, USAGE_JOBS

import tgscheduler
from tgscheduler import scheduler
from tgscheduler.scheduler import (
    ForkedIntervalTask,
    ForkedMonthdayTask,
    ForkedScheduler,
    ForkedWeekdayTask,
    IntervalTask,
    MonthdayTask,
    Scheduler,
    Task,
    ThreadedIntervalTask,
    ThreadedMonthdayTask,
    ThreadedScheduler,
    ThreadedWeekdayTask,
    WeekdayTask,
    method,
)
from tgscheduler.testing import TickedScheduler

HOUR, DAY = 3600, 86400
MONDAY = datetime(2025, 9, 1, tzinfo=UTC)

TABLE = [
    (IntervalTask, ThreadedIntervalTask, ForkedIntervalTask),
    (WeekdayTask, ThreadedWeekdayTask, ForkedWeekdayTask),
    (MonthdayTask, ThreadedMonthdayTask, ForkedMonthdayTask),
]


@pytest.fixture
def ticked(monkeypatch):
    """A scheduler on virtual time, from a Monday's midnight on, that the module's functions use."""
    made = TickedScheduler(MONDAY)
    monkeypatch.setattr(scheduler, "_default", made)
    return made


def dues(made, task=None):
    """Return when runs were due, in hours since Monday, oldest first."""
    return [(run.due - MONDAY.timestamp()) / HOUR for run in reversed(made.runs(task, limit=1000))]


def make(kind, action, name=None):
    when = {"Interval": (HOUR,), "Weekday": (range(1, 8), (0, 0)), "Monthday": (range(1, 32), (0, 0))}
    kinds = kind.__name__.removeprefix("Threaded").removeprefix("Forked").removesuffix("Task")
    return kind(name, *when[kinds], action)


def nothing():
    pass


# -- Scheduling tasks ----------------------------------------------------------------------------------------------


def test_one_time_or_recurring(ticked):
    scheduler.add_single_task(nothing, initialdelay=HOUR, taskname="one time")
    scheduler.add_interval_task(nothing, 2 * HOUR, taskname="recurring")
    ticked.tick(5 * HOUR)
    assert dues(ticked, "one time") == [1]
    assert dues(ticked, "recurring") == [0, 2, 4]


def test_the_standard_sched_module_does_the_scheduling(ticked, monkeypatch):
    due, waiting = [], []
    run = sched.scheduler.run

    def watched(self, blocking=True):
        due.extend(event.time for event in self.queue)
        following = run(self, blocking)
        waiting.extend(event.time for event in self.queue)
        return following

    monkeypatch.setattr(sched.scheduler, "run", watched)
    scheduler.add_interval_task(nothing, HOUR)
    ticked.tick(2 * HOUR)
    assert [moment - MONDAY.timestamp() for moment in due] == [0, HOUR, 2 * HOUR], "each waits in its queue"
    assert waiting == [], "and is taken out by its run"


def test_repeated_at_intervals_or_on_specific_days(ticked):
    scheduler.add_interval_task(nothing, DAY / 2, initialdelay=DAY, taskname="interval")
    scheduler.add_weekday_task(nothing, [3, 7], (6, 30), taskname="weekdays")
    scheduler.add_monthday_task(nothing, (2, 31), (0, 0), taskname="monthdays")
    ticked.tick(62 * DAY)
    assert dues(ticked, "interval")[:3] == [24, 36, 48]
    assert dues(ticked, "weekdays")[:3] == [2 * 24 + 6.5, 6 * 24 + 6.5, 9 * 24 + 6.5]
    assert dues(ticked, "monthdays") == [24, 31 * 24, 60 * 24, 62 * 24]  # September has no 31st


@pytest.mark.parametrize("kind", [Scheduler, ThreadedScheduler])
def test_exceptions_do_not_kill_the_scheduler(kind, caplog):
    bad, good = [], []

    def fail(error, text):
        bad.append(error)
        raise error(text)

    with running(kind()) as made:
        for error in (ValueError, SystemExit, KeyboardInterrupt):
            for processmethod in (method.sequential, method.threaded):
                made.add_interval_task(fail, 0.01, (error, processmethod), processmethod=processmethod)
        wait_for(lambda: all(bad.count(error) >= 5 for error in (ValueError, SystemExit, KeyboardInterrupt)))
        made.add_interval_task(good.append, 0.01, (1,))
        wait_for(lambda: len(good) >= 3)
        assert made.running
        assert made.health()["state"] == "ok"
    assert made.counts()["failed"] >= 15
    for error in ("ValueError", "SystemExit", "KeyboardInterrupt"):
        assert f"{error}: sequential" in caplog.text
        assert f"{error}: threaded" in caplog.text


def test_the_scheduler_runs_in_its_own_thread_or_process(tmp_path):
    def note(name):
        with (tmp_path / name).open("a") as file:
            print(os.getpid(), threading.get_ident(), file=file)

    for kind in (ThreadedScheduler, ForkedScheduler):
        made = kind()
        made.schedule_task(IntervalTask(None, HOUR, note, [kind.__name__]), 0)
        with running(made):
            path = tmp_path / kind.__name__
            pid, thread = wait_for(lambda path=path: path.exists() and path.read_text().split())
        assert (int(pid) == os.getpid()) is (kind is ThreadedScheduler)
        assert kind is ForkedScheduler or int(thread) != threading.get_ident()


def test_a_task_runs_in_its_own_thread_or_process(tmp_path):
    def note(name):
        with (tmp_path / name).open("a") as file:
            print(os.getpid(), threading.get_ident(), file=file)

    with running(ThreadedScheduler()) as made:
        for name in (method.sequential, method.threaded, method.forked):
            made.add_single_task(note, [name], processmethod=name)
        wait_for(lambda: made.counts()["ok"] == 3)
    ran = {path.name: path.read_text().split() for path in tmp_path.iterdir()}
    assert ran["sequential"][0] == ran["threaded"][0] == str(os.getpid())
    assert ran["sequential"][1] != ran["threaded"][1]
    assert ran["forked"][0] != str(os.getpid())


def test_the_config_variable_is_off_until_it_is_set():
    assert tgscheduler.config.get("tg.scheduler") is False
    tgscheduler.config.update({"tg.scheduler": True})
    assert tgscheduler.config.get("tg.scheduler") is True


# -- Scheduling jobs -----------------------------------------------------------------------------------------------


def test_both_spellings_of_the_module():
    import tgscheduler.schedule
    from tgscheduler.schedule import add_weekday_task

    assert add_weekday_task is tgscheduler.scheduler.add_weekday_task
    assert tgscheduler.schedule._get_scheduler() is tgscheduler.scheduler._get_scheduler()


def test_all_functions_return_a_task_that_cancel_takes(ticked):
    tasks = [
        scheduler.add_interval_task(nothing, HOUR),
        scheduler.add_weekday_task(nothing, [1], (12, 0)),
        scheduler.add_monthday_task(nothing, [1], (12, 0)),
        scheduler.add_single_task(nothing, initialdelay=HOUR),
    ]
    assert all(isinstance(task, Task) for task in tasks)
    for task in tasks:
        tgscheduler.scheduler.cancel(task)
        tgscheduler.scheduler.cancel(task)
    ticked.tick(40 * DAY)
    assert ticked.runs() == []


def test_every_ten_seconds(ticked, capsys):
    exec(EVERY_TEN_SECONDS, {"__name__": "jobs"})
    assert ticked.get_task("do_something").name == "do_something"
    ticked.tick(60)
    assert capsys.readouterr().out == "Hello world.\n" * 7
    assert [hour * HOUR for hour in dues(ticked)] == pytest.approx([0, 10, 20, 30, 40, 50, 60])


def test_action_args_kw_and_taskname(ticked):
    got, args, kw = [], ("x", ["y"]), {"key": "value"}

    def action(*given, **named):
        got.append((given, named))

    for task in (
        scheduler.add_interval_task(action=action, args=args, kw=kw, taskname="a", interval=DAY),
        scheduler.add_weekday_task(action=action, args=args, kw=kw, taskname="b", weekdays=[1], timeonday=(1, 0)),
        scheduler.add_monthday_task(action=action, args=args, kw=kw, taskname="c", monthdays=[1], timeonday=(2, 0)),
        scheduler.add_single_task(action=action, args=args, kw=kw, taskname="d"),
    ):
        assert task.action is action
        assert (task.args, task.kw) == (args, kw)
        assert scheduler.get_task(task.name) is task
    ticked.tick(DAY - 1)
    assert got == [(args, kw)] * 4


@pytest.mark.parametrize("name", ["add_interval_task", "add_weekday_task", "add_monthday_task", "add_single_task"])
def test_each_task_runs_in_a_new_thread_by_default(name):
    assert inspect.signature(getattr(scheduler, name)).parameters["processmethod"].default == method.threaded


def test_sequential_is_one_after_another_in_the_schedulers_thread():
    now, most, threads = [], [], set()

    def action():
        now.append(1)
        most.append(len(now))
        threads.add(threading.current_thread().name)
        time.sleep(0.002)
        now.pop()

    with running(ThreadedScheduler()) as made:
        for _ in range(5):
            made.add_interval_task(action, 0.005, processmethod=method.sequential)
        wait_for(lambda: len(most) >= 25)
    assert set(most) == {1}
    assert len(threads) == 1
    assert threads != {threading.current_thread().name}


def test_sequential_snippet(ticked, capsys):
    def do_something():
        print("Hello world.")

    exec(SEQUENTIAL, {"tgscheduler": tgscheduler, "do_something": do_something})
    assert type(ticked.get_task("do_something")) is IntervalTask
    ticked.tick(130)
    assert [hour * HOUR for hour in dues(ticked)] == pytest.approx([5, 65, 125])
    assert capsys.readouterr().out == "Hello world.\n" * 3


def test_forked_is_a_new_process_that_takes_nothing_with_it(caplog):
    caplog.set_level(logging.INFO)
    here = []

    def action():
        here.append(1)
        logging.getLogger("yourpkg").info("from %d", os.getpid())

    with running(ThreadedScheduler()) as made:
        made.add_interval_task(action, 0.05, processmethod=method.forked)
        wait_for(lambda: made.counts()["ok"] >= 3)
    assert here == []
    pids = {record.getMessage() for record in caplog.records if record.name == "yourpkg"}
    assert len(pids) >= 3
    assert f"from {os.getpid()}" not in pids


def test_nothing_is_added_to_a_forked_scheduler_after_its_start():
    made = ForkedScheduler()
    kept = made.add_interval_task(nothing, HOUR, taskname="kept")
    with running(made):
        for add in (
            lambda: made.add_interval_task(nothing, HOUR),
            lambda: made.schedule_task(IntervalTask(None, HOUR, nothing), 0),
            lambda: made.schedule_task_abs(IntervalTask(None, HOUR, nothing), time.time()),
            lambda: made.cancel(kept),
        ):
            with pytest.raises(RuntimeError, match=r"add tasks before start\(\), or use a ThreadedScheduler"):
                add()
        assert made.running
    assert not made.running


def test_initialdelay_600_and_interval_60(ticked):
    scheduler.add_interval_task(action=nothing, initialdelay=600, interval=60)
    ticked.tick(780)
    assert [round(hour * 60, 6) for hour in dues(ticked)] == [10, 11, 12, 13]


@pytest.mark.parametrize("day", range(1, 8))
def test_weekday_1_is_monday(ticked, day):
    scheduler.add_weekday_task(nothing, (day,), (9, 45))
    ticked.tick(7 * DAY)
    assert dues(ticked) == [(day - 1) * 24 + 9.75]


@pytest.mark.parametrize("day", [1, 17, 31])
def test_monthdays_are_days_of_the_month(ticked, day):
    scheduler.add_monthday_task(nothing, [day], (23, 59))
    ticked.tick(365 * DAY)
    moments = [datetime.fromtimestamp(run.due, UTC) for run in ticked.runs()]
    assert {(moment.day, moment.hour, moment.minute) for moment in moments} == {(day, 23, 59)}
    assert len(moments) == (7 if day == 31 else 12)


def test_usage_example(ticked):
    module = {"__name__": "jobs"}
    exec(USAGE_JOBS, module)
    module["schedule"]()
    ticked.tick(7 * DAY)
    assert dues(ticked, "jobs.generate_product_ranking") == [24 * day for day in range(1, 8)]
    assert ticked.counts()["ok"] == 7 + 7 * DAY // 120 + 1


# -- Using task objects directly -----------------------------------------------------------------------------------


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row[0].__name__)
def test_the_table_of_task_classes(row):
    plain, threaded, forked = row
    assert issubclass(threaded, plain)
    assert issubclass(forked, plain)
    assert [kind.method for kind in row] == [method.sequential, method.threaded, method.forked]
    for kind in row:
        done = []
        make(kind, lambda done=done: done.append(threading.get_ident())).execute()
        assert done == [threading.get_ident()]


@pytest.mark.parametrize("kind", [kind for row in TABLE for kind in row], ids=lambda kind: kind.__name__)
def test_reschedule(ticked, kind):
    ticked.clock.advance(HOUR)
    task = make(kind, nothing)
    if issubclass(kind, MonthdayTask):
        with pytest.raises(NotImplementedError):
            task.reschedule(ticked)
        return
    ticked.schedule_task(task, 0)
    task.reschedule(ticked)
    due = (task.next_due - MONDAY.timestamp()) / HOUR
    assert due == (2 if issubclass(kind, IntervalTask) else 24)


@pytest.mark.parametrize("kind", [Scheduler, ThreadedScheduler, ForkedScheduler])
def test_schedule_task_and_schedule_task_abs(kind, tmp_path):
    def note(name):
        (tmp_path / name).write_text(repr(time.time()))

    made = kind()
    start = time.time()
    made.schedule_task(make(IntervalTask, lambda: note("delay")), 0.05)
    made.schedule_task_abs(make(WeekdayTask, lambda: note("abs")), start + 0.1)
    with running(made):
        wait_for(lambda: len(list(tmp_path.glob("*"))) == 2 and all(path.stat().st_size for path in tmp_path.iterdir()))
    when = {path.name: json.loads(path.read_text()) - start for path in tmp_path.iterdir()}
    assert when["delay"] >= 0.05
    assert when["abs"] >= 0.1


def test_get_the_scheduler_or_make_your_own():
    assert isinstance(tgscheduler.schedule._get_scheduler(), Scheduler)
    assert tgscheduler.schedule._get_scheduler() is tgscheduler.schedule._get_scheduler()
    assert not tgscheduler.schedule._get_scheduler().running
    own = ThreadedScheduler()
    own.add_single_task(nothing, taskname="mine")
    assert scheduler.get_task("mine") is None


# -- Usage example -------------------------------------------------------------------------------------------------

TWICE = """\
import time

import cherrypy

import tgscheduler.host
from tgscheduler import scheduler, startup

ran = []

def schedule():
    scheduler.add_interval_task(ran.append, 3600, ["x"], taskname="job")

startup.call_on_startup.append(schedule)
cherrypy.config.update({"tg.scheduler": True, "engine.autoreload.on": False})
cherrypy.server.unsubscribe()
for _ in range(3):
    before = len(ran)
    cherrypy.engine.start()
    while len(ran) == before:
        time.sleep(0.001)
    assert list(scheduler.get_tasks()) == ["job"]
    cherrypy.engine.stop()
    assert scheduler.get_tasks() == {}
assert len(ran) == 3
cherrypy.engine.exit()
print("three times")
"""


def test_jobs_are_scheduled_anew_at_each_start(tmp_path):
    (tmp_path / "twice.py").write_text(TWICE)
    path = os.path.dirname(os.path.dirname(tgscheduler.__file__))
    done = subprocess.run(
        [sys.executable, "twice.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "three times\n"), done.stderr
