"""What clocks, signals, bursts, forks and faults of its own can do to the loop."""

import gc
import itertools
import logging
import math
import multiprocessing
import os
import re
import signal
import threading
import time
from datetime import UTC, datetime

import pytest
from helpers import total, wait_for
from inject import Nth, done, program, seeded
from probe import again_on_time, on_time, run_once

from tgscheduler.clock import LONGEST_WAIT, Clock
from tgscheduler.engine import loop as loops
from tgscheduler.scheduler import ThreadedScheduler
from tgscheduler.stores.memory import MemoryStore
from tgscheduler.testing import TickedScheduler

NOON = datetime(2025, 6, 1, 12, tzinfo=UTC).timestamp()
HOUR, DAY, YEAR = 3600.0, 86400.0, 365.25 * 86400.0


# -- rings ---------------------------------------------------------------------------------------------------------


@pytest.mark.realtime
@pytest.mark.slow
def test_a_hundred_thousand_rings_start_nothing_early():
    with on_time(ThreadedScheduler()) as probe:
        task = probe.scheduler.add_single_task(int, initialdelay=0.5, taskname="it")
        due, bell = task.next_due, probe.scheduler._loop.bell
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
scheduler = start(ThreadedScheduler())
print("ready", flush=True)
until(lambda: any(run.count > 5 for run in scheduler.runs(limit=1000)), 20)
fires_again()
late = [run for run in scheduler.runs(limit=1000) if run.count > 5]
assert len(late) == 1, late
assert late[0].late > 0.5, late
assert late[0].count >= 5
found = scheduler.runs(limit=1000)
assert len({run.due for run in found}) == len(found)
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
        wait_for(lambda: [run for run in probe.scheduler.runs("probe") if run.late > held / 3])
    late = [run for run in probe.scheduler.runs("probe") if run.late > held / 3]
    assert len(late) <= 3
    assert max(run.count for run in late) >= 2


@pytest.mark.realtime
@pytest.mark.slow
def test_a_long_collection_makes_nobody_late_for_long():
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


# -- start and stop ------------------------------------------------------------------------------------------------


@pytest.mark.realtime
@pytest.mark.slow
def test_a_hammer_of_starts_and_stops_from_threads_and_a_signal_handler(tmp_path):
    done(
        tmp_path,
        """
        scheduler = ThreadedScheduler(stop_timeout=1)
        scheduler.add_interval_task(int, 0.001, taskname="it")
        scheduler.add_interval_task(int, 0.05, taskname="forked", processmethod="forked")
        handled = []
        def handle(number, frame):
            scheduler.stop()
            handled.append(number)
        signal.signal(signal.SIGALRM, handle)
        signal.setitimer(signal.ITIMER_REAL, 0.01, 0.017)
        end, faults = time.monotonic() + 3, []
        def hammer(verb):
            while time.monotonic() < end:
                try:
                    verb()
                except ValueError:          # a start while another thread stops, beyond its bound
                    pass
                except BaseException as error:
                    faults.append(error)
                time.sleep(0.002)
        threads = [threading.Thread(target=hammer, args=(verb,)) for verb in (scheduler.start, scheduler.stop) * 2]
        for thread in threads:
            thread.start()
        hammer(scheduler.start)
        for thread in threads:
            thread.join(30)
            assert not thread.is_alive()
        signal.setitimer(signal.ITIMER_REAL, 0)
        assert not faults, faults
        assert len(handled) > 20, len(handled)
        scheduler.stop()
        until(lambda: not [each for each in threading.enumerate() if each.name.startswith("tgscheduler")])
        assert list(scheduler.get_tasks()) == ["it", "forked"]
        counts = scheduler.counts()
        assert counts["running"] == counts["waiting"] == 0, counts
        scheduler.cancel("forked")
        start(scheduler)
        on_time()
        scheduler.stop()
        """,
    )


@pytest.mark.realtime
def test_an_exit_in_a_signal_handler_stops_a_plain_scheduler_in_the_main_thread(tmp_path):
    text = """
        def handle(number, frame):
            sys.exit(7)
        signal.signal(signal.SIGTERM, handle)
        scheduler = Scheduler(stop_timeout=0.1)
        scheduler.add_single_task(time.sleep, args=(60,), processmethod="forked")
        scheduler.add_single_task(lambda: print("ready", flush=True), initialdelay=0.3)
        try:
            scheduler.start()
        finally:
            print("running", scheduler.running, scheduler.counts()["cancelled"], flush=True)
    """
    with program(tmp_path, text) as process:
        process.printed("ready")
        os.kill(process.pid, signal.SIGTERM)
        assert process.ended() == 7, process.output
        assert "running False 1" in process.output


# -- the application forks -----------------------------------------------------------------------------------------


