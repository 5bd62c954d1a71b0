"""1,000 interval tasks of 1 s, all due together, that do nothing: CPU time per run, over ``n`` seconds."""

import itertools
import time

from benchmarks import schedulers
from benchmarks.figures import Figure, Plan, Void

PLAN = {
    "ours": Plan(4, 2),
    "apscheduler": Plan(4, 2),
    "tgs17": Plan(4, 2, once=True),
    "schedule": Plan(4, 2, once=True),
}

TASKS = 1_000


def ours(n: int) -> list[Figure]:
    """Threaded."""
    from tgscheduler.scheduler import ThreadedIntervalTask

    runs, first = itertools.count(), time.time() + 0.5
    scheduler = schedulers.ours()
    for _ in range(TASKS):
        scheduler.schedule_task_abs(ThreadedIntervalTask(None, 1, runs.__next__), first)
    return _measure(n, runs, first)


def apscheduler(n: int) -> list[Figure]:
    """In its pool."""
    runs, first = itertools.count(), time.time() + 0.8
    scheduler = schedulers.apscheduler()
    for _ in range(TASKS):
        schedulers.each_second(scheduler, lambda: next(runs), first)
    return _measure(n, runs, first)


def tgs17(n: int) -> list[Figure]:
    """Threaded."""
    kronos, scheduler = schedulers.tgs17()
    runs, first = itertools.count(), time.time() + 0.5
    for _ in range(TASKS):
        scheduler.schedule_task_abs(kronos.ThreadedIntervalTask(None, 1, runs.__next__, (), {}), first)
    scheduler.start()
    return _measure(n, runs, first, exact=False)


def schedule(n: int) -> list[Figure]:
    """Polled each millisecond."""
    scheduler = schedulers.schedule()
    runs, first = itertools.count(), time.time()
    for _ in range(TASKS):
        scheduler.every(1).seconds.do(runs.__next__)
    schedulers.poll(scheduler, 0.001)
    return _measure(n, runs, first, exact=False)


def _measure(n: int, runs: "itertools.count[int]", first: float, exact: bool = True) -> list[Figure]:
    if time.time() > first + 0.3:
        raise Void("tasks were in place too late")
    time.sleep(first + 1.6 - time.time())  # between two bursts
    before, cpu = next(runs), time.process_time()
    time.sleep(first + 1.6 + n - time.time())
    cpu, after = time.process_time() - cpu, next(runs)
    done = after - before - 1
    if (exact and done != n * TASKS) or not done:
        raise Void(f"{done} runs instead of {n * TASKS}")
    return [Figure("CPU per run", cpu / done * 1e6, "us")]
