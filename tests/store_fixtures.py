"""Fixtures: factories of stores (see :mod:`store_helpers`) in an empty database of each kind."""

import pytest
from pgserver import Server
from store_helpers import StoreFactory

from tgscheduler.stores import sqlite as sqlite_store
from tgscheduler.stores import writer
from tgscheduler.stores.memory import MemoryStore


@pytest.fixture(autouse=True)
def quick_look(monkeypatch):
    """Let stores look at each other often."""
    monkeypatch.setattr(writer, "LOOK_INTERVAL", 0.03)


@pytest.fixture
def impatient(monkeypatch):
    """Do not wait long for another program's transaction."""
    monkeypatch.setattr(sqlite_store, "BUSY_TIMEOUT", 0.1)


#: Fixtures with the URL of an empty database on a server, and what is special about it.
SERVERS = ("postgres_schema", "pooled_url", "repeatable_read", "strange_defaults")


@pytest.fixture(params=["sqlite", *(pytest.param(name, marks=pytest.mark.slow) for name in SERVERS)])
def factory(request, tmp_path):
    """Yield a factory of stores in an empty database, of each kind."""
    factory = StoreFactory(
        f"sqlite:///{tmp_path}/runs.db" if request.param == "sqlite" else request.getfixturevalue(request.param)
    )
    yield factory
    factory.close()


@pytest.fixture
def sqlite(tmp_path):
    """Yield a factory of stores in one SQLite file, ``runs.db`` in ``tmp_path``."""
    factory = StoreFactory(f"sqlite:///{tmp_path}/runs.db")
    yield factory
    factory.close()


@pytest.fixture
def postgres(postgres_schema):
    """Yield a factory of stores in a PostgreSQL database."""
    factory = StoreFactory(postgres_schema)
    yield factory
    factory.close()


@pytest.fixture(scope="module")
def own_server():
    """Yield a server that may be stopped, as long as it is started again."""
    server = Server()
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture(params=["memory", "sqlite", pytest.param("postgres", marks=pytest.mark.slow)])
def store(request, tmp_path):
    """Yield an empty store, open where it has to be."""
    if request.param == "memory":
        yield MemoryStore()
        return
    url = request.getfixturevalue("postgres_schema") if request.param == "postgres" else f"sqlite:///{tmp_path}/runs.db"
    factory = StoreFactory(url)
    yield factory.open()
    factory.close()


@pytest.fixture(params=[False, True], ids=["at once", "on record"])
def settle(request, store):
    """Return what lets a store do its work, or what does not: what was recorded is there either way."""
    return (lambda: store.flush(5)) if request.param and store.persistent else (lambda: True)
