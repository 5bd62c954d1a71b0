"""Load tests: each is a program of its own that prints one JSON line, and fails if a check does not hold.

``python -m benchmarks.loads`` runs all of ``LOADS``, ``python -m benchmarks.loads.day`` one; ``--short`` a part of it,
to try it. ``python -m benchmarks.loads.report`` makes the documentation's table from their lines.
"""

import argparse
import gc
import json
import os
import platform
import sys
from typing import Any, NoReturn

#: The loads, in the order in which they run, with a description.
LOADS = {
    "day": "24 h on the virtual clock in one process: 990 interval tasks of 1 to 36 s and 10 cron-like ones",
    "year": "a year on the virtual clock in one process: 1,000 interval tasks of 1 h to 24 h",
    "soak": "ten minutes of 2,000 threaded runs a second, one in a hundred failing, and five forks a second",
    "http": "one server with 50 HTTP clients and 1,000 runs a second, nine times 8 s, "
    "in turns with the same server beside a bare thread that burns the same CPU",
    "burst": "100,000 tasks due at once, while others are added and cancelled",
    "churn": "a million single tasks added and run, then a thousand starts and stops, then ten thousand renames",
    "storm": "30 threads that add tasks for 10 s, whose actions fail, and in a second turn exit as well; "
    "the same over TGScheduler 1.7",
    "history": "ten million runs in a SQLite store: pages of them, and pruning a million while there are claims",
    "console": "the console over 10,000 tasks and ten million runs: every page and route, then 50 tabs that poll",
    "claims": "a hundred thousand runs through a store: claimed, answered, ended and recorded by one thread",
}


def arguments(doc: str | None) -> argparse.Namespace:
    """Return the command line: ``short`` or not."""
    parser = argparse.ArgumentParser(description=doc)
    parser.add_argument("--short", action="store_true", help="a tenth of the load or a little more, to try it")
    return parser.parse_args()


def conclude(name: str, short: bool, checks: dict[str, bool], **figures: Any) -> NoReturn:
    """Print one JSON line and end the program: with status 0 if every check holds."""
    holds = all(checks.values())
    line = {"load": name, "python": platform.python_version(), "short": short}
    print(json.dumps({**line, "figures": figures, "checks": checks, "holds": holds}), flush=True)
    sys.exit(0 if holds else 1)


def resident() -> int:
    """Return this process's resident memory in bytes."""
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def descriptors() -> int:
    """Return the number of open file descriptors."""
    return len(os.listdir("/proc/self/fd"))


def objects() -> int:
    """Return the number of objects that the garbage collector tracks."""
    gc.collect()
    return len(gc.get_objects())


def percentile(values: list[float], share: float) -> float:
    """Return the value below which the share ``share`` (0 to 1) of the values lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
