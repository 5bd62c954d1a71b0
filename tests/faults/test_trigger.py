"""What a trigger, or a task that reschedules itself, can do to the loop."""

import math
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from helpers import DAY, NOON, entry_for, entry_of, wait_for
from probe import again_on_time, on_time

from tgscheduler.engine import health
from tgscheduler.errors import InvalidValue
from tgscheduler.scheduler import IntervalTask, ThreadedScheduler
from tgscheduler.testing import TickedScheduler
from tgscheduler.timetable.entry import Entry
from tgscheduler.timetable.plan import decide
from tgscheduler.timetable.triggers import Cron


class Fake:
    """A trigger that answers what it is told, and counts how often it was asked."""

    def __init__(self, answer):
        self._answer, self.asked = answer, 0

    def next_after(self, moment):
        self.asked += 1
        return self._answer(moment)


def raiser(error):
    def answer(moment):
        raise error

    return answer


ANSWERS = {
    "the past": lambda moment: moment - 3600,
    "a moment ago": lambda moment: math.nextafter(moment, 0),
    "the same moment": lambda moment: moment,
    "not a number": lambda moment: math.nan,
    "infinity": lambda moment: math.inf,
    "minus infinity": lambda moment: -math.inf,
    "a string": lambda moment: "tomorrow",
    "a datetime": lambda moment: datetime.now(UTC),
    "a list": lambda moment: [moment + 1],
    "ValueError": raiser(ValueError("broken\nERROR forged")),
    "SystemExit": raiser(SystemExit(3)),
    "KeyboardInterrupt": raiser(KeyboardInterrupt()),
    "GeneratorExit": raiser(GeneratorExit()),
    "RecursionError": lambda moment: ANSWERS["RecursionError"](moment),
}


def park_by(scheduler, trigger, name="evil", initialdelay=0.02):
    task = scheduler.add_interval_task(int, 60, taskname=name, initialdelay=initialdelay)
    entry_of(task).trigger = trigger
    return task


@pytest.mark.realtime
def test_a_trigger_without_a_later_answer_disables_its_task_with_the_reason(caplog):
    with on_time(ThreadedScheduler()) as probe:
        for kind, answer in ANSWERS.items():
            trigger = Fake(answer)
            park_by(probe.scheduler, trigger, kind)
            [run] = wait_for(lambda kind=kind: probe.scheduler.runs(kind))
            assert run.state == "skipped", kind
            assert run.reason.startswith("its trigger raised ")
            assert run.reason.isprintable()
            assert probe.scheduler.get_task(kind) is None
            assert probe.scheduler.health()["state"] == "ok"
            assert trigger.asked < 5
    said = [message for message in caplog.messages if ": its trigger" in message]
    assert [message.partition(":")[0] for message in said] == list(ANSWERS)
    assert "\n" not in "".join(said)


@pytest.mark.realtime
def test_a_trigger_that_answers_none_has_ended_and_its_last_occurrence_runs():
    with on_time(ThreadedScheduler()) as probe:
        park_by(probe.scheduler, Fake(lambda moment: None))
        [run] = wait_for(lambda: probe.scheduler.runs("evil", state="ok"))
        wait_for(lambda: probe.scheduler.get_task("evil") is None)
        assert run.reason is None


@pytest.mark.parametrize("answers", [[5, 3], [5, 5], [5, math.nan], [5, 50, 5], [5, 50, 10], [5, 50, math.inf]])
def test_a_trigger_that_goes_astray_within_a_missed_stretch_is_an_error_and_no_endless_count(answers):
    left = iter([*answers, *[answers[-1]] * 3])
    with pytest.raises(ValueError, match="next_after: expected a time after"):
        decide(entry_for(Fake(lambda moment: next(left)), due=0.0), 0.0, "it", 10.0)


@pytest.mark.parametrize("moment", ["the start", "a step back"])
def test_one_broken_trigger_at_the_start_or_at_a_step_costs_no_other_task_its_time(moment, caplog, monkeypatch):
    ticked = TickedScheduler(start=NOON)
    tasks = [ticked.add_weekday_task(int, range(1, 8), (13, 0), taskname=str(number)) for number in range(5)]
    entry_of(tasks[2]).trigger = Fake(raiser(ZeroDivisionError("broken")))
    if moment == "the start":
        monkeypatch.setattr(Entry, "adopt", lambda self: None)
        ticked.stop()
        ticked.clock.advance(2 * DAY)
        ticked.start()
    else:
        ticked.clock.step_by(-DAY)
        ticked.tick()
    assert sorted(ticked.get_tasks()) == ["0", "1", "3", "4"]
    assert ticked.runs("2")[0].reason == "its trigger raised ZeroDivisionError: broken"
    ticked.tick(DAY)
    assert [len(ticked.runs(name, state="ok")) for name in "0134"] == [1, 1, 1, 1]


