"""24 hours on the virtual clock: 1,000 tasks of 1 to 36 s and cron-like ones, millions of runs in one process."""

import time
import tracemalloc

from benchmarks.loads import arguments, conclude
from tgscheduler.testing import TickedScheduler

HOUR = 3600.0


def main() -> None:
    """Run the day; memory in its last hour must be that of its first."""
    short = arguments(__doc__).short
    hours = 3 if short else 24
    scheduler = TickedScheduler(start=1_750_000_000.0, timezone="Europe/Berlin")
    ran = [0]

    def action() -> None:
        ran[0] += 1

    for number in range(990):
        scheduler.add_interval_task(action, 1 + number % 60 * 0.6, taskname=f"interval {number}")
    for number in range(10):
        scheduler.add_cron_like_task(action, f"*/{number + 1} * * * *", taskname=f"cron {number}")
    tracemalloc.start(1)
    traced, adds_up, began = [], True, time.perf_counter()
    for _ in range(hours):
        scheduler.tick(HOUR)
        traced.append(tracemalloc.get_traced_memory()[0])
        adds_up = adds_up and sum(scheduler.counts().values()) == ran[0] == scheduler.counts()["ok"]
    took = time.perf_counter() - began
    conclude(
        "day",
        short,
        {
            "the journal adds up at each hour": adds_up,
            "memory of the last hour within 1 MiB of the first": abs(traced[-1] - traced[0]) < 1 << 20,
            "under ten minutes": took < 600,
        },
        hours=hours,
        runs=ran[0],
        seconds=round(took, 1),
        traced_by_hour_mib=[round(each / (1 << 20), 2) for each in traced],
    )


if __name__ == "__main__":
    main()
