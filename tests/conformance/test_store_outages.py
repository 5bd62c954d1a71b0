"""What goes wrong with a database while it is written: the store waits, says so, and loses nothing."""

import os
import sqlite3
import subprocess
import sys
import threading
import time

import pytest
from helpers import wait_for
from keeping import START, Keeper, claim_of, dues, end, ended
from pgserver import PASSWORD
from proxies import Proxy

from tgscheduler import stores
from tgscheduler.errors import StoreError, WrongProcess
from tgscheduler.stores import sqlite as sqlite_store
from tgscheduler.stores.base import Condition

pytest_plugins = ["postgres", "keepers"]


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """Do not wait long for another program's transaction."""
    monkeypatch.setattr(sqlite_store, "PATIENCE", 0.1)


def is_down(store):
    return store.condition().down is not None


# -- while it runs -----------------------------------------------------------------------------------------------------


def test_a_file_that_is_locked_for_a_while(sqlite, tmp_path):
    store = sqlite.open(patience=0.2)
    sqlite.knows(store, "a")
    holder = sqlite3.connect(tmp_path / "runs.db", isolation_level=None)
    try:
        holder.execute("BEGIN EXCLUSIVE")
        claim = claim_of("a", START + 1)
        store.claim([claim])
        store.record([ended("a", START)])
        wait_for(lambda: is_down(store))
        assert "locked" in store.condition().down
        assert store.condition().buffered == 2
        assert dues(store.runs()) == [0.0]  # it can be read
        store.record([end(claim.opened[0])])
        holder.execute("ROLLBACK")
    finally:
        holder.close()
    assert store.flush(10)
    wait_for(lambda: not is_down(store))
    assert [condition.down is not None for condition in sqlite.conditions] == [True, False]
    assert [answer.granted for answer in sqlite.answers] == [True]
    assert dues(store.runs()) == [1.0, 0.0]
    assert store.condition() == Condition()


def test_a_file_that_is_removed_is_put_back_with_all_that_was_in_it(sqlite, tmp_path):
    store = sqlite.open()
    sqlite.claimed(store, claim_of("a", START))
    store.record([ended("a", START + number) for number in range(1, 500)])
    assert store.flush(5)
    for path in tmp_path.iterdir():
        path.unlink()
    store.record([ended("b", START)])
    assert store.flush(5)
    assert (tmp_path / "runs.db").stat().st_mode & 0o777 == 0o600
    assert len(store.runs(limit=1000)) == 500
    store = sqlite.reopened(store)
    assert len(store.runs(limit=1000, before=START + 500)) == 501  # with the one that is open, and lost
    assert store.load()["a"].mark == START
    assert len(store.lost()) == 1
    with sqlite3.connect(tmp_path / "runs.db") as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()


def test_a_backup_that_is_put_in_its_place_is_taken_up(sqlite, tmp_path):
    store = sqlite.open()
    store.record([ended("a", START)])
    assert store.flush(5)
    with sqlite3.connect(tmp_path / "runs.db") as connection, sqlite3.connect(tmp_path / "backup.db") as backup:
        connection.backup(backup)
    connection.close()
    backup.close()
    store.record([ended("a", START + 1)])
    assert store.flush(5)
    for name in ("runs.db-wal", "runs.db-shm"):
        (tmp_path / name).unlink()
    (tmp_path / "backup.db").rename(tmp_path / "runs.db")
    store.record([ended("a", START + 2)])
    assert store.flush(5)
    assert dues(store.runs()) == [2.0, 0.0]