def own_class(answer):
    class Own(IntervalTask):
        def reschedule(self, scheduler):
            scheduler.schedule_task_abs(self, answer(time.time()))

    return Own


@pytest.mark.realtime
def test_a_reschedule_without_an_answer_ends_its_task_with_the_reason(caplog):
    with on_time(ThreadedScheduler()) as probe:
        for kind in ANSWERS.keys() - {"the past", "a moment ago", "the same moment"}:  # those are times like any other
            probe.scheduler.schedule_task(own_class(ANSWERS[kind])(kind, 60, int), 0.02)
            [run] = wait_for(lambda kind=kind: probe.scheduler.runs(kind, state="ok"))
            wait_for(lambda run=run: run.reason)
            assert run.reason.startswith("its reschedule raised ")
            assert run.reason.isprintable()
            wait_for(lambda kind=kind: probe.scheduler.get_task(kind) is None)


@pytest.mark.realtime
def test_a_reschedule_that_puts_itself_into_the_past_again_and_again_lets_everybody_else_run():
    with on_time(ThreadedScheduler()) as probe:
        probe.scheduler.schedule_task(own_class(lambda now: now - 3600)("evil", 60, int), 0.05)
        wait_for(lambda: len(probe.scheduler.runs("evil")) > 3)
        number = len(probe.beats)
        wait_for(lambda: len(probe.beats) > number + 2)
        probe.scheduler.cancel("evil")


@pytest.mark.realtime
def test_a_reschedule_that_does_not_return_is_named_by_health(monkeypatch):
    monkeypatch.setattr(health, "LAG", 0.2)
    release = threading.Event()

    class Own(IntervalTask):
        def reschedule(self, scheduler):
            release.wait(20)

    scheduler = ThreadedScheduler()
    with again_on_time(scheduler):
        scheduler.schedule_task(Own("endless", 60, int), 0)
        found = wait_for(lambda: (state := scheduler.health())["state"] == "degraded" and state, 5)
        wait_for(
            lambda: any(
                "endless: its reschedule holds the loop since 0." in line for line in scheduler.health()["reasons"]
            )
        )
        assert found["reasons"]
        release.set()


@pytest.mark.slow
@pytest.mark.realtime
def test_a_trigger_that_does_not_return_locks_the_timetable_and_health_says_so():
    release = threading.Event()

    def answer(moment):
        release.wait(20)

    scheduler = ThreadedScheduler()
    with again_on_time(scheduler):
        park_by(scheduler, Fake(answer), initialdelay=0)
        wait_for(lambda: scheduler._registry.lock.locked())
        reasons = wait_for(
            lambda: [line for line in scheduler.health()["reasons"] if "a trigger that does not" in line]
        )
        assert reasons == ["the timetable is locked for more than 1 s: a trigger that does not return?"]
        release.set()


# -- triggers of the application's own, through add_task -------------------------------------------------------------


def once_sound(answer):
    """Return a trigger whose first answer is sound: what is wrong at once is refused by ``add_task``."""
    left = [1]

    def answers(moment):
        return moment + 0.02 if left and left.pop() else answer(moment)

    return Fake(answers)


@pytest.mark.parametrize("kind", ANSWERS.keys() - {"SystemExit", "KeyboardInterrupt", "GeneratorExit"})
def test_a_custom_trigger_that_is_wrong_at_once_is_an_error_at_the_call(kind):
    ticked = TickedScheduler(start=NOON)
    trigger = Fake(ANSWERS[kind])
    with pytest.raises(InvalidValue, match="its trigger raised "):
        ticked.add_task(int, trigger, taskname="it")
    assert (ticked.get_tasks(), ticked.health()["tasks"], trigger.asked < 5) == ({}, 0, True)


