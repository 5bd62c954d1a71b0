"""The books: each occurrence that came due is in them exactly once, open or ended.

One thread writes at a time (the loop's; the stopping one after it), anybody reads. A reader takes no lock: it looks
again when the books were changed while it looked.
"""

import threading
from collections import deque
from collections.abc import Sequence

from tgscheduler.clock import pause
from tgscheduler.executors.base import Occurrence
from tgscheduler.stores.base import Query, Store, hour
from tgscheduler.timetable.run import STATES, Run

#: Ended runs are booked at most so many at a time.
BATCH = 1024


class Ledger:
    """Open runs, and a store for those that have ended."""

    def __init__(self, store: Store) -> None:
        self.store = store
        #: Executors append what has ended; :meth:`settle` books it.
        self.ended: deque[Occurrence] = deque()
        self._open: dict[Run, None] = {}
        self._unbooked: list[Run] = []  # what never waited, and the store did not take
        self._edition = 0  # odd while it is being written
        self._writing = threading.Lock()  # never waited for: who finds it taken leaves the work to its holder

    def __len__(self) -> int:
        return len(self._open)

    def enter(self, occurrences: Sequence[Occurrence]) -> None:
        """Book runs that are about to be handed out."""
        books = self._open
        for _, run in occurrences:
            books[run] = None

    def has(self, run: Run) -> bool:
        """Say whether a run is open: entered, and not booked yet."""
        return run in self._open

    def drop(self, occurrences: Sequence[Occurrence]) -> None:
        """Take out what another process has had: it is in the books there."""
        for _, run in occurrences:
            self._open.pop(run, None)

    def settle(self, closed: Sequence[Run] = ()) -> list[Occurrence]:
        """Book what has ended since the last call, and ``closed``, which never waited; return what came back.

        A run that comes back twice is booked once; one that is to be tried again is not booked. Where the store
        raises, nothing is booked, and all of it is tried again the next time.
        """
        if not closed and (not self.ended or not self._writing.acquire(False)):
            return []
        if closed:
            self._writing.acquire()
        if self._unbooked:
            closed, self._unbooked = [*self._unbooked, *closed], []
        take = self.ended.popleft  # nobody else does: it has become no shorter since its length was asked
        batch = [take() for _ in range(min(len(self.ended), BATCH))]
        self._edition += 1
        try:
            close = self._open.pop
            ended = [run for _, run in batch if run.ended is not None and close(run, True) is None]
            if len(ended) < len(batch):
                self._keep_open(batch)
            try:
                self.store.record([*closed, *ended] if closed else ended)
            except BaseException:
                self._open.update(dict.fromkeys(ended))
                self.ended.extendleft(reversed(batch))
                self._unbooked = list(closed)
                raise
        finally:
            self._edition += 1
            self._writing.release()
        return batch

    def _keep_open(self, batch: Sequence[Occurrence]) -> None:
        for _, run in batch:
            if run.ended is None and run._former is not None:  # the same occurrence, as another Run
                self._open.pop(run._former, None)
                self._open[run] = run._former = None

    def forget(self) -> None:
        """Drop what is open: a forked copy's open runs are its parent's, and so is whoever was writing at the fork."""
        self._writing = threading.Lock()
        self._edition += self._edition % 2
        self.ended.clear()
        self._open.clear()

    def counts(self) -> dict[str, int]:
        """Return how many occurrences are in each state; their sum is the number that came due."""
        recorded, open_runs = self._look()
        counts = dict.fromkeys(STATES, 0)
        counts.update(recorded)
        for run in open_runs:
            counts[run.state] += run.count
        return counts

    def tallies(self, since: float | None) -> dict[str, dict[str, int]]:
        """Return, by task, how many occurrences are in each state; ``since``: due in that hour or later."""
        while True:
            edition = self._edition
            if edition % 2 == 0:
                tallies, open_runs = self.store.tallies(since), list(self._open)
                if edition == self._edition or self.store.lasts:  # under load its answer is never of one moment
                    break
            pause(0.0002)
        for run in open_runs:
            if since is None or hour(since) <= run.due:
                states = tallies.setdefault(run.task, {})
                states[run.state] = states.get(run.state, 0) + run.count
        return tallies

    def runs(self, query: Query) -> list[Run]:
        """Return what is asked for, open runs included, newest due time first."""
        while True:  # what is open first: what ends meanwhile is in the store by then, or in both
            edition = self._edition
            if edition % 2 == 0:
                found: dict[object, Run] = {run.id or run: run for run in self._open.copy()}
                if edition == self._edition:
                    break
            pause(0.0002)
        found.update((run.id or run, run) for run in self.store.runs(query))
        return query.newest(found.values())

    def _look(self) -> tuple[dict[str, int], list[Run]]:
        while True:
            edition = self._edition
            if edition % 2 == 0:
                recorded, open_runs = self.store.counts(), list(self._open)
                if edition == self._edition:
                    return recorded, open_runs
            pause(0.0002)
