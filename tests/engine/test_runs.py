"""Runs as a reader finds them: by id from the first moment on, page after page, the last ones of many tasks."""

import pytest
from helpers import NOON, flaky, noop, running, wait_for

from tgscheduler import scheduler as functions
from tgscheduler import stores
from tgscheduler.engine import control
from tgscheduler.errors import InvalidType
from tgscheduler.scheduler import Retry, ThreadedScheduler
from tgscheduler.testing import TickedScheduler, installed
from tgscheduler.timetable.run import Run


@pytest.fixture(params=["memory", "sqlite"])
def store(request, url):
    """A store of each kind, None for the one in memory."""
    return None if request.param == "memory" else stores.open(url)


@pytest.fixture
def ticked(store):
    """A scheduler on a clock that is moved by hand, with that store."""
    scheduler = TickedScheduler(start=NOON, store=store)
    yield scheduler
    scheduler.stop()


def test_a_run_keeps_its_id_from_the_request_over_its_attempts_to_the_end(ticked):
    task = ticked.add_single_task(flaky(ticked, 2), initialdelay=3600, taskname="flaky", retry=Retry(2, 10, jitter=0))
    run = ticked.run_now(task)
    ids = {run.id}
    assert ticked.run(run.id) is run
    for attempt, state, seconds in ((2, "waiting", 0), (3, "waiting", 10), (3, "ok", 20)):
        ticked.tick(seconds)
        found = ticked.run(run.id)
        assert (found.attempt, found.state, ticked.view("flaky").last_run.id) == (attempt, state, run.id)
        ids.update(run.id for run in ticked.runs("flaky"))
    assert ids == {run.id}


def test_each_run_is_found_by_its_id_open_and_ended(ticked):
    seen = []

    def look():
        seen.extend((run.id, ticked.run(run.id).state) for run in ticked.runs("looking", "running"))

    ticked.add_interval_task(look, 10, taskname="looking")
    ticked.add_interval_task(noop, 10, taskname="paused")
    ticked.pause("paused")
    ticked.tick(25)
    ended = ticked.runs()
    assert [state for _, state in seen] == ["running"] * 3
    assert {id for id, _ in seen} == {run.id for run in ended if run.state == "ok"}
    assert [run.state for run in ended].count("skipped") == 3
    assert len({run.id for run in ended}) == 6
    assert [ticked.run(run.id).state for run in ended] == [run.state for run in ended]


@pytest.mark.parametrize("id", ["", "0", "-1", "12", "9" * 400, "000000-1", "'; DROP TABLE tg_run", "\0", "\ud800"])
def test_an_id_that_no_run_has_finds_none(ticked, id):
    assert ticked.run(id) is None


def test_an_id_is_a_text(ticked):
    for id in (None, 1, b"1", ticked):
        with pytest.raises(InvalidType, match="expected the id of a run, a text, got"):
            ticked.run(id)


def test_a_run_that_is_requested_and_skipped_is_recorded_once(ticked):
    ticked.add_interval_task(noop, 3600, taskname="it", initialdelay=3600)
    requested = [ticked.run_now("it") for _ in range(2)]
    assert [ticked.run(run.id).state for run in requested] == ["waiting"] * 2
    assert {run.id for run in ticked.runs("it")} == {run.id for run in requested}
    assert ticked.counts()["waiting"] == ticked.health()["waiting"] == 2
    ticked.tick()
    assert [ticked.run(run.id).state for run in requested] == ["ok", "skipped"]
    assert sum(ticked.counts().values()) == len(ticked.runs()) == 2


def test_a_run_of_before_is_found_by_its_id_after_a_restart(url):
    first = TickedScheduler(start=NOON, store=stores.open(url))
    first.add_interval_task(noop, 10, taskname="it")
    first.tick(5)
    [run] = first.runs()
    first.stop()
    again = TickedScheduler(start=NOON + 60, store=stores.open(url))
    again.add_interval_task(noop, 10, taskname="it")
    again.tick(10)
    assert (again.run(run.id).due, again.run(run.id).state) == (NOON, "ok")
    assert len({run.id for run in again.runs()}) == len(again.runs()) > 1
    again.stop()


def test_ids_in_memory_are_others_after_a_restart_of_the_process(ticked):
    ticked.add_single_task(noop)
    ticked.tick()
    [run] = ticked.runs()
    assert ticked.run(f"0000000-{run.id.rpartition('-')[2]}") is None


def test_a_page_follows_the_cursor_of_a_run_and_a_run_that_was_found_by_its_id(ticked):
    for number in range(5):
        ticked.add_interval_task(noop, 10, taskname=f"task {number}")
    ticked.tick(25)
    whole = [run.id for run in ticked.runs()]
    before = ticked.runs(limit=7)[-1]
    assert [run.id for run in ticked.runs(before=before.cursor)] == whole[7:]
    assert [run.id for run in ticked.runs(before=ticked.run(before.id))] == whole[7:]


def test_the_last_runs_of_many_tasks_have_the_open_ones_among_them(ticked):
    seen = {}

    def look():
        found = ticked.recent_runs(["looking", "other", "nobody"], 3)
        seen.update({name: [(run.due - NOON, run.state) for run in runs] for name, runs in found.items()})

    ticked.add_interval_task(noop, 10, taskname="other")
    ticked.add_interval_task(look, 10, taskname="looking", initialdelay=5)
    ticked.tick(36)
    assert seen == {
        "looking": [(35, "running"), (25, "ok"), (15, "ok")],
        "other": [(30, "ok"), (20, "ok"), (10, "ok")],
        "nobody": [],
    }


def test_the_last_runs_have_no_texts_from_a_database_but_a_run_that_is_found_has(ticked, store):
    ticked.add_single_task(flaky(ticked, 1), taskname="failing")
    ticked.tick()
    assert store is None or store.flush(5)
    [run] = ticked.recent_runs(["failing"])["failing"]
    assert (run.state, run.error is None) == ("failed", store is not None)
    assert "as planned" in ticked.run(run.id).error


def test_the_module_has_the_functions_too(ticked):
    ticked.add_single_task(noop, taskname="it")
    ticked.tick()
    [run] = ticked.runs()
    with installed(ticked):
        assert functions.run(run.id).state == "ok"
        assert [found.id for found in functions.recent_runs(["it"])["it"]] == [run.id]


@pytest.mark.realtime
def test_a_run_that_another_thread_asks_for_is_there_at_once(store):
    with running(ThreadedScheduler(store=store)) as scheduler:
        scheduler.add_interval_task(noop, 3600, taskname="it", overlap="allow", initialdelay=3600)
        runs = []
        for _ in range(100):
            runs.append(scheduler.run_now("it"))
            assert scheduler.run(runs[-1].id) is not None
        wait_for(lambda: scheduler.counts()["ok"] == 100)
        assert {scheduler.run(run.id).state for run in runs} == {"ok"}


def test_a_run_that_is_not_open_here_is_not_cancelled_and_not_waited_for(ticked, monkeypatch):
    def pause(seconds):
        raise AssertionError("it waited")

    monkeypatch.setattr(control.clocks, "pause", pause)
    assert ticked.cancel_run(Run("it", NOON)) is False  # one of another process, as the store gives it
