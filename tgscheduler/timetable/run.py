"""What becomes of one occurrence: a Run, its states and their legal moves.

::

    waiting --> running --> ok | failed | timed_out | cancelled | lost
       +------> cancelled          (stopped or cancelled before it began)
       +------> failed             (it could not be begun)
    missed, skipped                (never waited: the reason says why)

Every occurrence that the timetable held ends in exactly one Run.
"""

import contextvars
from typing import NamedTuple

WAITING = "waiting"
RUNNING = "running"
OK = "ok"
FAILED = "failed"
TIMED_OUT = "timed_out"
CANCELLED = "cancelled"
LOST = "lost"
MISSED = "missed"
SKIPPED = "skipped"

STATES = (WAITING, RUNNING, OK, FAILED, TIMED_OUT, CANCELLED, LOST, MISSED, SKIPPED)

MOVES: dict[str, tuple[str, ...]] = {
    WAITING: (RUNNING, CANCELLED, FAILED),
    RUNNING: (OK, FAILED, TIMED_OUT, CANCELLED, LOST),
    **dict.fromkeys((OK, FAILED, TIMED_OUT, CANCELLED, LOST, MISSED, SKIPPED), ()),
}


class Where(NamedTuple):
    """The place where an action ran."""

    host: str
    process: int
    thread: str


class Run:
    """One occurrence (or a stretch of them that one decision disposed of) and what became of it.

    All times are POSIX seconds or None. Treat it as read-only.
    """

    __slots__ = ("attempt", "count", "due", "ended", "error", "reason", "started", "state", "task", "until", "where")

    def __init__(self, task: str, due: float, count: int = 1, until: float | None = None, state: str = WAITING) -> None:
        #: The task's name, or ``module.qualname`` of its action where it has none.
        self.task = task
        #: When it was due.
        self.due = due
        #: How many occurrences this Run stands for.
        self.count = count
        #: When the last of them was due.
        self.until = due if until is None else until
        #: One of STATES.
        self.state = state
        #: When its action began and when it ended.
        self.started: float | None = None
        self.ended: float | None = None
        #: 1 for the first attempt.
        self.attempt = 1
        #: Host, process and thread that ran it.
        self.where: Where | None = None
        #: Why it was skipped, missed, cancelled or lost.
        self.reason: str | None = None
        #: The text of the traceback of a failed one.
        self.error: str | None = None

    @property
    def late(self) -> float | None:
        """Seconds from due to started, None while it has not started."""
        return None if self.started is None else self.started - self.due

    def __repr__(self) -> str:
        many = f" x{self.count}" if self.count > 1 else ""
        why = f" ({self.reason})" if self.reason else ""
        return f"<Run {self.task} due {self.due:.3f}{many} {self.state}{why}>"


class CurrentRun(NamedTuple):
    """What an action may know of the run it is in."""

    task: str
    due: float
    attempt: int


_current: contextvars.ContextVar[Run | None] = contextvars.ContextVar("tgscheduler_run", default=None)


def current_run() -> CurrentRun | None:
    """Return the run that the calling action is in: its task's name, due time and attempt; None outside of one."""
    run = _current.get()
    return None if run is None else CurrentRun(run.task, run.due, run.attempt)
