"""The clock: how a loop sleeps, how a step of the wall clock is noticed, and the name of the host's zone."""

import json
import os
import queue
import shutil
import struct
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from tgscheduler import clock
from tgscheduler.clock import LONGEST_WAIT, Clock
from tgscheduler.timetable import zones


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
def test_a_step_is_told_once(seconds, monkeypatch):
    monkeypatch.setattr(clock, "_suspended", lambda: 0.0)  # it reads two real clocks, one after the other
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


_PROBE = """
import json, time
from tgscheduler import clock
from tgscheduler.timetable import zones
name = clock.local_zone()
assert clock.local_zone() is name
zone = zones.zone(name)
moments = range(1577836800, 2208988800, 3 * 3600 + 60)
differ = [moment for moment in moments if time.localtime(moment).tm_gmtoff != zones.offset(moment, zone)]
print(json.dumps([name, len(differ)]))
"""


def probe(tz, *command, **environment):
    """Return a fresh process's zone, how often it differs from libc's in 2020 to 2040, and what was logged."""
    clean = {key: value for key, value in os.environ.items() if key not in ("TZ", "TZDIR")}
    done = subprocess.run(
        [*command, sys.executable, "-W", "error", "-c", _PROBE],
        env={**clean, **({} if tz is None else {"TZ": tz}), **environment},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    name, differ = json.loads(done.stdout)
    return name, differ, done.stderr


@pytest.mark.parametrize(
    ("tz", "name"),
    [
        ("America/New_York", "America/New_York"),
        (":Asia/Kathmandu", "Asia/Kathmandu"),
        pytest.param("UTC", "UTC", marks=pytest.mark.slow),
        ("", "UTC"),
        pytest.param(":", "UTC", marks=pytest.mark.slow),
        pytest.param("posix/Asia/Tokyo", "Asia/Tokyo", marks=pytest.mark.slow),
        pytest.param("/usr/share/zoneinfo/Europe/Berlin", "Europe/Berlin", marks=pytest.mark.slow),
        pytest.param(":/usr/share/zoneinfo/posix/Europe/Berlin", "Europe/Berlin", marks=pytest.mark.slow),
        pytest.param("EST5EDT", "EST5EDT", marks=pytest.mark.slow),
        # POSIX rules
        ("JST-9", "Etc/GMT-9"),
        pytest.param("UTC0", "UTC", marks=pytest.mark.slow),
        pytest.param("<+03>-3", "Etc/GMT-3", marks=pytest.mark.slow),
        pytest.param("EST+5", "Etc/GMT+5", marks=pytest.mark.slow),
        pytest.param("IST-5:30", "TZ=<+0530>-05:30", marks=pytest.mark.slow),
        pytest.param("LMT+0:00:44", "TZ=<-000044>00:00:44", marks=pytest.mark.slow),
        pytest.param("EST5EDT,M3.2.0,M11.1.0", "TZ=EST5EDT,M3.2.0,M11.1.0", marks=pytest.mark.slow),
        ("CET-1CEST,M3.5.0,M10.5.0/3", "TZ=CET-1CEST,M3.5.0,M10.5.0/3"),
        pytest.param("LHST-10:30LHDT-11,M10.1.0,M4.1.0", "TZ=LHST-10:30LHDT-11,M10.1.0,M4.1.0", marks=pytest.mark.slow),
        pytest.param("<-02>2<-01>,M3.5.0/-1,M10.5.0/0", "TZ=<-02>2<-01>,M3.5.0/-1,M10.5.0/0", marks=pytest.mark.slow),
        pytest.param("AAA5BBB,J60,J300/25", "TZ=AAA5BBB,J60,J300/25", marks=pytest.mark.slow),
    ],
)
def test_the_zone_is_the_c_librarys(tz, name):
    assert probe(tz) == (name, 0, "")


@pytest.mark.parametrize(
    "tz",
    [
        "X",
        *(
            pytest.param(tz, marks=pytest.mark.slow)
            for tz in ("Nowhere/AtAll", "../../etc/passwd", "/no/such/file", "Asia/Tokyo ")
        ),
    ],
)
def test_a_setting_that_is_unreadable_is_warned_of_once(tz):
    name, differ, said = probe(tz)
    assert differ == 0
    assert f"TZ={tz!r}" in said
    assert f"calendar tasks use {name}: set tg.scheduler.timezone" in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("tz", "name"), [("XST5XDT", "TZ=XST5XDT,M3.2.0,M11.1.0"), ("XXX24", "UTC"), ("XXX-24:30", "UTC")]
)
def test_what_the_c_library_alone_understands_is_warned_of(tz, name):
    found, _, said = probe(tz)
    assert found == name
    assert f"TZ={tz!r}, is not one that Python and the C library read alike; calendar tasks use {name}" in said


