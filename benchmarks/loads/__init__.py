"""Loads to hold: each a program of its own that prints one JSON line and fails where something does not hold.

=========  =============================================================================================
day        24 h on the virtual clock, 1,000 tasks, about 10 million runs: memory hour by hour
soak       ten minutes of 2,000 threaded runs a second, one in a hundred failing, and forks
http       50 HTTP clients for a minute beside 1,000 runs a second in one server
burst      100,000 tasks due at once, while others are added and cancelled
churn      a million single tasks, a thousand starts and stops, ten thousand renames
=========  =============================================================================================

``python -m benchmarks.loads.day``; ``--short`` runs a tenth.
"""

import argparse
import gc
import json
import os
import platform
import sys
from typing import Any


def arguments(doc: str | None) -> argparse.Namespace:
    """Return the command line: ``short`` or not."""
    parser = argparse.ArgumentParser(description=doc)
    parser.add_argument("--short", action="store_true", help="a tenth of the load, to try it")
    return parser.parse_args()


def report(name: str, checks: dict[str, bool], **figures: Any) -> None:
    """Print one JSON line and end the program: with 0 when every check holds."""
    python = platform.python_version()
    print(json.dumps({"load": name, "python": python, **figures, "checks": checks, "holds": all(checks.values())}))
    sys.stdout.flush()
    sys.exit(0 if all(checks.values()) else 1)


def resident() -> int:
    """Return the bytes of memory that this process holds."""
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def descriptors() -> int:
    """Return how many file descriptors are open."""
    return len(os.listdir("/proc/self/fd"))


def objects() -> int:
    """Return how many objects the collector knows."""
    gc.collect()
    return len(gc.get_objects())


def percentile(values: list[float], share: float) -> float:
    """Return the value below which that share (0 to 1) of the values lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
