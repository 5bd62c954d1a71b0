"""Bounded write buffer, in submission order.

::

    loop's thread   append ------------------> [ taken | waiting ... ] <--- any reader copies it
    other threads   append what is neither a claim nor an ended run
    writer's thread take (from the left), done (removes what was taken, once it is on record)

While the database is down, the number of ended runs is bounded: the oldest successful ones are dropped, and only their
sums are kept. Claims whose runs were all dropped are dropped as well, except the last one of each task.
"""

import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from tgscheduler.stores.base import Claim
from tgscheduler.stores.run_counts import RunCounts
from tgscheduler.timetable.run import OK, Run

CLAIMS, RUNS, SAVES, SAVES_BACK, RENAME, AUDIT, DROPPED, FLUSH, TAKE, GIVE_UP = range(10)
#: Delay (seconds) of ended runs, so that one transaction writes many of them.
LINGER = 0.05
#: Maximum number of rows of a transaction; a claim with more rows is a transaction of its own.
WRITE_BATCH = 1024


class Write:
    """One write: the items of a call, or a part of them."""

    __slots__ = ("at", "batch", "items", "kind", "records")

    def __init__(self, kind: int, items: Any, records: int, at: float) -> None:
        self.kind, self.items, self.records, self.at = kind, items, records, at
        #: The number of the transaction that writes it, None while it waits.
        self.batch: int | None = None

    @property
    def rows(self) -> int:
        """Number of rows that it adds to a transaction."""
        if self.kind in (SAVES, SAVES_BACK):
            return len(self.items)
        return (len(self.items.ids) if self.kind == DROPPED else self.records) or 1


class DroppedRuns:
    """What remains of dropped runs: their counts, the counts for ``max_runs``, and the open rows to remove."""

    def __init__(self) -> None:
        self.counts = RunCounts()
        self.opened: dict[str, int] = {}
        self.ids: list[int] = []

    def split(self) -> "DroppedRuns":
        """Split off as many open rows as one transaction may remove."""
        part = DroppedRuns()
        part.ids, self.ids = self.ids[:WRITE_BATCH], self.ids[WRITE_BATCH:]
        return part


