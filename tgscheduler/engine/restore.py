"""Task state restored from a persistent store, and kept up to date while the scheduler runs.

::

    pause        lasts until its end
    max_runs     earlier runs count
    timetable    unchanged: it continues after the last claimed occurrence, on the same grid, and the misfire policy
                 decides about what was missed while nothing ran; changed, or new: it begins now
    a new name   takes over the history of ``formerly``

Each name is looked up once after a start: a task that is cancelled and added again has no history. A mark in the
future, written by a wrong clock, is corrected and reported; if it is at most three hours ahead and the task has run, it
stays, so that nothing runs twice.
"""

import math
import re
from collections.abc import Iterable
from dataclasses import replace

from tgscheduler.engine.claims import in_the_future
from tgscheduler.engine.registry import Registry
from tgscheduler.logs import SafeLogger
from tgscheduler.stores.base import PersistentStore, TaskRecord
from tgscheduler.timetable.entry import Entry, Limits
from tgscheduler.timetable.intervals import Interval
from tgscheduler.timetable.plan import MAX_CLOCK_ROLLBACK, next_due
from tgscheduler.timetable.run import Run
from tgscheduler.timetable.tasks import options_of

log = SafeLogger(__name__)

#: The name under which :meth:`Restore.save_pause` saves a pause of all tasks: no task has an empty one.
ALL = ""

#: Maximum time (seconds) by which a grid may begin in the future: the measurement of the store's clock is not exact.
GRID_TOLERANCE = 1.0

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


