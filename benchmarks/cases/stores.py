"""The cost of a store, with ``n`` times 10,000 runs that do nothing, due at once: runs per second, bytes on disk;
with ``n`` seconds of 1,000 threaded runs a second: how late each starts, CPU per run.
"""

import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.figures import Figure, Plan, Tally, Void, before, quantile

PLAN = {"ours": Plan(4, 2), "sqlite": Plan(4, 2)}

TASKS = 1_000
#: Number of single tasks that are due at once, for each second of the measurement of runs per second.
SINGLES = 10_000


def ours(n: int) -> list[Figure]:
    """In memory."""
    return [_rate(n, None), *_steady(n, None)]


def sqlite(n: int) -> list[Figure]:
    """In a file."""
    folder = Path(tempfile.mkdtemp(prefix="tgs-benchmark-"))
    try:
        most = _rate(n, f"sqlite:///{folder}/most.db")
        steady = _steady(n, f"sqlite:///{folder}/steady.db")
        return [most, *steady, _bytes(folder / "most.db")]
    finally:
        shutil.rmtree(folder)


def _scheduler(url: str | None) -> Any:
    from tgscheduler import stores
    from tgscheduler.scheduler import ThreadedScheduler

    return ThreadedScheduler(store=None if url is None else stores.open(url))


def _rate(n: int, url: str | None) -> Figure:
    """Run single tasks that are due at once, sequentially, until all are recorded."""
    from tgscheduler.scheduler import SingleTask

    count = n * SINGLES
    scheduler, tally = _scheduler(url), Tally(count)
    scheduler.start()
    due = time.time() + 0.3 + count * 3e-5
    for _ in range(count):
        scheduler.schedule_task_abs(SingleTask(None, tally.action), due)
    before(due)
    tally.wait()
    while scheduler.counts()["ok"] < count or scheduler.health()["buffered"]:
        time.sleep(0.001)
    took = time.time() - due
    scheduler.stop()
    if url is not None:
        _check(url, scheduler)
    return Figure("recorded", count / took, "runs/s")


def _steady(n: int, url: str | None) -> list[Figure]:
    """1,000 threaded runs a second, evenly spread."""
    late: list[float] = []
    begin = time.time() + 0.5
    scheduler = _scheduler(url)

    def action(first: float) -> None:
        late.append((time.time() - first) % 1.0)

    for number in range(TASKS):
        first = begin + number / TASKS
        scheduler.add_interval_task(action, 1, args=(first,), start=begin, initialdelay=number / TASKS,
                                    taskname=f"task {number}")  # fmt: skip
    scheduler.start()
    time.sleep(begin + 0.5 - time.time())
    skipped, cpu = len(late), time.process_time()
    time.sleep(n)
    cpu, done = time.process_time() - cpu, len(late) - skipped
    scheduler.stop()
    if done < 0.99 * n * TASKS:
        raise Void(f"{done} of {n * TASKS} runs")
    found = sorted(late[skipped : skipped + done])
    return [
        Figure("late p50", quantile(found, 0.5) * 1e3, "ms"),
        Figure("late p99", quantile(found, 0.99) * 1e3, "ms"),
        Figure("CPU per run", cpu / done * 1e6, "us"),
    ]


def _check(url: str, scheduler: Any) -> None:
    from tgscheduler import stores

    store = stores.open(url)
    if store.counts() != {state: count for state, count in scheduler.counts().items() if count}:
        raise Void("the store has not what has run")
    store.close(1)


def _bytes(path: Path) -> Figure:
    import sqlite3

    connection = sqlite3.connect(path)
    (runs,) = connection.execute("SELECT count(*) FROM tg_run").fetchone()
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    return Figure("bytes per run", path.stat().st_size / runs, "B")
