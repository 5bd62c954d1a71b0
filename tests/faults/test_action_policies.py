"""An action that hangs or fails, whose task has a policy for that; a probe task beside it."""

import os
import time

import pytest
from helpers import wait_for
from probe import on_time
from tgscheduler.policy import Retry

from tgscheduler.scheduler import ThreadedScheduler, current_run


def returns_when_told():
    while not current_run().cancelled:
        time.sleep(0.005)


@pytest.mark.slow
def test_a_threaded_action_past_its_timeout_is_timed_out_and_its_task_goes_on():
    scheduler = ThreadedScheduler()
    with on_time(scheduler):
        scheduler.add_interval_task(returns_when_told, 0.15, timeout=0.1, taskname="hangs")
        wait_for(lambda: len(scheduler.runs("hangs", state="timed_out")) > 2)
        scheduler.cancel("hangs")
        assert all("timed out" in run.reason for run in scheduler.runs("hangs", state="timed_out"))
        wait_for(lambda: scheduler.health()["abandoned"] == 0)


def test_a_forked_action_past_its_timeout_is_ended_with_its_process():
    scheduler = ThreadedScheduler()
    with on_time(scheduler):
        scheduler.add_single_task(time.sleep, args=(600,), processmethod="forked", timeout=0.2, taskname="hangs")
        [run] = wait_for(lambda: scheduler.runs("hangs", state="timed_out"))
        assert "timed out" in run.reason
        wait_for(lambda: scheduler.health()["children"] == 0)
        with pytest.raises(ProcessLookupError):
            os.kill(run.where.process, 0)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["threaded", "forked", "sequential"])
def test_a_failing_action_is_tried_again_and_is_one_run(method, tmp_path):
    marks = tmp_path / "marks"
    marks.touch()

    def flaky():
        with marks.open("a") as file:
            file.write(f"{current_run().attempt}\n")
        if current_run().attempt < 3:
            raise OSError("not yet")

    scheduler = ThreadedScheduler()
    with on_time(scheduler):
        scheduler.add_single_task(flaky, processmethod=method, retry=Retry(5, delay=0.05), taskname="flaky")
        [run] = wait_for(lambda: scheduler.runs("flaky", state="ok"))
        assert (run.attempt, run.reason, run.count) == (3, "after 3 attempts", 1)
        assert scheduler.runs("flaky") == [run]
    assert marks.read_text().split() == ["1", "2", "3"]


def test_retries_end_and_the_last_error_is_in_the_record():
    def fails():
        raise OSError(f"attempt {current_run().attempt}")

    scheduler = ThreadedScheduler()
    with on_time(scheduler):
        scheduler.add_single_task(fails, retry=Retry(2, delay=0.01), taskname="fails")
        [run] = wait_for(lambda: scheduler.runs("fails", state="failed"))
        assert (run.attempt, run.reason) == (3, "after 3 attempts")
        assert "attempt 3" in run.error
        time.sleep(0.1)
        assert scheduler.runs("fails") == [run]


def test_an_exception_that_is_not_to_be_tried_again_fails_at_once():
    scheduler = ThreadedScheduler()
    with on_time(scheduler):
        scheduler.add_single_task(int, args=("x",), retry=Retry(2, delay=0.01, on=OSError), taskname="fails")
        [run] = wait_for(lambda: scheduler.runs("fails", state="failed"))
        assert run.attempt == 1
