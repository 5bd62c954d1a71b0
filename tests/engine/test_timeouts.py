"""Runs that take too long, and what is tried again: by the deadline, by what has failed, until it is ended."""

import os
import signal
import threading
import time
from pathlib import Path

import pytest
from helpers import DAY, HOUR, NOON, flaky, records, running, states, total, wait_for

from tgscheduler.scheduler import Retry, ThreadedScheduler, current_run

# -- timeouts --------------------------------------------------------------------------------------------------------


def test_a_sequential_run_past_its_timeout_is_marked_when_it_returns(ticked, caplog):
    ticked.add_single_task(lambda: ticked.clock.advance(3), processmethod="sequential", taskname="it", timeout=2)
    ticked.add_single_task(lambda: ticked.clock.advance(2), processmethod="sequential", taskname="just", timeout=2)
    ticked.tick(10)
    assert records(ticked) == [(0, 0, 1, "timed_out", 1, "timed out: it took 3.000 s of 2")]
    assert [record[3] for record in records(ticked, "just")] == ["ok"]
    assert "it: timed out: it took 3.000 s of 2" in caplog.messages


def test_a_deadline_is_known_inside(ticked):
    seen = []

    def action():
        run = current_run()
        seen.append((run.deadline - NOON, run.cancelled, (ticked.clock.advance(5), run.cancelled)[1]))

    ticked.add_single_task(action, taskname="it", timeout=5)
    ticked.add_single_task(lambda: seen.append((current_run().deadline, current_run().cancelled)), initialdelay=60)
    ticked.tick(60)
    assert seen == [(5, False, True), (None, False)]


@pytest.mark.realtime
def test_a_threaded_run_is_marked_at_its_deadline_and_its_thread_counts_until_it_returns(caplog):
    release, seen = threading.Event(), []

    def action():
        run = current_run()
        release.wait(10)
        seen.append(run.cancelled)

    with running(ThreadedScheduler()) as scheduler:
        scheduler.add_single_task(action, taskname="it", timeout=0.1)
        [run] = wait_for(lambda: scheduler.runs("it", state="timed_out"))
        assert 0.1 <= run.ended - run.started < 0.2
        thread = run.where.thread
        assert run.reason == f"timed out after 0.1 s; {thread} is held until it returns"
        assert (scheduler.health()["abandoned"], scheduler.health()["running"]) == (1, 0)
        assert scheduler.get_task("it") is None
        release.set()
        wait_for(lambda: scheduler.health()["abandoned"] == 0)
        assert seen == [True]
        assert [found.state for found in scheduler.runs("it")] == ["timed_out"]
    assert caplog.text.count("it: timed out after 0.1 s") == 1


@pytest.mark.realtime
def test_a_timeout_is_tried_again_while_the_first_attempt_still_holds_its_thread():
    release, seen = threading.Event(), []

    def action():
        run = current_run()
        if run.attempt == 1:
            release.wait(10)
            seen.append(("first", run.attempt, run.cancelled))
        else:
            seen.append(("second", run.attempt, run.cancelled))

    with running(ThreadedScheduler()) as scheduler:
        scheduler.add_single_task(action, taskname="it", timeout=0.1, retry=Retry(1, delay=0.05))
        [run] = wait_for(lambda: scheduler.runs("it", state="ok"))
        assert (run.attempt, run.reason, scheduler.health()["abandoned"]) == (2, "after 2 attempts", 1)
        assert total(scheduler.counts()) == 1
        release.set()
        wait_for(lambda: len(seen) == 2 and not scheduler.health()["abandoned"])
        assert seen == [("second", 2, False), ("first", 1, True)]
        assert (scheduler.runs("it"), total(scheduler.counts())) == ([run], 1)


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.realtime
def test_a_forked_run_is_gone_soon_after_its_deadline_with_its_group(tmp_path):
    pids = tmp_path / "pids"

    def action():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        grandchild = os.fork()
        if grandchild:
            pids.write_text(f"{os.getpid()} {grandchild}")
        while True:
            time.sleep(1)

    with running(ThreadedScheduler()) as scheduler:
        scheduler.add_single_task(action, processmethod="forked", taskname="it", timeout=0.3)
        [run] = wait_for(lambda: scheduler.runs("it", state="timed_out"))
        assert 0.3 <= run.ended - run.started < 0.8
        assert run.reason.startswith("timed out after 0.3")
        assert run.reason.endswith("its process was ended")
        wait_for(lambda: not any(map(alive, pids.read_text().split())), 1.0)


