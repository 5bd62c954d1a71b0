"""Other processes at the same store: which are alive, which are gone, and whether there are none.

::

    start             no other is alive: this process is alone, and records it
                      another one is alone: wait until it has noticed this process; write nothing before that
    alone             runs may start without their claim while the database is down, until BY_ITSELF is over
    another starts    that right ends at once; its end is recorded after the claims made before
    the others end    alone again

A process that is alone checks once a second whether it still is. So its right to start runs without the database ends
before any other process considers it gone, even if it was suspended or disconnected.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from tgscheduler.clock import Clock
from tgscheduler.stores import queries, sql
from tgscheduler.stores.database import Database
from tgscheduler.stores.nodes import BEAT, GONE_AFTER, LEFT, Process, is_alive, is_gone
from tgscheduler.timetable.run import Run

#: Interval (seconds) between looks at the other processes, and between those while waiting for one of them.
LOOK_INTERVAL = 1.0
WAITING_LOOK_INTERVAL = 0.02
#: Share of GONE_AFTER for which a process may start runs without claims after it last saw that it is alone.
BY_ITSELF = 0.8
#: Minimum time (seconds) for another process to notice this one: it may be alive although it seems gone.
ANSWER = 5.0
#: A process of another machine is gone if its row has not changed for GONE_AFTER, and for this many heartbeats while
#: this process watched it: the database's clock may have been stepped.
WATCHED = 2
#: A clock that is more than this (seconds) ahead of the database's, and ahead of another process's, is wrong.
AHEAD = 5.0
INEXACT = 1.0

_HOLDS = "id IN (SELECT node_id FROM tg_open)"
#: Real seconds, which go on while this process or its machine is suspended.
_uptime = Clock().uptime


class Peer(NamedTuple):
    """Another process, as its row describes it."""

    node: int
    process: Process
    seen: float
    alone: bool
    ahead: float
    #: Whether it has open runs; the time by the database's clock when its row was read.
    holds: bool
    now: float


class Peers:
    """The other processes at a store as this one knows them, and what it may do without a claim."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self.clock = database, clock
        self._select = (
            f"SELECT id, host, machine, process, birth, seen, alone, ahead, {_HOLDS}, {database.clock} "  # noqa: S608
            f"FROM tg_node WHERE id <> ? AND (seen <> 0 OR {_HOLDS})"
        )
        self.process: Process | None = None
        self.node = 0
        #: Those that are alive, as far as this process knows.
        self.others: list[Peer] = []
        #: By how many seconds this process's clock is ahead of the database's.
        self.ahead = 0.0
        self._alone = False
        #: Whether it may be on record that this process is alone; whether that record is about to be removed.
        self.on_record = self.ending = False
        self._since = 0.0
        self._awaited: dict[int, float] = {}
        self._watched: dict[int, tuple[float, float]] = {}

    # -- what it may do -----------------------------------------------------------------------------------------------

    def may_start_anyway(self) -> bool:
        """Return whether no other process can have started, so that a run may start without its claim."""
        return self._alone and _uptime() - self._since < BY_ITSELF * GONE_AFTER

    @property
    def awaited(self) -> str | None:
        """The process that must notice this one first, None if there is none."""
        awaited = self._awaited
        for peer in self.others:
            if peer.node in awaited:
                return f"process {peer.process.number} on {peer.process.host}"
        return None

    @property
    def latest(self) -> float:
        """Maximum seconds that a claim may be ahead of the database's clock: the least lead of others, plus some."""
        usual = max(0.0, min((peer.ahead for peer in self.others), default=float("inf")))
        return usual + (AHEAD if self.ahead <= AHEAD else INEXACT)

    # -- registration -------------------------------------------------------------------------------------------------

    def come(self, connection: Any, process: Process, begun: float) -> bool:
        """Register this process; return whether it is a new node."""
        database, fresh = self._database, False
        again = f"UPDATE tg_node SET seen = {database.clock} WHERE id = ? AND process = ? AND birth = ?"  # noqa: S608
        database.begin(connection)
        try:
            database.lock_nodes(connection)
            values = (self.node, process.number, process.birth)
            if not self.node or not database.execute(connection, again, values):
                self.node, fresh = register_node(database, connection, process, begun), True
            self.process = process
            self._begin_alone(connection)
            database.commit(connection)
        except BaseException:
            self.node = 0
            self.reset()
            database.rollback(connection)
            raise
        self._alone = self.on_record
        now = _uptime()
        self._awaited = {
            peer.node: now + max(ANSWER, GONE_AFTER - (peer.now - peer.seen)) for peer in self.others if peer.alone
        }
        return fresh

    def reset(self) -> None:
        """Forget what was on record about this process: the database is another one, or a backup."""
        self._alone = self.on_record = self.ending = False

    def _begin_alone(self, connection: Any) -> None:
        """Record that this process is alone, if it is, in the caller's transaction."""
        self._since = _uptime()
        self.others = [peer for peer in self._read(connection) if not self._is_gone(peer)]
        values = (0 if self.others else 1, self.local_time(), self.node)
        found = self._database.rows(connection, sql.ALONE.format(clock=self._database.clock), values)
        self.on_record, self.ending = bool(found) and not self.others, False
        if found:
            self.ahead = found[0][0]

    def local_time(self) -> float | None:
        """Return the time by this process's clock, None if that does not follow the host's."""
        return self.clock.now() if self.clock.is_real else None

    def _read(self, connection: Any) -> list[Peer]:
        rows = self._database.rows(connection, self._select, (self.node,))
        return [
            Peer(node, Process(*process), seen, bool(alone), ahead, bool(holds), now)
            for node, *process, seen, alone, ahead, holds, now in rows
        ]

    def _is_gone(self, peer: Peer) -> bool:
        assert self.process is not None
        return is_gone(peer.process, peer.seen, self.process, peer.now)

    # -- looking ------------------------------------------------------------------------------------------------------

    def look(self, connection: Any) -> list[Peer]:
        """Read the other processes; return those that are gone and have left a row: they are to be taken over."""
        began = _uptime()
        peers = self._read(connection)
        gone = [peer for peer in peers if self._is_gone(peer)]
        self.others = [peer for peer in peers if peer not in gone]
        if self.others:
            self._alone = False
        elif self._alone:
            self._since = began
        elif not self.ending:
            self._try_alone(connection)
        self._watched = {peer.node: self._watched[peer.node] for peer in gone if peer.node in self._watched}
        if self._awaited:
            there = {peer.node for peer in self.others if peer.alone}
            self._awaited = {node: until for node, until in self._awaited.items() if node in there and began < until}
        return [peer for peer in gone if self._is_surely_gone(peer, began)]

    def _try_alone(self, connection: Any) -> None:
        database = self._database
        database.begin(connection)
        try:
            database.lock_nodes(connection)
            self._begin_alone(connection)
            database.commit(connection)
        except BaseException:
            self.on_record = True  # perhaps: the record will be removed
            database.rollback(connection)
            raise
        self._alone = self.on_record

    def _is_surely_gone(self, peer: Peer, now: float) -> bool:
        assert self.process is not None
        if peer.seen == LEFT or is_alive(peer.process, self.process) is False:
            return True
        seen, since = self._watched.get(peer.node, (None, now))
        if seen != peer.seen:
            since = now
        self._watched[peer.node] = peer.seen, since
        return now - since >= WATCHED * BEAT

    def gone(self, connection: Any) -> list[Peer]:
        """Return those that are gone and have open runs; for the start, before any of them was watched."""
        return [peer for peer in self._read(connection) if peer.holds and self._is_gone(peer)]


