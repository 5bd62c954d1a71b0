"""The executors' protocol, and ``perform``, which runs one action and has the only ``try`` around it."""

import os
import socket
import sys
import threading
from collections import deque
from collections.abc import Sequence
from contextvars import Context, ContextVar, copy_context
from typing import Any, ClassVar, NamedTuple

from tgscheduler.clock import Clock
from tgscheduler.errors import UnfinishedAction
from tgscheduler.events import Events
from tgscheduler.executors.stage import Occurrence, Stage
from tgscheduler.logs import SafeLogger, describe, name_of_kind
from tgscheduler.timetable import entry as entries
from tgscheduler.timetable.actions import check_result
from tgscheduler.timetable.entry import Entry
from tgscheduler.timetable.plan import retry_at
from tgscheduler.timetable.run import CANCELLED, FAILED, OK, RUNNING, TIMED_OUT, CurrentRun, Run, Where

log = SafeLogger("tgscheduler.task")

#: The occurrence whose action this context belongs to; None: no action.
current_occurrence: ContextVar[Occurrence | None] = ContextVar("tgscheduler_run", default=None)


class Executor(Stage):
    """Runs occurrences, and hands back each that has ended or is to be retried: appends it to ``handed_back``.

    ``waiting`` holds runs that have not begun, ``running`` those that have begun and not ended; both follow the rule of
    ownership in :mod:`~tgscheduler.executors.stage`.
    """

    method: ClassVar[str]
    #: Whether the loop ends runs that are past their timeout, by :meth:`enforce_timeouts`.
    enforces_timeouts: ClassVar[bool] = False
    #: Whether its actions run on the loop's own thread.
    on_loop: ClassVar[bool] = False
    #: Plural noun for the reasons of ``health()``: "threads" or "children"; empty if there is nothing to count.
    places: ClassVar[str] = ""

    def __init__(self, clock: Clock, handed_back: deque[Occurrence]) -> None:
        super().__init__(clock, handed_back)
        self.running: dict[Run, Occurrence] = {}
        #: Runs that were ended although their action has not returned: it cannot be stopped, and keeps its thread.
        self.abandoned_runs: dict[Run, Occurrence] = {}
        self.events: Events | None = None
        self._in_forked_child = False
        self.take_context()

    def take_context(self) -> None:
        """Give each run from now on a copy of the present context: the one in which the scheduler is started."""
        self._context = copy_context()
        #: Values that an action can change in place: each run gets its own copy.
        self._decimals = _decimal_contexts(self._context)

    @property
    def capacity(self) -> int | None:
        """Maximum number of runs at a time; None: no bound that health reports."""
        return None

    @property
    def busy(self) -> int:
        """Number of threads or processes."""
        return 0

    def start(self) -> None:
        """Get ready to take occurrences."""

    def submit(self, occurrences: Sequence[Occurrence]) -> None:
        """Take occurrences, in order; each starts at once or waits, and ends as cancelled if this is closed first."""
        raise NotImplementedError

    def work(self) -> bool:
        """Perform waiting runs in the loop's own thread, for one slice; return whether more wait."""
        return False

    def recover(self) -> None:
        """Try again to get what the host has refused; the loop calls this while the executor is ``degraded``."""

    def enforce_timeouts(self, now: float) -> float:
        """End runs past their timeout; return when to call again (POSIX seconds; infinity: when a run begins)."""
        raise NotImplementedError

    def reset_after_fork(self) -> None:
        """In a forked copy: start nothing that waits, and publish no events."""
        super().reset_after_fork()
        self._in_forked_child = True
        self.events = None

    def idle(self, but: Run | None = None) -> bool:
        """Return whether nothing runs, apart from the run ``but``."""
        return all(run is but for run in list(self.running))

    def terminate(self, but: Run | None = None) -> None:
        """End what still runs, or abandon it, except the run ``but``."""

    def cancel(self, run: Run, reason: str) -> bool:
        """End a waiting or running run as cancelled; return whether this call did. Its action may go on, abandoned."""
        return self.cancel_waiting(run, reason) or self.abandon_run(run, CANCELLED, reason)

    def begin(self, occurrence: Occurrence, where: Where) -> bool:
        """Mark a run as running; return False if it has been cancelled meanwhile and must not run."""
        entry, run = occurrence
        if entry.state is entries.CANCELLED and self.cancel_waiting(run, "its task was cancelled before it began"):
            return False
        self.running[run] = occurrence  # first: a stop that looks between the two steps finds it in one of them
        if self.waiting.pop(run, None) is None:
            del self.running[run]
            return False
        run.where = where
        run.started = self.clock.now()
        run.state = RUNNING
        timeout = entry.policy.timeout
        if timeout is not None:
            self._on_begin(occurrence, timeout)
        if self.events is not None and "run-started" in self.events.wanted:
            self.events.publish("run-started", run.task, run)
        return True

    def _on_begin(self, occurrence: Occurrence, timeout: float) -> None:
        """Note that a run with a timeout has begun."""

    def finish(
        self,
        run: Run,
        state: str,
        error: str | None = None,
        reason: str | None = None,
        kind: type[BaseException] | None = None,
    ) -> bool:
        """End a run that has begun, or make it wait for its next attempt; return whether this call did.

        ``kind``: the class of the exception by which it failed, None if it is not to be retried.
        """
        occurrence = self.running.pop(run, None)
        if occurrence is None:
            self.abandoned_runs.pop(run, None)
            return False
        if error is not None:
            run.error = error
        if reason is not None:
            run.reason = reason
        now = self.clock.now()
        again = None if kind is None else self._retry_time(occurrence, kind, now)
        if again is not None:
            run.schedule_retry(again, now)
        else:
            if run.attempt > 1 and reason is None:
                run.reason = run.reason if run.is_rerun else f"after {run.attempt} attempts"
                run.error = None if state == OK else run.error
            run.ended = now
            run.state = state
        self._hand_back(occurrence)
        return True

    def abandon_run(self, run: Run, state: str, reason: str) -> bool:
        """End a run although its action has not returned and cannot be stopped; return whether this call did.

        If it timed out and is retried, the next attempt is another Run object: the action still has this one.
        """
        occurrence = self.running.get(run)
        if occurrence is None:
            return False
        self.abandoned_runs[run] = occurrence  # before it ends: its thread takes it out when the action returns
        if self.running.pop(run, None) is None:
            self.abandoned_runs.pop(run, None)
            return False
        now = self.clock.now()
        again = self._retry_time(occurrence, TimeoutError, now) if state == TIMED_OUT else None
        run.reason, run.ended, run.state = reason, now, state
        self._hand_back(occurrence if again is None else (occurrence[0], run.next_attempt(again, now)))
        return True

    def _retry_time(self, occurrence: Occurrence, kind: type[BaseException], now: float) -> float | None:
        """Return when a run that has failed is retried, None if it is not."""
        entry, run = occurrence
        if entry.policy.retry is None or self._closed or entry.state is entries.CANCELLED:
            return None
        return retry_at(entry.policy, run, now, kind)

    def _hand_back(self, occurrence: Occurrence) -> None:
        self._handed_back.append(occurrence)
        if self.bell is not None and (occurrence[0].limits is not None or (self.events and self.events.wanted)):
            self.bell.put(None)

    def leave_behind(self, run: Run, what: str) -> None:
        """End a run as cancelled, as the scheduler stops and its action does not return."""
        if self.abandon_run(run, CANCELLED, f"stopped; {what}"):
            log.warning("%s: its action did not return in time: %s", run.task, what)

    def own_context(self) -> Context:
        """Return a new context for one run."""
        context = self._context.copy()
        for variable, value in self._decimals:
            context.run(variable.set, value.copy())
        return context

    def run(self, occurrence: Occurrence, where: Where) -> bool:
        """Begin, perform and finish an occurrence in this thread; return whether it has run."""
        entry, run = occurrence
        running, now = self.running, self.clock.now
        if entry.limits is not None or entry.state is entries.CANCELLED or self.events is None or self.events.wanted:
            if not self.begin(occurrence, where):
                return False
        else:  # nearly every run: as begin() does, without its call
            running[run] = occurrence
            if self.waiting.pop(run, None) is None:
                del running[run]
                return False
            run.where = where
            run.started = now()
            run.state = RUNNING
        context = self.own_context() if self._decimals else self._context.copy()
        failure = context.run(perform, occurrence)
        if failure is not None or entry.limits is not None or self.events is None or self.events.wanted:
            self._finish_performed(occurrence, failure)
        elif running.pop(run, None) is None:
            self.abandoned_runs.pop(run, None)
        else:
            # As finish() does. The loop is not woken: it collects in its next turn, at most COLLECT_INTERVAL later.
            run.ended = now()
            run.state = OK
            self._handed_back.append(occurrence)
        return True

    def _finish_performed(self, occurrence: Occurrence, failure: "Failure | None") -> None:
        entry, run = occurrence
        timeout = entry.policy.timeout
        took = self.clock.now() - (run.started or 0.0)
        if timeout is not None and took > timeout:  # it has returned before it was found to be late
            error = None if failure is None else failure.text
            if self.finish(run, TIMED_OUT, error, f"timed out: it took {took:.3f} s of {timeout:g}", TimeoutError):
                log.warning("%s: timed out: it took %.3f s of %g", run.task, took, timeout)
        elif failure is None:
            self.finish(run, OK)
        else:
            self.finish(run, FAILED, failure.text, failure.reason, failure.kind)


