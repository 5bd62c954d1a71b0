"""SQL that both databases understand: the statements of a batch and of the readers.

``{v}`` stands for the rows of a batch as a table ``v`` with columns ``column1``, ``column2``, …: each database passes
many rows to one statement in its own way. A row whose first value is NULL is padding.
"""

from typing import NamedTuple


class Many(NamedTuple):
    """One statement for many rows: its text, and the type of each column (i: whole number, f: float, t: text)."""

    sql: str
    types: str


def _columns(count: int) -> str:
    return ", ".join(f"v.column{number}" for number in range(1, count + 1))


def _insert(table: str, columns: str, types: str, conflict: str) -> Many:
    return Many(
        f"INSERT INTO {table} ({columns}) SELECT {_columns(len(types))} FROM {{v}} "  # noqa: S608
        f"WHERE v.column1 IS NOT NULL ON CONFLICT {conflict}",
        types,
    )


class SumsTable(NamedTuple):
    """The statements of a table of sums: add to its rows; read the new ones, which a batch adds to; remove those.

    New rows are by hour, and few, until they are rolled up into hour, day and all time.
    """

    add: Many
    new: str
    remove_new: Many


def _sums_table(table: str, group: str, kind: str) -> SumsTable:
    key = f"begin, task_id, {group}"
    sums = (
        f"(span, {key}) DO UPDATE SET count = {table}.count + excluded.count, "
        f"seconds = {table}.seconds + excluded.seconds, "
        f"longest = CASE WHEN excluded.longest > {table}.longest THEN excluded.longest ELSE {table}.longest END"
    )
    new = f"FROM {table} WHERE span = 'new'"
    return SumsTable(
        _insert(table, f"span, {key}, count, seconds, longest", f"tii{kind}iff", sums),
        f"SELECT {key}, count, seconds, longest {new} ORDER BY {key} LIMIT ?",
        Many(f"DELETE {new} AND ({key}) IN (SELECT {_columns(3)} FROM {{v}})", f"ii{kind}"),  # noqa: S608
    )


_TASK = "name, spec, anchor, mark, paused_until, runs"
_UPDATE = "(name) DO UPDATE SET spec = excluded.spec, paused_until = excluded.paused_until"

#: Tasks that were never saved, but of which there is something to write.
NAMES = _insert("tg_task", _TASK, "ttfffi", "(name) DO NOTHING")
SAVES = _insert(
    "tg_task", _TASK, "ttfffi",
    f"{_UPDATE}, anchor = CASE WHEN excluded.spec = tg_task.spec AND tg_task.anchor IS NOT NULL THEN tg_task.anchor "
    "ELSE excluded.anchor END, mark = CASE WHEN excluded.mark > tg_task.mark THEN excluded.mark ELSE tg_task.mark END",
)  # fmt: skip
SAVES_BACK = _insert("tg_task", _TASK, "ttfffi", f"{_UPDATE}, anchor = excluded.anchor, mark = excluded.mark")
IDS = Many("SELECT name, id FROM tg_task WHERE name IN (SELECT v.column1 FROM {v})", "t")

#: A claim: task, new mark, number of runs opened; granted if the mark is before column4, or beyond column5.
MOVE_MARKS = Many(
    "UPDATE tg_task SET mark = v.column2, runs = runs + v.column3 FROM {v} "
    "WHERE tg_task.id = v.column1 AND (tg_task.mark < v.column4 OR tg_task.mark > v.column5)",
    "ififf",
)
#: The refused claims, and the mark that refuses each.
REFUSED = Many(
    "SELECT tg_task.id, tg_task.mark FROM {v} CROSS JOIN tg_task "
    "WHERE tg_task.id = v.column1 AND NOT (tg_task.mark < v.column4 OR tg_task.mark > v.column5)",
    "ififf",
)
#: The marks of tasks.
MARKS = Many("SELECT tg_task.id, tg_task.mark FROM {v} CROSS JOIN tg_task WHERE tg_task.id = v.column1", "i")
#: Runs opened by claims that were dropped.
COUNTED = Many("UPDATE tg_task SET runs = runs + v.column2 FROM {v} WHERE tg_task.id = v.column1", "ii")

#: Opened runs, and further attempts of open ones: attempts only rise, so only one of two processes gets each attempt.
OPENS = _insert(
    "tg_open", "id, task_id, due, until, count, attempt, takeovers, node_id", "iiffiiii",
    "(id) DO UPDATE SET node_id = excluded.node_id, attempt = excluded.attempt, takeovers = excluded.takeovers "
    "WHERE tg_open.attempt < excluded.attempt",
)  # fmt: skip
#: Those of them that another process has taken over.
OVERTAKEN = Many(
    "SELECT tg_open.id FROM {v} CROSS JOIN tg_open WHERE tg_open.id = v.column1 AND tg_open.attempt >= v.column2", "ii"
)
CLOSES = Many("DELETE FROM tg_open WHERE id IN (SELECT v.column1 FROM {v})", "i")
RUNS = _insert(
    "tg_run",
    "id, task_id, due, until, count, state, attempt, started, ended, "
    "node_id, host, process, thread, reason, error, log",
    "iiffitiffititttt", "(id) DO NOTHING",
)  # fmt: skip
#: Those of them that are already on record: another node recorded them as lost.
DUPLICATES = Many("SELECT id FROM tg_run WHERE id IN (SELECT v.column1 FROM {v})", "i")
COUNTS = _sums_table("tg_count", "state", "t")
DURATIONS = _sums_table("tg_duration", "bucket", "i")
ERASES = Many("DELETE FROM tg_run WHERE id IN (SELECT v.column1 FROM {v})", "i")
AUDITS = _insert("tg_audit", "at, who, role, action, task, detail, origin, outcome", "fttttttt", "DO NOTHING")
ERASE_AUDITS = Many("DELETE FROM tg_audit WHERE id IN (SELECT v.column1 FROM {v})", "i")

RENAME = "UPDATE tg_task SET name = ? WHERE name = ? AND NOT EXISTS (SELECT 1 FROM tg_task WHERE name = ?)"
RENAME_AUDITS = "UPDATE tg_audit SET task = ? WHERE task = ?"
#: ``{clock}`` is the time by the database's own clock: no process relies on the clock of another one.
REGISTER_NODE = (
    "INSERT INTO tg_node (host, machine, process, birth, begun, batch, seen) VALUES (?, ?, ?, ?, ?, ?, {clock})"
)
REGISTER_NODE_AS = (
    "INSERT INTO tg_node (id, host, machine, process, birth, begun, batch, seen) VALUES (?, ?, ?, ?, ?, ?, ?, {clock})"
)
AHEAD = "ahead = coalesce(CAST(? AS double precision) - {clock}, 0)"
STEP = f"UPDATE tg_node SET batch = ?, seen = {{clock}}, {AHEAD} WHERE id = ? AND batch = ? RETURNING seen, ahead"  # noqa: S608
STEP_ANYHOW = f"UPDATE tg_node SET batch = ?, seen = {{clock}}, {AHEAD} WHERE id = ? RETURNING seen, ahead"  # noqa: S608
ALONE = f"UPDATE tg_node SET alone = ?, {AHEAD} WHERE id = ? RETURNING ahead"  # noqa: S608
TASK_RECORDS = "SELECT name, spec, anchor, mark, paused_until, runs FROM tg_task"
TOTALS = (
    "SELECT state, sum(count) FROM tg_count WHERE span = 'ever' AND begin = 0 GROUP BY state "
    "UNION ALL SELECT state, sum(count) FROM tg_count WHERE span = 'new' GROUP BY state"
)
