"""The executors' protocol, and ``perform``: one occurrence in, its outcome out, the only ``try`` around an action."""

import logging
import os
import socket
import sys
import threading
import traceback
from collections import deque
from contextvars import Context, ContextVar, copy_context
from types import TracebackType
from typing import Any, ClassVar, NamedTuple

from tgscheduler.clock import Bell, Clock
from tgscheduler.errors import UnfinishedAction
from tgscheduler.events import Events
from tgscheduler.messages import clean, printable
from tgscheduler.timetable.actions import check_result
from tgscheduler.timetable.plan import retry_at
from tgscheduler.timetable.run import CANCELLED, FAILED, OK, RUNNING, TIMED_OUT, CurrentRun, Run, Where
from tgscheduler.timetable.tasks import Task


class Voice(logging.LoggerAdapter[logging.Logger]):
    """A logger for threads that must not end: a handler or filter of the application's that raises is not felt."""

    def __init__(self, name: str) -> None:
        super().__init__(logging.getLogger(name), None)

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        """Log; what a handler raises goes nowhere, as there is no other place to say it."""
        kwargs["stacklevel"] = kwargs.get("stacklevel", 1) + 1
        self.logger.disabled = False
        try:
            self.logger.log(level, msg, *args, **kwargs)
        except Exception:  # noqa: S110
            pass


log = Voice("tgscheduler.task")

_ours = logging.getLogger("tgscheduler")


def enable_loggers() -> None:
    """Enable our loggers again after a ``dictConfig`` or ``fileConfig`` that disabled all loggers it does not name.

    That is the default of both, and no choice. What was chosen for a logger by its name stays: levels, handlers,
    propagation.
    """
    if _ours.disabled:
        for name, logger in list(logging.root.manager.loggerDict.items()):
            if name.partition(".")[0] == _ours.name and isinstance(logger, logging.Logger):
                logger.disabled = False


#: A traceback's text is cut to this many characters, and to so many chained exceptions.
LONGEST_ERROR = 16_000
LONGEST_CHAIN = 8

Occurrence = tuple[Task, Run]
"""One due instant of one task on its way through an executor."""

_current: ContextVar[Occurrence | None] = ContextVar("tgscheduler_run", default=None)


