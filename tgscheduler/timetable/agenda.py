"""Fire times in order, on the standard ``sched.scheduler``, driven from outside.

``sched`` keeps the order (by fire time, then by insertion); four habits make it fast and bounded:

* ``run(blocking=False)`` against a frozen clock collects what is due instead of running it;
* once a batch is full the frozen clock goes to minus infinity, and ``run`` returns;
* the delay function does nothing, so no ``time.sleep(0)`` follows each event;
* cancelling is a mark (the entry's number is no longer the task's), since ``sched.cancel`` walks the whole queue.

Every method is called under the engine's lock.
"""

import heapq
import itertools
import math
import sched
from collections.abc import Iterator
from typing import Any

from tgscheduler.timetable.tasks import Task

#: As many occurrences are taken out at once, so that an ``add`` never waits for a burst.
BATCH = 256

_NO_KWARGS: dict[str, Any] = {}


class _Frozen(float):
    """A frozen now. ``sched`` answers ``time - now`` for the next event: this now makes that the time itself."""

    __slots__ = ()

    def __rsub__(self, time: float) -> float:
        return time


_NEVER = _Frozen(-math.inf)


class Agenda:
    """The tasks that wait for a time."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._now = _NEVER
        self._room = BATCH
        self._out: list[Task] = []
        self._live = 0
        self._stale = 0
        #: No entry is earlier than this (POSIX seconds; infinity when there is none).
        self.earliest = math.inf
        self._sched = self._new_sched()

    def __len__(self) -> int:
        return self._live

    def next_due(self) -> float | None:
        """Return the next fire time, None when there is none; with cancelled tasks among very many, not after it."""
        if not self._live:
            return None
        if self._stale and self._live <= 1000:
            return next(self.tasks())._due
        return self.earliest

    def put(self, task: Task, due: float) -> None:
        """Enter a task, or move it when it waits already."""
        if task._seq:
            self.cancel(task)
        task._seq = next(self._numbers)
        task._due = due
        self._live += 1
        self._sched.enterabs(due, 0, self._take, (task, task._seq), _NO_KWARGS)
        if due < self.earliest:
            self.earliest = due

    def cancel(self, task: Task) -> None:
        """Take a task out; legal when it does not wait."""
        if not task._seq:
            return
        task._seq = 0
        self._live -= 1
        self._stale += 1
        if self._stale > 64 and self._stale > self._live:
            self._rebuild()

    def pop_due(self, now: float) -> list[Task]:
        """Return the tasks that are due, in order, BATCH of them at most, and take them out.

        ``earliest`` is then the time of the next entry: at or before ``now`` when more are due.
        """
        if self.earliest > now:
            return []
        self._now = _Frozen(now)
        self._room = BATCH
        out: list[Task] = []
        self._out = out
        following = self._sched.run(blocking=False)
        self._now = _NEVER
        if len(out) == BATCH:
            self.earliest = -math.inf
        else:
            self.earliest = math.inf if following is None else following
        return out

    def tasks(self) -> Iterator[Task]:
        """Yield the waiting tasks in the order in which they fire."""
        for event in sorted(self._events()):
            task, number = event.argument
            if task._seq == number:
                yield task

    def clear(self) -> list[Task]:
        """Take all tasks out and return them in order."""
        tasks = list(self.tasks())
        for task in tasks:
            task._seq = 0
        self._live = self._stale = 0
        self.earliest = math.inf
        self._sched = self._new_sched()
        return tasks

    def _take(self, task: Task, number: int) -> None:
        if task._seq != number:
            self._stale -= 1
            return
        task._seq = 0
        self._live -= 1
        self._out.append(task)
        self._room -= 1
        if not self._room:
            self._now = _NEVER

    def _rebuild(self) -> None:
        """Keep what is live, so that cancelled tasks do not stay in memory."""
        events = self._events()
        events[:] = [event for event in events if event.argument[0]._seq == event.argument[1]]
        heapq.heapify(events)
        self._stale = 0
        self.earliest = events[0].time if events else math.inf

    def _events(self) -> list[sched.Event]:
        """Return the heap of ``sched`` itself: its public ``queue`` is a sorted copy, 20 times as slow."""
        events: list[sched.Event] = self._sched._queue  # type: ignore[attr-defined]
        return events

    def _new_sched(self) -> sched.scheduler:
        return sched.scheduler(lambda: self._now, bool)  # bool(0): a C function that delays nothing
