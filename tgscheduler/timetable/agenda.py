"""Fire times in order, on the standard ``sched.scheduler``, driven from outside.

``sched`` keeps the order (by fire time, then by insertion); five habits make it fast and bounded:

* ``run(blocking=False)`` against a frozen clock collects what is due instead of running it;
* the frozen clock is an iterator, asked in C: after as many answers as a batch holds it says "long ago", and ``run``
  returns;
* what ``enterabs`` does is done without its lock, as we have one;
* the delay function does nothing, so no ``time.sleep(0)`` follows each event;
* cancelling puts nobody in the task's place and leaves that where it is, since ``sched.cancel`` walks the whole queue.

Every method is called under the engine's lock.
"""

import itertools
import math
import sched
from collections.abc import Iterator
from heapq import heapify, heappush
from sched import Event
from typing import Any

from tgscheduler.timetable.tasks import Task

#: As many occurrences are taken out at once, so that an ``add`` never waits for a burst.
BATCH = 256

Entry = list[Any]
"""A task's place in the agenda, the arguments of its event: the task alone, or NOBODY once it has been cancelled."""

NOBODY: Any = object()

_NO_KWARGS: dict[str, Any] = {}


_LONG_AGO = itertools.repeat(-math.inf)


class Agenda:
    """The tasks that wait for a time."""

    def __init__(self) -> None:
        self._live = 0
        self._stale = 0
        #: No entry is earlier than this (POSIX seconds; infinity when there is none).
        self.earliest = math.inf
        self._out: list[Any] = []
        self._take = self._out.append
        self._numbers = itertools.count()
        self._renew()

    def __len__(self) -> int:
        return self._live

    def next_due(self) -> float | None:
        """Return the next fire time, None when there is none; with cancelled tasks among very many, not after it."""
        if not self._live:
            return None
        if self._stale and self._live <= 1000:
            return min(event.time for event in self._events if event.argument[0] is not NOBODY)
        return self.earliest

    def put(self, task: Task, due: float, fire_at: float | None = None) -> None:
        """Enter a task, or move it when it waits already; ``fire_at``: its due time with its jitter."""
        if task._entry is not None:
            self.cancel(task)
        task._entry = entry = [task]
        task._due = due
        if fire_at is None:
            fire_at = due
        self._live += 1
        heappush(self._events, Event(fire_at, 0, next(self._numbers), self._take, entry, _NO_KWARGS))  # type: ignore[arg-type]
        if fire_at < self.earliest:
            self.earliest = fire_at

    def cancel(self, task: Task) -> None:
        """Take a task out; legal when it does not wait."""
        entry = task._entry
        if entry is None:
            return
        task._entry = None
        entry[0] = NOBODY
        self._live -= 1
        self._stale += 1
        if self._stale > 64 and self._stale > self._live:
            self._rebuild()

    def pop_due(self, now: float) -> list[Task]:
        """Return the tasks that are due, in order, BATCH of them at most, and take them out.

        ``earliest`` is then the time of the next entry: at or before ``now`` when more are due.
        """
        tasks: list[Task] = []
        while not tasks and self.earliest <= now:  # a batch may be full of cancelled ones
            self._sched.timefunc = itertools.chain(itertools.repeat(now, BATCH), _LONG_AGO).__next__
            self._sched.run(blocking=False)
            events, out = self._events, self._out
            self.earliest = events[0].time if events else math.inf
            for task in out:
                if task is not NOBODY:
                    task._entry = None
                    tasks.append(task)
            self._stale -= len(out) - len(tasks)
            out.clear()
        self._live -= len(tasks)
        return tasks

    def tasks(self) -> Iterator[Task]:
        """Iterate over the waiting tasks in the order in which they fire."""
        return (event.argument[0] for event in sorted(self._events) if event.argument[0] is not NOBODY)

    def clear(self) -> list[Task]:
        """Take all tasks out and return them in order."""
        tasks = list(self.tasks())
        for task in tasks:
            task._entry = None
        self._live = self._stale = 0
        self.earliest = math.inf
        self._renew()
        return tasks

    def _rebuild(self) -> None:
        """Keep what is live, so that cancelled tasks do not stay in memory."""
        events = self._events
        events[:] = [event for event in events if event.argument[0] is not NOBODY]
        heapify(events)
        self._stale = 0
        self.earliest = events[0].time if events else math.inf

    def _renew(self) -> None:
        self._sched = sched.scheduler(_LONG_AGO.__next__, bool)  # bool(0): a C function that delays nothing
        #: The heap of ``sched`` itself: its public ``queue`` is a sorted copy, 20 times as slow.
        self._events: list[Event] = self._sched._queue  # type: ignore[attr-defined]
