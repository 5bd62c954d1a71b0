"""One occurrence and its outcome: a Run, its states and their legal moves.

::

    waiting --> running --> ok | failed | timed_out | cancelled | lost
       |  <-----------+            (failed and retried: the next attempt)
       +------> cancelled          (stopped or cancelled before it began)
       +------> failed             (it could not be started)
       +------> skipped            (its claim was refused)
    missed, skipped                (decided while planning: see the reason)

Every occurrence ends in exactly one Run.
"""

import logging
from collections.abc import Callable
from typing import Any, NamedTuple

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
    WAITING: (RUNNING, CANCELLED, FAILED, SKIPPED),
    RUNNING: (OK, FAILED, TIMED_OUT, CANCELLED, LOST, WAITING),
    **dict.fromkeys((OK, FAILED, TIMED_OUT, CANCELLED, LOST, MISSED, SKIPPED), ()),
}


#: The takeover of a run that was never taken over: no attempt has that number.
_NO_TAKEOVER = (0, 0)


class Where(NamedTuple):
    """The place where an action ran."""

    host: str
    process: int
    thread: str


class Run:
    """One occurrence, or several that one decision disposed of, and its outcome.

    All times are POSIX seconds or None. Treat it as read-only.
    """

    __slots__ = (
        "attempt", "captured_log", "count", "due", "ended", "error", "number", "previous_attempt", "reason",
        "retry_due", "started", "state", "takeover", "task", "until", "where",
    )  # fmt: skip

    retry_due: float  # when its next attempt begins; set if there is one
    previous_attempt: "Run | None"  # the Run of the attempt before, if its action has not returned
    # The next three are slots that stay unset if there is nothing to hold, so that making a run costs nothing for them.
    # ``id``, ``log`` and ``takeovers`` read them.
    number: int  # set by a persistent store
    captured_log: str  # set if its action has logged something
    takeover: tuple[int, int]  # set if it was taken over: how many times, and the attempt that began with the last one

    def __init__(self, task: str, due: float, count: int = 1, until: float | None = None, state: str = WAITING) -> None:
        #: The task's name, or ``module.qualname`` of its action if it has none.
        self.task = task
        #: When it was due.
        self.due = due
        #: Number of occurrences that this Run stands for.
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
        #: The text of a failed run's traceback, or what is known of its failure.
        self.error: str | None = None

    @property
    def id(self) -> int | None:
        """Its number in a persistent store, None if there is none."""
        return getattr(self, "number", None)

    @property
    def takeovers(self) -> int:
        """Number of times that it was taken over from a process that had ended while it was in flight."""
        return getattr(self, "takeover", _NO_TAKEOVER)[0]

    @property
    def log(self) -> str:
        """The lines that its action has logged, up to a bound."""
        return getattr(self, "captured_log", "")

    @property
    def late(self) -> float | None:
        """Seconds from due to started, None while it has not started."""
        return None if self.started is None else self.started - self.due

    def schedule_retry(self, retry_due: float, now: float) -> None:
        """Wait for the next attempt, which begins at ``retry_due`` (POSIX seconds)."""
        self.retry_due, self.previous_attempt = retry_due, None
        self.reason = f"attempt {self.attempt} has failed; the next one follows after {retry_due - now:.3g} s"
        self.attempt += 1
        self.started = self.where = None
        self.state = WAITING

    def next_attempt(self, retry_due: float, now: float) -> "Run":
        """Return another Run for the next attempt, as the action that has not returned still has this one."""
        run = Run(self.task, self.due, self.count, self.until)
        run.attempt, run.error = self.attempt, self.error
        run.schedule_retry(retry_due, now)
        run.previous_attempt = self
        if self.id is not None:
            run.number = self.number
        if self.takeovers:
            run.takeover = self.takeover
        return run

    def taken_over(self, why: str) -> "Run":
        """Return a waiting Run for the next attempt of a run whose process has ended."""
        run = Run(self.task, self.due, self.count, self.until)
        run.attempt, run.reason, run.number = self.attempt + 1, f"run again: {why}", self.number
        run.takeover = self.takeovers + 1, run.attempt
        return run

    @property
    def is_rerun(self) -> bool:
        """Whether this attempt was taken over from a process that had ended."""
        return getattr(self, "takeover", _NO_TAKEOVER)[1] == self.attempt

    def __repr__(self) -> str:
        many = f" x{self.count}" if self.count > 1 else ""
        why = f" ({self.reason})" if self.reason else ""
        return f"<Run {self.task} due {self.due:.3f}{many} {self.state}{why}>"


class CurrentRun:
    """The run that the calling action is in: ``task`` (name), ``due``, ``attempt`` and ``deadline``.

    ``deadline`` is the end of its timeout (POSIX seconds), None if its task has none.
    """

    __slots__ = ("_now", "_run", "attempt", "deadline", "due", "task")

    def __init__(self, run: Run, timeout: float | None, now: Callable[[], float]) -> None:
        self._run, self._now = run, now
        self.task, self.due, self.attempt = run.task, run.due, run.attempt
        self.deadline = None if timeout is None or run.started is None else run.started + timeout

    @property
    def cancelled(self) -> bool:
        """Whether the action should return: its run was cancelled, or its timeout is over. Check it in long loops."""
        if self._run.state != RUNNING or self._run.attempt != self.attempt:
            return True
        return self.deadline is not None and self._now() >= self.deadline

    @property
    def log(self) -> logging.LoggerAdapter[logging.Logger]:
        """A logger whose lines begin with the task's name, and whose records have task, due and attempt."""
        _action_log.disabled = False  # a dictConfig disables what it does not name
        return _TaskLog(_action_log, {"task": self.task, "due": self.due, "attempt": self.attempt})

    def __repr__(self) -> str:
        return f"CurrentRun(task={self.task!r}, due={self.due!r}, attempt={self.attempt})"


class _TaskLog(logging.LoggerAdapter[logging.Logger]):
    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        if self.isEnabledFor(level):
            assert self.extra is not None
            name = str(self.extra["task"])
            if args:  # the whole line is a format then, and a name may have a percent sign
                name = name.replace("%", "%%")
            kwargs["extra"] = {**self.extra, **(kwargs.get("extra") or {})}
            kwargs["stacklevel"] = kwargs.get("stacklevel", 1) + 1
            line = f"{name}: {msg}"
            self.logger.log(level, line, *args, **kwargs)


_action_log = logging.getLogger("tgscheduler.action")
