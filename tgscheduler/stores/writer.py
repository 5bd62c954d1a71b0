"""The only thread that writes to a database: batches from the write buffer, and maintenance between them.

::

    claims, saves, renames      at once; those that arrive during a transaction go into the next one
    ended runs                  with the next of those, or within 100 ms
    nothing                     a heartbeat every 10 s, a look at other processes every second; a step of pruning
    an error                    reconnect, with growing delays; down after two failures, or one that took ``timeout``

See :mod:`tgscheduler.stores.session` for a transaction whose COMMIT was not acknowledged.
"""

import logging
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tgscheduler import clock as clocks
from tgscheduler.clock import Clock
from tgscheduler.stores.availability import Availability
from tgscheduler.stores.base import Claim, ClaimResult, StoreStatus
from tgscheduler.stores.batch import Batch
from tgscheduler.stores.connections import Connections
from tgscheduler.stores.database import Database
from tgscheduler.stores.nodes import BEAT
from tgscheduler.stores.peers import AHEAD, LOOK_INTERVAL, WAITING_LOOK_INTERVAL, Peers
from tgscheduler.stores.pruning import Pruner
from tgscheduler.stores.session import Session
from tgscheduler.stores.totals import Totals
from tgscheduler.stores.write_buffer import CLAIMS, FLUSH, GIVE_UP, TAKE, WRITE_BATCH, Write, WriteBuffer
from tgscheduler.timetable.run import Run

log = logging.getLogger(__name__)

_SLOWEST = 2.0
#: Minimum time (seconds) from the beginning of a transaction to the next, so that writes share a transaction.
_PACE = 0.002
#: Interval (seconds) between steps of pruning while claims never cease.
_SHARE = 0.25