def register_node(
    database: Database, connection: Any, process: Process, begun: float, batch: int = 0, number: int | None = None
) -> int:
    """Register a process that writes; return its node number."""
    if number is None:
        return database.insert(connection, sql.REGISTER_NODE.format(clock=database.clock), (*process, begun, batch))
    return database.insert(
        connection, sql.REGISTER_NODE_AS.format(clock=database.clock), (number, *process, begun, batch)
    )


def take_over(database: Database, connection: Any, me: int, peers: Sequence[Peer]) -> list[Run]:
    """Take over the open runs of processes that are gone, in the caller's transaction; return them.

    A process that has written since it was read is skipped.
    """
    runs = []
    for peer in sorted(peers):
        database.lock_node(connection, peer.node)
        query = "SELECT 1 FROM tg_node WHERE id = ? AND abs(seen - ?) < 0.001"
        if database.rows(connection, query, (peer.node, peer.seen)):
            found = database.rows(connection, queries.TAKE, (me, peer.node))
            database.execute(connection, "UPDATE tg_node SET seen = ?, alone = 0 WHERE id = ?", (LEFT, peer.node))
            place = peer.process.host, peer.process.number
            runs += [queries.open_run((*row[:7], *place)) for row in found]
    return sorted(runs, key=lambda run: run.place)
