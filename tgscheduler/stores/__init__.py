"""Stores of runs and tasks, chosen by URL; their protocol is in :mod:`tgscheduler.stores.base`.

::

    memory                             the last runs, until the process ends
    sqlite:///scheduler.db             a file, by a relative path; sqlite:////var/lib/app/scheduler.db is absolute
    postgresql://user@host/database    a server
"""

import difflib
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tgscheduler.errors import InvalidType, InvalidValue, StoreError
from tgscheduler.messages import shown

if TYPE_CHECKING:
    from tgscheduler.stores.database_store import DatabaseStore
    from tgscheduler.stores.memory import MemoryStore

_SCHEMES = ("memory", "sqlite", "postgresql", "postgresql+psycopg")


def open(  # not imported by name: callers write stores.open(url)
    url: str, folder: str | os.PathLike[str] | None = None, **options: Any
) -> "MemoryStore | DatabaseStore":
    """Return the store that a URL names; nothing is connected yet.

    It can be read at once: ``stores.open("sqlite:///scheduler.db").runs(task="report")``. A relative path starts at
    ``folder`` (None: the current directory). ``options`` are passed to the store: see
    :class:`tgscheduler.stores.database_store.DatabaseStore` and :class:`tgscheduler.stores.memory.MemoryStore`. Raises
    InvalidValue for an invalid URL, StoreError if psycopg is missing.
    """
    if not isinstance(url, str):
        raise InvalidType(f"store: expected a URL such as 'sqlite:///scheduler.db', got {shown(url)}")
    scheme = url.partition(":")[0].lower()
    if scheme == "memory" and url.lower() in ("memory", "memory:", "memory://"):
        from tgscheduler.stores.memory import MemoryStore

        return MemoryStore(**options)
    if scheme == "sqlite":
        from tgscheduler.stores.database_store import DatabaseStore
        from tgscheduler.stores.sqlite import SqliteDatabase, path_of

        return DatabaseStore(SqliteDatabase(path_of(url, folder)), **options)
    if scheme in ("postgresql", "postgresql+psycopg") and "://" in url:
        try:
            import psycopg  # noqa: F401
        except ImportError:
            raise StoreError("store: PostgreSQL needs psycopg: pip install 'tgscheduler[postgres]' brings it") from None
        from tgscheduler.stores.database_store import DatabaseStore
        from tgscheduler.stores.postgres import PostgresDatabase

        return DatabaseStore(PostgresDatabase(f"postgresql:{url.partition(':')[2]}"), **options)
    raise InvalidValue(_unknown(url, scheme))


def check(url: str) -> None:
    """Raise InvalidValue or InvalidType if a URL names no store, StoreError if a dependency is missing."""
    open(url)


def path_of(url: str, folder: str | os.PathLike[str] | None = None) -> Path | None:
    """Return the file that a URL names, None if it names none."""
    if url.partition(":")[0].lower() != "sqlite":
        return None
    from tgscheduler.stores import sqlite

    return sqlite.path_of(url, folder).absolute()


def _unknown(url: str, scheme: str) -> str:
    """Return the error message, without the URL, which may contain a password."""
    near = difflib.get_close_matches({"postgres": "postgresql", "file": "sqlite"}.get(scheme, scheme), _SCHEMES, n=1)
    hint = f"; did you mean '{near[0]}'?" if near else ""
    got = (
        f"one that begins with {scheme[:20]!r}" if re.match(r"[a-z][a-z0-9+.-]*://", url.lower()) else "something else"
    )
    return f"store: expected 'memory', 'sqlite:///file.db' or 'postgresql://user@host/database', got {got}{hint}"
