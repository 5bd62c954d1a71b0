"""A timetable over a store that outlives the process: claims before starts, and what holds after a restart."""

import itertools
import os
import sqlite3
from datetime import UTC, datetime

import pytest
from helpers import DAY, HOUR, NOON, noop, wait_for
from processes import Process

from tgscheduler import clock as clocks
from tgscheduler import current_run, stores
from tgscheduler.engine.scheduler import ThreadedScheduler


def records(scheduler, task="it"):
    """Return each record of a task, oldest first: due, until (from noon), count, state."""
    found = sorted(scheduler.runs(task, limit=1000), key=lambda run: (run.due, run.count))
    return [(run.due - NOON, run.until - NOON, run.count, run.state) for run in found]


# -- restart -----------------------------------------------------------------------------------------------------------


def test_an_interval_keeps_its_grid_over_a_restart_and_what_was_missed_runs_once(begin):
    def schedule(scheduler):
        scheduler.add_interval_task(noop, 60, taskname="it")

    begin(NOON, schedule).tick(150)
    second = begin(NOON + 290, schedule)
    second.tick(100)
    assert records(second) == [
        *((due, due, 1, "ok") for due in (0.0, 60.0, 120.0)),
        (180.0, 240.0, 2, "ok"),
        (300.0, 300.0, 1, "ok"),
        (360.0, 360.0, 1, "ok"),
    ]
    assert second.counts()["ok"] == 7
    assert sum(second.counts().values()) == 7


def test_an_initial_delay_is_counted_from_the_first_start_of_all(begin):
    def schedule(scheduler):
        scheduler.add_interval_task(noop, HOUR, taskname="it", initialdelay=600)

    begin(NOON, schedule).tick(500)
    second = begin(NOON + 550, schedule)
    second.tick(60)
    assert records(second) == [(600.0, 600.0, 1, "ok")]


@pytest.mark.parametrize(
    ("options", "made_up"),
    [
        ({}, [(14 * HOUR, 62 * HOUR, 3, "ok")]),
        ({"misfire": "skip"}, [(14 * HOUR, 62 * HOUR, 3, "missed")]),
        ({"grace": HOUR}, [(14 * HOUR, 62 * HOUR, 3, "missed")]),
        (
            {"misfire": "run_all", "misfire_cap": 2, "overlap": "queue"},
            [(14 * HOUR, 14 * HOUR, 1, "missed"), (38 * HOUR, 38 * HOUR, 1, "ok"), (62 * HOUR, 62 * HOUR, 1, "ok")],
        ),
    ],
)
def test_what_a_calendar_task_missed_while_nothing_ran_is_up_to_its_misfire_policy(begin, options, made_up):
    def schedule(scheduler):
        scheduler.add_weekday_task(noop, range(1, 8), (2, 0), taskname="it", **options)

    begin(NOON, schedule).tick(HOUR)
    second = begin(NOON + 3 * DAY, schedule)
    second.tick(1)
    assert records(second) == made_up
    second.tick(DAY)
    assert records(second) == [*made_up, (86 * HOUR, 86 * HOUR, 1, "ok")]


def test_a_task_that_is_new_has_missed_nothing(begin):
    begin(NOON, lambda scheduler: None).tick(HOUR)
    second = begin(NOON + 3 * DAY, lambda each: each.add_weekday_task(noop, range(1, 8), (2, 0), taskname="it"))
    second.tick(1)
    assert records(second) == []


def test_a_task_whose_timetable_has_changed_begins_afresh(begin):
    begin(NOON, lambda each: each.add_weekday_task(noop, range(1, 8), (2, 0), taskname="it")).tick(DAY)
    second = begin(NOON + 3 * DAY, lambda each: each.add_weekday_task(noop, range(1, 8), (3, 0), taskname="it"))
    second.tick(DAY)
    assert records(second) == [(14 * HOUR, 14 * HOUR, 1, "ok"), (87 * HOUR, 87 * HOUR, 1, "ok")]


