"""What an action can do to its thread and its process: hold it, end it, close its files, change it."""

import locale
import logging
import os
import select
import signal
import socket
import sys
import threading
import time
from pathlib import Path

import pytest
from fault_injection import done, program
from helpers import wait_for
from probe import METHODS, again_on_time, on_time, run_once

from tgscheduler.engine import health
from tgscheduler.executors import sequential
from tgscheduler.scheduler import ThreadedScheduler

pytestmark = pytest.mark.realtime


# -- it does not return --------------------------------------------------------------------------------------------


def spin(release):
    while not release:
        pass


def wait_on_nothing(release):
    read, write = os.pipe()
    while not release:
        select.select([read], [], [], 0.1)
    os.close(read)
    os.close(write)


@pytest.mark.parametrize("action", [spin, wait_on_nothing])
def test_a_threaded_action_that_does_not_return_holds_one_thread_and_stop_is_bounded(action, caplog):
    release, scheduler = [], ThreadedScheduler(threads=3, stop_timeout=0.2)
    with on_time(scheduler) as probe:
        scheduler.add_interval_task(action, 0.05, args=(release,), taskname="endless")
        wait_for(lambda: scheduler.counts()["skipped"] >= 3)
        assert probe.scheduler.health()["running"] <= 2
        stopping = time.monotonic()
    assert time.monotonic() - stopping < 5
    assert scheduler.health()["abandoned"] == 1
    [run] = scheduler.runs("endless", state="cancelled")
    assert "left behind" in run.reason
    release.append(True)
    wait_for(lambda: not [each for each in threading.enumerate() if each.name.startswith("tgscheduler")])


def test_a_forked_action_that_does_not_return_holds_one_child_and_stop_is_bounded():
    scheduler = ThreadedScheduler(children=2, stop_timeout=0.2)
    with on_time(scheduler):
        scheduler.add_interval_task(time.sleep, 0.05, args=(600,), taskname="endless", processmethod="forked")
        wait_for(lambda: scheduler.counts()["skipped"] >= 3)
        for number in range(4):
            assert run_once(scheduler, int, method="forked", name=str(number)).state == "ok"
        wait_for(lambda: scheduler.health()["children"] == 1)
        stopping = time.monotonic()
    assert time.monotonic() - stopping < 5
    [run] = scheduler.runs("endless", state="cancelled")
    assert run.reason == "stopped; its child was ended"


@pytest.mark.slow
def test_a_sequential_action_that_blocks_is_named_by_health_and_warned_about(monkeypatch, caplog):
    monkeypatch.setattr(sequential, "SLOW_ACTION", 0.2)
    monkeypatch.setattr(health, "LAG", 0.2)
    release, scheduler = threading.Event(), ThreadedScheduler()
    with again_on_time(scheduler):
        scheduler.add_interval_task(release.wait, 0.1, kw={"timeout": 20}, taskname="block", processmethod="sequential")
        found = wait_for(lambda: (found := scheduler.health())["state"] == "degraded" and found, 5)
        wait_for(
            lambda: any("block: its action holds the loop since 0." in why for why in scheduler.health()["reasons"])
        )
        wait_for(lambda: any("the loop is 0." in why for why in scheduler.health()["reasons"]))
        assert found["running"] == 1
        assert scheduler.health()["lag"] > 0.2
        release.set()
        wait_for(lambda: any("block: its action held the loop for " in message for message in caplog.messages))
    assert scheduler.health()["state"] == "stopped"


# -- it ends its process -------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("deed", "code"),
    [("os._exit(3)", 3), ("os.kill(os.getpid(), 9)", -9), ("faulthandler._sigsegv()", -signal.SIGSEGV)],
)
def test_a_threaded_action_that_ends_the_host_leaves_no_child(deed, code, tmp_path):
    done(
        tmp_path,
        f"""
        scheduler = start(ThreadedScheduler())
        scheduler.add_single_task(time.sleep, args=(60,), processmethod="forked")
        until(lambda: scheduler.health()["children"])
        scheduler.add_single_task(lambda: {deed})
        time.sleep(10)
        """,
        code,
    )


def test_a_forked_action_that_dies_harms_no_one():
    deeds = {
        "exit code 3": lambda: os._exit(3),
        "SIGSEGV": lambda: os.kill(os.getpid(), signal.SIGSEGV),
        "SIGKILL": lambda: os.kill(os.getpid(), signal.SIGKILL),
    }
    with on_time(ThreadedScheduler()) as probe:
        for words, deed in deeds.items():
            run = run_once(probe.scheduler, deed, method="forked", name=words)
            assert (run.state, words in run.reason) == ("failed", True)


