"""What faults of its own, and of its store, can do to the loop."""

import itertools
import logging
import time

import pytest
from fault_injection import Nth, seeded
from helpers import total, wait_for
from probe import on_time

from tgscheduler.engine import loop as loops
from tgscheduler.engine import planner
from tgscheduler.scheduler import ThreadedScheduler
from tgscheduler.stores.memory import MemoryStore
from tgscheduler.timetable import plan


@pytest.mark.slow
@pytest.mark.realtime
@pytest.mark.parametrize("where", ["decide", "Run"])
def test_a_fault_in_the_middle_of_a_turn_costs_no_task_its_time(where, monkeypatch, caplog):
    scheduler = ThreadedScheduler(history=100_000)
    for number in range(5):
        scheduler.add_interval_task(int, 0.1, taskname=str(number))
    with on_time(scheduler):
        module = plan if where == "Run" else planner
        monkeypatch.setattr(module, where, Nth(getattr(module, where), MemoryError("injected"), 3))
        at = time.time()
        wait_for(lambda: all(len(scheduler.runs(str(number), since=at, state="ok")) > 2 for number in range(5)))
        assert scheduler.health()["state"] == "ok"
        for number in range(5):  # no point of its grid is left out
            found = scheduler.runs(str(number))[::-1]
            assert all(0.09 < after.due - before.until < 0.11 for before, after in itertools.pairwise(found))
    [record] = [record for record in caplog.records if record.levelno == logging.CRITICAL]
    assert "MemoryError: injected" in record.getMessage()


@pytest.mark.slow
@pytest.mark.realtime
@pytest.mark.parametrize(
    ("where", "error"),
    [
        ("decide", MemoryError("injected")),
        ("turn", RuntimeError("injected")),
        ("turn", KeyboardInterrupt()),
        ("store", SystemExit(3)),
        ("clock", GeneratorExit()),
        ("ready", ZeroDivisionError("injected")),
        ("ready", SystemExit(3)),
    ],
)
def test_a_fault_that_stays_ends_the_loop_loudly_and_a_new_start_is_a_new_loop(where, error, monkeypatch, caplog):

    def broken(*args, **kw):
        raise error

    scheduler = ThreadedScheduler()
    scheduler.add_interval_task(int, 0.05, taskname="it")
    with monkeypatch.context() as patched:
        if where == "decide":
            patched.setattr(planner, "decide", broken)
        elif where == "turn":
            patched.setattr(loops.Loop, "turn", broken)
        elif where == "store":
            patched.setattr(scheduler._journal.store, "record", broken)
        elif where == "clock":
            patched.setattr(scheduler.clock, "wait", broken)
        scheduler.start_scheduler(ready=broken if where == "ready" else None)
        wait_for(lambda: not scheduler.running)
        health = wait_for(lambda: (found := scheduler.health())["state"] == "failed" and found)
        assert f"the loop gave up: {type(error).__name__}" in health["reasons"][0]
        last = [record for record in caplog.records if record.levelno == logging.CRITICAL][-1]
        assert "gives up: nothing fires any more" in last.getMessage()
    scheduler.stop()
    counts = scheduler.counts()
    assert counts["waiting"] == counts["running"] == 0
    scheduler.start()
    wait_for(lambda: scheduler.counts()["ok"] > counts["ok"] + 1)
    assert scheduler.health()["state"] == "ok"
    scheduler.stop()


@pytest.mark.realtime
def test_a_store_that_fails_once_loses_no_record(caplog):
    store = MemoryStore()
    scheduler = ThreadedScheduler(store=store)
    store.record = Nth(store.record, OSError("disk full"), seeded().randrange(1, 6))
    with on_time(scheduler) as probe:
        wait_for(lambda: len(scheduler.runs("probe", state="ok")) > 4)
        counts, beats = scheduler.counts(), len(probe.beats)
        assert abs(total(counts) - beats) <= 1
    assert scheduler.counts() == {**scheduler.counts(), "ok": len(probe.beats), "failed": 0}
    assert [record.name for record in caplog.records if record.levelno == logging.CRITICAL] == [loops.__name__]