class WriteBuffer:
    """The write buffer of a database."""

    def __init__(self, bound: int) -> None:
        self.bound = bound
        #: Number of runs that were dropped.
        self.dropped = 0
        #: Number of records that the database refused.
        self.unwritable = 0
        #: Ids of dropped runs whose claim is still to be written: the claim does not open them.
        self.skipped: set[int] = set()
        #: Claims that were dropped with their runs: they are reported as granted.
        self.dropped_claims: deque[Claim] = deque()
        self._writes: deque[Write] = deque()
        self._taken = 0
        self._appended = self._done = 0  # records; one thread writes each counter
        self._ended = self._ended_done = 0
        #: Number of audit records in the buffer.
        self.audits = 0
        self._moving = threading.Lock()  # held while writes are taken, removed or dropped; never in a database call

    def __len__(self) -> int:
        return len(self._writes)

    @property
    def records(self) -> int:
        """Number of claimed and ended runs, and of audit records, in the buffer."""
        return max(0, self._appended - self._done) + self.audits

    def append(self, write: Write) -> None:
        """Append a write; a claim or an ended run in the loop's thread only."""
        if write.kind not in (CLAIMS, RUNS):
            with self._moving:  # the loop's thread may replace the deque
                self.audits += write.records
                self._writes.append(write)
            return
        self._appended += write.records
        if write.kind == RUNS:
            self._ended += write.records
        self._writes.append(write)

    def copy(self) -> list[Write]:
        """Return a copy of the writes."""
        return list(self._writes.copy())

    def ended_runs(self) -> list[Run]:
        """Return the ended runs that are not on record yet."""
        return [run for write in self.copy() if write.kind == RUNS for run in write.items]

    def runs(self) -> list[Run]:
        """Return them, and the runs that end with a claim."""
        claims = [claim for write in self.copy() if write.kind == CLAIMS for claim in write.items]
        return [*self.ended_runs(), *(run for claim in claims for run in claim.closed)]

    def due(self, now: float) -> float | None:
        """Return the seconds until the next batch is to be written, None if nothing waits."""
        writes = self._writes
        for place in range(len(writes)):
            try:
                kind = writes[place].kind
            except IndexError:  # dropped meanwhile
                return 0.0
            if kind != RUNS or place == 64:
                return 0.0
        try:
            return writes[0].at + LINGER - now
        except IndexError:
            return None

    def take(self, batch: int, limit: int = WRITE_BATCH) -> list[Write]:
        """Return the oldest writes, at most ``limit`` rows unless the first has more; they stay in the buffer."""
        with self._moving:
            first = self._writes[0] if self._writes else None
            while first is not None and first.kind == DROPPED and len(first.items.ids) > WRITE_BATCH:
                self._writes.appendleft(Write(DROPPED, first.items.split(), 0, first.at))
            taken: list[Write] = []
            rows = 0
            for write in self._writes.copy():
                rows += write.rows
                if taken and rows > limit:
                    break
                write.batch = batch
                taken.append(write)
            self._taken = len(taken)
            return taken

    def give_back(self, writes: Iterable[Write]) -> None:
        """Make taken writes wait again: their transaction was certainly not committed."""
        with self._moving:
            for write in writes:
                write.batch = None
            self._taken = 0

    def done(self, writes: Sequence[Write]) -> None:
        """Remove the writes that were taken: they are on record."""
        with self._moving:
            for write in writes:
                self._writes.popleft()
                if write.kind == AUDIT:
                    self.audits -= write.records
                    continue
                self._done += write.records
                if write.kind == RUNS:
                    self._ended_done += write.records
                elif self.skipped and write.kind == CLAIMS:
                    self.skipped.difference_update(run.number for claim in write.items for run in claim.opened)
            self._taken = 0

    def single_out(self, write: Write) -> None:
        """Split the first write into one per run or claim: one of them cannot be written."""
        with self._moving:
            self._writes.popleft()
            for item in reversed(write.items):
                records = _records(item) if write.kind == CLAIMS else int(write.kind in (RUNS, AUDIT))
                self._writes.appendleft(Write(write.kind, [item], records, write.at))

    def strike(self, write: Write) -> None:
        """Remove the first write, which cannot be written.

        For an ended run its sums are written instead; if they cannot be written either, only its open row is removed.
        """
        self.done([write])
        self.unwritable += write.records
        rest = DroppedRuns()
        if write.kind == RUNS:
            rest.counts.add(write.items)
            rest.ids = [run.number for run in write.items]
        elif write.kind == DROPPED and write.items.counts.states:
            rest.ids = write.items.ids
        if rest.ids:
            with self._moving:
                self._writes.appendleft(Write(DROPPED, rest, 0, write.at))

    def excess(self) -> int:
        """Return the number of ended runs beyond the bound."""
        return self._ended - self._ended_done - self.bound

    def shorten(self) -> None:
        """Drop the oldest successful runs, then others, until slightly fewer than the bound are left."""
        if not self._moving.acquire(False):  # the writer is changing it, or a signal handler interrupted a change
            return
        try:
            self._drop(self.excess() + max(1, self.bound // 10))
        finally:
            self._moving.release()

    def _drop(self, many: int) -> None:
        writes = list(self._writes)
        taken, waiting = writes[: self._taken], writes[self._taken :]
        runs = [run for write in waiting if write.kind == RUNS for run in write.items]
        gone = {id(run): run for run in [run for run in runs if run.state == OK][:many]}
        if len(gone) < many:
            gone.update((id(run), run) for run in [run for run in runs if run.state != OK][: many - len(gone)])
        if waiting and waiting[0].kind == DROPPED:
            rest = waiting[0]
            waiting = waiting[1:]
        else:
            rest = Write(DROPPED, DroppedRuns(), 0, waiting[0].at if waiting else 0.0)
        kept = [write for write in waiting if write.kind != RUNS or self._thin(write, gone)]
        kept = self._without_claims(kept, {run.number for run in gone.values()}, rest.items)
        rest.items.counts.add(gone.values())
        self._writes = deque([*taken, rest, *kept])
        self.dropped += len(gone)

    def _thin(self, write: Write, gone: dict[int, Run]) -> bool:
        left = [run for run in write.items if id(run) not in gone]
        self._appended -= write.records - len(left)
        self._ended -= write.records - len(left)
        write.items, write.records = left, len(left)
        return bool(left)

    def _without_claims(self, waiting: list[Write], gone: set[int], rest: DroppedRuns) -> list[Write]:
        """Drop the claims whose runs were all dropped, except the last of each task, which moves its mark."""
        later: set[str] = set()
        kept: list[Write] = []
        unseen = set(gone) | self.skipped
        gone = unseen.copy()
        for write in reversed(waiting):
            if write.kind != CLAIMS:
                kept.append(write)
                continue
            claims: list[Claim] = []
            for claim in reversed(write.items):
                ids = {run.number for run in claim.opened}
                unseen -= ids
                if ids and not claim.closed and ids <= gone and (claim.off_schedule or claim.task in later):
                    if not claim.off_schedule:
                        rest.opened[claim.task] = rest.opened.get(claim.task, 0) + len(ids)
                    self.skipped -= ids
                    self.dropped_claims.append(claim)
                    continue
                self.skipped |= ids & gone
                later |= set() if claim.off_schedule else {claim.task}
                claims.insert(0, claim)
            records = sum(map(_records, claims))
            self._appended -= write.records - records
            write.items, write.records = claims, records
            if claims:
                kept.append(write)
        rest.ids.extend(unseen - self.skipped)
        return kept[::-1]


def _records(claim: Claim) -> int:
    return len(claim.opened) + len(claim.closed)


def portions(kind: int, items: Sequence[Any], at: float) -> Iterator[Write]:
    """Yield writes of at most WRITE_BATCH rows for the items of one call; a claim is never split."""
    if kind != CLAIMS:
        for place in range(0, len(items), WRITE_BATCH):
            part = list(items[place : place + WRITE_BATCH])
            yield Write(kind, part, len(part) if kind in (RUNS, AUDIT) else 0, at)
        return
    claims: list[Claim] = []
    records = 0
    for claim in items:
        many = _records(claim)
        if claims and records + many > WRITE_BATCH:
            yield Write(kind, claims, records, at)
            claims, records = [], 0
        claims.append(claim)
        records += many
    if claims:
        yield Write(kind, claims, records, at)
