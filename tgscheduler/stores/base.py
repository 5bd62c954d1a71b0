"""The store protocol: what a store records of runs and tasks.

A persistent store outlives the process: it claims occurrences before they start, and has the tasks on record at the
next start. The memory store does not outlive it, and records ended runs only.

::

    start   load() the tasks, take_over_orphans() the runs that were in flight when their process died
    due     claim(claims)  -> the high-water mark moves, the runs are recorded -> granted, or another process had them
    ended   record(runs)   -> on record within 100 ms
    change  save(tasks), rename(old, new)
    stop    close(timeout)
"""

import math
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from types import NoneType
from typing import NamedTuple, Protocol, TypeGuard

from tgscheduler.clock import Clock
from tgscheduler.errors import InvalidType, InvalidValue
from tgscheduler.timetable.durations import Durations
from tgscheduler.timetable.run import STATES, Run


class Query(NamedTuple):
    """A query for runs; ``since <= due < before``, None: no bound.

    If ``before`` is a Run from an earlier result, the runs that follow it match: so pages meet without a gap, even if
    many runs share a due time.
    """

    task: str | None = None
    state: str | None = None
    since: float | None = None
    before: float | Run | None = None
    limit: int = 100

    def check(self) -> "Query":
        """Return self; raise InvalidValue or InvalidType for an invalid field."""
        if self.state is not None and self.state not in STATES:
            raise InvalidValue(f"state: expected one of {', '.join(STATES)}, got {self.state!r}")
        if self.task is not None and not isinstance(self.task, str):
            raise InvalidType(f"task: expected the name of a task, got {self.task!r}")
        for name, value in (("since", self.since), ("before", self.before)):
            if isinstance(value, bool) or not isinstance(value, (int, float, Run, NoneType)):
                raise InvalidType(f"{name}: expected POSIX seconds, got {value!r}")
        if isinstance(self.limit, bool) or not isinstance(self.limit, int):
            raise InvalidType(f"limit: expected a whole number, got {self.limit!r}")
        if self.limit < 1:
            raise InvalidValue(f"limit: expected 1 or more, got {self.limit}")
        return self

    def matches(self, run: Run) -> bool:
        """Return whether a run matches, apart from its place on a page."""
        before = self.before
        return (
            (self.task is None or run.task == self.task)
            and (self.state is None or run.state == self.state)
            and (self.since is None or self.since <= run.due)
            and (before is None or (run.due <= before.due if isinstance(before, Run) else run.due < before))
        )

    def newest(self, runs: Iterable[Run]) -> list[Run]:
        """Return at most ``limit`` matching runs, newest due time first (of one due time: the later id first)."""
        found = [run for run in runs if self.matches(run)]
        found.sort(key=_by_due_and_id, reverse=True)
        before = self.before
        if isinstance(before, Run):
            found = found[found.index(before) + 1 :] if before in found else _after(found, before)
        return found[: self.limit]


class QueryMixin:
    """Gives a store its ``runs``, which takes a Query or its fields as keywords."""

    def runs(
        self,
        query: Query | None = None,
        *,
        task: str | None = None,
        state: str | None = None,
        since: float | None = None,
        before: float | Run | None = None,
        limit: int = 100,
    ) -> list[Run]:
        """Return the runs that match a query, given as a Query or as keywords; newest due time first.

        ``since <= due < before``; if ``before`` is a Run from an earlier result, the runs that follow it. Raises
        InvalidValue or InvalidType for an invalid keyword, StoreError if the store cannot be read.
        """
        if query is None:
            query = Query(task, state, since, before, limit).check()
        elif not isinstance(query, Query):
            raise InvalidType(f"runs: expected words such as task='report', got {query!r}")
        return self._find(query)

    def _find(self, query: Query) -> list[Run]:
        raise NotImplementedError


def hour(moment: float) -> float:
    """Return the beginning of the hour of a moment: occurrences are counted by the hour in which they were due."""
    return moment // 3600.0 * 3600.0


def _by_due_and_id(run: Run) -> tuple[float, int]:
    return run.due, run.id or 0


def _after(runs: list[Run], run: Run) -> list[Run]:
    place = _by_due_and_id(run)
    return [other for other in runs if _by_due_and_id(other) < place]


@dataclass(frozen=True, slots=True)
class TaskRecord:
    """The record of a task in a store; it outlives the process that registered the task."""

    name: str
    #: Its timetable as text; if it differs at the next start, the timetable begins anew.
    spec: str
    #: The first point of an interval's grid (POSIX seconds), None if it has none.
    anchor: float | None = None
    #: High-water mark: the last due time that was claimed, or the time of registration. It goes back only if the wall
    #: clock does.
    high_water: float = -math.inf
    #: End of its pause (minus infinity: it is not paused; infinity: until it is resumed).
    paused_until: float = -math.inf
    #: Number of runs opened by claims, for ``max_runs``.
    runs: int = 0


