"""Forked runs from a parent of 50 MB, outcome and traceback back: runs per second."""

import os
import time

from benchmarks import schedulers
from benchmarks.figures import Figure, Plan, Void, before, nothing, resident

PLAN = {"ours": Plan(400, 100), "bare": Plan(400, 100)}

#: The parent's size in bytes.
PARENT = 50 << 20


def ours(n: int) -> list[Figure]:
    """From the moment when all are due to the last outcome; one run fails, and its traceback must come back."""
    from tgscheduler.scheduler import ForkedSingleTask

    scheduler = schedulers.ours()
    ballast = _grow()
    tasks = [ForkedSingleTask(None, nothing) for _ in range(n - 1)] + [ForkedSingleTask("fails", _fail)]
    due = time.time() + 0.5
    for task in tasks:
        scheduler.schedule_task_abs(task, due)
    before(due)
    while scheduler.counts()["ok"] + scheduler.counts()["failed"] < n:
        if time.time() > due + 100:
            raise Void(f"{scheduler.counts()} after 100 s")
        time.sleep(0.2)
    runs = scheduler.runs(limit=n)
    (failed,) = [run for run in runs if run.state != "ok"]
    if "a forked action failed" not in (failed.error or ""):
        raise Void(f"the traceback did not come back: {failed.error!r}")
    assert ballast
    return _rate(n, max(run.ended for run in runs) - due)


def bare(n: int) -> list[Figure]:
    """``os.fork`` and ``os.waitpid``, one at a time."""
    ballast = _grow()
    began = time.time()
    for _ in range(n):
        pid = os.fork()
        if pid == 0:
            nothing()
            os._exit(0)
        os.waitpid(pid, 0)
    assert ballast
    return _rate(n, time.time() - began)


def _fail() -> None:
    raise RuntimeError("a forked action failed")


def _grow() -> bytearray:
    ballast = bytearray(max(1, PARENT - resident()))
    ballast[:: os.sysconf("SC_PAGE_SIZE")] = b"x" * len(range(0, len(ballast), os.sysconf("SC_PAGE_SIZE")))
    return ballast


def _rate(n: int, seconds: float) -> list[Figure]:
    return [Figure("forked", n / seconds, "runs/s")]
