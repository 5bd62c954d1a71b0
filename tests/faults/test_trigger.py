"""What a trigger, or a task that reschedules itself, can do to the loop."""

import math
import threading
import time
from datetime import UTC, datetime

import pytest
from helpers import wait_for
from probe import again_on_time, on_time

from tgscheduler.engine import health
from tgscheduler.scheduler import IntervalTask, ThreadedScheduler
from tgscheduler.testing import TickedScheduler
from tgscheduler.timetable.plan import decide

NOON = datetime(2025, 6, 1, 12, tzinfo=UTC).timestamp()
DAY = 86400.0


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
    task._trigger = trigger
    return task


@pytest.mark.realtime
def test_a_trigger_without_a_later_answer_parks_its_task_with_the_reason(caplog):
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
        decide(0.0, 10.0, Fake(lambda moment: next(left)), None)


@pytest.mark.parametrize("moment", ["the start", "a step back"])
def test_one_broken_trigger_at_the_start_or_at_a_step_costs_no_other_task_its_time(moment, caplog):
    ticked = TickedScheduler(start=NOON)
    tasks = [ticked.add_weekday_task(int, range(1, 8), (13, 0), taskname=str(number)) for number in range(5)]
    tasks[2]._trigger = Fake(raiser(ZeroDivisionError("broken")))
    if moment == "the start":
        tasks[2]._adopt = lambda home: None
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
