"""What the host and the application can do to the executors."""

import contextlib
import errno
import logging
import os
import signal
import threading
import time
from collections import deque
from pathlib import Path

import pytest
from fault_injection import Nth, done, seeded
from helpers import entry_of, occurrence, total, wait_for
from probe import end_of, on_time, run_once

from tgscheduler.clock import Clock
from tgscheduler.executors import forked, forked_child
from tgscheduler.executors.threaded import ThreadedExecutor
from tgscheduler.scheduler import SingleTask, Task, ThreadedScheduler, method
from tgscheduler.timetable.run import Run

pytestmark = pytest.mark.realtime


# -- the host is at a limit ----------------------------------------------------------------------------------------


def test_threads_that_cannot_be_started_at_random_calls_lose_no_run(monkeypatch):
    numbers = [1, *seeded().sample(range(2, 13), 7)]
    scheduler = ThreadedScheduler(threads=10)
    with on_time(scheduler):
        start = Nth(threading.Thread.start, RuntimeError("can't start new thread"), *numbers)
        monkeypatch.setattr(threading.Thread, "start", start)
        for number in range(10):
            scheduler.add_single_task(time.sleep, args=(0.03,), taskname=str(number))
        assert {end_of(scheduler, str(number)).state for number in range(10)} == {"ok"}
        assert start.calls >= 1


def test_what_comes_while_a_worker_takes_its_own_is_not_left_lying(monkeypatch):
    first, second, release = Run("first", 0.0), Run("second", 0.0), threading.Event()
    pool = ThreadedExecutor(Clock(), deque(), 2)

    class Queue:
        """Hands a worker the first occurrence, and takes the second before the worker counts as busy."""

        def __init__(self, real):
            self.get_nowait, self.put, self.qsize, self._real = real.get_nowait, real.put, real.qsize, real

        def get(self, timeout):
            item = self._real.get(timeout=timeout)
            if item is not None and item[1] is first:
                pool.submit([occurrence(SingleTask("second", int), second)])
            return item

    pool._queue = Queue(pool._queue)
    pool.start()
    try:
        wait_for(lambda: pool._idlers)
        pool.submit([occurrence(SingleTask("first", release.wait, (20,)), first)])
        wait_for(lambda: second.ended, 2)
    finally:
        release.set()
        pool.close()
        wait_for(pool.idle)


@pytest.mark.slow
def test_a_forker_that_cannot_be_started_is_tried_again_and_its_run_waits(monkeypatch, caplog):
    scheduler, real = ThreadedScheduler(), threading.Thread.start
    refuse = []

    def start(thread):
        if thread.name == "tgscheduler-forker" and len(refuse) < 3:
            refuse.append(thread)
            raise RuntimeError("can't start new thread")
        real(thread)

    with on_time(scheduler):
        monkeypatch.setattr(threading.Thread, "start", start)
        scheduler.add_single_task(int, processmethod="forked", taskname="it")
        wait_for(lambda: any("no thread to fork from" in reason for reason in scheduler.health()["reasons"]))
        assert scheduler.counts()["waiting"] == 1
        assert end_of(scheduler, "it").state == "ok"
        assert len(refuse) == 3
        wait_for(lambda: scheduler.health()["state"] == "ok")
    assert len([message for message in caplog.messages if "no thread to fork from" in message]) == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("where", "number"),
    [("fork", errno.EAGAIN), ("fork", errno.ENOMEM), ("pipe", errno.EMFILE)],
)
def test_what_the_host_refuses_is_tried_again_and_leaks_no_file(where, number, monkeypatch):
    scheduler = ThreadedScheduler()
    with on_time(scheduler):
        broken = Nth(getattr(os, where), OSError(number, os.strerror(number)), 1, 3)
        monkeypatch.setattr(os, where, broken)
        assert run_once(scheduler, int, method="forked", name="one").state == "ok"
        assert run_once(scheduler, int, method="forked", name="two").state == "ok"
        assert broken.calls >= 4
        wait_for(lambda: scheduler.health()["state"] == "ok")


def test_a_fork_that_is_refused_until_the_stop_is_cancelled_there(monkeypatch):
    scheduler = ThreadedScheduler(stop_timeout=0.2)

    def fork():
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", fork)
    with on_time(scheduler):
        for number in range(5):
            scheduler.add_single_task(int, processmethod="forked", taskname=str(number))
        wait_for(lambda: any("cannot fork" in reason for reason in scheduler.health()["reasons"]))
    counts = scheduler.counts()
    assert (counts["cancelled"], counts["waiting"], counts["running"]) == (5, 0, 0)
    assert {run.reason for run in scheduler.runs(state="cancelled")} == {"stopped before it began"}