# -- what is tried again ---------------------------------------------------------------------------------------------


@pytest.mark.realtime
@pytest.mark.parametrize(
    ("kind", "on", "attempts"),
    [
        ("dies", (ChildProcessError,), 2),
        ("dies", (ValueError,), 1),
        ("raises", (LookupError,), 2),
        ("raises", (ChildProcessError,), 1),
        ("hangs", (TimeoutError,), 2),
        ("exits", (Exception,), 1),
        ("exits", (SystemExit,), 2),
    ],
)
def test_a_forked_run_is_tried_again_for_what_is_listed(kind, on, attempts, tmp_path):
    def action():
        with (tmp_path / "attempts").open("a") as file:
            file.write(f"{current_run().attempt}\n")
        if kind == "dies":
            os.kill(os.getpid(), signal.SIGKILL)
        if kind == "raises":
            raise KeyError("as planned")
        if kind == "exits":
            raise SystemExit(3)
        time.sleep(20)

    with running(ThreadedScheduler()) as scheduler:
        scheduler.add_single_task(
            action, processmethod="forked", taskname="it", retry=Retry(1, delay=0.01, on=on),
            timeout=0.15 if kind == "hangs" else None,
        )  # fmt: skip
        run = wait_for(lambda: [run for run in scheduler.runs("it") if run.ended])[0]
        assert (run.state, run.attempt) == ("timed_out" if kind == "hangs" else "failed", attempts)
        assert (tmp_path / "attempts").read_text().split() == [str(number + 1) for number in range(attempts)]
        assert total(scheduler.counts()) == 1


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        ("stop", "stopped before it began"),
        ("cancel", "its task was cancelled"),
        ("cancel_run", "cancelled by hand"),
    ],
)
def test_a_run_that_waits_for_its_next_attempt_can_be_ended(ticked, end, reason):
    task = ticked.add_interval_task(flaky(ticked, 9), HOUR, taskname="it", retry=Retry(5, delay=60, jitter=0))
    ticked.tick(10)
    [run] = ticked.runs(task)
    assert run.state == "waiting"
    if end == "stop":
        ticked.stop()
    elif end == "cancel":
        ticked.cancel(task)
    else:
        assert ticked.cancel_run(run)
    ticked.tick(100)
    assert records(ticked) == [(0, 0, 1, "cancelled", 2, reason)]
    assert (ticked.counts()["waiting"], ticked.health()["waiting"]) == (0, 0)


@pytest.mark.parametrize("end", ["stop", "cancel", "cancel_run"])
@pytest.mark.realtime
def test_what_waits_in_line_can_be_ended(end):
    release = threading.Event()
    with running(ThreadedScheduler(stop_timeout=0.3)) as scheduler:
        task = scheduler.add_interval_task(lambda: release.wait(10), DAY, taskname="it", overlap="queue")
        wait_for(lambda: scheduler.counts()["running"])
        waiting = [scheduler.run_now(task) for _ in range(3)]
        wait_for(lambda: scheduler.counts()["waiting"] == 3)
        if end == "stop":
            threading.Timer(0.1, release.set).start()
            scheduler.stop()
        elif end == "cancel":
            scheduler.cancel(task)
        else:
            assert scheduler.cancel_run(waiting[1])
            assert not scheduler.cancel_run(waiting[1])
        release.set()
        wait_for(lambda: not scheduler.counts()["waiting"] + scheduler.counts()["running"])
        expected = ["ok", "cancelled", "ok"] if end == "cancel_run" else ["cancelled"] * 3
        assert [run.state for run in waiting] == expected
        assert total(scheduler.counts()) == 4


@pytest.mark.parametrize("seconds", [HOUR, -HOUR])
def test_the_wait_for_the_next_attempt_counts_real_seconds(ticked, seconds):
    ticked.add_single_task(flaky(ticked, 1), taskname="it", retry=Retry(1, delay=60, jitter=0))
    ticked.tick(10)
    ticked.clock.step_by(seconds)
    ticked.tick(49)
    assert states(ticked) == [(0, 1, "waiting")]
    ticked.tick(1)
    assert states(ticked) == [(0, 1, "ok")]
