"""Sums of runs by task, hour and state: number of occurrences, and duration."""

from collections.abc import Iterable

from tgscheduler.timetable.run import Run

#: A row of sums: span, begin, task, state, count, seconds, longest.
Row = tuple[str, int, int, str, int, float, float]


class RunCounts:
    """Sums of runs by task, hour and state: [count, seconds, longest]."""

    __slots__ = ("sums",)

    def __init__(self) -> None:
        self.sums: dict[tuple[str, int, str], list[float]] = {}

    def add(self, runs: Iterable[Run]) -> None:
        """Add runs that have ended."""
        sums = self.sums
        for run in runs:
            key = run.task, int(run.due // 3600.0) * 3600, run.state
            took = 0.0 if run.started is None or run.ended is None else max(0.0, run.ended - run.started)
            found = sums.get(key)
            if found is None:
                sums[key] = [run.count, took, took]
            else:
                found[0] += run.count
                found[1] += took
                if took > found[2]:
                    found[2] = took

    def merge(self, other: "RunCounts") -> None:
        """Add the sums of another RunCounts."""
        for key, (count, seconds, longest) in other.sums.items():
            found = self.sums.setdefault(key, [0, 0.0, 0.0])
            found[0] += count
            found[1] += seconds
            found[2] = max(found[2], longest)

    def rows(self, ids: dict[str, int]) -> list[Row]:
        """Return the rows of new sums by hour, sorted so that two writers never deadlock."""
        return sorted(
            ("new", hour, ids[task], state, int(count), seconds, longest)
            for (task, hour, state), (count, seconds, longest) in self.sums.items()
        )


def roll_up(new: Iterable[tuple[int, int, str, int, float, float]]) -> list[Row]:
    """Return rows by hour, by day and of all time, from new sums: (hour, task, state, count, seconds, longest)."""
    rows: dict[tuple[str, int, int, str], list[float]] = {}
    for hour, task, state, count, seconds, longest in new:
        for span, begin in (("hour", hour), ("day", hour // 86400 * 86400), ("ever", 0)):
            found = rows.setdefault((span, begin, task, state), [0, 0.0, 0.0])
            found[0] += count
            found[1] += seconds
            found[2] = max(found[2], longest)
    return [(*key, int(count), seconds, longest) for key, (count, seconds, longest) in sorted(rows.items())]
