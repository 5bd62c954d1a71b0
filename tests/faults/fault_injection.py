"""Faults at the ports: what stands there is wrapped, and fails at the nth call; programs of their own for the rest."""

import random
import textwrap
from contextlib import contextmanager

from processes import Process

#: Each program ends itself, with a traceback of all threads, when it hangs.
PREAMBLE = """
import faulthandler, os, signal, sys, threading, time
faulthandler.dump_traceback_later({bound}, exit=True)
from tgscheduler.scheduler import *
from tgscheduler.scheduler import ForkedScheduler, Scheduler, ThreadedScheduler

beats = []

def start(scheduler):
    scheduler.add_interval_task(lambda: beats.append(time.monotonic()), 0.1, taskname="probe")
    scheduler.start()
    until(lambda: len(beats) > 1)
    return scheduler

def until(what, timeout=10.0):
    end = time.monotonic() + timeout
    while not what():
        assert time.monotonic() < end, "nothing came"
        time.sleep(0.005)
    return what()

def on_time(longest=0.5):
    fires_again()
    pauses = [after - before for before, after in zip(beats, beats[1:])]
    assert max(pauses) < longest, pauses

def fires_again(within=1.0):
    number = len(beats)
    until(lambda: len(beats) > number + 1, within)

def ended(scheduler, name, timeout=10.0):
    return until(lambda: [run for run in scheduler.runs(name) if run.ended], timeout)[-1]

def once(scheduler, action, name, method="threaded", timeout=10.0):
    scheduler.add_single_task(action, processmethod=method, taskname=name)
    return ended(scheduler, name, timeout)
"""


class Nth:
    """Calls ``real``, but at the calls of these numbers (from 1 on) raises ``error`` instead."""

    def __init__(self, real, error, *numbers):
        self.real, self.error, self.numbers, self.calls = real, error, numbers, 0

    def __call__(self, *args, **kw):
        self.calls += 1
        if self.calls in self.numbers:
            raise self.error
        return self.real(*args, **kw)

    def __get__(self, instance, owner=None):
        return self if instance is None else lambda *args, **kw: self(instance, *args, **kw)


def seeded():
    """Return a random generator whose seed is printed, so that a failure can be had again."""
    seed = random.randrange(10**9)
    print(f"seed {seed}")
    return random.Random(seed)


@contextmanager
def program(folder, text, bound=20):
    """Start a program with the preamble; end whatever a failed test leaves of it."""
    path = folder / "program.py"
    path.write_text(PREAMBLE.format(bound=bound) + textwrap.dedent(text))
    process = Process(path, cwd=folder)
    try:
        yield process
    finally:
        process.clean_up()


def done(folder, text, code=0, bound=20):
    """Run a program to its end, which is ``code``; nothing of its session may be left. Return its output."""
    with program(folder, text, bound) as process:
        ended = process.ended(bound + 5)
        assert ended == code, f"ended with {ended}\n{process.output}"
        return process.output