@pytest.mark.slow
def test_files_really_at_their_limit_delay_forked_runs_and_nothing_is_lost(tmp_path):
    done(
        tmp_path,
        """
        import resource
        resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))
        scheduler = start(ThreadedScheduler())
        hoard = []
        try:
            while True:
                hoard.append(os.open("/dev/null", os.O_RDONLY))
        except OSError:
            pass
        for number in range(4):
            scheduler.add_single_task(int, processmethod="forked", taskname=str(number))
        until(lambda: scheduler.health()["state"] == "degraded")
        assert "Too many open files" in scheduler.health()["reasons"][0], scheduler.health()
        on_time()
        for fd in hoard:
            os.close(fd)
        assert [ended(scheduler, str(number)).state for number in range(4)] == ["ok"] * 4
        until(lambda: scheduler.health()["state"] == "ok")
        on_time()
        assert len(os.listdir("/proc/self/fd")) < 15, os.listdir("/proc/self/fd")
        scheduler.stop()
        """,
    )


@pytest.mark.slow
@pytest.mark.skipif(os.getuid() != 0, reason="needs root, to become a user of whom nobody else has processes")
def test_threads_and_processes_really_at_their_limit_delay_runs_and_nothing_is_lost(tmp_path):
    tmp_path.chmod(0o777)
    for folder in tmp_path.parents:
        if folder.stat().st_uid == os.getuid() and not folder.stat().st_mode & 0o005 and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o055)
    done(
        tmp_path,
        """
        import resource
        import json, traceback, unicodedata                 # what is not readable later is imported now
        os.setgid(65534), os.setuid(65534)
        scheduler = start(ThreadedScheduler())
        assert once(scheduler, int, "warm", "forked").state == "ok"
        until(lambda: scheduler.health()["children"] == 0)
        soft, hard = resource.getrlimit(resource.RLIMIT_NPROC)
        resource.setrlimit(resource.RLIMIT_NPROC, (1, hard))
        for number in range(20):
            scheduler.add_single_task(time.sleep, args=(0.05,), taskname=f"t{number}")
        scheduler.add_single_task(int, processmethod="forked", taskname="f")
        until(lambda: scheduler.health()["state"] == "degraded")
        reasons = " ".join(scheduler.health()["reasons"])
        assert "can't start new thread" in reasons or "Resource temporarily unavailable" in reasons, reasons
        assert [ended(scheduler, f"t{number}").state for number in range(20)] == ["ok"] * 20
        until(lambda: any("cannot fork" in reason for reason in scheduler.health()["reasons"]))
        fires_again(3)
        resource.setrlimit(resource.RLIMIT_NPROC, (soft, hard))
        assert ended(scheduler, "f").state == "ok"
        scheduler.stop()
        """,
    )


# -- a child hangs, or is taken away -------------------------------------------------------------------------------


def test_a_child_that_hangs_in_a_lock_held_at_the_fork_is_ended_at_stop():
    lock, scheduler = threading.Lock(), ThreadedScheduler(stop_timeout=0.2)
    with on_time(scheduler):
        with lock:
            scheduler.add_single_task(lock.acquire, processmethod="forked", taskname="hangs")
            wait_for(lambda: scheduler.health()["children"])
            time.sleep(0.2)  # it begins with the lock held
        stopping = time.monotonic()
    assert time.monotonic() - stopping < 4
    [run] = scheduler.runs("hangs")
    assert (run.state, run.reason) == ("cancelled", "stopped; its child was ended")


@pytest.mark.slow
def test_a_child_that_hangs_before_its_action_is_ended_and_says_why(monkeypatch):
    monkeypatch.setattr(forked_child, "SIGN_OF_LIFE", 0.3)
    lock, scheduler = threading.Lock(), ThreadedScheduler()
    monkeypatch.setattr(forked_child.child, "set_up_child", lambda *args, **kw: lock.acquire())
    with on_time(scheduler), lock:
        run = run_once(scheduler, int, method="forked")
        assert (run.state, run.reason) == ("failed", "no sign of life for 0 s: a lock held at the fork?")


def zombies():
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, parent, *_ = stat.read_text().rsplit(")", 1)[1].split()
            if state == "Z" and int(parent) == os.getpid():
                found.append(stat.parent.name)
    return found


