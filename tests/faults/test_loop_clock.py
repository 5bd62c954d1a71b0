"""What rings, clocks, pauses and bursts can do to the loop."""

import gc
import math
import os
import re
import signal
import threading
import time

import pytest
from fault_injection import Nth, program, seeded
from helpers import DAY, HOUR, NOON, total, wait_for
from probe import again_on_time, on_time, run_once

from tgscheduler.clock import LONGEST_WAIT, Clock
from tgscheduler.engine import loop as loops
from tgscheduler.scheduler import ThreadedScheduler
from tgscheduler.testing import TickedScheduler

YEAR = 365.25 * DAY


# -- rings ---------------------------------------------------------------------------------------------------------


@pytest.mark.realtime
@pytest.mark.slow
def test_a_hundred_thousand_rings_start_nothing_early():
    with on_time(ThreadedScheduler()) as probe:
        task = probe.scheduler.add_single_task(int, initialdelay=0.5, taskname="it")
        due, bell = task.next_due, probe.scheduler._lifecycle.loop.bell
        ringers = [threading.Thread(target=lambda: [bell.put(None) for _ in range(25_000)]) for _ in range(4)]
        for ringer in ringers:
            ringer.start()
        for ringer in ringers:
            ringer.join()
        [run] = wait_for(lambda: probe.scheduler.runs("it", state="ok"))
        assert run.started >= due
    assert all(run.late >= 0 for run in probe.scheduler.runs(state="ok", limit=1000))


# -- the wall clock ------------------------------------------------------------------------------------------------


def dues(scheduler, name):
    return [run.due - NOON for run in reversed(scheduler.runs(name, limit=10_000))]


@pytest.mark.parametrize("step", [-10 * YEAR, -HOUR, HOUR, 10 * YEAR])
def test_a_step_of_the_wall_clock_doubles_no_occurrence_and_keeps_every_task(step):
    ticked = TickedScheduler(start=NOON)
    ticked.add_interval_task(int, 60, taskname="interval")
    ticked.add_cron_like_task(int, "*/5 * * * *", taskname="cron")
    ticked.add_weekday_task(int, range(1, 8), (12, 30), taskname="weekday")
    ticked.add_monthday_task(int, range(1, 32), (12, 40), taskname="monthday")
    ticked.add_single_task(int, initialdelay=1200, taskname="single")
    ticked.tick(600)
    before = {name: len(ticked.runs(name, limit=1000)) for name in ticked.get_tasks()}
    ticked.clock.step_by(step)
    began = time.process_time()
    ticked.tick(599)
    assert time.process_time() - began < 5
    assert len(ticked.runs("interval", limit=1000)) - before["interval"] == 9  # the rhythm is that of real seconds
    ticked.tick(1)
    assert [run.state for run in ticked.runs("single")] == ["ok"]
    ticked.tick(DAY)
    for name in ("interval", "cron", "weekday", "monthday"):
        found = [run.due for run in ticked.runs(name, limit=10_000)]
        assert len(found) == len(set(found)) or name == "interval"  # its dates repeat, as the clock's do
        assert len(found) > before[name], name
        assert ticked.get_task(name).next_due > ticked.clock.now()


@pytest.mark.parametrize(("step", "times"), [(-3 * HOUR + 60, 1), (-3 * HOUR, 1), (-3 * HOUR - 60, 2)])
def test_what_has_run_runs_again_after_a_step_back_of_more_than_three_hours_only(step, times):
    ticked = TickedScheduler(start=NOON)
    ticked.add_weekday_task(int, range(1, 8), (12, 30), taskname="weekday")
    ticked.add_monthday_task(int, range(1, 32), (12, 30), taskname="monthday")
    ticked.add_cron_like_task(int, "30 12 * * *", taskname="cron")
    ticked.tick(HOUR)
    ticked.clock.step_by(step)
    ticked.tick(4 * HOUR)
    assert [dues(ticked, name) for name in ("weekday", "monthday", "cron")] == [[HOUR / 2] * times] * 3


def test_a_clock_that_steps_each_second_spins_nothing_and_doubles_nothing(monkeypatch):
    random = seeded()
    ticked = TickedScheduler(start=NOON)
    ticked.add_interval_task(int, 10, taskname="interval")
    ticked.add_cron_like_task(int, "* * * * *", taskname="cron")
    turns = Nth(loops.Loop.turn, None)
    monkeypatch.setattr(loops.Loop, "turn", turns)
    offset = 0.0
    for _ in range(600):
        ticked.tick(1)
        step = random.choice([-1, 1]) * random.uniform(1.5, 300)
        offset += step
        ticked.clock.step_by(step)
    assert turns.calls < 600 * 6  # a handful for each second: one that finds nothing, one for each that is due
    assert len(ticked.runs("interval", limit=1000)) in (60, 61)
    found = dues(ticked, "cron")
    assert len(found) == len(set(found))


