"""Forks: when one may happen, and which descriptors its child must not keep.

::

    with no_fork:           a call into a C library that gives the interpreter's lock away
    os.fork()               lets no further call in and waits for those that are in, at most LONGEST seconds
    fork()                  a fork of ours: raises Busy instead, and is tried again
    pipe(), own(fd)         descriptors that are closed in every child, whoever forks it

A child has one thread and every lock as it stood: a mutex of SQLite's or of the resolver's that another thread held at
the fork stays locked in it for ever. A C function that keeps the interpreter's lock (``time.localtime``) needs no gate,
as no other thread can fork meanwhile. All waits are bounded: a fork handler or a logging handler may hold what the
other side waits for.
"""

import os
import threading
from collections.abc import Collection, Iterator
from contextlib import ContextDecorator, contextmanager

from tgscheduler.clock import elapsed

#: Maximum time (seconds) that a fork of the application waits for calls; after that it happens all the same.
LONGEST = 1.0

#: Seconds that a fork of ours waits for calls at a time, and in all. What stands for longer waits for a disk, a server
#: or a lock of another process, and holds no lock of its library meanwhile.
PATIENCE = 0.2
STANDING = 10.0


class Busy(OSError):
    """A call has not come back yet: the fork is to be tried again."""


class Gate(ContextDecorator):
    """Lets calls in at any number, or one fork."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # a signal handler may fork in the middle of a call
        self._changed = threading.Condition(self._lock)
        self._calls: dict[int, int] = {}  # by thread: how deep it is in calls
        self._waiting: set[int] = set()  # threads with a call that waits for a fork; they go before the next fork
        self._forks: list[int] = []  # threads that fork
        self._busy_since: float | None = None  # when a fork met a call first that was not back in time

    def __enter__(self) -> "Gate":
        me = threading.get_ident()
        with self._lock:
            if self._forks and me not in self._calls and me not in self._forks:
                self._waiting.add(me)
                try:  # longer than a fork waits for calls: only one that hangs in somebody's fork handler is ignored
                    self._changed.wait_for(lambda: not self._forks, 2 * LONGEST)
                finally:
                    self._waiting.discard(me)
                    self._changed.notify_all()
            self._calls[me] = self._calls.get(me, 0) + 1
        return self

    def __exit__(self, *error: object) -> None:
        me = threading.get_ident()
        with self._lock:
            self._calls[me] -= 1
            if not self._calls[me]:
                del self._calls[me]
                if not self._calls:
                    self._busy_since = None
                if self._forks:
                    self._changed.notify_all()

    def close(self, patience: float) -> bool:
        """Let no call of another thread in; wait until none is in, and return whether that is so."""
        me, end = threading.get_ident(), elapsed() + patience
        with self._lock:
            if me not in self._forks:
                self._changed.wait_for(lambda: not self._forks and self._waiting <= {me}, patience)
            self._forks.append(me)
            empty = self._changed.wait_for(lambda: self._calls.keys() <= {me}, end - elapsed())
            if not empty and self._busy_since is None:
                self._busy_since = elapsed()
            return empty

    def stands(self) -> float:
        """Return for how many seconds forks have met calls that were not back in time."""
        since = self._busy_since
        return 0.0 if since is None else elapsed() - since

    def open(self) -> None:
        """Let calls in again."""
        me = threading.get_ident()
        with self._lock:
            if me in self._forks:  # not in a child, where all was opened at once
                self._forks.remove(me)
            self._changed.notify_all()

    def renew(self) -> None:
        """In a child: forget the threads that it does not have."""
        me = threading.get_ident()
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._calls = {me: self._calls[me]} if me in self._calls else {}
        self._waiting, self._forks, self._busy_since = set(), [], None


#: Held, as a context or a decorator, by every call that may hold a lock of a C library.
no_fork = Gate()


class _Forking(threading.local):
    keep: Collection[int] = ()


_forking = _Forking()
_private: dict[int, tuple[int, int]] = {}


@contextmanager
def no_calls(standing: float = STANDING) -> Iterator[None]:
    """Let no call in for a fork of ours, and what goes with it.

    Raise Busy if a call is not back in time, unless forks have met such calls for ``standing`` seconds.
    """
    try:
        if not no_fork.close(PATIENCE) and no_fork.stands() < standing:
            raise Busy("a database call has not come back yet")
        yield
    finally:
        no_fork.open()


def fork(keep: Collection[int], standing: float = STANDING) -> int:
    """Return what ``os.fork`` does, within :func:`no_calls`; of the private descriptors the child has ``keep``."""
    with no_calls(standing):
        _forking.keep = keep
        try:
            return os.fork()
        finally:
            _forking.keep = ()


def pipe() -> tuple[int, int]:
    """Return a new pipe whose ends are private."""
    with no_fork:
        read, write = os.pipe()
        own(read)
        own(write)
    return read, write


def own(fd: int) -> None:
    """Make a descriptor private: a child that held it would keep a pipe alive after the other side has gone."""
    _private[fd] = _identity(fd)


def close(fd: int) -> None:
    """Close a private descriptor; an action may have closed it already."""
    _private.pop(fd, None)
    try:
        os.close(fd)
    except OSError:
        pass


def _identity(fd: int) -> tuple[int, int]:
    status = os.fstat(fd)
    return status.st_dev, status.st_ino


def _before_fork() -> None:
    no_fork.close(LONGEST)


def _after_fork_in_child() -> None:
    no_fork.renew()
    for fd, identity in _private.items():
        try:
            if fd not in _forking.keep and _identity(fd) == identity:  # else its number was given to another file
                os.close(fd)
        except OSError:
            continue
    _private.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=no_fork.open, after_in_child=_after_fork_in_child)
