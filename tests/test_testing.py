"""What we ship for tests: a clock that is moved by hand, and a scheduler that is ticked."""

import ast
import configparser
import importlib.util
import os
import queue
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
from helpers import fixtures_plugin

from tgscheduler import config, scheduler
from tgscheduler.errors import InvalidValue
from tgscheduler.scheduler import current_run
from tgscheduler.testing import TickedScheduler, VirtualClock, installed
from tgscheduler.timetable.policy import METHODS

ROOT = Path(__file__).parent.parent


def dues(engine, task):
    return [run.due for run in engine.runs(task, limit=1000)][::-1]


# -- the clock -------------------------------------------------------------------------------------------------------


def test_the_clock_stands_still_until_it_is_moved():
    clock = VirtualClock(100.0)
    assert (clock.now(), clock.now(), clock.elapsed()) == (100.0, 100.0, 0.0)
    clock.advance(2.5)
    assert (clock.now(), clock.elapsed()) == (102.5, 2.5)
    clock.advance_to(110.0)
    assert (clock.now(), clock.elapsed()) == (110.0, 10.0)
    clock.advance_to(50.0)
    assert (clock.now(), clock.elapsed()) == (110.0, 10.0)


def test_the_clock_starts_at_a_date():
    assert VirtualClock(datetime(2025, 3, 30, tzinfo=UTC)).now() == 1743292800.0


def test_a_date_without_a_zone_is_refused():
    with pytest.raises(InvalidValue, match="a datetime with a zone"):
        VirtualClock(datetime(2025, 3, 30))


@pytest.mark.parametrize("seconds", [-1, -0.001, float("nan")])
def test_time_does_not_go_back(seconds):
    engine = TickedScheduler(start=100)
    for move in (engine.clock.advance, engine.tick):
        with pytest.raises(InvalidValue, match=r"does not go back.*step_by"):
            move(seconds)
    assert engine.clock.now() == 100


@pytest.mark.parametrize("seconds", [3600, -3600])
def test_the_wall_clock_can_be_stepped(seconds):
    clock = VirtualClock(10_000.0)
    clock.step_by(seconds)
    assert (clock.now(), clock.elapsed()) == (10_000.0 + seconds, 0.0)
    assert clock.step() == seconds
    assert clock.step() == 0.0


@pytest.mark.parametrize("seconds", [0, 1, -0.5])
def test_what_no_one_would_notice_is_no_step(seconds):
    with pytest.raises(InvalidValue, match="a step is more than"):
        VirtualClock().step_by(seconds)


def test_a_wait_does_not_sleep_and_takes_the_rings():
    clock, bell = VirtualClock(), queue.SimpleQueue()
    bell.put(None)
    clock.wait(bell, 1e9)
    clock.wait(bell, None)
    assert bell.empty()
    assert clock.now() == 0.0


# -- the scheduler ---------------------------------------------------------------------------------------------------


def test_everything_runs_at_its_own_time():
    engine, seen = TickedScheduler(start=1000), []
    engine.add_interval_task(lambda: seen.append(("a", engine.clock.now())), 10)
    engine.add_interval_task(lambda: seen.append(("b", engine.clock.now())), 15, initialdelay=5)
    engine.tick(30)
    assert seen == [("a", 1000), ("b", 1005), ("a", 1010), ("b", 1020), ("a", 1020), ("a", 1030)]
    assert engine.clock.now() == 1030


def test_a_tick_of_nothing_runs_what_is_due_now():
    engine = TickedScheduler(start=1000)
    task = engine.add_single_task(int)
    assert dues(engine, task) == []
    engine.tick()
    assert dues(engine, task) == [1000]


def test_ticks_add_up():
    whole, parts = TickedScheduler(), TickedScheduler()
    tasks = [engine.add_interval_task(int, 7, initialdelay=3) for engine in (whole, parts)]
    whole.tick(100)
    for _ in range(200):
        parts.tick(0.5)
    assert dues(whole, tasks[0]) == dues(parts, tasks[1]) == [3 + 7 * k for k in range(14)]


def test_tick_to_a_moment():
    engine = TickedScheduler(start=1000)
    task = engine.add_interval_task(int, 60)
    engine.tick_to(1120)
    assert dues(engine, task) == [1000, 1060, 1120]
    engine.tick_to(1000)  # that is over
    assert engine.clock.now() == 1120


