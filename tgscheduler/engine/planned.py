"""Values between planner and dispatcher: what one turn has planned, and the marks of refused claims."""

from typing import NamedTuple

from tgscheduler.executors.stage import Occurrence
from tgscheduler.timetable.entry import Entry
from tgscheduler.timetable.run import Run


class PlannedBatch:
    """Runs to start, runs to queue, and runs that are closed as they do not run; entries to plan without the lock."""

    __slots__ = ("closed", "queued", "requested", "started", "to_ask", "to_reschedule")

    def __init__(self) -> None:
        self.started: list[Occurrence] = []
        self.queued: list[Occurrence] = []
        self.closed: list[Run] = []
        #: Runs beside the timetable; None: there are none.
        self.requested: PlannedBatch | None = None
        #: Entries with a custom trigger, with their due time; entries that reschedule themselves.
        self.to_ask: list[tuple[Entry, float]] = []
        self.to_reschedule: list[Entry] = []


class RefusedMark(NamedTuple):
    """The high-water mark that a store has on record for an entry whose claim it has refused."""

    entry: Entry
    mark: float
    beyond: bool
    """Whether a part of the claim lies beyond the mark: nothing of that has run, and it is due again."""
    early: bool
    """Whether it was refused only because our clock is ahead of the store's: it is due again later."""
