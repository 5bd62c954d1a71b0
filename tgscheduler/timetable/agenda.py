"""Fire times in order, on the standard ``sched.scheduler``, driven from outside.

``sched`` keeps the order (by fire time, then by insertion). Five measures make it fast and bounded:

* ``run(blocking=False)`` against a frozen clock collects what is due instead of running it;
* the frozen clock is an iterator in C: after DUE_BATCH values it returns a time long ago, and ``run`` returns;
* ``put`` does what ``enterabs`` does, without its lock, as the caller holds the engine's;
* the delay function does nothing, so no ``time.sleep(0)`` follows each event;
* ``cancel`` marks the entry's ticket and leaves it in the queue, as ``sched.cancel`` walks the whole queue.

Every method is called under the engine's lock.
"""

import functools
import itertools
import math
import sched
from collections.abc import Callable, Iterator, Sequence
from heapq import heapify, heappush
from sched import Event
from typing import Any

from tgscheduler.timetable.entry import DECIDING, SCHEDULED, Entry

#: Maximum number of entries taken out at once, so that an ``add`` never waits for a burst.
DUE_BATCH = 256

#: What a ticket (the arguments of an event: a list with one entry) holds once it has been cancelled.
CANCELLED: Any = object()

_NO_KWARGS: dict[str, Any] = {}


#: Makes an Event of a tuple, without the frame of a call of the class.
_event: Callable[[tuple[Any, ...]], Event] = functools.partial(tuple.__new__, Event)

_LONG_AGO = itertools.repeat(-math.inf)


class Agenda:
    """The entries that wait for a time."""

    def __init__(self) -> None:
        self._live = 0
        self._stale = 0
        #: No entry is earlier than this (POSIX seconds; infinity when there is none).
        self.earliest = math.inf
        self._out: list[Any] = []
        self._take = self._out.append
        self._sequence = itertools.count()
        self._renew()

    def __len__(self) -> int:
        return self._live

    def next_fire(self) -> float | None:
        """Return the next fire time, None if there is none; among many entries it may be an earlier, cancelled one."""
        if not self._live:
            return None
        if self._stale and self._live <= 1000:
            return min(event.time for event in self._events if event.argument[0] is not CANCELLED)
        return self.earliest

    def put(self, entry: Entry, due: float, fire_at: float | None = None) -> None:
        """Add an entry, or move it if it waits already; ``fire_at``: its due time plus jitter (None: no jitter)."""
        if entry.ticket is not None:
            self.cancel(entry)
        entry.ticket = ticket = [entry]
        entry.due = due
        entry.state = SCHEDULED
        if fire_at is None:
            fire_at = due
        self._live += 1
        heappush(self._events, _event((fire_at, 0, next(self._sequence), self._take, ticket, _NO_KWARGS)))
        if fire_at < self.earliest:
            self.earliest = fire_at

    def put_all(self, placed: Sequence[tuple[Entry, float]]) -> None:
        """Add many entries that do not wait yet, each with its due time, as :meth:`put` does, in one loop."""
        events, numbers, take, earliest = self._events, self._sequence, self._take, self.earliest
        for entry, due in placed:
            entry.ticket = ticket = [entry]
            entry.due = due
            entry.state = SCHEDULED
            heappush(events, _event((due, 0, next(numbers), take, ticket, _NO_KWARGS)))
            if due < earliest:
                earliest = due
        self._live += len(placed)
        self.earliest = earliest

    def cancel(self, entry: Entry) -> None:
        """Remove an entry; do nothing if it does not wait. The caller sets its next state."""
        ticket = entry.ticket
        if ticket is None:
            return
        entry.ticket = None
        ticket[0] = CANCELLED
        self._live -= 1
        self._stale += 1
        if self._stale > 64 and self._stale > self._live:
            self._rebuild()

    def pop_due(self, now: float) -> list[Entry]:
        """Remove and return the entries that are due, in order, at most DUE_BATCH of them; they are DECIDING.

        ``earliest`` is then the time of the next one: at or before ``now`` if more are due.
        """
        entries: list[Entry] = []
        while not entries and self.earliest <= now:  # a batch may be full of cancelled ones
            self._sched.timefunc = itertools.chain(itertools.repeat(now, DUE_BATCH), _LONG_AGO).__next__
            self._sched.run(blocking=False)
            events, out = self._events, self._out
            self.earliest = events[0].time if events else math.inf
            for entry in out:
                if entry is not CANCELLED:
                    entry.ticket = None
                    entry.state = DECIDING
                    entries.append(entry)
            self._stale -= len(out) - len(entries)
            out.clear()
        self._live -= len(entries)
        return entries

    def entries(self) -> Iterator[Entry]:
        """Iterate over the waiting entries in the order in which they fire."""
        return (event.argument[0] for event in sorted(self._events) if event.argument[0] is not CANCELLED)

    def clear(self) -> list[Entry]:
        """Remove and return all entries, in order; they are DECIDING, as the caller gives each another time."""
        entries = list(self.entries())
        for entry in entries:
            entry.ticket = None
            entry.state = DECIDING
        self._live = self._stale = 0
        self.earliest = math.inf
        self._renew()
        return entries

    def _rebuild(self) -> None:
        """Drop cancelled tickets from the heap, so that they do not stay in memory."""
        events = self._events
        events[:] = [event for event in events if event.argument[0] is not CANCELLED]
        heapify(events)
        self._stale = 0
        self.earliest = events[0].time if events else math.inf

    def _renew(self) -> None:
        self._sched = sched.scheduler(_LONG_AGO.__next__, bool)  # bool(0): a C function that delays nothing
        #: The heap of ``sched`` itself: its public ``queue`` is a sorted copy, 20 times as slow.
        self._events: list[Event] = self._sched._queue  # type: ignore[attr-defined]
