"""The executors' protocol, and ``perform``: one occurrence in, its outcome out, the only ``try`` around an action."""

import logging
import os
import socket
import threading
import traceback
from collections import deque
from types import TracebackType
from typing import Any, ClassVar

from tgscheduler.clock import Clock
from tgscheduler.timetable.run import CANCELLED, FAILED, OK, RUNNING, Run, Where, _current
from tgscheduler.timetable.tasks import Task


class Voice(logging.LoggerAdapter[logging.Logger]):
    """A logger for threads that must not end: a handler or filter of the application's that raises is not felt."""

    def __init__(self, name: str) -> None:
        super().__init__(logging.getLogger(name), None)

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        """Log; what a handler raises goes nowhere, as there is no other place to say it."""
        kwargs["stacklevel"] = kwargs.get("stacklevel", 1) + 1
        try:
            self.logger.log(level, msg, *args, **kwargs)
        except Exception:  # noqa: S110
            pass


log = Voice("tgscheduler.task")

#: A traceback's text is cut to this many characters, and to so many chained exceptions.
LONGEST_ERROR = 16_000
LONGEST_CHAIN = 8

Occurrence = tuple[Task, Run]
"""One due instant of one task on its way through an executor."""


class Executor:
    """Takes occurrences and hands each back, ended, exactly once, by appending it to ``ended``.

    ``waiting`` holds what was taken and has not begun, ``running`` what has begun and not ended. Who removes a run
    from them owns its next state: that is one atomic step, so that a worker that begins or ends a run and a stop
    that cancels it never both do, and neither takes a lock.
    """

    method: ClassVar[str]

    def __init__(self, clock: Clock, ended: deque[Occurrence]) -> None:
        self.clock = clock
        self.waiting: dict[Run, Occurrence] = {}
        self.running: dict[Run, Occurrence] = {}
        #: Runs that were given up because they cannot be ended.
        self.abandoned = 0
        #: Why this executor cannot work as it should, None when it can.
        self.trouble: str | None = None
        self._ended = ended
        self._closed = False

    def start(self) -> None:
        """Get ready to take occurrences."""

    def submit(self, occurrence: Occurrence) -> None:
        """Take an occurrence; it starts at once or waits its turn, and ends as cancelled once this is closed."""
        self.waiting[occurrence[1]] = occurrence
        self._enqueue(occurrence)
        if self._closed:
            self.withdraw(occurrence[1], "stopped before it began")

    def _enqueue(self, occurrence: Occurrence) -> None:
        raise NotImplementedError

    def close(self) -> None:
        """Start nothing any more: what waits ends as cancelled."""
        self._closed = True
        for run in list(self.waiting):
            self.withdraw(run, "stopped before it began")

    def retry(self) -> None:
        """Try again what the host has refused: the loop asks for it while there is trouble."""

    def idle(self, but: Run | None = None) -> bool:
        """Say whether nothing runs, apart from the run ``but``."""
        return all(run is but for run in list(self.running))

    def abandon(self, but: Run | None = None) -> None:
        """End what still runs, or give it up; the run ``but`` goes on."""

    def begin(self, occurrence: Occurrence, where: Where) -> bool:
        """Mark a run as running; False when it has been cancelled meanwhile and must not run."""
        task, run = occurrence
        if task._gone and self.withdraw(run, "its task was cancelled before it began"):
            return False
        self.running[run] = occurrence  # first: a stop that looks between the two steps finds it in one of them
        if self.waiting.pop(run, None) is None:
            del self.running[run]
            return False
        run.where = where
        run.started = self.clock.now()
        run.state = RUNNING
        return True

    def finish(self, run: Run, state: str, error: str | None = None, reason: str | None = None) -> bool:
        """End a run that has begun; say whether this call did, or somebody before it."""
        occurrence = self.running.pop(run, None)
        if occurrence is None:
            return False
        if error is not None:
            run.error = error
        if reason is not None:
            run.reason = reason
        run.ended = self.clock.now()
        run.state = state
        self._ended.append(occurrence)
        return True

    def carry_out(self, occurrence: Occurrence, where: Where) -> bool:
        """Begin, perform and finish an occurrence in this thread; say whether it has run."""
        if not self.begin(occurrence, where):
            return False
        task, run = occurrence
        state, error = perform(task, run)
        if error is None and self.running.pop(run, None) is not None:  # finish, without its call: the common case
            run.ended = self.clock.now()
            run.state = state
            self._ended.append(occurrence)
        else:
            self.finish(run, state, error)
        return True

    def withdraw(self, run: Run, reason: str) -> bool:
        """End a run that has not begun as cancelled; say whether this call did."""
        occurrence = self.waiting.pop(run, None)
        if occurrence is None:
            return False
        run.reason, run.ended = reason, self.clock.now()
        run.state = CANCELLED
        self._ended.append(occurrence)
        return True


