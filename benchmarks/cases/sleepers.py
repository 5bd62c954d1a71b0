"""Threaded actions that sleep 100 ms, all due at once: how long all of them take."""

import queue
import threading
import time

from benchmarks import schedulers
from benchmarks.figures import Figure, Plan, Tally, before

ROUNDS = 5
PLAN = {
    "ours": Plan(100, 100),
    "apscheduler": Plan(100, 100, once=True),
    "tgs17": Plan(100, 100, once=True),
    "bare": Plan(100, 100),
}


def work() -> None:
    """Sleep, as an action that waits for a reply does."""
    time.sleep(0.1)


def ours(n: int) -> list[Figure]:
    """From the moment when all are due; the pool has one thread then."""
    from tgscheduler.scheduler import ThreadedSingleTask

    scheduler, tally = schedulers.ours(), Tally(n, work)
    tasks = [ThreadedSingleTask(None, tally.action) for _ in range(n)]
    due = time.time() + 0.3
    for task in tasks:
        scheduler.schedule_task_abs(task, due)
    before(due)
    return _time(tally.wait() - due)


def apscheduler(n: int) -> list[Figure]:
    """From ``resume()``: it has 10 threads."""
    scheduler, tally = schedulers.apscheduler(paused=True), Tally(n, work)
    for _ in range(n):
        schedulers.at_once(scheduler, tally.action)
    began = time.time()
    scheduler.resume()
    return _time(tally.wait() - began)


def tgs17(n: int) -> list[Figure]:
    """From ``start()``: a thread for each."""
    kronos, scheduler = schedulers.tgs17()
    tally = Tally(n, work)
    for _ in range(n):
        scheduler.add_single_task(tally.action, None, 0, kronos.method.threaded, None, None)
    began = time.time()
    scheduler.start()
    return _time(tally.wait() - began)


def bare(n: int) -> list[Figure]:
    """A thread for each, waiting on a SimpleQueue."""
    tally = Tally(n, work)
    line: queue.SimpleQueue[object] = queue.SimpleQueue()

    def worker() -> None:
        line.get()()  # type: ignore[operator]

    for _ in range(n):
        threading.Thread(target=worker, daemon=True).start()
    time.sleep(0.2)
    began = time.time()
    for _ in range(n):
        line.put(tally.action)
    return _time(tally.wait() - began)


def _time(seconds: float) -> list[Figure]:
    return [Figure("sleepers", seconds, "s")]
