"""Numbers of occurrences on record in each state: those that this process has written, and those of others."""

from collections.abc import Iterable
from typing import Any

from tgscheduler.stores import sql
from tgscheduler.stores.batch import Batch
from tgscheduler.stores.database import Database
from tgscheduler.stores.write_buffer import DROPPED, RUNS
from tgscheduler.timetable.run import Run


class Totals:
    """Numbers of occurrences by state; the writer's thread changes them, any thread reads them."""

    def __init__(self) -> None:
        #: Those that ended with claims.
        self.closed: dict[str, int] = {}
        #: Totals of the database, without what this process has written.
        self.others: dict[str, int] = {}
        self._written: dict[str, int] = {}

    def add(self, batch: Batch) -> None:
        """Add the occurrences of a batch that is committed."""
        written = self._written
        for write in batch.writes:
            if write.kind == RUNS:
                _add_counts(written, write.items)
            elif write.kind == DROPPED:
                for (_, _, state), (count, _, _) in write.items.counts.states.items():
                    written[state] = written.get(state, 0) + int(count)
        closed = self.closed.copy()
        for counts in (written, closed):
            _add_counts(counts, batch.closed)
            _add_counts(counts, batch.duplicates, -1)
        self.closed = closed  # replaced as a whole: readers take no lock

    def read_others(self, database: Database, connection: Any) -> None:
        """Read the numbers that other processes have written."""
        found, written = read_totals(database, connection), self._written
        self.others = {state: found.get(state, 0) - written.get(state, 0) for state in {**found, **written}}

    def with_recorded(self, recorded: dict[str, int]) -> dict[str, int]:
        """Return the totals by state; ``recorded``: occurrences of this process that did not end with a claim."""
        counts: dict[str, int] = {}
        for part in (self.others, recorded, self.closed):
            for state, count in part.items():
                counts[state] = counts.get(state, 0) + count
        return {state: count for state, count in counts.items() if count}


def read_totals(database: Database, connection: Any) -> dict[str, int]:
    """Return the number of occurrences on record in each state."""
    found: dict[str, int] = {}
    for state, count in database.rows(connection, sql.TOTALS):
        found[state] = found.get(state, 0) + int(count)
    return found


def _add_counts(counts: dict[str, int], runs: Iterable[Run], sign: int = 1) -> None:
    for run in runs:
        counts[run.state] = counts.get(run.state, 0) + sign * run.count
