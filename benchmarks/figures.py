"""Helpers of the measurements: figures, a count without a lock, chunk medians."""

import itertools
import os
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

#: Number of calls that are timed together: a full garbage collection then affects one chunk, and not the median.
CHUNK = 200


class Figure(NamedTuple):
    """One measured number."""

    name: str
    figure: float
    unit: str


class Plan(NamedTuple):
    """The sizes of a case for one scheduler (several sizes: one measurement each)."""

    n: int | tuple[int, ...]
    quick: int | tuple[int, ...]
    once: bool = False  #: in the first round only: it is slow, and no goal uses it

    def sizes(self, quick: bool) -> tuple[int, ...]:
        """Return the sizes to measure."""
        n = self.quick if quick else self.n
        return n if isinstance(n, tuple) else (n,)


class Void(Exception):
    """A measurement that must not be used: runs were lost, or the clock started too early."""


def nothing() -> None:
    """Do nothing: the action of most cases."""


class Tally:
    """An action that counts its runs, without a lock, and notes when the n-th has ended.

    ``work``: what each run also does.
    """

    def __init__(self, n: int, work: Callable[[], object] | None = None) -> None:
        self.n = n
        self.ended = 0.0
        self._done = threading.Event()
        self._runs = itertools.count(1)
        take, done = self._runs.__next__, self._done

        def action() -> None:
            if work is not None:
                work()
            if take() == n:
                self.ended = time.time()
                done.set()

        self.action = action

    def wait(self, timeout: float = 120.0) -> float:
        """Return when (POSIX seconds) the n-th run ended; raise Void if runs are missing or too many."""
        if not self._done.wait(timeout):
            raise Void(f"{next(self._runs) - 1} of {self.n} runs within {timeout:.0f} s")
        time.sleep(0.1)
        extra = next(self._runs) - 1 - self.n
        if extra:
            raise Void(f"{extra} runs too many")
        return self.ended


def before(due: float) -> None:
    """Raise Void if ``due`` is past: the tasks were not all added when the measurement started."""
    if time.time() >= due:
        raise Void(f"tasks were in place {time.time() - due:.2f} s too late")


def chunks(call: Callable[[Any], object], items: Sequence[Any], size: int = CHUNK) -> list[float]:
    """Call with each item; return the seconds per call of each chunk of calls."""
    clock = time.perf_counter
    times = []
    for start in range(0, len(items) - size + 1, size):
        chunk = items[start : start + size]
        began = clock()
        for item in chunk:
            call(item)
        times.append((clock() - began) / size)
    return times


def median(values: Iterable[float]) -> float:
    """Return the median."""
    return statistics.median(values)


def quantile(values: Sequence[float], share: float) -> float:
    """Return the value below which ``share`` of the values lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def resident() -> int:
    """Return this process's resident memory in bytes."""
    if sys.platform == "linux":
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
