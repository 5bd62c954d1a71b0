"""The entries of one scheduler: by name, by fire time, and those that wait for its start.

The engine's lock guards it: every method but ``entry_of`` and ``forget_runs`` is called with the lock held.
"""

import math
import os
import threading
import weakref
from collections import deque
from collections.abc import Iterable, Iterator

from tgscheduler.engine.labels import Labels
from tgscheduler.errors import DuplicateTask, InvalidValue
from tgscheduler.timetable.agenda import Agenda
from tgscheduler.timetable.entry import CANCELLED, EXHAUSTED, PENDING, SCHEDULED, Entry
from tgscheduler.timetable.tasks import SchedulerContext, Task

#: Maximum number of starts, with their stops, that are kept.
_MOST_UPTIMES = 250

_registries: "weakref.WeakSet[Registry]" = weakref.WeakSet()


class Registry:
    """Entries by name and by fire time."""

    def __init__(self, context: SchedulerContext) -> None:
        self.lock = threading.Lock()
        self.context = context
        self.agenda = Agenda()
        #: Entries that wait for the scheduler's start, with their delay (None: they fire by their trigger).
        self.pending_start: dict[Entry, float | None] = {}
        #: No task runs before this moment (POSIX seconds; minus infinity: they are not paused).
        self.paused_until = -math.inf
        #: Start and stop times (POSIX seconds) of recent runs of the scheduler; the current one ends at infinity.
        self.uptimes: deque[list[float]] = deque(maxlen=_MOST_UPTIMES)
        #: A number that changes with what readers see of entries, but for what becomes due: that opens runs.
        self.version = 0
        self._names: dict[str, Entry] = {}
        self._labels = Labels()
        self._pid = os.getpid()
        _registries.add(self)

    # -- admit and release ---------------------------------------------------------------------------------------

    def entry_of(self, task: Task) -> Entry | None:
        """Return a task's entry in this scheduler; None: it is in another one, or in none."""
        entry: Entry | None = task.scheduler_entry  # type: ignore[assignment]  # the engine sets no other
        return entry if entry is not None and entry.context is self.context else None

    def admit(self, task: Task, now: float, made: Entry | None = None) -> Entry:
        """Add a task under its name and return its entry; raise DuplicateTask or InvalidValue, and change nothing.

        The entry is the one that it has here, ``made``, or a new one. It is PENDING if it was exhausted or cancelled,
        and keeps its state otherwise.
        """
        entry: Entry | None = task.scheduler_entry  # type: ignore[assignment]  # the engine sets no other
        if entry is not None and entry.context is not self.context:
            if entry.state is SCHEDULED or entry.state is PENDING:
                raise InvalidValue(f"{task!r} waits in another scheduler; cancel it there first")
            entry = None
        name = task.name
        if name is not None:
            holder = self._names.get(name)
            if holder is not None and holder is not entry:
                if not holder.has_ended():
                    raise DuplicateTask(
                        f"taskname {name!r}: a task of that name already waits or runs; cancel it, or take another name"
                    )
                self.release(holder)
        if entry is None:
            entry = Entry(task, self.context, now) if made is None else made
            task.scheduler_entry = entry
        elif entry.state is CANCELLED or entry.state is EXHAUSTED:
            entry.added_at = now
            entry.state = PENDING
        if name is not None:
            self._names[name] = entry
        entry.manual_due = False
        self.version += 1
        return entry

    def cancel(self, entry: Entry) -> None:
        """Release an entry as cancelled: it fires no more."""
        self.release(entry)
        entry.state = CANCELLED

    def release(self, entry: Entry) -> None:
        """Remove an entry from the agenda and from those that wait for the start, and free its name."""
        self.agenda.cancel(entry)
        self.pending_start.pop(entry, None)
        self._release_name(entry)

    def release_ended(self, entries: Iterable[Entry]) -> None:
        """Free the names of those entries whose last occurrence has ended."""
        for entry in entries:
            if entry.has_ended():
                self._release_name(entry)

    def _release_name(self, entry: Entry) -> None:
        name = entry.task.name
        if name is not None and self._names.get(name) is entry:
            del self._names[name]
        self.version += 1
        pool = entry.label_pool
        if pool is not None:
            pool.free.append(entry.label)
            if len(pool.free) == len(pool.made):
                pool.restart()
            entry.label = entry.label_pool = None

    def rename(self, entry: Entry, newname: str) -> None:
        """Give an entry's task another name; raise DuplicateTask if it is taken."""
        task, holder = entry.task, self.find(newname)
        if holder is entry:
            return
        if holder is not None:
            raise DuplicateTask(f"cannot rename {task.name!r} to {newname!r}: the name is taken")
        self._release_name(entry)
        task.name = newname
        self._names[newname] = entry

    def forget_runs(self) -> None:
        """In a forked copy: drop the runs in flight, which are the parent's, so that they do not count as overlaps."""
        if self._pid == os.getpid():
            return
        self._pid = os.getpid()
        for entry in self.entries():
            entry.forget_runs()

    # -- looking up ----------------------------------------------------------------------------------------------

    def find(self, name: str) -> Entry | None:
        """Return the entry of that name; release it and return None if it has ended."""
        entry = self._names.get(name)
        if entry is not None and entry.has_ended():
            self.release(entry)
            return None
        return entry

    def look_up(self, name: str) -> Entry | None:
        """Return the entry of that name, or the one without a name that has that label."""
        entry = self.find(name)
        if entry is None and "." in name:  # as every label has
            entry = next((other for other in self.entries() if other.label == name), None)
        return entry

    def named_tasks(self) -> dict[str, Task]:
        """Return the named tasks."""
        return {name: entry.task for name, entry in self._names.items() if not entry.has_ended()}

    def __contains__(self, entry: Entry) -> bool:
        if entry.context is not self.context:
            return False
        name = entry.task.name
        return (
            entry.state is SCHEDULED
            or entry in self.pending_start
            or (name is not None and self._names.get(name) is entry)
        )

    def __len__(self) -> int:
        """Return the number of entries that wait for a time or for the start."""
        return len(self.agenda) + len(self.pending_start)

    def waiting(self) -> Iterator[Entry]:
        """Yield the entries that wait: first those that wait for a time, in order."""
        yield from self.agenda.entries()
        yield from self.pending_start

    def entries(self) -> list[Entry]:
        """Return the entries that wait, run, or have a name: first those that wait for a time, in order."""
        return list(dict.fromkeys([*self.waiting(), *self._names.values()]))

    # -- labels --------------------------------------------------------------------------------------------------

    def label(self, entry: Entry) -> str:
        """Return a task's name in runs and logs: its own, or its action's, numbered from the second task on."""
        name = entry.task.name
        if name is not None:
            return name
        if entry.label is None:
            entry.label_pool, entry.label = self._labels.take(entry.task.action)
        return entry.label


# -- forks of the application: no timetable is copied in the middle of a turn -------------------------------------


class _Held(threading.local):
    """The locks that this thread holds while it forks."""

    def __init__(self) -> None:
        self.locks: list[threading.Lock] = []


_held = _Held()


def _before_fork() -> None:
    for registry in list(_registries):
        if registry.lock.acquire(timeout=0.2):  # a signal handler may fork in the middle of an add
            _held.locks.append(registry.lock)


def _after_fork() -> None:
    while _held.locks:
        _held.locks.pop().release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)
