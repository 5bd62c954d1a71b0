"""Fire single tasks that are due at once and do nothing, in the scheduler's own thread: runs per second."""

import sched
import time

from benchmarks import schedulers
from benchmarks.figures import Figure, Plan, Tally, before

ROUNDS = 9
PLAN = {
    "ours": Plan(20_000, 20_000),
    "apscheduler": Plan(20_000, 5_000),
    "tgs17": Plan(20_000, 5_000, once=True),
    "schedule": Plan(20_000, 5_000, once=True),
    "bare": Plan(20_000, 20_000),
}


def ours(n: int) -> list[Figure]:
    """From the moment when all are due."""
    from tgscheduler.scheduler import SingleTask

    scheduler, tally = schedulers.ours(), Tally(n)
    tasks = [SingleTask(None, tally.action) for _ in range(n)]
    due = time.time() + 0.3 + n * 1e-5
    for task in tasks:
        scheduler.schedule_task_abs(task, due)
    before(due)
    return _rate(n, tally.wait() - due)


def apscheduler(n: int) -> list[Figure]:
    """From ``resume()``, with the DebugExecutor."""
    scheduler, tally = schedulers.apscheduler(paused=True, in_loop=True), Tally(n)
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
        scheduler.add_single_task(tally.action, None, 0, kronos.method.sequential, None, None)
    began = time.time()
    scheduler.start()
    return _rate(n, tally.wait() - began)


def schedule(n: int) -> list[Figure]:
    """One ``run_pending()`` of jobs that are all due."""
    from datetime import datetime

    scheduler, tally = schedulers.schedule(), Tally(n)
    for _ in range(n):
        scheduler.every(1).hours.do(tally.action).next_run = datetime.now()
    began = time.time()
    scheduler.run_pending()
    return _rate(n, tally.wait() - began)


def bare(n: int) -> list[Figure]:
    """``sched.run`` with a delay function that does nothing: the default one sleeps after each event."""
    queue, tally = sched.scheduler(time.time, lambda seconds: None), Tally(n)
    now = time.time()
    for _ in range(n):
        queue.enterabs(now, 0, tally.action)
    began = time.time()
    queue.run()
    return _rate(n, tally.wait() - began)


def _rate(n: int, seconds: float) -> list[Figure]:
    return [Figure("fire sequential", n / seconds, "runs/s")]
