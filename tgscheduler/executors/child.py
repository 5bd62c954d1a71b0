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

#: Maximum length of a message to the parent, in bytes. Texts of a longer log record are cut to the first of these
#: numbers of characters by which it fits: one takes 12 bytes at most.
LONGEST = 1 << 20
_CUTS = (1 << 17, 1 << 14, 1 << 10)

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
        self.write(_line(message))

    def write(self, data: bytes) -> None:
        """Write a line; a parent that is gone is no error."""
        try:
            while data:
                data = data[os.write(self.fd, data) :]
        except OSError:
            pass


class PipeHandler(logging.Handler):
    """Sends log records to the parent, which hands them to its own handlers."""

    pipe: Pipe | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Send a record with its message and traceback formatted; a bad one is told on stderr, as by other handlers."""
        if self.pipe is None:
            return
        try:
            self.pipe.write(_record_line(record))
        except Exception:
            self.handleError(record)


def _line(message: dict[str, Any]) -> bytes:
    return json.dumps(message, default=str).encode("ascii", "replace") + b"\n"


def _record_line(record: logging.LogRecord) -> bytes:
    """Return the message that a log record becomes, cut where it is too long."""
    if record.exc_info and not record.exc_text:
        record.exc_text = logging.Formatter().formatException(record.exc_info)
    fields: dict[str, Any] = {name: getattr(record, name, None) for name in _RECORD_FIELDS}
    fields.update(msg=record.getMessage(), exc_text=record.exc_text, stack_info=record.stack_info)
    extras = {name: _plain(value) for name, value in record.__dict__.items() if name not in _KNOWN}
    line = _line({"log": {**extras, **fields}})
    for most in _CUTS:
        if len(line) <= LONGEST:
            return line
        fields = {name: _cut(value, most) for name, value in fields.items()}
        extras = {name: _cut(value, most) for name, value in extras.items()}
        line = _line({"log": {**extras, **fields}})
    return line if len(line) <= LONGEST else _line({"log": fields})


def _plain(value: object) -> object:
    """Return what JSON has of a value, else its text."""
    if value is None or isinstance(value, (str, int, float)):
        return value
    try:
        return str(value)
    except Exception as error:
        return f"({type(value).__name__}: its text cannot be had: {type(error).__name__})"


def _cut(value: object, most: int) -> object:
    if not isinstance(value, str) or len(value) <= most:
        return value
    head, tail = most * 3 // 4, most // 4
    return f"{value[:head]} … [cut: {len(value) - head - tail} characters] … {value[-tail:]}"


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
    """Hand a record that a child sent to this process's handlers, and return it; what they raise is not felt."""
    record = logging.makeLogRecord(fields)
    try:
        logging.getLogger(record.name).callHandlers(record)
    except Exception:  # noqa: S110  # there is no other place to say it
        pass
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
