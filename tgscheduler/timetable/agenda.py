"""Fire times in order, on the standard ``sched.scheduler``, driven from outside.

``sched`` keeps the order (by fire time, then by insertion); five habits make it fast and bounded:

* ``run(blocking=False)`` against a frozen clock collects what is due instead of running it;
* the frozen clock is an iterator, asked in C: after as many answers as a batch holds it says "long ago", and ``run``
  returns;
* what ``enterabs`` does is done without its lock, as we have one;
* the delay function does nothing, so no ``time.sleep(0)`` follows each event;
* cancelling empties the entry's ticket and leaves that in the queue, since ``sched.cancel`` walks the whole of it.

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

#: As many occurrences are taken out at once, so that an ``add`` never waits for a burst.
BATCH = 256

#: What a ticket (the arguments of an event: a list with one entry) holds once it has been cancelled.
CANCELLED: Any = object()

_NO_KWARGS: dict[str, Any] = {}


#: Makes an Event of a tuple: without the frame that calling the class costs.
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
        self._numbers = itertools.count()
        self._renew()

    def __len__(self) -> int:
        return self._live

    def next_due(self) -> float | None:
        """Return the next fire time, None when there is none; with cancelled tasks among very many, not after it."""
        if not self._live:
            return None
        if self._stale and self._live <= 1000:
            return min(event.time for event in self._events if event.argument[0] is not CANCELLED)
        return self.earliest

    def put(self, entry: Entry, due: float, fire_at: float | None = None) -> None:
        """Add an entry, or move it if it waits already; ``fire_at``: its due time with its jitter."""
        if entry.ticket is not None:
            self.cancel(entry)
        entry.ticket = ticket = [entry]
        entry.due = due
        entry.state = SCHEDULED
        if fire_at is None:
            fire_at = due
        self._live += 1
        heappush(self._events, _event((fire_at, 0, next(self._numbers), self._take, ticket, _NO_KWARGS)))
        if fire_at < self.earliest:
            self.earliest = fire_at

    def put_all(self, placed: Sequence[tuple[Entry, float]]) -> None:
        """Add many entries that do not wait yet, each with its due time: what :meth:`put` does, in one loop."""
        events, numbers, take, earliest = self._events, self._numbers, self._take, self.earliest
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
        """Take an entry out; legal when it does not wait. Its next state is the caller's to set."""
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
        """Return the entries that are due, in order, at most BATCH of them, and take them out: they are DECIDING.

        ``earliest`` is then the time of the next one: at or before ``now`` when more are due.
        """
        entries: list[Entry] = []
        while not entries and self.earliest <= now:  # a batch may be full of cancelled ones
            self._sched.timefunc = itertools.chain(itertools.repeat(now, BATCH), _LONG_AGO).__next__
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
        """Take all entries out, as they are to get another time, and return them in order."""
        entries = list(self.entries())
        for entry in entries:
            entry.ticket = None
            entry.state = DECIDING
        self._live = self._stale = 0
        self.earliest = math.inf
        self._renew()
        return entries

    def _rebuild(self) -> None:
        """Keep what is live, so that cancelled entries do not stay in memory."""
        events = self._events
        events[:] = [event for event in events if event.argument[0] is not CANCELLED]
        heapify(events)
        self._stale = 0
        self.earliest = events[0].time if events else math.inf

    def _renew(self) -> None:
        self._sched = sched.scheduler(_LONG_AGO.__next__, bool)  # bool(0): a C function that delays nothing
        #: The heap of ``sched`` itself: its public ``queue`` is a sorted copy, 20 times as slow.
        self._events: list[Event] = self._sched._queue  # type: ignore[attr-defined]
