"""Queries for pages of runs, by key, and runs made from their rows."""

from typing import Any

from tgscheduler.stores.base import Query
from tgscheduler.timetable.run import OK, RUNNING, WAITING, Run, Where

_HOST = "(SELECT host FROM tg_node WHERE tg_node.id = r.node_id)"
_TASK = "(SELECT name FROM tg_task WHERE tg_task.id = r.task_id)"
_ENDED = (
    f"SELECT r.id, {_TASK}, r.due, r.until, r.count, r.state, r.attempt, r.started, r.ended, "  # noqa: S608
    f"CASE WHEN r.thread IS NULL OR r.host IS NOT NULL THEN r.host ELSE {_HOST} END, r.process, r.thread, "
    "r.reason, r.error, r.log FROM tg_run r"
)
_PROCESS = "(SELECT process FROM tg_node WHERE tg_node.id = r.node_id)"
OPEN_COLUMNS = f"r.id, {_TASK}, r.due, r.until, r.count, r.attempt, r.takeovers, {_HOST}, {_PROCESS}"
#: States to query for which open runs match (they are read as running), and states that no ended run has.
OPEN_STATES = (None, RUNNING)
UNENDED = (WAITING, RUNNING)
#: Takes over the open runs of another process.
TAKE = f"UPDATE tg_open SET node_id = ? WHERE node_id = ? RETURNING {OPEN_COLUMNS.replace('r.', 'tg_open.')}"  # noqa: S608
TASK_ID = "SELECT id FROM tg_task WHERE name = ?"


def ended_page(query: Query, task: int | None, index_hint: str) -> tuple[str, list[Any]]:
    """Return the statement for a page of ended runs, and its values; ``index_hint`` is the database's."""
    where, values = _bounds(query, task)
    if task is not None:
        index = "tg_run_task" if query.state in (None, OK) else "tg_run_task_state"
    else:
        index = "tg_run_due" if query.state in (None, OK) else "tg_run_state"
    if query.state is not None:
        where.append("r.state = ?")
        values.append(query.state)
        if query.state != OK:
            where.append("r.state <> 'ok'")  # the condition of the partial index
    return _page(f"{_ENDED}{index_hint.format(index)}", where, values, query)


def open_page(query: Query, task: int | None, node: int | None) -> tuple[str, list[Any]]:
    """Return the statement for a page of open runs except those of ``node``, and its values."""
    where, values = _bounds(query, task)
    if node is not None:
        where.append("r.node_id <> ?")
        values.append(node)
    page, values = _page("SELECT * FROM tg_open r", where, values, query)
    return f"SELECT {OPEN_COLUMNS} FROM ({page}) r", values  # noqa: S608


def ended_run(row: tuple[Any, ...]) -> Run:
    """Return an ended run from its row."""
    number, task, due, until, count, state, attempt, started, ended, host, process, thread, reason, error, log = row
    run = Run(task, due, count, until, state)
    run.number = number
    run.attempt, run.started, run.ended, run.reason, run.error = attempt, started, ended, reason, error
    if thread is not None:
        run.where = Where(host or "", process, thread)
    if log is not None:
        run.captured_log = log
    return run


def open_run(row: tuple[Any, ...]) -> Run:
    """Return an open run from its row."""
    number, task, due, until, count, attempt, takeovers, host, process = row
    run = Run(task, due, count, until, RUNNING)
    run.number, run.attempt, run.where = number, attempt, Where(host, process, "")
    if takeovers:
        run.takeover = takeovers, 0  # which attempt began with the last one is not on record
    return run


def _bounds(query: Query, task: int | None) -> tuple[list[str], list[Any]]:
    where: list[str] = []
    values: list[Any] = []
    if task is not None:
        where.append("r.task_id = ?")
        values.append(task)
    if query.since is not None:
        where.append("r.due >= ?")
        values.append(float(query.since))
    if isinstance(query.before, Run):
        where.append("(r.due, r.id) < (?, ?)")
        values += [query.before.due, query.before.id or 0]
    elif query.before is not None:
        where.append("r.due < ?")
        values.append(float(query.before))
    return where, values


def _page(select: str, where: list[str], values: list[Any], query: Query) -> tuple[str, list[Any]]:
    condition = f" WHERE {' AND '.join(where)}" if where else ""
    return f"{select}{condition} ORDER BY r.due DESC, r.id DESC LIMIT ?", [*values, query.limit]