class Failure(NamedTuple):
    """How an action failed: the traceback's text, the exception's class, and a reason if that replaces a traceback."""

    text: str
    kind: type[BaseException]
    reason: str | None = None


def perform(occurrence: Occurrence) -> Failure | None:
    """Execute a task in the present context, which is the run's own; return how it failed, None if it did not.

    Every exception of the action is caught here, SystemExit and KeyboardInterrupt included: it is logged once with the
    task's name, and never reaches the thread that runs it.
    """
    current_occurrence.set(occurrence)
    try:
        result = occurrence[0].task.execute()
        if result is not None:
            check_result(result)
    except BaseException as error:
        reason = str(error) if isinstance(error, UnfinishedAction) else None
        text = reason or describe(error)
        _report(occurrence[0], occurrence[1], error, text)
        # An exception that the application keeps must not keep frames and their locals; its own __setattr__ may raise.
        BaseException.with_traceback(error, None)
        return Failure(text, type(error), reason)
    return None


def _decimal_contexts(context: Context) -> list[tuple[ContextVar[Any], Any]]:
    """Return the variables that hold a ``decimal.Context``, each with a copy of it; usually there is one or none."""
    decimal = sys.modules.get("decimal")  # if no one has imported it there is none
    if decimal is None:
        return []
    return [(variable, value.copy()) for variable, value in context.items() if isinstance(value, decimal.Context)]


def current_run() -> CurrentRun | None:
    """Return the run that the calling action is in; None outside of one.

    It has the task's name, due time, attempt and deadline; ``cancelled`` is true if the action should return, and
    ``log`` is a logger that names the task.
    """
    found = current_occurrence.get()
    if found is None:
        return None
    entry, run = found
    return CurrentRun(run, entry.policy.timeout, entry.context.clock.now)


def _report(entry: Entry, run: Run, error: BaseException, text: str) -> None:
    if not entry.handles_exceptions:
        if isinstance(error, UnfinishedAction):
            log.error("%s: failed: %s", run.task, text)
        else:
            log.error("%s: the action raised %s\n%s", run.task, name_of_kind(error), text)
        return
    try:
        entry.task.handle_exception()
    except BaseException as second:
        log.error("%s: handle_exception raised %s\n%s", run.task, name_of_kind(second), describe(second))


def here() -> Where:
    """Return the host, process and thread of the caller."""
    return Where(socket.gethostname(), os.getpid(), threading.current_thread().name)
