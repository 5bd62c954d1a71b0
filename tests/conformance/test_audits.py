"""The audit log, over every store: what is added is there, in order, and is lost in no outage."""

import sqlite3
import threading
from dataclasses import FrozenInstanceError, replace

import pytest
from helpers import wait_for
from store_helpers import START, ended, is_down

from tgscheduler import stores
from tgscheduler.errors import InvalidType, InvalidValue, StoreError
from tgscheduler.stores import pruning
from tgscheduler.stores.audit import LONGEST_TEXT, MAX_WAITING, AuditRecord
from tgscheduler.stores.base import StoreStatus
from tgscheduler.stores.memory import MemoryStore

pytest_plugins = ["postgres", "store_fixtures"]

DAY = 86400.0


def record(number, task="a"):
    """Return an audit record."""
    return AuditRecord(START + number, "ops", "operator", "pause", task, f"number {number}", "console ::1")


def details(records):
    return [int(each.detail.removeprefix("number ")) for each in records]


# -- every store -------------------------------------------------------------------------------------------------------


def test_an_empty_log_is_empty(store):
    assert store.audits() == store.audits("a") == store.audits(before=7) == []


def test_what_was_done_comes_back_newest_first(store, settle):
    first = AuditRecord(START, "ops", "operator", "pause", "a", "until 2026-11-25 09:00", "console 10.0.0.7", "ok")
    refused = AuditRecord(START + 0.123456, "ci", "viewer", "pause", None, outcome="refused: read-only")
    store.audit([first, refused])
    assert settle()
    assert store.audits() == [refused, first]
    assert store.audits("a") == [refused, first]  # what is done to all tasks is done to each
    assert store.audits("b") == [refused]
    assert store.audits(limit=1) == [refused]


def test_what_was_done_at_one_moment_keeps_its_order(store, settle):
    for number in range(6):
        store.audit([replace(record(number), at=START)])
    assert settle()
    assert details(store.audits()) == [5, 4, 3, 2, 1, 0]


def test_pages_of_the_log_meet_by_the_id_of_the_last_record(store):
    store.audit([record(number // 4, "ab"[number % 2]) for number in range(30)])
    assert not store.persistent or store.flush(5)
    store.audit([record(30 + number, None) for number in range(5)])
    assert not store.persistent or store.flush(5)
    for task in (None, "a"):
        whole = [each.id for each in store.audits(task)]
        pages, before = [], None
        while page := store.audits(task, before=before, limit=4):
            pages += [each.id for each in page]
            before = page[-1].id
        assert pages == whole
        assert len(set(whole)) == (35 if task is None else 20)
    assert store.audits(before=10**9) == []


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ({"limit": 0}, "1 or more"),
        ({"limit": "5"}, "whole number"),
        ({"before": 1.5}, "id of an audit record"),
        ({"before": True}, "id of an audit record"),
        ({"task": 5}, "name of a task"),
    ],
)
def test_a_page_of_the_log_that_cannot_be_is_an_error(store, words, error):
    with pytest.raises((InvalidValue, InvalidType), match=error):
        store.audits(**words)


def test_the_log_in_memory_is_bounded():
    store = MemoryStore()
    store.audit([record(number) for number in range(MAX_WAITING + 5)])
    assert details(store.audits(limit=10_000))[-1] == 5


# -- the record --------------------------------------------------------------------------------------------------------


def test_a_record_is_bounded_and_frozen():
    one = AuditRecord(START, "w" * 1000, "r", "a", "t" * 1000, "d" * 10**6, "o" * 1000, "x" * 1000)
    assert {len(each) for each in (one.who, one.detail, one.origin, one.outcome)} == {LONGEST_TEXT}
    assert len(one.task) == 1000  # a name that is cut would be another one
    with pytest.raises(FrozenInstanceError):
        one.who = "nobody"


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"at": float("nan")}, "at: expected POSIX seconds"),
        ({"at": "now"}, "at: expected POSIX seconds"),
        ({"who": None}, "who: expected a text"),
        ({"detail": b"x"}, "detail: expected a text"),
        ({"task": 5}, "task: expected the name"),
    ],
)
def test_a_record_of_something_else_is_refused(fields, error):
    with pytest.raises((InvalidValue, InvalidType), match=error):
        AuditRecord(**{"at": START, "who": "ops", "role": "operator", "action": "pause", **fields})


# -- persistent stores -------------------------------------------------------------------------------------------------


def test_the_log_is_there_at_the_next_opening_and_for_other_processes(factory):
    store = factory.open()
    store.audit([record(1), record(2, None)])
    store = factory.reopened(store)
    assert details(store.audits()) == details(stores.open(factory.url).audits()) == [2, 1]


def test_records_follow_a_task_to_its_new_name(factory):
    store = factory.open()
    factory.knows(store, "old", "other")
    store.audit([record(1, "old"), record(2, "other"), record(3, None)])
    store.rename("old", "new")
    store.audit([record(4, "new"), record(5, "old")])
    assert store.flush(5)
    assert details(store.audits("new")) == [4, 3, 1]
    assert details(store.audits("old")) == [5, 3]
    store.rename("new", "other")  # which is known
    assert store.flush(5)
    assert details(store.audits("new")) == [4, 3, 1]


