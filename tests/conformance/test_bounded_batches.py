"""However much is submitted at once, a transaction stays small; what can stay small of it."""

import pytest
from store_helpers import START, claim_of, end, ended

from tgscheduler import stores
from tgscheduler.stores.base import Claim, StoreStatus, TaskRecord
from tgscheduler.stores.write_buffer import WRITE_BATCH
from tgscheduler.timetable.run import Run

pytest_plugins = ["postgres", "store_fixtures"]

MANY = 3 * WRITE_BATCH + 100


@pytest.fixture
def sizes(monkeypatch):
    """Return a function that notes how many rows each statement of a store gets."""

    def note(store):
        database, sizes = store._database, []
        for verb in ("execute_many", "select"):
            whole = getattr(database, verb)
            monkeypatch.setattr(
                database, verb, lambda *args, _whole=whole: (sizes.append(len(args[-1])), _whole(*args))[1]
            )
        return sizes

    return note


def test_what_one_call_writes_is_several_transactions(factory, sizes):
    store = factory.open()
    found = sizes(store)
    store.save([TaskRecord(f"task {number}", "spec", high_water=START) for number in range(MANY)])
    claims = [claim_of(f"task {number}", START + 1) for number in range(MANY)]
    factory.claimed(store, *claims, timeout=30)
    store.record([end(claim.opened[0]) for claim in claims])
    assert store.flush(30)
    assert max(found) == WRITE_BATCH
    assert store.status() == StoreStatus()
    assert [answer.claim for answer in factory.answers] == claims
    assert stores.open(factory.url).counts() == {"ok": MANY}
    assert stores.open(factory.url).runs(state="running") == []


def test_a_claim_is_granted_as_a_whole_however_large(factory):
    store = factory.open()
    opened = [Run("a", START + number) for number in range(MANY)]
    closed = [ended("a", START - MANY + number, "missed") for number in range(MANY)]
    (answer,) = factory.claimed(store, Claim("a", START - MANY, START + MANY, opened, closed), timeout=30)
    assert answer.granted
    store.record([end(run) for run in opened])
    assert store.flush(30)
    assert stores.open(factory.url).counts() == {"ok": MANY, "missed": MANY}


def test_what_is_on_record_already_is_not_counted_twice(factory):
    store, other = factory.open(), factory.open()
    factory.knows(store, "a")
    (answer,) = factory.claimed(store, claim_of("a", START + 1))
    run = end(answer.claim.opened[0])
    other.record([run])
    assert other.flush(5)
    store.record([run])
    assert store.flush(5)
    assert store.status() == StoreStatus()
    assert factory.conditions == []
    assert stores.open(factory.url).counts() == {"ok": 1}
