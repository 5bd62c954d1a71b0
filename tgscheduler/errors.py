"""What can go wrong, as exceptions that callers already catch.

::

    SchedulerError (Exception)
     +-- InvalidValue (ValueError)       a value out of its range: interval 0, weekday 8
     |    +-- DuplicateTask              the name belongs to another task
     |    +-- ConfigError                a setting that cannot be: file, line, key, mend
     +-- InvalidType (TypeError)         a value of the wrong kind: an interval '60'
     |    +-- UnfinishedAction           an action returned a coroutine or a generator instead of doing its work
     +-- StoreError (OSError)            a store that cannot be opened or read: what, why, mend
     +-- WrongProcess (RuntimeError)     asked in a process that cannot do it
     +-- NotSupported (NotImplementedError)  this platform has no such method
"""

from tgscheduler.messages import printable


class SchedulerError(Exception):
    """The root of all errors of this package."""


class InvalidValue(SchedulerError, ValueError):
    """A value outside of what is allowed; the message says what is expected and how to mend it."""


class InvalidType(SchedulerError, TypeError):
    """A value of the wrong type; the message says what is expected and how to mend it."""


class UnfinishedAction(InvalidType):
    """An action returned an awaitable or a generator: its work was not done, and its run has failed."""


class DuplicateTask(InvalidValue):
    """The task name is taken by another task that still waits or runs."""


class ConfigError(InvalidValue):
    """A setting is unknown or has a wrong value; ``str(error)`` is one line with file, line, key and mend."""

    def __init__(self, message: str) -> None:
        # A key, a path or another library's message may hold anything; a log line must stay one.
        super().__init__(printable(message))


class StoreError(SchedulerError, OSError):
    """A store cannot be opened, or not be read: the message names it, without a password, and says what to do."""


class WrongProcess(SchedulerError, RuntimeError):
    """The scheduler that was asked lives in another process."""


class NotSupported(SchedulerError, NotImplementedError):
    """The platform lacks what was asked for, such as ``os.fork``."""
