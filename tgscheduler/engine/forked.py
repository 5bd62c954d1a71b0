"""ForkedScheduler: a whole scheduler in a forked process of its own.

::

    parent                                   child
    life pipe, write end kept open  ------>  reads it: end of file (stop, or the parent has ended) stops the scheduler
    a thread reads the report pipe  <------  log records, as JSON lines
"""

import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

from tgscheduler import clock as clocks
from tgscheduler import forks
from tgscheduler.engine.lifecycle import Lifecycle
from tgscheduler.engine.scheduler import Scheduler
from tgscheduler.errors import NotSupported, WrongProcess
from tgscheduler.executors import child
from tgscheduler.logs import describe
from tgscheduler.timetable.tasks import Task

log = logging.getLogger(__name__)


class ForkedScheduler(Scheduler):
    """A scheduler in a process of its own: add tasks before the start; after it only ``stop`` and ``running`` work.

    The process ends with its parent, and after ``stop``; its log goes to the parent's handlers.
    """

    _child: "_ChildProcess | None" = None
    _serving = False  # in the child: this is the process that runs the timetable

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self._starting = threading.Lock()

    def start(self) -> None:
        """Fork the process and return."""
        self.start_scheduler()

    def start_scheduler(self, ready: Callable[[], bool] | None = None) -> "ForkedScheduler":
        """Fork the process and return self; ``ready`` is called in the child before the first turn."""
        if not hasattr(os, "fork"):
            raise NotSupported("ForkedScheduler: this platform has no os.fork; use ThreadedScheduler")
        if child.forked_run is not None:
            raise WrongProcess("a ForkedScheduler is started from the application's own process, not from a forked run")
        with self._starting:
            if self._child is None or not self._child.alive():
                self._child = _ChildProcess(self, ready)
        return self

    @property
    def running(self) -> bool:
        """Whether the process is alive."""
        if self._serving:
            return super().running
        process = self._child
        return process is not None and process.alive()

    def stop(self, timeout: float | None = None) -> None:
        """Stop the process and reap it; its running actions have ``timeout`` seconds (None: ``stop_timeout``)."""
        if self._serving:  # a task in the process itself
            super().stop(timeout)
            return
        process, self._child = self._child, None
        if process is not None:
            process.stop(self.stop_timeout if timeout is None else timeout)
        self._events.drain(1.0)  # events about tasks from before the start

    stop_scheduler = stop

    def _check_read(self) -> None:
        if self._child is not None or self._serving:
            raise WrongProcess(
                "this ForkedScheduler was started and its timetable is in its child process, where nothing can be "
                "changed or seen from here: add tasks before start(), or use a ThreadedScheduler"
            )

    def _check_use(self, task: Task | None = None) -> None:
        self._check_read()
        super()._check_use(task)

    def _serve(self) -> Lifecycle:
        """Make this the process that runs the timetable; return its lifecycle."""
        self._serving = True
        return self._lifecycle

    def _after_fork_in_child(self) -> None:
        super()._after_fork_in_child()
        self._starting, self._child = threading.Lock(), None


class _ChildProcess:
    """The parent's side of the process."""

    def __init__(self, scheduler: ForkedScheduler, ready: Callable[[], bool] | None) -> None:
        try:
            raise RuntimeError("warm up: a child must not import what formatting a traceback needs")
        except RuntimeError as error:
            describe(error)
        pipes: list[int] = []
        try:
            for _ in range(2):
                pipes += forks.pipe()
            life_read, self._lifeline, report_read, report = pipes
            self.pid = forks.fork(keep=(life_read, report), standing=0.0)
        except BaseException:  # the host is at a limit
            for fd in pipes:
                forks.close(fd)
            raise
        if self.pid == 0:
            _be_the_scheduler(scheduler, ready, life_read, report)
        forks.close(life_read)
        forks.close(report)
        try:
            os.setpgid(self.pid, self.pid)
        except OSError:
            pass  # the child has done it
        self._status: int | None = None
        self._reaping = threading.Lock()
        self._reader = threading.Thread(
            target=self._read, args=(report_read,), name="tgscheduler-forked-log", daemon=True
        )
        try:
            self._reader.start()
        except BaseException:
            forks.close(report_read)
            self._reader = threading.current_thread()
            self.stop(0.0)
            raise

    def alive(self) -> bool:
        with self._reaping:
            if self._status is None:
                try:
                    pid, status = os.waitpid(self.pid, os.WNOHANG)
                except ChildProcessError:
                    pid, status = self.pid, 0  # other code has reaped it
                if pid:
                    self._status = status
                    log.info("the scheduler's process %d has ended", self.pid)
            return self._status is None

    def stop(self, timeout: float) -> None:
        life, self._lifeline = self._lifeline, -1
        if life >= 0:
            forks.close(life)
        for bound, sig in ((timeout + 2.0, signal.SIGTERM), (0.5, signal.SIGKILL), (5.0, None)):
            end = clocks.elapsed() + bound
            while self.alive() and clocks.elapsed() < end:
                clocks.pause(0.005)
            if not self.alive():
                break
            if sig is not None:
                log.warning("the scheduler's process %d does not stop; sending %s", self.pid, sig.name)
                try:
                    os.killpg(self.pid, sig)
                except OSError:
                    pass
        if self._reader is not threading.current_thread():
            self._reader.join(1.0)

    def _read(self, report: int) -> None:
        with open(report, encoding="ascii", errors="replace", closefd=False) as lines:
            for line in lines:
                try:
                    message = json.loads(line)
                    if "log" in message:
                        child.log_in_parent(message["log"])
                except Exception as error:
                    log.warning("the scheduler's process sent an unreadable message (%s)", type(error).__name__)
        forks.close(report)


def _be_the_scheduler(scheduler: ForkedScheduler, ready: Callable[[], bool] | None, life: int, report: int) -> None:
    """Run the scheduler in the new child until the life pipe is closed, and exit without exit handlers."""
    code = 0
    try:
        child.set_up_child(report, die_with=None)

        def watch() -> None:
            while os.read(life, 1):
                pass
            lifecycle.stop()

        lifecycle = scheduler._serve()
        loop = lifecycle.make_loop()
        assert loop is not None
        threading.Thread(target=watch, name="tgscheduler-life", daemon=True).start()
        loop.run(ready)
        while lifecycle.loop is not None and not loop.fault:
            clocks.pause(0.01)
    except BaseException as error:
        code = 70
        log.critical("the scheduler's process met a fault\n%s", describe(error))
    finally:
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except Exception:  # noqa: S110  # closed, or replaced by something else
                pass
        os._exit(code)