def perform(task: Task, run: Run) -> tuple[str, str | None]:
    """Execute a task; return the state in which its run ends and, where it failed, the traceback's text.

    Whatever the action raises ends here, SystemExit and KeyboardInterrupt included: it is logged once with the task's
    name, and never reaches the thread that runs it.
    """
    token = _current.set(run)
    try:
        task.execute()
    except BaseException as error:
        text = describe(error)
        _report(task, run, error, text)
        # One that the application keeps must not keep our frames and its locals; its own __setattr__ may raise.
        BaseException.with_traceback(error, None)
        return FAILED, text
    else:
        return OK, None
    finally:
        _current.reset(token)


def _report(task: Task, run: Run, error: BaseException, text: str) -> None:
    if type(task).handle_exception is Task.handle_exception:
        log.error("%s: the action raised %s\n%s", run.task, _name(error), text)
        return
    try:
        task.handle_exception()
    except BaseException as second:
        log.error("%s: handle_exception raised %s\n%s", run.task, _name(second), describe(second))


def describe(error: BaseException) -> str:
    """Return an exception's traceback as text, bounded in length and in chained exceptions; never raise."""
    try:
        return _describe(error)
    except BaseException as second:
        return f"{_name(error)} (its text cannot be had: {_name(second)})"


def _describe(error: BaseException) -> str:
    try:  # one walk over the whole chain: asked link by link, traceback would walk the rest of it each time
        link = traceback.TracebackException(type(error), error, _from_action(error), compact=True)
    except BaseException as second:
        return f"{_name(error)} (its traceback cannot be had: {_name(second)})"
    parts: list[str] = []
    for _ in range(LONGEST_CHAIN):
        parts.append("".join(link.format(chain=False)))
        if link.__cause__ is not None:
            link = link.__cause__
            parts.append("\nThe above exception was the direct cause of the following exception:\n\n")
        elif link.__context__ is not None and not link.__suppress_context__:
            link = link.__context__
            parts.append("\nDuring handling of the above exception, another exception occurred:\n\n")
        else:
            break
    if len(parts) % 2 == 0:
        parts[-1] = "\n(more exceptions before this one)\n\n"
    text = "".join(reversed(parts)).rstrip("\n")
    if len(text) > LONGEST_ERROR:
        text = f"{text[: LONGEST_ERROR // 4]}\n…\n{text[-LONGEST_ERROR * 3 // 4 :]}"
    return text


def _from_action(error: BaseException) -> TracebackType | None:
    """Return the traceback from the action's own frame on: how it was called tells nobody anything."""
    step = error.__traceback__
    while step is not None and step.tb_frame.f_globals.get("__name__") in (__name__, Task.__module__):
        step = step.tb_next
    return step or error.__traceback__


def brief(error: BaseException) -> str:
    """Return an exception as one short line, for reasons and health; never raise."""
    try:
        text = " ".join(str(error).split())[:200]
        text = text if text.isprintable() else ascii(text)
    except BaseException as second:
        text = f"(its text cannot be had: {_name(second)})"
    return f"{_name(error)}: {text}" if text else _name(error)


def _name(error: BaseException) -> str:
    try:
        return str(type(error).__name__)
    except BaseException:  # a metaclass may do anything
        return "an exception without a name"


def here() -> Where:
    """Return the place that this thread is."""
    return Where(socket.gethostname(), os.getpid(), threading.current_thread().name)


def give_up(executor: Executor, run: Run, what: str) -> None:
    """End a run whose action does not return as cancelled, and count it as abandoned."""
    if executor.finish(run, CANCELLED, reason=f"stopped; {what}"):
        executor.abandoned += 1
        log.warning("%s: its action did not return in time: %s", run.task, what)