class Writer:
    """Writes the content of a write buffer to a database."""

    def __init__(
        self,
        database: Database,
        connections: Connections,
        buffer: WriteBuffer,
        clock: Clock,
        timeout: float,
        pruner: Pruner,
    ) -> None:
        self._database, self._buffer, self.clock, self._pruner = database, buffer, clock, pruner
        self._on_claimed: Callable[[list[ClaimResult]], None] = lambda claims: None
        self._on_status: Callable[[StoreStatus], None] = lambda status: None
        self._on_orphans: Callable[[list[Run]], None] = lambda runs: None
        self._thread: threading.Thread | None = None
        self._bell: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._rung = False
        self._close_by: float | None = None
        self.peers = Peers(database, clock)
        self.session = Session(database, connections, self.peers)
        self.totals = Totals()
        self._availability = Availability(database.name, timeout)
        #: Set unless another process must notice this one first.
        self.admitted = threading.Event()
        self.admitted.set()
        self._looked = self._counted = 0.0
        self._taking: set[int] = set()
        self._wrong = False
        self._limit, self._narrow = WRITE_BATCH, 0
        self._wrote = self._pruned = self._began = 0.0

    # -- from other threads -------------------------------------------------------------------------------------------

    def start(
        self,
        connection: Any,
        on_claimed: Callable[[list[ClaimResult]], None],
        on_status: Callable[[StoreStatus], None],
        on_orphans: Callable[[list[Run]], None],
    ) -> None:
        """Start the thread, with this connection; when it breaks, the thread makes another one."""
        self.session.connection = connection
        self._on_claimed, self._on_status, self._on_orphans = on_claimed, on_status, on_orphans
        self._looked = self._counted = clocks.elapsed()
        self._taking.clear()
        self._admit()
        self._close_by, self._wrote = None, clocks.elapsed()
        self._availability.reset()
        self._thread = threading.Thread(target=self._run, name="tgscheduler-store", daemon=True)
        self._thread.start()

    @property
    def node(self) -> int:
        """The number of this process in the database."""
        return self.peers.node

    def ring(self) -> None:
        """Wake the thread."""
        if not self._rung:
            self._rung = True
            self._bell.put(None)

    def stop(self, timeout: float) -> None:
        """Write the rest within ``timeout`` seconds."""
        self._close_by = clocks.elapsed() + timeout
        if (connection := self.session.connection) is not None:
            self._database.hurry(connection, timeout / 3)  # leaves time for another connection
        self._bell.put(None)
        if self._thread is not None:
            self._thread.join(timeout + 0.05)

    def reset_after_fork(self) -> None:
        """In a forked child: write nothing, even if the host has replaced the thread by one that a fork copies."""
        self._close_by = 0.0
        self.session.reset_after_fork()

    @property
    def alive(self) -> bool:
        """Whether the thread is alive."""
        return self._thread is not None and self._thread.is_alive()

    def status(self) -> StoreStatus:
        """Return the status of the database, even while a call blocks the thread."""
        down, since = self._availability.outage(self.clock.now())
        if down is None and (awaited := self.peers.awaited) is not None:
            down = f"{self._database.name}: {awaited} has not noticed this process yet"
        buffer = self._buffer
        return StoreStatus(down, since, buffer.records, buffer.dropped, buffer.unwritable, self._skew())

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
            self.session.sign_off()
        except Exception as error:  # other processes will find out that this one has ended
            log.debug("%s: its end is not on record: %s", self._database.name, self._database.describe(error))
        finally:
            self.session.disconnect()

    def _is_over(self) -> bool:
        if self._close_by is None:
            return False
        return clocks.elapsed() > self._close_by or not (len(self._buffer) or self.session.in_doubt)

    def _turn(self) -> None:
        """Write a batch, or do maintenance, or sleep until there is work."""
        now = clocks.elapsed()
        if now >= self._looked + (LOOK_INTERVAL if self.admitted.is_set() else WAITING_LOOK_INTERVAL):
            self._look()
            now = clocks.elapsed()
        due = self._buffer.due(now) if self.admitted.is_set() else None
        look = self._looked + (LOOK_INTERVAL if self.admitted.is_set() else WAITING_LOOK_INTERVAL) - now
        beat = self._wrote + BEAT - now
        prune = self._pruner.due(now)
        troubled = bool(self.session.in_doubt or self._availability.down)
        if troubled or beat <= 0 or (due is not None and (due <= 0 or self._close_by is not None)):
            if prune <= 0 and not troubled and now - self._pruned > _SHARE:
                self._prune()
            if (early := self._began + _PACE - now) > 0 and self._close_by is None:
                clocks.pause(early)
            self._availability.busy = self._began = clocks.elapsed()
            self._write()
            if now >= self._counted + BEAT:
                self._availability.busy = clocks.elapsed()
                self._count()
            self._availability.busy = None
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
        self._pruned = self._availability.busy = clocks.elapsed()
        if self.session.connection is None:
            self._reconnect()
        try:
            self._pruner.step(self.session.connection, self.clock.now())
        except Exception:
            self.session.roll_back()
            raise
        self._availability.busy = None

    def _write(self) -> None:
        """Write one batch: the waiting writes, or only a heartbeat."""
        if self.session.connection is None:
            self._reconnect()
        session = self.session
        writes = self._buffer.take(session.next_number, self._limit) if self.admitted.is_set() else []
        try:
            batch = session.write(writes, self._buffer.skipped)
        except Exception as error:
            self._buffer.give_back(writes)
            session.roll_back()
            if not self._database.is_data(error) or not writes:
                raise
            self._suspect(writes, error)
            return
        session.commit(batch)
        self._committed(batch)

    def _committed(self, batch: Batch) -> None:
        self._wrote = clocks.elapsed()
        self.totals.add(batch)
        self._buffer.done(batch.writes)
        self._database.maintain(self.session.connection, sum(write.records for write in batch.writes))
        if self._narrow:
            self._narrow -= 1
            self._limit = self._limit if self._narrow else WRITE_BATCH
        if self._availability.succeed():
            log.warning("%s is back; buffered records are being written", self._database.name)
            self._call_back(self._on_status, self.status())
        if batch.results:
            for result in batch.results:
                if not result.granted:
                    self._disown(result)
            self._call_back(self._on_claimed, batch.results)
        for write in batch.writes:
            if write.kind == FLUSH:
                write.items.set()
            elif write.kind == GIVE_UP:
                self.peers.on_record = self.peers.ending = False
            elif write.kind == TAKE:
                self._taking.difference_update(peer.node for peer in write.items)
        if batch.orphans:
            self._call_back(self._on_orphans, batch.orphans)

    def _disown(self, result: ClaimResult) -> None:
        """Mark the runs of a refused claim, so that their end is never recorded."""
        for run in result.claim.opened:
            run.number = -abs(run.number)
        if result.early and not self._wrong:
            self._wrong = True
            log.warning(
                "%s: this process's clock is %.0f s ahead of the database's, and no other's is: what comes due early "
                "by it is left to the other processes; set the clock",
                self._database.name,
                self.peers.ahead,
            )

    def _suspect(self, writes: Sequence[Write], error: Exception) -> None:
        """Find the write that cannot be written, and write the others."""
        write = writes[0]
        if len(writes) > 1:
            self._limit, self._narrow = 1, len(writes)
        elif isinstance(write.items, list) and len(write.items) > 1:
            self._buffer.single_out(write)
            self._limit, self._narrow = 1, len(write.items)
        else:
            log.error("%s: dropped, as it cannot be written: %r (%s)", self._database.name, write.items, error)
            self._buffer.strike(write)
            if write.kind == CLAIMS:
                alone = self.peers.may_start_anyway()
                self._call_back(self._on_claimed, [ClaimResult(claim, alone, claim.until) for claim in write.items])

    # -- the connection -----------------------------------------------------------------------------------------------

    def _reconnect(self) -> None:
        """Reconnect, and look up whether a transaction whose commit was not acknowledged was committed."""
        session = self.session
        session.reconnect()
        batch = session.in_doubt
        if batch is None:
            return
        if session.is_committed(batch):
            self._committed(batch)
        else:
            self._buffer.give_back(batch.writes)

    def _failed(self, error: Exception) -> None:
        """Record and log that the database failed, and wait before the next attempt."""
        self.session.disconnect()
        now, availability = clocks.elapsed(), self._availability
        text = self._database.describe(error)
        if availability.fail(text, now, self.clock.now()):
            log.warning("%s; records wait in memory until it is back", text)
            self._call_back(self._on_status, self.status())
        elif availability.down is None:
            log.info("%s; trying again", text)
        if availability.down is not None and self._buffer.excess() > 0:
            self._buffer.shorten()  # records came while this thread held the buffer
        forgotten = self._buffer.dropped_claims
        if forgotten:
            self._call_back(self._on_claimed, [ClaimResult(claim, True, claim.until) for claim in drain(forgotten)])
        until = now + min(_SLOWEST, 0.025 * 2 ** min(availability.failures, 10))
        while (left := until - clocks.elapsed()) > 0 and not self._is_over():
            closing = self._close_by is not None
            self._sleep(min(left, 0.05) if closing else left)
            if closing or self._close_by is not None:
                until = min(until, clocks.elapsed() + 0.05)

    # -- other processes ----------------------------------------------------------------------------------------------

    def _look(self) -> None:
        """Look at the other processes: whether this one is alone, and which are gone and have left runs."""
        self._availability.busy = self._looked = clocks.elapsed()
        if self.session.connection is None:
            self._reconnect()
        peers = self.peers
        gone = [peer for peer in peers.look(self.session.connection) if peer.node not in self._taking]
        if gone:
            self._taking.update(peer.node for peer in gone)
            self._buffer.append(Write(TAKE, tuple(gone), 0, self._looked))
        if peers.others and peers.on_record and not peers.ending:
            peers.ending = True  # no run starts without its claim any more, and earlier claims are in the buffer
            self._buffer.append(Write(GIVE_UP, None, 0, self._looked))
        if abs(peers.ahead) <= AHEAD:
            self._wrong = False
        self._availability.busy = None
        self._admit()

    def _admit(self) -> None:
        """Let writes be written, unless another process must notice this one first."""
        if self.peers.awaited is None:
            self.admitted.set()
        else:
            self.admitted.clear()

    def _count(self) -> None:
        """Read the totals again if other processes write here too."""
        self._counted = clocks.elapsed()
        if self.session.connection is not None and self.peers.others:
            self.totals.read_others(self._database, self.session.connection)

    def _call_back(self, what: Callable[[Any], None], argument: Any) -> None:
        try:
            what(argument)
        except Exception:
            log.exception("%s: a callback of the store failed", self._database.name)


def drain(buffer: deque[Claim]) -> Iterator[Claim]:
    """Yield the claims of a deque, and remove them."""
    try:
        while True:
            yield buffer.popleft()
    except IndexError:
        pass
