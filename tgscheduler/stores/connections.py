"""The connections of one store: those that write, a few idle ones for readers, and none in a forked child."""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tgscheduler.errors import StoreError, WrongProcess
from tgscheduler.stores.database import Database, never_free
from tgscheduler.stores.migrating import migrate, migrations

#: Maximum number of idle connections that are kept for the next readers.
MAX_IDLE = 4


class Connections:
    """Connections to a database of our schema, for any thread of the process that made them."""

    def __init__(self, database: Database, auto_migrate: bool) -> None:
        self._database, self._auto_migrate = database, auto_migrate
        #: Whether the store is open for writing: then the schema is up to date, and readers' connections are kept.
        self.opened = False
        #: Whether this is a forked child's copy: the open connections belong to the parent.
        self.inherited = False
        self._idle: deque[Any] = deque()
        self._all: dict[int, Any] = {}

    def check_open(self) -> None:
        """Raise StoreError if the store is not open for writing in this process."""
        self.check_process()
        if not self.opened:
            raise StoreError(f"{self._database.name}: it is not open for writing; open() it first")

    def check_process(self) -> None:
        """Raise WrongProcess in a forked child."""
        if self.inherited:
            raise WrongProcess(
                f"{self._database.name} is open in the parent of this process, and its connections must not be "
                "shared: open another store here"
            )

    def reset_after_fork(self) -> None:
        """In a forked child: neither use nor close the parent's connections."""
        self.inherited, self.opened = True, False
        connections = list(self._all.values())
        for connection in connections:  # freeing one would close it
            never_free(connection)
        self._database.abandon_connections(connections)

    def connect(self, now: float) -> Any:
        """Return a connection for writing, with the schema up to date; ``now`` is the time in POSIX seconds."""
        self.check_process()
        self.disconnect_idle()  # they may have a file open that was replaced
        self._database.prepare()
        return self._connect(True, now)

    def disconnect(self, connection: Any) -> None:
        """Close a connection."""
        self._database.close(connection)
        self._all.pop(id(connection), None)

    def disconnect_idle(self) -> None:
        """Make the next readers reconnect: the file may have been replaced, or the network connection cut."""
        try:
            while True:
                self.disconnect(self._idle.pop())
        except IndexError:
            pass

    @contextmanager
    def reading(self) -> Iterator[Any]:
        """Give a read-only connection, in any thread; raise StoreError if the store cannot be read."""
        self.check_process()
        with self.translated():
            try:
                connection = self._idle.pop()
            except IndexError:
                connection = self._connect(False)
            try:
                yield connection
            except BaseException:
                self.disconnect(connection)
                self.disconnect_idle()
                raise
            if self.opened and len(self._idle) < MAX_IDLE:
                self._idle.append(connection)
            else:
                self.disconnect(connection)

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Raise a StoreError with the fix in its message for each error of the database."""
        try:
            yield
        except StoreError:
            raise
        except self._database.errors as error:
            raise StoreError(self._database.describe(error)) from error

    def _connect(self, writing: bool, now: float = 0.0) -> Any:
        database = self._database
        connection = database.connect(writing=writing)
        self._all[id(connection)] = connection
        try:
            if writing or not (self.opened or database.version(connection) == max(migrations(database.dialect))):
                migrate(database, connection, writing and self._auto_migrate, now)
        except BaseException:
            self.disconnect(connection)
            raise
        return connection