class Executor:
    """Takes occurrences and hands each back, ended or to be tried again, by appending it to ``ended``.

    ``waiting`` holds what was taken and has not begun, ``running`` what has begun and not ended. Who removes a run
    from them owns its next state: that is one atomic step, so that a worker that begins or ends a run and a stop
    that cancels it never both do, and neither takes a lock.
    """

    method: ClassVar[str]
    takes_many: ClassVar[bool] = False
    limits: ClassVar[bool] = False

    def __init__(self, clock: Clock, ended: deque[Occurrence]) -> None:
        self.clock = clock
        self.waiting: dict[Run, Occurrence] = {}
        self.running: dict[Run, Occurrence] = {}
        #: Runs that have ended while their action has not returned: it cannot be ended, and holds its thread.
        self.held: dict[Run, Occurrence] = {}
        #: Why this executor cannot work as it should, None when it can.
        self.trouble: str | None = None
        #: Rung where the end of a run leads to something; whoever listens to events.
        self.bell: Bell | None = None
        self.events: Events | None = None
        self._ended = ended
        self._closed = False
        self._copied = False
        self.take_context()

    def take_context(self) -> None:
        """Let each run from now on have a copy of the present context: that in which the scheduler is started."""
        self._context = copy_context()
        #: What an action would change in place, for all that have it: each run gets its own.
        self._decimals = _decimal_contexts(self._context)

    @property
    def abandoned(self) -> int:
        """How many actions have not returned though their run has ended."""
        return len(self.held)

    def start(self) -> None:
        """Get ready to take occurrences."""

    def submit(self, occurrence: Occurrence) -> None:
        """Take an occurrence; it starts at once or waits its turn, and ends as cancelled once this is closed."""
        self.waiting[occurrence[1]] = occurrence
        self._enqueue(occurrence)
        if self._closed:
            self.withdraw(occurrence[1], "stopped before it began")

    def submit_all(self, occurrences: list[Occurrence]) -> None:
        """Take many occurrences, in order; only where ``takes_many``."""
        raise NotImplementedError

    def _enqueue(self, occurrence: Occurrence) -> None:
        raise NotImplementedError

    def close(self) -> None:
        """Start nothing any more: what waits ends as cancelled."""
        self._closed = True
        for run in list(self.waiting):
            self.withdraw(run, "stopped before it began")

    def retry(self) -> None:
        """Try again what the host has refused: the loop asks for it while there is trouble."""

    def expire(self, now: float) -> float:
        """End what is past its timeout; return when to look again (POSIX seconds, infinity: when a run begins).

        Asked for by the loop, only where the executor ``limits`` runs by the loop's clock.
        """
        raise NotImplementedError

    def shift(self, seconds: float) -> None:
        """Follow a step of the wall clock by so many seconds."""

    def forget(self) -> None:
        """In a forked copy: start nothing that waits, also where a host has replaced threads by what a fork copies."""
        self._closed = self._copied = True
        self.events = None
        self.waiting.clear()

    def idle(self, but: Run | None = None) -> bool:
        """Say whether nothing runs, apart from the run ``but``."""
        return all(run is but for run in list(self.running))

    def abandon(self, but: Run | None = None) -> None:
        """End what still runs, or give it up; the run ``but`` goes on."""

    def cancel(self, run: Run, reason: str) -> bool:
        """End a run that waits or runs as cancelled; say whether this call did. Its action may go on, unheard."""
        return self.withdraw(run, reason) or self.give_up(run, CANCELLED, reason)

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
        terms = task._terms  # asked once: a resume may take them away meanwhile
        if terms is not None and terms.policy.timeout is not None:
            self._note_begin(occurrence, terms.policy.timeout)
        if self.events is not None and "run-started" in self.events.wanted:
            self.events.publish("run-started", run.task, run)
        return True

    def _note_begin(self, occurrence: Occurrence, timeout: float) -> None:
        """Take note that a run has begun that has a timeout."""

    def finish(
        self,
        run: Run,
        state: str,
        error: str | None = None,
        reason: str | None = None,
        kind: type[BaseException] | None = None,
    ) -> bool:
        """End a run that has begun, or let it wait for its next attempt; say whether this call did.

        ``kind`` is the exception by which it has failed, where it is one that may be tried again.
        """
        occurrence = self.running.pop(run, None)
        if occurrence is None:
            self.held.pop(run, None)
            return False
        if error is not None:
            run.error = error
        if reason is not None:
            run.reason = reason
        now = self.clock.now()
        again = None if kind is None else self._retry_time(occurrence, kind, now)
        if again is not None:
            run.try_again(again, now)
        else:
            if run.attempt > 1 and reason is None:
                run.reason = run.reason if run.was_lost else f"after {run.attempt} attempts"
                run.error = None if state == OK else run.error
            run.ended = now
            run.state = state
        self._hand_back(occurrence)
        return True

    def give_up(self, run: Run, state: str, reason: str) -> bool:
        """End a run though its action has not returned, and cannot be made to; say whether this call did.

        Where it timed out and is tried again, the next attempt is another Run object: the action still has this one.
        """
        occurrence = self.running.get(run)
        if occurrence is None:
            return False
        self.held[run] = occurrence  # before it ends: its thread takes it out when the action returns
        if self.running.pop(run, None) is None:
            self.held.pop(run, None)
            return False
        now = self.clock.now()
        again = self._retry_time(occurrence, TimeoutError, now) if state == TIMED_OUT else None
        run.reason, run.ended, run.state = reason, now, state
        self._hand_back(occurrence if again is None else (occurrence[0], run.successor(again, now)))
        return True

    def _retry_time(self, occurrence: Occurrence, kind: type[BaseException], now: float) -> float | None:
        """Return when a run that has failed is tried again, None: it is not."""
        task, run = occurrence
        terms = task._terms
        return None if terms is None or self._closed or task._gone else retry_at(terms.policy, run, now, kind)

    def _hand_back(self, occurrence: Occurrence) -> None:
        self._ended.append(occurrence)
        if self.bell is not None and (occurrence[0]._terms is not None or (self.events and self.events.wanted)):
            self.bell.put(None)

    def own_context(self) -> Context:
        """Return a new context for one run."""
        context = self._context.copy()
        for variable, value in self._decimals:
            context.run(variable.set, value.copy())
        return context

    def carry_out(self, occurrence: Occurrence, where: Where) -> bool:
        """Begin, perform and finish an occurrence in this thread; say whether it has run."""
        task, run = occurrence
        if task._terms is not None or task._gone or self.events is None or self.events.wanted:
            if not self.begin(occurrence, where):
                return False
            self._finish_with_terms(occurrence, self.own_context().run(perform, occurrence))
            return True
        # What nearly every run is: begin and finish without their calls.
        running, now = self.running, self.clock.now
        running[run] = occurrence
        if self.waiting.pop(run, None) is None:
            del running[run]
            return False
        run.where = where
        run.started = now()
        run.state = RUNNING
        context = self.own_context() if self._decimals else self._context.copy()
        failure = context.run(perform, occurrence)
        if failure is not None or task._terms is not None:
            self._finish_with_terms(occurrence, failure)
        elif running.pop(run, None) is None:
            self.held.pop(run, None)
        else:
            run.ended = now()
            run.state = OK
            self._ended.append(occurrence)
        return True

    def _finish_with_terms(self, occurrence: Occurrence, failure: "Failure | None") -> None:
        task, run = occurrence
        terms = task._terms
        timeout = None if terms is None else terms.policy.timeout
        took = self.clock.now() - (run.started or 0.0)
        if timeout is not None and took > timeout:  # it has returned before anybody saw that it is late
            error = None if failure is None else failure.text
            if self.finish(run, TIMED_OUT, error, f"timed out: it took {took:.3f} s of {timeout:g}", TimeoutError):
                log.warning("%s: timed out: it took %.3f s of %g", run.task, took, timeout)
        elif failure is None:
            self.finish(run, OK)
        else:
            self.finish(run, FAILED, failure.text, failure.reason, failure.kind)

    def withdraw(self, run: Run, reason: str) -> bool:
        """End a run that has not begun as cancelled; say whether this call did."""
        occurrence = self.waiting.pop(run, None)
        if occurrence is None:
            return False
        run.reason, run.ended = reason, self.clock.now()
        run.state = CANCELLED
        self._ended.append(occurrence)
        return True


