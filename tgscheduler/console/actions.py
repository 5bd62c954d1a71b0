"""Actions: a verb is checked, done and put on record, for pages and the API.

What the verbs do: :mod:`~tgscheduler.console.verbs`. Whatever is done, and whatever is refused because of the state of
things, leaves an audit record.
"""

import math
from typing import Any

from tgscheduler.console.console import Console
from tgscheduler.console.http import Caller, Problem
from tgscheduler.console.verbs import VERBS, Order, Outcome, running_task
from tgscheduler.errors import SchedulerError, StoreError, WrongProcess
from tgscheduler.messages import shown
from tgscheduler.moments import parse_moment
from tgscheduler.stores.audit import AuditRecord
from tgscheduler.timetable import zones
from tgscheduler.timetable.run import Run
from tgscheduler.views import TaskSummary


def perform(console: Console, caller: Caller | None, peer: str, verb: str, **arguments: Any) -> Outcome:
    """Do what a verb says, and record it; raise a Problem 403, 404, 409 or 422, and change nothing then.

    ``task`` or ``run`` (an id) as the verb needs it; ``until`` for pauses: a text or number for ``parse_moment``;
    ``timetable`` for ``reschedule``: a text; ``timezone``: the zone of both, None: that of the task.
    """
    who = check_permission(console, caller)
    try:
        outcome = _attempt(console, verb, arguments)
    except Problem as problem:
        if problem.status == 409:
            run = console.scheduler.run(arguments["run"]) if "run" in arguments else None
            name, id = (arguments.get("task"), "") if run is None else (run.task, run.id)
            _record(console, who, peer, verb, name, id, problem.detail)
        raise
    console.reader.forget()
    _record(console, who, peer, verb, outcome.task, outcome.detail, "ok" if outcome.changed else outcome.unchanged)
    return outcome


def describe(console: Console, verb: str, **arguments: Any) -> str:
    """Return what a verb will do, in sentences; raise a Problem as :func:`perform` would."""
    return VERBS[verb].describe(order(console, verb, **arguments))


def check_permission(console: Console, caller: Caller | None) -> Caller:
    """Return who asks; raise a Problem 403 for all but operators, and for everyone where the console only reads."""
    if console.settings.read_only:
        raise Problem(403, "Read only", "This console only reads: tg.scheduler.console.read_only is True.")
    if caller is None or caller.role != "operator":
        who = "a stranger" if caller is None else f"{caller.name}, who is a viewer"
        raise Problem(403, "Operators only", f"Expected an operator, got {who}: see tg.scheduler.console.operators.")
    return caller


def _attempt(console: Console, verb: str, arguments: dict[str, Any]) -> Outcome:
    try:
        return VERBS[verb].perform(order(console, verb, **arguments))
    except (StoreError, WrongProcess):
        raise
    except SchedulerError as error:
        if VERBS[verb].needs == "task":
            running_task(console, arguments["task"])  # raises if it has ended meanwhile
        raise refused(error) from error


def refused(error: Exception) -> Problem:
    """Return the problem of a value that the package has refused."""
    detail = str(error)
    return Problem(422, detail=detail if detail.endswith(("?", ".")) else f"{detail}.")


def _record(
    console: Console, caller: Caller, peer: str, verb: str, task: str | None, detail: str, outcome: str
) -> None:
    """Leave an audit record: who did what, when, from where, and what came of it."""
    now, origin = console.reader.now, f"{caller.via} {peer}"
    record = AuditRecord(now, caller.name, caller.role, verb, task, detail, origin, outcome)
    console.scheduler.audit(record)


def order(
    console: Console,
    verb: str,
    *,
    task: str | None = None,
    run: str | None = None,
    until: object = None,
    timezone: str | None = None,
    timetable: str | None = None,
) -> Order:
    """Return what a verb is asked for; raise a Problem 404, 409 or 422 if there is no such thing."""
    reader = console.reader
    target: TaskSummary | Run | None = None
    name: str | None = None
    if VERBS[verb].needs == "task":
        target = running_task(console, task or "")
        name = target.name
    elif VERBS[verb].needs == "run":
        target = _run(console, run or "")
        name = target.task
    try:
        zone = zone_of(console, name) if timezone is None else timezone
        zones.zone(zone)
        end = math.inf if until is None else parse_moment("until", until, zone, reader.now, ahead=True)
        trigger = reader.parse_timetable(timetable or "", zone) if verb == "reschedule" else None
    except SchedulerError as error:
        raise refused(error) from None
    if end <= reader.now:
        raise Problem(409, "Past", f"until: expected a moment to come, got {shown(until)}.")
    return Order(console, zone, target, end, trigger)


def zone_of(console: Console, name: str | None) -> str:
    """Return the zone of a task; that of the scheduler for no task, and for one that is gone."""
    view = None if name is None else console.scheduler.view(name)
    return console.scheduler.timezone if view is None else view.timezone


def _run(console: Console, id: str) -> Run:
    found = console.scheduler.run(id)
    if found is None:
        raise Problem(404, "No such run", f"There is no run {shown(id)}: its record may be forgotten.")
    return found
