"""The clock: how a loop sleeps, how a step of the wall clock is noticed, and the name of the host's zone."""

import os
import queue
import subprocess
import sys
import time
from zoneinfo import ZoneInfo

import pytest

from tgscheduler import clock
from tgscheduler.clock import LONGEST_WAIT, Clock


class Still(Clock):
    """A clock whose two hands are set by the test."""

    wall, monotonic = 1_700_000_000.0, 50.0

    def now(self):
        return self.wall

    def elapsed(self):
        return self.monotonic


class Bell:
    """A bell that nobody rings; it notes how long it was slept on."""

    def __init__(self):
        self.slept = []

    def get(self, timeout):
        self.slept.append(timeout)
        raise queue.Empty

    def get_nowait(self):
        raise queue.Empty


@pytest.mark.parametrize(
    ("deadline", "slept"),
    [
        (1_700_000_005.0, [5.0]),
        (1_700_000_000.25, [0.25]),
        (1_700_000_000.0 + LONGEST_WAIT, [LONGEST_WAIT]),
        (1_700_086_400.0, [LONGEST_WAIT]),  # tomorrow is many waits: a step is noticed in time
        (float("inf"), [LONGEST_WAIT]),
        (None, [LONGEST_WAIT]),
        (1_700_000_000.0, []),  # due
        (1_600_000_000.0, []),
        (float("-inf"), []),
    ],
)
def test_a_wait_goes_to_the_deadline_and_is_bounded(deadline, slept):
    bell = Bell()
    Still().wait(bell, deadline)
    assert bell.slept == slept


def test_rings_that_came_before_the_wait_end_it_and_are_one():
    bell, real = queue.SimpleQueue(), Clock()
    for _ in range(3):
        bell.put(None)
    before = real.elapsed()
    real.wait(bell, real.now() + 20)
    assert real.elapsed() - before < 10
    assert bell.empty()


def test_a_deadline_that_is_over_takes_the_rings_as_well():
    bell, real = queue.SimpleQueue(), Clock()
    bell.put(None)
    real.wait(bell, real.now() - 1)
    assert bell.empty()


@pytest.mark.parametrize("seconds", [3600.0, -3600.0, 1.5, -1.5])
def test_a_step_is_told_once(seconds):
    still = Still()
    assert still.step() == 0.0
    still.monotonic += 20
    still.wall += 20 + seconds
    assert still.step() == pytest.approx(seconds)
    assert still.step() == 0.0


def test_time_that_goes_by_is_no_step():
    still = Still()
    for _ in range(100):
        still.wall += 86400
        still.monotonic += 86400
        assert still.step() == 0.0


@pytest.mark.skipif(not hasattr(time, "CLOCK_BOOTTIME"), reason="the platform does not tell sleep from a step")
def test_a_night_in_which_the_machine_is_suspended_is_no_step(monkeypatch):
    slept, stepped, gettime, wall = [0.0], [0.0], time.clock_gettime, time.time
    boottime = time.CLOCK_BOOTTIME
    monkeypatch.setattr(clock._time, "clock_gettime", lambda which: gettime(which) + slept[0] * (which == boottime))
    monkeypatch.setattr(Clock, "now", staticmethod(lambda: wall() + slept[0] + stepped[0]))
    real = Clock()
    before, monotonic = real.uptime(), real.elapsed()
    slept[0] = 8 * 3600.0  # the wall and the boottime clock go on, the monotonic one stands still
    assert real.step() == 0.0
    assert real.uptime() - before == pytest.approx(8 * 3600, abs=5)
    assert real.elapsed() - monotonic < 5
    stepped[0] = 3600.0
    assert real.step() == pytest.approx(3600, abs=0.1)
    slept[0] += 3600.0
    stepped[0] -= 1800.0  # corrected while it slept
    assert real.step() == pytest.approx(-1800, abs=0.1)


def test_slewing_does_not_add_up_to_a_step():
    still = Still()
    for _ in range(1000):
        still.monotonic += 30
        still.wall += 30.015  # NTP mends by half a thousandth
        assert still.step() == 0.0


def test_the_real_clock_goes():
    real = Clock()
    wall, monotonic = real.now(), real.elapsed()
    assert wall > 1_700_000_000
    assert real.now() >= wall
    assert real.elapsed() >= monotonic
    assert real.step() == 0.0


def zone_in(**environment):
    """Return what a fresh process takes for the host's zone."""
    code = "from tgscheduler import clock; print(clock.local_zone()); print(clock.local_zone())"
    clean = {key: value for key, value in os.environ.items() if key != "TZ"}
    found = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        env={**clean, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    first, second = found.stdout.split()
    assert first == second
    return first


@pytest.mark.parametrize(
    ("tz", "name"),
    [
        ("America/New_York", "America/New_York"),
        (":Asia/Kathmandu", "Asia/Kathmandu"),
        ("UTC", "UTC"),
    ],
)
def test_the_host_s_zone_is_an_iana_name(tz, name):
    assert zone_in(TZ=tz) == name


def test_an_odd_setting_keeps_nobody_from_starting():
    assert ZoneInfo(zone_in(TZ="Nowhere/AtAll"))


def test_the_host_s_zone_can_be_asked_for_again():
    assert clock.local_zone() == clock.local_zone() == zone_in(**{k: v for k, v in os.environ.items() if k == "TZ"})
