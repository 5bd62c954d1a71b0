"""The only module that reads a clock or the host's time zone.

All other code is given a :class:`Clock`; tests pass a virtual one. Times are POSIX seconds (float), durations seconds.

The clocks are functions of a private copy of the ``time`` module. A test of the application that freezes time
(freezegun, ``mock.patch("time.time")``) replaces the functions of the shared module, under any name, perhaps while
this module is imported; a scheduler that runs meanwhile goes on in real time.
"""

import functools
import importlib.util
import io
import logging
import os
import queue
import re
import struct
import time
import zoneinfo
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import TypeGuard, TypeVar

log = logging.getLogger(__name__)

#: A loop never sleeps longer than this (seconds), so that a stepped wall clock is noticed.
LONGEST_WAIT = 30.0

#: A change of wall minus monotonic time by more than this (seconds) between two calls of ``step()`` is a step.
STEP = 1.0

#: How long a thread steps aside (seconds): with 0 it would be back before another one has woken up.
_ASIDE = 0.00002

Bell = queue.SimpleQueue[None]
"""A loop sleeps on it: ``bell.put(None)`` wakes the loop, from any thread and from a signal handler."""


def _own_time() -> ModuleType:
    spec = importlib.util.find_spec("time")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_time = _own_time()

elapsed: Callable[[], float] = _time.monotonic
"""Real monotonic seconds: for timeouts of real threads and processes, whatever clock the scheduler uses."""

pause = time.sleep
"""Sleep for real seconds, to poll real threads and processes. The shared function: gevent patches it to switch."""

_ItemT = TypeVar("_ItemT")


def giving_way(items: Iterable[_ItemT], every: int) -> Iterator[_ItemT]:
    """Yield items, and after each ``every`` of them let a thread run that waits for the interpreter.

    Such a thread, the scheduler's loop perhaps, would wait for 5 ms otherwise, and with several busy threads for each.
    """
    for number, item in enumerate(items, 1):
        yield item
        if number % every == 0:
            pause(_ASIDE)


class Clock:
    """The host's clock."""

    #: Whether it follows the host's time, so that a store may compare it with its own.
    is_real = True

    def __init__(self) -> None:
        self._offset = self.now() - self.uptime()

    #: Return the wall clock's time in POSIX seconds. (Both are called for each run: C functions cost no Python frame.)
    now: Callable[[], float] = staticmethod(_time.time)

    #: Return monotonic seconds: for durations, never for dates.
    elapsed: Callable[[], float] = staticmethod(_time.monotonic)

    def uptime(self) -> float:
        """Return monotonic seconds that include time while the machine is suspended, if the platform has such a clock.

        On Linux the monotonic clock stops during a suspension. By this one a suspension is elapsed time, not a step.
        """
        return self.elapsed() + _suspended()

    def step(self) -> float:
        """Return by how many seconds the wall clock was stepped since the last call, 0.0 if it was not."""
        offset = self.now() - self.uptime()
        moved = offset - self._offset
        if abs(moved) <= STEP:
            # Slewing moves the offset by less than a thousandth: follow it, or it would add up to a step in a long day.
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
            while True:  # several rings count as one
                bell.get_nowait()
        except queue.Empty:
            pass


def _suspended() -> float:
    """Return how long (seconds) the machine has been suspended since its start, 0.0 if that is unknown."""
    boottime = getattr(_time, "CLOCK_BOOTTIME", None)
    return 0.0 if boottime is None else _time.clock_gettime(boottime) - _time.monotonic()


# -- the host's time zone -----------------------------------------------------------------------------------------

