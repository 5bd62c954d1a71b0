"""TGScheduler 1.7.0: its own test file, its own example, and a program written for it run unchanged."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from processes import Process

RELEASE = "TGScheduler==1.7.0"

PROGRAM = """\
import logging
import time

import tgscheduler

logging.basicConfig(filename="program.log")

seen = []

def backup(*args, **kw):
    seen.append((args, kw))

def fail():
    raise RuntimeError("nobody minds")

tgscheduler.start_scheduler()
tgscheduler.add_interval_task(action=backup, interval=0.05, initialdelay=0.05, args=["disk"], kw={"full": True},
                              taskname="backup")
tgscheduler.add_interval_task(fail, 0.05, taskname="fail", processmethod=tgscheduler.method.sequential)
tgscheduler.add_single_task(action=backup, taskname="once")
tgscheduler.add_weekly_task(backup, [1, 7], (3, 30), taskname="weekly")
tgscheduler.add_monthly_task(backup, (1, 31), (3, 30), taskname="monthly")
tgscheduler.add_cron_like_task(backup, "*/5 9-17 * * mon-fri", taskname="business")
print(sorted(set(tgscheduler.get_tasks()) - {"once"}))
while len(seen) < 5:
    time.sleep(0.01)
print(sorted(str(call) for call in seen)[0])
tgscheduler.rename_task("weekly", "rarely")
print(tgscheduler.get_task("weekly"), tgscheduler.get_task("rarely").name)
tgscheduler.cancel("rarely")
tgscheduler.cancel(tgscheduler.get_task("backup"))
print(sorted(tgscheduler.get_tasks()))
tgscheduler.stop_scheduler()
print("done")
"""


@pytest.fixture
def run(tmp_path):
    """Return a function that starts Python in ``tmp_path`` with its arguments."""
    started = []

    def start(*arguments, name):
        started.append(Process(*arguments, cwd=tmp_path, name=name))
        return started[-1]

    yield start
    for process in started:
        process.clean_up()


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    """Return the folder of the predecessor's released sources, fetched with pip."""
    folder = tmp_path_factory.mktemp("predecessor")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    try:
        done = subprocess.run(
            [*command, "--no-binary", "TGScheduler", "--dest", folder, RELEASE],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
        error = done.stderr
    except subprocess.TimeoutExpired:
        error = "no answer in 90 s"
    archives = list(folder.glob("TGScheduler-1.7.0*"))
    if not archives:
        why = f"{RELEASE} cannot be downloaded: {error.strip()[-300:]}"
        if os.environ.get("CI"):
            pytest.fail(why)
        pytest.skip(why)
    if archives[0].suffix == ".zip":
        with zipfile.ZipFile(archives[0]) as archive:
            archive.extractall(folder)
    else:
        shutil.unpack_archive(archives[0], folder)
    return folder / "TGScheduler-1.7.0"


@pytest.mark.slow  # it is downloaded, and its example waits five seconds
def test_its_own_tests_and_example(release, run, tmp_path):
    example = run(_alone(release / "examples/test.py", tmp_path / "example"), name="example")
    tests = _alone(release / "tgscheduler/tests/test_scheduler.py", tmp_path / "tests")

    done = run("-m", "unittest", "-v", tests.relative_to(tmp_path), name="tests")
    assert done.ended(30) == 0, done.output
    assert "Ran 14 tests" in done.output
    assert done.output.rstrip().endswith("OK")

    example.printed("Running task", timeout=15)
    assert example.output.split("\n")[:3] == ["Init", "Registering an interval task", "Sleeping"]
    assert example.stop() == -15  # it never ends by itself


def test_a_program_written_for_it(run, tmp_path):
    (tmp_path / "program.py").write_text(PROGRAM)
    program = run("program.py", name="program")
    assert program.ended() == 0, program.output
    assert program.output.splitlines() == [
        "['backup', 'business', 'fail', 'monthly', 'weekly']",
        "(('disk',), {'full': True})",
        "None rarely",
        "['business', 'fail', 'monthly']",
        "done",
    ]
    assert "fail: the action raised RuntimeError" in (tmp_path / "program.log").read_text()


def test_kronos_spelling():
    from tgscheduler import kronos, scheduler

    assert kronos.ThreadedScheduler is scheduler.ThreadedScheduler
    assert kronos.method.threaded == "threaded"


def _alone(path: Path, folder: Path) -> Path:
    """Copy a file to a folder where nothing else of the predecessor is importable."""
    folder.mkdir()
    (folder / "__init__.py").touch()
    return Path(shutil.copy(path, folder / path.name))
