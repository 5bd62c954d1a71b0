"""Programs whose instructions are counted by ``test_budgets``: what to do, and how many times.

All of them run on the virtual clock, in one thread.
"""

import gc
import sched
import sys

from tgscheduler.testing import TickedScheduler


def noop():
    """Do nothing: an action."""


def add(n):
    """Add intervals, of which none is due."""
    scheduler = TickedScheduler()
    for _ in range(n):
        scheduler.add_interval_task(noop, 60.0, initialdelay=3600.0)


def one_shot(n):
    """Add and run single tasks, all due at once."""
    scheduler = TickedScheduler()
    for _ in range(n):
        scheduler.add_single_task(noop, processmethod="sequential")
    scheduler.tick()


def interval(n):
    """Add intervals and run each once, all due at once."""
    scheduler = TickedScheduler()
    for _ in range(n):
        scheduler.add_interval_task(noop, 60.0, processmethod="sequential")
    scheduler.tick()


def bare_sched(n):
    """Enter events into the standard ``sched`` and run them: what tells one build of Python from another."""
    scheduler = sched.scheduler(lambda: 0.0, lambda seconds: None)
    for _ in range(n):
        scheduler.enterabs(0.0, 0, noop)
    scheduler.run()


PROGRAMS = {"add": add, "one-shot": one_shot, "interval": interval, "sched": bare_sched}

if __name__ == "__main__":
    gc.freeze()
    PROGRAMS[sys.argv[1]](int(sys.argv[2]))