_LOCALTIME = "/etc/localtime"
_ZONE_FOLDER = "/usr/share/zoneinfo"
#: Prefix of a zone's name in a file's path; ``right/`` counts leap seconds, which POSIX time does not.
_BEFORE_NAME = re.compile(r"(?:.*/zoneinfo[^/]*/)?(?:(?:posix|right)/)?")
_ABBREVIATION, _SHIFT = r"(?:[A-Za-z]{3,}|<[A-Za-z0-9+-]{3,}>)", r"([+-]?)(\d{1,2})((?::\d\d){0,2})"
_RULE = re.compile(rf"{_ABBREVIATION}{_SHIFT}(?P<summer>{_ABBREVIATION}[^,]*)?(?P<dates>,.+)?")
#: The dates that the C library assumes for a rule that has a summer time without dates.
_SUMMER = ",M3.2.0,M11.1.0"
#: Interval (seconds) within which no zone changes twice.
_SAMPLE = 5 * 86400
_YEAR = 365 * 86400

#: Moments (POSIX seconds), each with the C library's offset from UTC (seconds).
_Offsets = list[tuple[int, int]]


@functools.cache
def local_zone() -> str:
    """Return the name of the host's time zone, as the C library and ``datetime.astimezone()`` use it.

    It is an IANA name if one is found, else ``TZ=`` and a POSIX rule. Logs one warning if the host's setting is
    unreadable.
    """
    name, doubt = _find_zone()
    if doubt is not None:
        log.warning(
            "the host's time zone, %s, is not one that Python and the C library read alike; calendar tasks use %s: "
            "set tg.scheduler.timezone, or TZ, to an IANA name such as 'Europe/Berlin'", doubt, name,
        )  # fmt: skip
    return name


def posix_zone(rule: str) -> zoneinfo.ZoneInfo:
    """Return the zone of a POSIX rule such as ``CET-1CEST,M3.5.0,M10.5.0/3``; raise ValueError if it is none.

    It is read from a zone file in memory that contains only the rule.
    """
    if not _RULE.fullmatch(rule):
        raise ValueError(f"no POSIX rule: {rule!r}")
    block = b"TZif2" + bytes(15) + struct.pack(">6l", 0, 0, 0, 0, 1, 4) + struct.pack(">lbb", 0, 0, 0) + b"UTC\0"
    file = io.BytesIO(b"%s%s\n%s\n" % (block, block, rule.encode("ascii")))
    zone = zoneinfo.ZoneInfo.from_file(file, f"TZ={rule}")
    for month in (1, 7):
        datetime(2000, month, 1, tzinfo=zone).utcoffset()  # raises for 24 hours or more
    return zone


def _find_zone() -> tuple[str, str | None]:
    """Return the zone's name, and the host's setting if it does not name that zone.

    A zone is accepted only if it has the offsets of the C library, which may know other names than Python does.
    """
    setting = os.environ.get("TZ")
    text = None if setting is None else setting.removeprefix(":")
    if text == "":
        return "UTC", None
    file = os.path.join(os.environ.get("TZDIR") or _ZONE_FOLDER, text or _LOCALTIME)
    said = file if setting is None else f"TZ={setting!r}"
    names, rule, footer = _names_of(text, file), _name_of_rule(text), _footer(file)
    now = int(time.time())
    recent = _libc_offsets(now - _YEAR, now + _YEAR)
    for name in (*names, rule):
        if _agrees(name, recent):
            return name, None
    is_unread = footer is None and (text is not None or os.path.lexists(file))
    since_1970 = _libc_offsets(0, 68 * _YEAR)
    for name in _all_names():
        if _agrees(name, since_1970):
            return name, said if is_unread else None
    last_rule = _name_of_rule(footer)
    if _agrees(last_rule, recent):
        return last_rule, None
    nearest = (*names, rule, last_rule, _fixed(_libc_offset(now)), "UTC")
    return next(name for name in nearest if _agrees(name, [])), said


def _names_of(text: str | None, file: str) -> list[str]:
    """Return the names that TZ, or the host's zone file and the target of its link, may stand for."""
    paths = [file if text is None else text]
    if os.path.islink(file):
        paths += [os.path.join(os.path.dirname(file), os.readlink(file)), os.path.realpath(file)]
    names = [_BEFORE_NAME.sub("", path, count=1) for path in paths]
    return [name for name in names if name not in ("localtime", "posixrules")]


