"""Reader: the one read model of all surfaces, over the public reads of a scheduler."""

import bisect
import operator
import threading
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import date, datetime
from typing import Any, NamedTuple

from tgscheduler import clock as clocks
from tgscheduler.engine.scheduler import Scheduler
from tgscheduler.engine.views import RunView, TaskView
from tgscheduler.errors import InvalidValue, StoreError
from tgscheduler.explain.task import warnings
from tgscheduler.stores.audit import AuditRecord
from tgscheduler.timetable import zones
from tgscheduler.timetable.checks import check_moment
from tgscheduler.timetable.compose import Trigger
from tgscheduler.timetable.durations import Durations
from tgscheduler.timetable.run import Run
from tgscheduler.timetable.trigger_phrases import in_words
from tgscheduler.views import timetables
from tgscheduler.views.coming import Collision, Fires, FireView, collisions, coming, fires_of, next_fires, samples
from tgscheduler.views.days import DayView, day_views, days_of
from tgscheduler.views.health import HealthView, health_view
from tgscheduler.views.redaction import Redactor
from tgscheduler.views.tasks import (
    BAD_STATES,
    UNRUN_STATES,
    Definition,
    Failures,
    TaskSummary,
    definition,
    error_of,
    failures,
    redacted,
    summarize,
)

#: Seconds for which a list of all tasks is shown again while the timetable goes on; a surface's own change ends it.
FRESH = 2.0

#: The list is kept for this many times as long as it took to make.
_SPARING = 20

#: Maximum number of tasks whose last run from before the start is read.
_MOST_BEFORE = 10_000


def _last(runs: Iterable[RunView]) -> RunView | None:
    """Return the first of some runs that began, or was to begin."""
    return next((run for run in runs if run.state not in UNRUN_STATES), None)


#: Maximum number of tasks whose definition is kept.
_MOST_DEFINITIONS = 1000


class RunPage(NamedTuple):
    """A page of runs, newest due time first, and the cursor of the next one; None: there is none."""

    items: list[RunView]
    next: str | None


class Preview(NamedTuple):
    """A timetable that no task has: in words, as Python, its fires, what may surprise, what fires at the same time."""

    words: str
    code: str
    timezone: str
    fires: list[FireView]
    warnings: list[str]
    collisions: list[Collision]


