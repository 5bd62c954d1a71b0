"""Forked: a process of its own for each run, so that closures work and a crash affects no other run.

::

    submit --> queue --> the forker, one long-lived thread:
                           fork (a bounded number of children), then poll
                             pipe readable    log records, the outcome (JSON lines; nothing is unpickled)
                             pidfd readable   the child has ended: reap it, finish its run
                             nothing for 30 s no sign of life: end the child's process group

Only that thread forks: a child's death signal is bound to the thread that forked it. A child keeps the write end of its
own pipe and no other end of a pipe. If the platform has no pidfd, children are polled every 50 ms.
"""

import os
import queue
import select
import signal
import threading
from collections import deque
from collections.abc import Sequence

from tgscheduler import clock as clocks
from tgscheduler import forks
from tgscheduler.clock import Clock
from tgscheduler.errors import NotSupported
from tgscheduler.executors.base import Executor, here
from tgscheduler.executors.base import log as task_log
from tgscheduler.executors.bell import Bell
from tgscheduler.executors.forked_child import (
    TERM_TO_KILL,
    Child,
    be_the_child,
    kind_of,
    last_words,
    warm_up,
)
from tgscheduler.executors.stage import STOPPED, Occurrence
from tgscheduler.logs import SafeLogger, brief, describe
from tgscheduler.timetable import run as runs
from tgscheduler.timetable.entry import Entry
from tgscheduler.timetable.policy import method
from tgscheduler.timetable.run import Run

log = SafeLogger(__name__)

#: Delay (seconds) before a fork or thread that the host has refused is tried again.
RETRY_DELAY = 0.1


