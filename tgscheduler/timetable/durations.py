"""Durations of a task's runs over a period: a histogram, and what is read from it.

::

    bucket -40    0 s                 to  2 ** -10 s  (about 1 ms)
           b      2 ** ((b - 1) / 4)  to  2 ** (b / 4) s, which it includes
           0      0.84 s              to  1 s
           80     10 days             to  12 days; and so on

A bucket ends 19 % above its beginning, so a quantile is at most 10 % wrong. Only runs whose action began and ended are
in it: ok, failed, timed_out.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from tgscheduler.errors import InvalidValue
from tgscheduler.timetable.run import FAILED, LOST, OK, TIMED_OUT

#: Number of buckets from a duration to its double.
BUCKETS_PER_DOUBLE = 4
#: The first bucket, which has everything up to its end.
FIRST = -40
_FIRST_END = math.exp2(FIRST / BUCKETS_PER_DOUBLE)

#: The states whose durations count.
TIMED = frozenset((OK, FAILED, TIMED_OUT))
#: The states of runs that began and did not do their work.
_UNSUCCESSFUL = (FAILED, TIMED_OUT, LOST)


def bucket_of(seconds: float) -> int:
    """Return the number of the bucket of a duration."""
    return FIRST if seconds <= _FIRST_END else math.ceil(BUCKETS_PER_DOUBLE * math.log2(seconds))


class Bucket(NamedTuple):
    """The runs of one bucket: how many, the sum of their durations, and the longest (seconds)."""

    number: int
    runs: int
    seconds: float
    longest: float

    @property
    def lower(self) -> float:
        """The duration that all of its runs exceed (seconds)."""
        return 0.0 if self.number == FIRST else math.exp2((self.number - 1) / BUCKETS_PER_DOUBLE)

    @property
    def upper(self) -> float:
        """The duration that none of its runs exceeds (seconds)."""
        return math.exp2(self.number / BUCKETS_PER_DOUBLE)

    def duration(self, rank: int) -> float:
        """Return an estimate of its ``rank``-th shortest duration: the middle of what sum and longest leave possible.

        >>> Bucket(10, runs=1, seconds=5.5, longest=5.5).duration(1)
        5.5
        """
        shorter, longer = rank - 1, self.runs - rank
        lowest = max(self.lower, (self.seconds - longer * self.longest) / rank)
        highest = min(self.longest, (self.seconds - shorter * self.lower) / (longer + 1))
        return (lowest + highest) / 2.0


@dataclass(frozen=True, slots=True)
class Durations:
    """How long a task's runs took over a period, and how they ended.

    >>> durations = Durations({"ok": 3, "failed": 1}, (Bucket(1, 3, 3.3, 1.1), Bucket(9, 1, 4.5, 4.5)))
    >>> durations.success_rate, durations.quantile(0.5), durations.longest
    (0.75, 1.1, 4.5)
    """

    #: Number of occurrences by state; states without any are missing.
    counts: Mapping[str, int]
    #: The buckets that have runs, shortest first.
    buckets: tuple[Bucket, ...] = ()

    @property
    def runs(self) -> int:
        """Number of runs in the buckets; a run that makes up for several occurrences is one."""
        return sum(bucket.runs for bucket in self.buckets)

    @property
    def seconds(self) -> float:
        """The sum of their durations (seconds)."""
        return math.fsum(bucket.seconds for bucket in self.buckets)

    @property
    def mean(self) -> float | None:
        """Their mean duration (seconds), None if there are none."""
        runs = self.runs
        return self.seconds / runs if runs else None

    @property
    def longest(self) -> float | None:
        """Their longest duration (seconds), None if there are none."""
        return self.buckets[-1].longest if self.buckets else None

    @property
    def success_rate(self) -> float | None:
        """Share of ``ok`` in the occurrences that ended as ok, failed, timed_out or lost; None if none did."""
        ok = self.counts.get(OK, 0)
        ended = ok + sum(self.counts.get(state, 0) for state in _UNSUCCESSFUL)
        return ok / ended if ended else None

    def quantile(self, q: float) -> float | None:
        """Return the duration (seconds) that a share ``q`` of the runs did not exceed, None if there are none.

        0.5 is the median, 0.95 the 95th percentile. At most 10 % wrong, and exact for a bucket with a single run.
        Raises InvalidValue unless 0 <= q <= 1.
        """
        if not 0.0 <= q <= 1.0:
            raise InvalidValue(f"quantile: expected a share from 0 to 1 such as 0.95, got {q!r}")
        rank = max(1, math.ceil(q * self.runs))
        for bucket in self.buckets:
            if rank <= bucket.runs:
                return bucket.duration(rank)
            rank -= bucket.runs
        return None


#: Those of a task that has no ended runs.
NO_DURATIONS = Durations({})
