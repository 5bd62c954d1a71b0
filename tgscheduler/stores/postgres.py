"""PostgreSQL, through psycopg 3.

Nothing here depends on a session's state, so a connection pooler in between does no harm: each transaction sets what it
needs, and a query outside of one gets its own. Each call has two bounds: the server's timeouts, which end in an error
from the server, and a slightly longer one of ours, for a connection over which no reply comes.
"""

import codecs
import os
import re
import traceback
from collections.abc import Generator, Sequence
from typing import Any

import psycopg
from psycopg import conninfo
from psycopg.pq import TransactionStatus

from tgscheduler.clock import elapsed
from tgscheduler.errors import InvalidValue, StoreError
from tgscheduler.forks import no_fork
from tgscheduler.messages import without
from tgscheduler.stores.sql import Many

#: Connection parameters that the URL may override (seconds; ``tcp_user_timeout``: milliseconds).
_DEFAULTS: dict[str, str | int] = {
    "connect_timeout": 3, "tcp_user_timeout": 5000, "keepalives_idle": 5, "keepalives_interval": 2,
    "keepalives_count": 3, "application_name": "tgscheduler",
}  # fmt: skip
#: Maximum duration (seconds) of a call, and of one that migrates: slightly more than the server allows.
BOUND = 12.0
_MIGRATION_BOUND = 600.0
#: Begins a transaction. A role, a database or the server may have other defaults for all of these settings.
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
#: Keys of advisory locks: any numbers, as long as they never change.
_MIGRATION = 0x7467_7363_6865_6475
_NODES = _MIGRATION + 1
#: An unescaped @ ends the password: with a second one, part of the password would be taken for the host.
_URL = re.compile(r"[^:]*:(//)?[^@/?\0]*@?[^@\0]*")
#: Parts of the URL that no message may contain.
_SECRET = ("password", "sslpassword", "passfile")
_MENDS = (
    ("password authentication failed", "check user and password in the URL, and the server's pg_hba.conf"),
    ("no password supplied", "the server asks for a password: it belongs in the URL or in ~/.pgpass"),
    ("does not exist", "create it, or name another one in the URL"),
    ("Connection refused", "start the server, or check host and port in the URL"),
    ("could not translate host name", "check the host in the URL"),
    ("failed to resolve host", "check the host in the URL"),
    ("permission denied", "grant it to this user"),
    ("too many", "the server accepts no more connections: check its max_connections"),
    ("read-only", "the server is a standby, or set read-only: name the primary"),
    ("during recovery", "the server is a standby: name the primary"),
    ("conversion between", "use a database whose encoding is UTF8"),
    ("codec can't decode", "a table of ours has text that is not ours: restore it, or use a database of encoding UTF8"),
)


class NoAnswer(psycopg.OperationalError):
    """A call took longer than its bound; the connection is closed."""


class _Connection(psycopg.Connection[Any]):
    """A connection with a bound on each call; past the bound the connection is closed."""

    #: Begins a transaction.
    beginning = _READING
    #: Maximum duration of a call (seconds); another thread may change it during a call.
    bound = BOUND

    @classmethod
    def _connect_gen(cls, *args: Any, **kw: Any) -> Any:
        return _in_steps(super()._connect_gen(*args, **kw))

    def wait(self, gen: Any, *args: Any, **kw: Any) -> Any:
        """Run a generator of psycopg's; raise NoAnswer past the bound."""
        try:
            return super().wait(_within(gen, self), *args, **kw)
        except NoAnswer:
            self.close()
            raise


