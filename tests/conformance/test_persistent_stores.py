"""One suite over the stores that outlive the process: claims, what is known of tasks, what is lost, retention."""

import math
import threading

import pytest
from helpers import wait_for
from store_helpers import START, claim_of, dues, end, ended, fields

from tgscheduler import stores
from tgscheduler.errors import StoreError
from tgscheduler.stores import sums
from tgscheduler.stores.base import Claim, ClaimResult, TaskRecord
from tgscheduler.timetable.run import Run

pytest_plugins = ["postgres", "store_fixtures"]

DAY = 86400.0


# -- claims ------------------------------------------------------------------------------------------------------------


def test_a_claim_is_granted_while_the_mark_is_before_it(factory):
    store = factory.open()
    factory.knows(store, "a", "b")
    first, again, next_, other = (
        claim_of("a", START + 1, START + 3), claim_of("a", START + 3), claim_of("a", START + 4), claim_of("b", START),
    )  # fmt: skip
    assert factory.claimed(store, first, again, next_, other) == [
        ClaimResult(first, True, START + 3), ClaimResult(again, False, START + 3), ClaimResult(next_, True, START + 4),
        ClaimResult(other, False, START),
    ]  # fmt: skip
    record = store.load()
    assert (record["a"].high_water, record["a"].runs) == (START + 4, 2)
    assert (record["b"].high_water, record["b"].runs) == (START, 0)
    assert dues(stores.open(factory.url).runs(state="running")) == [4.0, 3.0]


def test_a_claim_of_a_task_that_no_one_saved_is_granted(factory):
    store = factory.open()
    (answer,) = factory.claimed(store, claim_of("a", START))
    assert answer.granted
    assert store.load()["a"] == TaskRecord("a", "", None, START, -math.inf, 1)


def test_a_mark_more_than_three_hours_ahead_does_not_count(factory):
    store = factory.open()
    factory.knows(store, "a", high_water=START + 4 * 3600)
    factory.knows(store, "b", high_water=START + 2 * 3600)
    assert [answer.granted for answer in factory.claimed(store, claim_of("a", START), claim_of("b", START))] == [
        True,
        False,
    ]
    assert store.load()["a"].high_water == START


def test_what_is_asked_for_by_hand_is_granted_and_moves_no_mark(factory):
    store = factory.open()
    factory.knows(store, "a", high_water=START + 10)
    (answer,) = factory.claimed(store, claim_of("a", START, off_schedule=True))
    assert answer.granted
    assert (store.load()["a"].high_water, store.load()["a"].runs) == (START + 10, 0)
    assert dues(stores.open(factory.url).runs()) == [0.0]


def test_what_ends_with_a_claim_is_on_record_where_it_is_granted(factory):
    store = factory.open()
    factory.knows(store, "a")
    missed, late = ended("a", START + 1, "missed", 4), ended("a", START, "missed", 9)
    factory.claimed(
        store, Claim("a", START + 1, START + 5, closed=[missed]), Claim("a", START, START + 2, closed=[late])
    )
    assert [(run.state, run.count) for run in store.runs()] == [("missed", 4)]
    assert store.counts() == {"missed": 4}
    assert store.counts_by_task() == {"a": {"missed": 4}}


def test_claims_come_back_in_order_however_many(factory):
    store = factory.open()
    claims = [claim_of(f"task {number % 7}", START + number) for number in range(3000)]
    store.claim(claims[:1000])
    for claim in claims[1000:2000]:
        store.claim([claim])
    store.claim(claims[2000:])
    assert store.flush(20)
    assert [answer.claim for answer in factory.answers] == claims
    assert all(answer.granted for answer in factory.answers)
    assert sum(record.runs for record in store.load().values()) == 3000


def test_an_opened_run_is_one_record_from_its_claim_to_its_end(factory):
    store = factory.open()
    claim = claim_of("a", START)
    factory.claimed(store, claim)
    (run,) = claim.opened
    reader = stores.open(factory.url)
    assert [(found.id, found.state) for found in reader.runs()] == [(run.id, "running")]
    assert store.runs() == []  # its engine has it
    store.record([end(run)])
    assert store.runs() == [run]
    assert store.flush(5)
    for found in (*store.runs(), *reader.runs()):
        assert (found.id, fields(found)) == (run.id, fields(run))
    assert store.counts() == reader.counts() == {"ok": 1}


