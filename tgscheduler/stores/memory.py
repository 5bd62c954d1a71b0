"""The memory store: the last runs, and the counts of all runs."""

import itertools
import math
from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import replace

from tgscheduler.stores.audit import MAX_WAITING, AuditQuery, AuditRecord
from tgscheduler.stores.base import Query, QueryMixin, hour, newest_by_task
from tgscheduler.stores.run_counts import RunCounts
from tgscheduler.timetable.durations import NO_DURATIONS, Durations
from tgscheduler.timetable.run import Run, number_of


class MemoryStore(QueryMixin):
    """Keeps the last ``history`` runs until the process ends."""

    persistent = False

    def __init__(self, history: int = 10_000) -> None:
        self._runs: deque[Run] = deque(maxlen=history)
        self._counts: dict[str, int] = {}
        self._audits: deque[AuditRecord] = deque(maxlen=MAX_WAITING)
        self._audit_ids = itertools.count(1)

    def bound(self, history: int) -> None:
        """Keep ``history`` runs from now on."""
        self._runs = deque(self._runs, maxlen=history)

    def record(self, runs: Sequence[Run]) -> None:
        """Record runs that have ended; drop the oldest beyond the bound."""
        self._runs.extend(runs)
        counts = self._counts
        state, count = "", 0
        for run in runs:  # mostly long sequences of one state
            if run.state != state:
                if count:
                    counts[state] = counts.get(state, 0) + count
                state, count = run.state, 0
            count += run.count
        if count:
            counts[state] = counts.get(state, 0) + count

    def _find(self, query: Query) -> list[Run]:
        return query.newest(self._runs.copy())

    def _find_recent(self, tasks: Collection[str], n: int) -> dict[str, list[Run]]:
        return newest_by_task(self._runs.copy(), tasks, n)

    def run(self, id: str) -> Run | None:
        """Return the run of that id, None if it is not kept, or any more."""
        if number_of(id) is None:
            return None
        return next((run for run in self._runs.copy() if run.has_id(id)), None)

    def counts(self) -> dict[str, int]:
        """Return the number of occurrences ever recorded in each state, those of dropped runs included."""
        return self._counts.copy()

    def counts_by_task(self, since: float | None = None) -> dict[str, dict[str, int]]:
        """Return, by task, the number of occurrences among the kept runs in each state."""
        return self._sums(since).counts()

    def counts_by_hour(self, since: float, until: float) -> dict[float, dict[str, int]]:
        """Return, by the hour in which they were due, the number of occurrences among the kept runs in each state."""
        counts: dict[float, dict[str, int]] = {}
        for run in self._runs.copy():
            begin = hour(run.due)
            if hour(since) <= begin < until:
                states = counts.setdefault(begin, {})
                states[run.state] = states.get(run.state, 0) + run.count
        return counts

    def durations(self, tasks: Collection[str] | None = None, since: float | None = None) -> dict[str, Durations]:
        """Return, by task, the durations of its kept runs; of these tasks, None: of all that have any."""
        found = self._sums(since, tasks).durations()
        return found if tasks is None else {task: found.get(task, NO_DURATIONS) for task in tasks}

    def audit(self, records: Sequence[AuditRecord]) -> None:
        """Add records to the audit log; drop the oldest beyond the bound."""
        self._audits.extend(replace(record, id=next(self._audit_ids)) for record in records)

    def audits(self, task: str | None = None, before: int | None = None, limit: int = 50) -> list[AuditRecord]:
        """Return the kept audit records that a query selects: see :class:`~tgscheduler.stores.audit.AuditQuery`."""
        return AuditQuery(task, before, limit).check().newest(self._audits.copy())

    def _sums(self, since: float | None, tasks: Collection[str] | None = None) -> RunCounts:
        begin = -math.inf if since is None else hour(since)
        names = None if tasks is None else set(tasks)
        sums = RunCounts()
        sums.add(run for run in self._runs.copy() if run.due >= begin and (names is None or run.task in names))
        return sums
