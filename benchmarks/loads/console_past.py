"""Ten million runs on record, for the console's load: written by SQL, as no engine could in that time.

Run ``n`` is of task ``n % tasks``; a task runs every SPACING seconds, up to now. Two runs in a hundred have failed,
with a traceback and a log; one in a hundred was skipped.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Any

from tgscheduler import stores
from tgscheduler.stores.base import TaskRecord
from tgscheduler.stores.nodes import NODE_IDS
from tgscheduler.timetable.durations import bucket_of

SPACING = 360.0

#: The durations of runs, and the case of each.
_DURATIONS = (0.011, 0.018, 0.035, 0.4)
_BUCKETS = " ".join(f"WHEN {number} THEN {bucket_of(seconds)}" for number, seconds in enumerate(_DURATIONS))
_TOOK = " ".join(f"WHEN {number} THEN {seconds}" for number, seconds in enumerate(_DURATIONS))

_NUMBERS = {
    "sqlite": "WITH RECURSIVE numbers (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < {runs}) "
    "SELECT n FROM numbers",
    "postgresql": "SELECT n FROM generate_series(0::bigint, {runs} - 1) AS numbers (n)",
}
_RUNS = """
INSERT INTO tg_run
SELECT {node_ids} + n, n % {tasks} + 1, {begin} + n / {tasks} * {spacing} + n % {tasks} * {between}, NULL, 1,
       CASE WHEN kind = 7 OR kind = 31 THEN 'failed' WHEN kind = 50 THEN 'skipped' ELSE 'ok' END, 1,
       CASE WHEN kind <> 50 THEN {begin} + n / {tasks} * {spacing} + n % {tasks} * {between} + 0.001 END,
       CASE WHEN kind <> 50 THEN {begin} + n / {tasks} * {spacing} + n % {tasks} * {between} + 0.001
           + CASE n / 7 % 4 {took} END END,
       1, NULL, 4711, CASE WHEN kind <> 50 THEN 'tgscheduler-7' END,
       CASE WHEN kind = 50 THEN 'the run before is still running' END,
       CASE WHEN kind = 7 OR kind = 31 THEN 'Traceback (most recent call last): ...' END,
       CASE WHEN kind = 7 OR kind = 31 THEN 'a line of the log' END
FROM (SELECT n, (n / {tasks} * 31 + n % {tasks} * 17) % 100 AS kind FROM ({numbers}) AS numbered) AS kinds
"""
_COUNTS = """
INSERT INTO tg_count
SELECT '{span}', CAST({group} AS {integer}), task_id, state, sum(count), coalesce(sum(ended - started), 0),
       coalesce(max(ended - started), 0)
FROM tg_run GROUP BY 2, 3, 4
"""
_ALL = """
INSERT INTO tg_count
SELECT 'all', begin, 0, state, sum(count), sum(seconds), max(longest) FROM tg_count WHERE span = 'hour' GROUP BY 2, 4
"""
_DURATION_SUMS = """
INSERT INTO tg_duration
SELECT '{span}', CAST({group} AS {integer}), task_id, CASE (id - {node_ids}) / 7 % 4 {buckets} END, count(*),
       sum(ended - started), max(ended - started)
FROM tg_run WHERE state IN ('ok', 'failed') GROUP BY 2, 3, 4
"""
#: How the beginning of a sum is made from a due time, in each dialect.
_FLOOR = {
    "sqlite": ("CAST(due AS INTEGER) / {length} * {length}", "INTEGER"),
    "postgresql": ("floor(due / {length}) * {length}", "bigint"),
}


def fill(url: str, tasks: int, runs: int, now: float) -> None:
    """Fill an empty store with tasks and runs that end at ``now``."""
    store = stores.open(url)
    store.open(lambda results: None, lambda condition: None)
    store.save([TaskRecord(f"task {number}", "", high_water=now) for number in range(tasks)])
    if not store.flush(60):
        raise RuntimeError("the tasks were not saved within a minute")
    store.close(60)
    dialect = url.partition(":")[0]
    begin = now - runs / tasks * SPACING
    (_fill_sqlite if dialect == "sqlite" else _fill_postgres)(url, list(_statements(dialect, tasks, runs, begin)))


def _statements(dialect: str, tasks: int, runs: int, begin: float) -> Iterator[str]:
    words: dict[str, Any] = {
        "tasks": tasks, "begin": begin, "spacing": SPACING, "between": SPACING / tasks, "node_ids": NODE_IDS,
        "took": _TOOK, "buckets": _BUCKETS, "numbers": _NUMBERS[dialect].format(runs=runs),
    }  # fmt: skip
    yield _RUNS.format(**words)
    floor, integer = _FLOOR[dialect]
    for span, length in (("hour", 3600), ("day", 86400), ("ever", 0)):
        group = floor.format(length=length) if length else "0"
        for statement in (_COUNTS, _DURATION_SUMS):
            yield statement.format(span=span, group=group, integer=integer, **words)
    yield _ALL


def _fill_sqlite(url: str, statements: list[str]) -> None:
    path = stores.path_of(url)
    assert path is not None
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for pragma in ("journal_mode = OFF", "synchronous = OFF", "cache_size = -200000"):
            connection.execute(f"PRAGMA {pragma}")
        found = connection.execute("SELECT name, sql FROM sqlite_master WHERE tbl_name = 'tg_run' AND type = 'index'")
        indexes = [(name, sql) for name, sql in found.fetchall() if sql]
        for name, _ in indexes:  # made last, which takes a fifth of the time
            connection.execute(f"DROP INDEX {name}")
        connection.execute("BEGIN")
        for statement in statements:
            connection.execute(statement)
        connection.execute("COMMIT")
        for _, sql in indexes:
            connection.execute(sql)
        connection.execute("PRAGMA journal_mode = WAL")


def _fill_postgres(url: str, statements: list[str]) -> None:
    import psycopg

    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        found = connection.execute("SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'tg_run'").fetchall()
        indexes = [(name, sql) for name, sql in found if not name.endswith("_pkey")]
        for name, _ in indexes:
            connection.execute(f"DROP INDEX {name}")
        connection.execute("SET synchronous_commit = off")
        for statement in statements:
            connection.execute(statement)
        for _, sql in indexes:
            connection.execute(sql)
        for table in ("tg_run", "tg_count", "tg_duration", "tg_task"):
            connection.execute(f"VACUUM (ANALYZE) {table}")