def test_an_open_run_is_found_by_its_id_and_among_the_last_ones_by_any_other_process(factory):
    store, reader = factory.open(), stores.open(factory.url)
    factory.knows(store, "a", "b")
    claims = [claim_of("a", START + 1), claim_of("a", START + 2), claim_of("b", START + 3)]
    factory.claimed(store, *claims)
    store.record([end(claims[0].opened[0], "failed")])
    assert store.flush(5)
    ids = [claim.opened[0].id for claim in claims]
    assert [reader.run(id).state for id in ids] == ["failed", "running", "running"]
    assert store.run(ids[0]).state == "failed"
    assert store.run(ids[1]) is None  # its engine has it
    last = reader.recent_runs(["a", "b"])
    assert {task: [run.id for run in runs] for task, runs in last.items()} == {"a": ids[1::-1], "b": ids[2:]}
    assert store.recent_runs(["b"]) == {"b": []}
    assert [run.id for run in reader.runs(state=("running", "failed"))] == ids[::-1]
    assert [run.id for run in reader.runs(state=("waiting", "failed"))] == ids[:1]


def test_a_run_that_ends_with_its_claim_is_found_by_its_id_from_the_claim_on(factory):
    store = factory.open()
    missed = ended("a", START, "missed")
    store.claim([Claim("a", START, START, closed=[missed])])
    assert store.run(missed.id).state == "missed"
    assert store.flush(5)
    assert store.run(missed.id).state == "missed"


def test_runs_have_their_numbers_before_they_are_claimed(factory):
    store, run = factory.open(), Run("a", START)
    store.assign_numbers([run])
    number = run.number
    store.assign_numbers([run])
    factory.claimed(store, Claim("a", START, START, [run]))
    assert (run.number, run.id) == (number, str(number))
    assert stores.open(factory.url).run(run.id).state == "running"


