"""Threaded actions of about 100 us of Python each, all due at once: runs per second."""

import queue
import threading
import time

from benchmarks import schedulers
from benchmarks.figures import Figure, Plan, Tally, before

ROUNDS = 5
PLAN = {
    "ours": Plan(1_500, 1_500),
    "apscheduler": Plan(1_500, 1_500, once=True),
    "tgs17": Plan(1_500, 1_500, once=True),
    "bare": Plan(1_500, 1_500),
}

#: Number of loops that take about 100 us. All do the same work, not the same time: a thread that waits does no work.
LOOPS = 4_000


def work() -> None:
    """Compute for about 100 us."""
    for _ in range(LOOPS):
        pass


def ours(n: int) -> list[Figure]:
    """From the moment when all are due."""
    from tgscheduler.scheduler import ThreadedSingleTask

    scheduler, tally = schedulers.ours(), Tally(n, work)
    tasks = [ThreadedSingleTask(None, tally.action) for _ in range(n)]
    due = time.time() + 0.5
    for task in tasks:
        scheduler.schedule_task_abs(task, due)
    before(due)
    return _rate(n, tally.wait() - due)


def apscheduler(n: int) -> list[Figure]:
    """From ``resume()``."""
    scheduler, tally = schedulers.apscheduler(paused=True), Tally(n, work)
    for _ in range(n):
        schedulers.at_once(scheduler, tally.action)
    began = time.time()
    scheduler.resume()
    return _rate(n, tally.wait() - began)


def tgs17(n: int) -> list[Figure]:
    """From ``start()``."""
    kronos, scheduler = schedulers.tgs17()
    tally = Tally(n, work)
    for _ in range(n):
        scheduler.add_single_task(tally.action, None, 0, kronos.method.threaded, None, None)
    began = time.time()
    scheduler.start()
    return _rate(n, tally.wait() - began)


def bare(n: int) -> list[Figure]:
    """Eight threads on a SimpleQueue."""
    tally = Tally(n, work)
    line: queue.SimpleQueue[object] = queue.SimpleQueue()

    def worker() -> None:
        while True:
            line.get()()  # type: ignore[operator]

    for _ in range(8):
        threading.Thread(target=worker, daemon=True).start()
    time.sleep(0.2)
    began = time.time()
    for _ in range(n):
        line.put(tally.action)
    return _rate(n, tally.wait() - began)


def _rate(n: int, seconds: float) -> list[Figure]:
    return [Figure("short actions", n / seconds, "runs/s")]
