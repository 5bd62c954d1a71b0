"""Logging from threads that must not end, and exceptions as text that is bounded and never raises."""

import logging
import traceback
from types import TracebackType
from typing import Any

from tgscheduler.messages import clean, printable


class SafeLogger(logging.LoggerAdapter[logging.Logger]):
    """Logger for threads that must survive: what the application's handlers or filters raise is swallowed."""

    def __init__(self, name: str) -> None:
        super().__init__(logging.getLogger(name), None)

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        """Log; what a handler raises is swallowed, as there is no other place to report it."""
        kwargs["stacklevel"] = kwargs.get("stacklevel", 1) + 1
        self.logger.disabled = False
        try:
            self.logger.log(level, msg, *args, **kwargs)
        except Exception:  # noqa: S110
            pass


package_logger = logging.getLogger("tgscheduler")


def enable_loggers() -> None:
    """Enable our loggers again after a ``dictConfig`` or ``fileConfig`` that disabled all loggers it does not name.

    Both do that by default, without a decision about our loggers. What was configured for one by name stays: its
    level, handlers and propagation.
    """
    for name, logger in list(logging.root.manager.loggerDict.items()):
        if name.partition(".")[0] == package_logger.name and isinstance(logger, logging.Logger):
            logger.disabled = False


#: Modules whose frames stand between an executor and an action.
_CALLERS = ("tgscheduler.executors.base", "tgscheduler.timetable.tasks")

#: Maximum length (characters) of a traceback's text, and maximum number of its chained exceptions.
LONGEST_ERROR = 16_000
LONGEST_CHAIN = 8


def describe(error: BaseException) -> str:
    """Return an exception's traceback as text, bounded in length and in chained exceptions; never raise."""
    try:
        return _describe(error)
    except BaseException as second:
        return f"{name_of_kind(error)} (its text cannot be had: {name_of_kind(second)})"


def _describe(error: BaseException) -> str:
    try:  # one walk over the whole chain: for each link, traceback would walk the rest of it again
        link = traceback.TracebackException(type(error), error, _from_action(error), compact=True)
    except BaseException as second:
        return f"{name_of_kind(error)} (its traceback cannot be had: {name_of_kind(second)})"
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
    text = clean("".join(reversed(parts)).rstrip("\n"))  # before it is cut, as this makes it longer
    if len(text) > LONGEST_ERROR:
        text = f"{text[: LONGEST_ERROR // 4]}\n…\n{text[-LONGEST_ERROR * 3 // 4 :]}"
    return text


def _from_action(error: BaseException) -> TracebackType | None:
    """Return the traceback from the action's own frame on: the frames of its caller are of no use to a reader."""
    step = error.__traceback__
    while step is not None and step.tb_frame.f_globals.get("__name__") in _CALLERS:
        step = step.tb_next
    return step or error.__traceback__


def brief(error: BaseException) -> str:
    """Return an exception as one short line, for reasons and health; never raise."""
    try:
        text = printable(" ".join(str(error).split()), 200)
    except BaseException as second:
        text = f"(its text cannot be had: {name_of_kind(second)})"
    return f"{name_of_kind(error)}: {text}" if text else name_of_kind(error)


def name_of_kind(error: BaseException) -> str:
    """Return the name of an exception's class; never raise."""
    try:
        return str(type(error).__name__)
    except BaseException:  # a metaclass may do anything
        return "an exception without a name"
