"""The interface of a database to the store above it: connections, transactions, statements."""

import ctypes
from collections.abc import Sequence
from typing import Any, Protocol

from tgscheduler.stores.sql import Many


class Database(Protocol):
    """A database; each method may raise one of ``errors``."""

    #: The folder of its migrations.
    dialect: str
    #: Its address, without a password.
    name: str
    #: Suffix of a SELECT that locks its rows, empty if a transaction locks the whole database.
    locked: str
    #: SQL expression for the time by its own clock, in POSIX seconds.
    clock: str
    #: Format that names an index in a FROM clause, empty if the database chooses the right one by itself.
    index_hint: str
    errors: tuple[type[Exception], ...]
    #: Python's name of the encoding of its text; known from the first connection on.
    encoding: str

    def prepare(self) -> None:
        """Create what must exist before the first connection."""

    def connect(self, writing: bool) -> Any:
        """Return a connection."""

    def hurry(self, connection: Any, seconds: float) -> None:
        """Limit calls to ``seconds`` from now on, if a call can take longer."""

    def close(self, connection: Any) -> None:
        """Disconnect."""

    def abandon_connections(self, connections: Sequence[Any]) -> None:
        """Abandon a parent's connections in its forked child: neither use nor close them."""

    def begin(self, connection: Any) -> None:
        """Begin a transaction that writes."""

    def begin_migration(self, connection: Any) -> None:
        """Begin a transaction that excludes other migrations."""

    def commit(self, connection: Any) -> None:
        """Commit; if this raises, the caller must look up whether the transaction was committed."""

    def maintain(self, connection: Any, rows: int) -> bool:
        """Maintain the files, now and then; ``rows``: number of rows written or removed since the last call.

        Return whether that took time.
        """

    def maintaining(self) -> bool:
        """Return whether the files are being maintained, so that pruning should wait."""

    def rollback(self, connection: Any) -> None:
        """Roll back a transaction."""

    def lock_nodes(self, connection: Any) -> None:
        """Keep other processes from registering, or recording that they are alone, until the transaction has ended."""

    def lock_node(self, connection: Any, node: int) -> None:
        """Lock a node's row, after any transaction of an earlier connection has ended."""

    def lock_tasks(self, connection: Any, ids: Sequence[int]) -> None:
        """Lock the rows of tasks, unless a transaction locks the whole database."""

    def execute(self, connection: Any, sql: str, values: Sequence[Any] = ()) -> int:
        """Execute one statement; return the number of rows that it changed."""

    def insert(self, connection: Any, sql: str, values: Sequence[Any]) -> int:
        """Insert a row; return its id."""

    def execute_many(self, connection: Any, statement: Many, rows: Sequence[Sequence[Any]]) -> int:
        """Execute a statement for many rows; return the number of rows that it changed."""

    def select(self, connection: Any, statement: Many, rows: Sequence[Sequence[Any]]) -> list[Any]:
        """Return the result of a statement for many rows."""

    def rows(self, connection: Any, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        """Return all rows of a statement."""

    def version(self, connection: Any) -> int:
        """Return the number of the last applied migration, 0 if there is none."""

    def is_data(self, error: BaseException) -> bool:
        """Return whether an error is due to the data to be written, and not to the database."""

    def describe(self, error: BaseException) -> str:
        """Return what is wrong and how to fix it, in one line without a password."""


def never_free(connection: Any) -> None:
    """Keep an object forever: a forked child must not even free a connection of its parent."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))
