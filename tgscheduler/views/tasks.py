"""What surfaces show of a task: one word for its condition, its definition, its timetable and policy in words."""

import functools
import inspect
import math
import os
from collections.abc import Sequence
from typing import Any, NamedTuple

from tgscheduler.engine.views import RunView, TaskView
from tgscheduler.explain.phrases import last_line, policy_in_words
from tgscheduler.explain.task import timetable_in_words, warnings
from tgscheduler.messages import printable
from tgscheduler.timetable import zones
from tgscheduler.timetable.run import FAILED, LOST, MISSED, OK, SKIPPED, TIMED_OUT
from tgscheduler.views.redaction import Redactor

#: The words for a task's condition: the first that applies.
STATUSES = ("ended", "off", "failing", "paused", "running", "late", "ok", "new")

#: States of a run that has gone wrong.
BAD_STATES = (FAILED, TIMED_OUT, LOST)
#: States of occurrences that did not run.
UNRUN_STATES = (SKIPPED, MISSED)

#: Seconds after which a fire that has not begun is late.
_LATE = 2.0

#: Maximum length (characters) of an argument.
_LONGEST = 200


class Definition(NamedTuple):
    """What a task calls: the action's full name, its source file and line (None: unknown), arguments, and its doc."""

    action: str
    file: str | None
    line: int | None
    #: Name (or position, for one without a name) and text of each argument, secrets hidden.
    arguments: tuple[tuple[str, str], ...]
    doc: str


class TaskSummary(NamedTuple):
    """One task in a list."""

    name: str
    #: One of STATUSES.
    status: str
    view: TaskView
    #: Its last run that has ended or runs, from before this start too; None: there is none on record.
    last: RunView | None

    @property
    def timetable(self) -> str:
        """When it fires, in words."""
        return timetable_in_words(self.view, zones.zone(self.view.timezone))

    @property
    def policy(self) -> list[str]:
        """What becomes of its late, overlapping, endless and failed runs, where that is not the default."""
        return policy_in_words(self.view.policy)

    @property
    def warnings(self) -> list[str]:
        """What many users do not expect of its timetable."""
        return list(warnings(self.view.trigger))

    @property
    def next_due(self) -> float | None:
        """When it is due next; before a start: as if the scheduler started now."""
        return self.view.upcoming_due

    @property
    def next_fire(self) -> float | None:
        """When that fires, with jitter or after a pause."""
        return self.view.upcoming_due if self.view.next_fire is None else self.view.next_fire

    @property
    def paused_until(self) -> float | None:
        """The end of its present pause (infinity: until it is resumed), None if it is not paused."""
        held = self.view.held_until
        return None if held == -math.inf else held


class Failures(NamedTuple):
    """The failed runs since the last good one: how many, when the first was due, and the end of the last error."""

    times: int
    since: float | None
    error: str
    #: Whether there may be earlier ones.
    more: bool = False


def failures(recent: Sequence[RunView], asked: int) -> Failures:
    """Return the failures at the end of a task's runs, given newest first; ``asked``: how many were asked for."""
    found, more = [], len(recent) >= asked
    for run in recent:
        if run.state in BAD_STATES:
            found.append(run)
        elif run.state == OK:
            more = False
            break
    if not found:
        return Failures(0, None, "")
    return Failures(len(found), found[-1].due, error_of(found[0]), more)


def error_of(run: RunView) -> str:
    """Return why a run went wrong, in one line: the end of its error, or its reason."""
    return last_line(run.error) if run.error else run.reason or ""


def summarize(view: TaskView, before: RunView | None, redactor: Redactor) -> TaskSummary:
    """Return a task's summary; ``before``: its last run on record from before the scheduler's start."""
    last = before if view.last_run is None else redacted(view.last_run, redactor)
    return TaskSummary(view.name, _status(view, last), view, last)


def _status(view: TaskView, last: RunView | None) -> str:
    if view.has_ended and not (view.in_flight or view.queued):
        return "ended"
    if not view.started:
        return "off"
    if last is not None and last.state in BAD_STATES:
        return "failing"
    if view.held_until > view.now:
        return "paused"
    if view.in_flight:
        return "running"
    if view.next_fire is not None and view.next_fire < view.now - _LATE:
        return "late"
    return "new" if last is None else "ok"


def redacted(run: RunView, redactor: Redactor) -> RunView:
    """Return a run without the secrets in its texts."""
    if not (run.error or run.log or run.reason):
        return run
    hide = redactor.text
    return run._replace(error=run.error and hide(run.error), log=hide(run.log), reason=run.reason and hide(run.reason))


def definition(view: TaskView, redactor: Redactor) -> Definition:
    """Return what a task calls; nothing of the application is called for it, but ``repr`` of the arguments."""
    action, args, kw = view.action, tuple(view.args), dict(view.kw)
    while isinstance(action, functools.partial):
        args, kw, action = (*action.args, *args), {**action.keywords, **kw}, action.func
    file, line = _source(action)
    named = [(name, value) for name, value in zip(_parameters(action, len(args)), args, strict=True)]
    shown = [(name, redactor.value(name, value)) for name, value in (*named, *kw.items())]
    doc = inspect.getdoc(action) if inspect.isroutine(action) else None
    return Definition(name_of(action), file, line, tuple(shown), redactor.text(doc or ""))


def name_of(action: Any) -> str:
    """Return ``module.qualname`` of a callable."""
    kind = action if isinstance(getattr(action, "__qualname__", None), str) else type(action)
    return printable(f"{getattr(kind, '__module__', None) or '?'}.{getattr(kind, '__qualname__', '?')}", _LONGEST)


def _source(action: Any) -> tuple[str | None, int | None]:
    try:
        function = inspect.unwrap(action)
        if not inspect.isroutine(function):
            function = function if inspect.isclass(function) else type(function).__call__
        code = getattr(getattr(function, "__func__", function), "__code__", None)
    except Exception:  # an object whose attributes cannot be read
        return None, None
    if code is None:
        return None, None
    file = code.co_filename
    here = os.path.relpath(file) if os.path.isabs(file) else file
    return (file if here.startswith("..") else here), code.co_firstlineno


def _parameters(action: Any, count: int) -> list[str]:
    """Return the names of the first parameters, or positions from 1 on."""
    names: list[str] = []
    try:
        for parameter in inspect.signature(action).parameters.values():
            if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
                names.append(parameter.name)
    except (TypeError, ValueError):  # a builtin
        pass
    return [names[place] if place < len(names) else str(place + 1) for place in range(count)]
