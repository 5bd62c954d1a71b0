"""Killed at any moment, on a full disk, over a server that comes and goes: nothing is lost, nothing starts twice.

The processes stand in ``kills.py``; what they did is also in files of their own, which the store's record is compared
with.
"""

import json
import os
import random
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers import wait_for
from pgserver import Server

from tgscheduler import stores
from tgscheduler.engine.scheduler import ThreadedScheduler

pytestmark = [pytest.mark.slow, pytest.mark.timeout(700)]
pytest_plugins = ["postgres"]


class Storm:
    """The processes, from the start to the comparison."""

    def __init__(self, url, folder, kills=0, seconds=2):
        self.folder = folder
        seed = random.randrange(10**6)
        print("seed", seed)
        command = [sys.executable, Path(__file__).parent / "kills.py", url, folder, kills, seed, seconds]
        self._popen = subprocess.Popen(
            [str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder
        )

    def ran(self):
        """Wait until something has run."""
        starts = self.folder / "starts"
        wait_for(lambda: starts.exists() and starts.stat().st_size)

    def check(self):
        """Wait for the end; return health before it, and how many starts there were."""
        out, err = self._popen.communicate(timeout=600)
        assert self._popen.returncode == 0, err
        health, found = out.splitlines()[-2:]
        found = json.loads(found)
        assert found["code"] == 0, err
        assert found["starts"] > 1000
        assert found["unknown"] == [], "what has started is on record"
        assert found["twice"] == [], "twice only as another attempt of a run that was lost"
        assert found["forgotten"] == [], "what was confirmed is there"
        assert found["holes"] == [], "each occurrence is in one record"
        assert found["open"] == 0
        assert sum(found["counts"].values()) == sum(found["states"].values())
        return json.loads(health.partition(" ")[2]), found


def test_two_hundred_kills_while_a_thousand_tasks_run_on_sqlite(tmp_path):
    Storm(f"sqlite:///{tmp_path / 'scheduler.db'}", tmp_path, kills=200).check()
    connection = sqlite3.connect(tmp_path / "scheduler.db")
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()


def test_fifty_kills_on_postgresql(tmp_path, postgres_url):
    Storm(postgres_url, tmp_path, kills=50).check()


def test_a_postgresql_server_that_is_restarted_and_one_that_crashes_in_mid_run(tmp_path):
    server = Server()
    try:
        server.start()
        storm = Storm(server.url(), tmp_path, seconds=14)
        storm.ran()
        time.sleep(1.0)
        server.stop("fast")
        server.start()
        time.sleep(3.0)
        server.stop("immediate")
        time.sleep(1.0)
        server.start()
        health, found = storm.check()
    finally:
        server.remove()
    assert (health["state"], health["dropped"]) == ("ok", 0)
    assert found["states"].get("lost", 0) == 0
    assert found["starts"] > 5000, "runs went on"


@pytest.mark.skipif(os.geteuid() != 0 or sys.platform != "linux", reason="mounting a small disk takes root")
def test_a_full_disk_and_its_return(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting is not allowed here")
    url, told = f"sqlite:///{disk}/scheduler.db", []
    scheduler = ThreadedScheduler(store=stores.open(url))
    scheduler.subscribe(lambda event: told.append(event.name), ["store-down", "store-up"])
    for number in range(100):
        scheduler.add_interval_task(int, 0.2, initialdelay=number / 500, taskname=f"task {number}")
    try:
        scheduler.start()
        wait_for(lambda: scheduler.counts()["ok"] > 200)
        with (disk / "ballast").open("wb", buffering=0) as ballast:
            try:
                while True:
                    ballast.write(b"x" * 4096)
            except OSError:
                pass
        wait_for(lambda: scheduler.health()["state"] == "degraded", 20)
        assert any("the store is down" in reason for reason in scheduler.health()["reasons"])
        ran = scheduler.counts()["ok"]
        wait_for(lambda: scheduler.counts()["ok"] > ran + 500)
        assert scheduler.health()["buffered"] > 0
        (disk / "ballast").unlink()
        wait_for(lambda: scheduler.health()["state"] == "ok", 20)
        wait_for(lambda: told == ["store-down", "store-up"])
        assert scheduler.health()["dropped"] == 0
        scheduler.stop()
        store = stores.open(url)
        assert store.counts() == {state: count for state, count in scheduler.counts().items() if count}
        assert sum(run.count for run in store.runs(limit=100_000)) == sum(store.counts().values())
        store.close(1)
    finally:
        scheduler.stop()
        subprocess.run(["umount", str(disk)], check=True)
