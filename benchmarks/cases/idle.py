"""Many tasks that are far off: the CPU time of a scheduler that has nothing to do."""

import gc
import time

from benchmarks import schedulers
from benchmarks.figures import Figure, Plan, nothing

PLAN = {
    "ours": Plan(100_000, 20_000),
    "apscheduler": Plan(10_000, 2_000, once=True),
    "tgs17": Plan(100_000, 20_000, once=True),
    "schedule": Plan(10_000, 2_000, once=True),
}

SECONDS = 5


def ours(n: int) -> list[Figure]:
    """``add_interval_task``."""
    scheduler = schedulers.ours()
    for _ in range(n):
        scheduler.add_interval_task(nothing, 3600.0, initialdelay=3600.0)
    return _measure()


def apscheduler(n: int) -> list[Figure]:
    """``add_job``."""
    scheduler = schedulers.apscheduler()
    for _ in range(n):
        scheduler.add_job(nothing, "interval", seconds=3600)
    return _measure()


def tgs17(n: int) -> list[Figure]:
    """``add_interval_task``."""
    kronos, scheduler = schedulers.tgs17()
    for _ in range(n):
        scheduler.add_interval_task(nothing, None, 3600, 3600, kronos.method.threaded, None, None)
    scheduler.start()
    return _measure()


def schedule(n: int) -> list[Figure]:
    """Polled each second."""
    scheduler = schedulers.schedule()
    for _ in range(n):
        scheduler.every(3600).seconds.do(nothing)
    schedulers.poll(scheduler, 1.0)
    return _measure()


def _measure() -> list[Figure]:
    gc.collect()
    time.sleep(0.5)
    cpu = time.process_time()
    time.sleep(SECONDS)
    return [Figure("idle CPU", (time.process_time() - cpu) / SECONDS * 100, "% of a core")]