class Claim(NamedTuple):
    """A claim of a task's occurrences from ``due`` to ``until``, from one decision: granted as a whole or not at all.

    It is granted if the task's high-water mark is before ``due``; the mark then moves to ``until``. A mark that is more
    than three hours in the future comes from a wrong clock, and is ignored. A claim ``off_schedule`` is outside the
    timetable: it moves no mark, and is refused only if another process has taken over its run.
    """

    task: str
    due: float
    until: float
    #: Runs that start now or wait; they are on record as open once the claim is committed.
    opened: Sequence[Run] = ()
    #: Runs that were missed or skipped; they end with the claim.
    closed: Sequence[Run] = ()
    off_schedule: bool = False


class ClaimResult(NamedTuple):
    """The result of a claim: whether it was granted, and the high-water mark in the store.

    ``early``: it was refused because it lies in the future by the store's clock.
    """

    claim: Claim
    granted: bool
    high_water: float
    early: bool = False


class StoreStatus(NamedTuple):
    """Status of a store: why it is down (None: it is not) and since when (POSIX seconds), buffered and dropped records.

    ``unwritable``: number of records that the database refuses; ``skew``: seconds by which the clock is ahead of the
    store's, 0.0 if that is less than a few or no other process uses the store.
    """

    down: str | None = None
    since: float | None = None
    buffered: int = 0
    dropped: int = 0
    unwritable: int = 0
    skew: float = 0.0


class Store(Protocol):
    """Records runs that have ended. Methods take many at a time; only the loop's thread writes, any thread reads."""

    #: Whether it outlives the process, and so is a :class:`PersistentStore`.
    persistent: bool

    def record(self, runs: Sequence[Run]) -> None:
        """Record runs that have ended."""

    def runs(self, query: Query) -> list[Run]:
        """Return the runs that match a query, newest due time first; :class:`QueryMixin` also takes keywords."""

    def counts(self) -> dict[str, int]:
        """Return the number of occurrences ever recorded in each state."""

    def counts_by_task(self, since: float | None = None) -> dict[str, dict[str, int]]:
        """Return, by task, the number of occurrences recorded in each state; ``since``: due in that hour or later."""

    def durations(self, tasks: Collection[str] | None = None, since: float | None = None) -> dict[str, Durations]:
        """Return, by task, the durations of its runs; of these tasks (each is in the result), None: of all.

        ``since``: due in that hour or later.
        """


class PersistentStore(Store, Protocol):
    """A store that outlives the process.

    Only ``open``, ``close``, ``load``, ``take_over_orphans``, ``flush`` and the methods that read wait for the
    database; writes are passed to the store's own thread. Calls of ``record`` and ``save`` are written in their order,
    and after earlier claims.
    """

    def open(
        self,
        on_claimed: Callable[[list[ClaimResult]], None],
        on_status: Callable[[StoreStatus], None],
        clock: Clock | None = None,
        on_orphans: Callable[[list[Run]], None] | None = None,
    ) -> None:
        """Connect, migrate and start the writer; raise StoreError if that fails.

        The writer's thread calls ``on_claimed`` with the results of committed claims, ``on_status`` when the store goes
        down or comes back, ``on_orphans`` with runs like those of :meth:`take_over_orphans` that are found later.
        ``clock`` replaces the store's clock from now on.
        """

    def close(self, timeout: float) -> int:
        """Write the rest within ``timeout`` seconds and disconnect; return the number of records not written."""

    def spelled(self, name: str) -> str:
        """Return a task's name as it is on record: characters that the database cannot hold are escaped."""

    def load(self) -> dict[str, TaskRecord]:
        """Return the record of every task, by name."""

    def take_over_orphans(self) -> list[Run]:
        """Return the runs in flight of processes that are gone, as running; they belong to this process from then on.

        Each must be recorded as lost, or taken over: claimed again off schedule as an opened run of the same id.
        """

    def alone(self) -> bool:
        """Return whether no other process can be using the store, so that runs may start without their claims."""

    def behind(self) -> float:
        """Return by how many seconds the clock is behind the store's, 0.0 if it is not."""

    def claim(self, claims: Sequence[Claim]) -> None:
        """Submit claims. Once they are committed, ``on_claimed`` gets their results, with the same claim objects.

        A granted claim records its ``closed`` runs at once; its ``opened`` runs are recorded when they have ended.
        """

    def save(self, tasks: Sequence[TaskRecord], back: bool = False) -> None:
        """Record tasks: a new one as given, a known one without ``runs``, which the claims count.

        The mark of a known one moves back, and its anchor moves while its spec is the same, only if ``back`` is true:
        so two processes that register a task at the same time both use the anchor of the first.
        """

    def rename(self, old: str, new: str) -> None:
        """Rename a task and its history; do nothing if the new name is known, or the old one is not."""

    def flush(self, timeout: float) -> bool:
        """Wait at most ``timeout`` seconds until everything submitted so far is on record; return whether it is."""

    def status(self) -> StoreStatus:
        """Return the status of the store."""


def is_persistent(store: Store) -> TypeGuard[PersistentStore]:
    """Return whether a store outlives the process."""
    return store.persistent