@pytest.mark.realtime
def test_a_custom_trigger_without_a_later_answer_disables_its_task_with_the_reason(caplog):
    with on_time(ThreadedScheduler()) as probe:
        for kind, answer in ANSWERS.items():
            trigger = once_sound(answer)
            probe.scheduler.add_task(int, trigger, taskname=kind)
            [run] = wait_for(lambda kind=kind: probe.scheduler.runs(kind))
            assert (run.state, run.reason.startswith("its trigger raised ")) == ("skipped", True), kind
            assert run.reason.isprintable()
            assert probe.scheduler.get_task(kind) is None
            assert trigger.asked < 5
        assert probe.scheduler.health()["state"] == "ok"
    said = [message for message in caplog.messages if ": its trigger" in message]
    assert [message.partition(":")[0] for message in said] == list(ANSWERS)


@pytest.mark.parametrize("kind", ["ValueError", "SystemExit", "KeyboardInterrupt", "not a number", "the past"])
@pytest.mark.parametrize("moment", ["the start", "a step back"])
def test_a_custom_trigger_that_is_wrong_at_the_start_or_at_a_step_costs_no_other_task_its_time(moment, kind, caplog):
    ticked = TickedScheduler(start=NOON)
    wrong = []
    sound = Cron("0 13 * * *")
    for number in range(5):
        ticked.add_task(
            int,
            Fake(lambda now, number=number: ANSWERS[kind](now) if number == 2 and wrong else sound.next_after(now)),
            taskname=str(number),
        )
    wrong.append(1)
    if moment == "the start":
        ticked.stop()
        ticked.start()
    else:
        ticked.clock.step_by(-DAY)
        ticked.tick()
    assert sorted(ticked.get_tasks()) == ["0", "1", "3", "4"]
    assert ticked.runs("2")[0].reason.startswith("its trigger raised ")
    ticked.tick(DAY)
    assert [len(ticked.runs(name, state="ok")) for name in "0134"] == [1, 1, 1, 1]


def test_a_custom_trigger_is_never_asked_while_the_timetable_is_locked():
    ticked = TickedScheduler(start=NOON)
    asked = []

    def answer(moment):
        asked.append(ticked._registry.lock.locked())
        return None if moment > NOON + 300 else (moment // 60 + 1) * 60

    ticked.add_task(int, Fake(answer), taskname="it", misfire="run_all", misfire_cap=3, jitter=2)
    ticked.tick(70)
    ticked.clock.advance(130)
    ticked.tick()
    ticked.clock.step_by(-100)
    ticked.tick()
    ticked.stop()
    ticked.start()
    ticked.reschedule_task("it", Fake(answer))
    ticked.tick(600)
    ticked.add_task(int, Fake(lambda moment: asked.append(ticked._registry.lock.locked())), taskname="never")
    assert ticked.get_tasks() == {}
    assert len(asked) > 15
    assert not any(asked)


ENDLESS = """
import sys, threading, time
sys.path.insert(0, {tests!r})
from helpers import wait_for
from tgscheduler.engine import health
from tgscheduler.scheduler import ThreadedScheduler

health.LAG = 0.3
asked = []

class Endless:
    def next_after(self, moment):
        asked.append(threading.current_thread().name)
        if len(asked) == {after}:
            while True:
                time.sleep(0.01)
        return moment + 0.05

scheduler = ThreadedScheduler(stop_timeout=0.2)
if {before}:
    scheduler.add_task(int, Endless(), taskname="endless")
scheduler.start()
if not {before}:
    scheduler.add_task(int, Endless(), taskname="endless")
wait_for(lambda: len(asked) == {after})
reasons = wait_for(lambda: [line for line in scheduler.health()["reasons"] if "endless: its trigger holds" in line], 5)
began = time.monotonic()
for number in range(100):
    task = scheduler.add_single_task(int, initialdelay=60, taskname=str(number))
    scheduler.pause(task)
    scheduler.rename(task, f"new {{number}}")
    scheduler.cancel(task)
assert scheduler.get_task("endless") is not None
scheduler.cancel("endless")
assert time.monotonic() - began < 0.5, time.monotonic() - began
began = time.monotonic()
scheduler.stop()
assert time.monotonic() - began < 2
assert asked[-1] == "tgscheduler-loop"
print("done", reasons[0])
"""


@pytest.mark.slow
@pytest.mark.realtime
@pytest.mark.parametrize("before", [True, False])
def test_a_custom_trigger_that_does_not_return_is_named_by_health_and_locks_nothing(before):
    code = ENDLESS.format(tests=str(Path(__file__).parents[1]), before=before, after=2)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert done.stdout.startswith("done endless: its trigger holds the loop since 0."), done.stdout + done.stderr
