"""A second start: in the same process, in another zone, after a failed one, in a fork."""

import os
import threading
import time

import pytest
from helpers import noop, running, wait_for

from tgscheduler.scheduler import ThreadedScheduler, method
from tgscheduler.testing import TickedScheduler


@pytest.mark.realtime
def test_a_restart_keeps_the_rhythm_of_an_interval_and_what_a_single_task_owes():
    scheduler, grid, late = ThreadedScheduler(), [], []
    scheduler.add_interval_task(lambda: grid.append(time.time()), 0.5)
    single = scheduler.add_single_task(lambda: late.append(time.time()), initialdelay=0.2)
    scheduler.start()
    wait_for(lambda: grid)
    scheduler.stop()
    time.sleep(0.3)  # the single task's time goes by while the scheduler is stopped
    scheduler.start()
    wait_for(lambda: len(grid) == 2 and late)
    scheduler.stop()

    assert 0.45 < grid[1] - grid[0] < 0.9
    assert single.next_due is None
    [run] = [run for run in scheduler.runs() if run.until == run.due and run.late > 0.05]
    assert run.state == "ok"


def test_a_restart_in_another_zone_moves_calendar_tasks():
    scheduler = TickedScheduler(start=1_750_000_000.0, timezone="UTC")  # 15:06:40
    task = scheduler.add_weekday_task(noop, range(1, 8), (18, 0))
    cron = scheduler.add_cron_like_task(noop, "0 18 * * *")
    before = task.next_due
    scheduler.stop()
    scheduler.configure(timezone="America/New_York")
    scheduler.start()
    assert task.next_due == cron.next_due == before + 4 * 3600


@pytest.mark.parametrize("refused", ["tgscheduler-worker", "tgscheduler-grower", "tgscheduler-loop"])
def test_a_start_without_threads_is_an_error_that_leaves_nothing(monkeypatch, refused):
    scheduler, real = ThreadedScheduler(), threading.Thread.start

    def start(thread):
        if thread.name.startswith(refused):
            raise RuntimeError("can't start new thread")
        real(thread)

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", start)
        if refused == "tgscheduler-worker":  # the grower will try again
            scheduler.start()
            assert scheduler.health()["state"] == "degraded"
            scheduler.stop()
        else:
            with pytest.raises(RuntimeError, match="can't start new thread"):
                scheduler.start()
    assert not scheduler.running
    with running(scheduler):
        done = threading.Event()
        scheduler.add_single_task(done.set)
        assert done.wait(5)


@pytest.mark.parametrize("processmethod", [method.sequential, method.threaded])
def test_an_action_may_restart_its_scheduler(processmethod):
    scheduler = ThreadedScheduler(stop_timeout=30)
    again = threading.Event()

    def restart():
        scheduler.stop()
        scheduler.add_single_task(again.set)
        scheduler.start()

    scheduler.add_single_task(restart, processmethod=processmethod)
    scheduler.start()

    assert again.wait(5)
    wait_for(lambda: scheduler.counts()["ok"] == 2)
    scheduler.stop()


def test_a_fork_of_the_application_has_a_dead_copy_that_can_be_started_afresh(tmp_path):
    scheduler = ThreadedScheduler()
    scheduler.add_interval_task(noop, 3600, taskname="it")
    scheduler.start()
    path = tmp_path / "child"

    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            alive_at_first = scheduler.running
            done = threading.Event()
            scheduler.add_single_task(done.set)
            scheduler.start()
            ran = done.wait(5)
            scheduler.stop()
            path.write_text(f"{alive_at_first} {ran} {sorted(scheduler.get_tasks())}")
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(pid, 0)

    assert (os.waitstatus_to_exitcode(status), path.read_text()) == (0, "False True ['it']")
    assert scheduler.running
    scheduler.stop()
