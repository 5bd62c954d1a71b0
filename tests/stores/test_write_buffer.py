"""What waits to be written: its order, its batches, and what is dropped of it."""

import pytest
from store_helpers import START, claim_of, end, ended

from tgscheduler.stores.base import Claim, TaskRecord
from tgscheduler.stores.write_buffer import (
    AUDIT,
    CLAIMS,
    DROPPED,
    LINGER,
    RUNS,
    SAVES,
    WRITE_BATCH,
    Write,
    WriteBuffer,
    portions,
)
from tgscheduler.timetable.run import Run

numbers = iter(range(1, 1_000_000))


def numbered(run):
    run.number = next(numbers)
    return run


def submit(buffer, *claims_or_runs):
    for item in claims_or_runs:
        if isinstance(item, Claim):
            for run in (*item.opened, *item.closed):
                numbered(run)
            buffer.append(Write(CLAIMS, [item], len(item.opened) + len(item.closed), 0.0))
        else:
            buffer.append(Write(RUNS, [item], 1, 0.0))


def claimed(buffer):
    return [claim for write in buffer.copy() if write.kind == CLAIMS for claim in write.items]


def recorded(buffer):
    return [run for write in buffer.copy() if write.kind == RUNS for run in write.items]


def test_ended_runs_linger_and_all_else_is_due_at_once():
    buffer = WriteBuffer(100)
    assert buffer.due(7.0) is None
    buffer.append(Write(RUNS, [ended("a", START)], 1, 7.0))
    assert buffer.due(7.0) == pytest.approx(LINGER)
    buffer.append(Write(RUNS, [ended("a", START)], 1, 7.01))
    assert buffer.due(7.0) == pytest.approx(LINGER)
    buffer.append(Write(SAVES, [TaskRecord("a", "")], 0, 7.01))
    assert buffer.due(7.0) == 0.0


def test_many_entries_are_due_at_once():
    buffer = WriteBuffer(10_000)
    for _ in range(100):
        buffer.append(Write(RUNS, [ended("a", START)], 1, 7.0))
    assert buffer.due(7.0) == 0.0


def test_a_batch_is_bounded_keeps_the_order_and_stays_until_it_is_done():
    buffer = WriteBuffer(10_000)
    for number in range(WRITE_BATCH + 500):
        submit(buffer, ended("a", START + number))
    first = buffer.take(1)
    assert len(first) == WRITE_BATCH
    assert {write.batch for write in first} == {1}
    assert len(buffer) == buffer.records == WRITE_BATCH + 500
    buffer.give_back(first)
    assert {write.batch for write in buffer.copy()} == {None}
    assert buffer.take(1) == first
    buffer.done(first)
    assert [run.due - START for run in recorded(buffer)] == [
        float(number) for number in range(WRITE_BATCH, WRITE_BATCH + 500)
    ]
    assert buffer.records == 500


def test_the_oldest_successes_are_dropped_and_failures_stay():
    buffer = WriteBuffer(20)
    runs = [numbered(ended("a", START + number, "failed" if number % 5 == 0 else "ok")) for number in range(40)]
    submit(buffer, *runs)
    buffer.shorten()
    left = recorded(buffer)
    assert len(left) == 18
    assert [run for run in left if run.state == "failed"] == [run for run in runs if run.state == "failed"]
    assert left[-10:] == runs[-10:]
    assert buffer.dropped == 22
    assert buffer.excess() == -2
    (rest,) = [write.items for write in buffer.copy() if write.kind == DROPPED]
    assert sum(count for count, _, _ in rest.counts.states.values()) == 22
    assert sorted(rest.ids) == sorted(run.number for run in runs if run not in left)  # opened before: their rows go


def test_where_nothing_has_succeeded_the_oldest_go():
    buffer = WriteBuffer(20)
    submit(buffer, *(numbered(ended("a", START + number, "failed")) for number in range(40)))
    buffer.shorten()
    assert [run.due - START for run in recorded(buffer)] == [float(number) for number in range(22, 40)]


def test_claims_of_dropped_runs_shrink_to_the_last_of_each_task():
    buffer = WriteBuffer(20)
    for number in range(100):
        claim = claim_of("ab"[number % 2], START + number)
        submit(buffer, claim, end(claim.opened[0]))
    off_schedule = claim_of("a", START, off_schedule=True)
    buffer.shorten()
    left = {run.number for run in recorded(buffer)}
    assert len(left) == 18
    assert [claim.due - START for claim in claimed(buffer)] == [float(number) for number in range(82, 100)]
    assert len(buffer.dropped_claims) == 82
    (rest,) = [write.items for write in buffer.copy() if write.kind == DROPPED]
    assert rest.opened == {"a": 41, "b": 41}
    assert rest.ids == []
    assert buffer.skipped == set()
    submit(buffer, off_schedule, end(off_schedule.opened[0]))
    for number in range(100, 200):
        claim = claim_of("c", START + number)
        submit(buffer, claim, end(claim.opened[0]))
    buffer.shorten()
    kept = [(claim.task, claim.due - START) for claim in claimed(buffer)]
    assert kept[:2] == [("a", 98.0), ("b", 99.0)]  # their last ones, whose runs were dropped
    assert off_schedule not in claimed(buffer)
    assert len(buffer.skipped) == 2
    assert rest.opened == {"a": 49, "b": 49, "c": 82}
    buffer.done(buffer.take(1, 10_000))
    assert buffer.skipped == set()
    assert buffer.records == 0


