"""Start and stop, in any order and at any moment."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import pytest
from helpers import noop, running, total, wait_for

from tgscheduler import scheduler as functions
from tgscheduler.executors import forked_child
from tgscheduler.scheduler import Scheduler, ThreadedScheduler, method


def test_the_functions_start_and_stop_the_default_scheduler():
    scheduler = functions.start_scheduler()

    assert scheduler.running
    assert functions.start_scheduler() is scheduler
    functions.stop_scheduler()
    functions.stop_scheduler()
    assert not scheduler.running


def test_stop_before_any_start_is_harmless():
    functions.stop_scheduler()
    ThreadedScheduler().stop()


def test_adding_starts_no_thread():
    before = threading.active_count()
    functions.add_interval_task(noop, 60)
    functions.add_weekday_task(noop, [1], (0, 0))

    assert threading.active_count() == before


def test_a_hundred_start_stop_cycles_leave_nothing_behind():
    scheduler, ran = ThreadedScheduler(), []
    scheduler.add_interval_task(ran.append, 3600, args=(1,), taskname="it")
    for _ in range(100):
        scheduler.start()
        assert scheduler.running
        scheduler.stop()
        assert not scheduler.running
    assert list(scheduler.get_tasks()) == ["it"]
    assert total(scheduler.counts()) <= 1  # the grid has one point in this hour, whatever the number of starts


@pytest.mark.parametrize("starts", [2, 8])
def test_starting_in_many_threads_starts_one_loop(starts):
    scheduler = ThreadedScheduler()
    threads = [threading.Thread(target=scheduler.start) for _ in range(starts)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    loops = [thread for thread in threading.enumerate() if thread.name == "tgscheduler-loop"]
    scheduler.stop()
    assert len(loops) == 1


def test_stopping_in_many_threads_stops_once_and_returns_everywhere():
    scheduler = ThreadedScheduler()
    scheduler.start()
    threads = [threading.Thread(target=scheduler.stop) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)

    assert not any(thread.is_alive() for thread in threads)
    assert not scheduler.running


@pytest.mark.realtime
@pytest.mark.parametrize("processmethod", [method.sequential, method.threaded, method.forked])
def test_stop_waits_for_what_runs(processmethod, tmp_path):
    scheduler = ThreadedScheduler()
    path, go = tmp_path / "done", tmp_path / "go"
    scheduler.add_single_task(lambda: (wait_for(go.exists), path.touch()), processmethod=processmethod)
    scheduler.start()
    wait_for(lambda: scheduler.counts()["running"])

    threading.Timer(0.1, go.touch).start()
    scheduler.stop()

    assert path.exists()
    assert scheduler.counts()["ok"] == total(scheduler.counts()) == 1


@pytest.mark.realtime
@pytest.mark.parametrize("processmethod", [method.sequential, method.threaded])
def test_stop_leaves_an_action_that_never_returns_behind(processmethod, caplog):
    release = threading.Event()
    scheduler = ThreadedScheduler(stop_timeout=0.1)
    scheduler.add_single_task(release.wait, taskname="endless", processmethod=processmethod)
    scheduler.start()
    wait_for(lambda: scheduler.counts()["running"])
    threads = threading.active_count()

    started = time.monotonic()
    scheduler.stop()

    assert time.monotonic() - started < 2
    assert scheduler.counts()["cancelled"] == total(scheduler.counts()) == 1
    assert threading.active_count() < threads
    assert [record for record in caplog.records if "endless" in record.getMessage() and "left behind" in record.message]
    release.set()  # it ends late: its record stands
    wait_for(lambda: not [t for t in threading.enumerate() if t.name.startswith("tgscheduler")])
    assert scheduler.counts()["cancelled"] == total(scheduler.counts()) == 1


@pytest.mark.realtime
def test_stop_ends_children_by_process_group(monkeypatch):
    monkeypatch.setattr(forked_child, "TERM_TO_KILL", 0.1)
    scheduler = ThreadedScheduler(stop_timeout=0.1)
    scheduler.add_single_task(stubborn, processmethod=method.forked)
    scheduler.start()
    wait_for(lambda: scheduler.health()["children"])
    time.sleep(0.1)

    started = time.monotonic()
    scheduler.stop()

    assert time.monotonic() - started < 3
    [run] = scheduler.runs()
    assert run.state == "cancelled"
    assert "stopped" in run.reason


def stubborn():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(60)


@pytest.mark.realtime
def test_a_second_stop_ends_the_drain():
    release = threading.Event()
    scheduler = ThreadedScheduler(stop_timeout=60)
    scheduler.add_single_task(release.wait)
    scheduler.start()
    wait_for(lambda: scheduler.counts()["running"])
    first = threading.Thread(target=scheduler.stop)
    first.start()
    wait_for(lambda: not scheduler.running)

    scheduler.stop()

    first.join(5)
    assert not first.is_alive()
    release.set()


@pytest.mark.parametrize("processmethod", [method.sequential, method.threaded])
def test_an_action_may_stop_its_scheduler(processmethod):
    scheduler = ThreadedScheduler(stop_timeout=30)
    stopped = threading.Event()

    def stop():
        scheduler.stop()
        stopped.set()

    scheduler.add_single_task(stop, processmethod=processmethod)
    scheduler.start()

    assert stopped.wait(5)
    assert not scheduler.running
    wait_for(lambda: scheduler.counts()["ok"] == 1)


@pytest.mark.realtime
def test_what_waits_for_a_thread_is_cancelled_at_stop():
    release = threading.Event()
    scheduler = ThreadedScheduler(threads=1, stop_timeout=5)
    for _ in range(5):
        scheduler.add_single_task(release.wait, kw={"timeout": 10})
    scheduler.start()
    wait_for(lambda: scheduler.counts()["waiting"] == 4)
    threading.Timer(0.1, release.set).start()
    scheduler.stop()

    counts = scheduler.counts()
    assert (counts["ok"], counts["cancelled"], total(counts)) == (1, 4, 5)
    assert {run.reason for run in scheduler.runs(state="cancelled")} == {"stopped before it began"}


def test_a_plain_scheduler_runs_in_the_calling_thread_until_stopped_from_elsewhere():
    scheduler, threads = Scheduler(), []
    scheduler.add_single_task(lambda: threads.append(threading.get_ident()), processmethod=method.sequential)
    scheduler.add_single_task(scheduler.stop, initialdelay=0.05)

    scheduler.start()

    assert threads == [threading.get_ident()]
    assert not scheduler.running


def test_start_scheduler_runs_any_scheduler_in_the_background():
    with running(Scheduler().start_scheduler()) as scheduler:
        done = threading.Event()
        scheduler.add_single_task(done.set)
        assert done.wait(5)


def script(tmp_path, text):
    path = tmp_path / "script.py"
    path.write_text(textwrap.dedent(text))
    return subprocess.Popen([sys.executable, str(path)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.mark.realtime
def test_ctrl_c_stops_a_plain_scheduler_but_a_raised_keyboardinterrupt_does_not(tmp_path):
    process = script(
        tmp_path,
        """
        import time
        from tgscheduler.scheduler import Scheduler, method

        def cry():
            raise KeyboardInterrupt

        def rest():
            print("resting", flush=True)
            time.sleep(30)

        scheduler = Scheduler()
        scheduler.add_single_task(cry, processmethod=method.sequential)
        scheduler.add_single_task(rest, initialdelay=0.1, processmethod=method.sequential)
        try:
            scheduler.start()
        except KeyboardInterrupt:
            print("interrupted", scheduler.running)
        """,
    )
    lines = [process.stdout.readline()]
    while "resting" not in lines[-1]:
        assert lines[-1], lines
        lines.append(process.stdout.readline())
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=10)

    assert "interrupted False" in out
    assert process.returncode == 0


@pytest.mark.slow
@pytest.mark.realtime
def test_a_script_that_falls_off_its_end_exits_at_once_and_takes_its_children_along(tmp_path):
    process = script(
        tmp_path,
        """
        import os, time
        from tgscheduler.scheduler import ThreadedScheduler, method

        scheduler = ThreadedScheduler()
        scheduler.add_single_task(time.sleep, args=(60,))
        scheduler.add_single_task(lambda: (print(os.getpid(), flush=True), time.sleep(60)), processmethod=method.forked)
        scheduler.start()
        while not scheduler.health()["children"]:
            time.sleep(0.01)
        time.sleep(0.3)
        """,
    )
    started = time.monotonic()
    child = int(process.stdout.readline())
    process.stdout.close()

    assert process.wait(10) == 0
    assert time.monotonic() - started < 8
    wait_for(lambda: gone(child))


def gone(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    with open(f"/proc/{pid}/stat") as stat:  # nobody may be there to reap an orphan
        return stat.read().rsplit(")", 1)[1].split()[0] == "Z"


@pytest.mark.slow
@pytest.mark.realtime
def test_a_signal_handler_may_stop_the_scheduler_in_the_middle_of_an_add():
    scheduler = ThreadedScheduler(stop_timeout=30)
    task = scheduler.add_interval_task(noop, 0.01)
    scheduler.start()
    wait_for(lambda: scheduler.counts()["ok"] > 2)

    started = time.monotonic()
    with scheduler._registry.lock:  # as an interrupted add holds it
        scheduler.stop()
        scheduler.discard([task])
    assert time.monotonic() - started < 5
    assert not scheduler.running
    assert total(scheduler.counts()) == scheduler.counts()["ok"]


@pytest.mark.slow
@pytest.mark.realtime
@pytest.mark.parametrize("times", [1, 2])
def test_sigterm_at_any_moment_of_a_busy_main_thread_ends_it_within_the_bound(tmp_path, times):
    process = script(
        tmp_path,
        """
        import signal, sys, threading
        from tgscheduler.scheduler import ThreadedScheduler

        scheduler = ThreadedScheduler()
        scheduler.add_interval_task(int, 0.001)

        def handle(number, frame):
            scheduler.stop()
            left = [t.name for t in threading.enumerate() if t.name.startswith("tgscheduler")]
            print("stopped", scheduler.running, left, flush=True)
            sys.exit(0)

        signal.signal(signal.SIGTERM, handle)
        scheduler.start()
        print("ready", flush=True)
        while True:
            task = scheduler.add_single_task(int, taskname="it", initialdelay=9)
            scheduler.counts()
            scheduler.rename_task("it", "that")
            scheduler.cancel(task)
        """,
    )
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.2)
    for _ in range(times):
        process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=15)
    assert "stopped False" in out
    assert process.returncode == 0


@pytest.mark.realtime
def test_a_ctrl_c_during_stop_leaves_no_child_behind(monkeypatch):
    scheduler = ThreadedScheduler(stop_timeout=30)
    scheduler.add_single_task(time.sleep, args=(600,), processmethod=method.forked)
    scheduler.start()
    wait_for(lambda: scheduler.health()["children"])

    def interrupt(seconds):
        raise KeyboardInterrupt

    monkeypatch.setattr("tgscheduler.clock.pause", interrupt)
    with pytest.raises(KeyboardInterrupt):
        scheduler.stop()
    assert scheduler.counts()["cancelled"] == 1
    assert not scheduler.running
