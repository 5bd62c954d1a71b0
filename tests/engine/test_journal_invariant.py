"""The countable invariant: every occurrence that came due is in exactly one Run, at every moment."""

import os
import random
import signal
import statistics
import threading
import time

import pytest
from helpers import total, wait_for

from tgscheduler.errors import DuplicateTask
from tgscheduler.scheduler import ThreadedScheduler, method
from tgscheduler.testing import TickedScheduler
from tgscheduler.timetable.run import STATES


def test_counts_name_every_state_and_add_up_to_what_came_due():
    scheduler = TickedScheduler()
    scheduler.add_interval_task(int, 1)
    scheduler.add_single_task(lambda: 1 / 0)
    scheduler.tick(10)
    counts = scheduler.counts()
    assert tuple(counts) == STATES
    assert (counts["ok"], counts["failed"], total(counts)) == (11, 1, 12)


def test_runs_can_be_asked_for_by_task_state_and_time():
    scheduler = TickedScheduler()
    task = scheduler.add_interval_task(int, 10, taskname="good")
    scheduler.add_interval_task(lambda: 1 / 0, 20, taskname="bad")
    scheduler.tick(50)
    assert [run.due for run in scheduler.runs(task)] == [50, 40, 30, 20, 10, 0]
    assert [run.due for run in scheduler.runs("bad", since=20, before=40)] == [20]
    assert [run.task for run in scheduler.runs(state="failed")] == ["bad"] * 3
    assert len(scheduler.runs(limit=4)) == 4
    with pytest.raises(ValueError, match="expected one of waiting"):
        scheduler.runs(state="done")


def test_durations_can_be_asked_for_by_task_and_time():
    scheduler = TickedScheduler()
    good = scheduler.add_interval_task(lambda: scheduler.clock.advance(2), 1800, taskname="good")
    unnamed = scheduler.add_interval_task(lambda: 1 / 0, 3600)
    scheduler.tick(3 * 3600)
    assert {task: found.success_rate for task, found in scheduler.durations().items()} == {
        "good": 1.0,
        scheduler.view(unnamed).name: 0.0,
    }
    assert [each.quantile(0.5) for each in scheduler.durations("good").values()] == [2.0]
    assert [each.runs for each in scheduler.durations([good, unnamed], since=3600).values()] == [5, 3]
    assert scheduler.durations(good, since=5 * 3600)["good"].success_rate is None
    with pytest.raises(TypeError, match="since: expected"):
        scheduler.durations(since="yesterday")
    with pytest.raises(TypeError, match="several of them, got 5"):
        scheduler.durations(5)
    with pytest.raises(TypeError, match="got 5"):
        scheduler.durations(["good", 5])


@pytest.mark.realtime
def test_runs_and_counts_show_what_runs_now():
    release = threading.Event()
    scheduler = ThreadedScheduler()
    scheduler.add_single_task(release.wait, taskname="it")
    scheduler.start()
    wait_for(lambda: scheduler.counts()["running"] == 1)
    [run] = scheduler.runs("it")
    assert (run.state, run.ended) == ("running", None)
    assert run.started >= run.due
    release.set()
    scheduler.stop()


def test_history_is_bounded_and_counts_are_not():
    scheduler = TickedScheduler(history=10)
    scheduler.add_interval_task(int, 1)
    scheduler.tick(99)
    assert (len(scheduler.runs(limit=1000)), total(scheduler.counts())) == (10, 100)


def act(kind):
    if kind == "fails":
        raise ValueError("as planned")
    if kind == "exits":
        raise SystemExit(3)
    if kind == "dies":
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.001)