def test_a_single_task_at_a_moment_runs_once_over_all_starts(begin):
    def schedule(scheduler):
        scheduler.add_single_task(noop, at=NOON + 100, taskname="it")

    begin(NOON, schedule).tick(50)
    begin(NOON + 200, schedule).tick(10)
    third = begin(NOON + 300, schedule)
    third.tick(10)
    assert records(third) == [(100.0, 100.0, 1, "ok")]
    assert third.get_task("it") is None, "it is over, and its name is free"


def test_pauses_hold_over_a_restart_until_their_end(begin):
    def schedule(scheduler):
        scheduler.add_interval_task(noop, 60, taskname="it")
        scheduler.add_interval_task(noop, 60, taskname="other")

    first = begin(NOON, schedule)
    first.tick(10)
    first.pause("it", until=NOON + 400)
    second = begin(NOON + 200, schedule)
    assert second.get_task("it").paused
    second.tick(300)
    assert [state for *_, state in records(second)] == ["ok", *["skipped"] * 4, "ok", "ok"]
    assert {state for *_, state in records(second, "other")} == {"ok"}
    second.pause("it")
    second.resume("it")
    assert not begin(NOON + 600, schedule).get_task("it").paused


def test_a_pause_of_all_holds_over_a_restart_until_it_is_ended(begin):
    def schedule(scheduler):
        scheduler.add_interval_task(noop, 60, taskname="it")

    first = begin(NOON, schedule)
    first.tick(10)
    first.pause_all()
    second = begin(NOON + 90, schedule)
    second.tick(60)
    assert [state for *_, state in records(second)] == ["ok", "skipped", "skipped"]
    assert second.resume_all()
    third = begin(NOON + 200, schedule)
    third.tick(60)
    assert records(third)[-1][-1] == "ok"


def test_max_runs_counts_the_runs_before_a_restart(begin):
    def schedule(scheduler):
        scheduler.add_interval_task(noop, 60, taskname="it", max_runs=5)

    begin(NOON, schedule).tick(130)
    second = begin(NOON + 150, schedule)
    second.tick(HOUR)
    assert [due for due, *_ in records(second)] == [0.0, 60.0, 120.0, 180.0, 240.0]
    assert begin(NOON + 2 * HOUR, schedule).get_task("it") is None


def test_history_and_counts_are_those_of_all_starts(begin):
    def schedule(scheduler):
        scheduler.add_interval_task(noop, 60, taskname="it")

    begin(NOON, schedule).tick(130)
    second = begin(NOON + 2 * HOUR, schedule)
    second.tick(90)
    assert second.counts()["ok"] == sum(run.count for run in second.runs(limit=1000)) == 122
    assert second.counts(since=NOON + 2 * HOUR + 1)["ok"] == 1
    assert second.counts_by_task() == {"it": {"ok": second.counts()["ok"]}}


def test_a_task_that_is_registered_no_more_keeps_its_history_and_shows_as_gone(begin):
    begin(NOON, lambda each: each.add_interval_task(noop, 60, taskname="old")).tick(70)
    second = begin(NOON + 100, lambda each: each.add_interval_task(noop, 60, taskname="new"))
    second.tick(10)
    assert second.gone() == ["old"]
    assert len(second.runs("old")) == 2


def test_a_task_of_another_name_takes_over_the_history_that_it_asks_for(begin):
    begin(NOON, lambda each: each.add_interval_task(noop, 60, taskname="old")).tick(70)
    second = begin(NOON + 100, lambda each: each.add_interval_task(noop, 60, taskname="new", formerly="old"))
    second.tick(50)
    assert (second.gone(), second.runs("old")) == ([], [])
    assert [due for due, *_ in records(second, "new")] == [0.0, 60.0, 120.0]


def test_a_task_renamed_while_it_runs_takes_its_history_with_it(begin):
    first = begin(NOON, lambda each: each.add_interval_task(noop, 60, taskname="old"))
    first.tick(70)
    first.rename("old", "new")
    first.tick(60)
    second = begin(NOON + 140, lambda each: each.add_interval_task(noop, 60, taskname="new"))
    second.tick(50)
    assert [due for due, *_ in records(second, "new")] == [0.0, 60.0, 120.0, 180.0]


