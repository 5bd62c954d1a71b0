"""Shapes: what the API's values hold. One row gives a member its name, its JSON Schema and its value.

::

    RUN = Shape("Run", "One occurrence …", member("task", STRING, "The name of its task."), *moment("due", "When …"))

    RUN.of(run, "Europe/Berlin")    {"task": "report", "due": "2026-11-25T09:00:00+01:00", "due_posix": 1795593600.0}
    RUN.schema                      the JSON Schema of that

All members are always there. What is unknown or has no bound is null: JSON has no infinity.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from operator import attrgetter, itemgetter
from typing import Any, NamedTuple

from tgscheduler.moments import iso
from tgscheduler.timetable import zones
from tgscheduler.timetable.durations import Durations
from tgscheduler.timetable.policy import METHODS
from tgscheduler.timetable.run import STATES
from tgscheduler.views import STATUSES, Definition, Preview, TaskSummary

Schema = dict[str, Any]

STRING: Schema = {"type": "string"}
INTEGER: Schema = {"type": "integer"}
NUMBER: Schema = {"type": "number"}
BOOLEAN: Schema = {"type": "boolean"}
COUNTS: Schema = {"type": "object", "additionalProperties": INTEGER}


class Member(NamedTuple):
    """A member of a JSON object: its name, its schema, and its value of an item, in a time zone."""

    name: str
    schema: Schema
    value: Callable[[Any, str], Any]


class Shape:
    """What a JSON object holds; :meth:`of` makes it of an item and :attr:`schema` describes it."""

    def __init__(self, name: str, doc: str, *members: Member, more: bool = False) -> None:
        self.name, self.doc, self.members = name, doc, members
        self._more = more  # whether there may be members beside these

    @property
    def schema(self) -> Schema:
        """The JSON Schema; shapes within it are references to components."""
        return {
            "type": "object",
            "description": self.doc,
            "properties": {member.name: member.schema for member in self.members},
            "required": [member.name for member in self.members],
            "additionalProperties": self._more,
        }

    @property
    def reference(self) -> Schema:
        """The schema's place in the API's document."""
        return {"$ref": f"#/components/schemas/{self.name}"}

    def of(self, item: Any, timezone: str) -> dict[str, Any]:
        """Return the JSON object of an item, its times with the zone's offset."""
        return {member.name: member.value(item, timezone) for member in self.members}

    def within(self, get: Callable[[Any], Any]) -> Iterator[Member]:
        """Yield the members for another shape, whose item holds what this one is of: ``get(item)``."""
        for each in self.members:
            yield Member(each.name, each.schema, _through(get, each.value))


def _through(get: Callable[[Any], Any], value: Callable[[Any, str], Any]) -> Callable[[Any, str], Any]:
    return lambda item, timezone: value(get(item), timezone)


# -- members -----------------------------------------------------------------------------------------------------------

#: Where a member's value is: a path of attributes, or what returns it; None: the attribute of the member's name.
_Of = str | Callable[[Any], Any] | None


def member(name: str, schema: Schema, doc: str, of: _Of = None) -> Member:
    """Return a member that holds a plain value."""
    get = _getter(name, of)
    return Member(name, {**schema, "description": doc}, lambda item, _: _finite(get(item)))


def moment(name: str, doc: str, of: _Of = None) -> Iterator[Member]:
    """Yield the two members of a time: ISO 8601 with the zone's offset, and POSIX seconds."""
    get = _getter(name, of)

    def posix(item: Any) -> float | None:
        seconds = get(item)  # infinity, and the end of the calendar, mean that there is no bound
        return seconds if seconds is not None and zones.START < seconds < zones.END else None

    def text(item: Any, timezone: str) -> str | None:
        seconds = posix(item)
        return None if seconds is None else iso(seconds, timezone)

    yield Member(name, {**optional(STRING), "format": "date-time", "description": doc}, text)
    yield member(f"{name}_posix", optional(NUMBER), "The same in POSIX seconds.", posix)


