"""The persistent store: runs and tasks in a database.

::

    claim, save, rename, record --> write buffer --> the writer's thread --> database --> answer(claims)
    runs, tallies               <-- what is on record, and what is still in the write buffer
    counts                      <-- numbers in memory
"""

import itertools
import os
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from tgscheduler import clock as clocks
from tgscheduler.clock import Clock
from tgscheduler.errors import InvalidValue, StoreError, WrongProcess
from tgscheduler.messages import clean
from tgscheduler.stores import reading
from tgscheduler.stores import statements as sql
from tgscheduler.stores.base import Claim, Claimed, Condition, Known, Query, Readable, hour
from tgscheduler.stores.database import Database, never_free
from tgscheduler.stores.line import CLAIMS, DROPPED, FLUSH, RENAME, RUNS, SAVES, SAVES_BACK, Entry, Line, portions
from tgscheduler.stores.migrating import migrate, migrations
from tgscheduler.stores.nodes import this_process
from tgscheduler.stores.peers import take_over
from tgscheduler.stores.pruning import DAY, HOURS_KEPT, Pruner
from tgscheduler.stores.tallies import Tallies, totals
from tgscheduler.stores.writer import Writer
from tgscheduler.timetable.run import Run

#: A run's id is its node's number times this, plus a number that the node counts up.
NODE = 1 << 36
_IDLE = 4


