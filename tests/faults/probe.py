"""A task that fires each 25 ms beside a fault, and what it has felt of it."""

import time
from contextlib import contextmanager

from helpers import wait_for

from tgscheduler.scheduler import method

#: Where an action can run.
METHODS = [method.sequential, method.threaded, method.forked]

#: Seconds between two fires.
BEAT = 0.025

#: No pause between two fires is longer: generous, for a machine of two cores that others use as well.
LONGEST = 0.5


class Probe:
    """The moments (``time.monotonic``) at which the probe task ran."""

    def __init__(self, scheduler):
        self.scheduler = scheduler
        self.beats = []
        self.task = scheduler.add_interval_task(self._beat, BEAT, taskname="probe")

    def _beat(self):
        self.beats.append(time.monotonic())

    def fires_again(self, within=1.0):
        """Wait until it has fired twice more, ``within`` seconds: after a fault that held the loop or the process."""
        number = len(self.beats)
        wait_for(lambda: len(self.beats) >= number + 2, within)

    def longest(self):
        """Return the longest pause between two fires, the one until now included."""
        return max(
            after - before for before, after in zip(self.beats, [*self.beats[1:], time.monotonic()], strict=True)
        )


@contextmanager
def on_time(scheduler):
    """Start a scheduler with a probe, stop it afterwards; the probe is on time all the while."""
    probe = Probe(scheduler)
    scheduler.start()
    try:
        wait_for(lambda: probe.beats)
        yield probe
        number = len(probe.beats)
        wait_for(lambda: len(probe.beats) > number, LONGEST)
        assert probe.longest() < LONGEST
        assert scheduler.running
    finally:
        scheduler.stop()


@contextmanager
def again_on_time(scheduler):
    """Start a scheduler with a probe, stop it afterwards; within 1 s after the fault the probe fires again."""
    probe = Probe(scheduler)
    scheduler.start()
    try:
        wait_for(lambda: probe.beats)
        yield probe
        probe.fires_again()
        assert scheduler.running
    finally:
        scheduler.stop()


def end_of(scheduler, name, timeout=10):
    """Wait for the end of the first run of a task, and return it."""
    return wait_for(lambda: [run for run in scheduler.runs(name) if run.ended], timeout)[-1]


def run_once(scheduler, action, *args, method="threaded", name="it", timeout=10):
    """Run an action once and return its run."""
    scheduler.add_single_task(action, args=args, processmethod=method, taskname=name)
    return end_of(scheduler, name, timeout)
