"""Fire times that entries get outside of a turn.

::

    begin, place_batch     at a start: all that wait, batch by batch
    place_quick            entries with a quick trigger, under the lock: of such a batch, or after a step of the clock
    place_slowly           the others, without the lock
    ask_first              the same at an add
    put_again              after a claim that was refused
    adopt_anchor           when another process has begun the grid
"""

import functools
import math
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from tgscheduler.clock import Clock
from tgscheduler.engine.planned import PlannedBatch, RefusedMark
from tgscheduler.engine.planner import Planner, check_due
from tgscheduler.engine.registry import Registry
from tgscheduler.errors import InvalidValue
from tgscheduler.logs import brief
from tgscheduler.timetable.entry import CANCELLED, EXHAUSTED, PENDING, Entry
from tgscheduler.timetable.intervals import Interval
from tgscheduler.timetable.plan import Placement, first_placement, next_due, unfound_until
from tgscheduler.timetable.policy import DEFAULT_POLICY

Find = Callable[..., float | None]
ToPlace = tuple[Entry, Find, tuple[Any, ...]]
"""An entry to place, and the function that returns its due time, with its arguments after the entry."""

#: Maximum number of entries that a start places in one hold of the lock.
PLACE_BATCH = 1024


class Placements:
    """Places entries outside of a turn; a start does it batch by batch, so that due entries fire meanwhile."""

    def __init__(self, clock: Clock, registry: Registry, planner: Planner) -> None:
        self._clock = clock
        self._registry = registry
        self._planner = planner
        #: Whether a start has not placed all entries yet.
        self.pending = False
        self._begun = 0.0
        self._first: deque[Entry] = deque()  # those that get their first fire time
        self._again: deque[Entry] = deque()  # those that had a fire time before the last stop

    def begin(self, now: float) -> int:
        """Begin to give every entry that waits its first fire time, under the lock; return how many there are."""
        registry = self._registry
        # After a start that was stopped before it had placed all, the remaining ones that had a time are still here.
        left = [entry for entry in self._again if entry.ticket is None]
        self._again = deque([*left, *registry.agenda.clear()])
        # In the order of their delays: what is due at once is placed, and fires, first.
        delays = registry.pending_start
        self._first = deque(sorted(delays, key=lambda entry: delays[entry] or 0.0))
        if self._planner.restore is not None:  # labels are numbered in the order in which tasks were added
            for entry in [*self._again, *registry.pending_start]:
                registry.label(entry)
        registry.uptimes.append([now, math.inf])
        self._begun, self._planner.started = now, True
        registry.version += 1
        self.pending = bool(self._again or self._first)
        return len(self._again) + len(self._first)

    def place_batch(self, now: float, batch: PlannedBatch) -> list[ToPlace]:
        """Place the next entries of a start, under the lock; return those with a slow trigger."""
        registry, planner, begun = self._registry, self._planner, self._begun
        others: list[ToPlace] = []
        for _ in range(min(PLACE_BATCH, len(self._again))):
            entry = self._again.popleft()
            if entry.state is not CANCELLED and entry.ticket is None:  # else it was cancelled or moved since
                entry.adopt()  # the zone and the policy may have been set since
                others.append((entry, planner.find_after_stop, (begun,)))
        plain = (
            planner.restore is None and registry.context.policy is DEFAULT_POLICY and registry.paused_until == -math.inf
        )
        quick: list[tuple[Entry, float]] = []
        for _ in range(min(PLACE_BATCH - len(others), len(self._first))):
            entry = self._first.popleft()
            if entry.state is CANCELLED or entry.ticket is not None:
                continue
            delay = registry.pending_start.pop(entry, None)
            if plain and delay is not None and entry.limits is None and not entry.task.has_trigger:
                entry.made_trigger = None  # an interval's grid begins here
                quick.append((entry, begun + delay))
            else:
                entry.adopt()
                others.append((entry, planner.find_first, (begun, delay)))
        registry.agenda.put_all(quick)
        self.pending = bool(self._again or self._first)
        return self.place_quick(others, now, batch)

    def place_quick(self, waiting: Iterable[ToPlace], now: float, batch: PlannedBatch) -> list[ToPlace]:
        """Place entries with a quick trigger, under the lock; return the others, for :meth:`place_slowly`."""
        slow: list[ToPlace] = []
        for placing in waiting:
            entry, find, arguments = placing
            if entry.slow_trigger:
                slow.append(placing)
                continue
            try:
                due = check_due(find(entry, *arguments))
            except BaseException as error:
                self._planner.trigger_failed(error, entry, entry.due or now, batch)
            else:
                self._planner.schedule_or_release(entry, due)
        self._registry.version += 1
        return slow

    def place_slowly(self, waiting: Iterable[ToPlace], now: float, batch: PlannedBatch) -> None:
        """Place entries with a slow trigger, without the lock."""
        for entry, find, arguments in waiting:
            self._planner.ask_slowly(
                entry,
                functools.partial(self._find_slowly, entry, find, arguments),
                functools.partial(self._put_unmoved, entry),
                entry.due or now,
                batch,
            )

    def _find_slowly(self, entry: Entry, find: Find, arguments: tuple[Any, ...]) -> tuple[float | None, float | None]:
        due = check_due(find(entry, *arguments))
        return due, unfound_until(entry, self._clock.now()) if due is None else None

    def _put_unmoved(self, entry: Entry, found: tuple[float | None, float | None]) -> None:
        if entry.ticket is None:  # else it was moved while its trigger was called
            self._planner.schedule_or_release(entry, *found)

    # -- one at a time ---------------------------------------------------------------------------------------------

    def ask_first(self, entry: Entry, delay: float | None) -> Placement:
        """Return the first fire time of an entry with a slow trigger, without the lock; raise InvalidValue."""
        now = self._clock.now()
        try:
            placement = first_placement(entry, now, delay)
            if self._planner.started and self._planner.restore is not None:
                with self._registry.lock:
                    self._registry.label(entry)  # its history is looked up by the label
                placement = placement._replace(due=self._planner.adopt_placement(entry, placement, now))
            if check_due(placement.due) is None:
                placement = placement._replace(unfound=unfound_until(entry, now))
        except Exception as error:
            raise InvalidValue(f"{entry.task!r}: its trigger raised {brief(error)}") from error
        return placement

    def correct_marks(self, refused: Iterable[RefusedMark]) -> None:
        """Set high-water marks to what the store has on record; an exhausted entry may be due again."""
        with self._registry.lock:
            for entry, mark, beyond, early in refused:
                entry.high_water = mark if beyond or early else max(entry.high_water, mark)
                if early and entry.state is EXHAUSTED:
                    entry.state = PENDING

    def put_again(self, entries: Iterable[Entry]) -> None:
        """Schedule again what follows the high-water mark: its claim was refused as a whole, and none of it ran."""
        with self._registry.lock:
            for entry in entries:
                if entry.state is CANCELLED or entry.task.self_rescheduling or entry.slow_trigger:
                    continue
                trigger = entry.trigger
                if trigger is not None:
                    due = None if entry.manual_due else next_due(entry, trigger, entry.high_water)
                    if due is not None:
                        self._planner.schedule(entry, due)
                elif entry.ticket is None and entry.due is not None:
                    self._planner.schedule(entry, entry.due)
                if entry.has_ended():
                    self._registry.release(entry)
            self._registry.version += 1

    def adopt_anchor(self, entry: Entry, anchor: float) -> None:
        """Move a waiting interval onto the grid of another process, so that each occurrence is claimed by one."""
        with self._registry.lock:
            trigger = entry.trigger
            if entry.ticket is not None and isinstance(trigger, Interval):
                entry.trigger = trigger = Interval.sound(trigger.seconds, anchor)
                due = next_due(entry, trigger, math.nextafter(self._clock.now(), -math.inf))
                if due is not None:
                    self._planner.schedule(entry, due)
                self._registry.version += 1
