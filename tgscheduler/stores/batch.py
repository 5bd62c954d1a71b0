"""One transaction: it writes a batch from the write buffer, and collects the results.

::

    the node's batch number goes from n - 1 to n      <- shows later whether an unacknowledged commit was made
    saves, renames, audit records                     in submission order
    claims   marks move -> granted or not             a round for each task's first, second, … claim
             opened and closed runs of granted claims
    ended runs: rows added, open rows removed, sums added
    open runs of processes that are gone: this process takes them over
"""

import math
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

from tgscheduler.messages import clean
from tgscheduler.stores import sql
from tgscheduler.stores.audit import AuditRecord
from tgscheduler.stores.base import Claim, ClaimResult, TaskRecord
from tgscheduler.stores.database import Database
from tgscheduler.stores.peers import take_over
from tgscheduler.stores.run_counts import RunCounts, new_rows
from tgscheduler.stores.sql import Many
from tgscheduler.stores.write_buffer import (
    AUDIT,
    CLAIMS,
    DROPPED,
    GIVE_UP,
    RENAME,
    RUNS,
    SAVES,
    SAVES_BACK,
    TAKE,
    Write,
)
from tgscheduler.timetable.run import Run

#: A high-water mark further in the future than this (seconds) comes from a wrong clock.
WRONG = 3 * 3600.0
#: Kinds of writes that are written in their place among the others.
_APART = (SAVES, SAVES_BACK, RENAME, AUDIT)


class ClaimConflict(Exception):
    """Another process was first, with a claim or with a run's end: the batch must be written again, with checks."""


