"""A sequential interval task of 1 s whose action takes 0.3 s: the worst offset from the grid, and the drift per run."""

import time

from benchmarks import schedulers
from benchmarks.figures import Figure, Plan, Void

PLAN = {
    "ours": Plan(5, 3),
    "apscheduler": Plan(5, 3, once=True),
    "tgs17": Plan(5, 3, once=True),
    "schedule": Plan(5, 3, once=True),
}


class Starts:
    """Notes when each run starts; its action takes 0.3 s."""

    def __init__(self) -> None:
        self.first = time.time() + 0.3
        self.moments: list[float] = []

    def action(self) -> None:
        """Note the start, and take 0.3 s."""
        self.moments.append(time.time())
        time.sleep(0.3)

    def figures(self, n: int) -> list[Figure]:
        """Wait for ``n`` runs and compare them with the grid."""
        end = self.first + n * 1.4 + 5
        while len(self.moments) < n:
            if time.time() > end:
                raise Void(f"{len(self.moments)} of {n} runs")
            time.sleep(0.05)
        offsets = [(moment - self.first - k) * 1e3 for k, moment in enumerate(self.moments[:n])]
        return [
            Figure("worst offset", max(map(abs, offsets)), "ms"),
            Figure("drift per run", (offsets[-1] - offsets[0]) / (n - 1), "ms"),
        ]


def ours(n: int) -> list[Figure]:
    """``IntervalTask``."""
    from tgscheduler.scheduler import IntervalTask

    scheduler, starts = schedulers.ours(), Starts()
    scheduler.schedule_task_abs(IntervalTask(None, 1, starts.action), starts.first)
    return starts.figures(n)


def apscheduler(n: int) -> list[Figure]:
    """With the DebugExecutor."""
    scheduler, starts = schedulers.apscheduler(in_loop=True), Starts()
    schedulers.each_second(scheduler, starts.action, starts.first)
    return starts.figures(n)


def tgs17(n: int) -> list[Figure]:
    """``IntervalTask``."""
    kronos, scheduler = schedulers.tgs17()
    starts = Starts()
    scheduler.schedule_task_abs(kronos.IntervalTask(None, 1, starts.action, (), {}), starts.first)
    scheduler.start()
    return starts.figures(n)


def schedule(n: int) -> list[Figure]:
    """Polled each millisecond."""
    from datetime import datetime

    scheduler, starts = schedulers.schedule(), Starts()
    scheduler.every(1).seconds.do(starts.action).next_run = datetime.fromtimestamp(starts.first)
    schedulers.poll(scheduler, 0.001)
    return starts.figures(n)
