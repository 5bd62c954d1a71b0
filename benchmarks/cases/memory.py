"""Resident memory of pending interval tasks: bytes per task."""

import gc
import time
from collections.abc import Callable
from heapq import heappush

from benchmarks import schedulers
from benchmarks.figures import Figure, Plan, nothing, resident

PLAN = {
    "ours": Plan(50_000, 20_000),
    "apscheduler": Plan(30_000, 5_000),
    "tgs17": Plan(50_000, 20_000, once=True),
    "schedule": Plan(50_000, 20_000, once=True),
    "bare": Plan(50_000, 20_000, once=True),
}


def ours(n: int) -> list[Figure]:
    """``add_interval_task``."""
    scheduler = schedulers.ours()
    return _measure(n, lambda delay: scheduler.add_interval_task(nothing, 3600.0, initialdelay=delay))


def apscheduler(n: int) -> list[Figure]:
    """``add_job``."""
    scheduler = schedulers.apscheduler()
    return _measure(n, lambda delay: scheduler.add_job(nothing, "interval", seconds=delay))


def tgs17(n: int) -> list[Figure]:
    """``add_interval_task``."""
    kronos, scheduler = schedulers.tgs17()
    threaded = kronos.method.threaded
    return _measure(n, lambda delay: scheduler.add_interval_task(nothing, None, delay, 3600, threaded, None, None))


def schedule(n: int) -> list[Figure]:
    """``every(...).do(...)``."""
    scheduler = schedulers.schedule()
    return _measure(n, lambda delay: scheduler.every(int(delay)).seconds.do(nothing))


def bare(n: int) -> list[Figure]:
    """A heap of tuples."""
    heap: list[tuple[float, int, object]] = []
    clock = time.time
    return _measure(n, lambda delay: heappush(heap, (clock() + delay, len(heap), nothing)))


def _measure(n: int, add: Callable[[float], object]) -> list[Figure]:
    for i in range(100):
        add(3600.0 + i)
    gc.collect()
    empty = resident()
    for i in range(n):
        add(3700.0 + i)
    gc.collect()
    return [Figure("memory", (resident() - empty) / n, "bytes/task")]
