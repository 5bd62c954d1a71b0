"""The store's thread: what it does when a connection breaks at a bad moment."""

import os
import sqlite3
import threading

from helpers import wait_for

from tgscheduler import stores
from tgscheduler.errors import WrongProcess
from tgscheduler.stores import totals, writer
from tgscheduler.stores.base import Claim, StoreStatus
from tgscheduler.stores.batch import Batch, ClaimConflict
from tgscheduler.stores.sqlite import SqliteDatabase
from tgscheduler.timetable.run import Run


def test_a_connection_that_breaks_after_a_contested_batch_costs_no_record(tmp_path, monkeypatch):
    store, answers = stores.open(f"sqlite:///{tmp_path / 'runs.db'}"), []
    store.open(answers.extend, lambda status: None)
    try:
        assert store.flush(5)
        write, broken = Batch.write, []

        def contested(batch, *args):
            if batch.writes and not broken:
                broken.append(batch)
                monkeypatch.setattr(store._database, "rollback", failing)
                raise ClaimConflict
            write(batch, *args)

        def failing(connection):
            monkeypatch.undo()
            raise sqlite3.OperationalError("disk I/O error")

        monkeypatch.setattr(Batch, "write", contested)
        store.claim([Claim("it", 1.0, 1.0, [Run("it", 1.0)])])
        wait_for(lambda: answers)
        assert [answer.granted for answer in answers] == [True]
        assert store.status() == StoreStatus()
    finally:
        store.close(5)


def test_connections_that_have_broken_are_not_kept(tmp_path, monkeypatch):
    store, broken = stores.open(f"sqlite:///{tmp_path / 'runs.db'}"), []
    store.open(lambda claimed: None, lambda status: None)
    try:
        assert store.flush(5)
        begin = store._database.begin

        def break_the_first_five(connection):
            if len(broken) < 5 and connection not in broken:
                broken.append(connection)
                raise sqlite3.OperationalError("disk I/O error")
            begin(connection)

        monkeypatch.setattr(store._database, "begin", break_the_first_five)
        assert store.flush(10)
        assert len(broken) == 5
        assert list(store._connections._all.values()) == [store._writer.session.connection]
    finally:
        store.close(5)
    assert not store._connections._all


def test_a_forked_child_lets_a_connection_alone_that_only_waits_to_put_its_file_back(tmp_path):
    database = SqliteDatabase(tmp_path / "runs.db")
    database.prepare()
    database._file.kept = connection = database.connect(writing=True)
    pid = os.fork()
    if pid == 0:
        try:
            database.abandon_connections([])
            database.connect(writing=True)
        except WrongProcess:
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    connection.close()


def test_a_store_that_stands_while_its_totals_are_read_is_down(tmp_path, monkeypatch):
    release, counting = threading.Event(), threading.Event()

    def read_totals(*args):
        counting.set()
        release.wait(20)
        return {}

    url = f"sqlite:///{tmp_path / 'runs.db'}"
    store, other = (stores.open(url, timeout=0.2) for _ in range(2))
    try:
        for each in (store, other):
            each.open(lambda claimed: None, lambda status: None)
        wait_for(lambda: store._writer.peers.others)
        monkeypatch.setattr(totals, "read_totals", read_totals)
        monkeypatch.setattr(writer, "BEAT", 0.05)
        wait_for(counting.is_set)
        wait_for(lambda: any("no answer for" in (each.status().down or "") for each in (store, other)))
    finally:
        release.set()
        store.close(5)
        other.close(5)
