"""ForkedScheduler: a process that runs a plain scheduler, speaks by a pipe and ends with its parent."""

import logging
import os
import signal
import subprocess
import sys
import time

import pytest
from helpers import running, wait_for

from tgscheduler.errors import WrongProcess
from tgscheduler.scheduler import ForkedScheduler, SingleTask, method

pytestmark = pytest.mark.realtime


def append(path, text):
    with path.open("a") as lines:
        lines.write(text + "\n")


def test_its_tasks_run_in_one_process_of_its_own(tmp_path):
    scheduler, path = ForkedScheduler(), tmp_path / "out"
    for processmethod in (method.sequential, method.threaded):
        scheduler.add_interval_task(lambda: append(path, str(os.getpid())), 0.05, processmethod=processmethod)
    with running(scheduler):
        wait_for(lambda: path.exists() and path.read_text().count("\n") >= 6)
        assert scheduler.running
    assert len(set(path.read_text().split())) == 1
    assert str(os.getpid()) not in path.read_text()
    assert not scheduler.running


def test_its_log_comes_to_the_parent(caplog):
    caplog.set_level(logging.INFO)
    scheduler = ForkedScheduler()
    scheduler.add_single_task(lambda: logging.getLogger("app").info("hello"), processmethod=method.threaded)
    scheduler.add_single_task(lambda: logging.getLogger("app").info("hello"), processmethod=method.forked)
    scheduler.add_single_task(lambda: 1 / 0, taskname="bad", processmethod=method.sequential)
    with running(scheduler):
        wait_for(lambda: caplog.messages.count("hello") == 2)
        wait_for(lambda: any(m.startswith("bad: the action raised ZeroDivisionError") for m in caplog.messages))


@pytest.mark.parametrize(
    "verb",
    [
        lambda s: s.add_interval_task(int, 60),
        lambda s: s.add_single_task(int),
        lambda s: s.schedule_task(SingleTask("x", int), 5),
        lambda s: s.schedule_task_abs(SingleTask("x", int), 5),
        lambda s: s.cancel("it"),
        lambda s: s.rename_task("it", "that"),
        lambda s: s.get_task("it"),
        lambda s: s.get_tasks(),
        lambda s: s.runs(),
        lambda s: s.counts(),
        lambda s: s.health(),
    ],
)
def test_after_the_start_every_verb_but_stop_says_what_to_use_instead(verb):
    scheduler = ForkedScheduler()
    scheduler.add_interval_task(int, 60, taskname="it")
    with running(scheduler), pytest.raises(WrongProcess, match=r"add tasks before start\(\), or use a ThreadedSch"):
        verb(scheduler)
    assert list(scheduler.get_tasks()) == ["it"]


def test_start_and_stop_twice_and_a_second_start_are_harmless(tmp_path):
    scheduler, path = ForkedScheduler(), tmp_path / "out"
    scheduler.stop()
    scheduler.add_interval_task(lambda: append(path, str(os.getpid())), 3600)
    for _ in range(2):
        scheduler.start()
        scheduler.start()
        wait_for(lambda: path.exists())
        time.sleep(0.05)
        scheduler.stop()
        scheduler.stop()
        path.unlink()


def test_an_action_may_stop_it():
    scheduler = ForkedScheduler()
    scheduler.add_single_task(scheduler.stop)
    scheduler.start()
    wait_for(lambda: not scheduler.running)
    scheduler.stop()


def test_stop_waits_for_what_runs_and_ends_what_does_not_return(tmp_path):
    path = tmp_path / "out"
    scheduler = ForkedScheduler(stop_timeout=0.5)
    scheduler.add_single_task(lambda: (append(path, "begun"), time.sleep(0.3), append(path, "done")))
    scheduler.add_single_task(time.sleep, args=(60,))
    scheduler.start()
    wait_for(lambda: path.exists())
    started = time.monotonic()
    scheduler.stop()
    assert path.read_text() == "begun\ndone\n"
    assert time.monotonic() - started < 4


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_it_ends_with_its_parent(tmp_path, how):
    program = f"""
import os, time
from tgscheduler.scheduler import ForkedScheduler
scheduler = ForkedScheduler()
scheduler.add_interval_task(lambda: open({str(tmp_path / "pid")!r}, "w").write(str(os.getpid())), 0.05)
scheduler.start()
time.sleep(60)
"""
    parent = subprocess.Popen([sys.executable, "-c", program])
    child = int(wait_for(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text()))
    parent.send_signal(how)
    parent.wait(10)
    wait_for(lambda: ended(child))


def ended(pid):
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True
