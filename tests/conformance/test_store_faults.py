"""What can be wrong with a database when it is opened: each says what is wrong, and the mend."""

import os
import shutil
import sqlite3
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest
from pgserver import PASSWORD
from store_helpers import START, ended

from tgscheduler import stores
from tgscheduler.errors import InvalidValue, StoreError

pytest_plugins = ["postgres", "store_fixtures"]
pytestmark = pytest.mark.usefixtures("impatient")


def refused(url, **options):
    """Return what an opening says that fails."""
    store = stores.open(url, **options)
    with pytest.raises(StoreError) as caught:
        store.open(lambda claims: None, lambda status: None)
    assert store.close(1) == 0
    text = str(caught.value)
    assert "\n" not in text
    return text


# -- URLs --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("sqllite:///x.db", "did you mean 'sqlite'"),
        ("postgres://u:hidden@h/d", "did you mean 'postgresql'"),
        ("mysql://u:hidden@h/d", "expected 'memory'"),
        ("runs.db", "expected 'memory'"),
        ("sqlite://", "sqlite:///file.db"),
        ("sqlite:///:memory:", "'memory'"),
        ("sqlite:///x.db?mode=ro", "sqlite:///file.db"),
        ("sqlite:///x.db?mode=ro", "a file's name cannot have '[?]' in it here"),
        ("sqlite:///runs#1.db", "a file's name cannot have '#' in it here"),
        ("postgresql://u:p/hidden@h/d", "%2F"),
        ("postgresql://u:12/hidden@h/d", "%2F"),
        ("postgresql://u:p@hidden@h/d", "%40"),
        ("postgresql://u:12[?]dbname=hidden@h/d", "%XX"),
        ("host=h password=hidden", "got something else"),
        ("postgresql://u:hidden@h:port/d", "%XX"),
        ("postgresql://u:hidden@h/d?nonsense=1", "%XX"),
    ],
)
def test_a_url_that_names_no_store_is_refused_without_its_password(url, words):
    with pytest.raises(InvalidValue, match=words.replace("%", ".")) as caught:
        stores.open(url)
    assert "hidden" not in str(caught.value)


def test_a_relative_path_starts_at_the_folder(tmp_path):
    store = stores.open("sqlite:///runs.db", folder=tmp_path)
    store.open(lambda claims: None, lambda status: None)
    store.close(5)
    assert (tmp_path / "runs.db").is_file()


def test_a_missing_psycopg_says_what_brings_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(StoreError, match=r"pip install 'tgscheduler\[postgres\]'"):
        stores.open("postgresql://h/d")


@pytest.mark.parametrize("option", [{"days": 0}, {"per_task": -1}, {"buffer": 0}, {"timeout": -1.0}])
def test_a_bound_that_is_none_is_refused(tmp_path, option):
    with pytest.raises(InvalidValue, match="above 0"):
        stores.open(f"sqlite:///{tmp_path}/x.db", **option)


# -- at the opening ----------------------------------------------------------------------------------------------------


def test_a_file_that_is_no_database(tmp_path):
    (tmp_path / "x.db").write_text("a letter\n" * 1000)
    assert "not a database; the file is something else" in refused(f"sqlite:///{tmp_path}/x.db")


def test_a_folder_a_missing_folder_and_a_link_to_nothing(tmp_path):
    assert "a folder is there" in refused(f"sqlite:///{tmp_path}")
    assert f"there is no folder {tmp_path}/no" in refused(f"sqlite:///{tmp_path}/no/x.db")
    (tmp_path / "link.db").symlink_to(tmp_path / "secret")
    assert "symbolic link" in refused(f"sqlite:///{tmp_path}/link.db")
    (tmp_path / "secret").touch()
    assert "symbolic link" in refused(f"sqlite:///{tmp_path}/link.db")
    with pytest.raises(StoreError, match="no such file"):
        stores.open(f"sqlite:///{tmp_path}/missing.db").runs()
    assert not (tmp_path / "missing.db").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become somebody else")
@pytest.mark.parametrize(("folder_mode", "file_mode"), [(0o755, 0o444), (0o755, None), (0o755, 0o000)])
def test_no_permission(folder_mode, file_mode):
    folder = Path(tempfile.mkdtemp(prefix="tgs-store-"))
    try:
        if file_mode is not None:
            (folder / "x.db").touch(mode=file_mode)
        folder.chmod(folder_mode)
        os.seteuid(65534)
        try:
            assert "owner" in refused(f"sqlite:///{folder}/x.db")
        finally:
            os.seteuid(0)
    finally:
        shutil.rmtree(folder)


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_the_files_are_their_owners_alone(sqlite, tmp_path, umask):
    before = os.umask(umask)
    try:
        store = sqlite.open()
        store.record([ended("a", START)])
        assert store.flush(5)
        modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    finally:
        os.umask(before)
    assert modes == dict.fromkeys(("runs.db", "runs.db-wal", "runs.db-shm"), 0o600)


def test_a_newer_schema(factory):
    store = factory.open()
    store._database.execute(
        store._writer.session.connection, "INSERT INTO tg_schema (version, applied) VALUES (99, 0.0)"
    )
    store.close(5)
    assert "version 99, this tgscheduler knows up to" in refused(factory.url)
    with pytest.raises(StoreError, match="version 99"):
        stores.open(factory.url).runs()


def test_migrations_that_are_not_to_be_applied(factory, tmp_path):
    if factory.url.startswith("sqlite"):
        (tmp_path / "runs.db").touch()
    assert "the migrations 0001, 0002, 0003 are not applied" in refused(factory.url, auto_migrate=False)
    with pytest.raises(StoreError, match="0001"):
        stores.open(factory.url).runs()
    factory.open().close(5)
    factory.open(auto_migrate=False)


def test_processes_that_open_an_empty_database_at_once(factory):
    failed = []

    def open_one():
        try:
            factory.open()
        except StoreError as error:
            failed.append(error)

    threads = [threading.Thread(target=open_one) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    (found,) = (stores.open(factory.url),)
    assert found.load() == {}


def test_a_file_that_is_locked(sqlite, tmp_path):
    sqlite.open().close(5)
    holder = sqlite3.connect(tmp_path / "runs.db", isolation_level=None)
    try:
        holder.execute("PRAGMA locking_mode = EXCLUSIVE")
        holder.execute("BEGIN EXCLUSIVE")
        assert "locked; another program holds it" in refused(sqlite.url)
    finally:
        holder.close()


def test_a_damaged_file(sqlite, tmp_path):
    store = sqlite.open()
    store.record([ended("a", START + number) for number in range(2000)])
    store.close(5)
    with (tmp_path / "runs.db").open("r+b") as file:
        file.seek(100)
        file.write(os.urandom(3900))
    text = refused(sqlite.url)
    assert "restore it from a backup" in text or "use another path" in text


def test_a_server_that_refuses():
    began = time.monotonic()
    text = refused(f"postgresql://app:{PASSWORD}@127.0.0.1:1/app")
    assert "start the server" in text
    assert PASSWORD not in text
    assert time.monotonic() - began < 5


@pytest.mark.slow
def test_a_wrong_password_and_a_wrong_name(own_server, caplog):
    text = refused(own_server.url(password="an0ther"))
    assert "password authentication failed" in text
    assert "check user and password" in text
    text += refused(own_server.url(database="nowhere"))
    assert 'database "nowhere" does not exist; create it' in text
    assert "an0ther" not in text + caplog.text
    assert PASSWORD not in text + caplog.text + repr(stores.open(own_server.url()))