def test_what_is_recorded_later_is_counted_at_once():
    engine = TickedScheduler()
    seen = []
    engine.add_interval_task(lambda: seen.append(engine.counts()), 60, initialdelay=60)
    engine.tick(250 * 60)
    assert [counts["ok"] for counts in seen] == list(range(250))
    assert all(counts["running"] == 1 for counts in seen)
    assert engine.counts()["ok"] == 250


def test_who_subscribes_inside_of_an_action_hears_of_what_ends_from_then_on():
    engine = TickedScheduler()
    heard = []

    def action():
        if current_run().due == 300:
            engine.subscribe(lambda event: heard.append(event.run.due), "run-finished")

    engine.add_interval_task(action, 60, initialdelay=60)
    engine.tick(420)
    assert heard == [300, 360, 420]


@pytest.mark.parametrize("processmethod", METHODS)
def test_every_action_runs_in_the_calling_thread(processmethod):
    engine, seen = TickedScheduler(), []
    here = (os.getpid(), threading.get_ident())
    engine.add_single_task(
        lambda: seen.append((os.getpid(), threading.get_ident(), current_run().task)),
        processmethod=processmethod,
        taskname="where",
    )
    engine.tick()
    assert seen == [(*here, "where")]


def test_an_action_may_let_time_go_by():
    engine = TickedScheduler()
    slow = engine.add_interval_task(lambda: engine.clock.advance(25), 10, taskname="slow")
    engine.tick(60)
    found = [(run.due, run.started, run.count) for run in engine.runs(slow)][::-1]
    assert found == [(0, 0, 1), (10, 25, 2), (30, 50, 3)]
    assert engine.clock.now() == 75  # the last one took it beyond


def test_after_an_action_that_takes_time_the_timetable_comes_before_the_next_one():
    ticked = TickedScheduler()
    ticked.add_single_task(ticked.clock.advance, (10,), taskname="long")
    ticked.add_interval_task(int, 3, taskname="quick")
    ticked.tick(10)
    runs = ticked.runs("quick")[::-1]
    assert [(run.state, run.due, run.count) for run in runs] == [("ok", 0.0, 1), ("skipped", 3.0, 3)]


def test_an_action_may_add_and_cancel():
    engine, seen = TickedScheduler(), []

    def first():
        engine.add_single_task(lambda: seen.append(engine.clock.now()), initialdelay=5, taskname="second")
        engine.cancel("first")

    engine.add_interval_task(first, 1, taskname="first")
    engine.tick(10)
    assert seen == [5.0]
    assert engine.get_tasks() == {}


def test_an_action_that_fails_fails_alone(caplog):
    engine = TickedScheduler()
    engine.add_interval_task(lambda: 1 / 0, 10, taskname="division")
    sound = engine.add_interval_task(int, 10)
    engine.tick(20)
    assert [run.state for run in engine.runs("division")] == ["failed"] * 3
    assert [run.state for run in engine.runs(sound)] == ["ok"] * 3
    assert caplog.text.count("division: the action raised ZeroDivisionError") == 3


def test_ten_thousand_tasks_at_one_moment_all_run():
    engine = TickedScheduler()
    for _ in range(10_000):
        engine.add_single_task(int, initialdelay=1)
    engine.tick(1)
    assert engine.counts()["ok"] == 10_000
    assert sum(engine.counts().values()) == 10_000


def test_stopped_it_runs_nothing_and_started_again_it_goes_on():
    engine = TickedScheduler()
    task = engine.add_interval_task(int, 10)
    engine.tick(10)
    engine.stop()
    engine.tick(100)
    assert engine.clock.now() == 110
    assert dues(engine, task) == [0, 10]
    engine.start()
    engine.tick(10)
    assert dues(engine, task) == [0, 10, 120]


def test_its_zone_is_utc_unless_said():
    assert TickedScheduler().timezone == "UTC"
    assert TickedScheduler(timezone="Europe/Berlin").timezone == "Europe/Berlin"


def test_a_step_of_the_wall_clock_keeps_an_interval_s_rhythm_and_moves_a_calendar(caplog):
    engine = TickedScheduler(start=datetime(2025, 6, 2, 8, tzinfo=UTC))
    start, seen = engine.clock.now(), []
    engine.add_interval_task(lambda: seen.append(engine.clock.elapsed()), 600)
    daily = engine.add_weekday_task(int, range(1, 8), (10, 0))
    engine.tick(900)
    engine.clock.step_by(3600)
    engine.tick(900)
    assert seen == [0, 600, 1200, 1800]
    assert "the wall clock was stepped by +3600.0 s" in caplog.text
    engine.tick_to(start + 2 * 3600)
    assert [run.started - start for run in engine.runs(daily)] == [2 * 3600]
    assert engine.clock.elapsed() == 3600