def test_text_that_no_database_takes_is_spelled_out_in_the_log_too(factory):
    store = factory.open()
    odd = "nul \0 lone \ud800 end"
    store.audit([AuditRecord(START, odd, odd, odd, odd, odd, odd, odd)])
    assert store.flush(5)
    (found,) = store.audits(odd)
    assert found.task == odd
    assert {found.who, found.role, found.action, found.detail, found.origin, found.outcome} == {store.spelled(odd)}
    assert store.audits()[0].task == store.spelled(odd)
    assert store.status() == StoreStatus()


@pytest.mark.usefixtures("impatient")
def test_records_of_an_outage_are_written_when_it_is_over(sqlite, tmp_path):
    store = sqlite.open(timeout=0.2, buffer=20)
    sqlite.knows(store, "a")
    holder = sqlite3.connect(tmp_path / "runs.db", isolation_level=None)
    try:
        holder.execute("BEGIN EXCLUSIVE")
        store.audit([record(0)])
        wait_for(lambda: is_down(store))
        for number in range(1, 60):
            store.audit([record(number)])
            store.record([ended("a", START + number)])  # beyond the buffer: runs are dropped, records are not
        assert store.status().dropped
        assert store.status().buffered > 60
        assert details(store.audits(limit=100)) == list(range(59, -1, -1))
        holder.execute("ROLLBACK")
    finally:
        holder.close()
    assert store.flush(10)
    assert details(stores.open(sqlite.url).audits(limit=100)) == list(range(59, -1, -1))
    wait_for(lambda: store.status() == StoreStatus(dropped=store.status().dropped))


@pytest.mark.usefixtures("impatient")
def test_records_beyond_the_bound_are_in_the_log_file_at_least(sqlite, tmp_path, caplog):
    store = sqlite.open(timeout=0.2)
    holder = sqlite3.connect(tmp_path / "runs.db", isolation_level=None)
    try:
        holder.execute("BEGIN EXCLUSIVE")
        store.audit([record(number) for number in range(MAX_WAITING)])
        store.audit([record(MAX_WAITING)])
        holder.execute("ROLLBACK")
    finally:
        holder.close()
    assert f"number {MAX_WAITING}" in caplog.text
    assert store.flush(10)
    assert len(store.audits(limit=10_000)) == MAX_WAITING


@pytest.mark.parametrize("when", ["before", "after"])
def test_records_of_a_commit_that_is_not_answered_are_neither_lost_nor_doubled(factory, when):
    store = factory.open(timeout=0.2)
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
    store.audit([record(1), record(2)])
    assert store.flush(10)
    assert failures
    assert details(store.audits()) == [2, 1]


def test_records_of_many_threads_are_all_there_while_runs_are_dropped(sqlite, tmp_path, monkeypatch):
    store = sqlite.open(timeout=0.2, buffer=50)
    sqlite.knows(store, "a")
    holder = sqlite3.connect(tmp_path / "runs.db", isolation_level=None)
    try:
        holder.execute("BEGIN EXCLUSIVE")
        store.record([ended("a", START)])
        wait_for(lambda: is_down(store))
        threads = [
            threading.Thread(target=lambda first: [store.audit([record(first + n)]) for n in range(100)], args=(each,))
            for each in (0, 1000, 2000)
        ]
        for thread in threads:
            thread.start()
        for number in range(2000):
            store.record([ended("a", START + number)])
        for thread in threads:
            thread.join()
        holder.execute("ROLLBACK")
    finally:
        holder.close()
    assert store.flush(10)
    assert len({each.detail for each in store.audits(limit=1000)}) == 300


def test_readers_see_each_record_once_while_it_is_written(factory):
    store = factory.open()
    wrong = []
    done = threading.Event()

    def look():
        while not done.is_set():
            found = details(store.audits(limit=1000))
            if found != list(range(len(found) - 1, -1, -1)):
                wrong.append(found)

    reader = threading.Thread(target=look)
    reader.start()
    for number in range(200):
        store.audit([record(number)])
    done.set()
    reader.join()
    assert wrong == []


def test_a_record_that_cannot_be_written_is_dropped_alone_and_said(factory, caplog, monkeypatch):
    store = factory.open()
    bad = record(2)
    object.__setattr__(bad, "who", 5.5 if factory.url.startswith("postgresql") else object())
    store.audit([record(1), bad, record(3)])
    assert store.flush(10)
    assert details(store.audits()) == [3, 1]
    assert store.status().unwritable == 1
    assert "number 2" in caplog.text


def test_a_store_that_is_not_open_takes_no_record(factory):
    with pytest.raises(StoreError, match="not open for writing"):
        stores.open(factory.url).audit([record(1)])


def test_records_are_removed_with_the_runs_of_their_time(factory):
    store = factory.open(days=10)
    store.audit([record(-day * DAY) for day in range(20)])
    store = factory.reopened(store, days=10)
    wait_for(lambda: len(store.audits()) == 11)
    assert store.audits()[-1].at == START - 10 * DAY


def test_the_log_is_bounded_where_runs_are_kept_forever(factory, monkeypatch):
    monkeypatch.setattr(pruning, "AUDITS_KEPT", 5)
    store = factory.open(days=None)
    store.audit([record(number) for number in range(20)])
    store = factory.reopened(store, days=None)
    wait_for(lambda: details(store.audits()) == [19, 18, 17, 16, 15])
