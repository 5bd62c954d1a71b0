"""Forked runs: what the child is, what comes back, and what is left behind (nothing)."""

import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest
from helpers import wait_for

from tgscheduler.executors import forked, forked_child
from tgscheduler.scheduler import ForkedScheduler, Task, ThreadedScheduler, method


@pytest.fixture
def scheduler():
    scheduler = ThreadedScheduler(stop_timeout=5)
    scheduler.start()
    yield scheduler
    scheduler.stop()


def run_forked(scheduler, action, *args, name="it", timeout=10):
    scheduler.add_single_task(action, args=args, processmethod=method.forked, taskname=name)
    return wait_for(lambda: [run for run in scheduler.runs(name) if run.ended], timeout)[0]


def report(scheduler, tmp_path, what):
    """Return what ``what()`` finds in a child."""
    path = tmp_path / "report"
    run = run_forked(scheduler, lambda: path.write_text(json.dumps(what())))
    assert run.state == "ok", run.error
    return json.loads(path.read_text())


def test_it_is_a_process_of_its_own_and_reaped_at_once(scheduler, tmp_path):
    pid, group = report(scheduler, tmp_path, lambda: (os.getpid(), os.getpgid(0)))
    assert pid == group != os.getpid()
    assert scheduler.runs("it")[0].where.process == pid
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_the_child_has_default_signals_an_empty_stdin_and_no_exit_handlers(tmp_path):
    program = f"""
import atexit, signal, sys, time, json
from tgscheduler.scheduler import ForkedScheduler, ThreadedScheduler, method
atexit.register(print, "exit handler", flush=True)
signal.signal(signal.SIGTERM, lambda *a: print("parent's handler", flush=True))
sys.stdout.write("pending ")
def action():
    names = ["SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1", "SIGCHLD"]
    found = [signal.getsignal(getattr(signal, name)) == signal.SIG_DFL for name in names]
    open({str(tmp_path / "child")!r}, "w").write(json.dumps([all(found), sys.stdin.read()]))
    print("printed by the child")
    sys.exit(3)
scheduler = ThreadedScheduler()
scheduler.add_single_task(action, processmethod=method.forked)
scheduler.start()
while not scheduler.counts()["failed"]:
    time.sleep(0.01)
scheduler.stop()
"""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=20, check=True
    )
    assert json.loads((tmp_path / "child").read_text()) == [True, ""]
    assert sorted(done.stdout.split("\n")) == ["", "pending exit handler", "printed by the child"]


def test_listening_sockets_are_closed_in_the_child_and_others_are_not(scheduler, tmp_path):
    other, peer = socket.socketpair()
    with socket.create_server(("127.0.0.1", 0)) as server, other, peer:

        def still_open():
            found = []
            for sock in (server, other):
                try:
                    os.fstat(sock.fileno())
                    found.append(True)
                except OSError:
                    found.append(False)
            return found

        assert report(scheduler, tmp_path, still_open) == [False, True]
        with socket.create_connection(server.getsockname(), timeout=5):
            pass


def test_log_records_reach_the_parents_handlers_with_their_place(scheduler, caplog):
    caplog.set_level(logging.INFO)

    def action():
        logging.getLogger("app.jobs").info("hello %s", "from a child")
        logging.getLogger("app.quiet").debug("not shown")
        try:
            raise ValueError("inner")
        except ValueError:
            logging.getLogger("app.jobs").exception("with a traceback")

    assert run_forked(scheduler, action).state == "ok"
    hello, trace = (record for record in caplog.records if record.name == "app.jobs")
    assert (hello.getMessage(), hello.funcName) == ("hello from a child", "action")
    assert hello.process != os.getpid()
    assert "ValueError: inner" in trace.exc_text


def test_loggers_that_do_not_propagate_are_heard_too(scheduler):
    records = []
    logger = logging.getLogger("app.alone")
    handler = logging.Handler()
    handler.emit = records.append
    logger.addHandler(handler)
    logger.propagate = False
    try:
        run_forked(scheduler, lambda: logging.getLogger("app.alone").warning("heard"))
    finally:
        logger.removeHandler(handler)
        logger.propagate = True
    assert [record.getMessage() for record in records] == ["heard"]


@pytest.mark.parametrize(
    ("action", "words"),
    [
        (lambda: os._exit(3), "exit code 3"),
        (lambda: os.kill(os.getpid(), signal.SIGKILL), "SIGKILL"),
        (lambda: os.kill(os.getpid(), signal.SIGSEGV), "SIGSEGV"),
        (lambda: os.kill(os.getpid(), signal.SIGTERM), "SIGTERM"),
        (lambda: os.closerange(3, 4096), "sent no outcome"),
    ],
    ids=["exit", "kill", "segv", "term", "closes its pipe"],
)
def test_a_child_that_dies_is_a_failure_that_says_how(scheduler, action, words, caplog):
    run = run_forked(scheduler, action)
    assert run.state == "failed"
    assert words in run.reason
    [record] = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert record.getMessage().startswith("it: ")
    assert run_forked(scheduler, int, name="next").state == "ok"


