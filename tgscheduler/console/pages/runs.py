"""Runs: all of them, newest first; the filters stand in the URL, and pages meet by key."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from tgscheduler.console.console import Console
from tgscheduler.console.http import Problem, Request, Response
from tgscheduler.console.polling import polled
from tgscheduler.console.render import query, times_of
from tgscheduler.console.routes import Parameter, Route
from tgscheduler.console.times import Times
from tgscheduler.errors import InvalidValue
from tgscheduler.moments import parse_moment
from tgscheduler.timetable.run import STATES

#: Number of runs on one page.
PAGE = 50

#: States of occurrences that did not run: they are hidden until they are asked for.
HIDDEN = ("missed", "skipped")

#: States that are chosen together, by what the page calls them.
CHOICES = (
    ("All", ()),
    ("Failures", ("failed", "timed_out", "lost")),
    ("In progress", ("waiting", "running")),
    ("Did not run", HIDDEN),
)

#: How far back, in seconds, by the value in the URL.
SPANS = {"1h": 3600.0, "24h": 86400.0, "7d": 7 * 86400.0}


class Filters(NamedTuple):
    """The filters as they stand in the URL."""

    task: str | None
    state: tuple[str, ...]
    since: str | None
    until: str | None
    hidden: bool

    @classmethod
    def of(cls, arguments: Mapping[str, Any]) -> "Filters":
        """Return the filters of a request; raise a Problem 400 for an unknown state."""
        states = tuple(arguments["state"] or ())
        for state in states:
            if state not in STATES:
                raise Problem(400, detail=f"state: expected one of {', '.join(STATES)}, got {state[:100]!r}.")
        return cls(arguments["task"], states, arguments["since"], arguments["until"], arguments["hidden"])

    @property
    def states(self) -> tuple[str, ...] | None:
        """The states to ask for, None: all."""
        if self.state or self.hidden:
            return self.state or None
        return tuple(state for state in STATES if state not in HIDDEN)

    @property
    def any(self) -> bool:
        """Whether there is one."""
        return self != Filters(None, (), None, None, False)

    def link(self, before: str | None = None, **changes: Any) -> str:
        """Return the query of this page with other filters, or of the page that follows a cursor."""
        filters = self._replace(**changes)._asdict()
        filters.update(state=list(filters["state"]), hidden=1 if filters["hidden"] else None)
        return query(filters, before=before)


@polled
def show(console: Console, request: Request) -> Response:
    """Show one page of runs."""
    times = times_of(console, request)
    filters, before = Filters.of(request.arguments), request.arguments["before"]
    since, until = (_moment(name, getattr(filters, name), times) for name in ("since", "until"))
    try:
        page = console.reader.runs(filters.task, filters.states, since, until if before is None else before, PAGE)
    except InvalidValue as error:
        raise Problem(400, detail=f"{error}.") from None
    return console.render(
        request,
        "runs.html",
        runs=page.items,
        next=page.next,
        first=before is None,
        filters=filters,
        since=since,
        until=until,
        choices=CHOICES,
        spans=SPANS,
    )


def _moment(name: str, text: str | None, times: Times) -> float | None:
    if text is None or text in SPANS:
        return None if text is None else times.now - SPANS[text]
    try:
        return parse_moment(name, text, times.tz.key, times.now)
    except InvalidValue as error:
        raise Problem(400, detail=f"{error}; or one of {', '.join(SPANS)}") from None


ROUTES = (
    Route(
        "GET",
        "runs",
        show,
        "viewer",
        "All runs, newest first.",
        (
            Parameter("task", doc="Only runs of this task."),
            Parameter("state", doc="Only runs in these states.", many=True),
            Parameter("since", doc="Due then or later: 1h, 24h, 7d, or a moment."),
            Parameter("until", doc="Due before this moment."),
            Parameter("hidden", kind="boolean", doc="Whether to show occurrences that did not run.", default=False),
            Parameter("before", doc="The cursor of the page to show."),
        ),
    ),
)
