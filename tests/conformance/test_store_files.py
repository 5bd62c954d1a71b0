"""What happens to the files of a database while it is written: removed, replaced, damaged, a disk that is full."""

import os
import sqlite3
import subprocess
import sys
import time

import pytest
from helpers import wait_for
from store_helpers import START, StoreFactory, claim_of, dues, end, ended, is_down

from tgscheduler import stores
from tgscheduler.stores.base import StoreStatus

pytest_plugins = ["postgres", "store_fixtures"]
pytestmark = pytest.mark.usefixtures("impatient")


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
    (lost,) = store.take_over_orphans() or wait_for(sqlite.orphans.copy)  # its own thread looks for them as well
    assert (lost.task, lost.due) == ("a", START)
    assert len(store.runs(limit=1000)) == 500
    assert store.load()["a"].high_water == START
    with sqlite3.connect(tmp_path / "runs.db") as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()


@pytest.mark.parametrize("removed", ["target", "link", "both"])
def test_a_file_behind_a_symbolic_link_is_put_back_too(sqlite, tmp_path, removed):
    (tmp_path / "disk").mkdir()
    target, link = tmp_path / "disk" / "real.db", tmp_path / "runs.db"
    factory = StoreFactory(f"sqlite:///{target}")
    factory.open().close(5)
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


def test_a_file_that_cannot_be_put_back_yet_is_not_given_up(sqlite, tmp_path, monkeypatch):
    store = sqlite.open(timeout=0.2)
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
    assert "cannot be restored yet: [Errno 13] Permission denied" in store.status().down
    monkeypatch.setattr(os, "link", link)
    assert store.flush(10)
    assert store.status() == StoreStatus()
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
    assert "its log was removed; its content was moved to the file" in caplog.text
    assert {"runs.db", "runs.db-wal", "runs.db-shm"} <= {path.name for path in tmp_path.iterdir()}
    assert len(store.runs(limit=1000)) == 500
    with sqlite3.connect(f"file:{tmp_path}/runs.db?mode=ro", uri=True) as killed:  # what a kill at this moment leaves
        assert killed.execute("SELECT count(*) FROM tg_run").fetchall() == [(500,)]
        assert killed.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    killed.close()
    store = sqlite.reopened(store)
    assert len(store.take_over_orphans() or wait_for(sqlite.orphans.copy)) == 1


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
    store = sqlite.open(timeout=0.2)
    store.record([ended(f"task {number % 50}", START + number) for number in range(20_000)])
    assert store.flush(10)
    store = sqlite.reopened(store, timeout=0.2)
    good = (tmp_path / "runs.db").read_bytes()
    with (tmp_path / "runs.db").open("r+b") as file:
        for page in range(2, len(good) // 4096, 2):
            file.seek(page * 4096)
            file.write(os.urandom(2048))
    store.record([ended("a", START + number * 1000) for number in range(50)])
    wait_for(lambda: is_down(store))
    assert "backup" in store.status().down
    with (tmp_path / "runs.db").open("r+b") as file:  # what dd(1) did, dd(1) undoes
        file.write(good)
    assert store.flush(10)
    wait_for(lambda: not is_down(store))
    assert store.status().buffered == 0
    assert store.counts() == {"ok": 20_050}


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0 or sys.platform != "linux", reason="mounting a small disk takes root")
def test_a_full_disk_and_its_return(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting is not allowed here")
    factory = StoreFactory(f"sqlite:///{disk}/runs.db")
    try:
        store = factory.open()
        ballast = disk / "ballast"
        ballast.write_bytes(b"x" * 400_000)
        number = 0
        while not is_down(store):
            number += 1
            claim = claim_of("a", START + number)
            store.claim([claim])
            store.record([end(claim.opened[0])])
            time.sleep(0.0005)
        assert "make room" in store.status().down
        acknowledged = len(factory.answers)
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
        assert store.counts() == stores.open(factory.url).counts() == {"ok": number}
        assert len(factory.answers) == number
        assert store.close(5) == 0
        with sqlite3.connect(disk / "runs.db") as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        connection.close()
    finally:
        factory.close()
        subprocess.run(["umount", str(disk)], check=True)
