"""Several processes at one store: no occurrence starts twice, and the run of one that died is lost or run again."""

import itertools
from datetime import UTC, datetime

import pytest
from helpers import NOON
from processes import Process

from tgscheduler import stores

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
