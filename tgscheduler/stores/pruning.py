"""Retention: runs that are too old, or too many of one task, and old audit records are removed in small steps."""

import math
from collections.abc import Callable
from typing import Any

from tgscheduler.clock import elapsed
from tgscheduler.stores import sql
from tgscheduler.stores.database import Database
from tgscheduler.stores.nodes import NODE_IDS
from tgscheduler.stores.run_counts import roll_up
from tgscheduler.stores.sql import Many

DAY = 86400.0
#: Days for which sums by hour are kept; sums by day are kept forever.
HOURS_KEPT = 60
#: Maximum number of audit records.
AUDITS_KEPT = 100_000
#: Maximum number of rows that a step removes, and its target duration (seconds).
STEP = 500
TARGET = 0.01
#: Pause (seconds) between the end of a pass and the next one.
REST = 60.0
_TASKS = 50


class Pruner:
    """Rolls up new sums; removes old and excess runs and audit records, old sums by hour, and processes long gone."""

    def __init__(self, database: Database, days: float | None, per_task: int | None) -> None:
        self._database, self._days, self._per_task = database, days, per_task
        self._next = 0.0
        self._rows = 100
        self._task = self._erased = 0
        self._stages: list[Callable[[Any, float], bool]] = []

    def due(self, now: float) -> float:
        """Return the seconds until the next step; ``now`` is the monotonic clock's."""
        return max(0.005 if self._database.maintaining() else 0.0, self._next - now)

    def step(self, connection: Any, now: float) -> None:
        """Do one small step; ``now`` is the wall clock's."""
        erased, self._erased = self._erased, 0
        if self._database.maintain(connection, erased) or self._database.maintaining():
            return
        began = elapsed()
        if not self._stages:
            self._task = 0
            self._stages = [self._roll_up, self._old, self._many, self._audits, self._sums, self._nodes]
        more = self._stages[0](connection, now)
        took = elapsed() - began
        if took > TARGET:
            self._rows = max(10, self._rows // 2)
        elif took < TARGET / 3:
            self._rows = min(STEP, self._rows * 2)
        if not more:
            del self._stages[0]
        self._next = elapsed() + (took if self._stages else REST)  # at most half of an idle writer's time

    def _roll_up(self, connection: Any, now: float) -> bool:
        """Move new sums into those of their hour, of their day and of all time, in one transaction."""
        database = self._database
        more = False
        database.begin(connection)
        for table in (sql.COUNTS, sql.DURATIONS):
            new = database.rows(connection, table.new + database.locked, (STEP,))
            if new:
                database.execute_many(connection, table.add, roll_up(new))
                database.execute_many(connection, table.remove_new, [row[:3] for row in new])
            more = more or len(new) == STEP
        database.commit(connection)
        return more

    def _old(self, connection: Any, now: float) -> bool:
        if self._days is None:
            return False
        page = "SELECT id FROM tg_run WHERE due < ? ORDER BY due, id LIMIT ?"
        return self._erase(connection, page, (now - self._days * DAY, self._rows))

    def _many(self, connection: Any, now: float) -> bool:
        """Check a few tasks; remove runs of the first that has too many."""
        if self._per_task is None:
            return False
        began = elapsed()
        for (task,) in self._database.rows(
            connection, "SELECT id FROM tg_task WHERE id > ? ORDER BY id LIMIT ?", (self._task, _TASKS)
        ):
            last = self._database.rows(
                connection,
                "SELECT due, id FROM tg_run WHERE task_id = ? ORDER BY due DESC, id DESC LIMIT 1 OFFSET ?",
                (task, self._per_task),
            )
            if last:
                page = "SELECT id FROM tg_run WHERE task_id = ? AND (due, id) <= (?, ?) ORDER BY due, id LIMIT ?"
                if self._erase(connection, page, (task, *last[0], self._rows)):
                    return True
            self._task = task
            if elapsed() - began > TARGET / 2:
                return True
        return bool(self._database.rows(connection, "SELECT 1 FROM tg_task WHERE id > ? LIMIT 1", (self._task,)))

    def _audits(self, connection: Any, now: float) -> bool:
        """Remove audit records that are too old, or too many."""
        place = "SELECT at, id FROM tg_audit ORDER BY at DESC, id DESC LIMIT 1 OFFSET ?"
        last = self._database.rows(connection, place, (AUDITS_KEPT,))
        days = math.inf if self._days is None else self._days
        end = max(*last, (now - days * DAY, 0), (-math.inf, 0))
        page = "SELECT id FROM tg_audit WHERE (at, id) <= (?, ?) ORDER BY at, id LIMIT ?"
        return self._erase(connection, page, (*end, self._rows), sql.ERASE_AUDITS)

    def _erase(self, connection: Any, page: str, values: tuple[Any, ...], statement: Many = sql.ERASES) -> bool:
        """Remove the rows of a page in a transaction; return whether there may be more."""
        found = self._database.rows(connection, page, values)
        if found:
            self._database.begin(connection)
            self._database.execute_many(connection, statement, found)
            self._database.commit(connection)
            self._erased += len(found)
        return len(found) >= int(values[-1])

    def _sums(self, connection: Any, now: float) -> bool:
        before, more = int(now - HOURS_KEPT * DAY), False
        for table in ("tg_count", "tg_duration"):
            old = f"FROM {table} WHERE span = 'hour' AND begin < ?"
            hours = self._database.rows(
                connection,
                f"SELECT begin {old} ORDER BY begin LIMIT ?",
                (before, self._rows),
            )
            if hours:
                self._database.execute(connection, f"DELETE {old}", (min(before, hours[-1][0] + 1),))
                more = True
        return more

    def _nodes(self, connection: Any, now: float) -> bool:
        """Remove processes that have been gone for a day and have no runs left; their ids are never reused."""
        self._database.execute(
            connection,
            "DELETE FROM tg_node WHERE seen < ? AND begun < ? "
            "AND NOT EXISTS (SELECT 1 FROM tg_open WHERE tg_open.node_id = tg_node.id) "
            "AND NOT EXISTS (SELECT 1 FROM tg_run WHERE tg_run.id BETWEEN tg_node.id * ? AND tg_node.id * ? + ?)",
            (now - DAY, now - DAY, NODE_IDS, NODE_IDS, NODE_IDS - 1),
        )
        return False
