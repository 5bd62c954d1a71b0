"""100,000 tasks due at once: order, and how long an add and a cancel take meanwhile."""

import itertools
import threading
import time

from benchmarks.loads import arguments, conclude, percentile
from tgscheduler.scheduler import ThreadedScheduler, ThreadedSingleTask


def main() -> None:
    """Fire them; adds and cancels from another thread must return within 50 ms at the 90th percentile."""
    short = arguments(__doc__).short
    tasks = 10_000 if short else 100_000
    scheduler = ThreadedScheduler(history=tasks + 10_000)
    counter = itertools.count(1)
    done = threading.Event()

    def action() -> None:
        if next(counter) == tasks:
            done.set()

    scheduler.start()
    due = time.time() + 1.0 + tasks * 20e-6
    for _ in range(tasks):
        scheduler.schedule_task_abs(ThreadedSingleTask(None, action), due)
    adds, cancels = [], []
    time.sleep(max(0.0, due - time.time()))
    began = time.perf_counter()
    while not done.is_set():
        before = time.perf_counter()
        task = scheduler.add_interval_task(action, 3600, initialdelay=3600)
        between = time.perf_counter()
        scheduler.cancel(task)
        cancels.append(time.perf_counter() - between)
        adds.append(between - before)
        time.sleep(0.001)
    took = time.perf_counter() - began
    scheduler.stop()
    counts = scheduler.counts()
    starts = [run.started or 0.0 for run in scheduler.runs(limit=tasks)]
    conclude(
        "burst",
        short,
        {
            "each ran once": counts["ok"] == tasks == sum(counts.values()),
            "none early": min(starts) >= due,
            "an add answers within 50 ms (p90)": percentile(adds, 0.9) < 0.05,
            "a cancel answers within 50 ms (p90)": percentile(cancels, 0.9) < 0.05,
        },
        tasks=tasks,
        runs_per_second=round(tasks / took),
        add_ms={"p50": round(percentile(adds, 0.5) * 1e3, 2), "p90": round(percentile(adds, 0.9) * 1e3, 2)},
        cancel_ms={"p50": round(percentile(cancels, 0.5) * 1e3, 2), "p90": round(percentile(cancels, 0.9) * 1e3, 2)},
    )


if __name__ == "__main__":
    main()
