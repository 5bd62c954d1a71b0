"""Journal of runs: every occurrence that came due appears in it exactly once, either open or ended.

One thread writes at a time (the loop's; after it the one that stops the loop), any thread reads. Readers use a seqlock:
the version is odd while a batch moves from the open runs to the store, and a reader that sees it change reads again.
"""

import threading
from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import TypeVar

from tgscheduler.clock import pause
from tgscheduler.errors import StoreError
from tgscheduler.executors.stage import Occurrence
from tgscheduler.stores.audit import MAX_WAITING, AuditQuery, AuditRecord
from tgscheduler.stores.base import Query, Store, hour, newest_by_task
from tgscheduler.timetable.run import STATES, Run

#: A moment after every due time (POSIX seconds).
_FOREVER = float(1 << 40)
#: Maximum number of ended runs that one call records.
RECORD_BATCH = 1024

T = TypeVar("T")


class Journal:
    """Open runs, and a store for those that have ended."""

    def __init__(self, store: Store) -> None:
        self.store = store
        #: Stages append runs that have ended, or are to be retried; :meth:`record_handed_back` takes them.
        self.handed_back: deque[Occurrence] = deque()
        self._open: dict[Run, None] = {}  # an ordered set
        self._audits: deque[AuditRecord] = deque(maxlen=MAX_WAITING)  # until the store is open
        self._unrecorded: list[Run] = []  # runs that never waited, and that the store did not take
        self._version = self._changes = 0
        self._writing = threading.Lock()  # a thread that finds it taken leaves the work to its holder

    def __len__(self) -> int:
        return len(self._open)

    @property
    def version(self) -> int:
        """A number that changes with the journal, but for requested runs."""
        return self._version + self._changes

    def open(self, occurrences: Sequence[Occurrence]) -> None:
        """Add runs that are about to start or to wait."""
        entered = self._open
        for _, run in occurrences:
            entered[run] = None
        self._changes += 1

    def add_requested(self, run: Run) -> None:
        """Add a run beside the timetable, from any thread; the caller holds the engine's lock."""
        self._open[run] = None

    def is_open(self, run: Run) -> bool:
        """Return whether a run is open: added, and not recorded as ended yet."""
        return run in self._open

    def discard(self, runs: Iterable[Run]) -> None:
        """Remove runs whose record the store has, or gets with their claim."""
        for run in runs:
            self._open.pop(run, None)
        self._changes += 1

    def record_handed_back(self, not_run: Sequence[Run] = ()) -> list[Occurrence]:
        """Record what stages have handed back since the last call, and ``not_run``; return the former.

        A run that is handed back twice is recorded once; one that is to be retried has not ended, and stays open. If
        the store raises, nothing is recorded, and the next call tries all of it again.
        """
        if not_run:
            self._writing.acquire()
        elif not self.handed_back or not self._writing.acquire(False):  # its holder takes them
            return []
        if self._unrecorded:
            not_run, self._unrecorded = [*self._unrecorded, *not_run], []
        take = self.handed_back.popleft  # no other thread pops: it is at least as long as when its length was read
        taken = [take() for _ in range(min(len(self.handed_back), RECORD_BATCH))]
        self._version += 1
        try:
            close = self._open.pop
            for run in not_run:  # open if it was requested
                close(run, None)
            # None is what is kept of an open run.
            ended = [run for _, run in taken if run.ended is not None and close(run, True) is None]
            if len(ended) < len(taken):
                self._keep_open(taken)
            try:
                self.store.record([*not_run, *ended] if not_run else ended)
            except BaseException:
                self._open.update(dict.fromkeys(ended))
                self.handed_back.extendleft(reversed(taken))
                self._unrecorded = list(not_run)
                raise
        finally:
            self._version += 1
            self._writing.release()
        return taken

    def _keep_open(self, taken: Sequence[Occurrence]) -> None:
        for _, run in taken:
            if run.ended is None and run.previous_attempt is not None:  # the same occurrence, as another Run
                self._open.pop(run.previous_attempt, None)
                self._open[run] = run.previous_attempt = None

    def audit(self, record: AuditRecord) -> None:
        """Add a record to the store's audit log; if the store is not open, keep it until it is."""
        self._audits.append(record)
        self.submit_audits()

    def submit_audits(self) -> None:
        """Add the kept audit records to the store's log."""
        while self._audits:
            try:
                record = self._audits.popleft()
            except IndexError:  # another thread has it
                return
            try:
                self.store.audit([record])
            except StoreError:  # not open
                self._audits.appendleft(record)
                return

    def reset_after_fork(self) -> None:
        """Drop the open runs: in a forked copy they belong to the parent, as does a record in progress."""
        self._writing = threading.Lock()
        self._version += self._version % 2
        self.handed_back.clear()
        self._open.clear()

    # -- readers -------------------------------------------------------------------------------------------------

    def counts(self, since: float | None) -> dict[str, int]:
        """Return the number of occurrences in each state; ``since``: due in that hour or later.

        Without ``since`` their sum is the number that came due.
        """
        counts = dict.fromkeys(STATES, 0)
        if since is None:
            recorded, open_runs = self._read(lambda: (self.store.counts(), list(self._open)))
            sums = [recorded]
        else:
            # Under load a persistent store never answers for one moment.
            hours, open_runs = self._read(
                lambda: (self.store.counts_by_hour(since, _FOREVER), list(self._open)), once=self.store.persistent
            )
            sums = list(hours.values())
            open_runs = [run for run in open_runs if hour(since) <= run.due]
        for states in sums:
            for state, count in states.items():
                counts[state] += count
        for run in open_runs:
            counts[run.state] += run.count
        return counts

    def counts_by_task(self, since: float | None) -> dict[str, dict[str, int]]:
        """Return, by task, the number of occurrences in each state; ``since``: due in that hour or later."""
        # Under load a persistent store never answers for one moment.
        counts, open_runs = self._read(
            lambda: (self.store.counts_by_task(since), list(self._open)), once=self.store.persistent
        )
        for run in open_runs:
            if since is None or hour(since) <= run.due:
                states = counts.setdefault(run.task, {})
                states[run.state] = states.get(run.state, 0) + run.count
        return counts

    def runs(self, query: Query) -> list[Run]:
        """Return the runs that match a query, open ones included, newest due time first."""
        # Open runs first: a run that ends meanwhile is then in the store, or in both.
        found = {_key(run): run for run in self.open_runs()}
        found.update((_key(run), run) for run in self.store.runs(query))
        return query.newest(found.values())

    def recent_runs(self, tasks: Collection[str], n: int) -> dict[str, list[Run]]:
        """Return the last ``n`` runs of each of these tasks, open ones included, newest due time first."""
        found = {_key(run): run for run in self.open_runs()}
        for runs in self.store.recent_runs(tasks, n).values():
            found.update((_key(run), run) for run in runs)
        return newest_by_task(found.values(), tasks, n)

    def run(self, id: str) -> Run | None:
        """Return the run of that id, open or ended; None if there is none."""
        found = next((run for run in self.open_runs() if run.has_id(id)), None)
        return found or self.store.run(id)

    def audits(self, task: str | None, before: int | None, limit: int) -> list[AuditRecord]:
        """Return audit records, newest first; those that are kept until the store is open are on the first page."""
        found = self.store.audits(task, before, limit)
        if self._audits and before is None:
            found = AuditQuery(task, None, limit).newest([*found, *self._audits.copy()])
        return found

    def open_runs(self) -> list[Run]:
        """Return the runs that wait or run."""
        return self._read(lambda: list(self._open))

    def _read(self, read: Callable[[], T], once: bool = False) -> T:
        while True:
            version = self._version
            if version % 2 == 0:
                found = read()
                if version == self._version or once:
                    return found
            pause(0.0002)


def _key(run: Run) -> object:
    """Return what makes a run the same one: its number, or in memory the object."""
    return getattr(run, "number", run)
