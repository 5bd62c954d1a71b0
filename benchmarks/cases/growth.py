"""Add, cancel and fire with 1,000 to 1,000,000 tasks: the time per task."""

import itertools
import random
import time
from typing import Any

from benchmarks import schedulers
from benchmarks.figures import CHUNK, Figure, Plan, Tally, before, chunks, median, nothing

PLAN = {"ours": Plan((1_000, 10_000, 100_000, 1_000_000), (1_000, 20_000))}


def ours(n: int) -> list[Figure]:
    """Schedule ``n`` sequential tasks, add and cancel among them, then measure the runs when all come due at once."""
    from tgscheduler.scheduler import SingleTask

    scheduler = schedulers.ours()
    moments: list[float] = []
    note, clock = moments.append, time.perf_counter
    adding, cancelling, firing = [], [], []
    for burst in range(max(1, 20_000 // n)):
        tally = Tally(n, lambda: note(clock()))
        tasks = [SingleTask(None, tally.action) for _ in range(n)]
        due = time.time() + (0.1 if burst else 1.0) + 2 * n * _seconds_per_put()
        for task in tasks:
            scheduler.schedule_task_abs(task, due)
        if burst == 0:
            adding, cancelling = _add_and_cancel(scheduler)
        before(due)
        tally.wait()
        ends = moments[CHUNK - 1 :: CHUNK]
        firing += [(end - start) / CHUNK for start, end in itertools.pairwise(ends)]
        moments.clear()
    return [
        Figure("add", median(adding) * 1e6, "us"),
        Figure("cancel", median(cancelling) * 1e6, "us"),
        Figure("fire", median(firing) * 1e6, "us"),
    ]


def _add_and_cancel(scheduler: Any) -> tuple[list[float], list[float]]:
    """Time chunks of both, in turns, so that the number of waiting tasks changes by one chunk at most."""
    draw = random.Random(1).uniform
    added: list[Any] = []

    def add(delay: float) -> None:
        added.append(scheduler.add_interval_task(nothing, 3600.0, initialdelay=delay))

    adding, cancelling = [], []
    for _ in range(50):
        adding += chunks(add, [draw(3600, 7200) for _ in range(CHUNK)])
        cancelling += chunks(scheduler.cancel, added)
        added.clear()
    return adding, cancelling


def _seconds_per_put() -> float:
    """Return how long scheduling one task takes on this machine now: all must be scheduled before they come due."""
    from tgscheduler.scheduler import Scheduler, SingleTask

    aside = Scheduler()
    tasks = [SingleTask(None, nothing) for _ in range(10 * CHUNK)]
    return median(chunks(lambda task: aside.schedule_task_abs(task, 1e10), tasks))
