"""Exceptions; each is also one that callers already catch.

::

    SchedulerError (Exception)
     +-- InvalidValue (ValueError)       a value out of its range: interval 0, weekday 8
     |    +-- DuplicateTask              the name belongs to another task
     |    +-- ConfigError                an invalid setting: file, line, key, fix
     +-- InvalidType (TypeError)         a value of the wrong kind: an interval '60'
     |    +-- UnfinishedAction           an action returned a coroutine or a generator instead of doing its work
     +-- StoreError (OSError)            a store that cannot be opened or read: what, why, fix
     +-- WrongProcess (RuntimeError)     called in a process that cannot do it
     +-- NotSupported (NotImplementedError)  this platform has no such method
"""

from tgscheduler.messages import printable


class SchedulerError(Exception):
    """Base class of all errors of this package."""


class InvalidValue(SchedulerError, ValueError):
    """A value outside of what is allowed; the message says what is expected and how to fix it."""


class InvalidType(SchedulerError, TypeError):
    """A value of the wrong type; the message says what is expected and how to fix it."""


class UnfinishedAction(InvalidType):
    """An action returned an awaitable or a generator: its work was not done, and its run has failed."""


class DuplicateTask(InvalidValue):
    """Another task that still waits or runs has the task name."""


class ConfigError(InvalidValue):
    """A setting is unknown or has a wrong value; ``str(error)`` is one line with file, line, key and fix."""

    def __init__(self, message: str) -> None:
        # A key, a path or another library's message may contain line breaks; a log line must stay one line.
        super().__init__(printable(message))


class StoreError(SchedulerError, OSError):
    """A store cannot be opened or read: the message names it, without a password, and says what to do."""


class WrongProcess(SchedulerError, RuntimeError):
    """The scheduler or store belongs to another process."""


class NotSupported(SchedulerError, NotImplementedError):
    """The platform lacks what was requested, such as ``os.fork``."""