class Failure(NamedTuple):
    """How an action has failed: its traceback's text, the exception's class, and the reason where that says it all."""

    text: str
    kind: type[BaseException]
    reason: str | None = None


def perform(occurrence: Occurrence) -> Failure | None:
    """Execute a task in the present context, which is the run's own; return how it failed, None where it did not.

    Whatever the action raises ends here, SystemExit and KeyboardInterrupt included: it is logged once with the task's
    name, and never reaches the thread that runs it.
    """
    _current.set(occurrence)
    try:
        result = occurrence[0].execute()
        if result is not None:
            check_result(result)
    except BaseException as error:
        reason = str(error) if isinstance(error, UnfinishedAction) else None
        text = reason or describe(error)
        _report(*occurrence, error, text)
        # One that the application keeps must not keep our frames and its locals; its own __setattr__ may raise.
        BaseException.with_traceback(error, None)
        return Failure(text, type(error), reason)
    return None


def _decimal_contexts(context: Context) -> list[tuple[ContextVar[Any], Any]]:
    """Return the variables that hold a ``decimal.Context``, each with a copy of it; usually there is one or none."""
    decimal = sys.modules.get("decimal")  # where nobody has imported it there is none
    if decimal is None:
        return []
    return [(variable, value.copy()) for variable, value in context.items() if isinstance(value, decimal.Context)]


def current_run() -> CurrentRun | None:
    """Return the run that the calling action is in; None outside of one.

    It has the task's name, due time, attempt and deadline; ``cancelled`` says whether the action should return, and
    ``log`` is a logger that names the task.
    """
    found = _current.get()
    if found is None:
        return None
    task, run = found
    return CurrentRun(run, task.policy.timeout, task._home.clock.now)


def _report(task: Task, run: Run, error: BaseException, text: str) -> None:
    if type(task).handle_exception is Task.handle_exception:
        if isinstance(error, UnfinishedAction):
            log.error("%s: failed: %s", run.task, text)
        else:
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
    text = clean("".join(reversed(parts)).rstrip("\n"))  # before it is cut: that makes it longer
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
        text = printable(" ".join(str(error).split()), 200)
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
    """End a run whose action does not return as cancelled, as the scheduler stops."""
    if executor.give_up(run, CANCELLED, f"stopped; {what}"):
        log.warning("%s: its action did not return in time: %s", run.task, what)
