"""Add, cancel and fire with 1,000 to 1,000,000 tasks: the time per task."""

import gc
import itertools
import random
import time

from benchmarks import schedulers
from benchmarks.figures import CHUNK, Figure, Plan, Tally, before, chunks, median, nothing

PLAN = {"ours": Plan((1_000, 10_000, 100_000, 1_000_000), (1_000, 20_000))}


def ours(n: int) -> list[Figure]:
    """Add and cancel among ``n`` that wait; then, anew, fire ``n`` that are due at once, sequentially."""
    figures = _add_and_cancel(n)
    gc.collect()
    return [*figures, _fire(n)]


def _add_and_cancel(n: int) -> list[Figure]:
    scheduler = schedulers.ours()
    draw = random.Random(1).uniform
    tasks = []

    def add(delay: float) -> None:
        tasks.append(scheduler.add_interval_task(nothing, 3600.0, initialdelay=delay))

    chunks(add, [draw(3600, 7200) for _ in range(n)])
    tasks.clear()
    adding, cancelling = [], []
    for _ in range(50):  # so that n wait all the time, give or take a chunk
        adding += chunks(add, [draw(3600, 7200) for _ in range(CHUNK)])
        cancelling += chunks(scheduler.cancel, tasks)
        tasks.clear()
    scheduler.stop()
    return [Figure("add", median(adding) * 1e6, "us"), Figure("cancel", median(cancelling) * 1e6, "us")]


def _fire(n: int) -> Figure:
    from tgscheduler.scheduler import SingleTask

    scheduler = schedulers.ours()
    times = []
    for _ in range(max(1, 20_000 // n)):
        moments: list[float] = []
        note, clock = moments.append, time.perf_counter
        tally = Tally(n, lambda note=note, clock=clock: note(clock()))
        tasks = [SingleTask(None, tally.action) for _ in range(n)]
        due = time.time() + 0.1 + n * 1.5e-5
        for task in tasks:
            scheduler.schedule_task_abs(task, due)
        before(due)
        tally.wait()
        ends = moments[CHUNK - 1 :: CHUNK]
        times += [(end - start) / CHUNK for start, end in itertools.pairwise(ends)]
    return Figure("fire", median(times) * 1e6, "us")
