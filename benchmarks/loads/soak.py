"""Ten minutes of 2,000 threaded runs a second, one in a hundred failing, and five forks a second: nothing grows."""

import itertools
import logging
import threading
import time

from benchmarks.loads import arguments, conclude, descriptors, objects, percentile, resident
from tgscheduler.scheduler import ThreadedScheduler, method

MINUTE = 60.0
BOUND = 100

#: The states in which occurrences end here; those that wait at the stop are cancelled.
ENDS = ("ok", "failed", "skipped", "cancelled")


def main() -> None:
    """Run it; memory, threads, descriptors and objects must be flat after the first minute."""
    short = arguments(__doc__).short
    minutes = 1 if short else 10
    logging.getLogger("tgscheduler").setLevel(logging.CRITICAL)  # the failures are intended
    scheduler = ThreadedScheduler(threads=BOUND, history=20_000)
    numbers = itertools.count(1)

    def action() -> None:
        if next(numbers) % 100 == 0:
            raise ValueError("as planned")

    for number in range(200):
        scheduler.add_interval_task(action, 0.1, initialdelay=number * 0.0005, taskname=f"threaded {number}")
    scheduler.add_interval_task(int, 0.2, taskname="forked", processmethod=method.forked)
    scheduler.start()
    watched: list[dict[str, int]] = []
    adds_up, most_threads = True, 0
    late: list[float] = []
    due_before, end = 0, time.monotonic() + minutes * MINUTE
    while time.monotonic() < end:
        time.sleep(6.0)
        counts = scheduler.counts()
        due = sum(counts.values())
        adds_up = adds_up and due >= due_before
        due_before = due
        most_threads = max(most_threads, threading.active_count())
        # A few of each look: all of them would be the 16 MiB by which this program may grow.
        late += [run.late for run in scheduler.runs(state="ok", limit=200) if run.late is not None]
        watched.append({"resident": resident(), "descriptors": descriptors(), "objects": objects()})
    scheduler.stop()
    counts = scheduler.counts()
    first, last = watched[len(watched) // minutes - 1 if minutes > 1 else len(watched) // 2], watched[-1]
    conclude(
        "soak",
        short,
        {
            "the journal adds up": adds_up and sum(map(counts.__getitem__, ENDS)) == sum(counts.values()),
            "one in a hundred failed": counts["failed"] == (next(numbers) - 1) // 100,
            "resident memory grows by less than 8 MiB": last["resident"] - first["resident"] < 8 << 20,
            "threads within the bound and six": most_threads <= BOUND + 6,
            "descriptors flat": abs(last["descriptors"] - first["descriptors"]) <= 8,
            "objects flat (2 %)": last["objects"] < first["objects"] * 1.02,
            "lateness p99 under 50 ms": percentile(late, 0.99) < 0.05,
            "forks ran": bool(scheduler.runs("forked", state="ok")),
        },
        minutes=minutes,
        runs=sum(counts.values()),
        failed=counts["failed"],
        skipped=counts["skipped"],
        growth_mib=round((last["resident"] - first["resident"]) / (1 << 20), 2),
        most_threads=most_threads,
        objects=[first["objects"], last["objects"]],
        late_ms={"p50": round(percentile(late, 0.5) * 1e3, 2), "p99": round(percentile(late, 0.99) * 1e3, 2)},
    )


if __name__ == "__main__":
    main()