class Batch:
    """The content of one transaction."""

    def __init__(self, node: int, host: str, number: int, writes: Sequence[Write], skipped: set[int]) -> None:
        self.node, self.host, self.number, self.writes = node, host, number, writes
        self._skipped = skipped
        #: Results of the claims, to be reported once the batch is committed.
        self.results: list[ClaimResult] = []
        #: Runs that ended with a granted claim.
        self.closed: list[Run] = []
        #: Runs that do not count: already on record (another node recorded them as lost), or their claim was refused.
        self.duplicates: list[Run] = []
        #: Open runs taken over from processes that are gone.
        self.orphans: list[Run] = []
        #: No claim is granted beyond this moment: it would come from a clock that is ahead.
        self.latest = math.inf
        #: Whether to check which claims are refused and which runs are already on record, which is rare.
        self.check_conflicts = False

    def write(self, database: Database, connection: Any, ids: dict[str, int], now: float) -> None:
        """Write the batch in the caller's transaction; ``ids``: row ids of known tasks, by name."""
        self.results, self.closed, self.duplicates, self.orphans = [], [], [], []
        # RUNS also stands for claims and dropped runs: all between two writes of _APART are written together.
        parts = groupby(self.writes, lambda write: write.kind if write.kind in _APART else RUNS)
        for kind, writes in parts:
            if kind == RENAME:
                for old, new in (write.items for write in writes):
                    old_name, new_name = clean(old, database.encoding), clean(new, database.encoding)
                    if database.execute(connection, sql.RENAME, (new_name, old_name, new_name)):
                        database.execute(connection, sql.RENAME_AUDITS, (new_name, old_name))
                    ids.pop(old, None)
            elif kind == AUDIT:
                records = [_audit_row(record, database.encoding) for write in writes for record in write.items]
                database.execute_many(connection, sql.AUDITS, records)
            elif kind == RUNS:
                self._write_runs(database, connection, ids, now, list(writes))
            else:
                tasks = [task for write in writes for task in write.items]
                self._save(database, connection, tasks, sql.SAVES if kind == SAVES else sql.SAVES_BACK)
        for write in self.writes:
            if write.kind == GIVE_UP:
                database.execute(connection, "UPDATE tg_node SET alone = 0 WHERE id = ?", (self.node,))
            elif write.kind == TAKE:
                self.orphans += take_over(database, connection, self.node, write.items)

    def _save(self, database: Database, connection: Any, tasks: Sequence[TaskRecord], statement: Many) -> None:
        encoding = database.encoding
        for part in rounds((clean(task.name, encoding), task) for task in tasks):
            rows = [
                (name, clean(task.spec, encoding), task.anchor, task.high_water, task.paused_until, task.runs)
                for name, task in part
            ]
            database.execute_many(connection, statement, rows)

    def _write_runs(
        self, database: Database, connection: Any, ids: dict[str, int], now: float, writes: list[Write]
    ) -> None:
        claims = [claim for write in writes if write.kind == CLAIMS for claim in write.items]
        ended: list[Run] = [run for write in writes if write.kind == RUNS for run in write.items]
        dropped = [write.items for write in writes if write.kind == DROPPED]
        names = {claim.task for claim in claims}.union([run.task for run in ended])
        for rest in dropped:
            names.update(rest.opened, (task for task, _, _ in rest.counts.states))
        self._identify(database, connection, ids, names)

        granted = self._claim(database, connection, ids, now, claims)
        ended = self._without_refused(ended)
        closed = [run for claim in granted for run in claim.closed]
        self.closed += closed
        ended = [*closed, *ended]
        here = {run.number for run in ended}
        opened = [
            (run.number, ids[run.task], run.due, _until(run), run.count, run.attempt, run.takeovers, self.node)
            for claim in granted
            for run in claim.opened
            if run.number not in here and run.number not in self._skipped
        ]
        if opened and database.execute_many(connection, sql.OPENS, opened) != len(opened) and not self.check_conflicts:
            raise ClaimConflict
        counts = RunCounts()
        gone: list[tuple[int | None]] = []
        for rest in dropped:
            counts.merge(rest.counts)
            gone += [(number,) for number in rest.ids]
            if rest.opened:
                database.execute_many(
                    connection, sql.COUNTED, [(ids[task], count) for task, count in rest.opened.items()]
                )
        if ended:
            ended = self._record(database, connection, ids, ended)
            gone += [(run.number,) for run in ended]
        if gone:
            database.execute_many(connection, sql.CLOSES, gone)
        counts.add(ended)
        for table, sums in ((sql.COUNTS, counts.states), (sql.DURATIONS, counts.buckets)):
            if sums:
                database.execute_many(connection, table.add, new_rows(sums, ids))

    def _claim(
        self, database: Database, connection: Any, ids: dict[str, int], now: float, claims: Sequence[Claim]
    ) -> list[Claim]:
        """Move the marks; return the granted claims, and add all results to ``results`` in the order of the claims."""
        refused: dict[int, float] = {}  # id() of the claim -> the mark in the store
        timed = [claim for claim in claims if not claim.off_schedule]
        early = {id(claim) for claim in timed if claim.until > self.latest} if self.latest < math.inf else set()
        if timed:
            database.lock_tasks(connection, sorted({ids[claim.task] for claim in timed}))
        if early:
            asked = [(ids[claim.task],) for claim in timed if id(claim) in early]
            high_waters = dict(database.select(connection, sql.MARKS, asked))
            refused.update((id(claim), high_waters[ids[claim.task]]) for claim in timed if id(claim) in early)
        if self.check_conflicts:
            refused.update(self._overtaken(database, connection, claims))
        for part in rounds((ids[claim.task], claim) for claim in timed if id(claim) not in early):
            rows = [(task, claim.until, len(claim.opened), claim.due, now + WRONG) for task, claim in part]
            if self.check_conflicts:
                high_waters = dict(database.select(connection, sql.REFUSED, rows))
                refused.update({id(claim): high_waters[task] for task, claim in part if task in high_waters})
                rows = [row for row in rows if row[0] not in high_waters]
            if rows and database.execute_many(connection, sql.MOVE_MARKS, rows) != len(rows):
                raise ClaimConflict
        granted = []
        for claim in claims:
            high_water = refused.get(id(claim))
            on_record = claim.until if high_water is None else high_water
            self.results.append(ClaimResult(claim, high_water is None, on_record, id(claim) in early))
            if high_water is None:
                granted.append(claim)
        return granted

    def _overtaken(self, database: Database, connection: Any, claims: Sequence[Claim]) -> dict[int, float]:
        """Return the claims of further attempts that are refused, as another process has taken over their run."""
        asked = [(run.number, run.attempt) for claim in claims if claim.off_schedule for run in claim.opened]
        taken = {number for (number,) in database.select(connection, sql.OVERTAKEN, asked)} if asked else set()
        return {
            id(claim): -math.inf
            for claim in claims
            if claim.off_schedule and any(run.number in taken for run in claim.opened)
        }

    def _without_refused(self, ended: list[Run]) -> list[Run]:
        """Return the ended runs whose claim was not refused; another process records the occurrences of the others."""
        refused = {run.number for result in self.results if not result.granted for run in result.claim.opened}
        if not refused and min((run.number for run in ended), default=0) >= 0:
            return ended
        self.duplicates += [run for run in ended if run.number < 0 or run.number in refused]
        return [run for run in ended if run.number >= 0 and run.number not in refused]

    def _record(self, database: Database, connection: Any, ids: dict[str, int], ended: list[Run]) -> list[Run]:
        """Write ended runs; return those that were not on record yet."""
        if self.check_conflicts:
            duplicates = {
                number for (number,) in database.select(connection, sql.DUPLICATES, [(run.number,) for run in ended])
            }
            self.duplicates += [run for run in ended if run.number in duplicates]
            ended = [run for run in ended if run.number not in duplicates]
        rows = [self._row(run, ids[run.task], database.encoding) for run in ended]
        if rows and database.execute_many(connection, sql.RUNS, rows) != len(rows):
            raise ClaimConflict
        return ended

    def _row(self, run: Run, task: int, encoding: str) -> tuple[Any, ...]:
        where, reason, error = run.where, run.reason, run.error
        log = run.log
        if where is None:
            host = process = thread = None
        else:
            host, process, thread = where
            host, thread = None if host == self.host else clean(host, encoding), clean(thread, encoding)
        return (
            run.number, task, run.due, _until(run), run.count, run.state, run.attempt,
            run.started, run.ended, self.node, host, process, thread,
            None if reason is None else clean(reason, encoding), None if error is None else clean(error, encoding),
            clean(log, encoding) if log else None,
        )  # fmt: skip

    @staticmethod
    def _identify(database: Database, connection: Any, ids: dict[str, int], names: Iterable[str]) -> None:
        """Add the missing names to ``ids``; a task that was never saved gets a row with only its name."""
        missing = {name: clean(name, database.encoding) for name in names if name not in ids}
        if not missing:
            return
        asked = [(name,) for name in sorted(set(missing.values()))]
        found = dict(database.select(connection, sql.IDS, asked))
        if len(found) < len(asked):
            unknown = [(name, "", None, -math.inf, -math.inf, 0) for (name,) in asked if name not in found]
            database.execute_many(connection, sql.NAMES, unknown)
            found = dict(database.select(connection, sql.IDS, asked))
        ids.update((name, found[cleaned]) for name, cleaned in missing.items())


def _audit_row(record: AuditRecord, encoding: str) -> tuple[Any, ...]:
    texts = record.who, record.role, record.action, record.task, record.detail, record.origin, record.outcome
    return (float(record.at), *(None if text is None else clean(text, encoding) for text in texts))


def _until(run: Run) -> float | None:
    return None if run.until == run.due else run.until


def rounds(pairs: Iterable[tuple[Any, Any]]) -> list[list[tuple[Any, Any]]]:
    """Split pairs into parts so that no key is twice in a part, and the pairs of a key keep their order."""
    parts: list[list[tuple[Any, Any]]] = []
    seen: dict[Any, int] = {}
    for key, value in pairs:
        place = seen.get(key, 0)
        seen[key] = place + 1
        if place == len(parts):
            parts.append([])
        parts[place].append((key, value))
    return parts
