"""When a fork happens: never while a thread of ours is inside a C library whose locks the child would inherit."""

import os
import sqlite3
import threading
import time

import pytest
from helpers import noop, wait_for

from tgscheduler import stores
from tgscheduler.forks import no_fork
from tgscheduler.scheduler import ThreadedScheduler, method

pytest_plugins = ["postgres"]

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


def test_every_statement_of_a_sqlite_store_is_one_that_no_fork_interrupts(tmp_path, monkeypatch):
    inside, outside, connect = [], [], sqlite3.connect

    def note(what):
        (inside if threading.get_ident() in no_fork._calls else outside).append(what)

    def traced(*args, **kw):
        note("connect")
        connection = connect(*args, **kw)
        connection.set_trace_callback(note)
        return connection

    monkeypatch.setattr(sqlite3, "connect", traced)
    for _ in range(2):  # the second time there are runs that were lost
        store = stores.open(f"sqlite:///{tmp_path / 'runs.db'}")
        scheduler = ThreadedScheduler(store=store)
        scheduler.add_interval_task(noop, 0.01, taskname="it")
        scheduler.start()
        wait_for(lambda ask=scheduler.counts: ask()["ok"] > 5)
        assert scheduler.runs(limit=2)
        assert scheduler.counts_by_task()["it"]
        scheduler.rename_task("it", "that")
        scheduler.stop()
    assert outside == []
    told = " ".join(inside)
    for word in ("connect", "CREATE TABLE", "BEGIN", "INSERT", "COMMIT", "PRAGMA", "SELECT"):
        assert word in told


def holds():
    """Return whether a fork waits for a call, now."""
    try:
        return not no_fork.close(0.05)
    finally:
        no_fork.open()


@pytest.mark.slow
def test_a_table_of_postgresql_that_is_locked_holds_no_fork_up(postgres_schema):
    url = postgres_schema.replace("+psycopg", "")
    import psycopg

    from tgscheduler.stores.postgres import PostgresDatabase

    database = PostgresDatabase(url)
    entered, enter = [], type(no_fork).__enter__
    holder = psycopg.connect(url)
    connection = database.connect(writing=True)
    waiter = threading.Thread(target=lambda: database.rows(connection, "SELECT * FROM locked"))
    try:
        holder.execute("CREATE TABLE locked (a int)")
        holder.commit()
        holder.execute("LOCK TABLE locked")
        waiter.start()
        time.sleep(0.2)
        assert not holds()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(type(no_fork), "__enter__", lambda gate: entered.append(1) or enter(gate))
            database.close(database.connect(writing=False))
        assert len(entered) > 4, "to connect is a few calls of libpq"
    finally:
        holder.close()
        waiter.join()
        database.close(connection)


@pytest.mark.slow
def test_a_forked_run_waits_in_line_while_a_database_call_stands_and_stop_ends_it(tmp_path):
    scheduler, begun = ThreadedScheduler(), []
    scheduler.subscribe(lambda event: begun.append(event.task), "run-started")
    with no_fork:  # this thread is in a call
        scheduler.add_single_task(noop, processmethod=method.forked, taskname="it")
        scheduler.add_single_task(noop, taskname="other")
        scheduler.start()
        wait_for(lambda: scheduler.counts()["ok"] == 1)
        time.sleep(0.5)
        assert [run.state for run in scheduler.runs("it")] == ["waiting"]
        assert begun == ["other"]
    wait_for(lambda: scheduler.counts()["ok"] == 2)
    with no_fork:
        scheduler.add_single_task(noop, processmethod=method.forked, taskname="late")
        time.sleep(0.3)
        scheduler.stop()
    [run] = scheduler.runs("late")
    assert (run.state, run.reason) == ("cancelled", "stopped before it began")
