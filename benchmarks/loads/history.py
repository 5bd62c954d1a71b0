"""Ten million runs in a SQLite store: how long a page takes, and how pruning a million delays a claim."""

import shutil
import sqlite3
import statistics
import tempfile
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.loads import arguments, conclude, percentile
from tgscheduler import stores
from tgscheduler.stores.base import Claim, ClaimResult, TaskRecord
from tgscheduler.stores.database_store import DatabaseStore
from tgscheduler.stores.nodes import NODE_IDS
from tgscheduler.testing import VirtualClock
from tgscheduler.timetable.durations import bucket_of
from tgscheduler.timetable.run import Run

TASKS = 1000
BEGIN = 1_600_000_000.0
INTERVAL = 60.0
#: Maximum time (seconds) of a page.
PAGE = 0.020
#: Maximum time (seconds) of a claim during pruning.
CLAIM = 0.050

#: Run ``n`` is of task ``n % TASKS``; two in a hundred have failed, the fifth hundred of each ten thousand is missed.
_FILL = f"""
INSERT INTO tg_run
WITH RECURSIVE numbers (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < ?)
SELECT {NODE_IDS} + n, n % {TASKS} + 1, {BEGIN} + n / {TASKS} * {INTERVAL} + (n % {TASKS}) * 0.06, NULL, 1,
       CASE WHEN n % 50 = 7 THEN 'failed' WHEN n % 10000 BETWEEN 400 AND 499 THEN 'missed' ELSE 'ok' END, 1,
       {BEGIN} + n / {TASKS} * {INTERVAL} + (n % {TASKS}) * 0.06 + 0.001,
       {BEGIN} + n / {TASKS} * {INTERVAL} + (n % {TASKS}) * 0.06 + 0.011,
       1, NULL, 4711, 'tgscheduler-7', NULL,
       CASE WHEN n % 50 = 7 THEN 'Traceback (most recent call last): ...' END, NULL
FROM numbers
"""
_SUMS = """
INSERT INTO tg_count SELECT {span}, {begin}, task_id, state, count(*), sum(ended - started), max(ended - started)
FROM tg_run GROUP BY 2, 3, 4
"""
_DURATIONS = f"""
INSERT INTO tg_duration
SELECT {{span}}, {{begin}}, task_id, {bucket_of(0.01)}, count(*), sum(ended - started), max(ended - started)
FROM tg_run WHERE state <> 'missed' GROUP BY 1, 2, 3
"""