def test_a_claim_that_has_closed_something_or_is_not_over_stays():
    buffer = WriteBuffer(5)
    missed = Claim("a", START, START + 5, [Run("a", START + 5)], [ended("a", START, "missed", 5)])
    running = claim_of("a", START + 6)
    submit(buffer, missed, end(missed.opened[0]), running)
    submit(buffer, *(numbered(ended("b", START + number)) for number in range(20)))
    buffer.shorten()
    assert claimed(buffer) == [missed, running]
    assert buffer.skipped == {missed.opened[0].number}


def test_what_is_being_written_is_not_dropped():
    buffer = WriteBuffer(10)
    runs = [numbered(ended("a", START + number)) for number in range(30)]
    submit(buffer, *runs)
    taken = buffer.take(1, 8)
    buffer.shorten()
    assert recorded(buffer)[:8] == runs[:8]
    assert len(recorded(buffer)) == 9
    buffer.done(taken)
    assert len(recorded(buffer)) == 1


def test_one_that_cannot_be_written_is_singled_out():
    buffer = WriteBuffer(100)
    runs = [numbered(ended("a", START + number)) for number in range(5)]
    buffer.append(Write(RUNS, runs, 5, 0.0))
    submit(buffer, ended("a", START + 9))
    buffer.single_out(buffer.copy()[0])
    assert [len(write.items) for write in buffer.copy()] == [1] * 6
    assert recorded(buffer)[:5] == runs
    assert buffer.records == 6


def test_saved_tasks_that_are_singled_out_count_as_no_records():
    buffer = WriteBuffer(100)
    buffer.append(Write(SAVES, [TaskRecord(name, "") for name in "abc"], 0, 0.0))
    submit(buffer, ended("a", START), ended("a", START + 1))
    buffer.single_out(buffer.copy()[0])
    assert [(write.kind, write.records) for write in buffer.copy()] == [(SAVES, 0)] * 3 + [(RUNS, 1)] * 2
    buffer.done(buffer.take(1, 3))
    assert buffer.records == 2


def test_what_is_submitted_at_once_is_parted_and_a_claim_never_is():
    runs = [ended("a", START + number) for number in range(2 * WRITE_BATCH + 1)]
    assert [write.records for write in portions(RUNS, runs, 7.0)] == [WRITE_BATCH, WRITE_BATCH, 1]
    large = Claim("a", START, START, runs)
    claims = [claim_of("a", START), large, claim_of("a", START), claim_of("a", START)]
    assert [(write.items, write.records) for write in portions(CLAIMS, claims, 7.0)] == [
        (claims[:1], 1), ([large], 2 * WRITE_BATCH + 1), (claims[2:], 2),
    ]  # fmt: skip


def test_a_batch_has_no_more_rows_than_it_may_unless_one_entry_has():
    buffer = WriteBuffer(10_000)
    for kind, items in ((RUNS, [ended("a", START)] * 600), (SAVES, [TaskRecord("a", "")] * 600)):
        for write in portions(kind, items, 0.0):
            buffer.append(write)
    assert [write.kind for write in buffer.take(1)] == [RUNS]
    assert [write.kind for write in buffer.take(1, 1)] == [RUNS]
    assert [write.kind for write in buffer.take(1, 1200)] == [RUNS, SAVES]


def test_what_is_left_of_dropped_runs_is_parted_too():
    buffer = WriteBuffer(10)
    submit(buffer, *(numbered(ended("a", START)) for _ in range(2 * WRITE_BATCH + 500)))
    buffer.shorten()
    sizes = []
    while len(buffer) and buffer.copy()[0].kind == DROPPED:
        taken = buffer.take(1)
        sizes.append(sum(len(write.items.ids) for write in taken if write.kind == DROPPED))
        buffer.done(taken)
    assert max(sizes) <= WRITE_BATCH
    assert sum(sizes) == 2 * WRITE_BATCH + 491


def test_audit_records_count_as_records_until_they_are_written_and_are_never_dropped():
    buffer = WriteBuffer(5)
    for write in portions(AUDIT, list(range(WRITE_BATCH + 3)), 0.0):
        buffer.append(write)
    submit(buffer, *(numbered(ended("a", START + number)) for number in range(20)))
    assert (buffer.due(0.0), buffer.records, buffer.audits) == (0.0, WRITE_BATCH + 23, WRITE_BATCH + 3)
    buffer.shorten()
    assert (buffer.records, buffer.audits) == (WRITE_BATCH + 7, WRITE_BATCH + 3)
    dropped, first = buffer.take(1, WRITE_BATCH + 30)[:2]
    assert (dropped.kind, first.kind, first.records) == (DROPPED, AUDIT, WRITE_BATCH)
    buffer.done([dropped, first])
    assert (buffer.records, buffer.audits) == (7, 3)


def test_an_audit_record_that_cannot_be_written_is_singled_out():
    buffer = WriteBuffer(5)
    buffer.append(Write(AUDIT, ["one", "two", "three"], 3, 0.0))
    (whole,) = buffer.take(1)
    buffer.give_back([whole])
    buffer.single_out(whole)
    assert [(write.items, write.records) for write in buffer.copy()] == [(["one"], 1), (["two"], 1), (["three"], 1)]
    buffer.strike(buffer.take(2, 1)[0])
    assert (buffer.audits, buffer.records, buffer.unwritable) == (2, 2, 1)
