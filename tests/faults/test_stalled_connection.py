"""A connection that stays open and over which no answer comes: each call is bounded, and another one is tried."""

import time

import pytest
from helpers import wait_for
from proxies import Proxy
from store_helpers import START, StoreFactory, claim_of, dues, end, ended

from tgscheduler import stores
from tgscheduler.errors import StoreError
from tgscheduler.stores.base import StoreStatus

pytest_plugins = ["postgres", "store_fixtures"]
pytestmark = pytest.mark.slow

BOUND = 1.0


@pytest.fixture
def proxy(postgres_server, monkeypatch):
    """Yield a proxy in front of the server, with a short bound for what goes through it."""
    postgres = pytest.importorskip("tgscheduler.stores.postgres")
    monkeypatch.setattr(postgres._Connection, "bound", BOUND)
    proxy = Proxy(postgres_server.port)
    yield proxy
    proxy.close()


@pytest.fixture
def factory(proxy, postgres_schema):
    """Yield a factory of stores whose connections go through the proxy."""
    from sqlalchemy import make_url

    url = make_url(postgres_schema).set(host="127.0.0.1", port=proxy.port)
    url = url.update_query_dict({"connect_timeout": "2"})
    factory = StoreFactory(url.render_as_string(hide_password=False))
    yield factory
    factory.close()


def test_the_writer_goes_on_over_another_connection(factory, proxy):
    store = factory.open(timeout=0.2)
    factory.knows(store, "a")
    runs = []
    for number in range(1, 4):
        proxy.stall()
        claim = claim_of("a", START + number)
        (answer,) = factory.claimed(store, claim, timeout=4 * BOUND)
        assert answer.granted
        runs.append(end(claim.opened[0]))
    store.record(runs)
    assert store.flush(5)
    assert store.status() == StoreStatus()
    assert store.load()["a"].runs == 3
    assert dues(store.runs()) == [3.0, 2.0, 1.0]


def test_a_stall_in_the_middle_of_a_transaction_loses_nothing(factory, proxy):
    store = factory.open(timeout=0.2)
    factory.knows(store, "a")
    execute_many = store._database.execute_many

    def stall(connection, statement, rows):
        store._database.execute_many = execute_many
        proxy.stall()
        return execute_many(connection, statement, rows)

    store._database.execute_many = stall
    claim = claim_of("a", START + 1)
    (answer,) = factory.claimed(store, claim, timeout=20)  # the server frees the rows after 5 s
    assert answer.granted
    store.record([end(claim.opened[0])])
    assert store.flush(5)
    assert store.load()["a"].runs == 1
    assert stores.open(factory.url).counts() == {"ok": 1}


def test_a_reader_is_told_and_the_next_one_is_answered(factory, proxy):
    store = factory.open()
    store.record([ended("a", START)])
    assert store.flush(5)
    assert dues(store.runs()) == [0.0]  # a connection waits for the next reader from now on
    proxy.stall()
    began = time.monotonic()
    with pytest.raises(StoreError, match="no answer for 1 s"):
        store.runs()
    assert time.monotonic() - began < 3 * BOUND
    assert dues(store.runs()) == [0.0]
    assert store.counts_by_task() == {"a": {"ok": 1}}


def test_a_server_that_accepts_and_never_answers_is_refused_and_waited_for(factory, proxy):
    store = factory.open(timeout=0.2)
    proxy.silent = True
    proxy.stall()
    store.record([ended("a", START)])
    wait_for(lambda: store.status().down is not None)
    began = time.monotonic()
    with pytest.raises(StoreError):
        store.runs()
    with pytest.raises(StoreError, match="timeout"):
        factory.open()
    assert time.monotonic() - began < 10
    proxy.silent = False
    assert store.flush(15)
    wait_for(lambda: store.status().down is None)
    assert dues(store.runs()) == [0.0]


def test_a_stop_does_not_wait_for_an_answer_that_never_comes(factory, proxy, monkeypatch):
    monkeypatch.setattr("tgscheduler.stores.postgres._Connection.bound", 60.0)
    store = factory.open()
    proxy.stall()
    store.record([ended("a", START + number) for number in range(3000)])
    wait_for(lambda: store._writer._availability.busy)
    began = time.monotonic()
    assert store.close(3.0) == 0
    assert time.monotonic() - began < 3.5
    assert stores.open(factory.url).counts() == {"ok": 3000}
