"""A process that is killed at any moment loses nothing that was confirmed, and starts nothing twice unnoticed."""

import json
import random
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow


def storm(url, folder, kills, seed):
    print("seed", seed)
    script = Path(__file__).parent / "kills.py"
    done = subprocess.run(
        [sys.executable, str(script), url, str(folder), str(kills), str(seed)],
        capture_output=True,
        text=True,
        timeout=600,
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def check(found):
    assert found["code"] == 0
    assert found["starts"] > 1000
    assert found["unknown"] == [], "what has started is on record"
    assert found["twice"] == [], "twice only as another attempt of a run that was lost"
    assert found["forgotten"] == [], "what was confirmed is there"
    assert found["holes"] == [], "each occurrence is in one record"
    assert found["open"] == 0
    assert sum(found["counts"].values()) == sum(found["states"].values())


@pytest.mark.timeout(700)
def test_two_hundred_kills_while_a_thousand_tasks_run_on_sqlite(tmp_path):
    found = storm(f"sqlite:///{tmp_path / 'scheduler.db'}", tmp_path, 200, random.randrange(10**6))
    check(found)
    [(verdict,)] = sqlite3.connect(tmp_path / "scheduler.db").execute("PRAGMA integrity_check").fetchall()
    assert verdict == "ok"


@pytest.mark.timeout(700)
def test_fifty_kills_on_postgresql(tmp_path, postgres_url):
    check(storm(postgres_url, tmp_path, 50, random.randrange(10**6)))