def test_no_zombie_is_left_while_the_scheduler_runs():
    scheduler = ThreadedScheduler()
    ends = [int, lambda: 1 / 0, lambda: os._exit(3), lambda: os.kill(os.getpid(), signal.SIGKILL)]
    with on_time(scheduler):
        for number in range(20):
            scheduler.add_single_task(ends[number % 4], processmethod="forked", taskname=str(number))
        for number in range(20):
            end_of(scheduler, str(number))
        wait_for(lambda: not zombies(), 1)


def test_a_thief_of_children_costs_outcomes_at_most_of_those_that_said_nothing():
    scheduler, stop, stolen = ThreadedScheduler(), threading.Event(), []

    def steal():
        while not stop.wait(0.0005):  # it steals from children, and no time from the probe
            with contextlib.suppress(ChildProcessError):
                pid, _ = os.waitpid(-1, os.WNOHANG)
                if pid:
                    stolen.append(pid)

    thief = threading.Thread(target=steal)
    with on_time(scheduler):
        thief.start()
        try:
            for number in range(10):
                scheduler.add_single_task(int, processmethod="forked", taskname=f"ok{number}")
                scheduler.add_single_task(os._exit, args=(3,), processmethod="forked", taskname=f"dies{number}")
            states = {name: [end_of(scheduler, f"{name}{n}").state for n in range(10)] for name in ("ok", "dies")}
        finally:
            stop.set()
            thief.join()
        assert set(states["ok"]) == {"ok"}
        assert set(states["dies"]) <= {"failed", "lost"}
        lost = scheduler.runs(state="lost")
        assert len(lost) == states["dies"].count("lost")
        assert all("other code has taken" in run.reason for run in lost)
        assert run_once(scheduler, int, method="forked", name="after").state == "ok"


def test_the_number_of_a_child_that_someone_else_has_reaped_is_signalled_no_more():
    first = os.fork()
    if first == 0:
        os._exit(0)
    kid = forked_child.Child(first, -1, *occurrence(Task("it", int), Run("it", 0.0)), 0.0)
    os.waitpid(first, 0)
    signalled = []
    killpg, getpgid = os.killpg, os.getpgid
    try:  # as if the number had gone to a group leader meanwhile
        os.killpg, os.getpgid = lambda *args: signalled.append(args), lambda pid: pid
        kid.end(signal.SIGKILL)
    finally:
        os.killpg, os.getpgid = killpg, getpgid
        os.close(kid.pidfd)
    assert signalled == []


def test_a_group_kill_never_hits_our_own_group(monkeypatch):
    groups = []
    monkeypatch.setattr(os, "killpg", lambda group, number, real=os.killpg: (groups.append(group), real(group, number)))
    scheduler = ThreadedScheduler(stop_timeout=0.1)
    with on_time(scheduler):
        for number in range(3):
            scheduler.add_single_task(time.sleep, args=(60,), processmethod="forked", taskname=str(number))
        wait_for(lambda: scheduler.health()["children"] == 3)
    assert groups
    assert os.getpgid(0) not in groups
    assert set(groups) == {run.where.process for run in scheduler.runs(state="cancelled")}


# -- its own threads are ended -------------------------------------------------------------------------------------


def test_a_run_whose_worker_is_ended_from_outside_is_lost_and_says_so(monkeypatch):
    scheduler = ThreadedScheduler(threads=1)
    monkeypatch.setattr(threading, "excepthook", lambda args: None)
    with on_time(scheduler):
        real, pool = ThreadedExecutor.run, scheduler._lifecycle.dispatcher.executors[method.threaded]

        def run_or_end(self, occurrence, where):
            if occurrence[1].task == "evil":  # as PyThreadState_SetAsyncExc does it, outside of the action
                self.begin(occurrence, where)
                raise SystemExit("from outside")
            return real(self, occurrence, where)

        monkeypatch.setattr(ThreadedExecutor, "run", run_or_end)
        run = run_once(scheduler, int, name="evil")
        assert (run.state, run.reason) == ("lost", "its worker thread was ended from outside")
        assert run_once(scheduler, int, name="after", timeout=1).state == "ok"
        assert pool.busy <= 1


def test_a_forker_that_meets_a_fault_loses_its_children_of_that_moment_and_is_followed_by_another(monkeypatch, caplog):
    scheduler = ThreadedScheduler()
    with on_time(scheduler):
        scheduler.add_single_task(time.sleep, args=(60,), processmethod="forked", taskname="lost")
        wait_for(lambda: scheduler.health()["children"])
        monkeypatch.setattr(
            forked.ForkedExecutor, "_watch", Nth(forked.ForkedExecutor._watch, MemoryError("injected"), 1)
        )
        assert run_once(scheduler, int, method="forked", name="after").state in ("ok", "failed")
        run = end_of(scheduler, "lost")
        assert (run.state, run.reason) == ("failed", "the thread that watched its process ended by a fault")
        assert run_once(scheduler, int, method="forked", name="last").state == "ok"
        wait_for(lambda: scheduler.health()["state"] == "ok")
    assert [record.name for record in caplog.records if record.levelno == logging.CRITICAL] == [forked.__name__]