def test_a_tick_runs_all_that_waits_in_the_line_of_its_task():
    ticked = TickedScheduler()
    ticked.add_interval_task(int, 10, taskname="all", misfire="run_all", misfire_cap=4)
    ticked.tick(0)
    ticked.clock.advance(40)
    ticked.tick(0)
    assert [(run.due, run.state) for run in ticked.runs("all")] == [
        (due, "ok") for due in (40.0, 30.0, 20.0, 10.0, 0.0)
    ]


# -- the functions of the module ---------------------------------------------------------------------------------------


def test_installed_it_serves_the_functions_in_all_threads():
    real = scheduler.add_interval_task(int, 60, taskname="real")
    engine, seen = TickedScheduler(), []
    with installed(engine) as same:
        assert same is engine
        assert config.get("tg.scheduler") is True
        scheduler.add_interval_task(int, 60, taskname="virtual")
        thread = threading.Thread(target=lambda: seen.append(set(scheduler.get_tasks())))
        thread.start()
        thread.join()
    assert seen == [{"virtual"}]
    assert scheduler.get_tasks() == {"real": real}
    assert config.get("tg.scheduler") is False


def test_installed_here_it_serves_this_thread_only():
    engine, seen = TickedScheduler(), []
    with installed(engine, everywhere=False):
        scheduler.add_interval_task(int, 60, taskname="virtual")
        thread = threading.Thread(target=lambda: seen.append((scheduler.get_tasks(), config.get("tg.scheduler"))))
        thread.start()
        thread.join()
        assert config.settings()["tg.scheduler"] is True
        assert set(scheduler.get_tasks()) == {"virtual"}
    assert seen == [({}, False)]


@pytest.mark.parametrize("everywhere", [True, False])
def test_installed_twice_the_one_before_comes_back_whatever_happens(everywhere):
    config.update({"tg.scheduler": False})
    first, second = TickedScheduler(), TickedScheduler()
    with installed(first, everywhere):
        with pytest.raises(ZeroDivisionError), installed(second, everywhere):
            assert scheduler._get_scheduler() is second
            scheduler.stop_scheduler()
            assert not second.running
            1 / 0
        assert scheduler._get_scheduler() is first
        assert first.running
    assert scheduler._default is None or not scheduler._default.running
    assert config.get("tg.scheduler") is False


# -- fixtures ----------------------------------------------------------------------------------------------------------

PROJECT = """
from tgscheduler import config, scheduler
import pytest


def schedule():
    if config.get("tg.scheduler"):
        scheduler.add_weekday_task(int, range(1, 8), (2, 30), taskname="nightly")


def test_a_year_of_it(ticked_scheduler, virtual_clock):
    schedule()
    assert ticked_scheduler.clock is virtual_clock
    assert virtual_clock.now() == 1735689600
    ticked_scheduler.tick(365 * 86400)
    assert len(scheduler.runs("nightly", "ok", limit=1000)) == 365


def test_the_next_one_starts_afresh(ticked_scheduler):
    assert scheduler.get_tasks() == {}
    assert ticked_scheduler.running


def test_without_it_nothing_is_installed():
    assert config.get("tg.scheduler") is False
    assert scheduler._default is None
"""


@pytest.mark.slow
def test_a_user_s_tests_get_the_fixtures(tmp_path):
    (tmp_path / "test_jobs.py").write_text(PROJECT)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "pytest", "-q", *fixtures_plugin(), "."],
        cwd=tmp_path, capture_output=True, text=True, timeout=60, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed" in done.stdout


def test_pytest_finds_the_fixtures_by_an_entry_point():
    metadata = configparser.ConfigParser()
    metadata.read(ROOT / "setup.cfg", encoding="utf-8")
    assert metadata["options.entry_points"]["pytest11"].strip() == "tgscheduler = tgscheduler.pytest_plugin"
    assert importlib.util.find_spec("tgscheduler.pytest_plugin") is not None


def test_the_fixtures_import_nothing_of_ours_before_they_are_asked_for():
    tree = ast.parse((ROOT / "tgscheduler" / "pytest_plugin.py").read_text(encoding="utf-8"))
    names = {node.module for node in tree.body if isinstance(node, ast.ImportFrom)}
    names |= {alias.name for node in tree.body if isinstance(node, ast.Import) for alias in node.names}
    assert names == {"datetime", "collections.abc", "typing", "pytest"}
