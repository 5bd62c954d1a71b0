"""Cancel tasks among many that wait, in random order: the time of one call."""

import random
import sched
import time
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks import schedulers
from benchmarks.figures import Figure, Plan, chunks, median, nothing

PLAN = {
    "ours": Plan(100_000, 20_000),
    "apscheduler": Plan(20_000, 2_000, once=True),
    "tgs17": Plan(100_000, 20_000, once=True),
    "schedule": Plan(100_000, 20_000, once=True),
    "bare": Plan(100_000, 20_000),
}

#: Number of calls if one takes milliseconds.
FEW = 50


def ours(n: int) -> list[Figure]:
    """``cancel``: six tenths of all, so that the agenda is rebuilt once."""
    scheduler = schedulers.ours()
    tasks = [scheduler.add_interval_task(nothing, 3600.0, initialdelay=delay) for delay in _delays(n)]
    return _measure(scheduler.cancel, tasks, n * 6 // 10, 200)


def apscheduler(n: int) -> list[Figure]:
    """``Job.remove``."""
    add = schedulers.apscheduler().add_job
    jobs = [add(nothing, "interval", seconds=delay, misfire_grace_time=None) for delay in _delays(n)]
    return _measure(lambda job: job.remove(), jobs, n // 10, 50)


def tgs17(n: int) -> list[Figure]:
    """``cancel``."""
    kronos, scheduler = schedulers.tgs17()
    add, threaded = scheduler.add_interval_task, kronos.method.threaded
    tasks = [add(nothing, None, delay, 3600, threaded, None, None) for delay in _delays(n)]
    scheduler.start()
    return _measure(scheduler.cancel, tasks, FEW, 1)


def schedule(n: int) -> list[Figure]:
    """``cancel_job``."""
    scheduler = schedulers.schedule()
    jobs = [scheduler.every(int(delay)).seconds.do(nothing) for delay in _delays(n)]
    return _measure(scheduler.cancel_job, jobs, FEW, 1)


def bare(n: int) -> list[Figure]:
    """``sched.cancel``."""
    queue = sched.scheduler(time.time)
    events = [queue.enter(delay, 0, nothing) for delay in _delays(n)]
    return _measure(queue.cancel, events, FEW, 1)


def _delays(n: int) -> list[float]:
    draw = random.Random(1).uniform
    return [draw(3600, 7200) for _ in range(n)]


def _measure(cancel: Callable[[Any], object], items: Sequence[Any], calls: int, size: int) -> list[Figure]:
    times = chunks(cancel, random.Random(2).sample(items, calls), size)
    return [
        Figure("cancel", median(times) * 1e6, "us"),
        Figure("cancel, mean", sum(times) / len(times) * 1e6, "us"),
        Figure("cancel, worst chunk", max(times) * size * 1e3, "ms"),
    ]
