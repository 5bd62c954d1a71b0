"""Pages of the audit log in a database, and the records that wait to be written there."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from tgscheduler.messages import clean
from tgscheduler.stores.audit import AuditQuery, AuditRecord
from tgscheduler.stores.database import Database
from tgscheduler.stores.write_buffer import AUDIT, Write

_COLUMNS = "at, who, role, action, task, detail, origin, outcome, id"


def read_page(
    query: AuditQuery, database: Database, connection: Any, node: int, writes: Sequence[Write]
) -> list[AuditRecord]:
    """Return a page, newest first; records that wait in the write buffer are on the first one.

    ``writes``: those that were in the write buffer before; ``node``: the process whose buffer it is.
    """
    found, written = [], 0
    for row in database.rows(connection, *_statement(query, database.encoding, node)):
        if row[0] is None:
            written = row[-1]
        else:
            record = AuditRecord(*row)
            is_own = query.task is not None and record.task is not None
            found.append(replace(record, task=query.task) if is_own else record)  # its own may be escaped
    if query.before is None:
        for write in writes:
            if write.kind == AUDIT and (write.batch is None or write.batch > written):
                found += write.items
    return query._replace(before=None).newest(found)


def _statement(query: AuditQuery, encoding: str, node: int) -> tuple[str, list[Any]]:
    """Return the statement for the records of a page, and its values.

    One more row has the last batch of ``node`` as its id and no other value, so that both are consistent.
    """
    where: list[str] = []
    values: list[Any] = []
    if query.task is not None:
        where.append("(task = ? OR task IS NULL)")
        values.append(clean(query.task, encoding))
    if query.before is not None:
        where.append("(at, id) < (SELECT at, id FROM tg_audit WHERE id = ?)")
        values.append(query.before)
    condition = f" WHERE {' AND '.join(where)}" if where else ""
    page = f"SELECT {_COLUMNS} FROM tg_audit{condition} ORDER BY at DESC, id DESC LIMIT ?"  # noqa: S608
    batch = "SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, batch FROM tg_node WHERE id = ?"
    return f"SELECT * FROM ({page}) a UNION ALL {batch}", [*values, query.limit, node]  # noqa: S608