def test_the_traceback_comes_back(scheduler):
    def divide():
        return 1 / 0

    run = run_forked(scheduler, divide)
    assert run.state == "failed"
    assert "return 1 / 0" in run.error
    assert run.error.endswith("ZeroDivisionError: division by zero")


@pytest.mark.slow
@pytest.mark.realtime
def test_a_child_without_a_sign_of_life_is_ended(scheduler, monkeypatch):
    monkeypatch.setattr(forked_child, "SIGN_OF_LIFE", 0.3)
    monkeypatch.setattr(forked_child.child, "set_up_child", lambda *args, **kw: time.sleep(60))
    started = time.monotonic()
    run = run_forked(scheduler, int)
    assert (run.state, "a lock held at the fork?" in run.reason) == ("failed", True)
    assert time.monotonic() - started < 5


@pytest.mark.slow
def test_a_child_that_runs_long_is_warned_about_once(monkeypatch, caplog):
    monkeypatch.setattr(forked_child, "SLOW_ACTION", 0.1)
    scheduler = ThreadedScheduler()
    scheduler.start()
    assert run_forked(scheduler, time.sleep, 2.5).state == "ok"
    scheduler.stop()
    assert len([record for record in caplog.records if "has run for" in record.getMessage()]) == 1


@pytest.mark.realtime
def test_children_are_bounded_and_wait_in_order():
    scheduler = ThreadedScheduler(children=2)
    for number in range(6):
        scheduler.add_single_task(time.sleep, args=(0.1,), processmethod=method.forked, taskname=str(number))
    scheduler.start()
    most = []
    wait_for(lambda: most.append(scheduler.health()["children"]) or scheduler.counts()["ok"] == 6)
    scheduler.stop()
    assert max(most) == 2
    assert [run.task for run in sorted(scheduler.runs(), key=lambda run: run.started)] == list("012345")


def test_a_fork_that_is_refused_waits_and_is_tried_again(scheduler, monkeypatch, caplog):
    real, refused = os.fork, []
    monkeypatch.setattr(forked, "RETRY_DELAY", 0.02)

    def fork():
        if len(refused) < 3:
            refused.append(1)
            raise BlockingIOError(11, "Resource temporarily unavailable")
        return real()

    monkeypatch.setattr(os, "fork", fork)
    assert run_forked(scheduler, int).state == "ok"
    assert len(refused) == 3
    assert len([record for record in caplog.records if "cannot fork" in record.getMessage()]) == 1
    assert scheduler.health()["state"] == "ok"


def test_pipes_that_cannot_be_made_leak_nothing(scheduler, monkeypatch):
    run_forked(scheduler, int, name="first")  # the forker has its own pipe by now
    real, refused = os.pipe, []
    monkeypatch.setattr(forked, "RETRY_DELAY", 0.02)

    def pipe():
        if len(refused) < 2:
            refused.append(1)
            raise OSError(24, "Too many open files")
        return real()

    monkeypatch.setattr(os, "pipe", pipe)
    assert run_forked(scheduler, int).state == "ok"


@pytest.mark.realtime
def test_an_application_that_ignores_sigchld_or_reaps_for_itself_gets_outcomes_all_the_same(scheduler):
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        spoke = run_forked(scheduler, int, name="spoke")
        died = run_forked(scheduler, os._exit, 3, name="died")
    finally:
        signal.signal(signal.SIGCHLD, before)
    assert spoke.state == "ok"
    assert (died.state, "other code has taken" in died.reason) == ("lost", True)


@pytest.mark.realtime
def test_a_grandchild_that_holds_the_pipe_does_not_hold_the_run(scheduler, tmp_path):
    path = tmp_path / "pid"

    def action():
        pid = os.fork()
        if pid == 0:
            path.write_text(str(os.getpid()))
            time.sleep(60)
            os._exit(0)

    started = time.monotonic()
    run = run_forked(scheduler, action)
    assert (run.state, time.monotonic() - started < 5) == ("ok", True)
    os.kill(int(wait_for(lambda: path.exists() and path.read_text())), signal.SIGKILL)


@pytest.mark.realtime
def test_output_larger_than_the_pipe_arrives(scheduler, caplog):
    caplog.set_level(logging.INFO)

    def action():
        for number in range(2000):
            logging.getLogger("app.loud").info("%d %s", number, "x" * 500)

    assert run_forked(scheduler, action).state == "ok"
    assert len([record for record in caplog.records if record.name == "app.loud"]) == 2000


def test_what_a_forked_run_cannot_do_is_an_error_that_says_why(scheduler):
    verbs = {
        "add": lambda: scheduler.add_interval_task(int, 60),
        "schedule": lambda: scheduler.schedule_task_abs(Task("x", int), 5),
        "cancel": lambda: scheduler.cancel("it"),
        "rename": lambda: scheduler.rename_task("it", "that"),
        "start": scheduler.start,
    }
    for name, verb in verbs.items():
        run = run_forked(scheduler, verb, name=name)
        assert run.state == "failed", name
        assert "child process of a forked run" in run.error
        assert "method.threaded" in run.error or name == "start"


