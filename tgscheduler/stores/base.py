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
from itertools import takewhile
from operator import attrgetter
from types import NoneType
from typing import NamedTuple, Protocol, TypeGuard

from tgscheduler.clock import Clock
from tgscheduler.errors import InvalidType, InvalidValue
from tgscheduler.messages import shown
from tgscheduler.stores.audit import AuditRecord
from tgscheduler.timetable.durations import Durations
from tgscheduler.timetable.policy import check_whole
from tgscheduler.timetable.run import STATES, Run, place_of


class Query(NamedTuple):
    """A query for runs; ``since <= due < before``, None: no bound.

    ``state``: one state or several. If ``before`` is a Run, or the cursor of one, the runs that follow it match: so
    pages meet without a gap, even if many runs share a due time, or that run is not on record any more.
    """

    task: str | None = None
    state: str | Collection[str] | None = None
    since: float | None = None
    before: float | Run | str | None = None
    limit: int = 100

    @property
    def states(self) -> Collection[str] | None:
        """The states that match; None: all."""
        return (self.state,) if isinstance(self.state, str) else self.state

    @property
    def end(self) -> tuple[float, int] | None:
        """The place that all matching runs are before; None: there is no bound."""
        before = self.before
        if isinstance(before, Run):
            return before.place
        if isinstance(before, str):
            return place_of(before)
        return None if before is None else (before, 0)  # numbers begin with 1

    def check(self) -> "Query":
        """Return self; raise InvalidValue or InvalidType for an invalid field."""
        _check_states(self.states)
        if self.task is not None and not isinstance(self.task, str):
            raise InvalidType(f"task: expected the name of a task, got {self.task!r}")
        _check_moment("since", self.since)
        if isinstance(self.before, str):
            place_of(self.before)
        elif not isinstance(self.before, Run):
            _check_moment("before", self.before)
        check_whole("limit", self.limit)
        return self

    def newest(self, runs: Iterable[Run]) -> list[Run]:
        """Return at most ``limit`` matching runs, newest due time first (of one due time: the later number first)."""
        task, states, since, end = self.task, self.states, self.since, self.end
        found = [
            run
            for run in runs
            if (task is None or run.task == task)
            and (states is None or run.state in states)
            and (since is None or since <= run.due)
            and (end is None or run.due < end[0] or (run.due == end[0] and run.place < end))
        ]
        found.sort(key=_due, reverse=True)
        page = found[: self.limit]
        page += takewhile(lambda run: run.due == page[-1].due, found[self.limit :])
        page.sort(key=_place, reverse=True)  # of few runs: in memory the number of each is made by this
        return page[: self.limit]


class QueryMixin:
    """Gives a store its ``runs``, which takes a Query or its fields as keywords."""

    def runs(
        self,
        query: Query | None = None,
        *,
        task: str | None = None,
        state: str | Collection[str] | None = None,
        since: float | None = None,
        before: float | Run | str | None = None,
        limit: int = 100,
    ) -> list[Run]:
        """Return the runs that match a query, given as a Query or as keywords; newest due time first.

        ``since <= due < before``; if ``before`` is a Run, or the cursor of one, the runs that follow it. Raises
        InvalidValue or InvalidType for an invalid keyword, StoreError if the store cannot be read.
        """
        if query is None:
            query = Query(task, state, since, before, limit)
        elif not isinstance(query, Query):
            raise InvalidType(f"runs: expected words such as task='report', got {query!r}")
        return self._find(query.check())

    def recent_runs(self, tasks: Collection[str], n: int = 30) -> dict[str, list[Run]]:
        """Return the last ``n`` runs of each of these tasks, newest due time first.

        A database does not read their errors and logs, which may be long: ``run(id)`` does. Raises InvalidValue or
        InvalidType for an invalid argument, StoreError if the store cannot be read.
        """
        if isinstance(tasks, str) or not isinstance(tasks, Collection) or not all(isinstance(t, str) for t in tasks):
            raise InvalidType(f"tasks: expected the names of tasks, got {shown(tasks)}")
        return self._find_recent(tasks, check_whole("n", n))

    def _find(self, query: Query) -> list[Run]:
        raise NotImplementedError

    def _find_recent(self, tasks: Collection[str], n: int) -> dict[str, list[Run]]:
        raise NotImplementedError


def newest_by_task(runs: Iterable[Run], tasks: Collection[str], n: int) -> dict[str, list[Run]]:
    """Return at most ``n`` runs of each of these tasks, newest due time first."""
    found: dict[str, list[Run]] = {task: [] for task in tasks}
    for run in runs:
        if run.task in found:
            found[run.task].append(run)
    page = Query(limit=n)
    return {task: page.newest(some) for task, some in found.items()}


_due, _place = attrgetter("due"), attrgetter("place")


def _check_states(states: object) -> None:
    expected = f"state: expected one of {', '.join(STATES)}, or several"
    if not isinstance(states, (Collection, NoneType)):
        raise InvalidType(f"{expected}, got {states!r}")
    if states is not None and (not states or any(state not in STATES for state in states)):
        raise InvalidValue(f"{expected}, got {states!r}")


def _check_moment(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float, NoneType)):
        raise InvalidType(f"{name}: expected POSIX seconds, got {value!r}")
    try:
        unfit = value is not None and math.isnan(value)
    except OverflowError:
        unfit = True
    if unfit:
        raise InvalidValue(f"{name}: expected POSIX seconds, got {shown(value)}")


def hour(moment: float) -> float:
    """Return the beginning of the hour of a moment: occurrences are counted by the hour in which they were due."""
    return moment // 3600.0 * 3600.0


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

    def recent_runs(self, tasks: Collection[str], n: int = 30) -> dict[str, list[Run]]:
        """Return the last ``n`` runs of each of these tasks, newest due time first; perhaps without error and log."""

    def run(self, id: str) -> Run | None:
        """Return the run of that id, None if it is not on record; a text that is no id is unknown as well."""

    def counts(self) -> dict[str, int]:
        """Return the number of occurrences ever recorded in each state."""

    def counts_by_task(self, since: float | None = None) -> dict[str, dict[str, int]]:
        """Return, by task, the number of occurrences recorded in each state; ``since``: due in that hour or later."""

    def counts_by_hour(self, since: float, until: float) -> dict[float, dict[str, int]]:
        """Return, by the hour in which they were due, the number of occurrences of all tasks in each state.

        Keys are POSIX seconds of the beginnings of hours: that of ``since``, and those before ``until``.
        """

    def durations(self, tasks: Collection[str] | None = None, since: float | None = None) -> dict[str, Durations]:
        """Return, by task, the durations of its runs; of these tasks (each is in the result), None: of all.

        ``since``: due in that hour or later.
        """

    def audit(self, records: Sequence[AuditRecord]) -> None:
        """Add records to the audit log; any thread may do so."""

    def audits(self, task: str | None = None, before: int | None = None, limit: int = 50) -> list[AuditRecord]:
        """Return audit records, newest first; ``before``: the id of a page's last record.

        Those of a task include those without one, which are of all tasks.
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

    def assign_numbers(self, runs: Iterable[Run]) -> None:
        """Give each run that has none its number, from any thread; ``claim`` and ``record`` do so too."""

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
