"""The one place that reads a clock or the host's time zone.

Everything else is handed a :class:`Clock` and asks it; tests hand in a virtual one. Times are POSIX seconds
(float), durations seconds.

The clocks are functions of a ``time`` module of our own. A test of the application that freezes time (freezegun,
``mock.patch("time.time")``) replaces those of the shared one, wherever a name stands for them, and may do so while
this module is imported; a scheduler that runs beside it goes on in real time.
"""

import functools
import importlib.util
import queue
import re
import threading
import time
import zoneinfo
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

#: A loop never sleeps longer than this (seconds), so that a stepped wall clock is noticed.
LONGEST_WAIT = 30.0

#: Wall minus monotonic time that moves by more than this (seconds) between two looks is a step.
STEP = 1.0

Bell = queue.SimpleQueue[None]
"""What a loop sleeps on: ``bell.put(None)`` wakes it, from any thread and from a signal handler."""


def _own_time() -> ModuleType:
    spec = importlib.util.find_spec("time")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_time = _own_time()

elapsed: Callable[[], float] = _time.monotonic
"""Real seconds since some moment, for bounds on real threads and processes whatever the clock in use."""

pause = time.sleep
"""Sleep really, in seconds: for polling real threads and processes. The shared function: gevent's lets others go on."""


class Clock:
    """The host's clock."""

    #: Whether it goes with the host's time: a store may compare it with its own.
    is_real = True

    def __init__(self) -> None:
        self._offset = self.now() - self.uptime()

    #: Return the wall clock's time in POSIX seconds. (Both are asked for each run: C functions, no frame of ours.)
    now: Callable[[], float] = staticmethod(_time.time)

    #: Return monotonic seconds: for durations, never for dates.
    elapsed: Callable[[], float] = staticmethod(_time.monotonic)

    def uptime(self) -> float:
        """Return seconds that go on while the machine is suspended, where the platform has such a clock.

        On Linux the monotonic clock stands still then. Seen from this one a night's sleep is time gone by, no step.
        """
        return self.elapsed() + _suspended()

    def step(self) -> float:
        """Return by how many seconds the wall clock was stepped since the last call, 0.0 when it was not."""
        offset = self.now() - self.uptime()
        moved = offset - self._offset
        if abs(moved) <= STEP:
            # Slewing moves the offset by less than a thousandth: follow it, or a long day would add up to a step.
            self._offset = offset
            return 0.0
        self._offset = offset
        return moved

    def wait(self, bell: Bell, deadline: float | None) -> None:
        """Sleep until ``deadline`` (POSIX seconds; None: no deadline) or the bell, never beyond ``LONGEST_WAIT``."""
        timeout = LONGEST_WAIT if deadline is None else min(deadline - self.now(), LONGEST_WAIT)
        try:
            if timeout > 0:
                bell.get(timeout=timeout)
            while True:  # the rings that came meanwhile are one
                bell.get_nowait()
        except queue.Empty:
            pass


def _suspended() -> float:
    """Return how long the machine has been suspended since its start, as far as the platform tells."""
    boottime = getattr(_time, "CLOCK_BOOTTIME", None)
    return 0.0 if boottime is None else _time.clock_gettime(boottime) - _time.monotonic()


_zone_lock = threading.Lock()
_zone_name: str | None = None


def local_zone() -> str:
    """Return the IANA name of the host's time zone, ``'UTC'`` where the host has none."""
    global _zone_name
    with _zone_lock:
        if _zone_name is None:
            import tzlocal  # 20 ms that only a calendar task has to pay

            try:
                _zone_name = tzlocal.get_localzone_name() or "UTC"
            except Exception:  # an odd /etc/localtime or TZ must not keep an application from starting
                _zone_name = "UTC"
        return _zone_name


@functools.cache
def zone_data_version() -> str:
    """Return the version of the time zone data in use, such as ``'2025b'``, or ``'unknown'``.

    The host's data comes before that of the package ``tzdata``, which is marked: ``'2025b (tzdata package)'``. Hosts
    whose versions differ may disagree on a fire time.
    """
    for folder in map(Path, zoneinfo.TZPATH):
        if (folder / "UTC").is_file() or (folder / "Etc" / "UTC").is_file():
            return _version_in(folder)
    try:
        import tzdata  # type: ignore[import-untyped]
    except ImportError:
        return "unknown"
    return f"{tzdata.IANA_VERSION} (tzdata package)"


def _version_in(folder: Path) -> str:
    """Return what the first line of ``tzdata.zi`` says, or the file ``+VERSION`` of macOS and BSD."""
    for file, pattern in (("tzdata.zi", r"# version (\S+)"), ("+VERSION", r"(\S+)")):
        try:
            with (folder / file).open(encoding="ascii", errors="replace") as lines:
                found = re.match(pattern, lines.readline(200))
        except OSError:
            continue
        if found and found[1].isprintable():
            return found[1]
    return "unknown"
