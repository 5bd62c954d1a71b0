"""What an action can call, and what can become of its task meanwhile."""

import json
import os
import threading

import pytest
from helpers import total, wait_for
from probe import METHODS, end_of, on_time, run_once

from tgscheduler.errors import WrongProcess
from tgscheduler.scheduler import ThreadedScheduler, method

pytestmark = pytest.mark.realtime


# -- what becomes of its task meanwhile ----------------------------------------------------------------------------


def test_the_next_run_gets_the_very_arguments_that_the_last_one_changed():
    args, kw = [[]], {"seen": {}}

    def action(numbers, seen):
        numbers.append(len(numbers))
        seen[len(seen)] = True

    scheduler = ThreadedScheduler()
    task = scheduler.add_interval_task(action, 0.05, args=args, kw=kw, taskname="it")
    with on_time(scheduler):
        wait_for(lambda: len(args[0]) >= 3)
    assert task.args is args
    assert args[0][:3] == [0, 1, 2]
    assert len(kw["seen"]) == len(args[0])


@pytest.mark.parametrize("processmethod", METHODS)
def test_an_action_that_is_not_callable_any_more_fails_and_its_task_goes_on(processmethod):
    scheduler = ThreadedScheduler()
    task = scheduler.add_interval_task(int, 0.03, taskname="it", processmethod=processmethod)
    with on_time(scheduler):
        wait_for(lambda: scheduler.runs("it", state="ok"))
        task.action = None
        wait_for(lambda: len(scheduler.runs("it", state="failed")) > 1)
        task.action = int
        last = wait_for(lambda: scheduler.runs("it", state="failed"))[0]
        wait_for(lambda: scheduler.runs("it", state="ok")[0].due > last.due)
        assert "not callable" in last.error
        assert total(scheduler.counts()) >= 4


class EvilAction:
    def __getattr__(self, name):
        raise RuntimeError(f"no {name}")

    def __call__(self):
        pass


class UnhashableNames:
    def __init__(self):
        self.__module__ = self.__qualname__ = []

    def __call__(self):
        pass


@pytest.mark.parametrize("kind", [EvilAction, UnhashableNames], ids=["raises", "unhashable"])
def test_an_action_whose_names_cannot_be_had_runs_all_the_same(kind):
    with on_time(ThreadedScheduler()) as probe:
        task = probe.scheduler.add_single_task(kind())
        assert end_of(probe.scheduler, task).state == "ok"


# -- it calls the API ----------------------------------------------------------------------------------------------


def verbs(scheduler, me):
    """Each verb that an action may call on its own scheduler, by name."""

    def again():
        scheduler.cancel(me)
        scheduler.add_single_task(int, taskname=me, initialdelay=60)
        scheduler.cancel(me)

    def wait_for_another():
        ran = threading.Event()
        scheduler.add_single_task(ran.set)
        assert ran.wait(2)

    return {
        "add": lambda: scheduler.add_single_task(int),
        "look": lambda: (scheduler.get_tasks(), scheduler.runs(), scheduler.counts(), scheduler.health()),
        "cancel itself": lambda: scheduler.cancel(me),
        "rename itself": lambda: scheduler.rename_task(me, me + "!"),
        "add itself again": again,
        "start": lambda: scheduler.start(),
        "wait for another": wait_for_another,
    }


@pytest.mark.parametrize("processmethod", [method.sequential, method.threaded])
def test_an_action_may_call_every_verb_within_two_seconds(processmethod):
    scheduler = ThreadedScheduler()
    with on_time(scheduler):
        for verb in verbs(scheduler, ""):
            if (verb, processmethod) == ("wait for another", method.sequential):
                continue  # a sequential one may not: the other would have to run beside it
            run = run_once(scheduler, verbs(scheduler, verb)[verb], method=processmethod, name=verb, timeout=2)
            assert run.state == "ok", run.error


def test_in_a_forked_run_each_verb_is_an_error_that_says_why():
    scheduler = ThreadedScheduler()
    with on_time(scheduler):
        for verb in ("add", "cancel itself", "rename itself", "start"):
            run = run_once(scheduler, verbs(scheduler, verb)[verb], method="forked", name=verb, timeout=5)
            assert run.state == "failed"
            assert WrongProcess.__name__ in run.error
            assert "this is the child process of a forked run" in run.error


def test_a_forked_run_that_stops_its_copy_of_the_scheduler_stops_nothing(tmp_path):
    path = tmp_path / "said"
    scheduler = ThreadedScheduler()
    with on_time(scheduler):

        def action():
            scheduler.stop()
            path.write_text(json.dumps([scheduler.running, os.getpid()]))

        assert run_once(scheduler, action, method="forked", timeout=5).state == "ok"
        assert json.loads(path.read_text())[0] is False
        assert scheduler.running