# -- completions that come at the wrong time -----------------------------------------------------------------------


class Fake(ThreadedExecutor):
    """Takes occurrences and begins them; a test ends them, as often and as late as it likes."""

    def __init__(self, *args):
        super().__init__(*args)
        self.taken = []

    def submit(self, occurrences):
        self.hold(occurrences)
        self.taken += occurrences


@pytest.fixture
def fake(monkeypatch):
    scheduler = ThreadedScheduler(stop_timeout=0.1)
    make = scheduler._make_executors
    monkeypatch.setattr(
        scheduler._lifecycle,
        "_make_executors",
        lambda: {**make(), method.forked: Fake(scheduler.clock, scheduler._journal.handed_back)},
    )
    return scheduler


def taken(scheduler):
    scheduler.add_single_task(int, processmethod="forked", taskname="it")
    executor = scheduler._lifecycle.dispatcher.executors[method.forked]
    [occurrence] = wait_for(lambda: executor.taken)
    return executor, occurrence


@pytest.mark.parametrize("how", ["by its executor", "behind its back"])
def test_a_run_that_ends_twice_is_recorded_once_and_the_first_end_stands(fake, how):
    with on_time(fake):
        executor, occurrence = taken(fake)
        run = occurrence[1]
        assert executor.begin(occurrence, None)
        assert executor.finish(run, "ok")
        assert not executor.finish(run, "failed")
        if how == "behind its back":
            executor._handed_back.append(occurrence)
        fake._lifecycle.loop.bell.put(None)  # else the loop would look within a second
        end_of(fake, "it")
        if how == "behind its back":
            executor._handed_back.append(occurrence)
            fake._lifecycle.loop.bell.put(None)
        wait_for(lambda: not executor._handed_back)
        assert [each.state for each in fake.runs("it")] == ["ok"]
    assert total(fake.counts()) == sum(run.count for run in fake.runs(limit=1000))


def test_a_run_that_ends_after_the_stop_stays_cancelled(fake):
    with on_time(fake):
        executor, occurrence = taken(fake)
        executor.begin(occurrence, None)
    run = occurrence[1]
    assert run.state == "cancelled"
    assert not executor.finish(run, "ok")
    assert (run.state, fake.counts()["cancelled"]) == ("cancelled", 1)


def test_a_run_that_was_cancelled_does_not_begin(fake):
    with on_time(fake):
        executor, occurrence = taken(fake)
        fake.cancel("it")
        assert not executor.begin(occurrence, None)
        run = end_of(fake, "it")
        assert (run.state, run.reason) == ("cancelled", "its task was cancelled before it began")
        assert not executor.finish(run, "ok")


def test_an_executor_that_cannot_take_a_run_ends_it_with_the_reason(fake, monkeypatch):
    with on_time(fake):
        executor = fake._lifecycle.dispatcher.executors[method.forked]
        monkeypatch.setattr(executor, "submit", Nth(executor.submit, OSError("no room"), 1))
        fake.add_single_task(int, processmethod="forked", taskname="it")
        run = end_of(fake, "it")
        assert (run.state, run.error.endswith("OSError: no room")) == ("failed", True)


# -- the application's logging is broken ---------------------------------------------------------------------------


class Broken(logging.Handler):
    """A handler that lets out what goes wrong in it."""

    def emit(self, record):
        raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("processmethod", [method.sequential, method.threaded, method.forked])
def test_a_log_handler_that_raises_is_not_felt(processmethod):
    handler = Broken()
    logging.getLogger("tgscheduler").addHandler(handler)
    try:
        with on_time(ThreadedScheduler()) as probe:
            for number in range(3):
                run = run_once(probe.scheduler, lambda: 1 / 0, method=processmethod, name=str(number))
                assert run.state == "failed"
            task = probe.scheduler.add_interval_task(int, 60, initialdelay=0.01, taskname="parked")
            entry_of(task).trigger = object()
            assert "AttributeError" in end_of(probe.scheduler, "parked").reason
    finally:
        logging.getLogger("tgscheduler").removeHandler(handler)
