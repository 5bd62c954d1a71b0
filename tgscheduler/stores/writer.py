"""The only thread that writes to a database: batches from the write buffer, and maintenance between them.

::

    claims, saves, renames      at once; those that arrive during a transaction go into the next one
    ended runs                  with the next of those, or within 100 ms
    nothing                     a heartbeat every 10 s, a look at other processes every second; a step of pruning
    an error                    reconnect, with growing delays; down after two failures, or one that took ``patience``

A transaction whose COMMIT was not acknowledged is looked up by its number before anything else is written.
"""

import logging
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tgscheduler import clock as clocks
from tgscheduler.clock import Clock
from tgscheduler.errors import WrongProcess
from tgscheduler.stores import statements as sql
from tgscheduler.stores.base import Claim, Claimed, Condition
from tgscheduler.stores.batch import Batch, Contested
from tgscheduler.stores.database import Database
from tgscheduler.stores.line import BATCH, CLAIMS, DROPPED, FLUSH, GIVE_UP, RUNS, TAKE, Entry, Line
from tgscheduler.stores.nodes import BEAT, LEFT, Process
from tgscheduler.stores.peers import AHEAD, LOOK, LOOK_SOON, Peers, enrol
from tgscheduler.stores.pruning import Pruner
from tgscheduler.stores.tallies import add_counts, totals
from tgscheduler.timetable.run import Run

log = logging.getLogger(__name__)

_SLOWEST = 2.0
#: Minimum time (seconds) from the beginning of a transaction to the next, so that entries share a transaction.
_PACE = 0.002
#: Interval (seconds) between steps of pruning while claims never cease.
_SHARE = 0.25


