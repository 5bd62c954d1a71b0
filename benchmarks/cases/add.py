"""Add interval tasks to a running scheduler in which many wait: the time of one call."""

import random
import time
from collections.abc import Callable
from heapq import heappush

from benchmarks import schedulers
from benchmarks.figures import CHUNK, Figure, Plan, chunks, median, nothing

ROUNDS = 5
PLAN = {
    "ours": Plan(100_000, 20_000),
    "apscheduler": Plan(10_000, 2_000),
    "tgs17": Plan(100_000, 20_000, once=True),
    "schedule": Plan(10_000, 2_000, once=True),
    "bare": Plan(100_000, 20_000),
}


def ours(n: int) -> list[Figure]:
    """``add_interval_task``."""
    add = schedulers.ours().add_interval_task
    return _measure(n, lambda delay: add(nothing, 3600.0, initialdelay=delay))


def apscheduler(n: int) -> list[Figure]:
    """``add_job``."""
    add = schedulers.apscheduler().add_job
    return _measure(n, lambda delay: add(nothing, "interval", seconds=delay, misfire_grace_time=None))


def tgs17(n: int) -> list[Figure]:
    """``add_interval_task``."""
    kronos, scheduler = schedulers.tgs17()
    add, threaded = scheduler.add_interval_task, kronos.method.threaded
    add(nothing, None, 1e6, 3600, threaded, None, None)
    scheduler.start()
    return _measure(n, lambda delay: add(nothing, None, delay, 3600, threaded, None, None))


def schedule(n: int) -> list[Figure]:
    """``every(...).do(...)``."""
    every = schedulers.schedule().every
    return _measure(n, lambda delay: every(int(delay)).seconds.do(nothing))


def bare(n: int) -> list[Figure]:
    """``heappush``."""
    heap: list[tuple[float, int, object]] = []
    clock = time.time
    return _measure(n, lambda delay: heappush(heap, (clock() + delay, len(heap), nothing)))


def _measure(n: int, add: Callable[[float], object]) -> list[Figure]:
    draw = random.Random(1).uniform
    fill = chunks(add, [draw(3600, 7200) for _ in range(n)])
    more = chunks(add, [draw(3600, 7200) for _ in range(min(n // 4, 50 * CHUNK))])
    return [
        Figure("add", median(more) * 1e6, "us"),
        Figure("add, worst chunk of 200", max(fill) * CHUNK * 1e3, "ms"),
    ]
