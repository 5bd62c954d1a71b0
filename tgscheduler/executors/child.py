"""Setup of a forked child, and its messages to the parent.

A fork copies one thread and every lock in its present state. So a child gets default signals, a process group of its
own, an empty stdin, new output streams (the parent's may be locked and hold unwritten bytes) and no listening socket
(it would keep the port in use after its parent). Its log goes to the parent by a pipe, as JSON lines, so that the locks
of the parent's handlers are never used.
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

#: In a forked run: the name of its task. Methods that would change a timetable check this.
forked_run: str | None = None

_RECORD_FIELDS = (
    "name", "levelno", "levelname", "pathname", "filename", "module", "lineno", "funcName",
    "created", "msecs", "relativeCreated", "thread", "threadName", "process", "processName",
)  # fmt: skip

#: Maximum length of a message to the parent, in bytes. Texts of a longer log record are cut to the first number of
#: characters in ``_CUTS`` with which it fits: a character takes 12 bytes at most.
LONGEST = 1 << 20
_CUTS = (1 << 17, 1 << 14, 1 << 10)

#: The attributes of every record, and those that formatting adds; the application has added all others.
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
        """Write one message; it is no error if the parent has ended."""
        self.write(_line(message))

    def write(self, data: bytes) -> None:
        """Write a line; it is no error if the parent has ended."""
        try:
            while data:
                data = data[os.write(self.fd, data) :]
        except OSError:
            pass


class PipeHandler(logging.Handler):
    """Sends log records to the parent, which passes them to its own handlers."""

    pipe: Pipe | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Send a record, message and traceback formatted; report an invalid one on stderr, as other handlers do."""
        if self.pipe is None:
            return
        try:
            self.pipe.write(_record_line(record))
        except Exception:
            self.handleError(record)


def _line(message: dict[str, Any]) -> bytes:
    return json.dumps(message, default=str).encode("ascii", "replace") + b"\n"


def _record_line(record: logging.LogRecord) -> bytes:
    """Return the message for a log record, with its texts cut if it is too long."""
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
    """Return a value as it is if it is a JSON scalar, otherwise its text."""
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


# Made in the parent: logging itself makes a handler's lock anew in each child.
_handler = PipeHandler()


def set_up_child(fd: int, die_with: int | None) -> Pipe:
    """Set up a new child and return its pipe. ``die_with``: the parent's process id; the child ends with it."""
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
            os._exit(1)  # it ended before the call
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
    """Pass a record that a child sent to this process's handlers, and return it; ignore what they raise."""
    record = logging.makeLogRecord(fields)
    try:
        logging.getLogger(record.name).callHandlers(record)
    except Exception:  # noqa: S110  # there is no other place to report it
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
