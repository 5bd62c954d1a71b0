"""What goes wrong with a database while it is written: the store waits, says so, and loses nothing.

What happens to the files of an SQLite database is in ``test_store_files``.
"""

import os
import sqlite3
import threading
import time

import pytest
from helpers import wait_for
from pgserver import PASSWORD
from proxies import Proxy
from store_helpers import START, StoreFactory, claim_of, dues, end, ended, is_down

from tgscheduler import stores
from tgscheduler.errors import StoreError, WrongProcess
from tgscheduler.stores.base import StoreStatus

pytest_plugins = ["postgres", "store_fixtures"]
pytestmark = pytest.mark.usefixtures("impatient")


# -- while it runs -----------------------------------------------------------------------------------------------------


def test_a_file_that_is_locked_for_a_while(sqlite, tmp_path):
    store = sqlite.open(timeout=0.2)
    sqlite.knows(store, "a")
    holder = sqlite3.connect(tmp_path / "runs.db", isolation_level=None)
    try:
        holder.execute("BEGIN EXCLUSIVE")
        claim = claim_of("a", START + 1)
        store.claim([claim])
        store.record([ended("a", START)])
        wait_for(lambda: is_down(store))
        assert "locked" in store.status().down
        assert store.status().buffered == 2
        assert dues(store.runs()) == [0.0]  # it can be read
        store.record([end(claim.opened[0])])
        holder.execute("ROLLBACK")
    finally:
        holder.close()
    assert store.flush(10)
    wait_for(lambda: not is_down(store))
    assert [status.down is not None for status in sqlite.conditions] == [True, False]
    assert [answer.granted for answer in sqlite.answers] == [True]
    assert dues(store.runs()) == [1.0, 0.0]
    assert store.status() == StoreStatus()


def test_what_is_beyond_the_buffer_is_dropped_oldest_successes_first_and_the_sums_are_kept(sqlite, tmp_path):
    store = sqlite.open(timeout=0.2, buffer=100)
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
        wait_for(lambda: store.status().dropped >= 300)
        status = store.status()
        assert 300 <= status.dropped <= 400
        assert status.buffered < 250
        assert store.counts() == {"ok": 381, "failed": 19}
        wait_for(lambda: len(sqlite.answers) > 200)  # of what was dropped nobody waits for an answer
        holder.execute("ROLLBACK")
    finally:
        holder.close()
    assert store.flush(10)
    wait_for(lambda: len(sqlite.answers) == 400)
    assert all(answer.granted for answer in sqlite.answers)
    kept = store.runs(limit=1000)
    assert len(kept) == 400 - status.dropped
    assert len([run for run in kept if run.state == "failed"]) == 19
    assert kept[0].due == START + 399
    reader = stores.open(sqlite.url)
    assert reader.runs(state="running") == []
    assert reader.counts() == store.counts() == {"ok": 381, "failed": 19}
    assert sum(sum(states.values()) for states in reader.counts_by_task().values()) == 400
    known = store.load()
    assert {name: known[name].high_water - START for name in names} == {"a": 399.0, "b": 397.0, "c": 398.0}
    assert sum(known[name].runs for name in names) == 400


def test_what_came_while_the_writer_held_the_buffer_is_dropped_all_the_same(sqlite, tmp_path):
    store = sqlite.open(timeout=0.2, buffer=10)
    holder = sqlite3.connect(tmp_path / "runs.db", isolation_level=None)
    try:
        holder.execute("BEGIN EXCLUSIVE")
        store.record([ended("a", START)])
        wait_for(lambda: is_down(store))
        with store._buffer._moving:
            store.record([ended("a", START + number) for number in range(1, 51)])
            assert store.status().dropped == 0
        wait_for(lambda: store.status().dropped >= 41)
        holder.execute("ROLLBACK")
    finally:
        holder.close()
    assert store.flush(10)
    assert store.counts() == {"ok": 51}


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_commit_that_is_not_answered_is_neither_lost_nor_done_twice(factory, when):
    store = factory.open(timeout=0.2)
    factory.knows(store, "a")
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
    (answer,) = factory.claimed(store, claim)
    assert answer.granted
    store.record([end(claim.opened[0]), ended("a", START)])
    assert store.flush(10)
    assert failures
    assert dues(stores.open(factory.url).runs()) == [1.0, 0.0]
    assert store.load()["a"].runs == 1
    assert store.counts() == stores.open(factory.url).counts() == {"ok": 2}


