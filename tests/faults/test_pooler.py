"""PgBouncer in transaction mode: what an application shares with us through it, and a first start of many."""

import subprocess
import sys

import pytest
from store_helpers import START, StoreFactory, ended

pytest_plugins = ["postgres", "store_fixtures"]
pytestmark = pytest.mark.slow

SETTINGS = (
    "statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "array_nulls", "extra_float_digits",
    "default_transaction_isolation", "default_transaction_read_only", "client_encoding",
)  # fmt: skip


def settings(connection):
    """Return what the sessions of an application's connection are set to."""
    return [connection.execute(f"SHOW {name}").fetchone()[0] for name in SETTINGS]


def test_nothing_of_ours_is_left_in_the_sessions_of_the_application(postgres_server, pooled_url):
    psycopg = pytest.importorskip("psycopg")
    factory = StoreFactory(pooled_url)
    plain = pooled_url.replace("+psycopg", "")
    with psycopg.connect(plain, autocommit=True, prepare_threshold=None) as connection:
        before = settings(connection)
        try:
            store = factory.open()
            for number in range(30):
                store.record([ended("a", START + number)])
                assert store.flush(5)
                assert len(store.runs()) == number + 1
                assert settings(connection) == before
        finally:
            factory.close()
        assert settings(connection) == before
        assert connection.execute("SELECT count(*) FROM pg_prepared_statements").fetchone() == (0,)
        held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
        assert connection.execute(held).fetchone() == (0,)


START_ONE = """
import sys
from tgscheduler import stores
store = stores.open(sys.argv[1])
store.open(lambda claims: None, lambda condition: None)
print(store.close(5))
"""


@pytest.mark.parametrize("server", ["postgres_schema", "pooled_url", "repeatable_read", "strange_defaults"])
def test_processes_that_start_at_once_on_an_empty_database(request, server):
    url = request.getfixturevalue(server)
    started = [
        subprocess.Popen([sys.executable, "-c", START_ONE, url], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        for _ in range(4)
    ]
    assert [process.communicate(timeout=30)[0].decode() for process in started] == ["0\n"] * 4


def test_pages_meet_without_a_gap_whatever_digits_a_server_shows(request):
    factory = StoreFactory(request.getfixturevalue("strange_defaults"))
    try:
        store = factory.open()
        runs = [ended("a", START + number / 7e5) for number in range(15)]
        store.record(runs)
        assert store.flush(5)
        pages = []
        while page := store.runs(task="a", limit=2, before=pages[-1] if pages else None):
            pages += page
        assert [run.due.hex() for run in pages] == [run.due.hex() for run in reversed(runs)]
    finally:
        factory.close()