def fill(path: Path, runs: int) -> None:
    """Fill a closed store; the indexes are made last, which takes a fifth of the time."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = OFF")
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("PRAGMA cache_size = -200000")
    found = connection.execute("SELECT name, sql FROM sqlite_master WHERE tbl_name = 'tg_run' AND type = 'index'")
    indexes = [(name, sql) for name, sql in found.fetchall() if sql]
    for name, _ in indexes:
        connection.execute(f"DROP INDEX {name}")
    connection.execute("BEGIN")
    connection.execute(_FILL, (runs,))
    for span, begin in (("'hour'", "due - due % 3600"), ("'day'", "due - due % 86400"), ("'ever'", "0")):
        for sums in (_SUMS, _DURATIONS):
            connection.execute(sums.format(span=span, begin=f"CAST({begin} AS INTEGER)"))
    connection.execute("COMMIT")
    for _, sql in indexes:
        connection.execute(sql)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.close()


def opened(url: str, clock: VirtualClock, **options: Any) -> tuple[DatabaseStore, "deque[list[ClaimResult]]"]:
    """Return an open store, and the deque to which it appends results."""
    store = stores.open(url, clock=clock, **options)
    assert isinstance(store, DatabaseStore)
    answers: deque[list[ClaimResult]] = deque()
    store.open(answers.append, lambda condition: None)
    return store, answers


def timed(ask: Callable[[], object], times: int = 15) -> float:
    """Return the median time of a query (seconds)."""
    took = []
    for _ in range(times):
        began = time.perf_counter()
        ask()
        took.append(time.perf_counter() - began)
    return statistics.median(took)


def pages(store: DatabaseStore, runs: int) -> dict[str, float]:
    """Return the time of each kind of page (ms)."""
    last = BEGIN + runs / TASKS * INTERVAL
    middle = (BEGIN + last) / 2
    deep = store.runs(before=middle)[-1]
    asked: dict[str, dict[str, Any]] = {
        "of everything": {},
        "of a task": {"task": "task 500"},
        "of failures": {"state": "failed"},
        "of a task's failures": {"task": "task 7", "state": "failed"},
        "of a task that never failed": {"task": "task 500", "state": "failed"},
        "of a task's successes": {"task": "task 500", "state": "ok"},
        "of a state without runs": {"state": "lost"},
        "of a task without runs": {"task": "idle"},
        "of an unknown task": {"task": "nobody"},
        "from the middle": {"before": middle},
        "of an hour in the middle": {"since": middle - 3600, "before": middle},
        "after another": {"before": deep},
        "of missed in the middle": {"state": "missed", "before": middle},
        "of a task in the middle": {"task": "task 500", "before": middle},
        "of everything, the oldest": {"before": BEGIN + 1},
    }
    found = {name: round(timed(partial(store.runs, **words)) * 1e3, 2) for name, words in asked.items()}
    found["counts"] = round(timed(store.counts) * 1e3, 2)
    some = [f"task {number}" for number in range(1, 51)]
    for period, since in (("ever", None), ("a day", last - 86400), ("30 days", last - 30 * 86400)):
        found[f"durations of 50 tasks: {period}"] = round(timed(partial(store.durations, some, since)) * 1e3, 2)
    found["counts of a day"] = round(timed(lambda: store.counts_by_task(middle), 3) * 1e3, 2)
    return found


def prune(url: str, clock: VirtualClock, runs: int, share: int) -> tuple[list[float], float, int]:
    """Prune a tenth during claims; return the time of each claim, the time of all, and the number of runs left."""
    last = BEGIN + runs / TASKS * INTERVAL
    oldest_kept = BEGIN + share / TASKS * INTERVAL
    days = (last - oldest_kept + 0.03) / 86400  # between two runs
    store, answers = opened(url, clock, days=days, per_task=None)
    took: list[float] = []
    began = time.perf_counter()
    connection = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
    oldest = BEGIN
    while oldest < oldest_kept and time.perf_counter() - began < 900:
        due = last + len(took)
        asked = time.perf_counter()
        store.claim([Claim("idle", due, due, [Run("idle", due)])])
        while not answers:
            time.sleep(0.0002)
        took.append(time.perf_counter() - asked)
        (answer,) = answers.popleft()
        (run,) = answer.claim.opened
        run.state, run.started, run.ended = "ok", due, due
        store.record([run])
        time.sleep(0.005)
        if len(took) % 100 == 0:
            ((oldest,),) = connection.execute("SELECT min(due) FROM tg_run").fetchall()
    seconds = time.perf_counter() - began
    ((left,),) = connection.execute("SELECT count(*) FROM tg_run WHERE due < ?", (last,)).fetchall()
    connection.close()
    store.close(10)
    return took, seconds, left


def main() -> None:
    """Fill, query, prune."""
    short = arguments(__doc__).short
    runs = 300_000 if short else 10_000_000
    share = runs // 10
    folder = Path(tempfile.mkdtemp(prefix="tgs-history-"))
    try:
        url = f"sqlite:///{folder}/history.db"
        clock = VirtualClock(BEGIN + runs / TASKS * INTERVAL)
        store, _ = opened(url, clock)
        store.save([TaskRecord(f"task {number}", "") for number in range(TASKS)] + [TaskRecord("idle", "")])
        store.close(10)
        began = time.perf_counter()
        fill(folder / "history.db", runs)
        filled = time.perf_counter() - began
        size = (folder / "history.db").stat().st_size
        began = time.perf_counter()
        store, _ = opened(url, clock, days=None, per_task=None)
        opening = time.perf_counter() - began
        took = pages(store, runs)
        store.close(10)
        claims, seconds, left = prune(url, clock, runs, share)
    finally:
        shutil.rmtree(folder)
    slowest = max(took, key=lambda name: took[name] if name != "counts of a day" else 0.0)
    conclude(
        "history",
        short,
        {
            f"every page answers within {PAGE * 1e3:.0f} ms": took[slowest] < PAGE * 1e3,
            f"no claim takes {CLAIM * 1e3:.0f} ms while there is pruning": max(claims) < CLAIM,
            "what is too old is gone, and nothing else": left == runs - share,
        },
        runs=runs,
        fill_s=round(filled, 1),
        bytes_per_run=round(size / runs, 1),
        open_ms=round(opening * 1e3, 1),
        pages_ms=took,
        slowest_page=slowest,
        pruned=share,
        prune_s=round(seconds, 1),
        claims=len(claims),
        claim_ms={
            "p50": round(percentile(claims, 0.5) * 1e3, 2),
            "p99": round(percentile(claims, 0.99) * 1e3, 2),
            "max": round(max(claims) * 1e3, 2),
        },
    )


if __name__ == "__main__":
    main()
