"""What one turn has planned: the value that goes from the planner to the dispatcher."""

from tgscheduler.executors.stage import Occurrence
from tgscheduler.timetable.entry import Entry
from tgscheduler.timetable.run import Run


class PlannedBatch:
    """What one turn has planned: runs to start, to queue, that do not run; and whom to ask without the lock."""

    __slots__ = ("closed", "queued", "requested", "started", "to_ask", "to_reschedule")

    def __init__(self) -> None:
        self.started: list[Occurrence] = []
        self.queued: list[Occurrence] = []
        self.closed: list[Run] = []
        #: Runs beside the timetable, apart from the others; None: none.
        self.requested: PlannedBatch | None = None
        #: Entries with a custom trigger, with their due time; entries that reschedule themselves.
        self.to_ask: list[tuple[Entry, float]] = []
        self.to_reschedule: list[Entry] = []
