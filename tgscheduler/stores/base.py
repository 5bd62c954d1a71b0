"""The store's protocol: what is remembered of runs and tasks.

A store that ``lasts`` outlives the process: it claims occurrences before they start, and knows the tasks at the next
start. One that does not, the memory, records what has ended.

::

    start   load() what is known of tasks, lost() what was in flight when its process died
    due     claim(groups)  -> the mark is moved and the runs are on record -> granted, or another process had them
    ended   record(runs)   -> on record within 100 ms
    change  save(tasks), rename(old, new)
    stop    close(timeout)
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from types import NoneType
from typing import NamedTuple, Protocol, TypeGuard

from tgscheduler.clock import Clock
from tgscheduler.errors import InvalidType, InvalidValue
from tgscheduler.timetable.run import STATES, Run


class Query(NamedTuple):
    """Which runs are asked for; ``since <= due < before``, None: no bound.

    Where ``before`` is a Run that was answered before, what follows it is asked for: so pages meet without a gap, also
    where many runs have one due time.
    """

    task: str | None = None
    state: str | None = None
    since: float | None = None
    before: float | Run | None = None
    limit: int = 100

    def check(self) -> "Query":
        """Return self; raise InvalidValue or InvalidType for a state or limit that cannot be."""
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
        """Say whether a run is one of those asked for, apart from its place on a page."""
        before = self.before
        return (
            (self.task is None or run.task == self.task)
            and (self.state is None or run.state == self.state)
            and (self.since is None or self.since <= run.due)
            and (before is None or (run.due <= before.due if isinstance(before, Run) else run.due < before))
        )

    def newest(self, runs: Iterable[Run]) -> list[Run]:
        """Return the matching runs, newest due time first (of one due time: the later id first), ``limit`` at most."""
        found = [run for run in runs if self.matches(run)]
        found.sort(key=_by_due_and_id, reverse=True)
        before = self.before
        if isinstance(before, Run):
            found = found[found.index(before) + 1 :] if before in found else _after(found, before)
        return found[: self.limit]


class Readable:
    """Gives a store its ``runs``, with a Query or with the words of one."""

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
        """Return the runs that a query asks for, or the words of one; newest due time first.

        ``since <= due < before``; with a Run that was answered before as ``before``, those that follow it. Raises
        InvalidValue or InvalidType for a state or limit that cannot be, StoreError where the store cannot be read.
        """
        if query is None:
            query = Query(task, state, since, before, limit).check()
        elif not isinstance(query, Query):
            raise InvalidType(f"runs: expected words such as task='report', got {query!r}")
        return self._find(query)

    def _find(self, query: Query) -> list[Run]:
        raise NotImplementedError


def hour(moment: float) -> float:
    """Return the beginning of the hour of a moment: occurrences are tallied by the hour in which they were due."""
    return moment // 3600.0 * 3600.0


def _by_due_and_id(run: Run) -> tuple[float, int]:
    return run.due, run.id or 0


def _after(runs: list[Run], run: Run) -> list[Run]:
    place = _by_due_and_id(run)
    return [other for other in runs if _by_due_and_id(other) < place]


@dataclass(frozen=True, slots=True)
class Known:
    """What a store knows of a task: what outlives the process that has registered it."""

    name: str
    #: Its timetable as text: where it differs at the next start, the task begins afresh.
    spec: str
    #: The first point of an interval's grid (POSIX seconds), None where it has none.
    anchor: float | None = None
    #: The last due time that was claimed, or when it was registered; it never goes back but with the wall clock.
    mark: float = -math.inf
    #: Until when it is paused (minus infinity: it is not; infinity: until it is resumed).
    paused_until: float = -math.inf
    #: How many runs were opened by claims, for ``max_runs``.
    runs: int = 0


class Claim(NamedTuple):
    """What one decision has made of a task's occurrences from ``due`` to ``until``: all of it is granted, or nothing.

    Granted while the task's mark is before ``due``, and the mark is ``until`` from then on. A mark that is more than
    three hours in the future is of a clock that was wrong, and does not count. What was asked for by hand is beside
    the timetable: always granted, no mark is moved.
    """

    task: str
    due: float
    until: float
    #: Runs that start now or wait: on record as open from the claim on.
    opened: Sequence[Run] = ()
    #: Runs that were missed or skipped, and have ended with the claim.
    closed: Sequence[Run] = ()
    by_hand: bool = False


class Claimed(NamedTuple):
    """A claim that came back: whether it was granted; where it was not, the mark that is in the store.

    ``early``: it was refused as it lies in the future of the store's clock.
    """

    claim: Claim
    granted: bool
    mark: float
    early: bool = False


class Condition(NamedTuple):
    """How a store is: why it is down (None: it is not) and since when, what it holds back, what it had to drop.

    ``unwritable``: records that it refuses; ``skew``: by how many seconds the clock is ahead of the one of a store
    that other processes use as well, where that is more than a few.
    """

    down: str | None = None
    since: float | None = None
    buffered: int = 0
    dropped: int = 0
    unwritable: int = 0
    skew: float = 0.0


class Store(Protocol):
    """Remembers runs that have ended. Verbs are plural; only the loop's thread writes, anybody reads."""

    #: Whether it outlives the process, and so is a :class:`LastingStore`.
    lasts: bool

    def record(self, runs: Sequence[Run]) -> None:
        """Remember runs that have ended."""

    def runs(self, query: Query) -> list[Run]:
        """Return what is asked for, newest due time first; :class:`Readable` also takes the words of a query."""

    def counts(self) -> dict[str, int]:
        """Return how many occurrences were recorded in each state, since the beginning."""

    def tallies(self, since: float | None = None) -> dict[str, dict[str, int]]:
        """Return, by task, how many occurrences were recorded in each state; ``since``: due in that hour or later."""


