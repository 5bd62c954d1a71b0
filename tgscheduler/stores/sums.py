"""Sums by task over a period, from the rows that they are added up from and from the write buffer.

::

    ever            the row of all time
    since 09:00     rows of the hours from 09:00 to midnight, rows of the days after it
    long ago        rows of the days: those of hours are kept no longer
    always          new rows, which are in none of the others yet, and runs in the write buffer
"""

import math
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from tgscheduler.messages import clean
from tgscheduler.stores import sql
from tgscheduler.stores.base import hour
from tgscheduler.stores.database import Database
from tgscheduler.stores.pruning import HOURS_KEPT
from tgscheduler.stores.run_counts import RunCounts, add_sums
from tgscheduler.stores.write_buffer import DROPPED, RUNS, Write

_HOUR, _DAY = 3600, 86400
#: Maximum number of hours, days or tasks that a statement looks up one by one; if there are more, it reads all rows.
MAX_LISTED = 1000
_EARLIEST = -(1 << 62)


class SumsQuery(NamedTuple):
    """A query for sums: spans of rows with their beginnings, the earliest beginning of new rows, and the tasks."""

    spans: tuple[tuple[str, range], ...]
    begin: int
    #: Names, None: all tasks.
    tasks: Collection[str] | None = None
    #: Whether sums by bucket are read too.
    buckets: bool = False

    @classmethod
    def since(
        cls, moment: float | None, now: float, tasks: Collection[str] | None = None, buckets: bool = False
    ) -> "SumsQuery":
        """Return the query for the time from the hour of a moment, or from its day if hours are no longer kept."""
        if moment is None:
            return cls((("ever", range(1)),), _EARLIEST, tasks, buckets)
        begin = int(hour(moment))
        if moment < now - (HOURS_KEPT - 1) * _DAY:
            begin = begin // _DAY * _DAY
        midnight = -(-begin // _DAY) * _DAY
        spans = ("hour", range(begin, midnight, _HOUR)), ("day", range(midnight, int(now) + 2 * _DAY, _DAY))
        return cls(spans, begin, tasks, buckets)


def read_sums(query: SumsQuery, database: Database, connection: Any, node: int, writes: Sequence[Write]) -> RunCounts:
    """Return sums by the names of tasks as they are on record; all hours are one, 0.

    ``writes``: those that were in the write buffer before; ``node``: the process whose buffer it is.
    """
    names = None if query.tasks is None else {clean(task, database.encoding) for task in query.tasks}
    found, written = RunCounts(), 0
    for task, state, bucket, count, *times in _rows(query, names, database, connection, node):
        if task is None:
            written = int(count)
        elif names is None or task in names:
            sums, group = (found.buckets, bucket) if state is None else (found.states, state)
            add_sums(sums, (task, 0, group), int(count), *times)
    waiting = _waiting(writes, written)
    for sums, added in ((found.states, waiting.states), (found.buckets, waiting.buckets)):
        for (task, begin, group), values in added.items():
            name = clean(task, database.encoding)
            if begin >= query.begin and (names is None or name in names):
                add_sums(sums, (name, 0, group), *values)
    return found


def _rows(query: SumsQuery, names: Collection[str] | None, database: Database, connection: Any, node: int) -> list[Any]:
    """Return the rows of a query; a task that is new meanwhile is in all of it or in nothing."""
    if names is None or len(names) > MAX_LISTED:
        return database.rows(connection, *_statement(query, node, None))
    while True:
        ids = database.select(connection, sql.IDS, [(name,) for name in names])
        rows = database.rows(connection, *_statement(query, node, [number for _, number in ids]))
        if len(ids) == len(names) or len(database.select(connection, sql.IDS, [(name,) for name in names])) == len(ids):
            return rows


def read_hours(
    since: float, until: float, database: Database, connection: Any, node: int, writes: Sequence[Write]
) -> dict[float, dict[str, int]]:
    """Return the number of occurrences of all tasks in each state, by hour (``writes``, ``node``: as above)."""
    begin, end = int(hour(since)), math.ceil(until)
    rows, values = _HOURS, [begin, end, begin, end, node]
    found: dict[float, dict[str, int]] = {}
    written = 0
    for moment, state, count in database.rows(connection, rows, values):
        if moment is None:
            written = int(count)
        else:
            _count(found, moment, state, int(count))
    for (_, moment, state), (count, _, _) in _waiting(writes, written).states.items():
        if begin <= moment < end:
            _count(found, moment, state, int(count))
    return found


#: Rows (hour, state, count), and one with the last batch of a node, as in ``_statement``.
_HOURS = (
    "SELECT begin, state, count FROM tg_count WHERE span = 'all' AND begin >= ? AND begin < ? "
    "UNION ALL SELECT begin, state, count FROM tg_count WHERE span = 'new' AND begin >= ? AND begin < ? "
    "UNION ALL SELECT NULL, NULL, batch FROM tg_node WHERE id = ?"
)


def _count(found: dict[float, dict[str, int]], moment: float, state: str, count: int) -> None:
    states = found.setdefault(float(moment), {})
    states[state] = states.get(state, 0) + count


def _statement(query: SumsQuery, node: int, ids: Sequence[int] | None) -> tuple[str, list[Any]]:
    """Return the statement for the rows (task, state, bucket, count, seconds, longest), and its values.

    One more row has the last batch of ``node`` as its count, so that sums and batch number are consistent.
    """
    added = "sum(c.count), sum(c.seconds), max(c.longest)"
    parts = [_select(query, ids, "tg_count", f"c.state, NULL, {added}", "c.state")]
    if query.buckets:
        parts.append(_select(query, ids, "tg_duration", f"NULL, c.bucket, {added}", "c.bucket"))
    parts.append(("SELECT NULL, NULL, NULL, batch, NULL, NULL FROM tg_node WHERE id = ?", [node]))
    return " UNION ALL ".join(part for part, _ in parts), [value for _, values in parts for value in values]


def _select(query: SumsQuery, ids: Sequence[int] | None, table: str, columns: str, group: str) -> tuple[str, list[Any]]:
    """Return the statement that adds up the rows of a table by task and group, and its values."""
    chosen, tasks = ("", []) if ids is None else (f" AND task_id IN ({_places(ids)})", list(ids))
    rows = [f"SELECT * FROM {table} WHERE span = 'new' AND begin >= ?{chosen}"]  # noqa: S608
    values = [query.begin, *tasks]
    for span, begins in query.spans:
        if ids is not None and len(begins) <= MAX_LISTED:
            among, bounds = f"begin IN ({_places(begins)})", list(begins)
        else:
            among, bounds = "begin >= ? AND begin < ?", [begins.start, begins.stop]
        rows.append(f"SELECT * FROM {table} WHERE span = '{span}' AND {among}{chosen}")  # noqa: S608
        values += [*bounds, *tasks]
    return (
        f"SELECT t.name, {columns} FROM ({' UNION ALL '.join(rows)}) c "  # noqa: S608
        f"JOIN tg_task t ON t.id = c.task_id GROUP BY t.name, {group}",
        values,
    )


def _places(values: Sequence[Any]) -> str:
    """Return a placeholder for each value; NULL if there are none."""
    return ", ".join("?" * len(values)) or "NULL"


def _waiting(writes: Sequence[Write], written: int) -> RunCounts:
    """Return the sums of the writes that transactions up to number ``written`` have not written."""
    counts = RunCounts()
    for write in writes:
        if write.batch is None or write.batch > written:
            if write.kind == RUNS:
                counts.add(write.items)
            elif write.kind == DROPPED:
                counts.merge(write.items.counts)
    return counts