def test_a_task_that_is_cancelled_and_added_again_begins_afresh(begin):
    scheduler = begin(NOON, lambda each: each.add_interval_task(noop, 60, taskname="it"))
    scheduler.tick(70)
    scheduler.cancel("it")
    scheduler.tick(HOUR)
    scheduler.add_interval_task(noop, 60, taskname="it")
    scheduler.tick(70)
    assert [due for due, *_ in records(scheduler)] == [0.0, 60.0, 3670.0, 3730.0]


@pytest.mark.parametrize("step", [-HOUR, HOUR])
def test_an_interval_keeps_its_rhythm_when_the_wall_clock_is_stepped(begin, step):
    scheduler = begin(NOON, lambda each: each.add_interval_task(noop, 60, taskname="it"))
    scheduler.tick(90)
    scheduler.clock.step_by(step)
    scheduler.tick(100)
    assert [due for due, *_ in records(scheduler)] == sorted([0.0, 60.0, 120.0 + step, 180.0 + step])


# -- one timetable in two processes ------------------------------------------------------------------------------------


def test_two_schedulers_on_one_store_start_no_occurrence_twice(begin):
    ran = []

    def schedule(scheduler):
        for number in range(5):
            scheduler.add_interval_task(lambda: ran.append(scheduler), 60, taskname=f"task {number}")
        scheduler.add_weekday_task(lambda: ran.append(scheduler), range(1, 8), (12, 5), taskname="daily")

    one = begin(NOON, schedule)
    one.tick(1)
    other = begin(NOON + 1, schedule, stop=False)
    for _ in range(10):
        one.tick(60)
        other.tick(60)
    assert len(ran) == 5 * 11 + 1
    due = [(run.task, run.due) for run in one.runs(limit=1000)]
    assert len(due) == len(set(due)) == len(ran)
    assert sum(one.counts().values()) + sum(other.counts().values()) >= len(ran)


BOTH = """
import sys, time
from tgscheduler import stores
from tgscheduler.engine.scheduler import ThreadedScheduler

def work(name):
    open("ran", "a").write(name + "\\n")

scheduler = ThreadedScheduler(store=stores.open(sys.argv[1]))
for number in range(20):
    scheduler.add_interval_task(work, 0.5, args=(f"task {number}",), taskname=f"task {number}")
while time.time() < float(sys.argv[2]):
    time.sleep(0.001)
scheduler.start()
time.sleep(2.2)
scheduler.stop()
"""


@pytest.mark.realtime
@pytest.mark.slow
def test_processes_that_start_at_the_same_moment_share_one_timetable(tmp_path, url):
    script = tmp_path / "both.py"
    script.write_text(BOTH)
    at = datetime.now(UTC).timestamp() + 1.5
    processes = [Process(script, url, at, cwd=tmp_path, name=f"process {number}") for number in range(2)]
    assert [process.ended() for process in processes] == [0, 0]
    ran = (tmp_path / "ran").read_text().split("\n")
    store = stores.open(url)
    for number in range(20):
        dues = [run.due for run in store.runs(task=f"task {number}", state="ok")]
        assert len(dues) == ran.count(f"task {number}")
        gaps = [later - earlier for earlier, later in itertools.pairwise(sorted(dues))]
        assert all(abs(gap - round(gap / 0.5) * 0.5) < 1e-3 and gap > 0.4 for gap in gaps), gaps


# -- death -------------------------------------------------------------------------------------------------------------

DIES = """
import os, sys, time
from tgscheduler import stores
from tgscheduler.engine.scheduler import ThreadedScheduler

def work():
    open("ran", "a").write("x")
    if not os.path.exists("second"):
        os.kill(os.getpid(), 9)

scheduler = ThreadedScheduler(store=stores.open(sys.argv[1]))
scheduler.add_single_task(work, at=float(sys.argv[2]), taskname="it", on_lost=sys.argv[3])
scheduler.start()
time.sleep(float(sys.argv[4]))
scheduler.stop()
"""


