"""The gate between forks and calls into C libraries, and the descriptors that no child keeps."""

import os
import threading
import time

import pytest
from helpers import wait_for

from tgscheduler import forks
from tgscheduler.forks import no_fork


class Call:
    """A call in a thread of its own that lasts until it is let go."""

    def __init__(self):
        self.inside, self._go = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self):
        with no_fork:
            self.inside.set()
            self._go.wait(20)

    def end(self):
        self._go.set()
        self._thread.join()


@pytest.fixture
def call():
    call = Call()
    call.inside.wait(10)
    yield call
    call.end()


def child_says(what, fork=os.fork):
    """Return what ``what()`` is in a forked child: a number below 256."""
    pid = fork()
    if pid == 0:
        try:
            os._exit(int(what()))
        finally:
            os._exit(255)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def fork_in_thread(done, fork=os.fork):
    thread = threading.Thread(target=lambda: done.append(child_says(lambda: 7, fork)))
    thread.start()
    return thread


def test_a_fork_waits_for_a_call_and_no_other_call_begins_meanwhile(call):
    done, begun = [], []
    forking = fork_in_thread(done)
    wait_for(lambda: no_fork._forks)

    def later():
        with no_fork:
            begun.append(done.copy())

    thread = threading.Thread(target=later)
    thread.start()
    wait_for(lambda: no_fork._waiting)
    assert (done, begun) == ([], [])
    call.end()
    thread.join()
    forking.join()
    assert done == [7]
    assert len(begun) == 1


@pytest.mark.realtime
def test_a_fork_of_the_application_waits_a_bounded_time_for_a_call_that_stands(call, monkeypatch):
    monkeypatch.setattr(forks, "LONGEST", 0.2)
    began = time.monotonic()
    assert child_says(lambda: 3) == 3
    assert 0.15 < time.monotonic() - began < 5


def test_a_fork_of_ours_is_refused_while_a_call_stands_but_not_for_ever(call, monkeypatch):
    monkeypatch.setattr(forks, "CALL_TIMEOUT", 0.01)
    monkeypatch.setattr(forks, "LONGEST", 0.01)
    with pytest.raises(forks.Busy):
        child_says(lambda: 3, lambda: forks.fork(keep=()))
    assert child_says(lambda: 3, lambda: forks.fork(keep=(), standing=0.0)) == 3
    call.end()
    assert no_fork.stands() == 0.0
    assert child_says(lambda: 3, lambda: forks.fork(keep=())) == 3


def test_a_thread_may_fork_in_the_middle_of_its_own_call_and_call_in_the_middle_of_its_fork():
    """As a signal handler does, or a fork handler of the application's."""
    with no_fork, no_fork:
        began = time.monotonic()
        assert child_says(lambda: 3) == 3
        no_fork.close(1.0)
        with no_fork:
            pass
        no_fork.open()
        assert time.monotonic() - began < 0.9
    assert (no_fork._calls, no_fork._forks) == ({}, [])


def test_a_call_works_in_the_child_whatever_the_parents_threads_did_at_the_fork(call, monkeypatch):
    monkeypatch.setattr(forks, "LONGEST", 0.01)

    def use():
        with no_fork:
            return len(no_fork._calls)

    assert child_says(use) == 1


@pytest.mark.realtime
def test_calls_get_their_turn_beside_threads_that_fork_all_the_time():
    stop, calls = threading.Event(), []

    def fork():
        while not stop.is_set():
            no_fork.close(1.0)
            no_fork.open()

    threads = [threading.Thread(target=fork) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(50):
            began = time.monotonic()
            with no_fork:
                assert not no_fork._forks or no_fork._calls
            calls.append(time.monotonic() - began)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert max(calls) < forks.LONGEST


def test_a_call_never_waits_for_ever_where_a_fork_handler_hangs(monkeypatch):
    """A handler of the application's may wait for a lock that the caller holds."""
    monkeypatch.setattr(forks, "LONGEST", 0.01)
    hangs, go = threading.Event(), threading.Event()

    def handler():
        no_fork.close(1.0)
        hangs.set()
        go.wait(20)
        no_fork.open()

    thread = threading.Thread(target=handler)
    thread.start()
    hangs.wait(10)
    with no_fork:
        go.set()
    thread.join()


def is_open(fd):
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


def test_a_child_keeps_no_private_descriptor_but_those_that_are_meant_for_it():
    read, write = forks.pipe()
    try:
        assert child_says(lambda: is_open(read) + 2 * is_open(write)) == 0
        assert child_says(lambda: is_open(read) + 2 * is_open(write), lambda: forks.fork(keep=(write,))) == 2
    finally:
        forks.close(read)
        forks.close(write)
    assert not is_open(read)


def test_a_number_that_was_given_to_another_file_is_left_alone():
    read, write = forks.pipe()
    other, peer = os.pipe()
    try:
        os.dup2(other, read)  # as an application does that closes all files, and opens its own
        assert child_says(lambda: is_open(read) + 2 * is_open(write)) == 1
    finally:
        for fd in (read, write):
            forks.close(fd)
        os.close(other)
        os.close(peer)


def test_each_process_has_a_token_of_its_own():
    token = forks.process_token()
    assert len(token) == 6
    assert forks.process_token() == token
    assert child_says(lambda: forks.process_token() != token) == 1
