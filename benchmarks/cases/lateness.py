"""1,000 interval tasks of 1 s, evenly spread over it: how late each run starts, of ``n`` runs."""

import sched
import threading
import time
from collections.abc import Callable
from datetime import datetime

from benchmarks import schedulers
from benchmarks.figures import Figure, Plan, Void, quantile

PLAN = {
    "ours": Plan(4_000, 2_000),
    "apscheduler": Plan(4_000, 2_000),
    "tgs17": Plan(2_000, 2_000, once=True),
    "schedule": Plan(2_000, 2_000, once=True),
    "bare": Plan(2_000, 2_000, once=True),
}

TASKS = 1_000


class Grid:
    """Notes the starts of tasks that are due at ``first``, ``first + 1``, … and compares them with that grid."""

    def __init__(self, n: int, tasks: int, lead: float) -> None:
        self.seconds = n // tasks
        self.begin = time.time() + lead
        self.firsts = [self.begin + i / tasks for i in range(tasks)]
        self.starts: list[list[float]] = [[] for _ in range(tasks)]

    def action(self, task: int) -> Callable[[], None]:
        """Return the action of a task."""
        note, clock = self.starts[task].append, time.time
        return lambda: note(clock())

    def figures(self, drifts: bool = False) -> list[Figure]:
        """Wait for all runs, and return how late they were; raise Void if one is missing.

        ``drifts``: the scheduler keeps no grid, and has fewer runs in that time.
        """
        if time.time() > self.begin:
            raise Void("tasks were in place too late")
        end = self.begin + self.seconds + 1.0
        time.sleep(end - time.time())
        late = []
        for first, starts in zip(self.firsts, self.starts, strict=True):
            if len(starts) < self.seconds and not drifts:
                raise Void(f"{len(starts)} of {self.seconds} runs of a task")
            late += [(start - first - k) * 1e3 for k, start in enumerate(starts[: self.seconds])]
        if min(late) < -1:
            raise Void(f"a run {-min(late):.1f} ms too early")
        return [
            Figure("late p50", quantile(late, 0.5), "ms"),
            Figure("late p99", quantile(late, 0.99), "ms"),
            Figure("late max", max(late), "ms"),
        ]


def ours(n: int) -> list[Figure]:
    """Threaded."""
    return place_ours(Grid(n, TASKS, 0.5)).figures()


def apscheduler(n: int) -> list[Figure]:
    """In its pool."""
    return place_apscheduler(Grid(n, TASKS, 1.0)).figures()


def tgs17(n: int) -> list[Figure]:
    """Threaded; it counts the next interval from when the last run started, so its lateness adds up."""
    return place_tgs17(Grid(n, TASKS, 0.5)).figures(drifts=True)


def schedule(n: int) -> list[Figure]:
    """Polled each millisecond."""
    grid, scheduler = Grid(n, TASKS, 0.5), schedulers.schedule()
    for i, first in enumerate(grid.firsts):
        scheduler.every(1).seconds.do(grid.action(i)).next_run = datetime.fromtimestamp(first)
    schedulers.poll(scheduler, 0.001)
    return grid.figures(drifts=True)


def bare(n: int) -> list[Figure]:
    """``sched`` in a thread."""
    grid, queue = Grid(n, TASKS, 0.5), sched.scheduler(time.time)
    for i, first in enumerate(grid.firsts):
        for k in range(grid.seconds):
            queue.enterabs(first + k, 0, grid.action(i))
    threading.Thread(target=queue.run, daemon=True).start()
    return grid.figures()


def place_ours(grid: Grid) -> Grid:
    """Add the grid's tasks to our scheduler."""
    from tgscheduler.scheduler import ThreadedIntervalTask

    scheduler = schedulers.ours()
    for i, first in enumerate(grid.firsts):
        scheduler.schedule_task_abs(ThreadedIntervalTask(None, 1, grid.action(i)), first)
    return grid


def place_apscheduler(grid: Grid) -> Grid:
    """Add the grid's tasks to APScheduler."""
    scheduler = schedulers.apscheduler()
    for i, first in enumerate(grid.firsts):
        schedulers.each_second(scheduler, grid.action(i), first)
    return grid


def place_tgs17(grid: Grid) -> Grid:
    """Add the grid's tasks to TGScheduler 1.7."""
    kronos, scheduler = schedulers.tgs17()
    for i, first in enumerate(grid.firsts):
        scheduler.schedule_task_abs(kronos.ThreadedIntervalTask(None, 1, grid.action(i), (), {}), first)
    scheduler.start()
    return grid
