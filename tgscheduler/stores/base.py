"""The store's protocol: what is remembered of runs that have ended."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

from tgscheduler.errors import InvalidType, InvalidValue
from tgscheduler.timetable.run import STATES, Run


class Query(NamedTuple):
    """Which runs are asked for; ``since <= due < before``, None: no bound."""

    task: str | None = None
    state: str | None = None
    since: float | None = None
    before: float | None = None
    limit: int = 100

    def check(self) -> "Query":
        """Return self; raise InvalidValue or InvalidType for a state or limit that cannot be."""
        if self.state is not None and self.state not in STATES:
            raise InvalidValue(f"state: expected one of {', '.join(STATES)}, got {self.state!r}")
        if isinstance(self.limit, bool) or not isinstance(self.limit, int):
            raise InvalidType(f"limit: expected a whole number, got {self.limit!r}")
        if self.limit < 1:
            raise InvalidValue(f"limit: expected 1 or more, got {self.limit}")
        return self

    def matches(self, run: Run) -> bool:
        """Say whether a run is one of those asked for."""
        return (
            (self.task is None or run.task == self.task)
            and (self.state is None or run.state == self.state)
            and (self.since is None or self.since <= run.due)
            and (self.before is None or run.due < self.before)
        )

    def newest(self, runs: Iterable[Run]) -> list[Run]:
        """Return the matching runs, newest due time first, ``limit`` of them at most."""
        found = [run for run in runs if self.matches(run)]
        found.sort(key=lambda run: run.due, reverse=True)
        return found[: self.limit]


class Store(Protocol):
    """Remembers runs that have ended. Verbs are plural; only the loop's thread records, anybody reads."""

    def record(self, runs: Sequence[Run]) -> None:
        """Remember runs that have ended."""

    def runs(self, query: Query) -> list[Run]:
        """Return what is asked for, newest due time first."""

    def counts(self) -> dict[str, int]:
        """Return how many occurrences were recorded in each state, since the beginning."""
