"""The shop's page: plain HTML, made on the server; all values in it are escaped."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from typing import Any
from zoneinfo import ZoneInfo

from tgscheduler import scheduler
from tgscheduler.scheduler import Run, Task
from tgscheduler.timetable import zones
from tgscheduler.timetable.trigger_phrases import in_words

_STATES = {"stopped": "The scheduler is off", "ok": "All is well", "degraded": "Degraded", "failed": "Failed"}


@dataclass
class Facts:
    """The values that the page shows."""

    ranking: Sequence[Any]
    visits: int
    deletions: tuple[int, int, Sequence[Any]]
    tasks: dict[str, Task]
    runs: list[Run]
    last: dict[str, Run | None]
    counts: dict[str, int]
    health: dict[str, Any]
    #: The path of the scheduler's console, None if there is none.
    console: str | None


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


def render(facts: Facts, refresh: float | None) -> str:
    """Return the page; the browser reloads it after ``refresh`` seconds (None: never)."""
    now = datetime.now(UTC).timestamp()
    zone = zones.zone(scheduler.timezone())
    again = f'<meta http-equiv="refresh" content="{float(refresh):g}">' if refresh else ""
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
{again}
<title>A shop and its jobs</title>
<link rel="stylesheet" href="style.css">
</head>
<body>
<header>
<h1>A shop and its jobs</h1>
{_status(facts, refresh, now, zone)}
</header>
<main>
<div class="two">
{_ranking(facts.ranking, zone)}
{_visits(facts, zone)}
</div>
{_tasks(facts, now, zone)}
{_runs(facts, zone)}
</main>
</body>
</html>
"""


def _status(facts: Facts, refresh: float | None, now: float, zone: ZoneInfo) -> Html:
    health, counts = facts.health, facts.counts
    state = str(health["state"])
    figures = [
        (health["tasks"], "tasks"),
        (counts["ok"], "ok"),
        (counts["failed"], "failed"),
        (counts["skipped"] + counts["missed"], "skipped"),
        (health["running"], "running"),
    ]
    why = "".join(f"<p>{escape(str(reason))}</p>" for reason in health["reasons"])
    if state == "stopped":
        why += "<p>tg.scheduler = True under [global] switches it on.</p>"
    links = ['<a href="?refresh=off">Stop refreshing</a>' if refresh else '<a href="./">Refresh by itself</a>']
    if facts.console:
        links.append(f'<a href="{escape(facts.console)}/">Console</a>')
    return Html(
        f'<p class="status"><strong class="state {escape(state)}">{escape(_STATES.get(state, state))}</strong> '
        + " ".join(f'<span id="count-{name}"><b>{value}</b> {name}</span>' for value, name in figures)
        + f"</p>{why}<p class=quiet>{_clock(now, zone)} {escape(zone.key)} · {' · '.join(links)}</p>"
    )


def _ranking(ranking: Sequence[Any], zone: ZoneInfo) -> Html:
    rows = [
        (
            row.position,
            row.name,
            row.sold,
            "not counted" if row.on_hand is None else row.on_hand,
            Html(
                '<form method="post" action="order">'
                f'<button name="product_id" value="{int(row.product_id)}" aria-label="Order one {escape(row.name)}">'
                "Order one</button></form>"
            ),
        )
        for row in ranking
    ]
    note = f"As of {_utc(ranking[0].ranked_at, zone)}. Orders count from the next ranking on." if ranking else ""
    table = _table(
        "ranking", ("Rank", "Product", "Sold in 7 days", "In stock", ""), rows, "Not ranked yet.", numbers=(2, 3)
    )
    return _section("Product ranking", table, Html(note))


def _visits(facts: Facts, zone: ZoneInfo) -> Html:
    visits, identities, last = facts.deletions
    figures = Html(
        f'<p class="figures"><span><b id="visits">{facts.visits}</b> on record</span> '
        f'<span><b id="deleted-visits">{visits}</b> deleted</span> '
        f'<span><b id="deleted-identities">{identities}</b> identities deleted</span></p>'
    )
    rows = [(_utc(row.deleted_at, zone), row.visits, row.identities) for row in last]
    table = _table("deletions", ("Deleted at", "Visits", "Identities"), rows, "Nothing deleted yet.", numbers=(1, 2))
    return _section(
        "Visits",
        Html(figures + table),
        "Each view of this page is a visit; expired ones are deleted. Counted for a day.",
    )


def _tasks(facts: Facts, now: float, zone: ZoneInfo) -> Html:
    rows = []
    for name, task in sorted(facts.tasks.items(), key=lambda item: (item[1].next_due is None, item[1].next_due or 0.0)):
        run = facts.last.get(name)
        due = task.next_due
        rows.append(
            (
                name,
                "once" if task.trigger is None else in_words(task.trigger),
                "none" if due is None else Html(f"{_clock(due, zone)} <small>{_ahead(due - now)}</small>"),
                "not yet" if run is None else _clock(run.due, zone),
                "" if run is None else _state(run),
            )
        )
    return _section(
        "Tasks", _table("tasks", ("Task", "Runs", "Next run", "Last run", "State"), rows, "There are no tasks.")
    )


def _runs(facts: Facts, zone: ZoneInfo) -> Html:
    rows = [(_clock(run.due, zone), run.task, _took(run), _state(run)) for run in facts.runs]
    table = _table("runs", ("Due", "Task", "Took", "State"), rows, "Nothing has run yet.", numbers=(2,))
    return _section("Last runs", table)


def _section(title: str, content: Html, note: str = "") -> Html:
    small = f"<p class=quiet>{_cell(note)}</p>" if note else ""
    return Html(f"<section><h2>{escape(title)}</h2>{content}{small}</section>")


def _table(
    name: str, heads: Sequence[str], rows: Iterable[Sequence[object]], empty: str, numbers: Sequence[int] = ()
) -> Html:
    kinds = [' class="number"' if column in numbers else "" for column in range(len(heads))]
    head = "".join(
        f'<th scope="col"{kind}>{escape(text)}</th>' if text else "<td></td>"
        for kind, text in zip(kinds, heads, strict=True)
    )
    body = "\n".join(
        "<tr>" + "".join(f"<td{kind}>{_cell(cell)}</td>" for kind, cell in zip(kinds, row, strict=True)) + "</tr>"
        for row in rows
    )
    if not body:
        return Html(f'<p id="{name}" class="quiet">{escape(empty)}</p>')
    return Html(f'<table id="{name}">\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>')


def _cell(content: object) -> str:
    return content if isinstance(content, Html) else escape(str(content))


def _state(run: Run) -> Html:
    reason = f" <small>{escape(run.reason)}</small>" if run.reason else ""
    return Html(f'<span class="state {escape(run.state)}">{escape(run.state)}</span>{reason}')


def _took(run: Run) -> str:
    return "" if run.started is None or run.ended is None else f"{(run.ended - run.started) * 1000:.0f} ms"


def _ahead(seconds: float) -> str:
    if seconds < 60:
        return f"in {max(0, round(seconds))} s"
    return f"in {seconds / 60:.0f} min" if seconds < 5400 else f"in {seconds / 3600:.0f} h"


def _utc(moment: datetime, zone: ZoneInfo) -> Html:
    return _clock(moment.replace(tzinfo=UTC).timestamp(), zone)


def _clock(moment: float, zone: ZoneInfo) -> Html:
    local = datetime.fromtimestamp(moment, zone)
    return Html(f'<time datetime="{local.isoformat(timespec="milliseconds")}">{local:%H:%M:%S}</time>')
