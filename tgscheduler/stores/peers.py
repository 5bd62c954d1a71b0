"""Other processes at the same store: which live, which are gone, and whether there is none.

::

    it comes          no one else lives: it is alone, and that is on record
                      another one is alone: it waits until that one has taken note of it; nothing is written before
    alone             runs may start without their claim while the database does not answer, until BY_ITSELF is over
    another comes     that ends at once; after the claims made before it is on record that it has ended
    the others go     alone again

Who is alone looks once a second whether it still is. So what it may do without the database is over before anyone
takes it for gone, also where it was stopped or cut off.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from tgscheduler.clock import Clock
from tgscheduler.stores import reading
from tgscheduler.stores import statements as sql
from tgscheduler.stores.database import Database
from tgscheduler.stores.nodes import BEAT, GONE_AFTER, LEFT, Process, is_alive, is_gone
from tgscheduler.timetable.run import Run

#: How often (seconds) a process looks at the others, and how often while it waits for one of them.
LOOK = 1.0
LOOK_SOON = 0.02
#: For this share of GONE_AFTER a process starts runs without claims after it last saw that it is alone.
BY_ITSELF = 0.8
#: One that has written nothing for GONE_AFTER may be there all the same, and able to look: it gets so many seconds.
ANSWER = 5.0
#: A process of another machine is gone when its row has not changed for GONE_AFTER, and for so many beats before our
#: eyes: the database's clock may have been stepped.
WATCHED = 2
#: A clock that is ahead of the database's by more than this (seconds), and of another process's, is wrong.
AHEAD = 5.0
INEXACT = 1.0

_HOLDS = "id IN (SELECT node_id FROM tg_open)"
#: Real seconds that go on while this process or its machine stands still.
_uptime = Clock().uptime


class Peer(NamedTuple):
    """Another process, as its row and the kernel say."""

    node: int
    process: Process
    seen: float
    alone: bool
    ahead: float
    #: Whether it has open runs; the time by the database's clock.
    holds: bool
    now: float


class Peers:
    """What a process knows of the others at its store, and what it may do by that."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self.clock = database, clock
        self._select = (
            f"SELECT id, host, machine, process, birth, seen, alone, ahead, {_HOLDS}, {database.clock} "  # noqa: S608
            f"FROM tg_node WHERE id <> ? AND (seen <> 0 OR {_HOLDS})"
        )
        self.process: Process | None = None
        self.node = 0
        #: Those that live, as far as is known.
        self.others: list[Peer] = []
        #: By how many seconds this process's clock is ahead of the database's.
        self.ahead = 0.0
        self._alone = False
        #: Whether it may be on record that it is alone; whether that is about to be taken back.
        self.on_record = self.ending = False
        self._since = 0.0
        self._awaited: dict[int, float] = {}
        self._watched: dict[int, tuple[float, float]] = {}

    # -- what it may do -----------------------------------------------------------------------------------------------

    def may_start_anyway(self) -> bool:
        """Return whether no other process can have begun, so that a run may start without its claim."""
        return self._alone and _uptime() - self._since < BY_ITSELF * GONE_AFTER

    @property
    def awaited(self) -> str | None:
        """The process that has to take note of this one first, None where there is none."""
        awaited = self._awaited
        for peer in self.others:
            if peer.node in awaited:
                return f"process {peer.process.number} on {peer.process.host}"
        return None

    @property
    def latest(self) -> float:
        """By how much (seconds) a claim may be ahead of the database's clock: hardly more than every process is."""
        usual = max(0.0, min((peer.ahead for peer in self.others), default=float("inf")))
        return usual + (AHEAD if self.ahead <= AHEAD else INEXACT)

    # -- coming and going ---------------------------------------------------------------------------------------------

    def come(self, connection: Any, process: Process, begun: float) -> bool:
        """Put this process on record; return whether it is a new node."""
        database, fresh = self._database, False
        again = f"UPDATE tg_node SET seen = {database.clock} WHERE id = ? AND process = ? AND birth = ?"  # noqa: S608
        database.begin(connection)
        try:
            database.lock_nodes(connection)
            values = (self.node, process.number, process.birth)
            if not self.node or not database.execute(connection, again, values):
                self.node, fresh = enrol(database, connection, process, begun), True
            self.process = process
            self._begin_alone(connection)
            database.commit(connection)
        except BaseException:
            self.node = 0
            self.forget()
            database.rollback(connection)
            raise
        self._alone = self.on_record
        now = _uptime()
        self._awaited = {
            peer.node: now + max(ANSWER, GONE_AFTER - (peer.now - peer.seen)) for peer in self.others if peer.alone
        }
        return fresh

    def forget(self) -> None:
        """Forget what was on record of this process: the database is another one, or a backup."""
        self._alone = self.on_record = self.ending = False

    def _begin_alone(self, connection: Any) -> None:
        """Note that this process is alone, if it is; the transaction is the caller's."""
        self._since = _uptime()
        self.others = [peer for peer in self._read(connection) if not self._is_gone(peer)]
        values = (0 if self.others else 1, self.local_time(), self.node)
        found = self._database.rows(connection, sql.ALONE.format(clock=self._database.clock), values)
        self.on_record, self.ending = bool(found) and not self.others, False
        if found:
            self.ahead = found[0][0]

    def local_time(self) -> float | None:
        """Return the time by this process's clock, None where that has nothing to do with the host's."""
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
        """Look who is there; return those that are gone and have left a row behind: they are to be taken over."""
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
            self.on_record = True  # perhaps: it will be taken back
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
        """Return those that are gone and have open runs, at the start: before anything else is known."""
        return [peer for peer in self._read(connection) if peer.holds and self._is_gone(peer)]


def enrol(
    database: Database, connection: Any, process: Process, begun: float, batch: int = 0, number: int | None = None
) -> int:
    """Put a process on record as one that writes; return its number."""
    if number is None:
        return database.insert(connection, sql.ENROL.format(clock=database.clock), (*process, begun, batch))
    return database.insert(connection, sql.ENROL_AS.format(clock=database.clock), (number, *process, begun, batch))


def take_over(database: Database, connection: Any, me: int, peers: Sequence[Peer]) -> list[Run]:
    """Make the open runs of processes that are gone ours, within a transaction of the caller's; return them.

    One that has written since it was taken for gone is left alone.
    """
    runs = []
    for peer in sorted(peers):
        database.lock_node(connection, peer.node)
        query = "SELECT 1 FROM tg_node WHERE id = ? AND abs(seen - ?) < 0.001"
        if database.rows(connection, query, (peer.node, peer.seen)):
            found = database.rows(connection, reading.TAKE, (me, peer.node))
            database.execute(connection, "UPDATE tg_node SET seen = ?, alone = 0 WHERE id = ?", (LEFT, peer.node))
            place = peer.process.host, peer.process.number
            runs += [reading.open_run((*row[:7], *place)) for row in found]
    return sorted(runs, key=lambda run: (run.due, run.id or 0))