def inner(name: str, shape: Shape, doc: str, of: _Of = None) -> Member:
    """Return a member that holds another shape, or null."""
    get = _getter(name, of)

    def made(item: Any, timezone: str) -> dict[str, Any] | None:
        found = get(item)
        return None if found is None else shape.of(found, timezone)

    return Member(name, {"anyOf": [shape.reference, {"type": "null"}], "description": doc}, made)


def several(name: str, shape: Shape, doc: str, of: _Of = None) -> Member:
    """Return a member that holds a list of another shape."""
    get = _getter(name, of)
    schema = {"type": "array", "items": shape.reference, "description": doc}
    return Member(name, schema, lambda item, timezone: [shape.of(each, timezone) for each in get(item)])


def _getter(name: str, of: _Of) -> Callable[[Any], Any]:
    return of if callable(of) else attrgetter(of or name)


def optional(schema: Schema) -> Schema:
    """Return the schema of a value that may be null."""
    return {**schema, "type": [schema["type"], "null"]}


def one_of(words: Iterable[str]) -> Schema:
    """Return the schema of one of some words."""
    return {"type": "string", "enum": list(words)}


def texts(of: Schema = STRING) -> Schema:
    """Return the schema of a list of texts."""
    return {"type": "array", "items": of}


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def page(of: Shape) -> Schema:
    """Return the schema of a page of a list."""
    return {
        "type": "object",
        "properties": {
            "items": {"type": "array", "items": of.reference},
            "next": {**optional(STRING), "description": "The cursor of the next page; null: this is the last one."},
        },
        "required": ["items", "next"],
        "additionalProperties": False,
    }


# -- the values of the API -------------------------------------------------------------------------------------------

_RUN_ID = "Its id: safe in a URL, and unique over restarts of a store."

WHERE = Shape(
    "Where",
    "Where an action ran.",
    member("host", STRING, "The host."),
    member("process", INTEGER, "The process."),
    member("thread", STRING, "The thread."),
)

RUN = Shape(
    "Run",
    "One occurrence of a task, or several that one decision disposed of, and what became of it.",
    member("id", STRING, _RUN_ID),
    member("task", STRING, "The name of its task."),
    member("state", one_of(STATES), "What became of it."),
    *moment("due", "When it was due."),
    *moment("until", "When the last of its occurrences was due."),
    *moment("started", "When its action began; null: it has not begun."),
    *moment("ended", "When it ended; null: it has not ended."),
    member("late", optional(NUMBER), "Seconds from due to started; null: it has not begun."),
    member("count", INTEGER, "How many occurrences it stands for."),
    member("attempt", INTEGER, "1 for the first attempt."),
    member("takeovers", INTEGER, "How many times it was taken over from a process that had ended."),
    inner("where", WHERE, "Where it ran; null: it has not begun."),
    member("reason", optional(STRING), "Why it was skipped, missed, cancelled or lost."),
    member("error", optional(STRING), "The traceback of a failed run, without secrets."),
    member("log", STRING, "What its action has logged, up to a bound, without secrets."),
)

