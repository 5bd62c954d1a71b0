"""The file of an SQLite database, its log and the log's index: whether the open file is the one at the path.

::

    removed       it is restored: the connection that has it open still sees all its content
    replaced      the other file is in use from now on
    log removed   its content is moved to the file
"""

import logging
import os
import sqlite3
import stat
from pathlib import Path
from urllib.parse import quote

from tgscheduler.errors import StoreError

log = logging.getLogger(__name__)

#: Device and inode, which no two files share.
Identity = tuple[int, int]


class Moved(StoreError):
    """The file or the log at the path is not the one that is open."""


class DatabaseFile:
    """A path, and the files that the writing connection has opened there."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = f"sqlite:///{shown_path(path)}"
        #: The file that the writing connection has open, None if none was opened yet.
        self.opened: Identity | None = None
        #: The only connection to files that were removed; it stays open until their content is at the path again.
        self.kept: sqlite3.Connection | None = None
        self._logs: dict[str, Identity | None] = {}

    @property
    def uri(self) -> str:
        """The URI with which SQLite opens an existing file and creates none."""
        return _uri(self.path)

    @property
    def identity(self) -> Identity:
        """The file at the path; raises OSError if there is none."""
        return _identity(self.path)

    def create(self) -> None:
        """Create the file, for its owner only, if there is none; raise StoreError if that fails."""
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
                    log.warning("%s was missing; a new file was created, without the earlier records", self.name)
        except OSError as error:
            if isinstance(error, StoreError):
                raise
            raise StoreError(f"{self.name}: cannot be created: {error.strerror}; check its folder's owner") from error

    def note_opened(self) -> sqlite3.Connection | None:
        """Note the files that a connection for writing has just opened; return the kept connection, to be closed."""
        kept, self.kept = self.kept, None
        self.opened = self.identity
        self._logs = {name: _identity_or_none(name) for name in self._log_names()}
        return kept

    def is_moved(self) -> bool:
        """Return whether the file or its log is not the one that is open; only valid in a transaction that writes."""
        return _identity_or_none(self.path) != self.opened or any(
            _identity_or_none(name) != identity for name, identity in self._logs.items()
        )

    def restore(self) -> sqlite3.Connection | None:
        """Restore to the path what only the kept connection has; raise Moved if that cannot be yet.

        Return that connection, to be closed, None if there is none.
        """
        connection = self.kept
        if connection is None:
            return None
        there = _identity_or_none(self.path)
        log_name = next(iter(self._logs))
        try:
            if there is None:
                self._put_back(connection)
                log.warning("%s was removed; it was restored with all its content", self.name)
            elif there != self.opened:
                log.warning("%s was replaced by another file, which is in use from now on", self.name)
                return None
            elif _identity_or_none(log_name) == self._logs[log_name] or not _size(log_name):  # there is no other log
                [(busy, _, _)] = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
                if busy:
                    raise Moved(f"{self.name}: its log was removed; its content waits for a reader to end")
                log.warning("%s: its log was removed; its content was moved to the file", self.name)
            else:
                return None
        except (OSError, sqlite3.Error) as error:
            if isinstance(error, Moved):
                raise
            raise Moved(f"{self.name} or its log was removed, and cannot be restored yet: {error}") from error
        self.kept = None
        return connection

    def _put_back(self, connection: sqlite3.Connection) -> None:
        """Recreate the removed file: while this process has it open, all its content still exists."""
        file = Path(os.path.realpath(self.path))
        for name in self._log_names():
            Path(name).unlink(missing_ok=True)  # those of the removed file: SQLite would use them for the new one
        beside = file.with_name(f"{file.name}.restored-{os.getpid()}")
        beside.unlink(missing_ok=True)
        _create(beside)
        try:
            with_all = sqlite3.connect(_uri(beside), uri=True, isolation_level=None)
            try:
                connection.backup(with_all)
            finally:
                with_all.close()
            os.link(beside, file)  # fails if another process has made one meanwhile
        finally:
            for left in (str(beside), f"{beside}-wal", f"{beside}-shm"):
                Path(left).unlink(missing_ok=True)

    def descriptors(self) -> list[int]:
        """Return the descriptors with which this process holds the file and its log open."""
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
        """Return the names of the log and its index: they lie beside the file itself, even if the path is a link."""
        file = os.path.realpath(self.path)
        return [f"{file}-wal", f"{file}-shm"]


def shown_path(path: Path) -> str:
    """Return a path as text that can be written anywhere, even if a folder's name is not UTF-8."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _create(path: Path) -> None:
    """Create an empty file that only its owner may read and write, whatever the umask."""
    flags = os.O_CREAT | os.O_EXCL | os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
    try:
        descriptor = os.open(path, flags, 0o600)
    except FileExistsError:  # another process was faster
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
