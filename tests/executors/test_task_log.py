"""``current_run().log``: what an action logs says which task it was, wherever it runs."""

import logging

import pytest
from helpers import NOON, running, wait_for

from tgscheduler.scheduler import Retry, ThreadedScheduler, current_run, method
from tgscheduler.testing import TickedScheduler


def logged(action, processmethod, caplog):
    """Run an action under the name ``pull``; return its run and the only record of what it has logged."""
    caplog.set_level(logging.INFO)
    with running(ThreadedScheduler()) as scheduler:
        task = scheduler.add_single_task(action, taskname="pull", processmethod=processmethod)
        [run] = wait_for(lambda: scheduler.runs(task, state="ok"))
        [record] = wait_for(lambda: [record for record in caplog.records if record.name == "tgscheduler.action"])
    return run, record


@pytest.mark.parametrize("processmethod", [method.sequential, method.threaded, method.forked])
def test_a_line_begins_with_the_tasks_name(processmethod, caplog):
    def action():
        current_run().log.info("%d of %s", 3, "these")

    _, record = logged(action, processmethod, caplog)
    assert (record.getMessage(), record.levelname, record.funcName) == ("pull: 3 of these", "INFO", "action")


@pytest.mark.parametrize("processmethod", [method.sequential, method.threaded, method.forked])
def test_a_record_says_which_run_it_is_of_beside_what_the_action_adds(processmethod, caplog):
    def action():
        current_run().log.info("done", extra={"customer": "c1"})

    run, record = logged(action, processmethod, caplog)
    assert (record.task, record.due, record.attempt, record.customer) == ("pull", run.due, 1, "c1")


def test_each_attempt_and_each_occurrence_says_its_own(caplog):
    scheduler = TickedScheduler(start=NOON)

    def action():
        log = current_run().log
        log.warning("tried")
        if log.extra["attempt"] == 1:
            raise ValueError("as planned")

    scheduler.add_interval_task(action, 60, taskname="it", retry=Retry(1, delay=5, jitter=0))
    scheduler.add_single_task(lambda: current_run().log.warning("mine"), initialdelay=10)
    scheduler.tick(70)
    told = [record for record in caplog.records if record.name == "tgscheduler.action"]
    assert [(record.task, record.due - NOON, record.attempt) for record in told if record.task == "it"] == [
        *[("it", 0, 1), ("it", 0, 2), ("it", 60, 1), ("it", 60, 2)]
    ]
    [unnamed] = [record for record in told if record.task != "it"]
    assert unnamed.task.startswith(f"{__name__}.test_each_attempt")
    assert unnamed.getMessage() == f"{unnamed.task}: mine"


def test_a_percent_sign_in_a_name_is_no_format(caplog):
    scheduler = TickedScheduler()
    scheduler.add_single_task(lambda: current_run().log.warning("%s left", 3), taskname="50%s off")
    scheduler.tick()
    assert caplog.messages == ["50%s off: 3 left"]


def test_an_exception_is_logged_with_its_traceback(caplog):
    def action():
        try:
            raise ValueError("inner")
        except ValueError:
            current_run().log.exception("caught")

    scheduler = TickedScheduler()
    scheduler.add_single_task(action, taskname="it")
    scheduler.tick()
    [record] = [record for record in caplog.records if record.name == "tgscheduler.action"]
    assert (record.getMessage(), record.levelname) == ("it: caught", "ERROR")
    assert "ValueError: inner" in caplog.text
