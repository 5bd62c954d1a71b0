"""The fixture that fails a test which leaves something behind, shown on tests that do."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

LITTER = """
import os, subprocess, threading, time

def test_a_thread():
    threading.Thread(target=time.sleep, args=(3,), daemon=True).start()

def test_a_child():
    subprocess.Popen(["sleep", "3"])

def test_a_zombie():
    os.fork() or os._exit(0)

def test_a_file():
    os.open("/etc/hostname", os.O_RDONLY)

def test_nothing():
    pass
"""


@pytest.mark.slow
def test_what_a_test_leaves_behind_fails_it(tmp_path):
    conftest = Path(__file__).with_name("conftest.py").read_text()
    (tmp_path / "conftest.py").write_text(conftest.replace("time.monotonic() + 5\n", "time.monotonic() + 0.2\n"))
    (tmp_path / "test_litter.py").write_text(LITTER)

    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", "/dev/null", "--rootdir", tmp_path]
    done = subprocess.run([*command, tmp_path], capture_output=True, text=True, timeout=60)

    for name, kind in {"a_thread": "threads", "a_child": "children", "a_zombie": "children", "a_file": "fds"}.items():
        assert f"ERROR at teardown of test_{name} " in done.stdout
        assert f"left behind: {{'{kind}': [" in done.stdout
    assert "test_nothing " not in done.stdout
    assert re.search(r"\b5 passed,.* 4 errors", done.stdout)
