"""The persistent store: runs and tasks in a database.

::

    claim, save, rename, record --> write buffer --> the writer's thread --> database --> on_claimed(results)
    runs, counts               <-- what is on record, and what is still in the write buffer
    counts                      <-- numbers in memory
"""

import itertools
import logging
import os
import threading
import weakref
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Any

from tgscheduler import clock as clocks
from tgscheduler.clock import Clock
from tgscheduler.errors import InvalidValue, StoreError
from tgscheduler.messages import clean
from tgscheduler.stores import queries, sql
from tgscheduler.stores.audit import MAX_WAITING, AuditQuery, AuditRecord
from tgscheduler.stores.audit_pages import read_page
from tgscheduler.stores.base import (
    Claim,
    ClaimResult,
    Query,
    QueryMixin,
    StoreStatus,
    TaskRecord,
    newest_by_task,
)
from tgscheduler.stores.connections import Connections
from tgscheduler.stores.database import Database
from tgscheduler.stores.nodes import NODE_IDS, this_process
from tgscheduler.stores.peers import take_over
from tgscheduler.stores.pruning import Pruner
from tgscheduler.stores.run_counts import RunCounts
from tgscheduler.stores.sums import SumsQuery, read_hours, read_sums
from tgscheduler.stores.totals import read_totals
from tgscheduler.stores.write_buffer import (
    AUDIT,
    CLAIMS,
    FLUSH,
    RENAME,
    RUNS,
    SAVES,
    SAVES_BACK,
    Write,
    WriteBuffer,
    portions,
)
from tgscheduler.stores.writer import Writer
from tgscheduler.timetable.durations import NO_DURATIONS, Durations
from tgscheduler.timetable.run import Run, number_of

log = logging.getLogger(__name__)

#: Maximum number of tasks whose last runs one statement reads.
_TASKS_AT_ONCE = 100
#: Number of runs that are made of rows in about a millisecond.
_ROWS = 250


