"""PostgreSQL, through psycopg 3.

Nothing here depends on a session's state but its timeouts, so a pooler between us and the server does no harm.
"""

import os
import re
from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg import conninfo

from tgscheduler.errors import InvalidValue, StoreError
from tgscheduler.messages import without
from tgscheduler.stores.statements import Many

#: For every connection that the URL gives no other value for (seconds, or milliseconds where libpq counts those).
_DEFAULTS: dict[str, str | int] = {
    "connect_timeout": 3, "tcp_user_timeout": 5000, "keepalives_idle": 5, "keepalives_interval": 2,
    "keepalives_count": 3, "application_name": "tgscheduler",
}  # fmt: skip
_TIMEOUTS = "SET statement_timeout = '10s'; SET lock_timeout = '4s'; SET idle_in_transaction_session_timeout = '10s'"
_TYPES = {"i": "bigint", "f": "double precision", "t": "text"}
#: Any number will do, if it is always the same.
_MIGRATION = 0x7467_7363_6865_6475
#: An @ that stands for itself ends the password: with one more, a part of the password is taken for the host.
_URL = re.compile(r"[^:]*:(//)?[^@/?\0]*@?[^@\0]*")
#: Parts of the URL that no message may have.
_SECRET = ("password", "sslpassword", "passfile")
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
)


class PostgresDatabase:
    """A server's database, and how it is written and read."""

    dialect = "postgres"
    hint = ""
    locked = " FOR UPDATE"
    errors: tuple[type[Exception], ...] = (psycopg.Error, OSError)

    def __init__(self, url: str) -> None:
        try:
            if not _URL.fullmatch(url):
                raise ValueError
            parts = conninfo.conninfo_to_dict(url)
            for number in str(parts.get("port") or 0).split(","):
                int(number or 0)
        except (psycopg.ProgrammingError, ValueError):  # their texts have parts of the URL: the password, perhaps
            raise InvalidValue(
                "store: expected postgresql://user:password@host:port/database, got something that is no such URL; "
                "special characters in it are written as %XX, an @ as %40 and a / as %2F"
            ) from None
        defaults = {key: value for key, value in _DEFAULTS.items() if key not in parts}
        self._url = conninfo.make_conninfo(url, **defaults)
        self._secrets = [str(parts[key]) for key in _SECRET if parts.get(key)]
        user, port = parts.get("user"), parts.get("port")
        self.name = (
            f"postgresql://{f'{user}@' if user else ''}{parts.get('host') or ''}{f':{port}' if port else ''}"
            f"/{parts.get('dbname') or ''}"
        )

    # -- connecting ---------------------------------------------------------------------------------------------------

    def prepare(self) -> None:
        """Nothing to do: the database is created by its server's administrator."""

    def connect(self, writing: bool) -> "psycopg.Connection[Any]":
        """Return a connection."""
        connection = psycopg.connect(self._url, autocommit=True, prepare_threshold=None)
        try:
            connection.execute(_TIMEOUTS)
        except BaseException:
            connection.close()
            raise
        return connection

    def close(self, connection: "psycopg.Connection[Any]") -> None:
        """Disconnect."""
        try:
            connection.close()
        except psycopg.Error:  # the server went first
            pass

    def leave(self, connections: "Sequence[psycopg.Connection[Any]]") -> None:
        """Let go of a parent's connections, in its forked child: to close them would tell the server that they end."""
        for connection in connections:
            try:
                os.close(connection.fileno())
            except (psycopg.Error, OSError):  # it was broken already
                continue

    # -- writing ------------------------------------------------------------------------------------------------------

    def begin(self, connection: "psycopg.Connection[Any]") -> None:
        """Begin a transaction that writes."""
        connection.execute("BEGIN")

    def begin_migration(self, connection: "psycopg.Connection[Any]") -> None:
        """Begin a transaction that no other migration can be in at the same time."""
        connection.execute("BEGIN; SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = '60s'")
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_MIGRATION,))

    def commit(self, connection: "psycopg.Connection[Any]") -> None:
        """Commit; whether it was, where that raises, is to be looked up."""
        connection.execute("COMMIT")

    def tidy(self, connection: "psycopg.Connection[Any]", rows: int) -> bool:
        """Do nothing: the server vacuums."""
        return False

    def is_tidying(self) -> bool:
        """Say no: the server vacuums."""
        return False

    def rollback(self, connection: "psycopg.Connection[Any]") -> None:
        """End a transaction without a trace."""
        connection.execute("ROLLBACK")

    def lock_node(self, connection: "psycopg.Connection[Any]", node: int) -> None:
        """Lock a node's row: what an earlier connection has sent is committed or not, once that is possible."""
        connection.execute("SELECT 1 FROM tg_node WHERE id = %s FOR UPDATE", (node,))

    def lock_tasks(self, connection: "psycopg.Connection[Any]", ids: Sequence[int]) -> None:
        """Lock the rows of tasks, in the order of their ids: so two processes never wait for each other crosswise."""
        connection.execute(
            "SELECT count(*) FROM (SELECT 1 FROM tg_task WHERE id = ANY(%s::bigint[]) ORDER BY id FOR UPDATE) locked",
            (list(ids),),
        )

    def execute(self, connection: "psycopg.Connection[Any]", sql: str, values: Sequence[Any] = ()) -> int:
        """Execute one statement; return how many rows it has changed."""
        return connection.execute(sql.replace("?", "%s").encode(), values or None).rowcount

    def insert(self, connection: "psycopg.Connection[Any]", sql: str, values: Sequence[Any]) -> int:
        """Insert a row; return its id."""
        return int(self.rows(connection, f"{sql} RETURNING id", values)[0][0])

    def many(self, connection: "psycopg.Connection[Any]", statement: Many, rows: Sequence[Sequence[Any]]) -> int:
        """Execute a statement for many rows; return how many rows it has changed."""
        return connection.execute(_text(statement), _columns(statement, rows)).rowcount

    def select(
        self, connection: "psycopg.Connection[Any]", statement: Many, rows: Sequence[Sequence[Any]]
    ) -> list[Any]:
        """Return what a statement finds for many rows."""
        return connection.execute(_text(statement), _columns(statement, rows)).fetchall()

    # -- reading ------------------------------------------------------------------------------------------------------

    def rows(self, connection: "psycopg.Connection[Any]", sql: str, values: Sequence[Any] = ()) -> list[Any]:
        """Return all rows of a statement."""
        return connection.execute(sql.replace("?", "%s").encode(), values or None).fetchall()

    def version(self, connection: "psycopg.Connection[Any]") -> int:
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
        text = " ".join(without(str(error), self._secrets).split()) or type(error).__name__
        if isinstance(error, StoreError):
            return text
        for words, mend in _MENDS:
            if words in text:
                return f"{self.name}: {text}; {mend}"
        return f"{self.name}: {text}"


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
