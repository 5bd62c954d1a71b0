"""PlannedBatch: the result of planning in one turn, passed from the planner to the dispatcher."""

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