def test_without_fork_the_method_is_refused_at_the_call(monkeypatch):
    monkeypatch.delattr(os, "fork")
    with pytest.raises(NotImplementedError, match=r"method\.threaded"):
        ThreadedScheduler().add_interval_task(int, 60, processmethod=method.forked)


@pytest.mark.realtime
def test_without_pidfds_children_are_reaped_all_the_same(monkeypatch):
    monkeypatch.setattr(forked_child, "_pidfd", lambda pid: None)
    scheduler = ThreadedScheduler()
    scheduler.start()
    assert run_forked(scheduler, int).state == "ok"
    assert (
        run_forked(scheduler, os._exit, 4, name="bad").reason
        == "its process ended with exit code 4 and sent no outcome"
    )
    scheduler.stop()


def forks_beside_loggers(number, tmp_path):
    """Fork ``number`` times beside 8 threads that log, print and write; return the runs."""
    stop = threading.Event()
    logger = logging.getLogger("app.noise")
    file_handler = logging.FileHandler(tmp_path / "noise.log")
    logger.addHandler(file_handler)
    logger.setLevel(logging.INFO)
    out = open(tmp_path / "out", "w")  # noqa: SIM115

    def noise():
        while not stop.is_set():
            logger.info("noise")
            print("noise", file=out)
            time.sleep(0)

    threads = [threading.Thread(target=noise) for _ in range(8)]
    scheduler = ThreadedScheduler(history=number * 2)
    scheduler.start()
    for thread in threads:
        thread.start()

    def action():
        logger.info("from a child")
        print("from a child")

    try:
        for each in range(number):
            scheduler.add_single_task(action, processmethod=method.forked, initialdelay=each / 200)
        wait_for(lambda: scheduler.counts()["ok"] + scheduler.counts()["failed"] == number, 110)
        return scheduler.runs(limit=number * 2)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
        scheduler.stop()
        logger.removeHandler(file_handler)
        logger.setLevel(logging.NOTSET)
        file_handler.close()
        out.close()


@pytest.mark.realtime
def test_children_do_not_hang_beside_threads_that_log_and_print(tmp_path, capfd):
    found = forks_beside_loggers(30, tmp_path)
    assert [run for run in found if run.state != "ok"] == []
    assert (tmp_path / "noise.log").read_text().count("from a child") == 30


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_thousand_forks_beside_eight_threads_that_log_and_print(tmp_path, capfd):
    found = forks_beside_loggers(1000, tmp_path)
    assert [run for run in found if run.state != "ok"] == []
    assert (tmp_path / "noise.log").read_text().count("from a child") == 1000


@pytest.mark.skipif(sys.platform != "linux", reason="there is no /proc")
def test_a_child_has_the_write_end_of_its_own_pipe_and_no_other_descriptor_of_ours(tmp_path):
    def ours():
        found = {}
        for fd in os.listdir("/proc/self/fd"):
            try:
                found[int(fd)] = os.readlink(f"/proc/self/fd/{fd}")
            except OSError:  # the folder's own
                continue
        return {fd: what for fd, what in found.items() if what.startswith(("pipe:", "anon_inode:", "socket:"))}

    before = set(ours())
    schedulers = [ThreadedScheduler(), ThreadedScheduler()]
    for each in schedulers:
        each.start()
    for number in range(4):  # siblings, of two schedulers
        schedulers[number % 2].add_single_task(time.sleep, args=(30,), processmethod=method.forked)
    wait_for(lambda: all(each.health()["children"] == 2 for each in schedulers))
    apart = ForkedScheduler()
    apart.start()
    try:
        left = report(schedulers[0], tmp_path, lambda: {fd: what for fd, what in ours().items() if fd not in before})
        assert len(left) == 1, left
        pid = os.fork()  # by the application: it keeps none
        if pid == 0:
            os._exit(len(set(ours()) - before))
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    finally:
        apart.stop()
        for each in schedulers:
            each.stop(0)


def test_a_stop_ends_a_child_that_was_forked_while_its_forker_was_being_started(monkeypatch):
    start, stopped = threading.Thread.start, threading.Event()

    def slow_start(thread):
        start(thread)
        if thread.name == "tgscheduler-forker":
            stopped.wait(5)

    monkeypatch.setattr(threading.Thread, "start", slow_start)
    scheduler = ThreadedScheduler(stop_timeout=0)
    scheduler.add_single_task(time.sleep, args=(600,), processmethod=method.forked)
    scheduler.start()
    wait_for(lambda: scheduler.health()["children"])
    scheduler.stop()
    stopped.set()
    assert [run.state for run in scheduler.runs()] == ["cancelled"]
