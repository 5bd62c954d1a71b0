"""What waits to be written: its order, its batches, and what is dropped of it."""

import pytest
from keeping import START, claim_of, end, ended

from tgscheduler.stores.base import Claim, Known
from tgscheduler.stores.line import BATCH, CLAIMS, DROPPED, LINGER, RUNS, SAVES, Entry, Line, portions
from tgscheduler.timetable.run import Run

numbers = iter(range(1, 1_000_000))


def numbered(run):
    run.number = next(numbers)
    return run


def hand_in(line, *claims_or_runs):
    for item in claims_or_runs:
        if isinstance(item, Claim):
            for run in (*item.opened, *item.closed):
                numbered(run)
            line.append(Entry(CLAIMS, [item], len(item.opened) + len(item.closed), 0.0))
        else:
            line.append(Entry(RUNS, [item], 1, 0.0))


def claimed(line):
    return [claim for entry in line.copy() if entry.kind == CLAIMS for claim in entry.items]


def recorded(line):
    return [run for entry in line.copy() if entry.kind == RUNS for run in entry.items]


def test_ended_runs_linger_and_all_else_is_due_at_once():
    line = Line(100)
    assert line.due(7.0) is None
    line.append(Entry(RUNS, [ended("a", START)], 1, 7.0))
    assert line.due(7.0) == pytest.approx(LINGER)
    line.append(Entry(RUNS, [ended("a", START)], 1, 7.01))
    assert line.due(7.0) == pytest.approx(LINGER)
    line.append(Entry(SAVES, [Known("a", "")], 0, 7.01))
    assert line.due(7.0) == 0.0


def test_many_entries_are_due_at_once():
    line = Line(10_000)
    for _ in range(100):
        line.append(Entry(RUNS, [ended("a", START)], 1, 7.0))
    assert line.due(7.0) == 0.0


def test_a_batch_is_bounded_keeps_the_order_and_stays_until_it_is_done():
    line = Line(10_000)
    for number in range(BATCH + 500):
        hand_in(line, ended("a", START + number))
    first = line.take(1)
    assert len(first) == BATCH
    assert {entry.batch for entry in first} == {1}
    assert len(line) == line.records == BATCH + 500
    line.give_back(first)
    assert {entry.batch for entry in line.copy()} == {None}
    assert line.take(1) == first
    line.done(first)
    assert [run.due - START for run in recorded(line)] == [float(number) for number in range(BATCH, BATCH + 500)]
    assert line.records == 500


def test_the_oldest_successes_are_dropped_and_failures_stay():
    line = Line(20)
    runs = [numbered(ended("a", START + number, "failed" if number % 5 == 0 else "ok")) for number in range(40)]
    hand_in(line, *runs)
    line.shorten()
    left = recorded(line)
    assert len(left) == 18
    assert [run for run in left if run.state == "failed"] == [run for run in runs if run.state == "failed"]
    assert left[-10:] == runs[-10:]
    assert line.dropped == 22
    assert line.excess() == -2
    (rest,) = [entry.items for entry in line.copy() if entry.kind == DROPPED]
    assert sum(count for count, _, _ in rest.tallies.sums.values()) == 22
    assert sorted(rest.ids) == sorted(run.id for run in runs if run not in left)  # opened before: their rows go


def test_where_nothing_has_succeeded_the_oldest_go():
    line = Line(20)
    hand_in(line, *(numbered(ended("a", START + number, "failed")) for number in range(40)))
    line.shorten()
    assert [run.due - START for run in recorded(line)] == [float(number) for number in range(22, 40)]


