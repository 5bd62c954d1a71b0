"""Forks: when one may happen, and which descriptors its child must not keep.

::

    with no_fork:           a call into a C library that releases the GIL
    os.fork()               blocks new calls and waits for those in progress, at most LONGEST seconds
    fork()                  a fork by this package: raises Busy instead, and is tried again
    pipe(), own(fd)         private descriptors: closed in every child, also of a fork by other code
    process_token()         another text in every child

A child has one thread and a copy of every lock: a mutex of SQLite or of the resolver that another thread held at the
fork stays locked forever. A C function that keeps the GIL (``time.localtime``) needs no gate, as no other thread can
fork meanwhile. All waits are bounded: a fork handler or a logging handler may hold what the other side waits for.
"""

import os
import threading
from collections.abc import Collection, Iterator
from contextlib import ContextDecorator, contextmanager

from tgscheduler.clock import elapsed

#: Maximum time (seconds) that a fork by the application waits for calls; after that it happens anyway.
LONGEST = 1.0

#: Seconds that a fork by this package waits for calls per attempt, and in all. A call that takes longer waits for a
#: disk, a server or a lock of another process, and holds no lock of its library meanwhile.
CALL_TIMEOUT = 0.2
STANDING = 10.0


class Busy(OSError):
    """A call has not returned yet: try the fork again."""


class Gate(ContextDecorator):
    """Admits any number of calls, or one fork."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # a signal handler may fork during a call
        self._changed = threading.Condition(self._lock)
        self._calls: dict[int, int] = {}  # depth of nested calls, by thread
        self._waiting: set[int] = set()  # threads with a call that waits for a fork; they precede the next fork
        self._forks: list[int] = []  # threads that fork
        self._busy_since: float | None = None  # when a fork first met a call that did not return in time

    def __enter__(self) -> "Gate":
        me = threading.get_ident()
        with self._lock:
            if self._forks and me not in self._calls and me not in self._forks:
                self._waiting.add(me)
                try:  # longer than a fork waits for calls: ignores only one that hangs in a fork handler
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

    def close(self, timeout: float) -> bool:
        """Block new calls of other threads; wait until none is in progress, and return whether that is so."""
        me, end = threading.get_ident(), elapsed() + timeout
        with self._lock:
            if me not in self._forks:
                self._changed.wait_for(lambda: not self._forks and self._waiting <= {me}, timeout)
            self._forks.append(me)
            empty = self._changed.wait_for(lambda: self._calls.keys() <= {me}, end - elapsed())
            if not empty and self._busy_since is None:
                self._busy_since = elapsed()
            return empty

    def stands(self) -> float:
        """Return for how many seconds forks have met calls that did not return in time."""
        since = self._busy_since
        return 0.0 if since is None else elapsed() - since

    def open(self) -> None:
        """Admit calls again."""
        me = threading.get_ident()
        with self._lock:
            if me in self._forks:  # not in a child, where renew() has removed it
                self._forks.remove(me)
            self._changed.notify_all()

    def renew(self) -> None:
        """In a child: forget the threads that exist only in the parent."""
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
_process_token = os.urandom(3).hex()


def process_token() -> str:
    """Return a random text of six characters that tells this process from any other, also from its parent."""
    return _process_token


@contextmanager
def no_calls(standing: float = STANDING) -> Iterator[None]:
    """Block new calls during a fork by this package, and what belongs to it.

    Raise Busy if a call does not return in time, unless forks have met such calls for ``standing`` seconds.
    """
    try:
        if not no_fork.close(CALL_TIMEOUT) and no_fork.stands() < standing:
            raise Busy("a database call has not come back yet")
        yield
    finally:
        no_fork.open()


def fork(keep: Collection[int], standing: float = STANDING) -> int:
    """Return what ``os.fork`` does, within :func:`no_calls`; the child keeps only the private descriptors ``keep``."""
    with no_calls(standing):
        _forking.keep = keep
        try:
            return os.fork()
        finally:
            _forking.keep = ()


def pipe() -> tuple[int, int]:
    """Return a new pipe with private ends."""
    with no_fork:
        read, write = os.pipe()
        own(read)
        own(write)
    return read, write


def own(fd: int) -> None:
    """Make a descriptor private: a child that held it would keep the pipe open after its owner has closed it."""
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
    global _process_token
    _process_token = os.urandom(3).hex()
    no_fork.renew()
    for fd, identity in _private.items():
        try:
            if fd not in _forking.keep and _identity(fd) == identity:  # else its number was reused for another file
                os.close(fd)
        except OSError:
            continue
    _private.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=no_fork.open, after_in_child=_after_fork_in_child)
