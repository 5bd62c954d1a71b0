"""Looking into a scheduler: its tasks, its runs, its health. Nothing here changes anything."""

from typing import Any

from tgscheduler import clock as clocks
from tgscheduler.clock import Clock
from tgscheduler.engine.health import health
from tgscheduler.engine.ledger import Ledger
from tgscheduler.engine.loop import Loop
from tgscheduler.engine.registry import Registry
from tgscheduler.executors.base import Executor
from tgscheduler.stores.base import Query
from tgscheduler.timetable.run import STATES, Run
from tgscheduler.timetable.tasks import Task


class Looking:
    """What reads a scheduler; the functions of :mod:`tgscheduler.scheduler` document each."""

    clock: Clock
    _registry: Registry
    _ledger: Ledger
    _executors: dict[str, Executor]
    _loop: Loop | None

    @property
    def timezone(self) -> str:
        """The IANA name of the zone in which calendar tasks are meant."""
        return self._registry.home.timezone or clocks.local_zone()

    def get_task(self, taskname: str) -> Task | None:
        """Return the task of that name, None when there is none."""
        with self._registry.lock:
            return self._registry.look_up(taskname)

    def get_tasks(self) -> dict[str, Task]:
        """Return a new dict of the named tasks."""
        with self._registry.lock:
            return self._registry.snapshot()

    @property
    def tasks(self) -> dict[str, Task]:
        """A new dict of the named tasks."""
        return self.get_tasks()

    def runs(
        self,
        task: str | Task | None = None,
        state: str | None = None,
        since: float | None = None,
        before: float | Run | None = None,
        limit: int = 100,
    ) -> list[Run]:
        """Return runs, newest due time first: of one task, in one state, with ``since <= due < before``.

        Where ``before`` is the last Run of a page, the next page follows.
        """
        if isinstance(task, Task):
            with self._registry.lock:
                task = self._registry.label(task)
        return self._ledger.runs(Query(task, state, since, before, limit).check())

    def counts(self, since: float | None = None) -> dict[str, int]:
        """Return how many occurrences are in each state; their sum is the number that came due.

        ``since``: only those that were due in the hour of that moment, or later.
        """
        if since is None:
            return self._ledger.counts()
        sums = dict.fromkeys(STATES, 0)
        for states in self.counts_by_task(since).values():
            for state, count in states.items():
                sums[state] += count
        return sums

    def counts_by_task(self, since: float | None = None) -> dict[str, dict[str, int]]:
        """Return, by the task's name, how many occurrences are in each state that there are any in.

        ``since``: only those that were due in the hour of that moment, or later.
        """
        return self._ledger.tallies(since)

    def health(self) -> dict[str, Any]:
        """Return how the engine is: ``state`` (stopped, ok, degraded, failed) with its ``reasons``, and figures."""
        return health(self._loop, self._executors.copy(), self._registry, self._ledger.store, self.clock.now())

    def gone(self) -> list[str]:
        """Return the names that the store has a history of, and that no task has any more."""
        loop = self._loop
        return [] if loop is None or loop.recall is None else loop.recall.gone()
