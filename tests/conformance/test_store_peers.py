"""Several processes at one store: who may start what, who is gone, and what each of them may claim."""

import os
import subprocess
import sys
import threading

import pytest
from helpers import wait_for
from store_helpers import START, claim_of, dues, end, ended

from tgscheduler import stores
from tgscheduler.clock import Clock
from tgscheduler.errors import StoreError
from tgscheduler.stores import peers
from tgscheduler.stores.base import Claim, StoreStatus
from tgscheduler.stores.migrating import migrations, statements
from tgscheduler.stores.nodes import birth
from tgscheduler.timetable.run import Run

pytest_plugins = ["postgres", "store_fixtures"]


class Ahead(Clock):
    """The host's clock, wrong by ``seconds``."""

    seconds = 0.0

    def now(self):
        return Clock.now() + self.seconds


class Stuck:
    """Holds the writer of a store up at a look at the others."""

    def __init__(self, store):
        self._peers, self._look, self._go = store._writer.peers, store._writer.peers.look, threading.Event()
        self._peers.look = lambda connection: self._go.wait(20) and self._look(connection)

    def free(self):
        self._peers.look = self._look
        self._go.set()


def dead():
    """Return the number and the birth of a process of this machine that is gone."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    began = birth(process.pid)
    process.communicate()
    return {"process": process.pid, "birth": began}


def alive(number=1):
    """Return the number and the birth of a process of this machine that lives: our parent."""
    number = os.getppid()
    return {"process": number, "birth": birth(number)}


# -- alone, or not -----------------------------------------------------------------------------------------------------


def test_a_store_is_alone_until_another_comes_and_again_once_that_has_left(factory):
    one = factory.open()
    assert one.alone()
    other = factory.open()
    assert not one.alone()
    assert not other.alone()
    other.close(5)
    wait_for(one.alone)
    one.close(5)
    assert factory.open().alone()


def test_a_newcomer_writes_nothing_until_one_that_was_alone_has_noticed_it(factory):
    one = factory.open()
    factory.knows(one, "a")
    stuck = Stuck(one)
    other = factory.open(timeout=0.2)
    try:
        claim = claim_of("a", START + 1)
        other.claim([claim])
        assert not other.flush(0.3)
        assert not other.alone()
        assert f"process {os.getpid()} on " in other.status().down
        assert "has not noticed this process yet" in other.status().down
    finally:
        stuck.free()
    assert other.flush(5)
    assert [answer.claim for answer in factory.answers] == [claim]
    assert other.status().down is None
    assert not one.alone()


def test_claims_made_alone_are_on_record_before_a_newcomer_begins(factory):
    one = factory.open(timeout=0.2)
    factory.knows(one, "a")
    stuck = Stuck(one)
    assert one.alone()  # and so it may start what it claims now
    ours, theirs = claim_of("a", START + 1), claim_of("a", START + 1)
    try:
        wait_for(lambda: one.status().down)
        one.claim([ours])
        other = factory.open(timeout=0.1)
        other.claim([theirs])
    finally:
        stuck.free()
    assert other.flush(5)
    answers = {id(answer.claim): answer.granted for answer in factory.answers}
    assert answers == {id(ours): True, id(theirs): False}


@pytest.mark.parametrize("gone", ["by the kernel", "in good order"])
def test_one_that_was_alone_and_is_gone_is_not_waited_for(factory, gone):
    one = factory.open()
    stuck = Stuck(one)
    try:
        factory.pretend(one, **(dead() if gone == "by the kernel" else {"seen": 0.0}))
        assert factory.open().alone()
    finally:
        stuck.free()


def test_one_of_another_machine_that_is_silent_is_waited_for_until_it_cannot_go_on(factory, monkeypatch):
    one = factory.open()
    stuck = Stuck(one)
    now = peers._uptime()
    try:
        monkeypatch.setattr(peers, "_uptime", lambda: now)
        factory.pretend(one, age=0.0, machine="another")
        other = factory.open(timeout=0.1)
        now += peers.BY_ITSELF * peers.GONE_AFTER
        assert not one.alone()
        assert not other.flush(0.2)
        now += (1 - peers.BY_ITSELF) * peers.GONE_AFTER
        assert other.flush(5)
    finally:
        stuck.free()


def test_alone_is_only_who_has_looked_lately(factory, monkeypatch):
    store = factory.open()
    stuck = Stuck(store)
    try:
        now = peers._uptime()
        monkeypatch.setattr(peers, "_uptime", lambda: now + 47.0)
        assert store.alone()
        monkeypatch.setattr(peers, "_uptime", lambda: now + 49.0)
        assert not store.alone()
    finally:
        stuck.free()
    wait_for(store.alone)


# -- what came too late ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("when", ["with its claim", "later", "cancelled by a stop"])
def test_a_run_whose_claim_is_refused_is_in_no_record_and_no_count(factory, when):
    one, other = factory.open(), factory.open()
    factory.knows(one, "a")
    factory.claimed(one, theirs := claim_of("a", START + 1))
    one.record([end(theirs.opened[0])])
    ours = claim_of("a", START + 1)
    other.claim([ours])
    if when == "later":
        assert other.flush(5)
    other.record([end(ours.opened[0], "cancelled" if when == "cancelled by a stop" else "ok")])
    assert other.flush(5)
    assert one.flush(5)
    assert [(run.id, run.state) for run in other.runs()] == [(theirs.opened[0].id, "ok")]
    assert stores.open(factory.url).counts() == {"ok": 1}
    assert stores.open(factory.url).counts_by_task() == {"a": {"ok": 1}}
    assert sum(other.counts().values()) == 0  # what the other has had is read from time to time


def test_a_batch_that_is_on_record_as_a_whole_is_nothing(factory):
    one, other = factory.open(), factory.open()
    factory.claimed(one, claim := claim_of("a", START))
    same = Run("a", START)
    same.number = claim.opened[0].number
    one.record([end(claim.opened[0])])
    assert one.flush(5)
    other.record([end(same, "lost")])
    assert other.flush(5)
    assert other.status() == StoreStatus()
    assert stores.open(factory.url).counts() == {"ok": 1}


# -- gone, or not ------------------------------------------------------------------------------------------------------


def test_runs_of_a_process_that_dies_while_another_lives_are_found_by_that(factory):
    one, other = factory.open(), factory.open()
    factory.claimed(one, *(claim_of("a", START + number) for number in range(3)))
    stuck = Stuck(one)
    try:
        factory.pretend(one, **dead())
        wait_for(lambda: factory.orphans)
    finally:
        stuck.free()
    assert [(run.due - START, run.state, run.attempt) for run in factory.orphans] == [
        (number, "running", 1) for number in (0.0, 1.0, 2.0)
    ]
    assert other.take_over_orphans() == []


def test_runs_that_a_process_has_left_open_as_it_ended_are_found_too(factory):
    one, _ = factory.open(), factory.open()
    factory.claimed(one, claim_of("a", START))
    one.close(5)
    wait_for(lambda: dues(factory.orphans) == [0.0])


def test_a_process_that_lives_is_never_taken_for_gone_on_its_own_machine(factory):
    one, other = factory.open(), factory.open()
    factory.claimed(one, claim_of("a", START))
    factory.pretend(one, age=100_000.0, **alive())
    assert other.take_over_orphans() == []
    assert not other.alone()
    assert other.flush(5)
    assert factory.orphans == []


def test_a_process_of_another_machine_is_gone_once_it_was_silent_before_our_eyes(factory, monkeypatch):
    one, other = factory.open(), factory.open()
    factory.claimed(one, claim_of("a", START))
    later = 0.0
    real = peers._uptime
    stuck = Stuck(one)
    try:
        monkeypatch.setattr(peers, "_uptime", lambda: real() + later)
        factory.pretend(one, age=70.0, machine="another")
        wait_for(lambda: one._writer.node in other._writer.peers._watched)
        assert factory.orphans == []
        later = peers.WATCHED * peers.BEAT
        wait_for(lambda: dues(factory.orphans) == [0.0])
    finally:
        stuck.free()


def test_a_further_attempt_of_a_run_that_was_taken_over_is_refused(factory):
    one, other = factory.open(), factory.open()
    factory.claimed(one, claim := claim_of("a", START))
    run = claim.opened[0]
    factory.execute("UPDATE tg_node SET seen = 0 WHERE id = ?", (one._writer.node,))
    (lost,) = other.take_over_orphans() or wait_for(factory.orphans.copy)
    again = lost.taken_over("its process is gone")
    (answer,) = factory.claimed(other, Claim("a", START, START, [again], off_schedule=True))
    assert answer.granted
    run.attempt = 2
    (answer,) = factory.claimed(one, Claim("a", START, START, [run], off_schedule=True))
    assert not answer.granted
    one.record([end(run)])
    other.record([end(again, "failed")])
    assert one.flush(5)
    assert other.flush(5)
    assert [(found.state, found.attempt) for found in stores.open(factory.url).runs()] == [("failed", 2)]


def test_takeovers_and_attempts_are_on_record_before_they_start(factory):
    store = factory.open()
    factory.claimed(store, claim := claim_of("a", START))
    run = claim.opened[0]
    for attempt in (2, 3):
        run.attempt = attempt
        factory.claimed(store, Claim("a", START, START, [run], off_schedule=True))
    assert [found.attempt for found in stores.open(factory.url).runs()] == [3]
    for takeovers in (1, 2):
        store = factory.reopened(store)
        (lost,) = store.take_over_orphans() or wait_for(factory.orphans.copy)
        again = lost.taken_over("its process is gone")
        factory.claimed(store, Claim("a", START, START, [again], off_schedule=True))
        (found,) = stores.open(factory.url).runs()
        assert (found.attempt, found.takeovers) == (3 + takeovers, takeovers)
        factory.orphans.clear()


# -- clocks ------------------------------------------------------------------------------------------------------------


def test_a_clock_that_is_ahead_of_the_others_claims_nothing_of_the_future_and_says_so(factory, caplog):
    right = factory.open(clock=Clock())
    fast = Ahead()
    fast.seconds = 3000.0
    wrong = factory.open(clock=fast)
    now = Clock.now()
    factory.knows(right, "a", high_water=now - 60)
    (answer,) = factory.claimed(wrong, claim_of("a", now - 30, now + 2990))
    assert (answer.granted, answer.early, answer.high_water) == (False, True, now - 60)
    assert "clock is 3000 s ahead" in caplog.text
    assert wrong.status().skew == pytest.approx(3000, abs=2)
    assert right.status().skew == 0.0
    (answer,) = factory.claimed(right, claim_of("a", now))
    assert answer.granted


def test_a_clock_that_is_ahead_by_no_more_than_all_others_is_not_wrong(factory):
    fast = Ahead()
    fast.seconds = 3000.0
    one, _ = factory.open(clock=fast), factory.open(clock=fast)
    assert one.flush(5)
    (answer,) = factory.claimed(one, claim_of("a", Clock.now() + 2999))
    assert answer.granted


def test_a_clock_that_is_ahead_alone_goes_by_itself(factory):
    fast = Ahead()
    fast.seconds = 3000.0
    store = factory.open(clock=fast)
    (answer,) = factory.claimed(store, claim_of("a", Clock.now() + 2999))
    assert answer.granted
    assert store.status() == StoreStatus()


# -- an older schema ---------------------------------------------------------------------------------------------------

TASK = f"INSERT INTO tg_task (id, name, spec, mark, paused_until, runs) VALUES (5, 'a', 'spec', {START}, 0, 4)"


def make_version(url, version, *rows):
    """Make a database of an older version with rows in it."""
    database = stores.open(url)._database
    database.prepare()
    connection = database.connect(writing=True)
    try:
        for number in range(1, version + 1):
            for statement in statements(migrations(database.dialect)[number]):
                database.execute(connection, statement)
        for statement in (f"INSERT INTO tg_schema (version, applied) VALUES ({version}, 0)", *rows):
            database.execute(connection, statement)
    finally:
        database.close(connection)


def test_a_database_of_the_first_version_is_brought_up_to_date_with_what_is_in_it(factory):
    make_version(
        factory.url,
        1,
        "INSERT INTO tg_node (id, host, machine, process, birth, begun, seen, batch) "
        "VALUES (7, 'here', 'then', 8, 9, 1, 0, 3)",
        TASK,
        f"INSERT INTO tg_open (id, task_id, due, count, attempt, node_id) VALUES (11, 5, {START}, 1, 2, 7)",
    )
    with pytest.raises(StoreError, match="0002"):
        factory.open(auto_migrate=False)
    store = factory.open()
    assert store.load()["a"].runs == 4
    (lost,) = store.take_over_orphans() or wait_for(factory.orphans.copy)
    assert (lost.number, lost.attempt, lost.takeovers, lost.where.host) == (11, 2, 0, "here")
    store.record([ended("a", START + 1)])
    assert store.flush(5)


def test_runs_from_before_there_were_durations_count_in_the_success_rate_only(factory):
    spans = [("hour", int(START)), ("day", int(START) // 86400 * 86400), ("ever", 0)]
    make_version(
        factory.url,
        2,
        TASK,
        *(f"INSERT INTO tg_count VALUES ('{span}', {begin}, 5, 'failed', 3, 90.0, 50.0)" for span, begin in spans),
    )
    with pytest.raises(StoreError, match="0003"):
        factory.open(auto_migrate=False)
    store = factory.open()
    before = store.durations(["a"])["a"]
    assert (before.counts, before.success_rate, before.mean, before.longest) == ({"failed": 3}, 0.0, None, None)
    assert store.counts_by_hour(START, START + 1) == {START: {"failed": 3}}
    assert store.counts() == {"failed": 3}
    store.record([ended("a", START + 1, took=2.0)])
    for since in (None, START):
        after = store.durations(["a"], since)["a"]
        assert (after.counts, after.success_rate) == ({"failed": 3, "ok": 1}, 0.25)
        assert (after.mean, after.longest) == pytest.approx((2.0, 2.0))
