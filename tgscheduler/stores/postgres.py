"""PostgreSQL, through psycopg 3.

Nothing here depends on a session's state, so a pooler between us and the server does no harm: each transaction sets for
itself what it needs, and what is asked outside of one gets its own. Each call has two bounds: the server's own, within
which it answers with an error, and a little later ours, for a connection over which no answer comes.
"""

import codecs
import os
from collections.abc import Generator, Sequence
from typing import Any

import psycopg
from psycopg import conninfo
from psycopg.pq import TransactionStatus

from tgscheduler.clock import elapsed
from tgscheduler.errors import InvalidValue, StoreError
from tgscheduler.stores.statements import Many

#: For every connection that the URL gives no other value for (seconds, or milliseconds where libpq counts those).
_DEFAULTS: dict[str, str | int] = {
    "connect_timeout": 3, "tcp_user_timeout": 5000, "keepalives_idle": 5, "keepalives_interval": 2,
    "keepalives_count": 3, "application_name": "tgscheduler",
}  # fmt: skip
#: Maximum duration (seconds) of a call, and of one that migrates: a little more than what the server allows.
BOUND = 12.0
_MIGRATION_BOUND = 600.0
#: How a transaction begins. A role, a database or the server may have other defaults for all of it.
_BEGIN = (
    "BEGIN ISOLATION LEVEL READ COMMITTED {mode}; SET LOCAL statement_timeout = '{statement}s'; "
    "SET LOCAL lock_timeout = '{lock}s'; SET LOCAL idle_in_transaction_session_timeout = '5s'; "
    "SET LOCAL array_nulls = on"
)
_WRITING = _BEGIN.format(mode="READ WRITE", statement=10, lock=4)
_READING = _BEGIN.format(mode="READ ONLY", statement=10, lock=4)
_MIGRATING = _BEGIN.format(mode="READ WRITE", statement=590, lock=60)
_OLDEST = 10
_TYPES = {"i": "bigint", "f": "double precision", "t": "text"}
#: Any number will do, if it is always the same.
_MIGRATION = 0x7467_7363_6865_6475
_NODES = _MIGRATION + 1
_MENDS = (
    ("password authentication failed", "mind user and password in the URL, or the server's pg_hba.conf"),
    ("no password supplied", "the server asks for a password: it belongs in the URL or in ~/.pgpass"),
    ("does not exist", "create it, or name another one in the URL"),
    ("Connection refused", "start the server, or mind host and port in the URL"),
    ("could not translate host name", "mind the host in the URL"),
    ("failed to resolve host", "mind the host in the URL"),
    ("permission denied", "grant it to this user"),
    ("too many", "the server takes no more connections: mind its max_connections"),
    ("read-only", "the server is a standby, or set read-only: name the one that is written to"),
    ("during recovery", "the server is a standby: name the one that is written to"),
    ("conversion between", "use a database whose encoding is UTF8"),
    ("codec can't decode", "a table of ours has text that is not ours: restore it, or use a database of encoding UTF8"),
)


class NoAnswer(psycopg.OperationalError):
    """A call has taken longer than its bound; the connection is closed."""


class _Connection(psycopg.Connection[Any]):
    """A connection each of whose calls has a bound; past it the connection is closed."""

    #: How a transaction begins.
    beginning = _READING
    #: Maximum duration of a call (seconds); another thread may change it while a call waits.
    bound = BOUND

    def wait(self, gen: Any, *args: Any, **kw: Any) -> Any:
        """Do what a generator of psycopg's does between its waits; raise NoAnswer past the bound."""
        try:
            return super().wait(_within(gen, self), *args, **kw)
        except NoAnswer:
            self.close()
            raise


def _within(steps: Generator[Any, Any, Any], connection: _Connection) -> Generator[Any, Any, Any]:
    """Yield what a generator of psycopg's waits for; it goes on ten times a second at least."""
    began, ready = elapsed(), None
    while True:
        try:
            wanted = steps.send(ready)
        except StopIteration as end:
            return end.value
        if elapsed() - began > connection.bound:
            raise NoAnswer(f"no answer for {elapsed() - began:.0f} s")
        ready = yield wanted


