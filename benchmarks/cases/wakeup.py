"""Add a task that is due at once while the loop sleeps: from the call to the start of the action."""

import queue
import time
from collections.abc import Callable

from benchmarks import schedulers
from benchmarks.figures import Figure, Plan, median, nothing, quantile

PLAN = {
    "ours": Plan(100, 50),
    "apscheduler": Plan(100, 50),
    "tgs17": Plan(2, 1, once=True),
    "schedule": Plan(5, 2, once=True),
}


def ours(n: int) -> list[Figure]:
    """``add_single_task``."""
    scheduler = schedulers.ours()
    scheduler.add_interval_task(nothing, 3600, initialdelay=3600)
    return _measure(n, scheduler.add_single_task)


def apscheduler(n: int) -> list[Figure]:
    """``add_job``."""
    scheduler = schedulers.apscheduler()
    scheduler.add_job(nothing, "interval", seconds=3600)
    return _measure(n, lambda action: schedulers.at_once(scheduler, action))


def tgs17(n: int) -> list[Figure]:
    """``add_single_task``: its loop checks every 5 s."""
    kronos, scheduler = schedulers.tgs17()
    threaded = kronos.method.threaded
    scheduler.add_interval_task(nothing, None, 3600, 3600, threaded, None, None)
    scheduler.start()
    return _measure(n, lambda action: scheduler.add_single_task(action, None, 0, threaded, None, None))


def schedule(n: int) -> list[Figure]:
    """A job that is due, polled each second."""
    from datetime import datetime

    scheduler = schedulers.schedule()
    schedulers.poll(scheduler, 1.0)

    def add(action: Callable[[], object]) -> None:
        scheduler.every(1).hours.do(action).next_run = datetime.now()

    return _measure(n, add)


def _measure(n: int, add: Callable[[Callable[[], object]], object]) -> list[Figure]:
    clock = time.perf_counter
    started: queue.SimpleQueue[float] = queue.SimpleQueue()

    def action() -> None:
        started.put(clock())

    times = []
    for _ in range(n):
        time.sleep(0.02)  # until the loop sleeps again
        began = clock()
        add(action)
        times.append((started.get(timeout=30) - began) * 1e3)
    return [Figure("wake-up", median(times), "ms"), Figure("wake-up p99", quantile(times, 0.99), "ms")]
