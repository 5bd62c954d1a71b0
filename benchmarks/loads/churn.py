"""A million single tasks that come and go, a thousand starts and stops, ten thousand renames: nothing grows."""

import threading
import time

from benchmarks.loads import arguments, conclude, descriptors, objects, resident
from tgscheduler.scheduler import ThreadedScheduler


def nothing() -> None:
    """Do nothing."""


def threads() -> int:
    """Return the number of threads, after those that are ending have ended."""
    end = time.monotonic() + 2
    while threading.active_count() > 1 and time.monotonic() < end:
        time.sleep(0.01)
    return threading.active_count()


def main() -> None:
    """Do all three; names, threads, descriptors and objects must be as before."""
    short = arguments(__doc__).short
    share = 10 if short else 1
    singles, cycles, renames = 1_000_000 // share, 1_000 // share, 10_000 // share
    scheduler = ThreadedScheduler(history=1000)
    scheduler.start()
    began = time.perf_counter()
    resident_after: list[int] = []
    for number in range(singles):
        scheduler.add_single_task(nothing, taskname=f"single {number}")
        if number % 1000 == 999:
            while scheduler.health()["tasks"] or scheduler.counts()["waiting"]:
                time.sleep(0.001)
        if number in (singles // 10, singles - 1):
            resident_after.append(resident())
    singles_took = time.perf_counter() - began
    while sum(scheduler.counts().values()) != scheduler.counts()["ok"]:
        time.sleep(0.01)
    names, ran = scheduler.get_tasks(), scheduler.counts()["ok"]
    scheduler.stop()

    before = (objects(), descriptors(), threads())
    began = time.perf_counter()
    for _ in range(cycles):
        scheduler.start()
        scheduler.stop()
    cycles_took = time.perf_counter() - began
    scheduler.add_interval_task(nothing, 3600, taskname="0")
    for number in range(renames):
        scheduler.rename_task(str(number), str(number + 1))
    after = (objects(), descriptors(), threads())
    conclude(
        "churn",
        short,
        {
            "every single task ran once and its name is free": ran == singles and names == {},
            "memory does not grow with singles (8 MiB)": resident_after[1] - resident_after[0] < 8 << 20,
            "objects do not grow with starts and renames (500)": after[0] - before[0] < 500,
            "descriptors and threads are as before": after[1:] == before[1:],
            "one name is left": list(scheduler.get_tasks()) == [str(renames)],
        },
        singles=singles,
        singles_per_second=round(singles / singles_took),
        growth_mib=round((resident_after[1] - resident_after[0]) / (1 << 20), 2),
        start_stop_ms=round(cycles_took / cycles * 1e3, 2),
        objects=[before[0], after[0]],
    )


if __name__ == "__main__":
    main()
