"""Triggers in real seconds: zones and clock changes do not affect them."""

from collections.abc import Callable
from dataclasses import dataclass
from math import floor

from tgscheduler.timetable.checks import LARGEST, SHORTEST, check_moment, check_seconds
from tgscheduler.timetable.compose import Composable
from tgscheduler.timetable.zones import END


@dataclass(frozen=True, slots=True)
class Once(Composable):
    """Fire at ``moment`` (POSIX seconds; a datetime with a zone becomes that) and never again."""

    moment: float

    def __post_init__(self) -> None:
        if type(self.moment) is not float or not 0 <= self.moment <= LARGEST:
            object.__setattr__(self, "moment", check_moment("moment", self.moment, None))

    def _next(self, moment: float) -> float | None:
        return self.moment if moment < self.moment else None


@dataclass(frozen=True, slots=True)
class Interval(Composable):
    """Fire at ``anchor``, ``anchor + seconds``, ``anchor + 2 * seconds``, …: without drift.

    ``anchor`` is POSIX seconds; a datetime with a zone becomes that.

    >>> Interval(60, anchor=30).next_after(100)
    150.0
    """

    seconds: float
    anchor: float = 0.0

    def __post_init__(self) -> None:
        if type(self.seconds) is not float:
            object.__setattr__(self, "seconds", check_seconds("interval", self.seconds, above_zero=True))
        elif not SHORTEST <= self.seconds <= LARGEST:
            check_seconds("interval", self.seconds, above_zero=True)
        if type(self.anchor) is not float or not 0 <= self.anchor <= LARGEST:
            object.__setattr__(self, "anchor", check_moment("anchor", self.anchor, None))

    @staticmethod
    def sound(seconds: float, anchor: float) -> "Interval":
        """Return the interval of two floats that are checked already, as a task's are."""
        made = _new(Interval)
        _set_seconds(made, seconds)
        _set_anchor(made, anchor)
        return made

    def next_after(self, moment: float) -> float | None:
        """Return the first point of the grid later than ``moment``."""
        anchor, seconds = self.anchor, self.seconds
        if type(moment) is float and anchor <= moment < END:
            k = floor((moment - anchor) / seconds)
            following = anchor + (k + 1) * seconds
            if anchor + k * seconds <= moment < following < END:  # nearly always: no rounding to correct
                return following
        return Composable.next_after(self, moment)

    def _next(self, moment: float) -> float | None:
        return self.anchor if moment < self.anchor else self.anchor + (self._steps(moment) + 1) * self.seconds

    def count(self, first: float, last: float) -> int:
        """Return how many fire times lie in [first, last]; ``first`` is one of them."""
        return self._steps(last) - self._steps(first) + 1

    def latest(self, moment: float) -> float:
        """Return the last fire time at or before ``moment``, which is not before the anchor."""
        return self.anchor + self._steps(moment) * self.seconds

    def _steps(self, moment: float) -> int:
        """Return the largest k with ``anchor + k * seconds <= moment``: the floor, corrected for rounding."""
        anchor, seconds = self.anchor, self.seconds
        k = floor((moment - anchor) / seconds)
        while anchor + k * seconds > moment:
            k -= 1
        while anchor + (k + 1) * seconds <= moment:
            k += 1
        return k


# The slots' own setters cost half as much as object.__setattr__; the class stays frozen.
_new: Callable[[type[Interval]], Interval] = object.__new__
_set_seconds: Callable[[Interval, float], None] = Interval.__dict__["seconds"].__set__
_set_anchor: Callable[[Interval, float], None] = Interval.__dict__["anchor"].__set__