@pytest.mark.slow
@pytest.mark.realtime
@pytest.mark.parametrize(
    ("on_lost", "runs", "found"), [("skip", 1, ("lost", 1)), ("rerun", 2, ("ok", 2))], ids=["skip", "rerun"]
)
def test_a_run_whose_process_was_killed_is_lost_or_runs_again_and_its_record_says_so(
    tmp_path, url, on_lost, runs, found
):
    script = tmp_path / "dies.py"
    script.write_text(DIES)
    at = datetime.now(UTC).timestamp()
    assert Process(script, url, at, on_lost, 10, cwd=tmp_path).ended() == -9
    (tmp_path / "second").touch()
    assert Process(script, url, at, on_lost, 0.5, cwd=tmp_path).ended() == 0
    [run] = stores.open(url).runs()
    assert (run.state, run.attempt, (tmp_path / "ran").read_text()) == (*found, "x" * runs)
    assert "ended while attempt 1 was in flight" in run.reason
    assert run.due == at


KILLS = """
import os, sys, time
from tgscheduler import stores
from tgscheduler.engine.scheduler import ThreadedScheduler

def work():
    open("ran", "a").write("x")
    os.kill(os.getpid(), 9)

scheduler = ThreadedScheduler(store=stores.open(sys.argv[1]))
scheduler.add_single_task(work, at=float(sys.argv[2]), taskname="it", on_lost="rerun", max_takeovers=2)
scheduler.start()
time.sleep(0.7)
scheduler.stop()
"""


@pytest.mark.slow
@pytest.mark.realtime
def test_an_action_that_kills_its_process_is_taken_over_no_more_often_than_allowed(tmp_path, url):
    script = tmp_path / "kills.py"
    script.write_text(KILLS)
    at = datetime.now(UTC).timestamp()
    codes = [Process(script, url, at, cwd=tmp_path).ended() for _ in range(5)]
    assert codes == [-9, -9, -9, 0, 0]
    [run] = stores.open(url).runs()
    assert (run.state, run.attempt, (tmp_path / "ran").read_text()) == ("lost", 3, "xxx")
    assert "taken over 2 times, as often as max_takeovers allows" in run.reason


SHARES = """
import sys, time
from tgscheduler import stores
from tgscheduler.engine.scheduler import ThreadedScheduler

def work(seconds):
    open("ran", "a").write(sys.argv[2])
    time.sleep(seconds)

scheduler = ThreadedScheduler(store=stores.open(sys.argv[1]))
seconds = 30.0 if sys.argv[2] == "a" else 0.0
scheduler.add_interval_task(work, 3600, args=[seconds], taskname="it", on_lost="rerun")
scheduler.start()
print("up", flush=True)
time.sleep(float(sys.argv[3]))
scheduler.stop()
"""


@pytest.mark.slow
@pytest.mark.realtime
def test_a_run_whose_process_is_killed_is_run_again_by_another_that_lives(tmp_path, url):
    script = tmp_path / "shares.py"
    script.write_text(SHARES)
    one = Process(script, url, "a", 20, cwd=tmp_path, name="a")
    try:
        one.until(lambda: (tmp_path / "ran").exists())
        other = Process(script, url, "b", 4, cwd=tmp_path, name="b")
        other.printed("up")
        assert (tmp_path / "ran").read_text() == "a"
    finally:
        one.clean_up()
    other.until(lambda: (tmp_path / "ran").read_text() == "ab", 3.0)
    assert other.ended() == 0
    [run] = stores.open(url).runs()
    assert (run.state, run.attempt) == ("ok", 2)


# -- the store does not answer -----------------------------------------------------------------------------------------


@pytest.fixture
def locked(url, tmp_path):
    """Return what keeps the database from being written to, and what ends that."""
    connections = []

    def lock():
        connection = sqlite3.connect(tmp_path / "scheduler.db", isolation_level=None)
        connection.execute("BEGIN EXCLUSIVE")
        connections.append(connection)

    def free():
        while connections:
            connections.pop().close()

    yield lock, free
    free()


