"""What one question to a trigger may cost, and what it found within that.

A trigger that is made of triggers may have to look for long: each date is left out, each part is asked. It gives up
within a bound, and tells how far it has looked: from there the search goes on.
"""

import math
from typing import NamedTuple

from tgscheduler import clock as clocks

#: So many dates and parts are looked at for one question, and for so long (seconds).
STEPS = 20_000
SECONDS = 1.0


class Found(NamedTuple):
    """An answer: ``fire`` is the next fire time, None when there is none before ``until``.

    ``until`` is the fire time itself where there is one, and infinity where there is none any more.
    """

    fire: float | None
    until: float


NEVER = Found(None, math.inf)


class Search:
    """What is left of the steps and the time that a question may take."""

    __slots__ = ("_deadline", "steps")

    def __init__(self, steps: int = STEPS, deadline: float | None = None) -> None:
        self.steps = steps
        self._deadline = clocks.elapsed() + SECONDS if deadline is None else deadline

    @property
    def spent(self) -> bool:
        """Whether it is time to give up."""
        return self.steps <= 0 or clocks.elapsed() > self._deadline

    def share(self, among: int) -> "Search":
        """Return a search with its share of the steps: those of the first of so many parts that are still to be asked.

        The part gives back what it did not take by :meth:`take_back`.
        """
        part = Search(max(1, self.steps // among), self._deadline)
        self.steps -= part.steps
        return part

    def take_back(self, part: "Search") -> None:
        """Take over the steps that are left of a share."""
        self.steps += part.steps