class Restore:
    """The task records of the store from before a start, and those of this one.

    Its methods are called under the engine's lock; :meth:`restored_due` is not if the entry's trigger is a custom one,
    whose label is known by then.
    """

    def __init__(self, store: PersistentStore, registry: Registry) -> None:
        self._store = store
        self._registry = registry
        self._loaded = store.load()
        #: Seconds by which this process's clock is behind the store's, which decides what is in the future.
        self._behind = store.behind()
        self._current: dict[str, TaskRecord] = {}
        self._unsaved: dict[str, TaskRecord] = {}
        self._new: dict[str, Entry] = {}
        #: Runs that were in flight when their process ended.
        self.orphans: list[Run] = store.take_over_orphans()
        all_tasks = self._loaded.pop(ALL, None)
        if all_tasks is not None:
            registry.paused_until = max(registry.paused_until, all_tasks.paused_until)
        self._current[ALL] = TaskRecord(ALL, "", paused_until=registry.paused_until)
        if all_tasks != self._current[ALL]:
            self._unsaved[ALL] = self._current[ALL]

    @property
    def alone(self) -> bool:
        """Whether no other process uses the same store."""
        return self._store.alone()

    def orphaned_names(self) -> list[str]:
        """Return the names that have a history, but no task any more."""
        return sorted(self._loaded)

    def restored_due(self, entry: Entry, now: float, due: float | None) -> float | None:
        """Return an entry's first due time, by its history; ``due`` if it has none. None: it never fires.

        Sets the entry's mark, its pause, its number of runs left and the trigger of its grid, as they are on record.
        """
        label = self._registry.label(entry)
        record = self._take(label) or self._take_over(entry, label)
        if record is None:
            if entry.trigger is not None:
                again = label in self._current
                self._save_later(self._new_record(entry, label, now, due), at_once=again)
                if not again and _has_grid(entry):
                    self._new[label] = entry
            return due
        limits = self._restore_limits(entry, record, now)
        if limits is not None and limits.runs_left == 0:
            log.info("%s: it has had its %d runs", label, record.runs)
            return None
        trigger = entry.trigger
        if trigger is None or (entry.manual_due and due is not None and due >= now):
            return due
        high_water = self._sound_mark(record, now)
        if record.spec != spec_of(entry):
            self._save_later(self._new_record(entry, label, now, due), at_once=high_water < record.high_water)
            return due if due is None or due > high_water else next_due(entry, trigger, high_water)
        if _has_grid(entry):
            if record.anchor is None or high_water > now + self._behind or self._is_wrong(record, now, due):
                self._save_later(self._new_record(entry, label, now, due), at_once=True)  # its grid begins again
                return due
            entry.trigger = trigger = entry.grid(record.anchor)
        self._save_later(
            replace(record, high_water=high_water, paused_until=_paused_until(entry)),
            at_once=high_water < record.high_water,
        )
        entry.high_water = high_water
        return next_due(entry, trigger, high_water)

    def _sound_mark(self, record: TaskRecord, now: float) -> float:
        """Return a task's mark, corrected if a wrong clock has written it."""
        ahead = record.high_water - now - self._behind
        if ahead <= 0.0:
            return record.high_water
        if ahead <= MAX_CLOCK_ROLLBACK and record.runs:  # what has run does not run again
            log.warning("%s: %s", record.name, in_the_future(record.high_water, now))
            return record.high_water
        log.warning(
            "%s: its last run is on record %.0f s in the future, as a clock was wrong: corrected", record.name, ahead
        )
        return math.nextafter(now, -math.inf)

    def _is_wrong(self, record: TaskRecord, now: float, due: float | None) -> bool:
        """Return whether the first point of a grid is too far in the future; warn if it is."""
        assert record.anchor is not None
        ahead = record.anchor - max(now, now if due is None else due) - self._behind
        if ahead <= GRID_TOLERANCE:
            return False
        log.warning("%s: it begins %.0f s in the future, as a clock was wrong: it begins now", record.name, ahead)
        return True

    def _take(self, name: str) -> TaskRecord | None:
        """Remove and return the record of a name, which the store may spell otherwise."""
        spelled = self._store.spelled(name)
        record = self._loaded.pop(spelled, None)
        if record is None or spelled == name:
            return record
        self._rename_orphans(spelled, name)
        return replace(record, name=name)

    def _rename_orphans(self, old: str, new: str) -> None:
        for run in self.orphans:
            if run.task == old:
                run.task = new

    def _restore_limits(self, entry: Entry, record: TaskRecord, now: float) -> Limits | None:
        """Restore an entry's pause and its number of runs left."""
        if record.paused_until > now:
            entry.limited().paused_until = record.paused_until
        limits = entry.limits
        if limits is not None and entry.policy.max_runs is not None:
            limits.runs_left = max(0, entry.policy.max_runs - record.runs)
        return limits

    def _take_over(self, entry: Entry, label: str) -> TaskRecord | None:
        former = options_of(entry.task).formerly
        record = None if former is None else self._take(former)
        if record is None or former is None:
            return None
        self._store.rename(former, label)
        self._rename_orphans(former, label)
        log.info("%s: it takes over the history of %s", label, former)
        return replace(record, name=label)

    def _new_record(self, entry: Entry, label: str, now: float, due: float | None) -> TaskRecord:
        ahead = max(0.0, self._store.status().skew)  # other processes use the store: its clock counts
        anchor = None
        if _has_grid(entry):
            trigger = entry.trigger
            anchor = trigger.anchor if isinstance(trigger, Interval) else due
            if ahead and anchor is not None:
                anchor -= ahead
                entry.trigger = entry.grid(anchor)
        return TaskRecord(label, spec_of(entry), anchor, math.nextafter(now - ahead, -math.inf), _paused_until(entry))

    def _save_later(self, record: TaskRecord, at_once: bool = False) -> None:
        self._current[record.name] = record
        if at_once:
            self._store.save([record], back=True)
        else:
            self._unsaved[record.name] = record

    def submit_saves(self) -> None:
        """Submit the records that are new since the last call to the store."""
        if self._unsaved:
            unsaved, self._unsaved = self._unsaved, {}
            self._store.save(list(unsaved.values()))

    def adopt_peer_anchors(self, timeout: float) -> list[tuple[Entry, float]]:
        """Return new entries that another process has registered at the same time, each with that process's anchor."""
        new, self._new = self._new, {}
        if not new or not self._store.flush(timeout):
            return []
        stored = self._store.load()
        adopted = []
        for label, entry in new.items():
            record, ours = stored.get(self._store.spelled(label)), self._current[label]
            if record is not None and record.spec == ours.spec and record.anchor not in (None, ours.anchor):
                self._current[label] = replace(ours, anchor=record.anchor)
                adopted.append((entry, record.anchor))
        return adopted

    def wait_saved(self, timeout: float) -> None:
        """Wait, without the lock, until the store has committed what was saved; warn if that takes too long."""
        if not self._store.flush(timeout):
            log.warning("the store does not answer: a pause, or its end, is not saved yet")

    # -- what changes while it runs ------------------------------------------------------------------------------

    def assign_numbers(self, runs: Iterable[Run]) -> None:
        """Number planned runs before any reader sees them: their ids stay as they are from then on."""
        self._store.assign_numbers(runs)

    def save_pause(self, label: str, until: float) -> None:
        """Save a pause of a task, or of all (ALL), or its end (minus infinity)."""
        record = self._current.get(label) or self._loaded.get(self._store.spelled(label)) or TaskRecord(label, "")
        self._current[label] = record = replace(record, name=label, paused_until=until)
        self._store.save([record])

    def save_resumed(self, labels: Iterable[str]) -> None:
        """Save the end of many pauses."""
        records = [replace(self._current[label], paused_until=-math.inf) for label in labels if label in self._current]
        self._current.update((each.name, each) for each in records)
        if records:
            self._store.save(records)

    def rename(self, old: str, new: str) -> None:
        """Move the history to a new name."""
        record = self._current.pop(old, None)
        if record is not None:
            self._current[new] = replace(record, name=new)
        self._store.rename(old, new)

    def on_clock_set_back(self, entries: Iterable[Entry], now: float) -> None:
        """Let entries that have never run fire from now on: the clock was set back to before they were added."""
        moved = []
        for entry in entries:
            record = self._current.get(self._registry.label(entry))
            if record is not None and record.high_water > now and not record.runs and entry.last_run is None:
                self._current[record.name] = record = replace(record, high_water=math.nextafter(now, -math.inf))
                moved.append(record)
        if moved:
            self._store.save(moved, back=True)

    def on_clock_step(self, entries: Iterable[Entry], seconds: float) -> None:
        """Save the marks and grids of interval entries that have followed a step of the wall clock."""
        moved = []
        for entry in entries:
            record = self._current.get(self._registry.label(entry))
            trigger = entry.trigger
            if record is not None and isinstance(trigger, Interval):
                anchor = None if record.anchor is None else trigger.anchor
                record = replace(record, anchor=anchor, high_water=max(entry.high_water, record.high_water + seconds))
                self._current[record.name] = record
                moved.append(record)
        if moved:
            self._store.save(moved, back=True)


def spec_of(entry: Entry) -> str:
    """Return an entry's timetable as text, without the first point of a grid."""
    if _has_grid(entry):
        return f"every {entry.grid(0.0).seconds!r} s"
    return _ADDRESS.sub("", repr(entry.trigger))[:1000]


def _paused_until(entry: Entry) -> float:
    return -math.inf if entry.limits is None else entry.limits.paused_until


def _has_grid(entry: Entry) -> bool:
    """Return whether its grid begins when the task is added."""
    return entry.begins_grid and (entry.limits is None or entry.limits.start is None)


def lost_reason(run: Run) -> str:
    """Return the reason of a lost run: its process ended while it was in flight."""
    where = run.where
    place = "its process" if where is None else f"its process ({where.process} on {where.host})"
    return f"{place} ended while attempt {run.attempt} was in flight"