class Reader:
    """Reads one scheduler for pages, API, command line and metrics; all texts are without secrets.

    ``redact``: names whose values are hidden, beside :data:`~tgscheduler.views.SECRET_NAMES`.
    """

    def __init__(self, scheduler: Scheduler, redact: Iterable[str] = ()) -> None:
        self.scheduler = scheduler
        self._redactor = Redactor(redact)
        self._lock = threading.Lock()
        self._listed: tuple[int, float, list[TaskSummary]] | None = None
        self._before: dict[str, RunView] | None = None
        self._definitions: dict[str, tuple[tuple[Any, ...], Definition]] = {}

    @property
    def version(self) -> int:
        """A number that changes with everything that is shown, except the passing of time."""
        return self.scheduler.version

    @property
    def now(self) -> float:
        """The scheduler's clock, POSIX seconds."""
        return self.scheduler.clock.now()

    @property
    def timezone(self) -> str:
        """The IANA name of the scheduler's zone."""
        return self.scheduler.timezone

    @property
    def started(self) -> bool:
        """Whether the scheduler runs."""
        return self.scheduler.running

    # -- tasks -------------------------------------------------------------------------------------------------------

    def tasks(self) -> list[TaskSummary]:
        """Return all tasks, first those that wait for a time, in order.

        They are up to FRESH seconds old, or more if there are so many that reading them again would keep a core busy.
        """
        version, began = self.version, clocks.elapsed()
        listed = self._listed
        if listed is not None and (listed[0] == version or began < listed[1]):
            return listed[2]
        with self._lock:  # so that many readers at once are one question
            if self._listed is not listed and self._listed is not None:
                return self._listed[2]
            views = self.scheduler.views()
            before = self._runs_before(views)
            found = [summarize(view, before.get(view.name), self._redactor) for view in clocks.giving_way(views, 500)]
            now = clocks.elapsed()
            self._listed = version, now + max(FRESH, _SPARING * (now - began)), found
        return found

    def forget(self) -> None:
        """Read all tasks again at the next ask: something was changed that must be seen at once."""
        self._listed = None

    def task(self, name: str) -> TaskSummary | None:
        """Return one task, even one that has ended; None if there is none, though there may be a history."""
        view = self.scheduler.view(name)
        if view is None:
            return None
        before = None
        if view.last_run is None:
            with suppress(StoreError):  # the task is shown without it
                before = _last(self.recent([name], 5)[name])
        return summarize(view, before, self._redactor)

    def definition(self, task: TaskSummary) -> Definition:
        """Return what a task calls, and with what: ``repr`` of each argument is asked for once."""
        view = task.view
        given, kept = (view.action, view.args, view.kw), self._definitions.get(task.name)
        if kept is not None and all(map(operator.is_, kept[0], given)):
            return kept[1]
        if len(self._definitions) >= _MOST_DEFINITIONS:
            self._definitions.clear()
        found = definition(view, self._redactor)
        self._definitions[task.name] = given, found
        return found

    def past_tasks(self) -> list[str]:
        """Return the names that have a history and that no task has."""
        return sorted(self.scheduler.gone())

    def _runs_before(self, views: list[TaskView]) -> dict[str, RunView]:
        """Return the last run on record of each task that has had none since the start; read once."""
        if self._before is None:
            names = [view.name for view in views if view.last_run is None][:_MOST_BEFORE]
            try:
                recent = self.recent(names, 5)
            except StoreError:  # the tasks are shown without them
                return {}
            self._before = {name: run for name, runs in recent.items() if (run := _last(runs))}
        return self._before

    # -- runs --------------------------------------------------------------------------------------------------------

    def recent(self, names: Collection[str], n: int = 30) -> dict[str, list[RunView]]:
        """Return the last runs of each of these tasks, newest first: one question to the store.

        From a database they are without ``error`` and ``log``: :meth:`run` reads those.
        """
        found = self.scheduler.recent_runs(names, n)
        return {name: [self.view_of(run) for run in runs] for name, runs in clocks.giving_way(found.items(), 8)}

    def failures(self, recent: Sequence[RunView], asked: int) -> Failures:
        """Return what :func:`failures` does, with the end of the last error also from a database."""
        found = failures(recent, asked)
        newest = next((run for run in recent if run.state in BAD_STATES), None)
        if not found.times or newest is None or newest.error:
            return found
        whole = self.run(newest.id)
        return found if whole is None else found._replace(error=error_of(whole))

    def runs(
        self,
        task: str | None = None,
        state: str | Collection[str] | None = None,
        since: float | None = None,
        before: float | str | None = None,
        limit: int = 50,
    ) -> RunPage:
        """Return a page of runs, of one state or several; ``before``: POSIX seconds, or the cursor of the last page.

        Raises InvalidValue for a state, or a cursor, that is none.
        """
        found = self.scheduler.runs(task, state, since, before, limit + 1)
        views = [self.view_of(run) for run in found[:limit]]
        return RunPage(views, views[-1].cursor if len(found) > limit else None)

    def run(self, id: str) -> RunView | None:
        """Return the run of that id, None if there is none."""
        run = self.scheduler.run(id)
        return None if run is None else self.view_of(run)

    def figures(self, names: Collection[str], since: float | None = None) -> dict[str, Durations]:
        """Return how long the runs of each of these tasks took, and how they ended; ``since``: from that hour on."""
        return self.scheduler.durations(names, since)

    def counts(self, since: float | None = None) -> dict[str, int]:
        """Return how many occurrences ended in each state; ``since``: of those that were due from that hour on."""
        return self.scheduler.counts(since)

    def audits(self, task: str | None = None, before: int | None = None, limit: int = 20) -> list[AuditRecord]:
        """Return records of the audit log, newest first: every one, or those of a task and of all tasks together."""
        found = self.scheduler.audits(task, before, limit)
        return [replace(record, detail=self._redactor.text(record.detail)) for record in found]

    def view_of(self, run: Run) -> RunView:
        """Return a run as it is now; asks no store."""
        return redacted(RunView.of(run), self._redactor)

    # -- fires -------------------------------------------------------------------------------------------------------

    def fires(self, since: float, until: float, names: Collection[str] | None = None, most: int = 60) -> Fires:
        """Return the fires of some tasks (None: of all) from ``since`` to ``until``, at most ``most`` of each."""
        if names is None:
            views = [task.view for task in self.tasks()]
        else:
            views = [view for name in names if (view := self.scheduler.view(name)) is not None]
        return coming(views, since, until, most)

    def samples(self, name: str, since: float, until: float, step: float) -> list[FireView]:
        """Return some of the fires of a task that has too many: at most one in each ``step`` seconds."""
        view = self.scheduler.view(name)
        return [] if view is None else samples(view, since, until, step)

    def next_fires(self, name: str, n: int = 10) -> list[FireView]:
        """Return the next fires of a task."""
        view = self.scheduler.view(name)
        return [] if view is None else next_fires(view, n)

    def parse_timetable(self, text: str, timezone: str | None = None) -> Trigger:
        """Return the trigger that a text means; raise InvalidValue."""
        zone = timezone or self.timezone
        zones.zone(zone)
        return timetables.parse(text, zone, self.now)

    def simulate(
        self, text: str, timezone: str | None = None, start: float | datetime | None = None, n: int = 20
    ) -> Preview:
        """Return what a timetable would do from ``start`` (None: from now) on; raise InvalidValue."""
        zone = timezone or self.timezone
        trigger = self.parse_timetable(text, zone)
        begin = self.now if start is None else check_moment("start", start, zone)
        fires = fires_of(trigger, begin, n)
        if not fires:
            raise InvalidValue(f"timetable: {text!r} never fires")
        views = [task.view for task in self.tasks()]
        return Preview(
            words=in_words(trigger),
            code=timetables.code_of(trigger),
            timezone=zone,
            fires=fires,
            warnings=list(warnings(trigger)),
            collisions=collisions(fires, views),
        )

    def days(self, first: date, number: int, timezone: str | None = None) -> list[DayView]:
        """Return days of a zone (None: the scheduler's): what is to come on each, and what became of what was due."""
        days = days_of(first, number, timezone or self.timezone)
        return day_views(days, [task.view for task in self.tasks()], self._counts(days), self.now)

    def _counts(self, days: Sequence[tuple[date, float, float]]) -> dict[date, dict[str, int]]:
        """Return the number of occurrences that were due on each of some days, by state.

        They are counted by hours: where a day does not begin with one, as by half-hour offsets, its bounds are rounded.
        """
        found: dict[date, dict[str, int]] = {}
        end = min(days[-1][2], self.now + 3600)
        if days[0][1] >= end:
            return found
        begins, hours = [begin for _, begin, _ in days], dict[float, dict[str, int]]()
        with suppress(StoreError):  # the fires to come are shown without them
            hours = self.scheduler.counts_by_hour(days[0][1], end)
        for moment, states in hours.items():
            day = days[max(0, bisect.bisect_right(begins, moment) - 1)][0]
            counts = found.setdefault(day, {})
            for state, count in states.items():
                counts[state] = counts.get(state, 0) + count
        return found

    # -- the rest ----------------------------------------------------------------------------------------------------

    def why(self, name: str, at: float | datetime) -> str:
        """Return why a task did, or did not, run at a moment; raise InvalidValue for an unknown task."""
        return self._redactor.text(self.scheduler.why(name, at))

    def health(self) -> HealthView:
        """Return how the scheduler is."""
        return health_view(self.scheduler, self._redactor)
