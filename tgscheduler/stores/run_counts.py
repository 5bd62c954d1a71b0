"""Sums of ended runs by task and hour: occurrences by state, and durations by bucket.

::

    ended runs --RunCounts--> rows of span 'new' --roll_up--> rows of span 'hour', 'day' and 'ever';
                              rows of span 'all', by hour: the sums of all tasks, as task 0
"""

from collections.abc import Iterable
from typing import Any

from tgscheduler.timetable.durations import TIMED, Bucket, Durations, bucket_of
from tgscheduler.timetable.run import Run

#: Sums by (task, hour, state or bucket): [count, seconds, longest].
Sums = dict[Any, list[float]]
#: A row of sums: span, begin, task, state or bucket, count, seconds, longest.
Row = tuple[str, int, int, Any, int, float, float]


class RunCounts:
    """Sums of runs by task and hour."""

    __slots__ = ("buckets", "states")

    def __init__(self) -> None:
        #: Occurrences by state, with the total and the longest duration of the runs that stand for them.
        self.states: Sums = {}
        #: Runs by the bucket of their duration.
        self.buckets: Sums = {}

    def add(self, runs: Iterable[Run]) -> None:
        """Add runs that have ended."""
        states, buckets = self.states, self.buckets
        for run in runs:
            hour = int(run.due // 3600.0) * 3600
            if run.started is None or run.ended is None:
                add_sums(states, (run.task, hour, run.state), run.count, 0.0, 0.0)
                continue
            took = max(0.0, run.ended - run.started)
            add_sums(states, (run.task, hour, run.state), run.count, took, took)
            if run.state in TIMED:
                add_sums(buckets, (run.task, hour, bucket_of(took)), 1, took, took)

    def merge(self, other: "RunCounts") -> None:
        """Add the sums of another RunCounts."""
        for mine, others in ((self.states, other.states), (self.buckets, other.buckets)):
            for key, sums in others.items():
                add_sums(mine, key, *sums)

    def counts(self) -> dict[str, dict[str, int]]:
        """Return the numbers of occurrences by task and state, of all hours together."""
        counts: dict[str, dict[str, int]] = {}
        for (task, _, state), (count, _, _) in self.states.items():
            states = counts.setdefault(task, {})
            states[state] = states.get(state, 0) + int(count)
        return counts

    def durations(self) -> dict[str, Durations]:
        """Return the durations by task, of all hours together."""
        counts = self.counts()
        whole: Sums = {}
        for (task, _, number), sums in self.buckets.items():
            add_sums(whole, (task, 0, number), *sums)
        buckets: dict[str, list[Bucket]] = {task: [] for task in counts}
        for (task, _, number), (count, seconds, longest) in sorted(whole.items()):
            buckets[task].append(Bucket(number, int(count), seconds, longest))
        return {task: Durations(states, tuple(buckets[task])) for task, states in counts.items()}


def add_sums(sums: Sums, key: Any, count: float, seconds: float, longest: float) -> None:
    """Add to the sums of a key."""
    found = sums.get(key)
    if found is None:
        sums[key] = [count, seconds, longest]
    else:
        found[0] += count
        found[1] += seconds
        if longest > found[2]:
            found[2] = longest


def new_rows(sums: Sums, ids: dict[str, int]) -> list[Row]:
    """Return the rows of new sums, sorted so that two writers never deadlock."""
    return sorted(
        ("new", hour, ids[task], group, int(count), seconds, longest)
        for (task, hour, group), (count, seconds, longest) in sums.items()
    )


def roll_up(new: Iterable[tuple[int, int, Any, int, float, float]]) -> list[Row]:
    """Return rows by hour, by day and of all time, and of all tasks, from new ones, which are without their span."""
    rows: Sums = {}
    for hour, task, group, count, seconds, longest in new:
        for key in (("hour", hour, task), ("day", hour // 86400 * 86400, task), ("ever", 0, task), ("all", hour, 0)):
            add_sums(rows, (*key, group), count, seconds, longest)
    return [(*key, int(count), seconds, longest) for key, (count, seconds, longest) in sorted(rows.items())]
