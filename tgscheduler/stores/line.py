"""Bounded write buffer, in submission order.

::

    loop's thread   append ------------------> [ taken | waiting ... ] <--- any reader copies it
    writer's thread take (from the left), done (removes what was taken, once it is on record)

While the database is down, the number of ended runs is bounded: the oldest successful ones are dropped, and only their
sums are kept. Claims whose runs were all dropped are dropped as well, except the last one of each task.
"""

import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from tgscheduler.stores.base import Claim
from tgscheduler.stores.tallies import Tallies
from tgscheduler.timetable.run import OK, Run

CLAIMS, RUNS, SAVES, SAVES_BACK, RENAME, DROPPED, FLUSH, TAKE, GIVE_UP = range(9)
#: Delay (seconds) of ended runs, so that one transaction writes many of them.
LINGER = 0.05
#: Maximum number of rows of a transaction; a claim with more rows is a transaction of its own.
BATCH = 1024


class Entry:
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


class Dropped:
    """What remains of dropped runs: their tallies, the counts for ``max_runs``, and the open rows to remove."""

    def __init__(self) -> None:
        self.tallies = Tallies()
        self.opened: dict[str, int] = {}
        self.ids: list[int] = []

    def split(self) -> "Dropped":
        """Split off as many open rows as one transaction may remove."""
        part = Dropped()
        part.ids, self.ids = self.ids[:BATCH], self.ids[BATCH:]
        return part


