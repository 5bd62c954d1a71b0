"""One forked run, from both sides: the parent's view of a child, and what the child does."""

import json
import math
import os
import signal
import sys
from typing import Any

from tgscheduler import forks
from tgscheduler.executors import child, log_capture
from tgscheduler.executors.base import log as task_log
from tgscheduler.executors.base import perform
from tgscheduler.executors.stage import Occurrence
from tgscheduler.logs import brief, describe
from tgscheduler.timetable import run as runs
from tgscheduler.timetable.entry import Entry
from tgscheduler.timetable.run import Run
from tgscheduler.timetable.tasks import IntervalTask

#: Timeout (seconds) for a child's first message: without one it waits for a lock that was held at the fork.
SIGN_OF_LIFE = 30.0

#: A child that runs longer than this (seconds), and than its interval, is logged once.
SLOW_ACTION = 3600.0

#: Seconds from TERM to KILL: when the scheduler stops, and for a run that timed out or was cancelled.
TERM_TO_KILL = 0.5
QUICK = 0.2


class Child:
    """A child process and its pipe, as the parent sees them."""

    def __init__(self, pid: int, pipe: int, entry: Entry, run: Run, now: float) -> None:
        self.pid = pid
        self.pipe = pipe
        self.entry = entry
        self.run = run
        self.forked_at = now
        self.pidfd: int | None = _pidfd(pid)
        self.tail = b""
        self.spoke = self.garbled = False
        self.outcome: dict[str, Any] | None = None
        self.reason: str | None = None
        self.killed_at: float | None = None
        self.term_to_kill = TERM_TO_KILL
        task, timeout = entry.task, entry.policy.timeout
        self.timeout_at = math.inf if timeout is None else now + timeout
        self.timed_out = False
        self.warn_at = now + max(SLOW_ACTION, task.interval if isinstance(task, IntervalTask) else 0.0)

    def end(self, sig: int) -> None:
        """Signal the child's whole process group, or only the child if it is in another group."""
        try:
            if self.pidfd is not None:
                signal.pidfd_send_signal(self.pidfd, 0)
        except ProcessLookupError:
            return  # other code has reaped it: its number may be another process's by now
        except OSError:
            pass  # an action has closed the pidfd
        try:
            if os.getpgid(self.pid) == self.pid:
                os.killpg(self.pid, sig)
            else:
                os.kill(self.pid, sig)
        except OSError:
            pass  # it has ended; as it is not reaped, its number is still its own

    def watch(self, now: float, cancelled: bool, stopping: bool) -> None:
        """End the child if it has timed out, was cancelled, sends no sign of life, or the scheduler stops."""
        if self.killed_at is not None:
            if now - self.killed_at >= self.term_to_kill:
                self.end(signal.SIGKILL)
        elif stopping:
            self.killed_at = now
            self.end(signal.SIGTERM)
        elif now >= self.timeout_at or cancelled:
            self.killed_at, self.term_to_kill = now, QUICK
            if now >= self.timeout_at:
                self.timed_out = True
                self.reason = f"timed out after {now - self.forked_at:.3g} s; its process was ended"
            self.end(signal.SIGTERM)
        elif not self.spoke and now - self.forked_at >= SIGN_OF_LIFE:
            self.reason = f"no sign of life for {SIGN_OF_LIFE:.0f} s: a lock held at the fork?"
            self.killed_at = now
            self.end(signal.SIGKILL)
        elif now >= self.warn_at:
            self.warn_at = math.inf
            task_log.warning("%s: its process %d has run for %.0f s", self.run.task, self.pid, now - self.forked_at)

    def read(self) -> bool:
        """Read what the child has written, its log records and its outcome; return False at the end of the pipe."""
        for _ in range(16):
            try:
                data = os.read(self.pipe, 65536)
            except BlockingIOError:
                return True
            except OSError:
                return False
            if not data:
                return False
            self.spoke = True
            *lines, self.tail = (self.tail + data).split(b"\n")
            for line in lines:
                self._understand(line)
            if len(self.tail) > child.LONGEST:
                self.tail = b""
        return True

    def _understand(self, line: bytes) -> None:
        try:
            message = json.loads(line) if line else {}
            if not isinstance(message, dict):
                raise TypeError(f"expected an object, got {type(message).__name__}")
            if "log" in message:
                log_capture.keep(self.run, child.log_in_parent(message["log"]))
            elif "state" in message:
                self.outcome = message
        except Exception as error:  # its action has written to our pipe
            if not self.garbled:
                task_log.warning("%s: its child sent an unreadable message (%s)", self.run.task, brief(error))
            self.garbled = True


def be_the_child(occurrence: Occurrence, write: int, parent: int) -> None:
    """Run the action in the new child, send the outcome to the parent, and exit without the parent's exit handlers."""
    try:
        pipe = child.set_up_child(write, die_with=parent)
        pipe.send()  # the sign of life
        child.forked_run = occurrence[1].task
        failure = perform(occurrence)
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except Exception:  # noqa: S110  # closed, or replaced by something else: the outcome does not depend on it
                pass
        if failure is None:
            pipe.send(state=runs.OK)
        else:
            kind = _number_of(occurrence[0], failure.kind)
            pipe.send(state=runs.FAILED, error=failure.text, reason=failure.reason, kind=kind)
    finally:
        os._exit(0)


def _number_of(entry: Entry, kind: type[BaseException]) -> int | None:
    """Return the index in the task's ``retry.on`` of the first class that ``kind`` is a subclass of, None if none."""
    retry = entry.policy.retry
    if retry is None:
        return None
    return next((number for number, known in enumerate(retry.on) if issubclass(kind, known)), None)


def kind_of(entry: Entry, number: object) -> type[BaseException] | None:
    """Return the class in the task's ``retry.on`` at the index that a child sent, None if there is none."""
    retry = entry.policy.retry
    if retry is None or not isinstance(number, int) or not 0 <= number < len(retry.on):
        return None
    return retry.on[number]


def last_words(status: int) -> str:
    """Return how a child ended that sent no outcome."""
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return f"its process ended with exit code {code} and sent no outcome"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"its process was ended by {name}"


def _pidfd(pid: int) -> int | None:
    try:
        pidfd = os.pidfd_open(pid)
        forks.own(pidfd)
    except (AttributeError, OSError):
        return None
    return pidfd


def warm_up() -> None:
    """Import what formatting a traceback needs: in a child an import may wait for an import lock forever."""
    try:
        raise RuntimeError("warm up")
    except RuntimeError as error:
        describe(error)