TASK = Shape(
    "Task",
    "One task as it is now.",
    member("name", STRING, "Its name."),
    member("state", one_of(STATUSES), "The first of these words that applies.", "status"),
    member("timetable", STRING, "When it fires, in words."),
    member("timezone", STRING, "The IANA name of its zone.", "view.timezone"),
    member("method", one_of(METHODS), "Where its action runs.", "view.method"),
    member("kind", STRING, "The name of its class.", "view.kind"),
    *moment("next_due", "When it is due next; null: it waits for no time."),
    *moment("next_fire", "When that fires, with jitter or after a pause."),
    inner("last_run", RUN, "Its last run that was started; null: there is none on record.", "last"),
    member("paused", BOOLEAN, "Whether it or all tasks are paused.", lambda task: task.paused_until is not None),
    *moment("paused_until", "The end of that; null: it is not paused, or is paused until it is resumed."),
    *moment("added_at", "When it was added.", "view.added_at"),
    *moment("end", "The last moment at which it may fire; null: no bound.", "view.end"),
    member(
        "runs_left",
        optional(INTEGER),
        "How many runs it may still have; null: no bound.",
        "view.runs_left",
    ),
    member("running", INTEGER, "How many of its runs have started and not ended.", "view.in_flight"),
    member("queued", INTEGER, "How many of its runs wait for those.", "view.queued"),
    member("policy", texts(), "Its choices about late, overlapping, endless and failed runs."),
    member("warnings", texts(), "What many users do not expect of its timetable."),
    member("fault", optional(STRING), "Why its next fire cannot be known; null: it can.", "view.fault"),
)

ARGUMENT = Shape(
    "Argument",
    "One argument that the action is called with.",
    member("name", STRING, "Its name, or its position from 1 on.", itemgetter(0)),
    member("value", STRING, "Its repr, without secrets.", itemgetter(1)),
)

DEFINITION = Shape(
    "Definition",
    "What a task calls.",
    member("action", STRING, "The full name of its action."),
    member("file", optional(STRING), "The file of its source; null: unknown."),
    member("line", optional(INTEGER), "The line of its source; null: unknown."),
    several("arguments", ARGUMENT, "What it is called with."),
    member("doc", STRING, "Its docstring."),
)


class TaskDetail(NamedTuple):
    """A task, and what it calls."""

    task: TaskSummary
    definition: Definition


TASK_DETAIL = Shape(
    "TaskDetail",
    "One task as it is now, and what it calls.",
    *TASK.within(attrgetter("task")),
    inner("definition", DEFINITION, "What it calls."),
)

FIRE = Shape(
    "Fire",
    "One fire to come.",
    member("task", STRING, "The name of its task; empty for a timetable that no task has."),
    *moment("due", "When it is due."),
    *moment("fire_at", "When it fires, with jitter or after a pause."),
    member("note", optional(STRING), "What is special about it, as if a clock change moves it."),
    member("skipped", BOOLEAN, "Whether a pause or a policy skips it."),
)

COLLISION = Shape(
    "Collision",
    "A minute in which other tasks fire too.",
    *moment("minute", "The beginning of the minute."),
    member("tasks", texts(), "Some of the tasks."),
)


class Simulated(NamedTuple):
    """A timetable as it was given, and what it would do."""

    line: str
    preview: Preview


PREVIEW = Shape(
    "Preview",
    "A timetable that no task has, and its next fires.",
    member("line", STRING, "The timetable as it was given."),
    member("words", STRING, "The timetable in words.", "preview.words"),
    member("code", STRING, "The line of Python that adds a task with it.", "preview.code"),
    member("timezone", STRING, "The IANA name of its zone.", "preview.timezone"),
    member("warnings", texts(), "What many users do not expect of it.", "preview.warnings"),
    several("items", FIRE, "Its next fires.", "preview.fires"),
    several("collisions", COLLISION, "Minutes of these in which other tasks fire too.", "preview.collisions"),
)


class Reason(NamedTuple):
    """Why a task did, or did not, run at a moment."""

    task: str
    at: float
    timezone: str
    answer: str


WHY = Shape(
    "Why",
    "Why a task did, or did not, run at a moment.",
    member("task", STRING, "The name of the task."),
    *moment("at", "The moment."),
    member("timezone", STRING, "The IANA name of the zone."),
    member("answer", STRING, "The answer, in lines of text."),
)

SETTING = Shape(
    "Setting",
    "A setting and its value.",
    member("key", STRING, "Its key."),
    member("value", STRING, "Its value as Python, without secrets."),
    member("default", STRING, "Its default as Python."),
    member("source", optional(STRING), "Where the value comes from; null: it is not set."),
    member("doc", STRING, "What it means."),
)

