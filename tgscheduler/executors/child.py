"""What a freshly forked child does first, and how it speaks to its parent.

A fork copies one thread and every lock as it stood. So a child gets default signals, a process group of its own, an
empty stdin, fresh output streams (the parent's may be locked and hold its unwritten bytes) and no listening socket
(it would keep the port taken after its parent), and its log goes to the parent by a pipe, as JSON lines: the locks
inside the parent's handlers are never touched.
"""

import ctypes
import json
import logging
import os
import signal
import socket
import stat
import sys
from collections.abc import Callable
from typing import Any

#: In a forked run: the name of its task. Verbs that would change a timetable look here.
forked_run: str | None = None

_RECORD_FIELDS = (
    "name", "levelno", "levelname", "pathname", "filename", "module", "lineno", "funcName",
    "created", "msecs", "relativeCreated", "thread", "threadName", "process", "processName",
)  # fmt: skip

#: What every record has, or gets by being formatted; what else there is the application has added.
_KNOWN = frozenset({*logging.makeLogRecord({}).__dict__, "message", "asctime"})

_DEFAULTS = ("SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGCHLD", "SIGALRM")
_PR_SET_PDEATHSIG = 1

# Looked up here: a child must not import or open anything.
_prctl: Callable[..., int] | None = None
if sys.platform == "linux":
    try:
        _prctl = ctypes.CDLL(None, use_errno=True).prctl
    except (OSError, AttributeError):
        _prctl = None


class Pipe:
    """The child's end of the pipe: every message is one JSON line."""

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def send(self, **message: Any) -> None:
        """Write one message; a parent that is gone is no error."""
        data = json.dumps(message, default=str).encode("ascii", "replace") + b"\n"
        try:
            while data:
                data = data[os.write(self.fd, data) :]
        except OSError:
            pass


class PipeHandler(logging.Handler):
    """Sends log records to the parent, which hands them to its own handlers."""

    pipe: Pipe | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Send a record with its message and traceback formatted."""
        if self.pipe is None:
            return
        fields: dict[str, Any] = {name: getattr(record, name, None) for name in _RECORD_FIELDS}
        fields.update((name, value) for name, value in record.__dict__.items() if _is_extra(name, value))
        fields["msg"] = record.getMessage()
        if record.exc_info and not record.exc_text:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
        fields["exc_text"] = record.exc_text
        fields["stack_info"] = record.stack_info
        self.pipe.send(log=fields)

    def handleError(self, record: logging.LogRecord) -> None:
        """Say so on stderr: there is no other place."""
        os.write(2, f"tgscheduler: a log record of {record.name} could not be sent\n".encode())


def _is_extra(name: str, value: object) -> bool:
    return name not in _KNOWN and (value is None or type(value) in (str, int, float, bool))


# Made in the parent: a handler's lock is made anew in each child by logging itself.
_handler = PipeHandler()


def settle(fd: int, die_with: int | None) -> Pipe:
    """Make a fresh child safe; return its pipe. ``die_with``: the parent whose end it does not survive."""
    for name in _DEFAULTS:
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_DFL)
    signal.set_wakeup_fd(-1)
    try:
        os.setpgid(0, 0)
    except OSError:
        pass  # the parent has done it
    if die_with is not None and _prctl is not None:
        _prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
        if os.getppid() != die_with:
            os._exit(1)  # it ended before we asked
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", buffering=1, closefd=False, errors="backslashreplace")  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, closefd=False, errors="backslashreplace")  # noqa: SIM115
    _close_listening_sockets(fd)
    pipe = Pipe(fd)
    _handler.pipe = pipe
    logging.root.handlers = [_handler]
    for logger in logging.root.manager.loggerDict.values():
        if isinstance(logger, logging.Logger):
            logger.handlers = []
            logger.propagate = True
    return pipe


def log_in_parent(fields: dict[str, Any]) -> logging.LogRecord:
    """Hand a record that a child sent to this process's handlers; return it."""
    record = logging.makeLogRecord(fields)
    logging.getLogger(record.name).callHandlers(record)
    return record


def _close_listening_sockets(keep: int) -> None:
    for fd in _open_fds():
        if fd <= 2 or fd == keep:
            continue
        try:
            if not stat.S_ISSOCK(os.fstat(fd).st_mode):
                continue
            sock = socket.socket(fileno=os.dup(fd))
            with sock:
                if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                    os.close(fd)
        except OSError:
            continue


def _open_fds() -> list[int]:
    for folder in ("/proc/self/fd", "/dev/fd"):
        try:
            return [int(name) for name in os.listdir(folder)]
        except OSError:
            continue
    return list(range(3, 256))