class PostgresDatabase:
    """A server's database, and how it is written and read."""

    dialect = "postgres"
    hint = ""
    locked = " FOR UPDATE"
    clock = "extract(epoch FROM clock_timestamp())::double precision"
    encoding = "utf-8"
    errors: tuple[type[Exception], ...] = (psycopg.Error, OSError, UnicodeError)

    def __init__(self, url: str) -> None:
        try:
            parts = conninfo.conninfo_to_dict(url)
            for number in str(parts.get("port") or 0).split(","):
                int(number or 0)
        except (psycopg.ProgrammingError, ValueError):  # their texts have parts of the URL: the password, perhaps
            raise InvalidValue(
                "store: expected postgresql://user:password@host:port/database, got something that is no such URL; "
                "special characters in it are written as %XX"
            ) from None
        defaults = {key: value for key, value in _DEFAULTS.items() if key not in parts}
        self._url = conninfo.make_conninfo(url, client_encoding="utf8", **defaults)
        self._password = str(parts.get("password") or "")
        user, port = parts.get("user"), parts.get("port")
        self.name = (
            f"postgresql://{f'{user}@' if user else ''}{parts.get('host') or ''}{f':{port}' if port else ''}"
            f"/{parts.get('dbname') or ''}"
        )

    # -- connecting ---------------------------------------------------------------------------------------------------

    def prepare(self) -> None:
        """Nothing to do: the database is created by its server's administrator."""

    def connect(self, writing: bool) -> _Connection:
        """Return a connection; raise StoreError for a server that is too old."""
        connection = _Connection.connect(self._url, autocommit=True, prepare_threshold=None)
        version = connection.info.server_version
        if version < _OLDEST * 10_000:
            connection.close()
            raise StoreError(f"{self.name}: PostgreSQL {_OLDEST} or newer is needed, the server is {version // 10_000}")
        self.encoding = _codec(connection.info.parameter_status("server_encoding") or "UTF8")
        connection.beginning = _WRITING if writing else _READING
        return connection

    def hurry(self, connection: _Connection, seconds: float) -> None:
        """Let no call take longer than so many seconds from now on, also the one that waits at this moment."""
        connection.bound = seconds

    def close(self, connection: _Connection) -> None:
        """Disconnect."""
        try:
            connection.close()
        except psycopg.Error:  # the server went first
            pass

    def leave(self, connections: Sequence[_Connection]) -> None:
        """Let go of a parent's connections, in its forked child: to close them would tell the server that they end."""
        for connection in connections:
            try:
                os.close(connection.fileno())
            except (psycopg.Error, OSError):  # it was broken already
                continue

    # -- writing ------------------------------------------------------------------------------------------------------

    def begin(self, connection: _Connection) -> None:
        """Begin a transaction that writes."""
        connection.execute(connection.beginning)

    def begin_migration(self, connection: _Connection) -> None:
        """Begin a transaction that no other migration can be in at the same time."""
        connection.bound = _MIGRATION_BOUND
        connection.execute(_MIGRATING)
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_MIGRATION,))

    def commit(self, connection: _Connection) -> None:
        """Commit; whether it was, where that raises, is to be looked up."""
        connection.execute("COMMIT")
        connection.bound = min(connection.bound, _Connection.bound)

    def tidy(self, connection: _Connection, rows: int) -> bool:
        """Do nothing: the server vacuums."""
        return False

    def is_tidying(self) -> bool:
        """Say no: the server vacuums."""
        return False

    def rollback(self, connection: _Connection) -> None:
        """End a transaction without a trace."""
        connection.bound = min(connection.bound, _Connection.bound)
        connection.execute("ROLLBACK")

    def lock_nodes(self, connection: _Connection) -> None:
        """Let no other process come, or note that it is alone, until the transaction has ended."""
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_NODES,))

    def lock_node(self, connection: _Connection, node: int) -> None:
        """Lock a node's row: what an earlier connection has sent is committed or not, once that is possible."""
        self.rows(connection, "SELECT 1 FROM tg_node WHERE id = ? FOR UPDATE", (node,))

    def lock_tasks(self, connection: _Connection, ids: Sequence[int]) -> None:
        """Lock the rows of tasks, in the order of their ids: so two processes never wait for each other crosswise."""
        sql = "SELECT count(*) FROM (SELECT 1 FROM tg_task WHERE id = ANY(?::bigint[]) ORDER BY id FOR UPDATE) locked"
        self.rows(connection, sql, (list(ids),))

    def execute(self, connection: _Connection, sql: str, values: Sequence[Any] = ()) -> int:
        """Execute one statement; return how many rows it has changed."""
        return _ask(connection, sql.replace("?", "%s").encode(), values or None).rowcount

    def insert(self, connection: _Connection, sql: str, values: Sequence[Any]) -> int:
        """Insert a row; return its id."""
        return int(self.rows(connection, f"{sql} RETURNING id", values)[0][0])

    def many(self, connection: _Connection, statement: Many, rows: Sequence[Sequence[Any]]) -> int:
        """Execute a statement for many rows; return how many rows it has changed."""
        return _ask(connection, _text(statement), _columns(statement, rows)).rowcount if rows else 0

    def select(self, connection: _Connection, statement: Many, rows: Sequence[Sequence[Any]]) -> list[Any]:
        """Return what a statement finds for many rows."""
        return _ask(connection, _text(statement), _columns(statement, rows)).fetchall() if rows else []

    # -- reading ------------------------------------------------------------------------------------------------------

    def rows(self, connection: _Connection, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        """Return all rows of a statement."""
        return _ask(connection, sql.replace("?", "%s").encode(), values or None).fetchall()

    def version(self, connection: _Connection) -> int:
        """Return the last migration that was applied, 0 for none."""
        # Not to_regclass(): that may answer what it knew before it waited for another's migration.
        there = "SELECT 1 FROM pg_catalog.pg_class WHERE relname = 'tg_schema' AND pg_catalog.pg_table_is_visible(oid)"
        if not self.rows(connection, there):
            return 0
        return int(self.rows(connection, "SELECT coalesce(max(version), 0) FROM tg_schema")[0][0])

    # -- errors -------------------------------------------------------------------------------------------------------

    def is_data(self, error: BaseException) -> bool:
        """Say whether an error is one of what was to be written, and not of the database."""
        if isinstance(error, psycopg.Error):
            unsent = isinstance(error, psycopg.ProgrammingError) and error.sqlstate is None
            return unsent or isinstance(error, (psycopg.DataError, psycopg.IntegrityError))
        return isinstance(error, (OverflowError, TypeError, ValueError, AttributeError))

    def describe(self, error: BaseException) -> str:
        """Return what is wrong and how to mend it, in one line without a password."""
        text = " ".join(str(error).split()) or type(error).__name__
        if len(self._password) > 2:
            text = text.replace(self._password, "***")
        if isinstance(error, StoreError):
            return text
        for words, mend in _MENDS:
            if words in text:
                return f"{self.name}: {text}; {mend}"
        return f"{self.name}: {text}"


def _ask(connection: _Connection, query: bytes, values: Sequence[Any] | None) -> "psycopg.Cursor[Any]":
    """Ask the server, in a transaction of its own where there is none; floats come back as bits, not as digits."""
    if connection.pgconn.transaction_status != TransactionStatus.IDLE:
        return connection.execute(query, values, binary=True)
    connection.execute(connection.beginning)
    try:
        cursor = connection.execute(query, values, binary=True)
    except BaseException:
        if not connection.closed:
            connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")
    return cursor


def _codec(encoding: str) -> str:
    """Return Python's name for what a database can hold; ASCII where Python has none."""
    if encoding in ("UTF8", "SQL_ASCII"):  # the second takes bytes as they come
        return "utf-8"
    try:
        return codecs.lookup(encoding.replace("WIN", "cp").replace("KOI8", "koi8-")).name
    except LookupError:
        return "ascii"


def _columns(statement: Many, rows: Sequence[Sequence[Any]]) -> list[str]:
    """Return each column as the text of an array: psycopg takes a call per value, half of all the time."""
    columns = []
    for kind, column in zip(statement.types, zip(*rows, strict=True), strict=True):
        if kind == "t":
            columns.append(f"{{{','.join(map(_quoted, column))}}}")
        else:
            values = [None if value is None else float(value) for value in column] if kind == "f" else list(column)
            columns.append(f"{{{str(values)[1:-1].replace('None', 'NULL')}}}")
    return columns


def _quoted(text: str | None) -> str:
    if text is None:
        return "NULL"
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _text(statement: Many) -> bytes:
    arrays = ", ".join(f"%s::{_TYPES[kind]}[]" for kind in statement.types)
    names = ", ".join(f"column{number}" for number in range(1, len(statement.types) + 1))
    return statement.sql.replace("{v}", f"unnest({arrays}) AS v({names})").encode()