def _all_names() -> Iterator[str]:
    """Yield all names that Python knows; of several for one zone the usual one comes first."""
    try:
        yield Path("/etc/timezone").read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        pass
    yield "UTC"
    import importlib.resources  # only the rare host needs it

    for folder in (*map(Path, zoneinfo.TZPATH), importlib.resources.files("tzdata") / "zoneinfo"):
        table = folder / "zone1970.tab"
        if table.is_file():
            lines = table.read_text(encoding="utf-8").splitlines()
            yield from (line.split("\t")[2] for line in lines if line.count("\t") > 1 and line[0] != "#")
            break
    yield from sorted(zoneinfo.available_timezones() - {"localtime"})


def _libc_offset(moment: int) -> int:
    return time.localtime(moment).tm_gmtoff


def _libc_offsets(start: int, end: int) -> _Offsets:
    """Return offsets from ``start`` to ``end``: every few days, and a minute before and after each change."""
    found: _Offsets = []
    for sample in range(start, end, _SAMPLE):
        offset = _libc_offset(sample)
        if found and found[-1][1] != offset:
            low, high = sample - _SAMPLE, sample
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (low, middle) if _libc_offset(middle) == offset else (middle, high)
            found += [(moment, _libc_offset(moment)) for moment in (high - 60, high + 60)]
        found.append((sample, offset))
    return found


def _agrees(name: str | None, offsets: _Offsets) -> TypeGuard[str]:
    """Return whether there is a zone of that name and it has these offsets."""
    if name is None:
        return False
    try:
        zone = posix_zone(name[3:]) if name.startswith("TZ=") else zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return all(
        datetime.fromtimestamp(moment, zone).utcoffset() == timedelta(seconds=offset) for moment, offset in offsets
    )


def _name_of_rule(text: str | None) -> str | None:
    """Return the name of the zone of a POSIX rule, None if it is no rule."""
    found = _RULE.fullmatch(text or "")
    if found is None:
        return None
    if found["summer"]:
        return f"TZ={text}{'' if found['dates'] else _SUMMER}"
    hours, minutes, seconds, *_ = (int(part or 0) for part in f"{found[2]}{found[3]}:0:0".split(":"))
    offset = hours * 3600 + minutes * 60 + seconds
    return _fixed(offset if found[1] == "-" else -offset)


def _fixed(offset: int) -> str:
    """Return the name of a zone whose offset (seconds) never changes."""
    if offset % 3600 == 0 and -12 <= offset // 3600 <= 14:
        return f"Etc/GMT{-offset // 3600:+d}" if offset else "UTC"
    minutes, seconds = divmod(abs(offset), 60)
    shift = f"{minutes // 60:02d}:{minutes % 60:02d}:{seconds:02d}".removesuffix(":00")
    return f"TZ=<{'+' if offset > 0 else '-'}{shift.replace(':', '')}>{'-' if offset > 0 else ''}{shift}"


def _footer(file: str) -> str | None:
    """Return the POSIX rule at the end of a zone file, empty if it has none, None if the file is unreadable."""
    try:
        content = Path(file).read_bytes()
    except (OSError, ValueError):
        return None
    if content[:4] != b"TZif":
        return None
    return content.rsplit(b"\n", 2)[-2].decode("ascii", "replace") if content.endswith(b"\n") else ""


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
    """Return the version from the first line of ``tzdata.zi``, or from the file ``+VERSION`` of macOS and BSD."""
    for file, pattern in (("tzdata.zi", r"# version (\S+)"), ("+VERSION", r"(\S+)")):
        try:
            with (folder / file).open(encoding="ascii", errors="replace") as lines:
                found = re.match(pattern, lines.readline(200))
        except OSError:
            continue
        if found and found[1].isprintable():
            return found[1]
    return "unknown"
