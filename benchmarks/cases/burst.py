"""Add tasks, one after another, while many due threaded tasks burst: how long an ``add`` takes."""

import threading
import time
from collections.abc import Callable

from benchmarks import schedulers
from benchmarks.figures import Figure, Plan, Tally, Void, before, nothing, quantile

PLAN = {"ours": Plan(80_000, 60_000), "apscheduler": Plan(20_000, 20_000, once=True)}


def ours(n: int) -> list[Figure]:
    """``add_single_task``."""
    from tgscheduler.scheduler import ThreadedSingleTask

    scheduler, tally = schedulers.ours(), Tally(n)
    tasks = [ThreadedSingleTask(None, tally.action) for _ in range(n)]
    due = time.time() + 0.5 + n * 1e-5
    for task in tasks:
        scheduler.schedule_task_abs(task, due)
    before(due)
    time.sleep(due + 0.005 - time.time())
    return _measure(tally, lambda: scheduler.add_single_task(nothing, initialdelay=3600))


def apscheduler(n: int) -> list[Figure]:
    """``add_job``."""
    from datetime import UTC, datetime, timedelta

    scheduler, tally = schedulers.apscheduler(paused=True), Tally(n)
    for _ in range(n):
        schedulers.at_once(scheduler, tally.action)
    far = datetime.now(UTC) + timedelta(hours=1)
    scheduler.resume()
    time.sleep(0.005)
    return _measure(tally, lambda: scheduler.add_job(nothing, "date", run_date=far), fewest=1)


def _measure(tally: Tally, add: Callable[[], object], fewest: int = 10) -> list[Figure]:
    over = threading.Event()
    threading.Thread(target=lambda: (tally.wait(), over.set()), daemon=True).start()
    times = []
    while not tally.ended:
        began = time.perf_counter()
        add()
        times.append((time.perf_counter() - began) * 1e3)
        time.sleep(0.001)
    if not over.wait(2) or len(times) < fewest:
        raise Void(f"{len(times)} adds during the burst are too few, or runs were lost")
    return [Figure("add in a burst p90", quantile(times, 0.9), "ms"), Figure("add in a burst max", max(times), "ms")]
