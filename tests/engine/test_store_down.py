"""What a scheduler does while its store does not answer, and when it cannot be opened."""

import sqlite3

import pytest
from helpers import noop, wait_for

from tgscheduler import clock as clocks
from tgscheduler import current_run, stores
from tgscheduler.engine.scheduler import ThreadedScheduler


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
    scheduler = ThreadedScheduler(store=stores.open(url, timeout=0.2), store_timeout=0.2)
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
    store = stores.open(url, timeout=0.2)
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
        scheduler = ThreadedScheduler(store=stores.open(url, timeout=0.2), store_timeout=0.2)
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