@pytest.mark.realtime
@pytest.mark.slow
def test_a_real_loop_follows_a_step_and_does_not_spin():
    class Stepped(Clock):
        offset = 0.0

        def now(self):
            return time.time() + self.offset

    clock = Stepped()
    scheduler = ThreadedScheduler(clock=clock)
    with on_time(scheduler):
        for step in (HOUR, -HOUR, 10 * YEAR, -10 * YEAR):
            began = time.process_time()
            clock.offset += step
            number = total(scheduler.counts())
            wait_for(lambda number=number: total(scheduler.counts()) >= number + 3, 2)
            assert total(scheduler.counts()) - number < 10  # an interval's rhythm is that of real seconds
            assert time.process_time() - began < 0.5


def test_no_wait_is_longer_than_half_a_minute_however_far_the_next_fire_is():
    waits = []

    class Bell:
        def get(self, timeout):
            waits.append(timeout)

        def get_nowait(self):
            raise loops.queue.Empty

    for deadline in (None, math.inf, 253_402_300_799.0, time.time() + 60):
        Clock().wait(Bell(), deadline)
    assert waits == [LONGEST_WAIT] * 4


# -- it cannot run -------------------------------------------------------------------------------------------------

PAUSED = """
from datetime import datetime, timezone
scheduler = ThreadedScheduler(timezone="UTC")
scheduler.add_cron_task(int, "* * * * * *", taskname="cron")
scheduler.add_interval_task(int, 0.3, taskname="interval", processmethod="sequential")
scheduler.add_single_task(int, initialdelay=1.2, taskname="single")
start(scheduler)
until(lambda: len(scheduler.runs("cron")) > 0)
print("ready", flush=True)
until(lambda: any(run.count > 5 for run in scheduler.runs("probe")), 20)
fires_again()
for name, least in {"probe": 6, "interval": 3, "cron": 2, "single": 1}.items():
    found = scheduler.runs(name, limit=1000)
    late = [run for run in found if run.late > 0.5]
    assert len(late) == 1, (name, late)
    assert late[0].count >= least, (name, late)
    spans = sorted((run.due, run.until) for run in found)
    assert all(until < due for (_, until), (due, _) in zip(spans, spans[1:])), (name, spans)
    assert all(run.state == "ok" for run in found), (name, found)
assert scheduler.health()["state"] == "ok"
scheduler.stop()
print("done", flush=True)
"""


@pytest.mark.realtime
@pytest.mark.slow
def test_a_stopped_and_continued_process_makes_up_by_one_run_and_says_how_late(tmp_path):
    with program(tmp_path, PAUSED) as process:
        process.printed("ready")
        os.kill(process.pid, signal.SIGSTOP)
        time.sleep(2)
        os.kill(process.pid, signal.SIGCONT)
        assert process.ended(10) == 0, process.output


@pytest.mark.realtime
@pytest.mark.slow
def test_a_c_call_that_holds_the_interpreter_makes_everybody_late_once():
    def catastrophe(length):
        began = time.monotonic()
        re.match(r"(a+)+$", "a" * length + "b")
        return time.monotonic() - began

    length = 16
    while catastrophe(length) < 0.06:
        length += 1
    with again_on_time(ThreadedScheduler()) as probe:
        run = run_once(probe.scheduler, catastrophe, length + 4)
        assert run.state == "ok"
        held = run.ended - run.started
        assert held > 0.5
        wait_for(lambda: [run for run in probe.scheduler.runs("probe") if (run.late or 0.0) > held / 3])
    late = [run for run in probe.scheduler.runs("probe") if (run.late or 0.0) > held / 3]
    assert len(late) <= 3
    assert max(run.count for run in late) >= 2


@pytest.mark.realtime
@pytest.mark.slow
def test_a_long_collection_makes_no_one_late_for_long():
    rubbish = [[] for _ in range(500_000)]
    with again_on_time(ThreadedScheduler()) as probe:
        for _ in range(5):
            gc.collect()
        assert probe.scheduler.counts()["failed"] == 0
    assert rubbish


# -- very many -----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_hundred_thousand_due_at_once_run_in_order_of_time_and_insertion():
    ticked, order, number = TickedScheduler(start=NOON, history=10), [], 100_000
    for each in range(number):
        ticked.add_single_task(order.append, args=(each,), initialdelay=10 + each % 3)
    ticked.tick(60)
    assert order == [each for second in range(3) for each in range(second, number, 3)]
    assert ticked.counts()["ok"] == total(ticked.counts()) == number
    assert ticked.get_tasks() == {}


@pytest.mark.realtime
@pytest.mark.slow
def test_while_a_hundred_thousand_are_due_adding_and_cancelling_answer():
    scheduler, number = ThreadedScheduler(history=200_000), 100_000
    for _ in range(number):
        scheduler.add_single_task(int, initialdelay=0, processmethod="sequential")
    slowest = 0.0
    with again_on_time(scheduler):
        while scheduler.counts()["ok"] < number:
            began = time.monotonic()
            task = scheduler.add_single_task(int, initialdelay=60, taskname="far")
            assert scheduler.get_task("far") is task
            scheduler.cancel("far")
            slowest = max(slowest, time.monotonic() - began)
            time.sleep(0.001)
    print(f"slowest {slowest * 1000:.1f} ms")
    assert slowest < 0.5
    assert scheduler.counts()["failed"] == 0
