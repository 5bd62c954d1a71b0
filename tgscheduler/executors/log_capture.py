"""Log capture: what an action logs is kept with its run, up to a bound, with any logger.

With a handler on the root logger, ``logging.basicConfig`` would do nothing any more. So the lines are captured where
records are made, by a record factory in front of the present one.

::

    another factory --> ours --> another factory --> ours --> logging.LogRecord
                        keeps                        passes on

The application may set its own factories before and after ours, and remove them in any order. So each of ours always
calls the factory that it was put in front of, and of several in one chain the outermost keeps the line.
"""

import copy
import logging
import threading
from collections.abc import Callable
from typing import Any

from tgscheduler.executors.base import current_occurrence
from tgscheduler.executors.base import log as task_log
from tgscheduler.messages import clean
from tgscheduler.timetable.run import Run

#: Maximum number of characters that are kept of a run's lines: the last ones.
LONGEST = 8_000

_format = logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s").format

_lock = threading.Lock()
_users = 0
_thread = threading.local()


class _Factory:
    """A record factory in front of another one."""

    def __init__(self, before: Callable[..., logging.LogRecord]) -> None:
        self.before = before

    def __call__(self, *args: Any, **kw: Any) -> logging.LogRecord:
        current = current_occurrence.get()
        outer: _Factory | None = getattr(_thread, "outer", None)
        if current is None or outer not in (None, self):  # ourselves: a factory logs something itself
            return self.before(*args, **kw)
        _thread.outer = self
        try:
            record = self.before(*args, **kw)
        finally:
            _thread.outer = outer
        keep(current[1], record)
        return record


def begin() -> None:
    """Capture from now on, until a call of :func:`end` for each call of this."""
    global _users
    with _lock:
        _users += 1
        go_on()


def go_on() -> None:
    """Capture even if the application has set another factory meanwhile, which may or may not call ours."""
    factory = logging.getLogRecordFactory()
    if type(factory) is not _Factory:
        logging.setLogRecordFactory(_Factory(factory))


def end() -> None:
    """End one call of :func:`begin`; if the application has set a factory over ours meanwhile, ours stays."""
    global _users
    with _lock:
        _users -= 1
        factory = logging.getLogRecordFactory()
        if _users == 0 and isinstance(factory, _Factory):
            logging.setLogRecordFactory(factory.before)


def keep(run: Run, record: logging.LogRecord) -> None:
    """Keep a record with a run; never raise."""
    if record.name == task_log.logger.name:  # the failure is in the run's error
        return
    try:
        text = f"{run.log}{clean(_format(copy.copy(record)))}\n"  # a copy, as formatting changes a record
    except Exception:  # arguments that do not fit: logging itself reports them
        return
    if len(text) > LONGEST:
        text = text[-LONGEST:]
        text = "…\n" + (text.partition("\n")[2] or text)
    run.captured_log = text
