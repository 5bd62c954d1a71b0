"""Queries for runs: pages by key, one by id, the last ones of many tasks; and runs made from their rows."""

from collections.abc import Collection, Sequence, Sized
from typing import Any

from tgscheduler.stores.base import Query
from tgscheduler.timetable.run import OK, RUNNING, WAITING, Run, Where

_HOST = "(SELECT host FROM tg_node WHERE tg_node.id = r.node_id)"
_TASK = "(SELECT name FROM tg_task WHERE tg_task.id = r.task_id)"
_BRIEF = (
    f"SELECT r.id, {_TASK}, r.due, r.until, r.count, r.state, r.attempt, r.started, r.ended, "  # noqa: S608
    f"CASE WHEN r.thread IS NULL OR r.host IS NOT NULL THEN r.host ELSE {_HOST} END, r.process, r.thread, "
    "r.reason, NULL, NULL FROM tg_run r"
)
_ENDED = _BRIEF.replace("NULL, NULL FROM", "r.error, r.log FROM")
_PROCESS = "(SELECT process FROM tg_node WHERE tg_node.id = r.node_id)"
OPEN_COLUMNS = f"r.id, {_TASK}, r.due, r.until, r.count, r.attempt, r.takeovers, {_HOST}, {_PROCESS}"
#: Takes over the open runs of another process.
TAKE = f"UPDATE tg_open SET node_id = ? WHERE node_id = ? RETURNING {OPEN_COLUMNS.replace('r.', 'tg_open.')}"  # noqa: S608
TASK_ID = "SELECT id FROM tg_task WHERE name = ?"

Statement = tuple[str, list[Any]]


def open_page(query: Query, task: int | None, node: int | None) -> Statement | None:
    """Return the statement for a page of open runs except those of ``node``, None if no open one matches.

    The open runs of other processes are read as running.
    """
    if query.states is not None and RUNNING not in query.states:
        return None
    return _open(*_bounds(query, task), node, query.limit)


def ended_page(query: Query, task: int | None, index_hint: str) -> Statement | None:
    """Return the statement for a page of ended runs, None if no ended one matches; ``index_hint``: the database's.

    It may have more runs than the page.
    """
    states = query.states
    if states is None or OK in states:
        return _ended(_ENDED, [_ids(query, task, "tg_run_due" if task is None else "tg_run_task", index_hint)])
    # A page of each state, as an index of states is in order within one state only.
    index = "tg_run_state" if task is None else "tg_run_task_state"
    pages = [
        _ids(query._replace(state=state), task, index, index_hint)
        for state in sorted(set(states).difference((WAITING, RUNNING)))
    ]
    return _ended(_ENDED, pages, query.limit) if pages else None


def last_ended(tasks: Collection[int], n: int, index_hint: str) -> Statement:
    """Return the statement for the last ``n`` ended runs of each task, without their errors and logs."""
    return _ended(_BRIEF, [_ids(Query(limit=n), task, "tg_run_task", index_hint) for task in tasks])


def open_of(tasks: Collection[int], node: int | None) -> Statement:
    """Return the statement for the open runs of tasks except those of ``node``."""
    return _open([f"r.task_id IN ({_marks(tasks)})"], [*tasks], node)


def one_open(number: int, node: int | None) -> Statement:
    """Return the statement for an open run, unless it is one of ``node``."""
    return _open(["r.id = ?"], [number], node)


def one_ended(number: int) -> Statement:
    """Return the statement for an ended run."""
    return f"{_ENDED} WHERE r.id = ?", [number]


def _ended(select: str, pages: Sequence[Statement], limit: int | None = None) -> Statement:
    """Return the statement for the ended runs of pages of ids; ``limit``: only the newest of them."""
    ids = " UNION ALL ".join(f"SELECT * FROM ({page}) page" for page, _ in pages)  # noqa: S608
    values = [value for _, each in pages for value in each]
    if limit is not None:
        ids, values = _page(f"SELECT * FROM ({ids}) r", [], values, limit)  # noqa: S608
    return f"{select} WHERE r.id IN (SELECT id FROM ({ids}) ids)", values  # noqa: S608


def _open(where: list[str], values: list[Any], node: int | None, limit: int | None = None) -> Statement:
    if node is not None:
        where.append("r.node_id <> ?")
        values.append(node)
    page, values = _page("SELECT * FROM tg_open r", where, values, limit)
    return f"SELECT {OPEN_COLUMNS} FROM ({page}) r", values  # noqa: S608


def _ids(query: Query, task: int | None, index: str, index_hint: str) -> Statement:
    """Return the statement for the ids of a page of ended runs; it reads an index only."""
    where, values = _bounds(query, task)
    states = query.states
    if states is not None:
        where.append(f"r.state IN ({_marks(states)})")
        values += states
        if OK not in states:
            where.append("r.state <> 'ok'")  # the condition of the indexes of states
    return _page(f"SELECT r.id, r.due FROM tg_run r{index_hint.format(index)}", where, values, query.limit)  # noqa: S608


def _bounds(query: Query, task: int | None) -> tuple[list[str], list[Any]]:
    where: list[str] = []
    values: list[Any] = []
    if task is not None:
        where.append("r.task_id = ?")
        values.append(task)
    if query.since is not None:
        where.append("r.due >= ?")
        values.append(float(query.since))
    if query.end is not None:
        due, number = query.end
        where.append("(r.due, r.id) < (?, ?)")
        values += [float(due), number]
    return where, values


def _page(select: str, where: list[str], values: list[Any], limit: int | None) -> Statement:
    condition = f" WHERE {' AND '.join(where)}" if where else ""
    if limit is None:
        return f"{select}{condition}", values
    return f"{select}{condition} ORDER BY r.due DESC, r.id DESC LIMIT ?", [*values, limit]


def _marks(values: Sized) -> str:
    return ", ".join("?" * len(values))


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
