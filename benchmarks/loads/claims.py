"""A hundred thousand occurrences through a store: claimed, answered, ended, recorded, by one thread, as in the engine.

It also runs on the PostgreSQL server of ``TGS_POSTGRES_URL``, if set; its tables must not exist yet, and are removed.
"""

import os
import shutil
import tempfile
import time
from collections import deque
from pathlib import Path
from typing import Any

from benchmarks.loads import arguments, conclude
from tgscheduler import stores
from tgscheduler.stores.base import Claim, ClaimResult, TaskRecord
from tgscheduler.stores.database_store import DatabaseStore
from tgscheduler.timetable.run import Run, Where

TASKS = 1000
#: Number of claims that the engine submits at a time, and maximum number without an answer.
TURN = 256
AHEAD = 8 * TURN
DUE = 1_900_000_000.0
#: Minimum number of runs a second on SQLite.
GOAL = 20_000


def go_through(url: str, runs: int) -> dict[str, Any]:
    """Return the figures of a store for ``runs`` runs."""
    store = stores.open(url, days=None, per_task=None)
    assert isinstance(store, DatabaseStore)
    answers: deque[list[ClaimResult]] = deque()
    store.open(answers.append, lambda condition: None)
    store.save([TaskRecord(f"task {number}", "every second", high_water=0.0) for number in range(TASKS)])
    store.flush(10)
    place = Where("bench", os.getpid(), "tgscheduler-1")
    began, burnt = time.perf_counter(), time.process_time()
    claimed = recorded = refused = 0
    while recorded < runs:
        while claimed - recorded < AHEAD and claimed < runs:
            numbers = range(claimed, min(claimed + TURN, runs))
            places = [(f"task {number % TASKS}", DUE + number // TASKS) for number in numbers]
            store.claim([Claim(task, due, due, [Run(task, due)]) for task, due in places])
            claimed += len(numbers)
        ended = []
        while answers:
            for answer in answers.popleft():
                refused += not answer.granted
                (run,) = answer.claim.opened
                run.where, run.state, run.started, run.ended = place, "ok", run.due + 0.001, run.due + 0.002
                ended.append(run)
        if ended:
            store.record(ended)
            recorded += len(ended)
        else:
            time.sleep(0.0005)
    flushed = store.flush(60)
    took, burnt = time.perf_counter() - began, time.process_time() - burnt
    whole = flushed and not refused and store.counts() == {"ok": runs} and store.close(10) == 0
    reader = stores.open(url)
    return {
        "runs_per_second": round(runs / took),
        "cpu_us_per_run": round(burnt / runs * 1e6, 1),
        "whole": whole and reader.counts() == {"ok": runs} and not reader.runs(state="running"),
    }


def main() -> None:
    """Run it on SQLite, and on a server if there is one."""
    short = arguments(__doc__).short
    runs = 10_000 if short else 100_000
    folder = Path(tempfile.mkdtemp(prefix="tgs-claims-"))
    try:
        sqlite = go_through(f"sqlite:///{folder}/runs.db", runs)
        size = (folder / "runs.db").stat().st_size
    finally:
        shutil.rmtree(folder)
    figures = {"sqlite": sqlite, "sqlite_bytes_per_run": round(size / runs, 1)}
    checks = {
        f"{GOAL:,} runs a second on SQLite": sqlite["runs_per_second"] >= GOAL,
        "all of them are on record": sqlite.pop("whole"),
    }
    url = os.environ.get("TGS_POSTGRES_URL")
    if url:
        try:
            figures["postgresql"] = postgres = go_through(url, runs)
            checks["all of them are on record at the server"] = postgres.pop("whole")
        finally:
            drop(url)
    conclude("claims", short, checks, runs=runs, **figures)


def drop(url: str) -> None:
    """Remove the tables on a server."""
    import psycopg

    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute(
            "DROP TABLE IF EXISTS tg_schema, tg_node, tg_task, tg_open, tg_run, tg_count, tg_duration, tg_audit"
        )


if __name__ == "__main__":
    main()