HEALTH = Shape(
    "Health",
    "How the scheduler is.",
    member("state", one_of(("stopped", "ok", "degraded", "failed")), "How it is."),
    member("reasons", texts(), "Why it is not ok."),
    member("lag", NUMBER, "Seconds by which the loop is behind."),
    member("waiting", INTEGER, "How many runs wait."),
    member("running", INTEGER, "How many runs run."),
    member("threads", INTEGER, "How many threads are busy."),
    member("children", INTEGER, "How many processes are busy."),
    member("abandoned", INTEGER, "How many runs have ended although their action has not returned."),
    member("tasks", INTEGER, "How many tasks there are."),
    *moment("next_due", "When the next task is due."),
    member("buffered", INTEGER, "How many records wait for the store."),
    member("dropped", INTEGER, "How many records were lost while the store was down."),
    member("store", STRING, "The address of the store, without a password."),
    *moment("started", "When the scheduler was started; null: it is stopped."),
    member("counts", COUNTS, "How many occurrences came due, by state."),
    several("settings", SETTING, "The settings, and where each value comes from."),
    member("versions", {"type": "object", "additionalProperties": STRING}, "What it runs on."),
)

AUDIT = Shape(
    "Audit",
    "One change, or one that was refused.",
    member("id", optional(INTEGER), "Its number in the store; null: it is not written yet."),
    *moment("at", "When it was asked for."),
    member("who", STRING, "Who asked."),
    member("role", STRING, "In which role."),
    member("action", STRING, "What was asked for."),
    member("task", optional(STRING), "The name of the task; null: all tasks."),
    member("detail", STRING, "What else was asked for, as the end of a pause."),
    member("origin", STRING, "From where: how the caller was known, and the address."),
    member("outcome", STRING, "What came of it: ok, nothing to do, or why it was refused."),
)


class Figures(NamedTuple):
    """How long the runs of a task took, and how they ended."""

    task: str
    durations: Durations


FIGURES = Shape(
    "Figures",
    "How long the runs of a task took, and how they ended; from sums that are kept longer than the runs.",
    member("task", STRING, "The name of the task."),
    member(
        "counts",
        {"type": "object", "additionalProperties": INTEGER},
        "How many occurrences, by state.",
        "durations.counts",
    ),
    member("success_rate", optional(NUMBER), "The share of ok; null: none has begun.", "durations.success_rate"),
    member("runs", INTEGER, "How many runs were timed.", "durations.runs"),
    member("mean", optional(NUMBER), "Their mean duration in seconds.", "durations.mean"),
    member("p50", optional(NUMBER), "Their median in seconds.", lambda each: each.durations.quantile(0.5)),
    member("p95", optional(NUMBER), "The 95th percentile in seconds.", lambda each: each.durations.quantile(0.95)),
    member("longest", optional(NUMBER), "The longest in seconds.", "durations.longest"),
)

OUTCOME = Shape(
    "Outcome",
    "What an action has done.",
    member("changed", BOOLEAN, "Whether there was anything to do."),
    member("text", STRING, "What was done, or that nothing had to be done."),
    member("task", optional(STRING), "The name of the task."),
    inner("run", RUN, "The run."),
)

PROBLEM = Shape(
    "Problem",
    "Why a request was refused (RFC 9457).",
    member("type", STRING, "Always about:blank."),
    member("title", STRING, "The kind of problem."),
    member("status", INTEGER, "The status of the answer."),
    member("detail", STRING, "What was expected, what was given, and how to mend it."),
    more=True,
)

#: All shapes: the components of the API's document.
SHAPES = (
    *(WHERE, RUN, TASK, ARGUMENT, DEFINITION, TASK_DETAIL, FIRE, COLLISION, PREVIEW, WHY, SETTING, HEALTH, AUDIT),
    *(FIGURES, OUTCOME, PROBLEM),
)
