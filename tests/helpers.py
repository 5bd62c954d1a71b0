"""What several test modules share."""

import importlib
import os
import re
import shutil
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from tgscheduler.clock import Clock
from tgscheduler.timetable.entry import Entry
from tgscheduler.timetable.tasks import SchedulerContext, SingleTask, TriggerTask
from tgscheduler.timetable.triggers import is_quick

#: The project's root. It stands here and not in a conftest, as there are two of those: which one ``import conftest``
#: finds depends on what is collected first.
ROOT = Path(__file__).parent.parent

#: When a clock that is moved by hand begins, mostly: POSIX seconds of a Sunday.
NOON = datetime(2025, 6, 1, 12, tzinfo=UTC).timestamp()
HOUR, DAY = 3600.0, 86400.0


def noop():
    """Do nothing: an action."""


def entry_of(task):
    """Return what a scheduler knows of a task."""
    return task.scheduler_entry


def entry_for(trigger, **fields):
    """Return an entry of no scheduler that fires by a trigger (None: once)."""
    task = SingleTask("it", noop) if trigger is None else TriggerTask("it", trigger, noop)
    entry = Entry(task, SchedulerContext(Clock(), "UTC"), 0.0)
    if trigger is not None and is_quick(trigger):
        entry.limits = None  # as a task of a kind that makes this trigger itself
    for name, value in fields.items():
        setattr(entry, name, value)
    return entry


def occurrence(task, run):
    """Return an occurrence of a task that no scheduler has, for an executor."""
    return Entry(task, SchedulerContext(Clock(), None), 0.0), run


def need(program, why):
    """Return the path of a program; in CI a missing one fails the test, elsewhere it skips and says why."""
    path = shutil.which(program)
    if path is None:
        if os.environ.get("CI"):
            pytest.fail(f"{program} is missing: {why}")
        pytest.skip(f"{program} is missing: {why}")
    return path


def need_package(name, why):
    """Return a module; where it is missing, the test fails in CI, and elsewhere skips and says why."""
    try:
        return importlib.import_module(name)
    except ImportError:
        if os.environ.get("CI"):
            pytest.fail(f"{name} is missing: {why}")
        pytest.skip(f"{name} is missing: {why}")


def wait_for(what, timeout=10.0):
    """Poll until ``what()`` is true and return its value; fail after ``timeout`` seconds."""
    end = time.monotonic() + timeout
    while True:
        value = what()
        if value:
            return value
        assert time.monotonic() < end, f"nothing after {timeout} s"
        time.sleep(0.002)


@contextmanager
def running(scheduler):
    """Run any scheduler beside the test: a plain one in a thread that the test owns."""
    if type(scheduler).__name__ == "Scheduler":
        thread = threading.Thread(target=scheduler.start)
        thread.start()
        wait_for(lambda: scheduler.running)
        try:
            yield scheduler
        finally:
            scheduler.stop()
            thread.join(10)
            assert not thread.is_alive()
    else:
        scheduler.start()
        try:
            yield scheduler
        finally:
            scheduler.stop()


def total(counts):
    """Return the number of occurrences that came due."""
    return sum(counts.values())


def records(scheduler, task="it"):
    """Return each record of a task: due, until (from noon), count, state, attempt, reason."""
    found = sorted(scheduler.runs(task, limit=1000), key=lambda run: (run.due, run.count))
    return [(run.due - NOON, run.until - NOON, run.count, run.state, run.attempt, run.reason) for run in found]


def states(scheduler, task="it"):
    """Return due (from noon), count and state of each record of a task."""
    return [(due, count, state) for due, _, count, state, _, _ in records(scheduler, task)]


def dues(scheduler, task=None):
    """Return when the runs of a task, or of all, were due (from noon), in the order in which they were recorded."""
    return [run.due - NOON for run in reversed(scheduler.runs(task, limit=10_000))]


def rows(document, marker):
    """Return the rows of the list-table below a title of a document, its header left out."""
    text = (ROOT / document).read_text(encoding="utf-8").partition(marker)[2]
    table = re.search(r"\.\. list-table::\n(.*?)(?=^\S|\Z)", text, re.MULTILINE | re.DOTALL)[1]
    found = re.split(r"^   \* -", table, flags=re.MULTILINE)[2:]
    return [[" ".join(cell.split()) for cell in re.split(r"^     -", row, flags=re.MULTILINE)] for row in found]


def fixtures_plugin():
    """Return how pytest is told of our fixtures: not at all where the package is installed, as it finds them itself."""
    installed = any(plugin.value == "tgscheduler.pytest_plugin" for plugin in entry_points(group="pytest11"))
    return () if installed else ("-p", "tgscheduler.pytest_plugin")


def flaky(ticked, failures, seconds=0.0, error=ValueError):
    """Return an action that fails so many times, and takes so long."""
    left = [failures]

    def action():
        ticked.clock.advance(seconds)
        if left[0]:
            left[0] -= 1
            raise error("as planned")

    return action


class CustomTrigger:
    """A trigger of the application's own that answers what it is told."""

    def __init__(self, answer):
        self.answer = answer

    def next_after(self, moment):
        return self.answer(moment)
