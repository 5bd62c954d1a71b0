"""Capturing: what an action logs is kept with its run, up to a bound, whatever logger it uses.

A handler on the root logger would see the lines as well, but would also count as one: ``logging.basicConfig`` would do
nothing any more. So the lines are taken where records are made, by a factory in front of the one that is there.
"""

import copy
import logging
import threading
from collections.abc import Callable
from typing import Any

from tgscheduler.executors.base import _current
from tgscheduler.executors.base import log as task_log
from tgscheduler.messages import clean
from tgscheduler.timetable.run import Run

#: So many characters of a run's lines are kept, the last ones.
LONGEST = 8_000

_format = logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s").format

_lock = threading.Lock()
_users = 0
_before: Callable[..., logging.LogRecord] = logging.getLogRecordFactory()


def begin() -> None:
    """Capture from now on; each call is ended by :func:`end`."""
    global _users, _before
    with _lock:
        _users += 1
        if _users == 1 and logging.getLogRecordFactory() is not _make:
            _before = logging.getLogRecordFactory()
            logging.setLogRecordFactory(_make)


def end() -> None:
    """End what one call of :func:`begin` began; a factory that somebody has set meanwhile stays."""
    global _users
    with _lock:
        _users -= 1
        if _users == 0 and logging.getLogRecordFactory() is _make:
            logging.setLogRecordFactory(_before)


def _make(*args: Any, **kw: Any) -> logging.LogRecord:
    record = _before(*args, **kw)
    current = _current.get()
    if current is not None:
        keep(current[1], record)
    return record


def keep(run: Run, record: logging.LogRecord) -> None:
    """Keep a record with a run; never raise."""
    if record.name == task_log.logger.name:  # its failure is in the run's error
        return
    try:
        text = f"{run.log}{clean(_format(copy.copy(record)))}\n"  # a copy: formatting leaves its traces on a record
    except Exception:  # arguments that do not fit: logging itself says so
        return
    if len(text) > LONGEST:
        text = text[-LONGEST:]
        text = "…\n" + (text.partition("\n")[2] or text)
    run._log = text
