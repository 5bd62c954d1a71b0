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

import itertools
import logging
import math
import re
from collections.abc import Callable
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from tgscheduler.errors import InvalidType, InvalidValue
from tgscheduler.forks import process_token
from tgscheduler.messages import shown

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
        "__weakref__", "_local_number", "attempt", "captured_log", "count", "due", "ended", "error", "number",
        "previous_attempt", "reason", "retry_due", "started", "state", "takeover", "task", "until", "where",
    )  # fmt: skip

    retry_due: float  # when its next attempt begins; set if there is one
    previous_attempt: "Run | None"  # the Run of the attempt before, if its action has not returned
    # The next four are slots that stay unset if there is nothing to hold, so that making a run costs nothing for them.
    # ``id``, ``log`` and ``takeovers`` read them.
    number: int  # set by a persistent store before anyone else sees the run; negative if its claim was refused
    _local_number: int  # set when it is asked for and there is no number
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
    def id(self) -> str:
        """A text that no other run has, and that is safe in a URL: ``81726``; without a persistent store ``4f2a9c-17``.

        It stays the same from waiting to the end. The first part of the second form differs from process to process.
        """
        number = getattr(self, "number", None)
        return f"{process_token()}-{self._local()}" if number is None else str(abs(number))

    def has_id(self, id: str) -> bool:
        """Return whether that is its id; no id is made for this."""
        return (hasattr(self, "number") or hasattr(self, "_local_number")) and self.id == id

    @property
    def cursor(self) -> str:
        """A text for ``before`` of ``runs()``: the runs that follow this one, whether it is still on record or not."""
        return cursor(self.due, self.id)

    @property
    def place(self) -> tuple[float, int]:
        """Its place in the order of runs: due time, then number."""
        number = getattr(self, "number", None)
        return self.due, self._local() if number is None else abs(number)

    def _local(self) -> int:
        """Return its number in this process; made when it is first asked for."""
        if not hasattr(self, "_local_number"):
            # One atomic step: threads that ask at once get the same number.
            self._local_number = _local_numbers.setdefault(self, next(_next_number))
        return self._local_number

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
        if hasattr(self, "number"):
            run.number = self.number
        else:
            run._local_number = self._local()
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


def cursor(due: float, id: str) -> str:
    """Return the cursor of a run: ``1764067200.5_81726``."""
    return f"{due!r}_{id}"


def place_of(text: str) -> tuple[float, int]:
    """Return the place of the run that a cursor was made from; raise InvalidValue for any other text."""
    moment, _, id = text.rpartition("_")
    number = number_of(id)
    try:
        due = float(moment)
    except ValueError:
        due = math.nan
    if number is None or not math.isfinite(due):
        raise InvalidValue(f"before: expected the cursor of a run, such as '1764067200.5_81726', got {shown(text)}")
    return due, number


def number_of(id: str) -> int | None:
    """Return the number in a run's id, None if the text is no id; raise InvalidType if it is no text."""
    if not isinstance(id, str):
        raise InvalidType(f"expected the id of a run, a text, got {shown(id)}")
    found = _ID.fullmatch(id)
    return None if found is None else int(found[1])


_ID = re.compile(r"(?:[0-9a-f]{6}-)?([1-9][0-9]{0,17})")
_next_number = itertools.count(1)
_local_numbers: WeakKeyDictionary[Run, int] = WeakKeyDictionary()


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
