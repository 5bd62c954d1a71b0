"""The pool: elastic, bounded, in order, and its threads are daemons."""

import threading
import time
from collections import deque

import pytest
from helpers import occurrence, wait_for

from tgscheduler.clock import Clock
from tgscheduler.executors import threaded
from tgscheduler.executors.threaded import ThreadedExecutor
from tgscheduler.scheduler import SingleTask, ThreadedScheduler
from tgscheduler.timetable.run import Run


@pytest.fixture
def pool():
    pools = []

    def make(bound):
        pools.append(ThreadedExecutor(Clock(), deque(), bound))
        pools[0].start()
        return pools[0]

    yield make
    pools[0].close()
    wait_for(pools[0].idle)


def submit(pool, action, *args):
    run = Run("it", 0.0)
    pool.submit([occurrence(SingleTask("it", action, args), run)])
    return run


@pytest.mark.realtime
def test_a_hundred_sleepers_run_at_once(pool):
    pool = pool(100)
    barrier = threading.Barrier(100, timeout=5)
    all_runs = [submit(pool, barrier.wait) for _ in range(100)]
    wait_for(lambda: all(run.ended for run in all_runs))
    assert {run.state for run in all_runs} == {"ok"}
    assert pool.busy == 100


@pytest.mark.realtime
def test_past_the_bound_runs_wait_in_order_and_none_is_dropped(pool):
    pool = pool(3)
    release, order, most = threading.Event(), [], []

    def action(number):
        most.append(len(pool.running))
        order.append(number)
        release.wait(5)

    all_runs = [submit(pool, action, number) for number in range(20)]
    wait_for(lambda: len(pool.running) == 3)
    assert len(pool.waiting) == 17
    release.set()
    wait_for(lambda: all(run.ended for run in all_runs))
    assert max(most) <= 3
    assert sorted(order) == list(range(20))
    assert [run.started for run in all_runs] == sorted(run.started for run in all_runs)


def test_idle_threads_are_used_again(pool):
    pool = pool(50)
    names = set()
    for _ in range(50):
        run = submit(pool, lambda: names.add(threading.current_thread().name))
        wait_for(lambda run=run: run.ended)
    assert len(names) <= 3


def test_workers_are_daemons(pool):
    pool, seen = pool(2), []
    submit(pool, lambda: seen.append(threading.current_thread().daemon))
    wait_for(lambda: seen)
    assert seen == [True]


@pytest.mark.realtime
def test_idle_workers_leave_and_one_stays(pool, monkeypatch):
    monkeypatch.setattr(threaded, "IDLE_TIMEOUT", 0.05)
    pool = pool(10)
    barrier = threading.Barrier(10, timeout=5)
    for _ in range(10):
        submit(pool, barrier.wait)
    wait_for(lambda: pool.busy == 10)
    wait_for(lambda: pool.busy == 1)
    time.sleep(0.2)
    assert pool.busy == 1
    run = submit(pool, int)
    wait_for(lambda: run.ended)


@pytest.mark.realtime
@pytest.mark.slow
def test_threads_that_cannot_be_started_delay_runs_and_nothing_is_lost(monkeypatch, caplog):
    scheduler = ThreadedScheduler(threads=10)
    scheduler.start()
    real, refused = threading.Thread.start, []

    def start(thread):
        if thread.name.startswith("tgscheduler-worker") and len(refused) < 5:
            refused.append(thread)
            raise RuntimeError("can't start new thread")
        real(thread)

    monkeypatch.setattr(threading.Thread, "start", start)
    for _ in range(5):
        scheduler.add_single_task(time.sleep, args=(0.3,))
    wait_for(lambda: refused)
    wait_for(lambda: scheduler.health()["state"] == "degraded")
    assert "can't start new thread" in scheduler.health()["reasons"][0]
    wait_for(lambda: scheduler.counts()["ok"] == 5)
    wait_for(lambda: len(refused) == 5 or scheduler.health()["state"] == "ok")
    scheduler.stop()
    assert len([record for record in caplog.records if "no further worker thread" in record.getMessage()]) <= 2


@pytest.mark.realtime
def test_the_bound_of_the_scheduler_is_visible_while_runs_wait():
    release = threading.Event()
    scheduler = ThreadedScheduler(threads=2)
    for _ in range(5):
        scheduler.add_single_task(release.wait)
    scheduler.start()
    # A worker counts as a thread when whoever has started it is told so: its first run may have begun by then.
    health = wait_for(lambda: (found := scheduler.health())["threads"] == 2 and found["waiting"] == 3 and found)
    assert health["running"] == 2
    assert health["state"] == "degraded"
    assert "all 2 threads are busy" in health["reasons"][0]
    release.set()
    wait_for(lambda: scheduler.counts()["ok"] == 5)
    scheduler.stop()


@pytest.mark.realtime
def test_three_hundred_that_are_due_at_once_run_a_hundred_at_a_time_in_order():
    scheduler, gate, seen = ThreadedScheduler(threads=100), threading.Event(), []

    def action():
        gate.wait(10)
        time.sleep(0.05)

    def all_have_run():
        seen.append(scheduler.health())
        if "due runs wait: all 100 threads are busy" in " ".join(seen[-1]["reasons"]):
            gate.set()
        return scheduler.counts()["ok"] == 300

    for number in range(300):
        scheduler.add_single_task(action, taskname=str(number))
    scheduler.start()
    wait_for(all_have_run)
    scheduler.stop()
    assert max(health["running"] for health in seen) <= 100
    assert max(health["threads"] for health in seen) <= 100
    assert max(health["waiting"] for health in seen) >= 200
    assert gate.is_set()
    found = sorted(scheduler.runs(limit=1000), key=lambda run: run.started)
    # Taken in order; between taking a run and its start each thread may be overtaken by the others, once.
    assert max(abs(place - int(run.task)) for place, run in enumerate(found)) < 100
    assert scheduler.counts()["ok"] == sum(scheduler.counts().values()) == 300


@pytest.mark.realtime
def test_a_long_sequential_action_does_not_hold_up_threads():
    release, ran = threading.Event(), threading.Barrier(20, timeout=5)
    scheduler = ThreadedScheduler()
    scheduler.add_single_task(release.wait, args=(10,), processmethod="sequential")
    for _ in range(20):
        scheduler.add_single_task(ran.wait)
    scheduler.start()
    wait_for(lambda: scheduler.counts()["ok"] >= 20)
    release.set()
    scheduler.stop()
