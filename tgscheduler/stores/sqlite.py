"""SQLite: one file, through the standard library's ``sqlite3``.

The file is in WAL mode, so that readers and the writer do not wait for each other. A step of sqlite3 releases the GIL,
and getting it back may take 5 ms beside a busy thread: so a batch is a few statements of many rows each.
"""

import functools
import os
import re
import sqlite3
import threading
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from tgscheduler.clock import elapsed, pause
from tgscheduler.errors import InvalidValue, StoreError, WrongProcess
from tgscheduler.forks import no_fork
from tgscheduler.messages import shown
from tgscheduler.stores.database import never_free
from tgscheduler.stores.sql import Many
from tgscheduler.stores.sqlite_file import DatabaseFile, Identity, Moved

#: Timeout (seconds) of a statement that waits for another process's transaction.
BUSY_TIMEOUT = 2.0
#: Number of rows after which a checkpoint moves the log to the file. SQLite itself would do it within a COMMIT, and
#: claims would wait for the disk; it still does when the log has grown to ``_LONGEST_LOG`` pages.
_MAINTENANCE_DUE = 2000
_LONG, _LONGEST_LOG = 4000, 40_000
#: Maximum number of rows of a statement.
ROWS = 256
_OLDEST = (3, 35, 0)  # UPDATE FROM and RETURNING
_MENDS = (
    ("not a database", "the file is something else: use another path"),
    ("malformed", "the file is damaged: restore it from a backup"),
    ("locked", "another program holds it: end that program, or wait for it"),
    ("readonly", "it is not writable: check its owner and mode, and its folder's"),
    ("unable to open", "check its owner and mode, and its folder's"),
    ("full", "the disk is full: make room"),
    ("disk I/O", "the disk failed: check its free space and its health"),
)


