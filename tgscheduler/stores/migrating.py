"""Migrations of the schema: numbered SQL files, each applied once, in order."""

import re
from pathlib import Path
from typing import Any

from tgscheduler.errors import StoreError
from tgscheduler.stores.database import Database

_FOLDER = Path(__file__).with_name("migrations")


def migrations(dialect: str) -> dict[int, str]:
    """Return the migrations for a database by number, in order."""
    return {int(path.stem): path.read_text(encoding="utf-8") for path in sorted((_FOLDER / dialect).glob("*.sql"))}


def migrate(database: Database, connection: Any, apply: bool, now: float) -> None:
    """Bring the schema up to date; raise StoreError if it is newer, or if it is older and ``apply`` is false.

    Several processes may do so at once: the first one migrates, and the others find nothing to do.
    """
    known = migrations(database.dialect)
    if not _waiting(database, connection, known):
        return
    if not apply:
        waiting = ", ".join(f"{number:04}" for number in _waiting(database, connection, known))
        raise StoreError(
            f"{database.name}: the migrations {waiting} are not applied, and are not to be (auto_migrate is off); "
            f"apply those in {_FOLDER / database.dialect}, or set auto_migrate"
        )
    database.begin_migration(connection)
    try:
        for number in _waiting(database, connection, known):
            for statement in statements(known[number]):
                database.execute(connection, statement)
            database.execute(connection, "INSERT INTO tg_schema (version, applied) VALUES (?, ?)", (number, now))
        database.commit(connection)
    except BaseException:
        try:
            database.rollback(connection)
        except database.errors:  # the first error says more
            pass
        raise


def statements(text: str) -> list[str]:
    """Return the statements of a migration, without comments."""
    text = re.sub(r"(?m)^\s*--.*$", "", text)
    return [statement for part in re.split(r";\s*(?:\n|$)", text) if (statement := part.strip())]


def _waiting(database: Database, connection: Any, known: dict[int, str]) -> list[int]:
    version = database.version(connection)
    if version > max(known):
        raise StoreError(
            f"{database.name}: its schema is version {version}, this tgscheduler knows up to {max(known)}; "
            "it was written by a newer one: install that, or use another database"
        )
    return [number for number in known if number > version]
