"""Fixtures: keepers of stores (see :mod:`keeping`) in an empty database of each kind."""

import pytest
from keeping import Keeper
from pgserver import Server

from tgscheduler.stores import writer


@pytest.fixture(autouse=True)
def quick_look(monkeypatch):
    """Let stores look at each other often."""
    monkeypatch.setattr(writer, "LOOK", 0.03)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.slow)])
def keeper(request, tmp_path):
    """Yield a keeper of stores in an empty database, of each kind."""
    url = request.getfixturevalue("postgres_schema") if request.param == "postgres" else f"sqlite:///{tmp_path}/runs.db"
    keeper = Keeper(url)
    yield keeper
    keeper.close()


@pytest.fixture
def sqlite(tmp_path):
    """Yield a keeper of stores in one SQLite file, ``runs.db`` in ``tmp_path``."""
    keeper = Keeper(f"sqlite:///{tmp_path}/runs.db")
    yield keeper
    keeper.close()


@pytest.fixture
def postgres(postgres_schema):
    """Yield a keeper of stores in a PostgreSQL database."""
    keeper = Keeper(postgres_schema)
    yield keeper
    keeper.close()


@pytest.fixture(scope="module")
def own_server():
    """Yield a server that may be stopped, as long as it is started again."""
    server = Server()
    try:
        server.start()
        yield server
    finally:
        server.remove()