def test_a_page_that_is_damaged_while_it_runs(sqlite, tmp_path):
    store = sqlite.open(patience=0.2)
    store.record([ended(f"task {number % 50}", START + number) for number in range(20_000)])
    assert store.flush(10)
    store = sqlite.reopened(store, patience=0.2)
    good = (tmp_path / "runs.db").read_bytes()
    with (tmp_path / "runs.db").open("r+b") as file:
        for page in range(2, len(good) // 4096, 2):
            file.seek(page * 4096)
            file.write(os.urandom(2048))
    store.record([ended("a", START + number * 1000) for number in range(50)])
    wait_for(lambda: is_down(store))
    assert "backup" in store.condition().down
    with (tmp_path / "runs.db").open("r+b") as file:  # what dd(1) did, dd(1) undoes
        file.write(good)
    assert store.flush(10)
    wait_for(lambda: not is_down(store))
    assert store.condition().buffered == 0
    assert store.counts() == {"ok": 20_050}


def test_what_is_beyond_the_buffer_is_dropped_oldest_successes_first_and_the_sums_are_kept(sqlite, tmp_path):
    store = sqlite.open(patience=0.2, buffer=100)
    names = ["a", "b", "c"]
    sqlite.knows(store, *names)
    early = claim_of("a", START + 0.5)
    sqlite.claimed(store, early)
    holder = sqlite3.connect(tmp_path / "runs.db", isolation_level=None)
    try:
        holder.execute("BEGIN EXCLUSIVE")
        store.record([end(early.opened[0])])
        wait_for(lambda: is_down(store))
        claims = []
        for number in range(1, 400):
            claim = claim_of(names[number % 3], START + number)
            store.claim([claim])
            store.record([end(claim.opened[0], "failed" if number % 20 == 0 else "ok")])
            claims.append(claim)
        condition = store.condition()
        assert 300 <= condition.dropped <= 400
        assert condition.buffered < 250
        assert store.counts() == {"ok": 381, "failed": 19}
        wait_for(lambda: len(sqlite.answers) > 200)  # of what was dropped nobody waits for an answer
        holder.execute("ROLLBACK")
    finally:
        holder.close()
    assert store.flush(10)
    wait_for(lambda: len(sqlite.answers) == 400)
    assert all(answer.granted for answer in sqlite.answers)
    kept = store.runs(limit=1000)
    assert len(kept) == 400 - condition.dropped
    assert len([run for run in kept if run.state == "failed"]) == 19
    assert kept[0].due == START + 399
    reader = stores.open(sqlite.url)
    assert reader.runs(state="running") == []
    assert reader.counts() == store.counts() == {"ok": 381, "failed": 19}
    assert sum(sum(states.values()) for states in reader.tallies().values()) == 400
    known = store.load()
    assert {name: known[name].mark - START for name in names} == {"a": 399.0, "b": 397.0, "c": 398.0}
    assert sum(known[name].runs for name in names) == 400


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_commit_that_is_not_answered_is_neither_lost_nor_done_twice(keeper, when):
    store = keeper.open(patience=0.2)
    keeper.knows(store, "a")
    database, commit = store._database, store._database.commit
    failures = []

    def cut(connection):
        if when == "after":
            commit(connection)
        if len(failures) < 3:
            failures.append(when)
            raise database.errors[0]("the connection is cut")
        if when == "before":
            commit(connection)

    database.commit = cut
    claim = claim_of("a", START + 1)
    (answer,) = keeper.claimed(store, claim)
    assert answer.granted
    store.record([end(claim.opened[0]), ended("a", START)])
    assert store.flush(10)
    assert failures
    assert dues(stores.open(keeper.url).runs()) == [1.0, 0.0]
    assert store.load()["a"].runs == 1
    assert store.counts() == stores.open(keeper.url).counts() == {"ok": 2}


@pytest.mark.slow
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_connection_that_is_cut_at_its_commit(own_server, when):
    proxy = Proxy(own_server.port)
    own_server.execute('DROP DATABASE IF EXISTS "cut" WITH (FORCE)')
    own_server.execute('CREATE DATABASE "cut"')
    keeper = Keeper(own_server.url(proxy.port, database="cut"))
    try:
        store = keeper.open()
        keeper.knows(store, "a")
        for number in range(1, 6):
            proxy.cut = when
            claim = claim_of("a", START + number)
            (answer,) = keeper.claimed(store, claim, timeout=15)
            assert answer.granted
            store.record([end(claim.opened[0])])
        assert store.flush(15)
        assert proxy.cuts >= 5
        assert store.load()["a"].runs == 5
        assert dues(store.runs()) == [5.0, 4.0, 3.0, 2.0, 1.0]
        assert stores.open(keeper.url).counts() == {"ok": 5}
    finally:
        keeper.close()
        proxy.close()


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_server_that_restarts(own_server, mode):
    own_server.execute('DROP DATABASE IF EXISTS "again" WITH (FORCE)')
    own_server.execute('CREATE DATABASE "again"')
    keeper = Keeper(own_server.url(database="again"))
    try:
        store = keeper.open()
        keeper.knows(store, "a")
        number = 0

        def work(until):
            nonlocal number
            while not until():
                number += 1
                claim = claim_of("a", START + number)
                store.claim([claim])
                store.record([end(claim.opened[0])])
                time.sleep(0.002)

        work(lambda: number == 20)
        own_server.stop(mode)
        work(lambda: is_down(store))
        with pytest.raises(StoreError):
            store.runs()
        own_server.start()
        work(lambda: not is_down(store))
        assert store.flush(10)
        assert all(answer.granted for answer in keeper.answers)
        assert len(keeper.answers) == number
        assert store.counts() == stores.open(keeper.url).counts() == {"ok": number}
        assert len(store.runs(limit=100_000)) == number
        assert [condition.down is None for condition in keeper.conditions] == [False, True]
        assert PASSWORD not in str(keeper.conditions)
    finally:
        keeper.close()


def test_connections_that_are_ended_at_random(postgres):
    store = postgres.open()
    postgres.knows(store, "a")
    for number in range(1, 300):
        claim = claim_of("a", START + number)
        store.claim([claim])
        store.record([end(claim.opened[0])])
        if number % 50 == 0:
            psycopg = pytest.importorskip("psycopg")
            url = postgres.url.replace("+psycopg", "")
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
    assert store.flush(10)
    assert len(store.runs(limit=1000)) == 299
    assert store.load()["a"].runs == 299


def test_what_cannot_be_written_is_dropped_alone_and_said(keeper, caplog):
    store = keeper.open()
    runs = [ended("a", START + number) for number in range(20)]
    runs[7].attempt = 1 << 80
    store.record(runs)
    assert store.flush(10)
    assert len(store.runs()) == 19
    assert store.condition() == Condition(unwritable=1)
    assert "cannot be written" in caplog.text


@pytest.mark.slow
def test_a_slow_database_is_said_and_keeps_nobody_waiting(sqlite):
    store = sqlite.open(patience=0.1)
    commit, slow = store._database.commit, threading.Event()
    store._database.commit = lambda connection: (slow.wait(5), commit(connection))
    began = time.monotonic()
    store.record([ended("a", START)])
    store.claim([claim_of("a", START + 1)])
    assert time.monotonic() - began < 0.05
    wait_for(lambda: is_down(store))
    assert "no answer for" in store.condition().down
    slow.set()
    assert store.flush(5)
    assert not is_down(store)


def test_a_store_that_is_down_is_closed_in_time_and_says_what_it_has_not_written(sqlite, tmp_path):
    store = sqlite.open()
    holder = sqlite3.connect(tmp_path / "runs.db", isolation_level=None)
    try:
        holder.execute("BEGIN EXCLUSIVE")
        store.record([ended("a", START), ended("a", START + 1)])
        began = time.monotonic()
        assert store.close(0.5) == 2
        assert time.monotonic() - began < 1.0
    finally:
        holder.close()
    wait_for(lambda: not store._writer.alive)


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0 or sys.platform != "linux", reason="mounting a small disk takes root")
def test_a_full_disk_and_its_return(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting is not allowed here")
    keeper = Keeper(f"sqlite:///{disk}/runs.db")
    try:
        store = keeper.open()
        ballast = disk / "ballast"
        ballast.write_bytes(b"x" * 400_000)
        number = 0
        while not is_down(store):
            number += 1
            claim = claim_of("a", START + number)
            store.claim([claim])
            store.record([end(claim.opened[0])])
            time.sleep(0.0005)
        assert "make room" in store.condition().down
        acknowledged = len(keeper.answers)
        assert acknowledged > 10
        for _ in range(200):
            number += 1
            claim = claim_of("a", START + number)
            store.claim([claim])
            store.record([end(claim.opened[0])])
        assert is_down(store)
        ballast.unlink()
        assert store.flush(20)
        wait_for(lambda: not is_down(store))
        assert store.counts() == stores.open(keeper.url).counts() == {"ok": number}
        assert len(keeper.answers) == number
        assert store.close(5) == 0
        with sqlite3.connect(disk / "runs.db") as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        connection.close()
    finally:
        keeper.close()
        subprocess.run(["umount", str(disk)], check=True)


# -- a fork ------------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(os, "fork"), reason="takes os.fork")
def test_a_forked_child_lets_its_parents_connections_alone(keeper, tmp_path):
    store = keeper.open()
    store.record([ended("a", START)])
    assert store.flush(5)
    assert store.runs()
    answer, child_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        said = []
        try:
            for verb in (store.runs, lambda: store.record([ended("a", START)]), store.tallies, store.load):
                try:
                    verb()
                except WrongProcess:
                    said.append("inert")
            said.append(str(store.close(5)))
            links = []
            for name in os.listdir("/proc/self/fd"):
                try:
                    links.append(os.readlink(f"/proc/self/fd/{name}"))
                except OSError:
                    continue
            said.append("held" if any(str(tmp_path) in link for link in links) else "let go")
            try:
                said.append(str(len(stores.open(keeper.url).runs())))
            except WrongProcess:
                said.append("not here")
        finally:
            os.write(child_end, " ".join(said).encode())
            os._exit(0)
    os.close(child_end)
    with open(answer, "rb") as pipe:
        said = pipe.read().decode()
    os.waitpid(pid, 0)
    own = "not here" if keeper.url.startswith("sqlite") else "1"
    assert said == f"inert inert inert inert 0 let go {own}"
    store.record([ended("a", START + 1)])
    assert store.flush(5)
    assert dues(store.runs()) == [1.0, 0.0]
    assert keeper.conditions == []


@pytest.mark.parametrize("field", ["attempt", "count", "error"])
def test_what_cannot_be_written_leaves_nothing_open(keeper, field):
    store = keeper.open()
    claims = [claim_of("a", START + number) for number in range(1, 4)]
    keeper.claimed(store, *claims)
    runs = [end(claim.opened[0]) for claim in claims]
    setattr(runs[1], field, object() if field == "error" else 1 << 80)
    store.record(runs)
    assert store.flush(10)
    reader = stores.open(keeper.url)
    assert dues(reader.runs(state="ok")) == [3.0, 1.0]
    assert reader.runs(state="running") == []
    assert reader.counts() == {"ok": 2 if field == "count" else 3}
    assert (store.condition().down, store.condition().unwritable) == (None, 1)


@pytest.mark.parametrize("removed", ["target", "link", "both"])
def test_a_file_behind_a_symbolic_link_is_put_back_too(sqlite, tmp_path, removed):
    (tmp_path / "disk").mkdir()
    target, link = tmp_path / "disk" / "real.db", tmp_path / "runs.db"
    keeper = Keeper(f"sqlite:///{target}")
    keeper.open().close(5)
    link.symlink_to(target)
    store = sqlite.open()
    store.record([ended("a", START + number) for number in range(100)])
    assert store.flush(5)
    if removed != "link":
        for path in (tmp_path / "disk").iterdir():
            path.unlink()
    if removed != "target":
        link.unlink()
    store.record([ended("b", START)])
    assert store.flush(5)
    assert link.is_symlink() == (removed == "target")
    store = sqlite.reopened(store)
    assert store.counts() == {"ok": 101}
    assert len(store.runs(limit=1000)) == 101


@pytest.mark.parametrize("names", [["runs.db-wal"], ["runs.db-shm"], ["runs.db-wal", "runs.db-shm"]])
@pytest.mark.parametrize("read", [False, True])
def test_a_log_that_is_removed_is_seen_and_what_was_in_it_is_kept(sqlite, tmp_path, names, read, caplog):
    store = sqlite.open()
    sqlite.claimed(store, claim_of("a", START))
    store.record([ended("a", START + number) for number in range(1, 500)])
    assert store.flush(5)
    assert store.runs()  # a reader's connection stays
    for name in names:
        (tmp_path / name).unlink()
    if read:  # begins another log, which is empty
        other = sqlite3.connect(tmp_path / "runs.db")
        try:
            other.execute("SELECT count(*) FROM tg_run").fetchall()
        except sqlite3.Error:
            pass
        other.close()
    store.record([ended("b", START)])
    assert store.flush(5)
    assert "its log was removed; what was in it was moved to the file" in caplog.text
    assert {"runs.db", "runs.db-wal", "runs.db-shm"} <= {path.name for path in tmp_path.iterdir()}
    assert len(store.runs(limit=1000)) == 500
    with sqlite3.connect(f"file:{tmp_path}/runs.db?mode=ro", uri=True) as killed:  # what a kill at this moment leaves
        assert killed.execute("SELECT count(*) FROM tg_run").fetchall() == [(500,)]
        assert killed.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    killed.close()
    store = sqlite.reopened(store)
    assert len(store.lost()) == 1


def test_a_file_that_cannot_be_put_back_yet_is_not_given_up(sqlite, tmp_path, monkeypatch):
    store = sqlite.open(patience=0.2)
    store.record([ended("a", START + number) for number in range(100)])
    assert store.flush(5)
    link = os.link

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "link", refuse)
    for path in tmp_path.iterdir():
        path.unlink()
    store.record([ended("b", START)])
    wait_for(lambda: is_down(store))
    assert "cannot be put back yet: [Errno 13] Permission denied" in store.condition().down
    monkeypatch.setattr(os, "link", link)
    assert store.flush(10)
    assert store.condition() == Condition()
    assert len(store.runs(limit=1000)) == 101