@pytest.mark.skipif(not os.path.exists("/usr/share/zoneinfo/right/Europe/Berlin"), reason="the host has no such data")
def test_a_zone_that_counts_leap_seconds_is_warned_of():
    name, _, said = probe("right/Europe/Berlin")  # glibc itself stays in summer time when the file's years are over
    assert name == "Europe/Berlin"
    assert "calendar tasks use Europe/Berlin" in said


def test_a_name_that_only_python_knows_is_not_the_c_librarys_zone(tmp_path):
    name, differ, said = probe("Asia/Tokyo", TZDIR=str(tmp_path))
    assert (zones.offset(0, zones.zone(name)), differ) == (0, 0)
    assert "TZ='Asia/Tokyo', is not one" in said


@pytest.mark.parametrize(
    ("zone", "package"),
    [
        *((zone, package) for zone in ("Europe/Kyiv", "Australia/Lord_Howe", "UTC") for package in (False, True)),
        ("Africa/Casablanca", False),
    ],
)
def test_a_copy_is_known_by_what_it_says(tmp_path, zone, package):
    """Python may have its data from the package, whose files differ from the host's byte by byte."""
    shutil.copy(f"/usr/share/zoneinfo/{zone}", tmp_path / "localtime")
    name, differ, said = probe(str(tmp_path / "localtime"), **({"PYTHONTZPATH": ""} if package else {}))
    assert (differ, said) == (0, "")
    assert zones.zone(name).utcoffset(datetime(1990, 7, 1)) == ZoneInfo(zone).utcoffset(datetime(1990, 7, 1))
    assert name == zone or zone == "UTC"


def test_a_copy_that_is_like_no_zone_is_followed_by_its_rule(tmp_path):
    head = b"TZif2" + bytes(15) + struct.pack(">6l", 0, 0, 0, 1, 1, 4)
    tail = b"\0" + struct.pack(">lbb", 7 * 3600, 0, 0) + b"+07\0"
    rule = b"\n<+07>-7<+08>,M3.5.0,M10.5.0/3\n"
    (tmp_path / "localtime").write_bytes(head + bytes(4) + tail + head + bytes(8) + tail + rule)
    assert probe(str(tmp_path / "localtime")) == ("TZ=<+07>-7<+08>,M3.5.0,M10.5.0/3", 0, "")


@pytest.mark.skipif(
    subprocess.run(["/usr/bin/env", "unshare", "-rm", "true"], stderr=subprocess.DEVNULL).returncode != 0,
    reason="no mount namespaces",
)
@pytest.mark.parametrize(
    ("content", "name", "warns"),
    [
        (Path("/usr/share/zoneinfo/Europe/Kyiv"), "Europe/Kyiv", False),  # a copy, as in a container
        ("../usr/share/zoneinfo/Pacific/Apia", "Pacific/Apia", False),  # a link
        ("/usr/share/zoneinfo/right/Asia/Tokyo", "Asia/Tokyo", False),
        ("/usr/share/zoneinfo/No/Where", "UTC", True),
        (b"garbage", "UTC", True),
        (None, "UTC", False),
    ],
    ids=str,
)
def test_etc_localtime(tmp_path, content, name, warns):
    localtime = tmp_path / "localtime"
    if isinstance(content, str):
        localtime.symlink_to(content)
    elif content is not None:
        localtime.write_bytes(content.read_bytes() if isinstance(content, Path) else content)
    mounted = f'mount --bind {tmp_path} /etc && exec "$@"'
    found, differ, said = probe(None, "unshare", "-rm", "sh", "-c", mounted, "sh")
    assert (found, differ) == (name, 0)
    assert bool(said) == warns
    if warns:
        assert "the host's time zone, /etc/localtime, is not one" in said


def test_the_host_s_zone_can_be_asked_for_again():
    assert clock.local_zone() is clock.local_zone()
    assert clock.local_zone() == probe(os.environ.get("TZ"))[0]
