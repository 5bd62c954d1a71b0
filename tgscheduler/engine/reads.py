"""Reads: what a scheduler tells of its tasks and of its history; the public documentation of each method."""

from collections.abc import Collection, Iterable
from datetime import datetime

from tgscheduler import clock as clocks
from tgscheduler.engine.journal import Journal
from tgscheduler.engine.planner import Planner
from tgscheduler.engine.registry import Registry
from tgscheduler.engine.views import TaskView, Views
from tgscheduler.explain.moment import why
from tgscheduler.explain.task import explain
from tgscheduler.stores.audit import AuditRecord
from tgscheduler.stores.base import Query
from tgscheduler.timetable.checks import check_moment
from tgscheduler.timetable.durations import Durations
from tgscheduler.timetable.run import Run
from tgscheduler.timetable.tasks import Task


class Reads:
    """Reads views and the journal, and through it the store."""

    def __init__(self, registry: Registry, planner: Planner, journal: Journal, views: Views) -> None:
        self._registry = registry
        self._planner = planner
        self._journal = journal
        self._views = views

    @property
    def timezone(self) -> str:
        """The IANA name of the zone in which calendar tasks are meant."""
        return self._registry.context.timezone or clocks.local_zone()

    def view(self, task: str | Task) -> TaskView | None:
        """Return one task as it is now; None if it is unknown."""
        return self._views.task("view", task)

    def views(self) -> list[TaskView]:
        """Return all tasks as they are now: first those that wait for a time, in order."""
        return self._views.tasks()

    def runs(
        self,
        task: str | Task | None = None,
        state: str | Collection[str] | None = None,
        since: float | None = None,
        before: float | Run | str | None = None,
        limit: int = 100,
    ) -> list[Run]:
        """Return runs, newest due time first.

        Of one task, in one state or several, with ``since <= due < before`` (POSIX seconds). If ``before`` is the last
        Run of a page, or its ``cursor``, the next page follows.
        """
        if isinstance(task, Task):
            task = self._views.name_of("runs", task)
        return self._journal.runs(Query(task, state, since, before, limit).check())

    def recent_runs(self, tasks: Collection[str], n: int = 30) -> dict[str, list[Run]]:
        """Return the last ``n`` runs of each of these tasks, open ones included, newest due time first.

        It is one question to the store, however many tasks. Runs from a database are without ``error`` and ``log``,
        which may be long: :meth:`run` reads them.
        """
        return self._journal.recent_runs(tasks, n)

    def run(self, id: str) -> Run | None:
        """Return the run of that id, open or ended; None if there is none, or none any more."""
        return self._journal.run(id)

    def counts(self, since: float | None = None) -> dict[str, int]:
        """Return how many occurrences are in each state; their sum is the number that came due.

        ``since`` (POSIX seconds): only those that were due in the hour of that moment, or later.
        """
        return self._journal.counts(since)

    def counts_by_task(self, since: float | None = None) -> dict[str, dict[str, int]]:
        """Return, by the task's name, how many occurrences are in each state that there are any in.

        ``since`` (POSIX seconds): only those that were due in the hour of that moment, or later.
        """
        return self._journal.counts_by_task(since)

    def counts_by_hour(self, since: float, until: float) -> dict[float, dict[str, int]]:
        """Return, by the hour in which they were due, how many occurrences of all tasks ended in each state.

        Keys are the beginnings of hours (POSIX seconds): that of ``since``, and those before ``until``.
        """
        return self._journal.store.counts_by_hour(
            check_moment("since", since, self.timezone), check_moment("until", until, self.timezone)
        )

    def durations(
        self, task: str | Task | Iterable[str | Task] | None = None, since: float | None = None
    ) -> dict[str, Durations]:
        """Return, by the task's name, how long its runs took and how they ended: success rate, mean, quantiles.

        ``task``: one, several (each is in the result), or None: all that have ended runs. ``since`` (POSIX seconds):
        only those that were due in the hour of that moment, or later. Runs that wait or run do not count.
        """
        names = self._views.names("durations", task)
        return self._journal.store.durations(
            names, None if since is None else check_moment("since", since, self.timezone)
        )

    def audits(self, task: str | Task | None = None, before: int | None = None, limit: int = 50) -> list[AuditRecord]:
        """Return records of the audit log, newest first: every one, or those of a task and those of all tasks together.

        If ``before`` is the ``id`` of the last record of a page, the next page follows. A record that is not written
        yet has no id. Without a persistent store the last 1,000 are kept.
        """
        name = None if task is None else self._views.name_of("audits", task)
        return self._journal.audits(name, before, limit)

    def gone(self) -> list[str]:
        """Return the names that the store has a history of, and that no task has any more.

        The option ``formerly`` of a new task takes one over. Without a persistent store there are none.
        """
        restore = self._planner.restore
        return [] if restore is None else restore.orphaned_names()

    def explain(self, task: str | Task, n: int = 5) -> str:
        """Return what a task is and when it fires, in words: its zone, policy and bounds, and its next ``n`` fires.

        The fires are those that the loop will go through, in local time, with a note if a clock change moves one. ``n``
        is 1 to 1000. Raises InvalidValue for a task that is not there.
        """
        return explain(task, self._views.task("explain", task), n)

    def why(self, task: str | Task, at: float | datetime) -> str:
        """Return why a task did, or did not, run ``at`` a moment, from the records and the rules.

        ``at``: POSIX seconds or a datetime, a naive one in the task's zone. Works for a name that only the records
        know; raises InvalidValue for an unknown one.
        """
        return why(self, task, self._views.task("why", task), at, list(self._registry.uptimes))
