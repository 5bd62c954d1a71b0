"""What every test starts from, and what none may leave behind."""

import gc
import os
import sys
import threading
import time
from pathlib import Path

import pytest

from tgscheduler import config, scheduler, startup


def pytest_collection_finish(session):
    """Let no collection look at the tests themselves again, as they stay to the end."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def nothing_left():
    """Fail a test that leaves a thread, a child, a file descriptor or a zombie behind."""
    if sys.platform != "linux":
        yield
        return
    before = _traces()
    yield
    end = time.monotonic() + 5
    while (left := _left(before)) and time.monotonic() < end:
        time.sleep(0.01)
    assert not left, f"left behind: {left}"


@pytest.fixture(autouse=True)
def fresh(nothing_left, monkeypatch):
    """Give each test its own default scheduler, configuration and hooks, and stop the scheduler after it."""
    monkeypatch.setattr(scheduler, "_default", None)
    config.reset()
    yield
    scheduler.stop_scheduler()
    config.reset()
    startup.call_on_startup.clear()
    startup.call_on_shutdown.clear()


def _traces():
    return {"threads": set(threading.enumerate()), "children": _children(), "fds": _fds()}


def _left(before):
    now = _traces()
    left = {kind: now[kind] - before[kind] for kind in now}
    return {kind: sorted(map(str, what)) for kind, what in left.items() if what}


def _children():
    found = set()
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return found  # as nearly always: one call, where each test asks twice
    for task in Path("/proc/self/task").iterdir():
        try:
            found.update(_state(pid) for pid in (task / "children").read_text().split())
        except OSError:
            continue
    return found


def _state(pid):
    try:
        return pid + " " + Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0].replace("S", "R")
    except OSError:
        return pid


def _fds():
    found = set()
    for fd in os.listdir("/proc/self/fd"):
        try:
            found.add((fd, os.readlink(f"/proc/self/fd/{fd}")))
        except OSError:
            continue
    return {(fd, what) for fd, what in found if not what.startswith(("/proc/", "/dev/urandom"))}