class LastingStore(Store, Protocol):
    """A store that outlives the process.

    No method but :meth:`open`, :meth:`close`, ``load``, ``lost`` and what reads waits for the database: what is
    written goes to the store's own thread. ``record`` and ``save`` keep the order in which they were called, after
    the claims before them.
    """

    def open(
        self,
        answer: Callable[[list[Claimed]], None],
        changed: Callable[[Condition], None],
        clock: Clock | None = None,
        orphans: Callable[[list[Run]], None] | None = None,
    ) -> None:
        """Connect, migrate and start the writer; raise StoreError where that cannot be.

        ``answer`` is called in the writer's thread with claims that have been committed, ``changed`` when the store
        goes down or comes back, ``orphans`` with runs as those of :meth:`lost` that were found later. ``clock``: by
        which it tells the time from now on.
        """

    def close(self, timeout: float) -> int:
        """Write what is left, for so many seconds at most, and disconnect; return how many records were not written."""

    def spelled(self, name: str) -> str:
        """Return a task's name as it is on record: what the database cannot hold is spelled out."""

    def load(self) -> dict[str, Known]:
        """Return what is known of every task, by name."""

    def lost(self) -> list[Run]:
        """Return the runs that were in flight in processes that are gone, as running ones; they are ours from then on.

        Each is to be recorded as lost, or taken over: claimed again by hand as an opened run of the same id.
        """

    def alone(self) -> bool:
        """Return whether no other process can be using it, so that runs may start without their claims."""

    def behind(self) -> float:
        """Return by how many seconds the clock is behind the store's, 0.0 where it is not."""

    def claim(self, claims: Sequence[Claim]) -> None:
        """Have claims committed; ``answer`` brings each of them back, the very same object.

        What was closed by a granted claim is recorded with it; what was opened is recorded when it has ended.
        """

    def save(self, tasks: Sequence[Known], back: bool = False) -> None:
        """Remember tasks: a new one as given, of a known one all but ``runs``, which the claims count.

        Its mark is set back, and its anchor moved while its spec is the same, only where ``back`` says so: so of two
        processes that register a task at the same time both go by the anchor of the first.
        """

    def rename(self, old: str, new: str) -> None:
        """Give a task and its history another name; nothing happens where the new one is known, or the old one not."""

    def flush(self, timeout: float) -> bool:
        """Wait until what was handed in so far is on record; say whether it is."""

    def condition(self) -> Condition:
        """Return how the store is."""


def is_lasting(store: Store) -> TypeGuard[LastingStore]:
    """Say whether a store outlives the process."""
    return store.lasts
