"""A bounded search for a trigger's next fire time.

A trigger made of triggers may have to search for long, as when each date is left out. The search ends at a bound, and
returns how far it came; the next search continues there.
"""

import math
from typing import NamedTuple

from tgscheduler import clock as clocks

#: Maximum number of steps (dates and parts) of one search, and its maximum time (seconds).
STEPS = 20_000
SECONDS = 1.0


class Found(NamedTuple):
    """A result: ``fire`` is the next fire time, None if there is none before ``until``.

    ``until`` is the fire time itself if there is one, and infinity if the trigger never fires again.
    """

    fire: float | None
    until: float


NEVER = Found(None, math.inf)


class Search:
    """The steps and the time that are left of one search."""

    __slots__ = ("_deadline", "steps")

    def __init__(self, steps: int = STEPS, deadline: float | None = None) -> None:
        self.steps = steps
        self._deadline = clocks.elapsed() + SECONDS if deadline is None else deadline

    @property
    def spent(self) -> bool:
        """Whether no steps or no time are left."""
        return self.steps <= 0 or clocks.elapsed() > self._deadline

    def share(self, among: int) -> "Search":
        """Return a search with an equal share of the steps, for one of ``among`` parts that are left.

        The caller gives back the unused steps with :meth:`take_back`.
        """
        part = Search(max(1, self.steps // among), self._deadline)
        self.steps -= part.steps
        return part

    def take_back(self, part: "Search") -> None:
        """Add the unused steps of a share."""
        self.steps += part.steps