@pytest.mark.slow
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_connection_that_is_cut_at_its_commit(own_server, when):
    proxy = Proxy(own_server.port)
    own_server.execute('DROP DATABASE IF EXISTS "cut" WITH (FORCE)')
    own_server.execute('CREATE DATABASE "cut"')
    factory = StoreFactory(own_server.url(proxy.port, database="cut"))
    try:
        store = factory.open()
        factory.knows(store, "a")
        for number in range(1, 6):
            proxy.cut = when
            claim = claim_of("a", START + number)
            (answer,) = factory.claimed(store, claim, timeout=15)
            assert answer.granted
            store.record([end(claim.opened[0])])
        assert store.flush(15)
        assert proxy.cuts >= 5
        assert store.load()["a"].runs == 5
        assert dues(store.runs()) == [5.0, 4.0, 3.0, 2.0, 1.0]
        assert stores.open(factory.url).counts() == {"ok": 5}
    finally:
        factory.close()
        proxy.close()


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_server_that_restarts(own_server, mode):
    own_server.execute('DROP DATABASE IF EXISTS "again" WITH (FORCE)')
    own_server.execute('CREATE DATABASE "again"')
    factory = StoreFactory(own_server.url(database="again"))
    try:
        store = factory.open()
        factory.knows(store, "a")
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
        assert all(answer.granted for answer in factory.answers)
        assert len(factory.answers) == number
        assert store.counts() == stores.open(factory.url).counts() == {"ok": number}
        assert len(store.runs(limit=100_000)) == number
        assert [status.down is None for status in factory.conditions] == [False, True]
        assert PASSWORD not in str(factory.conditions)
    finally:
        factory.close()


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


def test_what_cannot_be_written_is_dropped_alone_and_said(factory, caplog):
    store = factory.open()
    runs = [ended("a", START + number) for number in range(20)]
    runs[7].attempt = 1 << 80
    store.record(runs)
    assert store.flush(10)
    assert len(store.runs()) == 19
    assert store.status() == StoreStatus(unwritable=1)
    assert "cannot be written" in caplog.text


@pytest.mark.parametrize("field", ["attempt", "count", "error"])
def test_what_cannot_be_written_leaves_nothing_open(factory, field):
    store = factory.open()
    claims = [claim_of("a", START + number) for number in range(1, 4)]
    factory.claimed(store, *claims)
    runs = [end(claim.opened[0]) for claim in claims]
    setattr(runs[1], field, object() if field == "error" else 1 << 80)
    store.record(runs)
    assert store.flush(10)
    reader = stores.open(factory.url)
    assert dues(reader.runs(state="ok")) == [3.0, 1.0]
    assert reader.runs(state="running") == []
    assert reader.counts() == {"ok": 2 if field == "count" else 3}
    assert (store.status().down, store.status().unwritable) == (None, 1)


@pytest.mark.slow
def test_a_slow_database_is_said_and_keeps_no_one_waiting(sqlite):
    store = sqlite.open(timeout=0.1)
    commit, slow = store._database.commit, threading.Event()
    store._database.commit = lambda connection: (slow.wait(5), commit(connection))
    began = time.monotonic()
    store.record([ended("a", START)])
    store.claim([claim_of("a", START + 1)])
    assert time.monotonic() - began < 0.05
    wait_for(lambda: is_down(store))
    assert "no answer for" in store.status().down
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


# -- a fork ------------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(os, "fork"), reason="takes os.fork")
def test_a_forked_child_lets_its_parents_connections_alone(factory, tmp_path):
    store = factory.open()
    store.record([ended("a", START)])
    assert store.flush(5)
    assert store.runs()
    answer, child_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        said = []
        try:
            for verb in (store.runs, lambda: store.record([ended("a", START)]), store.counts_by_task, store.load):
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
                said.append(str(len(stores.open(factory.url).runs())))
            except WrongProcess:
                said.append("not here")
        finally:
            os.write(child_end, " ".join(said).encode())
            os._exit(0)
    os.close(child_end)
    with open(answer, "rb") as pipe:
        said = pipe.read().decode()
    os.waitpid(pid, 0)
    own = "not here" if factory.url.startswith("sqlite") else "1"
    assert said == f"inert inert inert inert 0 let go {own}"
    store.record([ended("a", START + 1)])
    assert store.flush(5)
    assert dues(store.runs()) == [1.0, 0.0]
    assert factory.conditions == []