@pytest.mark.realtime
def test_runs_go_on_while_the_store_is_down_and_their_records_arrive_when_it_is_back(url, locked):
    lock, free = locked
    told = []
    scheduler = ThreadedScheduler(store=stores.open(url, patience=0.2), store_timeout=0.2)
    scheduler.subscribe(lambda event: told.append(event.name), ["store-down", "store-up"])
    scheduler.add_interval_task(noop, 0.05, taskname="it")
    scheduler.start()
    try:
        wait_for(lambda: scheduler.counts()["ok"] >= 3)
        lock()
        wait_for(lambda: scheduler.health()["state"] == "degraded" and scheduler.runs(limit=1)[0].state == "ok")
        before, skipped = scheduler.counts()["ok"], scheduler.counts()["skipped"]
        assert "the store is down: " in scheduler.health()["reasons"][0]
        wait_for(lambda: scheduler.counts()["ok"] >= before + 10)
        assert scheduler.counts()["skipped"] <= skipped + 1, "what is known to be down is not waited for"
        assert scheduler.health()["buffered"] >= 5
        free()
        wait_for(lambda: scheduler.health()["state"] == "ok")
        wait_for(lambda: told == ["store-down", "store-up"])
    finally:
        scheduler.stop()
    assert sum(run.count for run in stores.open(url).runs(limit=100_000)) == sum(scheduler.counts().values())


@pytest.mark.realtime
def test_with_pause_runs_wait_for_the_store(url, locked):
    lock, free = locked
    store = stores.open(url, patience=0.2)
    scheduler = ThreadedScheduler(store=store, store_timeout=0.2, on_store_down="pause")
    scheduler.add_interval_task(noop, 0.05, taskname="it")
    scheduler.start()
    try:
        wait_for(lambda: scheduler.counts()["ok"] >= 3)
        lock()
        wait_for(lambda: scheduler.health()["state"] == "degraded")
        ran = scheduler.counts()["ok"]
        wait_for(lambda: scheduler.counts()["skipped"] + scheduler.counts()["waiting"] >= 1)
        assert scheduler.counts()["ok"] <= ran + 1
        free()
        wait_for(lambda: scheduler.counts()["ok"] > ran + 5)
    finally:
        scheduler.stop()


@pytest.mark.realtime
def test_no_run_starts_without_its_claim_while_another_process_uses_the_store(url, locked):
    lock, free = locked
    starts, schedulers = [], []
    for _ in range(2):
        scheduler = ThreadedScheduler(store=stores.open(url, patience=0.2), store_timeout=0.2)
        scheduler.add_interval_task(lambda: starts.append(current_run().due), 0.05, taskname="it")
        schedulers.append(scheduler)
    try:
        for scheduler in schedulers:
            scheduler.start()
        wait_for(lambda: len(starts) >= 3 and all(each.health()["state"] == "ok" for each in schedulers))
        lock()
        wait_for(lambda: all(scheduler.health()["state"] == "degraded" for scheduler in schedulers))
        before = len(starts)
        wait_for(lambda: all(scheduler.health()["waiting"] for scheduler in schedulers))
        clocks.pause(0.5)
        assert len(starts) == before
        free()
        wait_for(lambda: len(starts) > before + 5)
    finally:
        for scheduler in schedulers:
            scheduler.stop()
    assert len(set(starts)) == len(starts)
    runs = stores.open(url).runs(limit=100_000)
    assert len({run.due for run in runs}) == len(runs)


def test_a_store_that_cannot_be_opened_is_an_error_at_the_start(tmp_path):
    (tmp_path / "scheduler.db").write_bytes(b"this is no database, and has never been one" * 100)
    scheduler = ThreadedScheduler(store=stores.open(f"sqlite:///{tmp_path / 'scheduler.db'}"))
    with pytest.raises(OSError, match=r"scheduler\.db"):
        scheduler.start()
    assert not scheduler.running


def test_the_file_is_for_its_owner_only(begin, tmp_path):
    before = os.umask(0)
    try:
        begin(NOON, lambda each: each.add_interval_task(noop, 60, taskname="it")).tick(10)
    finally:
        os.umask(before)
    assert {oct(path.stat().st_mode & 0o777) for path in tmp_path.glob("scheduler.db*")} == {"0o600"}
