"""Fire single tasks that are due at once and do nothing, in threads: runs per second."""

import time
from concurrent.futures import ThreadPoolExecutor

from benchmarks import schedulers
from benchmarks.figures import Figure, Plan, Tally, before

ROUNDS = 5
PLAN = {
    "ours": Plan(20_000, 20_000),
    "apscheduler": Plan(20_000, 5_000),
    "tgs17": Plan(20_000, 5_000, once=True),
    "bare": Plan(20_000, 20_000),
}


def ours(n: int) -> list[Figure]:
    """From the moment when all are due."""
    from tgscheduler.scheduler import ThreadedSingleTask

    scheduler, tally = schedulers.ours(), Tally(n)
    tasks = [ThreadedSingleTask(None, tally.action) for _ in range(n)]
    due = time.time() + 0.3 + n * 1e-5
    for task in tasks:
        scheduler.schedule_task_abs(task, due)
    before(due)
    return _rate(n, tally.wait() - due)


def apscheduler(n: int) -> list[Figure]:
    """From ``resume()``."""
    scheduler, tally = schedulers.apscheduler(paused=True), Tally(n)
    for _ in range(n):
        schedulers.at_once(scheduler, tally.action)
    began = time.time()
    scheduler.resume()
    return _rate(n, tally.wait() - began)


def tgs17(n: int) -> list[Figure]:
    """From ``start()``."""
    kronos, scheduler = schedulers.tgs17()
    tally = Tally(n)
    for _ in range(n):
        scheduler.add_single_task(tally.action, None, 0, kronos.method.threaded, None, None)
    began = time.time()
    scheduler.start()
    return _rate(n, tally.wait() - began)


def bare(n: int) -> list[Figure]:
    """``ThreadPoolExecutor(10).submit``."""
    tally = Tally(n)
    with ThreadPoolExecutor(10) as pool:
        pool.submit(time.time).result()
        began = time.time()
        for _ in range(n):
            pool.submit(tally.action)
        return _rate(n, tally.wait() - began)


def _rate(n: int, seconds: float) -> list[Figure]:
    return [Figure("fire threaded", n / seconds, "runs/s")]