class SqliteDatabase:
    """A database in a file."""

    dialect = "sqlite"
    index_hint = " INDEXED BY {}"
    locked = ""
    clock = "((julianday('now') - 2440587.5) * 86400.0)"
    encoding = "utf-8"
    errors: tuple[type[Exception], ...] = (sqlite3.Error, OSError)

    def __init__(self, path: str | os.PathLike[str]) -> None:
        if not str(path) or str(path) == ":memory:" or "\0" in str(path):
            raise InvalidValue(f"store: expected the path of a file, got {str(path)!r}; to keep nothing say 'memory'")
        self.path = Path(path).absolute()
        self._file = DatabaseFile(self.path)
        self.name = self._file.name
        self._needs_maintenance = self._log = 0
        self._maintenance_thread: threading.Thread | None = None
        self._maintenance_connection: sqlite3.Connection | None = None

    # -- connecting ---------------------------------------------------------------------------------------------------

    def prepare(self) -> None:
        """Create the file, for its owner only, if there is none; raise StoreError if that fails."""
        if sqlite3.sqlite_version_info < _OLDEST:
            raise StoreError(
                f"{self.name}: SQLite {'.'.join(map(str, _OLDEST))} or newer is needed, this Python has "
                f"{sqlite3.sqlite_version}: use another Python, or postgresql://"
            )
        self._restore()
        self._file.create()

    @no_fork
    def connect(self, writing: bool) -> sqlite3.Connection:
        """Return a connection to the file, which must exist."""
        if not self.path.is_file():
            raise StoreError(f"{self.name}: there is no such file")
        if self._file.identity in _inherited:
            raise WrongProcess(
                f"{self.name} is open in the parent of this process, and SQLite cannot have it open in both: "
                "open it after the fork, in a program of its own, or by method.threaded"
            )
        connection = sqlite3.connect(
            self._file.uri, uri=True, isolation_level=None, check_same_thread=False,
            cached_statements=256, timeout=BUSY_TIMEOUT,
        )  # fmt: skip
        try:
            if writing:
                _write_ahead(connection)
                connection.execute("PRAGMA synchronous = NORMAL")
                connection.execute("PRAGMA cache_size = -16000")
                connection.execute(f"PRAGMA wal_autocheckpoint = {_LONGEST_LOG}")
                connection.execute("SELECT 1 FROM sqlite_master").fetchall()  # opens the log
                kept = self._file.note_opened()
                if kept is not None:  # another file owns its log by now: closed last, it would move that log
                    self.close(kept)
            else:
                connection.execute("PRAGMA query_only = 1")
        except BaseException:
            connection.close()
            raise
        return connection

    def hurry(self, connection: sqlite3.Connection, seconds: float) -> None:
        """Do nothing: a call waits at most BUSY_TIMEOUT seconds, and only for a lock."""

    def close(self, connection: sqlite3.Connection) -> None:
        """Disconnect."""
        if connection is self._file.kept:
            return
        if self._maintenance_thread is not None and self._maintenance_thread is not threading.current_thread():
            self._maintenance_thread.join(BUSY_TIMEOUT)
        try:
            with no_fork:
                connection.close()
        except sqlite3.Error:  # its transaction cannot be ended: the file or the disk is gone
            pass

    def abandon_connections(self, connections: Sequence[Any]) -> None:
        """Abandon a parent's connections in its forked child: neither use nor close them."""
        hidden = [each for each in (self._maintenance_connection, self._file.kept) if each is not None]
        if connections or hidden:
            _inherited.add(self._file.opened or self._file.identity)
            for connection in hidden:
                never_free(connection)
            for descriptor in self._file.descriptors():
                os.close(descriptor)

    # -- writing ------------------------------------------------------------------------------------------------------

    @no_fork
    def begin(self, connection: sqlite3.Connection) -> None:
        """Begin a transaction that writes."""
        connection.execute("BEGIN IMMEDIATE")
        # Checked only now: within the transaction no other process moves the log.
        if self._file.is_moved():
            connection.execute("ROLLBACK")
            self._file.kept = connection
            raise Moved(f"{self.name} or its log was removed or replaced")

    @no_fork
    def begin_migration(self, connection: sqlite3.Connection) -> None:
        """Begin a transaction that excludes other migrations."""
        connection.execute("BEGIN IMMEDIATE")

    @no_fork
    def commit(self, connection: sqlite3.Connection) -> None:
        """Commit; if this raises, the caller must look up whether the transaction was committed."""
        connection.execute("COMMIT")

    def maintain(self, connection: sqlite3.Connection, rows: int) -> bool:
        """Move what was written from the log to the file, after enough rows.

        A separate thread does it while the writer goes on. The log restarts only when nothing is left in it: so if it
        has grown long, this call moves what has been added meanwhile. Return whether it did.
        """
        self._needs_maintenance += rows
        if self.maintaining():
            return False
        if self._log > _LONG:
            self._log = 0
            self.rows(connection, "PRAGMA wal_checkpoint(PASSIVE)")
            return True
        if self._needs_maintenance >= _MAINTENANCE_DUE:
            self._needs_maintenance = 0
            self._maintenance_thread = threading.Thread(
                target=self._check_point, name="tgscheduler-store-tidy", daemon=True
            )
            self._maintenance_thread.start()
        return False

    def maintaining(self) -> bool:
        """Return whether the log is being moved to the file, so that pruning should wait."""
        return self._maintenance_thread is not None and self._maintenance_thread.is_alive()

    def _check_point(self) -> None:
        try:
            connection = self._maintenance_connection = self.connect(writing=False)
            try:
                self.execute(connection, "PRAGMA query_only = 0")
                for _ in range(2):  # little is left for the second time
                    [(_, self._log, _)] = self.rows(connection, "PRAGMA wal_checkpoint(PASSIVE)")
            finally:
                self._maintenance_connection = None
                with no_fork:
                    connection.close()
        except (sqlite3.Error, OSError):  # the writer will report the error
            pass

    @no_fork
    def rollback(self, connection: sqlite3.Connection) -> None:
        """Roll back a transaction."""
        if connection.in_transaction:
            connection.execute("ROLLBACK")

    def lock_nodes(self, connection: sqlite3.Connection) -> None:
        """Do nothing: a transaction locks the whole file."""

    def lock_node(self, connection: sqlite3.Connection, node: int) -> None:
        """Do nothing: a transaction locks the whole file."""

    def lock_tasks(self, connection: sqlite3.Connection, ids: Sequence[int]) -> None:
        """Do nothing: a transaction locks the whole file."""

    @no_fork
    def execute(self, connection: sqlite3.Connection, sql: str, values: Sequence[Any] = ()) -> int:
        """Execute one statement; return the number of rows that it changed."""
        return connection.execute(sql, values).rowcount

    @no_fork
    def insert(self, connection: sqlite3.Connection, sql: str, values: Sequence[Any]) -> int:
        """Insert a row; return its id."""
        return int(connection.execute(f"{sql} RETURNING id", values).fetchall()[0][0])

    @no_fork
    def execute_many(self, connection: sqlite3.Connection, statement: Many, rows: Sequence[Sequence[Any]]) -> int:
        """Execute a statement for many rows; return the number of rows that it changed."""
        return sum(connection.execute(*part).rowcount for part in _parts(statement, rows))

    @no_fork
    def select(self, connection: sqlite3.Connection, statement: Many, rows: Sequence[Sequence[Any]]) -> list[Any]:
        """Return the result of a statement for many rows."""
        return [row for part in _parts(statement, rows) for row in connection.execute(*part).fetchall()]

    # -- reading ------------------------------------------------------------------------------------------------------

    @no_fork
    def rows(self, connection: sqlite3.Connection, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        """Return all rows of a statement."""
        return connection.execute(sql, values).fetchall()

    def version(self, connection: sqlite3.Connection) -> int:
        """Return the number of the last applied migration, 0 if there is none."""
        if not self.rows(connection, "SELECT 1 FROM sqlite_master WHERE name = 'tg_schema'"):
            return 0
        return int(self.rows(connection, "SELECT coalesce(max(version), 0) FROM tg_schema")[0][0])

    # -- errors -------------------------------------------------------------------------------------------------------

    def is_data(self, error: BaseException) -> bool:
        """Return whether an error is due to the data to be written, and not to the database."""
        kinds = (sqlite3.DataError, sqlite3.IntegrityError, sqlite3.InterfaceError, sqlite3.ProgrammingError)
        return isinstance(error, (*kinds, OverflowError, TypeError, ValueError, AttributeError))

    def describe(self, error: BaseException) -> str:
        """Return what is wrong and how to fix it, in one line."""
        text = " ".join(str(error).split()) or type(error).__name__
        if isinstance(error, StoreError):
            return text
        for words, mend in _MENDS:
            if words in text:
                return f"{self.name}: {text}; {mend}"
        return f"{self.name}: {text}"

    @no_fork
    def _restore(self) -> None:
        """Restore to the path what was removed from it, or the content of a removed log."""
        connection = self._file.restore()
        if connection is not None:
            self.close(connection)


#: Files that the parent of this forked process has open. SQLite keeps, for each file, a list of what the process has
#: locked; a child inherits the list but not the locks, so it must not open such a file.
_inherited: set[Identity] = set()


def _parts(statement: Many, rows: Sequence[Sequence[Any]]) -> list[tuple[str, list[Any]]]:
    """Return statements of a few sizes, so that they stay prepared, with their values, padded with NULL."""
    width = len(statement.types)
    parts = []
    for place in range(0, len(rows), ROWS):
        part = rows[place : place + ROWS]
        size = 1 << (len(part) - 1).bit_length()
        values = list(chain.from_iterable(part))
        values.extend([None] * ((size - len(part)) * width))
        parts.append((_text(statement, size), values))
    return parts


@functools.lru_cache(maxsize=256)
def _text(statement: Many, size: int) -> str:
    row = f"({', '.join('?' * len(statement.types))})"
    return statement.sql.replace("{v}", f"(VALUES {', '.join([row] * size)}) AS v")


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Put the file in WAL mode; while another process does the same, SQLite raises "locked" without waiting."""
    end = elapsed() + BUSY_TIMEOUT
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or elapsed() >= end:
                raise
            pause(0.005)


def path_of(url: str, folder: str | os.PathLike[str] | None) -> Path:
    """Return the path of a ``sqlite:`` URL; a relative one starts at ``folder`` (None: the current directory)."""
    found = re.fullmatch(r"sqlite:///([^?#]+)", url)
    if found is None:
        odd = re.search(r"[?#]", url)
        mend = f"a file's name cannot have {odd[0]!r} in it here" if odd else "to keep nothing say 'memory'"
        raise InvalidValue(
            f"store: expected 'sqlite:///file.db' or 'sqlite:////folder/file.db', got {shown(url)}; {mend}"
        )
    return Path(folder or "", found[1])