def test_pages_meet_after_a_run_that_was_removed(factory):
    store = factory.open()
    runs = [ended("ab"[number % 2], START + number // 4) for number in range(12)]
    store.record(runs)
    assert store.flush(5)
    whole = [run.id for run in store.runs()]
    last = store.runs(limit=5)[-1]
    factory.execute("DELETE FROM tg_run WHERE id = ?", (last.number,))
    assert store.run(last.id) is None
    assert [run.id for run in store.runs(before=last)] == whole[5:]
    assert [run.id for run in store.runs(before=last.cursor)] == whole[5:]


def test_a_run_that_began_before_its_claim_came_back_ends_all_the_same(factory):
    store = factory.open()
    claim = claim_of("a", START)
    store.claim([claim])
    store.record([end(claim.opened[0])])
    assert store.flush(5)
    assert [run.state for run in stores.open(factory.url).runs()] == ["ok"]


def test_a_claim_that_another_had_harms_nothing_beside_it(factory):
    store, other = factory.open(), factory.open()
    factory.claimed(other, claim_of("a", START + 1))
    claims = [claim_of("new", START), claim_of("a", START + 1), claim_of("a", START + 2)]
    store.record([ended("newer", START)])
    assert [answer.granted for answer in factory.claimed(store, *claims)] == [True, False, True]
    factory.claimed(other, claim_of("newest", START))
    store.record([ended("new", START + 3), ended("newest", START + 4)])
    assert store.flush(5)
    found = sorted((run.task, run.due - START, run.state) for run in stores.open(factory.url).runs())
    assert found == [
        ("a", 1.0, "running"), ("a", 2.0, "running"), ("new", 0.0, "running"), ("new", 3.0, "ok"),
        ("newer", 0.0, "ok"), ("newest", 0.0, "running"), ("newest", 4.0, "ok"),
    ]  # fmt: skip


def test_two_stores_never_have_one_occurrence_both(factory):
    one, other = factory.open(), factory.open()
    names = [f"task {number}" for number in range(20)]
    factory.knows(one, *names)
    for number in range(1, 40):
        for store in (one, other):
            store.claim([claim_of(name, START + number) for name in names])
    assert one.flush(20)
    assert other.flush(20)
    granted = [(answer.claim.task, answer.claim.due) for answer in factory.answers if answer.granted]
    assert len(set(granted)) == len(granted)
    assert {due for _, due in granted} >= {START + 39}
    assert len(factory.answers) == 2 * 39 * 20
    assert len(stores.open(factory.url).runs(limit=10_000)) == len(granted)


# -- what is known of tasks --------------------------------------------------------------------------------------------


def test_what_is_known_of_tasks_comes_back_bit_by_bit(factory):
    store = factory.open()
    record = {
        "a": TaskRecord("a", "every 0.1 s", 1 / 3, START + 0.1, math.inf, 3),
        "b": TaskRecord("b", "café ☕", None, -math.inf, -math.inf, 0),
    }
    store.save(list(record.values()))
    assert store.flush(5)
    assert store.load() == record
    assert factory.reopened(store).load() == record


def test_a_known_task_keeps_its_runs_and_its_mark_does_not_go_back_unless_it_is_told_to(factory):
    store = factory.open()
    factory.claimed(store, claim_of("a", START + 5))
    store.save([TaskRecord("a", "new", 1.0, START, 2.0, 99)])
    assert store.flush(5)
    assert store.load() == {"a": TaskRecord("a", "new", 1.0, START + 5, 2.0, 1)}
    store.save([TaskRecord("a", "new", 1.0, START)], back=True)
    store.save([TaskRecord("a", "newer", 1.0, START - 1)])
    assert store.flush(5)
    assert store.load() == {"a": TaskRecord("a", "newer", 1.0, START, -math.inf, 1)}


def test_a_task_saved_twice_at_once_is_as_the_second_says(factory):
    store = factory.open()
    store.save([TaskRecord("a", "one", high_water=START + 1), TaskRecord("a", "two", high_water=START)])
    assert store.flush(5)
    assert store.load() == {"a": TaskRecord("a", "two", high_water=START + 1)}


def test_a_renamed_task_takes_its_history_with_it(factory):
    store = factory.open()
    factory.claimed(store, claim_of("old", START))
    store.record([ended("old", START + 1)])
    store.rename("old", "new")
    store.record([ended("new", START + 2), ended("old", START + 3)])
    assert store.flush(5)
    assert dues(store.runs(task="new")) == [2.0, 1.0]
    assert dues(store.runs(task="old")) == [3.0]
    assert store.load()["new"].high_water == START
    assert store.counts_by_task() == {"new": {"ok": 2}, "old": {"ok": 1}}
    assert {task: durations.runs for task, durations in store.durations().items()} == {"new": 2, "old": 1}


def test_a_rename_to_a_known_name_or_of_an_unknown_one_does_nothing(factory):
    store = factory.open()
    factory.knows(store, "a", "b")
    store.rename("a", "b")
    store.rename("nobody", "c")
    assert store.flush(5)
    assert set(store.load()) == {"a", "b"}


# -- a life and the next one -------------------------------------------------------------------------------------------


def test_what_was_recorded_is_there_at_the_next_opening(factory):
    store = factory.open()
    factory.claimed(store, claim_of("a", START))
    store.record([ended("a", START + number, "failed", 2) for number in range(100)])
    store = factory.reopened(store)
    assert len(store.runs(limit=1000)) == 101
    assert store.counts() == {"failed": 200}
    assert store.counts_by_task(START) == {"a": {"failed": 200}}
    store.record([ended("a", START + 200)])
    assert store.counts() == {"failed": 200, "ok": 1}


def test_one_store_is_opened_and_closed_again_and_again(factory):
    store = factory.open()
    for number in range(1, 4):
        store.record([ended("a", START + number)])
        assert store.close(5) == 0
        assert store.close(5) == 0
        with pytest.raises(StoreError, match="open"):
            store.record([ended("a", START)])
        store.open(factory.answers.extend, factory.conditions.append)
        with pytest.raises(StoreError, match="close"):
            store.open(factory.answers.extend, factory.conditions.append)
        assert store.counts() == {"ok": number}
    assert len({run.id for run in store.runs()}) == 3


def test_a_store_is_read_without_being_opened(factory):
    factory.open().record([ended("a", START + 0.1)])
    factory.close()
    reader = stores.open(factory.url)
    (run,) = reader.runs(task="a", since=START, limit=1)
    assert run.due == START + 0.1
    assert reader.counts() == {"ok": 1}
    assert reader.counts_by_task() == {"a": {"ok": 1}}
    assert reader.load()["a"].name == "a"
    with pytest.raises(StoreError, match="open"):
        reader.record([ended("a", START)])


def test_runs_of_a_process_that_is_gone_are_lost_once_and_then_ours(factory):
    gone = factory.open()
    claims = [claim_of("a", START + number) for number in range(3)]
    factory.claimed(gone, *claims)
    store = factory.open()
    assert store.take_over_orphans() == []  # its process lives
    assert dues(store.runs()) == [2.0, 1.0, 0.0]  # and has them
    assert gone.close(5) == 0
    lost = store.take_over_orphans() or wait_for(factory.orphans.copy)  # it looks for them as well
    assert [(run.id, run.state, run.due) for run in lost] == [
        (claim.opened[0].id, "running", claim.due) for claim in claims
    ]
    assert store.take_over_orphans() == []
    assert store.runs() == []
    lost[0].state, lost[0].ended, lost[0].reason = "lost", START + 9, "its process is gone"
    store.record(lost[:1])
    lost[1].attempt = 2
    (answer,) = factory.claimed(store, Claim("a", lost[1].due, lost[1].due, lost[1:2], off_schedule=True))
    assert answer.granted
    found = {run.due - START: (run.state, run.attempt) for run in stores.open(factory.url).runs()}
    assert found == {0.0: ("lost", 1), 1.0: ("running", 2), 2.0: ("running", 1)}


def test_a_process_of_another_machine_is_gone_after_a_minute_by_the_databases_clock(factory):
    silent = factory.open()
    factory.claimed(silent, claim_of("a", START))
    store = factory.open()
    factory.clock.advance(1000.0)  # a process's own clock has no say
    factory.pretend(silent, age=50.0, machine="another")
    assert store.take_over_orphans() == []
    factory.pretend(silent, age=61.0, machine="another")
    lost = store.take_over_orphans() or wait_for(factory.orphans.copy)
    assert len(lost) == 1
    lost[0].state, lost[0].ended = "lost", START + 61
    store.record(lost)
    assert store.flush(5)
    silent.record([end(Run("a", START))])  # something else
    late = end(Run("a", START))
    late.number = lost[0].number
    silent.record([late])  # it was there after all: the first record stays
    assert silent.flush(5)
    assert silent.status().down is None
    reader = stores.open(factory.url)
    assert sorted(run.state for run in reader.runs()) == ["lost", "ok"]
    assert reader.counts() == {"lost": 1, "ok": 1}
    assert silent.counts() == {"ok": 1}


def test_of_two_that_start_only_one_has_what_was_lost(factory):
    gone = factory.open()
    factory.claimed(gone, *(claim_of("a", START + number) for number in range(50)))
    gone.close(5)
    starting = [factory.open() for _ in range(4)]
    found = [None] * 4

    def start(place):
        found[place] = starting[place].take_over_orphans()

    threads = [threading.Thread(target=start, args=(place,)) for place in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wait_for(lambda: sum(map(len, found)) + len(factory.orphans) >= 50)  # some find them before they are asked
    ids = [run.id for runs in [*found, factory.orphans] for run in runs]
    assert len(ids) == len(set(ids)) == 50


# -- what is not on record yet -----------------------------------------------------------------------------------------


def test_readers_never_see_a_run_twice_or_not_at_all(factory):
    store = factory.open()
    over, seen = threading.Event(), []

    def look():
        while not over.is_set():
            before = store.counts().get("ok", 0)
            runs, counts = len(store.runs(limit=100_000)), store.counts_by_task().get("a", {}).get("ok", 0)
            after = store.counts().get("ok", 0)
            seen.append(before <= runs <= after and before <= counts <= after)

    reader = threading.Thread(target=look)
    reader.start()
    for number in range(400):
        store.record([ended("a", START + number)])
        if number % 20 == 0:
            factory.claimed(store, claim_of("b", START + number))
    wait_for(lambda: len(seen) > 5)
    over.set()
    reader.join()
    assert seen
    assert all(seen)


def test_ended_runs_are_on_record_within_100_ms(factory):
    store = factory.open()
    factory.knows(store, "a")
    reader = stores.open(factory.url)
    store.record([ended("a", START)])
    wait_for(lambda: reader.runs(), 1.0)  # the exact bound is the benchmark's


# -- retention ---------------------------------------------------------------------------------------------------------


def test_what_is_too_old_is_removed_and_still_counted(factory):
    store = factory.open(days=10)
    store.record([ended("a", START - day * DAY) for day in range(20)])
    store.record([ended("b", START - 15 * DAY)] * 1)
    store = factory.reopened(store, days=10)
    wait_for(lambda: len(store.runs()) == 11)
    assert min(run.due for run in store.runs()) == START - 10 * DAY
    assert store.counts() == {"ok": 21}
    assert store.counts_by_task()["b"] == {"ok": 1}


def test_of_each_task_the_newest_are_kept(factory):
    store = factory.open(per_task=5)
    store.record([ended("a", START + number) for number in range(1200)])
    store.record([ended("b", START + number) for number in range(4)])
    store.record([ended("c", START) for number in range(8)])
    store = factory.reopened(store, per_task=5)
    wait_for(lambda: len(store.runs(limit=5000)) == 14)
    assert dues(store.runs(task="a")) == [1199.0, 1198.0, 1197.0, 1196.0, 1195.0]
    assert len(store.runs(task="b")) == 4
    assert store.counts() == {"ok": 1212}


def test_sums_are_the_same_before_and_after_they_are_spread(factory):
    store = factory.open()
    factory.clock.advance(90 * DAY)
    store.record([ended("ab"[number % 2], START + number * 1800, "ok", number + 1) for number in range(1200)])
    assert store.flush(5)
    store = factory.reopened(store, days=None)
    since = [None, START + 7200, START + 86 * DAY]

    def look():
        by_task = [(store.counts_by_task(moment), store.durations(None, moment)) for moment in since]
        assert store.counts_by_hour(START, START + 90 * DAY) == by_hour
        return by_task, store.counts()

    def new():
        with store._connections.reading() as connection:
            rows = "SELECT 1 FROM tg_count WHERE span = 'new' UNION ALL SELECT 1 FROM tg_duration WHERE span = 'new'"
            return len(store._database.rows(connection, rows))

    by_hour = store.counts_by_hour(START, START + 90 * DAY)
    assert sum(states["ok"] for states in by_hour.values()) == 1200 * 1201 // 2
    before, again = look(), []
    assert before[1] == {"ok": 1200 * 1201 // 2}
    wait_for(lambda: again.append(look()) or new() == 0)
    assert all(found[0][0] == before[0][0] for found in again)
    assert look()[0][2] == before[0][2]
    assert stores.open(factory.url).counts() == before[1]


@pytest.mark.parametrize("listed", [1, 1000])
def test_durations_are_the_same_however_many_tasks_and_hours_are_looked_up_one_by_one(factory, monkeypatch, listed):
    monkeypatch.setattr(sums, "MAX_LISTED", listed)
    store = factory.open()
    store.record([ended("abc"[number % 3], START - number * 1800) for number in range(300)])
    store = factory.reopened(store, days=None)
    for since in (None, START - 3600, START - 3 * DAY):
        all_tasks = store.durations(since=since)
        assert store.durations(["a", "b"], since) == {task: all_tasks[task] for task in "ab"}


def test_sums_of_hours_become_sums_of_days_after_60_days(factory):
    store = factory.open()
    store.record([ended("a", START), ended("a", START + 3600)])
    factory.clock.advance(62 * DAY)
    store = factory.reopened(store, days=None)
    assert store.counts_by_task(START + 3600) == {"a": {"ok": 2}}
    assert store.counts_by_task(START + DAY) == {}
    assert store.durations(["a"], START + 3600)["a"].runs == 2
    assert store.durations(["a"], START + DAY)["a"].runs == 0
    assert store.counts_by_hour(START, START + DAY) == {START: {"ok": 1}, START + 3600: {"ok": 1}}
    factory.reopened(store)