def _in_steps(calls: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
    """Yield what a generator of psycopg's waits for; no fork happens during its steps."""
    ready = None
    while True:
        try:
            with no_fork:
                wanted = calls.send(ready)
        except StopIteration as end:
            return end.value
        ready = yield wanted


def _within(steps: Generator[Any, Any, Any], connection: _Connection) -> Generator[Any, Any, Any]:
    """Yield what a generator of psycopg's waits for; it is resumed at least ten times a second."""
    began, ready = elapsed(), None
    while True:
        try:
            with no_fork:  # in libpq, its resolver and TLS; a fork may happen while it waits
                wanted = steps.send(ready)
        except StopIteration as end:
            return end.value
        if elapsed() - began > connection.bound:
            raise NoAnswer(f"no answer for {elapsed() - began:.0f} s")
        ready = yield wanted


class PostgresDatabase:
    """A database of a PostgreSQL server."""

    dialect = "postgres"
    index_hint = ""
    locked = " FOR UPDATE"
    clock = "extract(epoch FROM clock_timestamp())::double precision"
    encoding = "utf-8"
    errors: tuple[type[Exception], ...] = (psycopg.Error, OSError, UnicodeError)

    def __init__(self, url: str) -> None:
        try:
            if not _URL.fullmatch(url):
                raise ValueError
            parts = conninfo.conninfo_to_dict(url)
            for number in str(parts.get("port") or 0).split(","):
                int(number or 0)
        except (psycopg.ProgrammingError, ValueError):  # their messages quote the URL, perhaps with its password
            raise InvalidValue(
                "store: expected postgresql://user:password@host:port/database, got something that is no such URL; "
                "special characters in it are written as %XX, an @ as %40 and a / as %2F"
            ) from None
        defaults = {key: value for key, value in _DEFAULTS.items() if key not in parts}
        self._url = conninfo.make_conninfo(url, client_encoding="utf8", **defaults)
        self._secrets = [str(parts[key]) for key in _SECRET if parts.get(key)]
        user, port = parts.get("user"), parts.get("port")
        self.name = (
            f"postgresql://{f'{user}@' if user else ''}{parts.get('host') or ''}{f':{port}' if port else ''}"
            f"/{parts.get('dbname') or ''}"
        )

    # -- connecting ---------------------------------------------------------------------------------------------------

    def prepare(self) -> None:
        """Do nothing: the server's administrator creates the database."""

    def connect(self, writing: bool) -> _Connection:
        """Return a connection; raise StoreError if the server is too old."""
        try:
            connection = _Connection.connect(self._url, autocommit=True, prepare_threshold=None)
        except psycopg.Error as error:
            traceback.clear_frames(error.__traceback__)  # psycopg's frames hold the socket and, in a cycle, the error
            raise
        version = connection.info.server_version
        if version < _OLDEST * 10_000:
            connection.close()
            raise StoreError(f"{self.name}: PostgreSQL {_OLDEST} or newer is needed, the server is {version // 10_000}")
        self.encoding = _codec(connection.info.parameter_status("server_encoding") or "UTF8")
        connection.beginning = _WRITING if writing else _READING
        return connection

    def hurry(self, connection: _Connection, seconds: float) -> None:
        """Limit calls to ``seconds`` from now on, including one in progress."""
        connection.bound = seconds

    def close(self, connection: _Connection) -> None:
        """Disconnect."""
        try:
            with no_fork:
                connection.close()
        except psycopg.Error:  # the server closed it first
            pass

    def abandon_connections(self, connections: Sequence[_Connection]) -> None:
        """Abandon a parent's connections in its forked child: closing them properly would end the parent's sessions."""
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
        """Begin a transaction that excludes other migrations."""
        connection.bound = _MIGRATION_BOUND
        connection.execute(_MIGRATING)
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_MIGRATION,))

    def commit(self, connection: _Connection) -> None:
        """Commit; if this raises, the caller must look up whether the transaction was committed."""
        connection.execute("COMMIT")
        connection.bound = min(connection.bound, _Connection.bound)

    def maintain(self, connection: _Connection, rows: int) -> bool:
        """Do nothing: the server vacuums."""
        return False

    def maintaining(self) -> bool:
        """Return False: the server vacuums."""
        return False

    def rollback(self, connection: _Connection) -> None:
        """Roll back a transaction."""
        connection.bound = min(connection.bound, _Connection.bound)
        connection.execute("ROLLBACK")

    def lock_nodes(self, connection: _Connection) -> None:
        """Keep other processes from registering, or recording that they are alone, until the transaction has ended."""
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_NODES,))

    def lock_node(self, connection: _Connection, node: int) -> None:
        """Lock a node's row; once locked, the transaction of an earlier connection is committed or rolled back."""
        self.rows(connection, "SELECT 1 FROM tg_node WHERE id = ? FOR UPDATE", (node,))

    def lock_tasks(self, connection: _Connection, ids: Sequence[int]) -> None:
        """Lock the rows of tasks in the order of their ids, so that two processes never deadlock."""
        sql = "SELECT count(*) FROM (SELECT 1 FROM tg_task WHERE id = ANY(?::bigint[]) ORDER BY id FOR UPDATE) locked"
        self.rows(connection, sql, (list(ids),))

    def execute(self, connection: _Connection, sql: str, values: Sequence[Any] = ()) -> int:
        """Execute one statement; return the number of rows that it changed."""
        return _ask(connection, sql.replace("?", "%s").encode(), values or None).rowcount

    def insert(self, connection: _Connection, sql: str, values: Sequence[Any]) -> int:
        """Insert a row; return its id."""
        return int(self.rows(connection, f"{sql} RETURNING id", values)[0][0])

    def execute_many(self, connection: _Connection, statement: Many, rows: Sequence[Sequence[Any]]) -> int:
        """Execute a statement for many rows; return the number of rows that it changed."""
        return _ask(connection, _text(statement), _columns(statement, rows)).rowcount if rows else 0

    def select(self, connection: _Connection, statement: Many, rows: Sequence[Sequence[Any]]) -> list[Any]:
        """Return the result of a statement for many rows."""
        return _ask(connection, _text(statement), _columns(statement, rows)).fetchall() if rows else []

    # -- reading ------------------------------------------------------------------------------------------------------

    def rows(self, connection: _Connection, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        """Return all rows of a statement."""
        return _ask(connection, sql.replace("?", "%s").encode(), values or None).fetchall()

    def version(self, connection: _Connection) -> int:
        """Return the number of the last applied migration, 0 if there is none."""
        # Not to_regclass(): it may return what was true before it waited for another migration.
        there = "SELECT 1 FROM pg_catalog.pg_class WHERE relname = 'tg_schema' AND pg_catalog.pg_table_is_visible(oid)"
        if not self.rows(connection, there):
            return 0
        return int(self.rows(connection, "SELECT coalesce(max(version), 0) FROM tg_schema")[0][0])

    # -- errors -------------------------------------------------------------------------------------------------------

    def is_data(self, error: BaseException) -> bool:
        """Return whether an error is due to the data to be written, and not to the database."""
        if isinstance(error, psycopg.Error):
            unsent = isinstance(error, psycopg.ProgrammingError) and error.sqlstate is None
            return unsent or isinstance(error, (psycopg.DataError, psycopg.IntegrityError))
        return isinstance(error, (OverflowError, TypeError, ValueError, AttributeError))

    def describe(self, error: BaseException) -> str:
        """Return what is wrong and how to fix it, in one line without a password."""
        text = " ".join(without(str(error), self._secrets).split()) or type(error).__name__
        if isinstance(error, StoreError):
            return text
        for words, mend in _MENDS:
            if words in text:
                return f"{self.name}: {text}; {mend}"
        return f"{self.name}: {text}"


def _ask(connection: _Connection, query: bytes, values: Sequence[Any] | None) -> "psycopg.Cursor[Any]":
    """Execute a query, in a transaction of its own if there is none; results are binary, so floats stay exact."""
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
    """Return Python's name of a server encoding, ASCII if Python has none."""
    if encoding in ("UTF8", "SQL_ASCII"):  # SQL_ASCII stores any bytes unchanged
        return "utf-8"
    try:
        return codecs.lookup(encoding.replace("WIN", "cp").replace("KOI8", "koi8-")).name
    except LookupError:
        return "ascii"


def _columns(statement: Many, rows: Sequence[Sequence[Any]]) -> list[str]:
    """Return each column as the text of an array: psycopg's conversion, a call per value, takes half the time."""
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