class DatabaseStore(Readable):
    """Stores runs and tasks in a database; one thread writes.

    Retention: runs of the last ``days`` (None: no bound), and of each task the newest ``per_task`` (None: no bound).
    It is down if the database fails twice in a row, or does not answer for ``patience`` seconds; then up to ``buffer``
    ended runs wait in memory. Without :meth:`open` it is read-only.
    """

    lasts = True

    def __init__(
        self,
        database: Database,
        clock: Clock | None = None,
        *,
        auto_migrate: bool = True,
        days: float | None = 90.0,
        per_task: int | None = 10_000,
        buffer: int = 10_000,
        patience: float = 2.0,
    ) -> None:
        for name, value in (("days", days), ("per_task", per_task), ("buffer", buffer), ("patience", patience)):
            if value is not None and not value > 0:
                raise InvalidValue(f"{name}: expected a number above 0{_or_none(name)}, got {value!r}")
        self._database = database
        self._clock = Clock() if clock is None else clock
        self._auto_migrate = auto_migrate
        self._patience = patience
        self._line = Line(buffer)
        self._writer = Writer(database, self._line, self._clock, patience, Pruner(database, days, per_task))
        self._opened = False
        self._inert = False
        self._recorded: dict[str, int] = {}
        self._numbers: Iterator[int] = itertools.count(1)
        self._idle: deque[Any] = deque()
        self._connections: dict[int, Any] = {}
        _stores.add(self)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._database.name}>"

    @property
    def name(self) -> str:
        """The address of its database, without a password."""
        return self._database.name

    # -- opening and closing ------------------------------------------------------------------------------------------

    def open(
        self,
        answer: Callable[[list[Claimed]], None],
        changed: Callable[[Condition], None],
        clock: Clock | None = None,
        orphans: Callable[[list[Run]], None] | None = None,
    ) -> None:
        """Connect, migrate and start the writer; raise StoreError if that fails.

        If another process was alone with the database, wait at most ``patience`` seconds until it has noticed this one.
        """
        self._check_process()
        if clock is not None:
            self._clock = self._writer.clock = self._writer.peers.clock = clock
        if self._opened or self._writer.alive:
            raise StoreError(f"{self.name}: it is open; close() it first")
        with self._told():
            self._database.prepare()
            connection = self._connect()
            try:
                self._enrol(connection)
            except BaseException:
                self._disconnect(connection)
                raise
        self._opened = True
        self._writer.start(connection, self._connect, answer, changed, orphans or _leave)
        self._writer.admitted.wait(self._patience)

    def _enrol(self, connection: Any) -> None:
        writer = self._writer
        if writer.peers.come(connection, this_process(), self._clock.now()):
            writer.restart()
            self._numbers = itertools.count(writer.node * NODE + 1)
        writer.others = totals(self._database, connection, writer.written)

    def close(self, timeout: float) -> int:
        """Write the rest within ``timeout`` seconds and disconnect; return the number of records not written."""
        if self._inert:
            return 0
        if self._opened:
            self._writer.stop(timeout)
            self._opened = False
        self._disconnect_idle()
        return self._line.records

    # -- writing ------------------------------------------------------------------------------------------------------

    def alone(self) -> bool:
        """Return whether no other process can be using the store, so that runs may start without their claims."""
        return self._writer.peers.may_start_anyway()

    def behind(self) -> float:
        """Return by how many seconds the clock is behind the database's, 0.0 if it is not."""
        return max(0.0, -self._writer.peers.ahead)

    def claim(self, claims: Sequence[Claim]) -> None:
        """Submit claims; once they are committed, ``answer`` gets their results, in order."""
        self._check_open()
        for claim in claims:
            for runs in (claim.opened, claim.closed):
                for run in runs:
                    if run.id is None:
                        run.number = next(self._numbers)
        self._hand_in_all(CLAIMS, claims)

    def record(self, runs: Sequence[Run]) -> None:
        """Record runs that have ended."""
        self._check_open()
        if not runs:
            return
        counts = self._recorded.copy()
        for run in runs:
            if run.id is None:
                run.number = next(self._numbers)
            counts[run.state] = counts.get(run.state, 0) + run.count
        line = self._line
        idle = not len(line)
        for entry in portions(RUNS, runs, clocks.elapsed()):
            line.append(entry)
        self._recorded = counts
        if idle:
            self._writer.ring()
        if line.excess() > 0 and self.condition().down is not None:
            line.shorten()

    def save(self, tasks: Sequence[Known], back: bool = False) -> None:
        """Record tasks: a new one as given, a known one without ``runs``, which the claims count."""
        self._check_open()
        self._hand_in_all(SAVES_BACK if back else SAVES, tasks)

    def rename(self, old: str, new: str) -> None:
        """Rename a task and its history; do nothing if the new name is known, or the old one is not."""
        self._check_open()
        self._hand_in(RENAME, (old, new))

    def flush(self, timeout: float) -> bool:
        """Wait at most ``timeout`` seconds until everything submitted so far is on record; return whether it is."""
        self._check_open()
        written = threading.Event()
        self._hand_in(FLUSH, written)
        return written.wait(timeout)

    def _hand_in(self, kind: int, what: Any) -> None:
        self._line.append(Entry(kind, what, 0, clocks.elapsed()))
        self._writer.ring()

    def _hand_in_all(self, kind: int, items: Sequence[Any]) -> None:
        for entry in portions(kind, items, clocks.elapsed()):
            self._line.append(entry)
        self._writer.ring()

    # -- reading ------------------------------------------------------------------------------------------------------

    def condition(self) -> Condition:
        """Return the status of the store."""
        return self._writer.condition()

    def _find(self, query: Query) -> list[Run]:
        waiting = [run for entry in self._line.copy() if entry.kind == RUNS for run in entry.items]
        with self._reading() as connection:
            found = self._read_page(connection, query)
        if query.task is not None:
            for run in found.values():
                run.task = query.task  # the name on record may be an escaped one
        found.update((run.number, run) for run in waiting if query.matches(run))
        return query.newest(found.values())

    def _read_page(self, connection: Any, query: Query) -> dict[int, Run]:
        """Return a page by id. Open runs are read first: a run that ends meanwhile is found as ended."""
        database, found = self._database, {}
        task = None
        if query.task is not None:
            ids = database.rows(connection, reading.TASK_ID, (self.spelled(query.task),))
            if not ids:
                return {}
            task = ids[0][0]
        if query.state in reading.OPEN_STATES:
            node = self._writer.node if self._opened else None
            rows = database.rows(connection, *reading.open_page(query, task, node))
            found = {row[0]: reading.open_run(row) for row in rows}
        if query.state not in reading.UNENDED:
            rows = database.rows(connection, *reading.ended_page(query, task, database.hint))
            found.update((row[0], reading.ended_run(row)) for row in rows)
        return found

    def counts(self) -> dict[str, int]:
        """Return the number of occurrences ever recorded in each state."""
        if not self._opened:
            with self._reading() as connection:
                return totals(self._database, connection, {})
        counts: dict[str, int] = {}
        for part in (self._writer.others, self._recorded, self._writer.closed):
            for state, count in part.items():
                counts[state] = counts.get(state, 0) + count
        return {state: count for state, count in counts.items() if count}

    def tallies(self, since: float | None = None) -> dict[str, dict[str, int]]:
        """Return, by task, the number of occurrences recorded in each state; ``since``: due in that hour or later.

        If ``since`` is before the last 60 days, it is rounded down to the day: counts by hour are kept no longer.
        """
        span, begin = "ever", -(1 << 62)
        if since is not None:
            span, begin = "hour", int(hour(since))
            if since < self._clock.now() - (HOURS_KEPT - 1) * DAY:
                span, begin = "day", begin // 86400 * 86400
        entries = self._line.copy()
        with self._reading() as connection:
            rows = self._database.rows(connection, sql.SUMS, (span, begin, begin, self._writer.node))
        tallies: dict[str, dict[str, int]] = {}
        written = 0
        for task, state, count in rows:
            if task is None:
                written = int(count)
            else:
                tallies.setdefault(task, {})[state] = int(count)
        for (task, due, state), (count, _, _) in _waiting(entries, written).sums.items():
            if since is None or due >= begin:
                states = tallies.setdefault(self.spelled(task), {})
                states[state] = states.get(state, 0) + int(count)
        return tallies

    def spelled(self, name: str) -> str:
        """Return a task's name as it is on record: characters that the database cannot hold are escaped."""
        return clean(name, self._database.encoding)

    def load(self) -> dict[str, Known]:
        """Return the record of every task, by name."""
        with self._reading() as connection:
            return {row[0]: Known(*row) for row in self._database.rows(connection, sql.KNOWN)}

    def lost(self) -> list[Run]:
        """Return the runs in flight of processes that are gone, as running; they belong to this process from then on.

        Each must be recorded as lost, or taken over: claimed again by hand as an opened run of the same id.
        """
        self._check_open()
        database, me = self._database, self._writer.node
        with self._told():
            connection = self._connect()
            try:
                gone = self._writer.peers.gone(connection)
                if not gone:
                    return []
                database.begin(connection)
                runs = take_over(database, connection, me, gone)
                database.commit(connection)
            finally:
                self._disconnect(connection)
        return runs

    # -- connections --------------------------------------------------------------------------------------------------

    def _connect(self) -> Any:
        """Return a connection for writing, with the schema up to date."""
        self._disconnect_idle()  # they may have a file open that was replaced
        self._database.prepare()
        connection = self._database.connect(writing=True)
        self._connections[id(connection)] = connection
        try:
            migrate(self._database, connection, self._auto_migrate, self._clock.now())
        except BaseException:
            self._disconnect(connection)
            raise
        return connection

    def _disconnect(self, connection: Any) -> None:
        self._database.close(connection)
        self._connections.pop(id(connection), None)

    def _disconnect_idle(self) -> None:
        """Make the next readers reconnect: the file may have been replaced, or the network connection cut."""
        try:
            while True:
                self._disconnect(self._idle.pop())
        except IndexError:
            pass

    @contextmanager
    def _reading(self) -> Iterator[Any]:
        """Give a read-only connection, in any thread; raise StoreError if the store cannot be read."""
        self._check_process()
        with self._told():
            try:
                connection = self._idle.pop()
            except IndexError:
                connection = self._connect_reading()
            try:
                yield connection
            except BaseException:
                self._disconnect(connection)
                self._disconnect_idle()
                raise
            if self._opened and len(self._idle) < _IDLE:
                self._idle.append(connection)
            else:
                self._disconnect(connection)

    def _connect_reading(self) -> Any:
        connection = self._database.connect(writing=False)
        self._connections[id(connection)] = connection
        try:
            if not self._opened and self._database.version(connection) != max(migrations(self._database.dialect)):
                migrate(self._database, connection, False, 0.0)
        except BaseException:
            self._disconnect(connection)
            raise
        return connection

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Turn the database's errors into a StoreError that says what to do."""
        try:
            yield
        except StoreError:
            raise
        except self._database.errors as error:
            raise StoreError(self._database.describe(error)) from error

    # -- which process ------------------------------------------------------------------------------------------------

    def _check_open(self) -> None:
        self._check_process()
        if not self._opened:
            raise StoreError(f"{self.name}: it is not open for writing; open() it first")

    def _check_process(self) -> None:
        if self._inert:
            raise WrongProcess(
                f"{self.name} is open in the parent of this process, and its connections are not to be shared: "
                "open a store of its own here"
            )

    def _in_child(self) -> None:
        """Make the store inert in a forked child: its connections belong to the parent."""
        self._inert, self._opened = True, False
        self._writer.forget()
        connections = list(self._connections.values())
        for connection in connections:  # freeing one would close it
            never_free(connection)
        self._database.leave(connections)


def _waiting(entries: Sequence[Entry], written: int) -> Tallies:
    """Return the sums of the entries that transactions up to number ``written`` have not written."""
    tallies = Tallies()
    for entry in entries:
        if entry.batch is None or entry.batch > written:
            if entry.kind == RUNS:
                tallies.add(entry.items)
            elif entry.kind == DROPPED:
                tallies.merge(entry.items.tallies)
    return tallies


def _leave(runs: list[Run]) -> None:
    """Ignore runs whose process is gone."""


def _or_none(name: str) -> str:
    return " or None (no bound)" if name in ("days", "per_task") else ""


_stores: "weakref.WeakSet[DatabaseStore]" = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for store in list(_stores):
        store._in_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
