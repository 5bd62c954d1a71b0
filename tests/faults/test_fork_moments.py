"""When a fork happens: never while a thread of ours is inside a C library whose locks the child would inherit."""

import os
import sqlite3
import threading

import pytest
from helpers import wait_for

from tgscheduler import stores
from tgscheduler.scheduler import ThreadedScheduler, method

#: The gate runs so many; 5,000 were run on each Python before a release.
FORKS = int(os.environ.get("TGSCHEDULER_FORKS", "600"))


def use_sqlite():
    """Do what a child cannot do that inherits a locked mutex of SQLite's: an action."""
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE t (a)")
    connection.executemany("INSERT INTO t VALUES (?)", [(number,) for number in range(100)])
    assert connection.execute("SELECT sum(a) FROM t").fetchone() == (4950,)
    connection.close()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_forked_runs_that_open_sqlite_beside_a_store_under_load_do_not_hang(tmp_path):
    store = stores.open(f"sqlite:///{tmp_path / 'runs.db'}")
    scheduler = ThreadedScheduler(store=store, children=8, threads=16)
    stop = threading.Event()

    def read():
        while not stop.is_set():
            scheduler.runs(limit=200)

    readers = [threading.Thread(target=read) for _ in range(2)]
    scheduler.start()
    for reader in readers:
        reader.start()
    try:
        for number in range(20):
            scheduler.add_interval_task(int, 0.02, taskname=f"load {number}")
        for number in range(FORKS):
            scheduler.add_single_task(
                use_sqlite, processmethod=method.forked, taskname=f"fork {number}", initialdelay=number / 60, timeout=20
            )
        wait_for(lambda: sum(name.startswith("fork") for name in scheduler.get_tasks()) == 0, 60 + FORKS / 15)
    finally:
        stop.set()
        for reader in readers:
            reader.join()
        scheduler.stop()
    by_task = scheduler.counts_by_task()
    assert {name: counts for name, counts in by_task.items() if name.startswith("fork") and counts != {"ok": 1}} == {}