def storm(seconds, writers, seed):
    """Let threads add, cancel and rename while runs fail, exit and die; return what is known of every single task."""
    scheduler = ThreadedScheduler(history=200_000)
    scheduler.start()
    stop, faults, kept, cancelled = threading.Event(), [], [], []
    watched = []

    def write(number):
        rng = random.Random(f"{seed} {number}")
        try:
            for count in range(100_000):
                if stop.is_set():
                    return
                name = f"{number}-{count}"
                kind = rng.choice(["ok", "ok", "ok", "fails", "exits"])
                task = scheduler.add_single_task(
                    act, args=(kind,), taskname=name, initialdelay=rng.random() * 0.3,
                    processmethod=rng.choice([method.threaded, method.threaded, method.threaded, method.sequential]),
                )  # fmt: skip
                if count % 50 == 0:
                    scheduler.add_single_task(
                        act, args=("dies",), taskname=f"{name}-forked", processmethod=method.forked
                    )
                    kept.append(f"{name}-forked")
                choice = rng.random()
                if choice < 0.2:
                    far = scheduler.add_single_task(act, args=("ok",), taskname=f"{name}-far", initialdelay=60)
                    scheduler.cancel(far if rng.random() < 0.5 else far.name)
                    cancelled.append(far.name)
                    kept.append(name)
                elif choice < 0.4:
                    renamed = scheduler.add_single_task(act, args=("ok",), taskname=f"{name}-old", initialdelay=0.4)
                    scheduler.rename_task(renamed.name, f"{name}-new")
                    kept.extend([name, f"{name}-new"])
                elif choice < 0.45:
                    held = scheduler.add_single_task(act, args=("ok",), taskname=f"{name}-held", initialdelay=1.0)
                    scheduler.pause(held)
                    if rng.random() < 0.5:
                        scheduler.pause_all()
                        scheduler.resume_all()
                    else:
                        scheduler.resume(held.name)
                    kept.extend([name, held.name])
                elif choice < 0.5:
                    with pytest.raises(DuplicateTask):
                        scheduler.add_interval_task(act, 60, args=("ok",), taskname="probe")
                    kept.append(name)
                else:
                    kept.append(name)
                assert task.action is act
                time.sleep(0.002)
        except BaseException as error:
            faults.append(error)

    def watch():
        due = 0
        while not stop.is_set():
            counts = scheduler.counts()
            now = total(counts)
            if now < due or min(counts.values()) < 0:
                faults.append(AssertionError(f"{due} occurrences became {now}: {counts}"))
            due = now
            watched.append(now)
            time.sleep(0.001)

    probe = scheduler.add_interval_task(int, 0.1, taskname="probe")
    threads = [threading.Thread(target=write, args=(number,)) for number in range(writers)]
    threads.append(threading.Thread(target=watch))
    for thread in threads:
        thread.start()
    stop.wait(seconds)
    stop.set()
    for thread in threads:
        thread.join(20)
    scheduler.cancel(probe)
    wait_for(lambda: scheduler.health()["tasks"] == 0 and not scheduler.counts()["running"], 30)
    wait_for(lambda: not scheduler.counts()["waiting"], 30)
    stopping = time.monotonic()
    scheduler.stop()
    assert time.monotonic() - stopping < 10
    assert faults == [], f"seed {seed}"
    return scheduler, set(kept), set(cancelled), len(watched)


def check_storm(scheduler, kept, cancelled):
    found = scheduler.runs(limit=200_000)
    names = [run.task for run in found if run.task != "probe"]
    assert set(names) == kept
    assert len(names) == len(kept)  # each single task exactly once
    assert not cancelled & set(names)
    assert sum(run.count for run in found) == total(scheduler.counts())
    assert {run.state for run in found if run.task.endswith("-forked")} <= {"failed"}
    assert {run.state for run in found if run.task != "probe"} == {"ok", "failed"}
    late = [run.late for run in found if run.task == "probe" and run.state == "ok"]
    assert statistics.median(late) < 0.5
    assert max(late) < 2


@pytest.mark.slow
@pytest.mark.realtime
def test_twenty_threads_that_add_cancel_and_rename_lose_and_double_nothing(caplog):
    caplog.set_level("CRITICAL")
    scheduler, kept, cancelled, looks = storm(0.7, 20, seed=random.randrange(10**6))
    check_storm(scheduler, kept, cancelled)
    assert looks > 20


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_fifty_threads_for_thirty_seconds_lose_and_double_nothing(caplog):
    caplog.set_level("CRITICAL")
    scheduler, kept, cancelled, _ = storm(30.0, 50, seed=random.randrange(10**6))
    check_storm(scheduler, kept, cancelled)
