"""The connection that writes: each batch is committed once, over any number of connections.

::

    write     the node's number goes from n - 1 to n, then what the batch holds
    commit    acknowledged: the next number is n + 1
              not acknowledged: the batch is in doubt; nothing else is written before a new connection has looked it up
"""

from collections.abc import Callable, Sequence
from typing import Any

from tgscheduler.errors import WrongProcess
from tgscheduler.stores import sql
from tgscheduler.stores.batch import Batch, ClaimConflict
from tgscheduler.stores.database import Database
from tgscheduler.stores.nodes import LEFT, Process
from tgscheduler.stores.peers import Peers, register_node
from tgscheduler.stores.write_buffer import Write


class Session:
    """Writes batches as one node; it belongs to one thread."""

    def __init__(self, database: Database, peers: Peers) -> None:
        self._database, self._peers = database, peers
        self._connect: Callable[[], Any] = lambda: None
        self.connection: Any = None
        #: The batch whose commit was not acknowledged, None as a rule.
        self.in_doubt: Batch | None = None
        self._number = 0
        self._ids: dict[str, int] = {}
        self._step = sql.STEP.format(clock=database.clock)

    def start(self, connection: Any, connect: Callable[[], Any]) -> None:
        """Write with this connection, and with those of ``connect`` when it breaks."""
        self.connection, self._connect = connection, connect

    def restart_numbers(self) -> None:
        """Begin the numbers of a new node."""
        self._number, self.in_doubt = 0, None

    def reset_after_fork(self) -> None:
        """In a forked copy: the connection is the parent's, and there is to be no other one."""
        self.connection, self._connect = None, _refuse

    @property
    def next_number(self) -> int:
        """The number of the next batch."""
        return self._number + 1

    # -- the connection -----------------------------------------------------------------------------------------------

    def reconnect(self) -> None:
        """Connect anew."""
        self.connection = self._connect()
        self._ids.clear()

    def roll_back(self) -> None:
        """End a transaction without a trace; disconnect where that cannot be."""
        self._ids.clear()  # of tasks that were new in this transaction there is nothing left
        try:
            if self.connection is not None:
                self._database.rollback(self.connection)
        except self._database.errors:
            self.disconnect()

    def disconnect(self) -> None:
        """Close the connection, if there is one."""
        connection, self.connection = self.connection, None
        if connection is not None:
            self._database.close(connection)

    def sign_off(self) -> None:
        """Note that this node has left, unless it cannot be known what was its last batch."""
        if self.connection is not None and self.in_doubt is None:
            self._database.execute(
                self.connection, "UPDATE tg_node SET seen = ? WHERE id = ?", (LEFT, self._peers.node)
            )

    # -- batches ------------------------------------------------------------------------------------------------------

    def write(self, writes: Sequence[Write], skipped: set[int]) -> Batch:
        """Write a batch, in a transaction that is still to be committed or rolled back."""
        peers = self._peers
        host = peers.process.host if peers.process else ""
        batch = Batch(peers.node, host, self.next_number, writes, skipped)
        try:
            self._send(batch)
        except ClaimConflict:
            self.roll_back()
            if self.connection is None:  # it broke in that
                self.reconnect()
            batch.check_conflicts = True
            self._send(batch)
        return batch

    def commit(self, batch: Batch) -> None:
        """Commit what was written; where that raises, the batch is in doubt."""
        self.in_doubt = batch
        self._database.commit(self.connection)
        self._acknowledge(batch)

    def is_committed(self, batch: Batch) -> bool:
        """Look up the batch that is in doubt, by a new connection; return whether it was committed."""
        database, connection, node = self._database, self.connection, self._peers.node
        database.begin(connection)
        database.lock_node(connection, node)
        found = database.rows(connection, "SELECT batch FROM tg_node WHERE id = ?", (node,))
        database.rollback(connection)
        if found and found[0][0] == batch.number:
            self._acknowledge(batch)
            return True
        self.in_doubt = None
        return False

    def _acknowledge(self, batch: Batch) -> None:
        self.in_doubt, self._number = None, batch.number

    def _send(self, batch: Batch) -> None:
        database, connection, peers = self._database, self.connection, self._peers
        now = peers.clock.now()
        database.begin(connection)
        values = (batch.number, peers.local_time(), peers.node, self._number)
        step = database.rows(connection, self._step, values) or self._enrol_again(batch, now)
        if step and peers.clock.is_real:
            [(now, peers.ahead)] = step
            batch.latest = now + peers.latest
        batch.write(database, connection, self._ids, now)

    def _enrol_again(self, batch: Batch, now: float) -> list[Any]:
        """Put our row right: the database is not the one that it was; a backup was restored, perhaps."""
        database, connection, peers = self._database, self.connection, self._peers
        assert peers.process is not None
        peers.reset()
        query = "SELECT host, machine, process, birth FROM tg_node WHERE id = ?"
        found = database.rows(connection, query, (peers.node,))
        if found and Process(*found[0]) == peers.process:
            step = sql.STEP_ANYHOW.format(clock=database.clock)
            return database.rows(connection, step, (batch.number, peers.local_time(), peers.node))
        number = None if found else peers.node
        peers.node = batch.node = register_node(database, connection, peers.process, now, batch.number, number)
        return []


def _refuse() -> Any:
    raise WrongProcess("the store is open in the parent of this process")
