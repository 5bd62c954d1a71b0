"""100 interval tasks of 1 s, threaded, evenly spread, beside a thread that computes: how late each run starts."""

import threading

from benchmarks.cases.lateness import Grid, place_apscheduler, place_ours, place_tgs17
from benchmarks.figures import Figure, Plan

PLAN = {
    "ours": Plan(600, 500),
    "apscheduler": Plan(600, 500),
    "tgs17": Plan(500, 500, once=True),
}

TASKS = 100


def ours(n: int) -> list[Figure]:
    """Threaded."""
    return _measure(place_ours(Grid(n, TASKS, 1.0)))


def apscheduler(n: int) -> list[Figure]:
    """In its pool."""
    return _measure(place_apscheduler(Grid(n, TASKS, 1.0)))


def tgs17(n: int) -> list[Figure]:
    """Threaded; its lateness adds up."""
    return _measure(place_tgs17(Grid(n, TASKS, 1.0)), drifts=True)


def _measure(grid: Grid, drifts: bool = False) -> list[Figure]:
    threading.Thread(target=_compute, daemon=True).start()
    return grid.figures(drifts)


def _compute() -> None:
    while True:
        pass