class ForkedExecutor(Executor):
    """Runs actions in at most ``children`` forked processes at a time."""

    method = method.forked
    places = "children"

    def __init__(self, clock: Clock, handed_back: deque[Occurrence], children: int | None = None) -> None:
        super().__init__(clock, handed_back)
        self._bound = children or 2 * (os.cpu_count() or 1)
        self._arrivals: queue.SimpleQueue[Occurrence] = queue.SimpleQueue()
        self._queue: deque[Occurrence] = deque()
        self._children: dict[int, Child] = {}
        self._groups: dict[int, float] = {}  # process groups of ended children, and when to KILL what is left in them
        self._thread: threading.Thread | None = None
        self._bell: Bell | None = None
        self._terminating = False
        self._cancelled: dict[Run, str] = {}  # runs that were cancelled while they ran, and why
        self._retry_at = 0.0
        self._lock = threading.RLock()  # a signal handler may submit in the middle of a start

    @property
    def capacity(self) -> int:
        """Maximum number of children."""
        return self._bound

    @property
    def busy(self) -> int:
        """Number of children."""
        return len(self._children)

    def submit(self, occurrences: Sequence[Occurrence]) -> None:
        """Take occurrences, in order; raise NotSupported on a platform that has no fork."""
        if not hasattr(os, "fork"):
            raise NotSupported("processmethod forked: this platform has no os.fork; use method.threaded")
        self.hold(occurrences)
        for occurrence in occurrences:
            self._arrivals.put(occurrence)
        if self._thread is None and not self._closed:
            self._start_forker()
        self._wake()

    def close(self) -> None:
        """Fork no more."""
        super().close()
        self._wake()

    def cancel(self, run: Run, reason: str) -> bool:
        """Cancel a waiting run, or end its child: the run then ends as cancelled. Return whether it will."""
        if self.cancel_waiting(run, reason):
            return True
        if run not in self.running:
            return False
        self._cancelled[run] = reason
        if run not in self.running:  # it ended meanwhile
            self._cancelled.pop(run, None)
            return False
        self._wake()
        return True

    def idle(self, but: Run | None = None) -> bool:
        """Return whether all children and the forker have ended."""
        return self._thread is None or not self._thread.is_alive()

    def terminate(self, but: Run | None = None) -> None:
        """End what still runs, by process group: TERM, then KILL; return when all are reaped."""
        self._terminating = True
        self._wake()
        thread = self._thread
        if thread is not None and thread.is_alive() and thread is not threading.current_thread():
            thread.join(TERM_TO_KILL + 2.0)
            if thread.is_alive():
                log.error("the forker did not end; children left: %s", list(self._children))

    def reset_after_fork(self) -> None:
        """In a forked copy: the children and the descriptors belong to the parent."""
        super().reset_after_fork()
        self._children, self._groups, self._bell = {}, {}, None

    def _start_forker(self) -> None:
        with self._lock:
            if self._thread is not None:
                return
            warm_up()
            bell = None
            try:
                bell = self._bell = Bell()
                # Known before it starts: a stop must not miss a forker that has a child already.
                self._thread = threading.Thread(
                    target=self._serve, args=(bell,), name="tgscheduler-forker", daemon=True
                )
                self._thread.start()
            except (OSError, RuntimeError) as error:  # the host's limit on files or threads; the loop tries again
                if self.degraded is None:
                    log.warning("forked runs wait, as there is no thread to fork from: %s", error)
                self.degraded, self._bell, self._thread = f"no thread to fork from: {error}", None, None
                self._retry_at = clocks.elapsed() + RETRY_DELAY
                if bell is not None:
                    bell.close()

    def recover(self) -> None:
        """Start the forker if it could not be started, or has ended by a fault."""
        if self._thread is None and self.waiting and not self._closed and clocks.elapsed() >= self._retry_at:
            self._start_forker()

    def _wake(self) -> None:
        bell = self._bell
        if bell is not None and not bell.rung:
            try:
                bell.ring()
            except OSError as error:  # an action has closed it: the forker will notice, and end
                self.degraded = f"the forker cannot be woken: {error}"

    def _serve(self, bell: Bell) -> None:
        poller = select.poll()
        poller.register(bell.fd, select.POLLIN)
        try:
            while True:
                bell.rung = False
                self._take_arrivals()
                self._launch(poller)
                if self._closed and not self._children and not self._groups:
                    return
                found = poller.poll(self._poll_timeout() * 1000)
                if self._in_forked_child:
                    return
                for fd, _ in found:
                    if fd == bell.fd:
                        bell.empty()
                    else:
                        self._hear(fd, poller)
                self._watch(poller)
        except BaseException as error:  # also if an action has closed our pipes: the loop starts another forker
            log.critical("the forker ended by a fault\n%s", describe(error))
            self.degraded = f"the forker ended by a fault: {brief(error)}"
            for kid in list(self._children.values()):
                kid.end(signal.SIGKILL)
                kid.reason = "the thread that watched its process ended by a fault"
                self._reap(kid, poller, wait=True)
            self._retry_at, self._thread = clocks.elapsed() + RETRY_DELAY, None
        finally:
            if not self._in_forked_child:
                with self._lock:
                    if self._bell is bell:  # else another forker has begun
                        self._bell = None
                bell.close()

    def _take_arrivals(self) -> None:
        try:
            while True:
                self._queue.append(self._arrivals.get_nowait())
        except queue.Empty:
            pass

    def _poll_timeout(self) -> float:
        """Return the timeout of the next poll (seconds)."""
        if self._groups or any(kid.pidfd is None or kid.killed_at for kid in self._children.values()):
            return 0.05
        if self._queue and clocks.elapsed() < self._retry_at:
            return RETRY_DELAY
        if not self._children:
            return 5.0
        return max(0.0, min(1.0, min(kid.timeout_at for kid in self._children.values()) - clocks.elapsed()))

    # -- starting ------------------------------------------------------------------------------------------------

    def _launch(self, poller: "select.poll") -> None:
        while self._queue and len(self._children) < self._bound and clocks.elapsed() >= self._retry_at:
            occurrence = self._queue[0]
            entry, run = occurrence
            if self._closed:
                self.cancel_waiting(run, STOPPED)
            try:
                with forks.no_calls():  # before it begins: until then it waits
                    kid = self._fork(entry, run) if self.begin(occurrence, here()) else None
            except forks.Busy:
                if run in self.running:
                    self._wait_again(occurrence)
                self._retry_at = clocks.elapsed() + RETRY_DELAY
                return
            except OSError as error:  # EAGAIN, ENOMEM, EMFILE: the host is at a limit
                self._wait_again(occurrence)
                if self.degraded is None:
                    task_log.warning("%s: cannot fork (%s); it waits and is tried again", run.task, error)
                self.degraded = f"cannot fork: {error}"
                self._retry_at = clocks.elapsed() + RETRY_DELAY
                return
            self._queue.popleft()
            if kid is None:  # it was cancelled
                continue
            self.degraded = None
            self._children[kid.pid] = kid
            poller.register(kid.pipe, select.POLLIN)
            if kid.pidfd is not None:
                poller.register(kid.pidfd, select.POLLIN)

    def _wait_again(self, occurrence: Occurrence) -> None:
        run = occurrence[1]
        run.state, run.started, run.where = runs.WAITING, None, None
        self.waiting[run] = occurrence
        del self.running[run]
        if self._closed:
            self.cancel_waiting(run, STOPPED)

    def _fork(self, entry: Entry, run: Run) -> Child:
        read, write = forks.pipe()
        me = os.getpid()
        try:
            pid = forks.fork(keep=(write,))
        except BaseException:
            forks.close(read)
            forks.close(write)
            raise
        if pid == 0:
            self.own_context().run(be_the_child, (entry, run), write, me)
        forks.close(write)
        os.set_blocking(read, False)
        try:
            os.setpgid(pid, pid)
        except OSError:
            pass  # the child has done it, or has ended
        if run.where is not None:
            run.where = run.where._replace(process=pid)
        return Child(pid, read, entry, run, clocks.elapsed())

    # -- listening -----------------------------------------------------------------------------------------------

    def _hear(self, fd: int, poller: "select.poll") -> None:
        for kid in list(self._children.values()):
            if fd == kid.pipe:
                if not kid.read():
                    poller.unregister(kid.pipe)
            elif fd == kid.pidfd:
                self._reap(kid, poller)

    def _reap(self, kid: Child, poller: "select.poll", wait: bool = False) -> None:
        try:
            pid, status = os.waitpid(kid.pid, 0 if wait else os.WNOHANG)
        except ChildProcessError:  # the application reaps all children, or ignores SIGCHLD
            pid, status = kid.pid, None
        if pid == 0:
            if kid.pidfd is not None:  # no pidfd any more: an action has closed all files
                poller.unregister(kid.pidfd)
                kid.pidfd = None
            return
        if kid.killed_at is not None:
            self._groups[kid.pid] = kid.killed_at + kid.term_to_kill
        for _ in range(64):  # what it wrote before it ended; a grandchild may write forever
            if kid.outcome is not None or not kid.read():
                break
        del self._children[kid.pid]
        for fd in (kid.pipe, kid.pidfd):
            if fd is not None:
                try:
                    poller.unregister(fd)
                except KeyError:
                    pass
                forks.close(fd)
        self._finish_child(kid, status)

    def _finish_child(self, kid: Child, status: int | None) -> None:
        run, outcome = kid.run, kid.outcome
        reason = self._cancelled.pop(run, None)
        if reason is not None:
            self.finish(run, runs.CANCELLED, reason=reason)
        elif kid.timed_out and outcome is None:
            assert kid.reason is not None
            task_log.warning("%s: %s", run.task, kid.reason)
            self.finish(run, runs.TIMED_OUT, reason=kid.reason, kind=TimeoutError)
        elif self._terminating and kid.killed_at and outcome is None:
            self.finish(run, runs.CANCELLED, reason="stopped; its child was ended")
        elif outcome is not None and outcome["state"] == runs.OK:
            self.finish(run, runs.OK)
        elif outcome is not None:
            error, reason, kind = str(outcome.get("error")), outcome.get("reason"), outcome.get("kind")
            self.finish(run, runs.FAILED, error, None if reason is None else str(reason), kind_of(kid.entry, kind))
        elif status is None:
            reason = "other code has taken the child's exit status (SIGCHLD ignored, or waitpid(-1) in the application)"
            task_log.error("%s: lost: %s", run.task, reason)
            self.finish(run, runs.LOST, reason=reason)
        else:
            reason = kid.reason or last_words(status)
            task_log.error("%s: failed: %s", run.task, reason)
            self.finish(run, runs.FAILED, error=reason, reason=reason, kind=ChildProcessError)

    # -- watching ------------------------------------------------------------------------------------------------

    def _watch(self, poller: "select.poll") -> None:
        now = clocks.elapsed()
        for kid in list(self._children.values()):
            kid.watch(now, kid.run in self._cancelled, self._terminating)
            if kid.pidfd is None:
                self._reap(kid, poller)
        for group, kill_at in list(self._groups.items()):
            sig = signal.SIGKILL if now >= kill_at else 0
            try:
                os.killpg(group, sig)
            except OSError:  # no process is left in it
                sig = signal.SIGKILL
            if sig:
                del self._groups[group]