def in_a_fork(action):
    """Run ``action`` in a plain fork; return what it returns, as text."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        signal.alarm(15)
        try:
            os.write(write, str(action()).encode())
        except BaseException as error:
            os.write(write, repr(error).encode())
        finally:
            os._exit(0)
    os.close(write)
    with open(read) as answer:
        text = answer.read()
    os.waitpid(pid, 0)
    return text


@pytest.mark.realtime
def test_a_fork_has_a_silent_copy_that_warns_once_and_can_be_started_afresh(caplog):
    with on_time(ThreadedScheduler()) as probe:
        scheduler = probe.scheduler

        def use():
            found = [scheduler.running, scheduler.health()["state"], sum(scheduler.counts().values())]
            messages = []
            handler = logging.Handler()
            handler.emit = lambda record: messages.append(record.getMessage())
            logging.getLogger("tgscheduler").addHandler(handler)
            scheduler.add_single_task(int, taskname="one")
            scheduler.add_single_task(int, taskname="two")
            return found[:2], len(messages), "this process is a fork" in messages[0]

        before = scheduler.get_tasks()
        assert in_a_fork(use) == "([False, 'stopped'], 1, True)"
        assert scheduler.get_tasks() == before


@pytest.mark.realtime
@pytest.mark.slow
def test_a_fork_at_any_moment_of_a_busy_loop_copies_a_whole_timetable():
    scheduler = ThreadedScheduler()
    names = {f"t{number}" for number in range(50)}
    for name in names:
        scheduler.add_interval_task(time.sleep, 0.003, args=(0.001,), taskname=name)

    def restart():
        assert sum(scheduler.counts().values()) >= 0  # the books are whole
        scheduler.start()
        last = time.time()
        wait_for(lambda: {run.task for run in scheduler.runs(since=last, state="ok", limit=10_000)} >= names, 10)
        scheduler.stop(0)
        return "all"

    scheduler.start()
    try:
        wait_for(lambda: scheduler.counts()["ok"] > 50)
        assert {in_a_fork(restart) for _ in range(10)} == {"all"}
        assert scheduler.running
    finally:
        scheduler.stop()


@pytest.mark.realtime
def test_a_task_that_runs_at_a_fork_is_no_overlap_in_the_copy():
    release, scheduler = threading.Event(), ThreadedScheduler()
    scheduler.add_interval_task(release.wait, 0.1, kw={"timeout": 20}, taskname="it")
    with on_time(scheduler):
        wait_for(lambda: scheduler.runs("it", state="running"))

        def restart():
            scheduler.get_task("it").action = int
            scheduler.get_task("it").kw = {}
            at = time.time()
            scheduler.start()
            wait_for(lambda: scheduler.runs("it", state="ok"), 5)
            scheduler.stop()
            return {run.reason for run in scheduler.runs("it", since=at)}

        try:
            assert in_a_fork(restart) == "{None}"
        finally:
            release.set()


@pytest.mark.realtime
def test_books_that_are_being_written_at_a_fork_are_whole_in_the_copy():
    class Slow(MemoryStore):
        writing = threading.Event()

        def record(self, runs):
            self.writing.set()
            time.sleep(0.2)
            super().record(runs)

    store = Slow()
    scheduler = ThreadedScheduler(store=store)
    scheduler.add_interval_task(int, 0.05, taskname="it")
    scheduler.start()
    try:
        for _ in range(2):
            store.writing.clear()
            assert store.writing.wait(5)
            assert in_a_fork(lambda: (scheduler.counts()["running"], scheduler.runs() == [])) in (
                "(0, True)",
                "(0, False)",
            )
    finally:
        scheduler.stop()


def is_inert(scheduler, answers):
    answers.put((scheduler.running, scheduler.health()["state"]))


@pytest.mark.realtime
def test_a_process_of_multiprocessing_forked_beside_a_running_scheduler_is_inert():
    context = multiprocessing.get_context("fork")
    with on_time(ThreadedScheduler()) as probe:
        answers = context.SimpleQueue()
        process = context.Process(target=is_inert, args=(probe.scheduler, answers))
        process.start()
        process.join(10)
        assert (process.exitcode, answers.get()) == (0, (False, "stopped"))
        process.close()
        answers.close()


@pytest.mark.realtime
@pytest.mark.slow
def test_a_process_of_multiprocessing_spawned_beside_a_running_scheduler_knows_nothing_of_it(tmp_path):
    (tmp_path / "work.py").write_text(
        "def look(answers):\n"
        "    from tgscheduler import scheduler as functions\n"
        "    answers.put((functions._get_scheduler().running, len(functions.get_tasks())))\n"
    )
    done(
        tmp_path,
        """
        import multiprocessing, work
        if __name__ == "__main__":
            scheduler = start(ThreadedScheduler())
            context = multiprocessing.get_context("spawn")
            answers = context.SimpleQueue()
            process = context.Process(target=work.look, args=(answers,))
            process.start()
            process.join(15)
            assert (process.exitcode, answers.get()) == (0, (False, 0))
            on_time()
            scheduler.stop()
        """,
    )


# -- a fault of its own --------------------------------------------------------------------------------------------


@pytest.mark.realtime
@pytest.mark.parametrize("where", ["decide", "Run"])
def test_a_fault_in_the_middle_of_a_turn_costs_no_task_its_time(where, monkeypatch, caplog):
    scheduler = ThreadedScheduler(history=100_000)
    for number in range(5):
        scheduler.add_interval_task(int, 0.1, taskname=str(number))
    with on_time(scheduler):
        monkeypatch.setattr(loops, where, Nth(getattr(loops, where), MemoryError("injected"), 3))
        at = time.time()
        wait_for(lambda: all(len(scheduler.runs(str(number), since=at, state="ok")) > 2 for number in range(5)))
        assert scheduler.health()["state"] == "ok"
        for number in range(5):  # no point of its grid is left out
            found = scheduler.runs(str(number))[::-1]
            assert all(0.09 < after.due - before.until < 0.11 for before, after in itertools.pairwise(found))
    [record] = [record for record in caplog.records if record.levelno == logging.CRITICAL]
    assert "MemoryError: injected" in record.getMessage()


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
            patched.setattr(loops, "decide", broken)
        elif where == "turn":
            patched.setattr(loops.Loop, "turn", broken)
        elif where == "store":
            patched.setattr(scheduler._ledger.store, "record", broken)
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