class DatabaseStore(QueryMixin):
    """Stores runs and tasks in a database; one thread writes.

    Retention: runs of the last ``days`` (None: no bound), and of each task the newest ``per_task`` (None: no bound).
    It is down if the database fails twice in a row, or does not answer for ``timeout`` seconds; then up to ``buffer``
    ended runs wait in memory. Without :meth:`open` it is read-only.
    """

    persistent = True

    def __init__(
        self,
        database: Database,
        clock: Clock | None = None,
        *,
        auto_migrate: bool = True,
        days: float | None = 90.0,
        per_task: int | None = 10_000,
        buffer: int = 10_000,
        timeout: float = 2.0,
    ) -> None:
        for name, value in (("days", days), ("per_task", per_task), ("buffer", buffer), ("timeout", timeout)):
            if value is not None and not value > 0:
                raise InvalidValue(f"{name}: expected a number above 0{_or_none(name)}, got {value!r}")
        self._database = database
        self._clock = Clock() if clock is None else clock
        self._timeout = timeout
        self._connections = Connections(database, auto_migrate)
        self._buffer = WriteBuffer(buffer)
        pruner = Pruner(database, days, per_task)
        self._writer = Writer(database, self._connections, self._buffer, self._clock, timeout, pruner)
        self._recorded: dict[str, int] = {}
        self._numbers: Iterator[int] = itertools.count(1)
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
        on_claimed: Callable[[list[ClaimResult]], None],
        on_status: Callable[[StoreStatus], None],
        clock: Clock | None = None,
        on_orphans: Callable[[list[Run]], None] | None = None,
    ) -> None:
        """Connect, migrate and start the writer; raise StoreError if that fails.

        If another process was alone with the database, wait at most ``timeout`` seconds until it has noticed this one.
        """
        self._connections.check_process()
        if clock is not None:
            self._clock = self._writer.clock = self._writer.peers.clock = clock
        if self._connections.opened or self._writer.alive:
            raise StoreError(f"{self.name}: it is open; close() it first")
        with self._connections.translated():
            self._database.prepare()
            connection = self._connect()
            try:
                self._register_node(connection)
            except BaseException:
                self._connections.disconnect(connection)
                raise
        self._connections.opened = True
        self._writer.start(connection, on_claimed, on_status, on_orphans or _ignore_orphans)
        self._writer.admitted.wait(self._timeout)

    def _register_node(self, connection: Any) -> None:
        writer = self._writer
        if writer.peers.come(connection, this_process(), self._clock.now()):
            writer.session.restart_numbers()
            self._numbers = itertools.count(writer.node * NODE_IDS + 1)
        writer.totals.read_others(self._database, connection)

    def _connect(self) -> Any:
        return self._connections.connect(self._clock.now())

    def close(self, timeout: float) -> int:
        """Write the rest within ``timeout`` seconds and disconnect; return the number of records not written."""
        if self._connections.inherited:
            return 0
        if self._connections.opened:
            self._writer.stop(timeout)
            self._connections.opened = False
        self._connections.disconnect_idle()
        return self._buffer.records

    # -- writing ------------------------------------------------------------------------------------------------------

    def alone(self) -> bool:
        """Return whether no other process can be using the store, so that runs may start without their claims."""
        return self._writer.peers.may_start_anyway()

    def behind(self) -> float:
        """Return by how many seconds the clock is behind the database's, 0.0 if it is not."""
        return max(0.0, -self._writer.peers.ahead)

    def assign_numbers(self, runs: Iterable[Run]) -> None:
        """Give each run that has none its number, from any thread."""
        for run in runs:
            if not hasattr(run, "number"):
                run.number = next(self._numbers)

    def claim(self, claims: Sequence[Claim]) -> None:
        """Submit claims; once they are committed, ``on_claimed`` gets their results, in order."""
        self._connections.check_open()
        for claim in claims:
            self.assign_numbers(claim.opened)
            self.assign_numbers(claim.closed)
        self._submit_all(CLAIMS, claims)

    def record(self, runs: Sequence[Run]) -> None:
        """Record runs that have ended."""
        self._connections.check_open()
        if not runs:
            return
        self.assign_numbers(runs)
        counts = self._recorded.copy()
        for run in runs:
            counts[run.state] = counts.get(run.state, 0) + run.count
        buffer = self._buffer
        idle = not len(buffer)
        for write in portions(RUNS, runs, clocks.elapsed()):
            buffer.append(write)
        self._recorded = counts
        if idle:
            self._writer.ring()
        if buffer.excess() > 0 and self.status().down is not None:
            buffer.shorten()

    def save(self, tasks: Sequence[TaskRecord], back: bool = False) -> None:
        """Record tasks: a new one as given, a known one without ``runs``, which the claims count."""
        self._connections.check_open()
        self._submit_all(SAVES_BACK if back else SAVES, tasks)

    def rename(self, old: str, new: str) -> None:
        """Rename a task and its history; do nothing if the new name is known, or the old one is not."""
        self._connections.check_open()
        self._submit(RENAME, (old, new))

    def audit(self, records: Sequence[AuditRecord]) -> None:
        """Add records to the audit log; while too many wait, further ones are only logged."""
        self._connections.check_open()
        if self._buffer.audits + len(records) > MAX_WAITING:
            log.error("%s: %d audit records wait already; not kept: %r", self.name, self._buffer.audits, records)
            return
        self._submit_all(AUDIT, records)

    def flush(self, timeout: float) -> bool:
        """Wait at most ``timeout`` seconds until everything submitted so far is on record; return whether it is."""
        self._connections.check_open()
        written = threading.Event()
        self._submit(FLUSH, written)
        return written.wait(timeout)

    def _submit(self, kind: int, what: Any) -> None:
        self._buffer.append(Write(kind, what, 0, clocks.elapsed()))
        self._writer.ring()

    def _submit_all(self, kind: int, items: Sequence[Any]) -> None:
        for write in portions(kind, items, clocks.elapsed()):
            self._buffer.append(write)
        self._writer.ring()

    # -- reading ------------------------------------------------------------------------------------------------------

    def status(self) -> StoreStatus:
        """Return the status of the store."""
        return self._writer.status()

    def _find(self, query: Query) -> list[Run]:
        waiting = self._buffer.ended_runs()
        with self._connections.reading() as connection:
            found = self._read_page(connection, query)
        if query.task is not None:
            for run in found.values():
                run.task = query.task  # the name on record may be an escaped one
        found.update((run.number, run) for run in waiting)
        return query.newest(found.values())

    def _read_page(self, connection: Any, query: Query) -> dict[int, Run]:
        database, task = self._database, None
        if query.task is not None:
            ids = database.rows(connection, queries.TASK_ID, (self.spelled(query.task),))
            if not ids:
                return {}
            task = ids[0][0]
        return self._read(
            connection,
            queries.open_page(query, task, self._own_node()),
            queries.ended_page(query, task, database.index_hint),
        )

    def _find_recent(self, tasks: Collection[str], n: int) -> dict[str, list[Run]]:
        waiting, names = self._buffer.ended_runs(), {self.spelled(task): task for task in tasks}
        database, node, found = self._database, self._own_node(), dict[int, Run]()
        with self._connections.reading() as connection:
            ids = [id for _, id in database.select(connection, sql.IDS, [(name,) for name in names])]
            for place in range(0, len(ids), _TASKS_AT_ONCE):
                some = ids[place : place + _TASKS_AT_ONCE]
                last = queries.last_ended(some, n, database.index_hint)
                found.update(self._read(connection, queries.open_of(some, node), last))
        for run in found.values():
            run.task = names[run.task]
        found.update((run.number, run) for run in waiting)
        return newest_by_task(found.values(), tasks, n)

    def run(self, id: str) -> Run | None:
        """Return the run of that id, None if it is not on record; a text that is no id is unknown as well."""
        number = number_of(id)
        if number is None:
            return None
        unwritten = self._buffer.runs()
        with self._connections.reading() as connection:
            found = self._read(connection, queries.one_open(number, self._own_node()), queries.one_ended(number))
        return next((run for run in [*unwritten, *found.values()] if run.id == id), None)

    def _own_node(self) -> int | None:
        """Return the node whose open runs the engine has; None: there is no engine here."""
        return self._writer.node if self._connections.opened else None

    def _read(
        self, connection: Any, open_runs: queries.Statement | None, ended_runs: queries.Statement | None
    ) -> dict[int, Run]:
        """Return runs by number. Open ones are read first: a run that ends meanwhile is found as ended."""
        database, found = self._database, {}
        if open_runs is not None:
            found = {row[0]: queries.open_run(row) for row in database.rows(connection, *open_runs)}
        if ended_runs is not None:
            rows = clocks.giving_way(database.rows(connection, *ended_runs), _ROWS)
            found.update((row[0], queries.ended_run(row)) for row in rows)
        return found

    def counts(self) -> dict[str, int]:
        """Return the number of occurrences ever recorded in each state."""
        if not self._connections.opened:
            with self._connections.reading() as connection:
                return read_totals(self._database, connection)
        return self._writer.totals.with_recorded(self._recorded)

    def counts_by_task(self, since: float | None = None) -> dict[str, dict[str, int]]:
        """Return, by task, the number of occurrences recorded in each state; ``since``: due in that hour or later.

        If ``since`` is before the last 60 days, it is rounded down to the day: counts by hour are kept no longer.
        """
        return self._read_sums(SumsQuery.since(since, self._clock.now())).counts()

    def durations(self, tasks: Collection[str] | None = None, since: float | None = None) -> dict[str, Durations]:
        """Return, by task, the durations of its runs; of these tasks, None: of all that have ended runs.

        ``since``: due in that hour or later, or in that day, as in :meth:`counts_by_task`.
        """
        found = self._read_sums(SumsQuery.since(since, self._clock.now(), tasks, buckets=True)).durations()
        return found if tasks is None else {task: found.get(self.spelled(task), NO_DURATIONS) for task in tasks}

    def counts_by_hour(self, since: float, until: float) -> dict[float, dict[str, int]]:
        """Return, by the hour in which they were due, the number of occurrences in each state, of all tasks."""
        writes = self._buffer.copy()
        with self._connections.reading() as connection:
            return read_hours(since, until, self._database, connection, self._writer.node, writes)

    def _read_sums(self, query: SumsQuery) -> RunCounts:
        writes = self._buffer.copy()
        with self._connections.reading() as connection:
            return read_sums(query, self._database, connection, self._writer.node, writes)

    def audits(self, task: str | None = None, before: int | None = None, limit: int = 50) -> list[AuditRecord]:
        """Return audit records, newest first: of one task and of all tasks together, or (None) every one.

        ``before``: the id of the last one of a page.

        Raises StoreError if the store cannot be read.
        """
        query = AuditQuery(task, before, limit).check()
        writes = self._buffer.copy()
        with self._connections.reading() as connection:
            return read_page(query, self._database, connection, self._writer.node, writes)

    def spelled(self, name: str) -> str:
        """Return a task's name as it is on record: characters that the database cannot hold are escaped."""
        return clean(name, self._database.encoding)

    def load(self) -> dict[str, TaskRecord]:
        """Return the record of every task, by name."""
        with self._connections.reading() as connection:
            return {row[0]: TaskRecord(*row) for row in self._database.rows(connection, sql.TASK_RECORDS)}

    def take_over_orphans(self) -> list[Run]:
        """Return the runs in flight of processes that are gone, as running; they belong to this process from then on.

        Each must be recorded as lost, or taken over: claimed again off schedule as an opened run of the same id.
        """
        self._connections.check_open()
        database, me = self._database, self._writer.node
        with self._connections.translated():
            connection = self._connect()
            try:
                gone = self._writer.peers.gone(connection)
                if not gone:
                    return []
                database.begin(connection)
                runs = take_over(database, connection, me, gone)
                database.commit(connection)
            finally:
                self._connections.disconnect(connection)
        return runs

    def _in_child(self) -> None:
        """Make the store inert in a forked child: its connections belong to the parent."""
        self._writer.reset_after_fork()
        self._connections.reset_after_fork()


def _ignore_orphans(runs: list[Run]) -> None:
    """Ignore runs whose process is gone."""


def _or_none(name: str) -> str:
    return " or None (no bound)" if name in ("days", "per_task") else ""


_stores: "weakref.WeakSet[DatabaseStore]" = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for store in list(_stores):
        store._in_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