@pytest.mark.slow
def test_the_children_of_a_child_end_with_it_at_stop(tmp_path):
    pids = tmp_path / "pids"

    def action():
        for number in range(4):
            if os.fork() == 0:
                if number % 2:
                    signal.signal(signal.SIGTERM, signal.SIG_IGN)
                with pids.open("a") as file:
                    file.write(f"{os.getpid()}\n")
                time.sleep(60)
                os._exit(0)
        time.sleep(60)

    scheduler = ThreadedScheduler(stop_timeout=0.2)
    with on_time(scheduler):
        scheduler.add_single_task(action, processmethod="forked", taskname="bomb")
        found = wait_for(lambda: pids.exists() and len(lines := pids.read_text().split()) == 4 and lines)
        [run] = scheduler.runs("bomb")
        group = run.where.process
        assert {os.getpgid(int(pid)) for pid in found} == {group}
        stopping = time.monotonic()
    assert time.monotonic() - stopping < 5
    assert run.state == "cancelled"
    wait_for(lambda: not [pid for pid in found if alive(pid)])


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


# -- it is loud ----------------------------------------------------------------------------------------------------


def log_megabytes(number):
    for _ in range(number * 250):
        logging.getLogger("app.loud").info("x" * 4000)


def print_megabytes(number):
    for _ in range(number * 250):
        print("x" * 4000)


def write_megabytes(number):
    for _ in range(number * 16):
        os.write(1, b"x" * 65535 + b"\n")


def log_one_line_of_megabytes(number):
    logging.getLogger("app.loud").info("x" * (number << 20))


LOUD = [log_megabytes, print_megabytes, write_megabytes, log_one_line_of_megabytes]


def check_loud(action, number):
    lines = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(len(record.getMessage()))
    logger = logging.getLogger("app.loud")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        with on_time(ThreadedScheduler()) as probe:
            assert run_once(probe.scheduler, action, number, method="forked", timeout=50).state == "ok"
    finally:
        logger.removeHandler(handler)
        logger.setLevel(logging.NOTSET)
        logger.propagate = True
    if action is log_one_line_of_megabytes:  # it is cut, and says so
        [length] = lines
        assert 100_000 < length < 1 << 20
    else:
        assert sum(lines) == (number * 250 * 4000 if action is log_megabytes else 0)


@pytest.mark.slow
@pytest.mark.parametrize("action", LOUD)
def test_five_megabytes_of_output_do_not_block_the_parent(action, capfd):
    check_loud(action, 5)


@pytest.mark.slow
@pytest.mark.parametrize("action", LOUD)
def test_fifty_megabytes_of_output_do_not_block_the_parent(action, capfd):
    check_loud(action, 50)


# -- what it returns, closes and changes ---------------------------------------------------------------------------


class Reduced:
    def __reduce__(self):
        return os.mkdir, ("unpickled",)


