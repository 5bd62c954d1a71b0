"""The connection that writes: each batch is committed once, over any number of connections.

::

    write     the node's batch number goes from n - 1 to n, then the rows of the batch
    commit    acknowledged: the next number is n + 1
              not acknowledged: the batch is in doubt; a new connection looks it up before anything else is written
"""

from collections.abc import Sequence
from typing import Any

from tgscheduler.stores import sql
from tgscheduler.stores.batch import Batch, ClaimConflict
from tgscheduler.stores.connections import Connections
from tgscheduler.stores.database import Database
from tgscheduler.stores.nodes import LEFT, Process
from tgscheduler.stores.peers import Peers, register_node
from tgscheduler.stores.write_buffer import Write


class Session:
    """Writes batches as one node; it belongs to one thread."""

    def __init__(self, database: Database, connections: Connections, peers: Peers) -> None:
        self._database, self._connections, self._peers = database, connections, peers
        #: The connection of the next batch, None while there is none.
        self.connection: Any = None
        #: The batch whose commit was not acknowledged, None if there is none.
        self.in_doubt: Batch | None = None
        self._number = 0
        self._ids: dict[str, int] = {}
        self._step = sql.STEP.format(clock=database.clock)

    def restart_numbers(self) -> None:
        """Restart the batch numbers, for a new node."""
        self._number, self.in_doubt = 0, None

    def reset_after_fork(self) -> None:
        """In a forked child: drop the connection, which belongs to the parent."""
        self.connection = None

    @property
    def next_number(self) -> int:
        """The number of the next batch."""
        return self._number + 1

    # -- the connection -----------------------------------------------------------------------------------------------

    def reconnect(self) -> None:
        """Connect again."""
        self.connection = self._connections.connect(self._peers.clock.now())
        self._ids.clear()

    def roll_back(self) -> None:
        """Roll back the transaction; disconnect if that fails."""
        self._ids.clear()  # the rows of tasks that were new in this transaction are gone
        try:
            if self.connection is not None:
                self._database.rollback(self.connection)
        except self._database.errors:
            self.disconnect()

    def disconnect(self) -> None:
        """Close the connection, if there is one."""
        connection, self.connection = self.connection, None
        if connection is not None:
            self._connections.disconnect(connection)

    def sign_off(self) -> None:
        """Record that this node has shut down cleanly, unless a batch is in doubt."""
        if self.connection is not None and self.in_doubt is None:
            self._database.execute(
                self.connection, "UPDATE tg_node SET seen = ? WHERE id = ?", (LEFT, self._peers.node)
            )

    # -- batches ------------------------------------------------------------------------------------------------------

    def write(self, writes: Sequence[Write], skipped: set[int]) -> Batch:
        """Write a batch, in a transaction that the caller commits or rolls back."""
        peers = self._peers
        host = peers.process.host if peers.process else ""
        batch = Batch(peers.node, host, self.next_number, writes, skipped)
        try:
            self._send(batch)
        except ClaimConflict:
            self.roll_back()
            if self.connection is None:  # the rollback failed
                self.reconnect()
            batch.check_conflicts = True
            self._send(batch)
        return batch

    def commit(self, batch: Batch) -> None:
        """Commit a written batch; if this raises, the batch is in doubt."""
        self.in_doubt = batch
        self._database.commit(self.connection)
        self._acknowledge(batch)

    def is_committed(self, batch: Batch) -> bool:
        """Look up the batch in doubt, with a new connection; return whether it was committed."""
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
        """Restore this process's row: the database is another one, perhaps a restored backup."""
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
