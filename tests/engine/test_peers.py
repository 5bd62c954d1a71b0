"""What the engine does with a store that other processes use as well: what they had, and clocks that differ."""

import pytest
from helpers import HOUR, NOON, noop, states

from tgscheduler import stores
from tgscheduler.stores.base import Claim, ClaimResult, TaskRecord
from tgscheduler.testing import TickedScheduler
from tgscheduler.timetable.run import RUNNING, Run


@pytest.fixture
def other(url):
    """Another process's store at the same database."""
    store = stores.open(url, days=None)
    store.open(lambda claims: None, lambda status: None)
    yield store
    store.close(5)


def take(store, task, due, until=None):
    """Have another process claim a task's occurrences, and end them well."""
    until = due if until is None else until
    run = Run(task, due, until=until)
    store.claim([Claim(task, due, until, [run])])
    run.started = run.ended = until
    run.state = "ok"
    store.record([run])
    assert store.flush(5)


def test_what_is_behind_the_mark_of_a_claim_that_is_refused_is_due_again(begin, url, other):
    def schedule(scheduler):
        scheduler.add_interval_task(noop, HOUR, taskname="it")

    scheduler = begin(NOON, schedule)
    scheduler.tick(1)
    take(other, "it", NOON + HOUR, NOON + 2 * HOUR)
    scheduler.clock.advance(4 * HOUR)  # what is due now is claimed as a whole, and refused
    scheduler.tick(60)
    assert states(scheduler) == [
        (0.0, 1, "ok"),
        (HOUR, 1, "ok"),
        (3 * HOUR, 2, "ok"),
    ]


def test_what_follows_a_catch_up_is_claimed_once_that_is_answered(begin, url, other, monkeypatch):
    scheduler = begin(NOON, lambda each: each.add_interval_task(noop, HOUR, taskname="it"))
    scheduler.tick(1)
    take(other, "it", NOON + HOUR)
    loop, store, asked = scheduler._lifecycle.loop, scheduler._journal.store, []
    claim = store.claim
    monkeypatch.setattr(store, "claim", asked.append)
    scheduler.clock.advance(2 * HOUR)  # two are due, and claimed; the other process has had the first
    loop.turn()
    scheduler.clock.advance(HOUR)  # the third comes due before the store has answered
    loop.turn()
    [catch_up] = asked
    monkeypatch.setattr(store, "claim", claim)
    store.claim(catch_up)
    scheduler.tick(60)
    assert [(due, count) for due, count, _ in states(scheduler)] == [(0.0, 1), (HOUR, 1), (2 * HOUR, 2)]


def test_a_step_of_the_clock_leaves_the_grid_of_a_store_that_others_use_alone(begin, url, other):
    scheduler = begin(NOON, lambda each: each.add_interval_task(noop, HOUR, taskname="it"))
    scheduler.tick(60)
    before = other.load()["it"]
    scheduler.clock.step_by(1800.0)
    scheduler.tick(60)
    scheduler.clock.step_by(-1800.0)
    scheduler.tick(60)
    assert other.load()["it"] == before
    scheduler.tick(HOUR)
    assert [run.due - NOON for run in scheduler.runs()] == [HOUR, 0.0]


def test_a_mark_in_the_future_is_in_health_until_a_run_is_granted(begin, other):
    scheduler = begin(NOON, lambda each: each.add_cron_task(noop, "*/10 * * * *", taskname="it"))
    scheduler.tick(60)
    other.save([TaskRecord("it", "Cron('*/10 * * * *')", high_water=NOON + HOUR)])
    assert other.flush(5)
    scheduler.tick(600)
    [reason] = scheduler.health()["reasons"]
    assert reason.startswith("it: it is on record as run until ")
    scheduler.tick(HOUR)
    assert scheduler.health()["reasons"] == []


def test_what_was_refused_as_early_is_due_again_once_the_clock_is_right(url, request):
    ran = []
    store = stores.open(url, days=None)
    claim, status = store.claim, store.status
    scheduler = TickedScheduler(start=NOON, store=store)
    request.addfinalizer(scheduler.stop)
    scheduler.add_interval_task(lambda: ran.append("interval"), HOUR, taskname="it", initialdelay=10)
    scheduler.add_single_task(lambda: ran.append("single"), taskname="once", initialdelay=20)

    refused = []

    def refuse(claims):
        refused.extend(run for claim in claims for run in claim.opened)
        scheduler._lifecycle.dispatcher.claims.on_claimed(
            [ClaimResult(each, False, NOON, early=True) for each in claims]
        )

    store.claim, store.status = refuse, lambda: status()._replace(skew=3000.0)
    scheduler.tick(HOUR + 60)
    assert ran == []
    assert {run.reason for run in refused} == {
        "this process's clock is ahead of the store's; it comes due again once it is not"
    }
    store.claim, store.status = claim, status
    scheduler.tick(60)
    assert sorted(ran) == ["interval", "single"]
    assert [(run.task, run.due - NOON, run.count) for run in scheduler.runs()] == [("once", 20.0, 1), ("it", 10.0, 2)]


@pytest.mark.parametrize("late_by", [0.0, 60.0], ids=["with the step", "after the step"])
def test_a_single_task_that_was_refused_as_early_keeps_its_time_when_the_clock_is_put_right(url, request, late_by):
    ran = []
    store = stores.open(url, days=None)
    claim, status = store.claim, store.status
    scheduler = TickedScheduler(start=NOON, store=store)
    request.addfinalizer(scheduler.stop)
    scheduler.start()
    now = scheduler.clock.now
    scheduler.add_single_task(lambda: ran.append(("at", now() - NOON)), taskname="at", at=NOON + 600)
    scheduler.add_single_task(lambda: ran.append(("delay", now() - NOON)), taskname="delay", initialdelay=30)

    def refuse(claims):
        scheduler._lifecycle.dispatcher.claims.on_claimed(
            [ClaimResult(each, False, NOON, early=True) for each in claims]
        )

    scheduler.clock.step_by(3000.0)
    store.claim, store.status = refuse, lambda: status()._replace(skew=3000.0)
    scheduler.tick(60)
    assert ran == []
    scheduler.clock.step_by(-3000.0)
    store.claim = claim
    if not late_by:  # the store says that the clock is right before the loop has seen the step
        store.status = status
    scheduler.tick(late_by)
    store.status = status
    scheduler.tick(700)
    assert ran == [("delay", 60.0 + late_by), ("at", 600.0)]


def test_a_lost_run_that_may_not_run_beside_another_is_recorded_as_lost():
    scheduler = TickedScheduler(start=NOON)
    orphan = Run("it", NOON - 60, state=RUNNING)
    orphan.number = 1
    dispatcher = scheduler._lifecycle.dispatcher
    scheduler.add_interval_task(lambda: dispatcher.take_over([orphan], NOON), 60, taskname="it", on_lost="rerun")
    scheduler.tick(1)
    assert [(run.due - NOON, run.state, run.attempt) for run in scheduler.runs()] == [
        (0.0, "ok", 1),
        (-60.0, "lost", 1),
    ]
    assert orphan.reason.endswith(
        f"ended while attempt 1 was in flight; it does not run again: overlap: the run due {NOON:.3f} has not ended"
    )