class Line:
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
        self.forgotten: deque[Claim] = deque()
        self._entries: deque[Entry] = deque()
        self._taken = 0
        self._appended = self._done = 0  # records; one thread writes each counter
        self._ended = self._ended_done = 0
        self._moving = threading.Lock()  # held while entries are taken, removed or dropped; never in a database call

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def records(self) -> int:
        """Number of claimed and ended runs in the buffer."""
        return max(0, self._appended - self._done)

    def append(self, entry: Entry) -> None:
        """Append an entry."""
        self._appended += entry.records
        if entry.kind == RUNS:
            self._ended += entry.records
        self._entries.append(entry)

    def copy(self) -> list[Entry]:
        """Return a copy of the entries."""
        return list(self._entries.copy())

    def due(self, now: float) -> float | None:
        """Return the seconds until the next batch is to be written, None if nothing waits."""
        entries = self._entries
        for place in range(len(entries)):
            try:
                kind = entries[place].kind
            except IndexError:  # dropped meanwhile
                return 0.0
            if kind != RUNS or place == 64:
                return 0.0
        try:
            return entries[0].at + LINGER - now
        except IndexError:
            return None

    def take(self, batch: int, limit: int = BATCH) -> list[Entry]:
        """Return the oldest entries, at most ``limit`` rows unless the first has more; they stay in the buffer."""
        with self._moving:
            first = self._entries[0] if self._entries else None
            while first is not None and first.kind == DROPPED and len(first.items.ids) > BATCH:
                self._entries.appendleft(Entry(DROPPED, first.items.split(), 0, first.at))
            taken: list[Entry] = []
            rows = 0
            for entry in self._entries.copy():
                rows += entry.rows
                if taken and rows > limit:
                    break
                entry.batch = batch
                taken.append(entry)
            self._taken = len(taken)
            return taken

    def give_back(self, entries: Iterable[Entry]) -> None:
        """Make taken entries wait again: their transaction was certainly not committed."""
        with self._moving:
            for entry in entries:
                entry.batch = None
            self._taken = 0

    def done(self, entries: Sequence[Entry]) -> None:
        """Remove the entries that were taken: they are on record."""
        with self._moving:
            for entry in entries:
                self._entries.popleft()
                self._done += entry.records
                if entry.kind == RUNS:
                    self._ended_done += entry.records
                elif self.skipped and entry.kind == CLAIMS:
                    self.skipped.difference_update(run.number for claim in entry.items for run in claim.opened)
            self._taken = 0

    def single_out(self, entry: Entry) -> None:
        """Split the first entry into one per run or claim: one of them cannot be written."""
        with self._moving:
            self._entries.popleft()
            for item in reversed(entry.items):
                records = _records(item) if entry.kind == CLAIMS else 1
                self._entries.appendleft(Entry(entry.kind, [item], records, entry.at))

    def strike(self, entry: Entry) -> None:
        """Remove the first entry, which cannot be written.

        For an ended run its sums are written instead; if they cannot be written either, only its open row is removed.
        """
        self.done([entry])
        self.unwritable += entry.records
        rest = Dropped()
        if entry.kind == RUNS:
            rest.tallies.add(entry.items)
            rest.ids = [run.number for run in entry.items]
        elif entry.kind == DROPPED and entry.items.tallies.sums:
            rest.ids = entry.items.ids
        if rest.ids:
            with self._moving:
                self._entries.appendleft(Entry(DROPPED, rest, 0, entry.at))

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
        entries = list(self._entries)
        taken, waiting = entries[: self._taken], entries[self._taken :]
        runs = [run for entry in waiting if entry.kind == RUNS for run in entry.items]
        gone = {id(run): run for run in [run for run in runs if run.state == OK][:many]}
        if len(gone) < many:
            gone.update((id(run), run) for run in [run for run in runs if run.state != OK][: many - len(gone)])
        if waiting and waiting[0].kind == DROPPED:
            rest = waiting[0]
            waiting = waiting[1:]
        else:
            rest = Entry(DROPPED, Dropped(), 0, waiting[0].at if waiting else 0.0)
        kept = [entry for entry in waiting if entry.kind != RUNS or self._thin(entry, gone)]
        kept = self._without_claims(kept, {run.id or 0 for run in gone.values()}, rest.items)
        rest.items.tallies.add(gone.values())
        self._entries = deque([*taken, rest, *kept])
        self.dropped += len(gone)

    def _thin(self, entry: Entry, gone: dict[int, Run]) -> bool:
        left = [run for run in entry.items if id(run) not in gone]
        self._appended -= entry.records - len(left)
        self._ended -= entry.records - len(left)
        entry.items, entry.records = left, len(left)
        return bool(left)

    def _without_claims(self, waiting: list[Entry], gone: set[int], rest: Dropped) -> list[Entry]:
        """Drop the claims whose runs were all dropped, except the last of each task, which moves its mark."""
        later: set[str] = set()
        kept: list[Entry] = []
        unseen = set(gone) | self.skipped
        gone = unseen.copy()
        for entry in reversed(waiting):
            if entry.kind != CLAIMS:
                kept.append(entry)
                continue
            claims: list[Claim] = []
            for claim in reversed(entry.items):
                ids = {run.id or 0 for run in claim.opened}
                unseen -= ids
                if ids and not claim.closed and ids <= gone and (claim.by_hand or claim.task in later):
                    if not claim.by_hand:
                        rest.opened[claim.task] = rest.opened.get(claim.task, 0) + len(ids)
                    self.skipped -= ids
                    self.forgotten.append(claim)
                    continue
                self.skipped |= ids & gone
                later |= set() if claim.by_hand else {claim.task}
                claims.insert(0, claim)
            records = sum(map(_records, claims))
            self._appended -= entry.records - records
            entry.items, entry.records = claims, records
            if claims:
                kept.append(entry)
        rest.ids.extend(unseen - self.skipped)
        return kept[::-1]


def _records(claim: Claim) -> int:
    return len(claim.opened) + len(claim.closed)


def portions(kind: int, items: Sequence[Any], at: float) -> Iterator[Entry]:
    """Yield entries of at most BATCH rows for the items of one call; a claim is never split."""
    if kind != CLAIMS:
        for place in range(0, len(items), BATCH):
            part = list(items[place : place + BATCH])
            yield Entry(kind, part, len(part) if kind == RUNS else 0, at)
        return
    claims: list[Claim] = []
    records = 0
    for claim in items:
        many = _records(claim)
        if claims and records + many > BATCH:
            yield Entry(kind, claims, records, at)
            claims, records = [], 0
        claims.append(claim)
        records += many
    if claims:
        yield Entry(kind, claims, records, at)
