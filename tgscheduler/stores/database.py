"""What a database offers to the store over it: connections, transactions, statements."""

import ctypes
from collections.abc import Sequence
from typing import Any, Protocol

from tgscheduler.stores.statements import Many


class Database(Protocol):
    """A database; each of its verbs may raise one of ``errors``."""

    #: The folder of its migrations.
    dialect: str
    #: Its address, without a password.
    name: str
    #: What ends a SELECT whose rows are to be locked, empty where a transaction locks everything.
    locked: str
    #: The expression for the time by its own clock, in POSIX seconds.
    clock: str
    #: What names an index in a FROM clause, empty where the database finds it by itself.
    hint: str
    errors: tuple[type[Exception], ...]
    #: Python's name of the encoding of what it can hold; known from the first connection on.
    encoding: str

    def prepare(self) -> None:
        """Make what can be made before the first connection."""

    def connect(self, writing: bool) -> Any:
        """Return a connection."""

    def hurry(self, connection: Any, seconds: float) -> None:
        """Let no call take longer than so many seconds from now on, if a call can be kept waiting for longer."""

    def close(self, connection: Any) -> None:
        """Disconnect."""

    def leave(self, connections: Sequence[Any]) -> None:
        """Let go of a parent's connections, in its forked child: neither use nor close them."""

    def begin(self, connection: Any) -> None:
        """Begin a transaction that writes."""

    def begin_migration(self, connection: Any) -> None:
        """Begin a transaction that no other migration can be in at the same time."""

    def commit(self, connection: Any) -> None:
        """Commit; whether it was, where that raises, is to be looked up."""

    def tidy(self, connection: Any, rows: int) -> bool:
        """See to the files, now and then; ``rows`` is how many were written or removed since the last call.

        Say whether that has taken time.
        """

    def is_tidying(self) -> bool:
        """Say whether the files are seen to at this moment, so that what can wait should."""

    def rollback(self, connection: Any) -> None:
        """End a transaction without a trace."""

    def lock_nodes(self, connection: Any) -> None:
        """Let no other process come, or note that it is alone, until the transaction has ended."""

    def lock_node(self, connection: Any, node: int) -> None:
        """Wait for what an earlier connection of a node has sent, and lock it out."""

    def lock_tasks(self, connection: Any, ids: Sequence[int]) -> None:
        """Lock the rows of tasks, where the database does not lock as a whole."""

    def execute(self, connection: Any, sql: str, values: Sequence[Any] = ()) -> int:
        """Execute one statement; return how many rows it has changed."""

    def insert(self, connection: Any, sql: str, values: Sequence[Any]) -> int:
        """Insert a row; return its id."""

    def many(self, connection: Any, statement: Many, rows: Sequence[Sequence[Any]]) -> int:
        """Execute a statement for many rows; return how many rows it has changed."""

    def select(self, connection: Any, statement: Many, rows: Sequence[Sequence[Any]]) -> list[Any]:
        """Return what a statement finds for many rows."""

    def rows(self, connection: Any, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        """Return all rows of a statement."""

    def version(self, connection: Any) -> int:
        """Return the last migration that was applied, 0 for none."""

    def is_data(self, error: BaseException) -> bool:
        """Say whether an error is one of what was to be written, and not of the database."""

    def describe(self, error: BaseException) -> str:
        """Return what is wrong and how to mend it, in one line without a password."""


def never_free(connection: Any) -> None:
    """Keep an object for ever: in a forked child a connection of the parent's must not even be freed."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))