@pytest.mark.parametrize("result", [lambda: 0, Reduced(), socket.socketpair, "x" * 10_000_000])
def test_what_an_action_returns_is_never_looked_at(result, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with on_time(ThreadedScheduler()) as probe:
        for processmethod in METHODS:
            run = run_once(probe.scheduler, lambda: result, method=processmethod, name=processmethod)
            assert run.state == "ok"
    assert list(tmp_path.iterdir()) == []


def pipes():
    return {int(path.name): path.stat().st_ino for path in Path("/proc/self/fd").iterdir() if path.is_fifo()}


#: The pipes that the output of the tests themselves goes to.
OUTPUT = set(pipes().values())


def pipes_of_the_engine():
    return [fd for fd, number in pipes().items() if number not in OUTPUT]


def dup_over_pipes():
    for fd in pipes_of_the_engine():
        os.dup2(2, fd)


def garble_pipes():
    for fd in pipes_of_the_engine():
        for data in (b'"state"\n', b'{"log": 5}\n', b"[1]\n", b"\xff\n", b'{"log": {"name": 5}}\n'):
            try:
                os.write(fd, data)
            except OSError:
                break
    os._exit(4)


@pytest.mark.parametrize(
    ("action", "words"),
    [
        (lambda: os.closerange(3, 4096), "exit code 0 and sent no outcome"),
        (dup_over_pipes, "exit code 0 and sent no outcome"),
        (garble_pipes, "exit code 4 and sent no outcome"),
    ],
    ids=["closes", "dups over", "writes to"],
)
def test_a_child_that_breaks_its_pipe_fails_and_harms_no_one(action, words, capfd, caplog):
    with on_time(ThreadedScheduler()) as probe:
        run = run_once(probe.scheduler, action, method="forked")
        assert (run.state, words in run.reason) == ("failed", True)
        assert run_once(probe.scheduler, int, method="forked", name="next").state == "ok"
        assert probe.scheduler.health()["state"] == "ok"
    assert len([message for message in caplog.messages if "unreadable message" in message]) <= 1


@pytest.mark.slow
def test_a_threaded_action_that_closes_all_files_costs_the_children_of_that_moment_at_most(tmp_path):
    done(
        tmp_path,
        """
        scheduler = start(ThreadedScheduler())
        assert once(scheduler, int, "before", "forked").state == "ok"
        scheduler.add_single_task(time.sleep, args=(30,), processmethod="forked", taskname="sleeps")
        until(lambda: scheduler.health()["children"])
        assert once(scheduler, lambda: os.closerange(3, 4096), "closes").state == "ok"
        scheduler.add_single_task(int, processmethod="forked", taskname="after")
        assert ended(scheduler, "after").state == "ok"
        assert ended(scheduler, "sleeps").state in ("lost", "failed")
        on_time()
        scheduler.stop()
        assert sum(scheduler.counts().values()) == sum(run.count for run in scheduler.runs(limit=1000))
        """,
    )


def test_what_a_child_changes_of_its_process_its_parent_keeps(tmp_path):
    def state():
        mask = os.umask(0)
        os.umask(mask)
        handlers = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)]
        return {
            "cwd": os.getcwd(), "umask": mask, "nice": os.nice(0), "env": os.environ.get("FAULTS"),
            "locale": locale.setlocale(locale.LC_ALL), "stdout": sys.stdout, "recursion": sys.getrecursionlimit(),
            "timeout": socket.getdefaulttimeout(), "handlers": handlers,
        }  # fmt: skip

    def change():
        os.chdir("/")
        os.umask(0o777)
        os.nice(3)
        os.environ["FAULTS"] = "changed"
        locale.setlocale(locale.LC_ALL, "C.UTF-8")
        sys.stdout = None
        sys.setrecursionlimit(500)
        socket.setdefaulttimeout(0.001)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    before = state()
    with on_time(ThreadedScheduler()) as probe:
        run = run_once(probe.scheduler, change, method="forked")
        assert (run.state, run.error) == ("ok", None)
        assert state() == before


@pytest.mark.slow
def test_the_engine_needs_neither_a_folder_nor_a_locale_nor_an_output(tmp_path):
    done(
        tmp_path,
        """
        import locale, shutil
        os.mkdir("gone")
        def change():
            os.chdir("gone")
            os.rmdir(os.getcwd())
            os.umask(0o777)
            locale.setlocale(locale.LC_ALL, "C")
            sys.stdout = None
            sys.setrecursionlimit(300)
        scheduler = start(ThreadedScheduler())
        assert once(scheduler, change, "changes").state == "ok"
        for method in ("threaded", "forked", "sequential"):
            assert once(scheduler, int, "after " + method, method).state == "ok"
            assert once(scheduler, lambda: 1 / 0, "bad " + method, method).state == "failed"
        on_time()
        scheduler.stop()
        """,
    )


@pytest.mark.slow
def test_what_a_forked_action_leaves_behind_goes_on_after_the_server_was_killed(tmp_path):
    said = tmp_path / "said"

    def there(what):
        return said.exists() and what in said.read_text()

    with program(
        tmp_path,
        f"""
        import logging

        def say(what):
            with open({str(said)!r}, "a") as file:
                file.write(what)

        def action():
            if os.fork() == 0:  # a daemon of the action's own
                os.setsid()
                say("begun ")
                while os.getppid() != 1 and os.path.exists(f"/proc/{{server}}"):
                    time.sleep(0.01)
                for _ in range(100):  # more than a pipe holds
                    logging.getLogger("app").error("x" * 5000)
                say("ended")
                os._exit(0)
            time.sleep(30)

        server = os.getpid()
        scheduler = start(ThreadedScheduler())
        scheduler.add_single_task(time.sleep, args=(30,), processmethod="forked")
        scheduler.add_single_task(action, processmethod="forked")
        scheduler.add_single_task(action, processmethod="forked", initialdelay=0.5)
        time.sleep(30)
        """,
    ) as process:
        wait_for(lambda: there("begun begun"))
        os.kill(process.pid, signal.SIGKILL)
        wait_for(lambda: there("endedended"))