class Writer:
    """Writes the entries of a write buffer."""

    def __init__(self, database: Database, line: Line, clock: Clock, patience: float, pruner: Pruner) -> None:
        self._database, self._line, self.clock, self._patience, self._pruner = database, line, clock, patience, pruner
        self._connect: Callable[[], Any] = lambda: None
        self._answer: Callable[[list[Claimed]], None] = lambda claims: None
        self._changed: Callable[[Condition], None] = lambda condition: None
        self._orphans: Callable[[list[Run]], None] = lambda runs: None
        self._connection: Any = None
        self._thread: threading.Thread | None = None
        self._bell: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._rung = False
        self._close_by: float | None = None
        self.peers = Peers(database, clock)
        #: Set unless another process must notice this one first.
        self.admitted = threading.Event()
        self.admitted.set()
        self._looked = self._counted = 0.0
        self._taking: set[int] = set()
        self._wrong = False
        self._step = sql.STEP.format(clock=database.clock)
        self._number = 0
        self._unsure: Batch | None = None
        self._ids: dict[str, int] = {}
        self._limit, self._narrow = BATCH, 0
        self._failures = 0
        self._busy: float | None = None
        self._wrote = self._pruned = self._began = 0.0
        self._down: str | None = None
        self._since: float | None = None
        #: Occurrences by state: those that ended with claims, and all that this writer has written.
        self.closed: dict[str, int] = {}
        self.written: dict[str, int] = {}
        #: Totals of the database, without what this writer has written.
        self.others: dict[str, int] = {}

    # -- from other threads -------------------------------------------------------------------------------------------

    def start(
        self,
        connection: Any,
        connect: Callable[[], Any],
        answer: Callable[[list[Claimed]], None],
        changed: Callable[[Condition], None],
        orphans: Callable[[list[Run]], None],
    ) -> None:
        """Start the thread with this connection; ``connect`` makes another one when it breaks."""
        self._connection, self._connect, self._answer, self._changed = connection, connect, answer, changed
        self._orphans = orphans
        self._looked = self._counted = clocks.elapsed()
        self._taking.clear()
        self._admit()
        self._close_by, self._wrote = None, clocks.elapsed()
        self._down = self._since = self._busy = None
        self._failures = 0
        self._thread = threading.Thread(target=self._run, name="tgscheduler-store", daemon=True)
        self._thread.start()

    @property
    def node(self) -> int:
        """The number of this process in the database."""
        return self.peers.node

    def restart(self) -> None:
        """Restart the batch numbers, for a new node."""
        self._number, self._unsure = 0, None

    def ring(self) -> None:
        """Wake the thread."""
        if not self._rung:
            self._rung = True
            self._bell.put(None)

    def stop(self, timeout: float) -> None:
        """Write the rest within ``timeout`` seconds."""
        self._close_by = clocks.elapsed() + timeout
        if (connection := self._connection) is not None:
            self._database.hurry(connection, timeout / 3)  # leaves time for another connection
        self._bell.put(None)
        if self._thread is not None:
            self._thread.join(timeout + 0.05)

    def forget(self) -> None:
        """In a forked child: write nothing, even if the host has replaced the thread by one that a fork copies."""
        self._connection, self._close_by = None, 0.0
        self._connect = _refuse

    @property
    def alive(self) -> bool:
        """Whether the thread is alive."""
        return self._thread is not None and self._thread.is_alive()

    def condition(self) -> Condition:
        """Return the status of the database, even while a call blocks the thread."""
        down, since, busy = self._down, self._since, self._busy
        if down is None and busy is not None and (waits := clocks.elapsed() - busy) > self._patience:
            down, since = f"{self._database.name}: no answer for {waits:.0f} s", self.clock.now() - waits
        if down is None and (awaited := self.peers.awaited) is not None:
            down = f"{self._database.name}: {awaited} has not noticed this process yet"
        line = self._line
        return Condition(down, since, line.records, line.dropped, line.unwritable, self._skew())

    def _skew(self) -> float:
        """Return by how many seconds the clock is ahead of the database's, 0.0 if that does no harm."""
        ahead = self.peers.ahead
        return ahead if self.peers.others and abs(ahead) > AHEAD else 0.0

    # -- the thread ---------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while not self._is_over():
                try:
                    self._turn()
                except Exception as error:
                    if not isinstance(error, self._database.errors):
                        log.exception("%s: bug in the store's thread, which continues", self._database.name)
                    self._failed(error)
            if self._connection is not None and self._unsure is None:
                self._database.execute(self._connection, "UPDATE tg_node SET seen = ? WHERE id = ?", (LEFT, self.node))
        except Exception as error:  # other processes will find out that this one has ended
            log.debug("%s: its end is not on record: %s", self._database.name, self._database.describe(error))
        finally:
            self._disconnect()

    def _is_over(self) -> bool:
        if self._close_by is None:
            return False
        return clocks.elapsed() > self._close_by or not (len(self._line) or self._unsure)

    def _turn(self) -> None:
        """Write a batch, or do maintenance, or sleep until there is work."""
        now = clocks.elapsed()
        if now >= self._looked + (LOOK if self.admitted.is_set() else LOOK_SOON):
            self._look()
            now = clocks.elapsed()
        due = self._line.due(now) if self.admitted.is_set() else None
        look = self._looked + (LOOK if self.admitted.is_set() else LOOK_SOON) - now
        beat = self._wrote + BEAT - now
        prune = self._pruner.due(now)
        if self._unsure or self._down or beat <= 0 or (due is not None and (due <= 0 or self._close_by is not None)):
            if prune <= 0 and not self._down and not self._unsure and now - self._pruned > _SHARE:
                self._prune()
            if (early := self._began + _PACE - now) > 0 and self._close_by is None:
                clocks.pause(early)
            self._busy = self._began = clocks.elapsed()
            self._write()
            if now >= self._counted + BEAT:
                self._busy = clocks.elapsed()
                self._count()
            self._busy = None
        elif prune <= 0:
            self._prune()
        else:
            self._sleep(min(beat, look, prune, beat if due is None else due))

    def _sleep(self, seconds: float) -> None:
        try:
            self._bell.get(timeout=max(0.0, seconds))
        except queue.Empty:
            pass
        self._rung = False

    def _prune(self) -> None:
        self._pruned = self._busy = clocks.elapsed()
        if self._connection is None:
            self._reconnect()
        try:
            self._pruner.step(self._connection, self.clock.now())
        except Exception:
            self._roll_back()
            raise
        self._busy = None

    def _write(self) -> None:
        """Write one batch: the waiting entries, or only a heartbeat."""
        if self._connection is None:
            self._reconnect()
        number = self._number + 1
        entries = self._line.take(number, self._limit) if self.admitted.is_set() else []
        process = self.peers.process
        batch = Batch(self.node, process.host if process else "", number, entries, self._line.skipped)
        try:
            try:
                self._send(batch)
            except Contested:
                self._roll_back()
                if self._connection is None:  # the rollback failed
                    self._reconnect()
                batch.careful = True
                self._send(batch)
        except Exception as error:
            self._line.give_back(entries)
            self._roll_back()
            if not self._database.is_data(error) or not entries:
                raise
            self._suspect(entries, error)
            return
        self._unsure = batch
        self._database.commit(self._connection)
        self._committed(batch)

    def _send(self, batch: Batch) -> None:
        database, connection, now, peers = self._database, self._connection, self.clock.now(), self.peers
        database.begin(connection)
        values = (batch.number, peers.local_time(), peers.node, self._number)
        step = database.rows(connection, self._step, values) or self._enrol_again(batch, now)
        if step and self.clock.is_real:
            [(now, peers.ahead)] = step
            batch.latest = now + peers.latest
        batch.write(database, connection, self._ids, now)

    def _enrol_again(self, batch: Batch, now: float) -> list[Any]:
        """Restore this process's row: the database is another one, perhaps a restored backup."""
        database, connection, peers = self._database, self._connection, self.peers
        assert peers.process is not None
        peers.forget()
        query = "SELECT host, machine, process, birth FROM tg_node WHERE id = ?"
        found = database.rows(connection, query, (peers.node,))
        if found and Process(*found[0]) == peers.process:
            step = sql.STEP_ANYHOW.format(clock=database.clock)
            return database.rows(connection, step, (batch.number, peers.local_time(), peers.node))
        number = None if found else peers.node
        peers.node = batch.node = enrol(database, connection, peers.process, now, batch.number, number)
        return []

    def _committed(self, batch: Batch) -> None:
        self._unsure = None
        self._number = batch.number
        self._wrote = clocks.elapsed()
        for entry in batch.entries:
            if entry.kind == RUNS:
                add_counts(self.written, entry.items)
            elif entry.kind == DROPPED:
                for (_, _, state), (count, _, _) in entry.items.tallies.sums.items():
                    self.written[state] = self.written.get(state, 0) + int(count)
        add_counts(self.written, batch.closed)
        add_counts(self.written, batch.doubles, -1)
        closed = self.closed.copy()
        add_counts(closed, batch.closed)
        add_counts(closed, batch.doubles, -1)
        self.closed = closed  # replaced as a whole: readers take no lock
        self._line.done(batch.entries)
        self._database.tidy(self._connection, sum(entry.records for entry in batch.entries))
        if self._narrow:
            self._narrow -= 1
            self._limit = self._limit if self._narrow else BATCH
        self._failures = 0
        if self._down is not None:
            log.warning("%s is back; buffered records are being written", self._database.name)
            self._down = self._since = None
            self._tell(self._changed, self.condition())
        if batch.answers:
            for answer in batch.answers:
                if not answer.granted:
                    self._disown(answer)
            self._tell(self._answer, batch.answers)
        for entry in batch.entries:
            if entry.kind == FLUSH:
                entry.items.set()
            elif entry.kind == GIVE_UP:
                self.peers.on_record = self.peers.ending = False
            elif entry.kind == TAKE:
                self._taking.difference_update(peer.node for peer in entry.items)
        if batch.orphans:
            self._tell(self._orphans, batch.orphans)

    def _disown(self, answer: Claimed) -> None:
        """Mark the runs of a refused claim, so that their end is never recorded."""
        for run in answer.claim.opened:
            run.number = -abs(run.number)
        if answer.early and not self._wrong:
            self._wrong = True
            log.warning(
                "%s: this process's clock is %.0f s ahead of the database's, and no other's is: what comes due early "
                "by it is left to the other processes; set the clock",
                self._database.name,
                self.peers.ahead,
            )

    def _suspect(self, entries: Sequence[Entry], error: Exception) -> None:
        """Find the entry that cannot be written, and write the others."""
        entry = entries[0]
        if len(entries) > 1:
            self._limit, self._narrow = 1, len(entries)
        elif isinstance(entry.items, list) and len(entry.items) > 1:
            self._line.single_out(entry)
            self._limit, self._narrow = 1, len(entry.items)
        else:
            log.error("%s: dropped, as it cannot be written: %r (%s)", self._database.name, entry.items, error)
            self._line.strike(entry)
            if entry.kind == CLAIMS:
                alone = self.peers.may_start_anyway()
                self._tell(self._answer, [Claimed(claim, alone, claim.until) for claim in entry.items])

    # -- the connection -----------------------------------------------------------------------------------------------

    def _reconnect(self) -> None:
        """Reconnect, and look up whether a transaction whose commit was not acknowledged was committed."""
        self._connection = self._connect()
        self._ids.clear()
        batch = self._unsure
        if batch is None:
            return
        database, connection = self._database, self._connection
        database.begin(connection)
        database.lock_node(connection, self.node)
        found = database.rows(connection, "SELECT batch FROM tg_node WHERE id = ?", (self.node,))
        database.rollback(connection)
        if found and found[0][0] == batch.number:
            self._committed(batch)
        else:
            self._line.give_back(batch.entries)
            self._unsure = None

    def _failed(self, error: Exception) -> None:
        """Record and log that the database failed, and wait before the next attempt."""
        self._disconnect()
        now = clocks.elapsed()
        began, self._busy = self._busy or now, None
        self._failures += 1
        text = self._database.describe(error)
        if self._down is None and (self._failures > 1 or now - began >= self._patience):
            self._since = self.clock.now() - (now - began)
            self._down = text
            log.warning("%s; records wait in memory until it is back", text)
            self._tell(self._changed, self.condition())
        elif self._down is not None:
            self._down = text
        else:
            log.info("%s; trying again", text)
        forgotten = self._line.forgotten
        if forgotten:
            self._tell(self._answer, [Claimed(claim, True, claim.until) for claim in drain(forgotten)])
        until = now + min(_SLOWEST, 0.025 * 2 ** min(self._failures, 10))
        while (left := until - clocks.elapsed()) > 0 and not self._is_over():
            closing = self._close_by is not None
            self._sleep(min(left, 0.05) if closing else left)
            if closing or self._close_by is not None:
                until = min(until, clocks.elapsed() + 0.05)

    def _roll_back(self) -> None:
        self._ids.clear()  # the rows of tasks that were new in this transaction are gone
        try:
            if self._connection is not None:
                self._database.rollback(self._connection)
        except self._database.errors:
            self._disconnect()

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            self._database.close(connection)

    # -- other processes ----------------------------------------------------------------------------------------------

    def _look(self) -> None:
        """Look at the other processes: whether this one is alone, and which are gone and have left runs."""
        self._busy = self._looked = clocks.elapsed()
        if self._connection is None:
            self._reconnect()
        peers = self.peers
        gone = [peer for peer in peers.look(self._connection) if peer.node not in self._taking]
        if gone:
            self._taking.update(peer.node for peer in gone)
            self._line.append(Entry(TAKE, tuple(gone), 0, self._looked))
        if peers.others and peers.on_record and not peers.ending:
            peers.ending = True  # no run starts without its claim any more, and earlier claims are in the buffer
            self._line.append(Entry(GIVE_UP, None, 0, self._looked))
        if abs(peers.ahead) <= AHEAD:
            self._wrong = False
        self._busy = None
        self._admit()

    def _admit(self) -> None:
        """Let entries be written, unless another process must notice this one first."""
        if self.peers.awaited is None:
            self.admitted.set()
        else:
            self.admitted.clear()

    def _count(self) -> None:
        """Read the totals again if other processes write here too."""
        self._counted = clocks.elapsed()
        if self._connection is not None and self.peers.others:
            self.others = totals(self._database, self._connection, self.written)

    def _tell(self, what: Callable[[Any], None], argument: Any) -> None:
        try:
            what(argument)
        except Exception:
            log.exception("%s: a callback of the store failed", self._database.name)


def _refuse() -> Any:
    raise WrongProcess("the store is open in the parent of this process")


def drain(line: deque[Claim]) -> Iterator[Claim]:
    """Yield the claims of a deque, and remove them."""
    try:
        while True:
            yield line.popleft()
    except IndexError:
        pass
