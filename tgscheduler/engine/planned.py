"""Values between planner and dispatcher: what one turn has planned, and the marks of refused claims."""

from typing import NamedTuple

from tgscheduler.executors.stage import Occurrence
from tgscheduler.timetable.entry import Entry
from tgscheduler.timetable.run import Run


class PlannedBatch:
    """What to do with the runs of one turn, and the entries to plan without the lock."""

    __slots__ = ("not_run", "off_schedule", "to_ask", "to_queue", "to_reschedule", "to_start")

    def __init__(self) -> None:
        #: Runs to start; with a persistent store only if their claim is granted.
        self.to_start: list[Occurrence] = []
        #: Runs that wait for a run of the same task to end.
        self.to_queue: list[Occurrence] = []
        #: Occurrences that do not run: skipped or missed, and ended with that.
        self.not_run: list[Run] = []
        #: Runs beside the timetable: on request, or retries. None: there are none.
        self.off_schedule: PlannedBatch | None = None
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