def test_claims_of_dropped_runs_shrink_to_the_last_of_each_task():
    line = Line(20)
    for number in range(100):
        claim = claim_of("ab"[number % 2], START + number)
        hand_in(line, claim, end(claim.opened[0]))
    by_hand = claim_of("a", START, by_hand=True)
    line.shorten()
    left = {run.id for run in recorded(line)}
    assert len(left) == 18
    assert [claim.due - START for claim in claimed(line)] == [float(number) for number in range(82, 100)]
    assert len(line.forgotten) == 82
    (rest,) = [entry.items for entry in line.copy() if entry.kind == DROPPED]
    assert rest.opened == {"a": 41, "b": 41}
    assert rest.ids == []
    assert line.skipped == set()
    hand_in(line, by_hand, end(by_hand.opened[0]))
    for number in range(100, 200):
        claim = claim_of("c", START + number)
        hand_in(line, claim, end(claim.opened[0]))
    line.shorten()
    kept = [(claim.task, claim.due - START) for claim in claimed(line)]
    assert kept[:2] == [("a", 98.0), ("b", 99.0)]  # their last ones, whose runs were dropped
    assert by_hand not in claimed(line)
    assert len(line.skipped) == 2
    assert rest.opened == {"a": 49, "b": 49, "c": 82}
    line.done(line.take(1, 10_000))
    assert line.skipped == set()
    assert line.records == 0


def test_a_claim_that_has_closed_something_or_is_not_over_stays():
    line = Line(5)
    missed = Claim("a", START, START + 5, [Run("a", START + 5)], [ended("a", START, "missed", 5)])
    running = claim_of("a", START + 6)
    hand_in(line, missed, end(missed.opened[0]), running)
    hand_in(line, *(numbered(ended("b", START + number)) for number in range(20)))
    line.shorten()
    assert claimed(line) == [missed, running]
    assert line.skipped == {missed.opened[0].id}


def test_what_is_being_written_is_not_dropped():
    line = Line(10)
    runs = [numbered(ended("a", START + number)) for number in range(30)]
    hand_in(line, *runs)
    taken = line.take(1, 8)
    line.shorten()
    assert recorded(line)[:8] == runs[:8]
    assert len(recorded(line)) == 9
    line.done(taken)
    assert len(recorded(line)) == 1


def test_one_that_cannot_be_written_is_singled_out():
    line = Line(100)
    runs = [numbered(ended("a", START + number)) for number in range(5)]
    line.append(Entry(RUNS, runs, 5, 0.0))
    hand_in(line, ended("a", START + 9))
    line.single_out(line.copy()[0])
    assert [len(entry.items) for entry in line.copy()] == [1] * 6
    assert recorded(line)[:5] == runs
    assert line.records == 6


def test_what_is_handed_in_at_once_is_parted_and_a_claim_never_is():
    runs = [ended("a", START + number) for number in range(2 * BATCH + 1)]
    assert [entry.records for entry in portions(RUNS, runs, 7.0)] == [BATCH, BATCH, 1]
    large = Claim("a", START, START, runs)
    claims = [claim_of("a", START), large, claim_of("a", START), claim_of("a", START)]
    assert [(entry.items, entry.records) for entry in portions(CLAIMS, claims, 7.0)] == [
        (claims[:1], 1), ([large], 2 * BATCH + 1), (claims[2:], 2),
    ]  # fmt: skip


def test_a_batch_has_no_more_rows_than_it_may_unless_one_entry_has():
    line = Line(10_000)
    for kind, items in ((RUNS, [ended("a", START)] * 600), (SAVES, [Known("a", "")] * 600)):
        for entry in portions(kind, items, 0.0):
            line.append(entry)
    assert [entry.kind for entry in line.take(1)] == [RUNS]
    assert [entry.kind for entry in line.take(1, 1)] == [RUNS]
    assert [entry.kind for entry in line.take(1, 1200)] == [RUNS, SAVES]


def test_what_is_left_of_dropped_runs_is_parted_too():
    line = Line(10)
    hand_in(line, *(numbered(ended("a", START)) for _ in range(2 * BATCH + 500)))
    line.shorten()
    sizes = []
    while len(line) and line.copy()[0].kind == DROPPED:
        taken = line.take(1)
        sizes.append(sum(len(entry.items.ids) for entry in taken if entry.kind == DROPPED))
        line.done(taken)
    assert max(sizes) <= BATCH
    assert sum(sizes) == 2 * BATCH + 491
