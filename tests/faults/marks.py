"""A file of marks that knows nothing of any store: what a fleet's processes did, and what was done to them.

Each line is written at once and whole, by ``O_APPEND``, so that a process killed at any moment leaves what it did.
"""

import json
import os
import time
from typing import NamedTuple

#: What an action notes: it has begun, has ended, has raised as planned.
BEGAN, DONE, RAISED = "began", "done", "raised"
#: What is noted of a process: it runs its timetable, stands still, goes on, was told to stop, has stopped.
READY, FROZEN, THAWED, STOPPING, STOPPED = "ready", "frozen", "thawed", "stopping", "stopped"
#: What the test notes of it: it was killed, was given a wrong clock.
KILLED, SKEWED = "killed", "skewed"


class Mark(NamedTuple):
    """One line; times are POSIX seconds, by the machine's clock whatever the process believes."""

    what: str
    node: str
    pid: int
    when: float
    task: str = ""
    due: float = 0.0
    until: float = 0.0
    count: int = 0
    attempt: int = 0


class MarkFile:
    """The file; every process of a fleet appends to it."""

    def __init__(self, path):
        self._file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT)

    def note(self, what, node, run=None):
        """Append what has happened to a node, or to a run in it."""
        of_run = () if run is None else (run.task, run.due, run.until, run.count, run.attempt)
        os.write(self._file, json.dumps([what, node, os.getpid(), time.time(), *of_run]).encode() + b"\n")

    def read(self):
        """Return all that is in it, in the order in which it was written."""
        size = os.fstat(self._file).st_size
        return [Mark(*json.loads(line)) for line in os.pread(self._file, size, 0).splitlines()]

    def close(self):
        """Close it."""
        os.close(self._file)
