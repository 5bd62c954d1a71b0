"""The file of an SQLite database, its log and the log's index: whether what lies at the path is what is open.

::

    removed       all that was in it is put back: the connection that has it open still sees it
    replaced      the other file is used from now on
    log removed   what was in it is moved to the file
"""

import logging
import os
import sqlite3
import stat
from pathlib import Path
from urllib.parse import quote

from tgscheduler.errors import StoreError

log = logging.getLogger(__name__)

#: What tells a file from every other one: device and inode.
Identity = tuple[int, int]


class Moved(StoreError):
    """The file at the path is not the one that is open."""


class DatabaseFile:
    """A path, and what the connection that writes has opened there."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = f"sqlite:///{shown_path(path)}"
        #: The file as the connection that writes has it open, None: none was opened yet.
        self.opened: Identity | None = None
        #: A connection that alone has what was in files that were removed; it stays open until that is at the path.
        self.kept: sqlite3.Connection | None = None
        self._logs: dict[str, Identity | None] = {}

    @property
    def uri(self) -> str:
        """The URI by which SQLite opens a file that is there, and makes none."""
        return _uri(self.path)

    @property
    def identity(self) -> Identity:
        """The file that lies at the path; raises OSError where there is none."""
        return _identity(self.path)

    def create(self) -> None:
        """Create the file, for its owner alone, where there is none; raise StoreError where that cannot be."""
        if not self.path.parent.is_dir():
            raise StoreError(
                f"{self.name}: there is no folder {shown_path(self.path.parent)}; make it, or name another one"
            )
        try:
            if self.path.is_symlink() and not (self.path.exists() and self.path.stat().st_size):
                raise StoreError(f"{self.name}: a symbolic link to nothing; name the file itself")
            if self.path.is_dir():
                raise StoreError(f"{self.name}: a folder is there; name a file in it")
            if not self.path.exists():
                _create(self.path)
                if self.opened is not None:
                    log.warning("%s was gone: it is a new one, and what was on record before is not in it", self.name)
        except OSError as error:
            if isinstance(error, StoreError):
                raise
            raise StoreError(f"{self.name}: cannot be created: {error.strerror}; mind its folder's owner") from error

    def note_opened(self) -> sqlite3.Connection | None:
        """Note what a connection that writes has just opened; return the kept one, which is of no use any more."""
        kept, self.kept = self.kept, None
        self.opened = self.identity
        self._logs = {name: _identity_or_none(name) for name in self._log_names()}
        return kept

    def is_moved(self) -> bool:
        """Return whether the file or its log is not the one that is open, within a transaction that writes."""
        return _identity_or_none(self.path) != self.opened or any(
            _identity_or_none(name) != identity for name, identity in self._logs.items()
        )

    def restore(self) -> sqlite3.Connection | None:
        """Bring to the path what only the kept connection has; raise Moved while that cannot be.

        Return that connection, to be closed, once all of it is there.
        """
        connection = self.kept
        if connection is None:
            return None
        there = _identity_or_none(self.path)
        log_name = next(iter(self._logs))
        try:
            if there is None:
                self._put_back(connection)
                log.warning("%s was removed; it was put back with all that was in it", self.name)
            elif there != self.opened:
                log.warning("%s was replaced by another file, which is used from now on", self.name)
                return None
            elif _identity_or_none(log_name) == self._logs[log_name] or not _size(log_name):  # there is no other log
                [(busy, _, _)] = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
                if busy:
                    raise Moved(f"{self.name}: its log was removed; what is in it waits for a reader to end")
                log.warning("%s: its log was removed; what was in it was moved to the file", self.name)
            else:
                return None
        except (OSError, sqlite3.Error) as error:
            if isinstance(error, Moved):
                raise
            raise Moved(f"{self.name} or its log was removed, and cannot be put back yet: {error}") from error
        self.kept = None
        return connection

    def _put_back(self, connection: sqlite3.Connection) -> None:
        """Write the file that was removed anew: while we have it open, all of it is still there."""
        file = Path(os.path.realpath(self.path))
        for name in self._log_names():
            Path(name).unlink(missing_ok=True)  # they belong to the removed file, and would be taken for the new one's
        beside = file.with_name(f"{file.name}.restored-{os.getpid()}")
        beside.unlink(missing_ok=True)
        _create(beside)
        try:
            with_all = sqlite3.connect(_uri(beside), uri=True, isolation_level=None)
            try:
                connection.backup(with_all)
            finally:
                with_all.close()
            os.link(beside, file)  # fails where somebody else has made one meanwhile
        finally:
            for left in (str(beside), f"{beside}-wal", f"{beside}-shm"):
                Path(left).unlink(missing_ok=True)

    def descriptors(self) -> list[int]:
        """Return the descriptors by which this process holds the file open."""
        found = []
        files = set()
        for name in (str(self.path), *self._log_names()):
            try:
                files.add(_identity(name))
            except OSError:
                continue
        for name in os.listdir("/proc/self/fd" if os.path.isdir("/proc/self/fd") else "/dev/fd"):
            try:
                status = os.fstat(int(name))
            except OSError:
                continue
            if (status.st_dev, status.st_ino) in files:
                found.append(int(name))
        return found

    def _log_names(self) -> list[str]:
        """Return the names of the log and its index: they lie beside the file itself, also if the path is a link."""
        file = os.path.realpath(self.path)
        return [f"{file}-wal", f"{file}-shm"]


def shown_path(path: Path) -> str:
    """Return a path as text that can be written anywhere, also where a folder's name is not UTF-8."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _create(path: Path) -> None:
    """Create an empty file that its owner alone may read and write, whatever the umask."""
    flags = os.O_CREAT | os.O_EXCL | os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
    try:
        descriptor = os.open(path, flags, 0o600)
    except FileExistsError:  # another process was quicker
        return
    try:
        os.fchmod(descriptor, stat.S_IRUSR | stat.S_IWUSR)
    finally:
        os.close(descriptor)


def _uri(path: Path) -> str:
    return f"file:{quote(os.fsencode(path))}?mode=rw"


def _identity(path: str | os.PathLike[str]) -> Identity:
    status = os.stat(path)
    return status.st_dev, status.st_ino


def _identity_or_none(path: str | os.PathLike[str]) -> Identity | None:
    try:
        return _identity(path)
    except (FileNotFoundError, NotADirectoryError):
        return None


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return 0
