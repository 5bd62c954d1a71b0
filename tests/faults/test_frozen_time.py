"""A test of the application that freezes time: a scheduler that runs beside it goes on in real time."""

import subprocess
import sys
import threading
from unittest import mock

import pytest
from freezegun import freeze_time
from helpers import wait_for

from tgscheduler import clock
from tgscheduler.clock import Clock
from tgscheduler.scheduler import ThreadedScheduler
from tgscheduler.timetable.triggers import Cron, Interval, Monthdays, Weekdays

pytestmark = pytest.mark.realtime


def frozen():
    return freeze_time("2000-01-01")


def ticking():
    return freeze_time("2040-01-01", tick=True)


def patched():
    return mock.patch.multiple("time", time=lambda: 0.0, monotonic=lambda: 0.0)


@pytest.mark.parametrize("freeze", [frozen, ticking, patched])
def test_a_scheduler_that_runs_sees_no_step_and_fires_on(freeze):
    scheduler = ThreadedScheduler()
    stepped = []
    scheduler.subscribe(stepped.append, "clock-stepped")
    scheduler.add_interval_task(int, 0.01, taskname="it", processmethod="sequential")
    scheduler.start()
    try:
        with freeze():
            before = scheduler.counts()["ok"]
            wait_for(lambda: scheduler.counts()["ok"] > before + 3)
            added = scheduler.add_single_task(int, initialdelay=0.01)
            wait_for(lambda: scheduler.runs(added, state="ok"))
        after = scheduler.counts()["ok"]
        wait_for(lambda: scheduler.counts()["ok"] > after + 3)
    finally:
        scheduler.stop()
    assert stepped == []
    assert {state for state, count in scheduler.counts().items() if count} == {"ok"}


@pytest.mark.parametrize("freeze", [frozen, ticking, patched])
def test_a_stop_waits_no_longer_than_it_is_told_for_an_action_that_hangs(freeze):
    scheduler, hanging, free = ThreadedScheduler(), threading.Event(), threading.Event()
    scheduler.add_single_task(lambda: hanging.set() or free.wait(20), taskname="it")
    scheduler.start()
    assert hanging.wait(5)
    try:
        began = clock.elapsed()
        with freeze():
            scheduler.stop(0.2)
        assert clock.elapsed() - began < 3
    finally:
        free.set()
    [run] = scheduler.runs("it")
    assert run.state == "cancelled"


@pytest.mark.parametrize("freeze", [frozen, ticking, patched])
def test_a_clock_made_before_or_meanwhile_is_the_hosts(freeze):
    before, moment = Clock(), clock.elapsed()
    with freeze():
        assert before.step() == 0.0
        assert abs(Clock().now() - before.now()) < 5
        assert 0 <= clock.elapsed() - moment < 5
    assert before.step() == 0.0


IMPORTED = """
from freezegun import freeze_time
import time
real = time.time()
with freeze_time("2000-01-01"):
    from tgscheduler.clock import Clock
    meanwhile = Clock()
    assert abs(meanwhile.now() - real) < 10
assert abs(Clock().now() - real) < 10
assert meanwhile.step() == 0.0
"""


def test_time_that_is_frozen_while_we_are_imported_is_not_kept():
    subprocess.run([sys.executable, "-c", IMPORTED], check=True, timeout=30)


def test_fire_times_are_the_same_in_frozen_time():
    triggers = [
        Cron("*/7 3 * * 1-5", "Europe/Berlin"),
        Weekdays(range(1, 8), (2, 30), "Europe/Berlin"),
        Monthdays(["last"], (2, 30), "Europe/Berlin"),
        Interval(60, 0.0),
    ]
    moments = [1_743_000_000.0 + 3600 * hour for hour in range(0, 200, 7)]
    real = [trigger.next_after(moment) for trigger in triggers for moment in moments]
    with frozen():
        assert [trigger.next_after(moment) for trigger in triggers for moment in moments] == real
