"""Runs: their states, the legal moves, and what an action may know of its own."""

import re
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from tgscheduler.errors import InvalidType, InvalidValue
from tgscheduler.scheduler import current_run
from tgscheduler.testing import TickedScheduler
from tgscheduler.timetable import run as runs
from tgscheduler.timetable.run import MOVES, STATES, Run, number_of, place_of


def test_every_state_has_its_moves_and_none_leads_nowhere():
    assert set(MOVES) == set(STATES)
    assert {state for moves in MOVES.values() for state in moves} <= set(STATES)


def test_what_has_ended_stays_as_it_is():
    ended = {"ok", "failed", "timed_out", "cancelled", "lost", "missed", "skipped"}
    assert {state for state, moves in MOVES.items() if not moves} == ended
    assert set(STATES) - ended == {"waiting", "running"}


def test_a_new_run_waits():
    run = Run("backup", 1000.0)
    assert (run.task, run.due, run.state, run.attempt, run.count) == ("backup", 1000.0, "waiting", 1, 1)
    assert run.until == 1000.0
    assert (run.started, run.ended, run.late, run.where, run.reason, run.error) == (None,) * 6


def test_late_is_from_due_to_started():
    run = Run("backup", 1000.0, count=3, until=1200.0)
    run.started = 1250.5
    assert run.late == 250.5
    assert run.until == 1200.0


def test_a_run_says_what_it_is():
    run = Run("backup", 1000.0, count=3, until=1200.0, state="skipped")
    run.reason = "overlap"
    assert repr(run) == "<Run backup due 1000.000 x3 skipped (overlap)>"
    assert repr(Run("backup", 1.0)) == "<Run backup due 1.000 waiting>"


def test_a_run_has_no_other_attributes():
    with pytest.raises(AttributeError):
        Run("backup", 1.0).colour = "red"


def test_a_run_has_an_id_of_its_own_that_stays_and_is_safe_in_a_url():
    several = [Run("backup", 1000.0) for _ in range(100)]
    ids = [run.id for run in several]
    assert [run.id for run in several] == ids
    assert len(set(ids)) == 100
    assert all(re.fullmatch("[0-9a-f]{6}-[0-9]+", id) for id in ids)


def test_threads_that_ask_at_once_are_told_the_same_id():
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(4) as pool:
            for _ in range(200):
                run = Run("backup", 1000.0)
                assert list(pool.map(lambda run: run.id, [run] * 4)) == [run.id] * 4
    finally:
        sys.setswitchinterval(before)


def test_the_id_of_a_run_in_a_store_is_its_number_even_after_its_claim_was_refused():
    run = Run("backup", 1000.0)
    run.number = 68_719_476_737
    assert (run.id, run.cursor) == ("68719476737", "1000.0_68719476737")
    run.number = -run.number
    assert run.id == "68719476737"


def test_a_run_has_one_id_only():
    run, other = Run("backup", 1000.0), Run("backup", 1000.0)
    assert not other.has_id(run.id)
    assert (run.has_id(run.id), other.has_id(other.id)) == (True, True)
    other.number = 7
    assert [other.has_id(id) for id in ("7", run.id, "07")] == [True, False, False]


def test_all_attempts_of_a_run_have_its_id():
    run = Run("backup", 1000.0)
    run.schedule_retry(1010.0, 1000.0)
    assert run.next_attempt(1010.0, 1000.0).next_attempt(1020.0, 1010.0).id == run.id
    run.number = 7
    assert run.next_attempt(1010.0, 1000.0).id == run.taken_over("its process is gone").id == "7"


@pytest.mark.parametrize("id", ["", "7 ", "0", "-7", "07", "4f2a9c-0", "4f2a9c-", "4F2A9C-7", "x", "\u0667", "9" * 30])
def test_a_text_that_is_no_id_has_no_number(id):
    assert number_of(id) is None
    with pytest.raises(InvalidValue, match="before: expected the cursor of a run"):
        place_of(f"1000.0_{id}")


@pytest.mark.parametrize("due", ["", "nan", "inf", "-inf", "noon"])
def test_a_cursor_has_a_moment(due):
    with pytest.raises(InvalidValue, match="before: expected the cursor of a run"):
        place_of(f"{due}_7")


@pytest.mark.parametrize("id", [None, 7, b"7", ["7"]])
def test_an_id_is_a_text(id):
    with pytest.raises(InvalidType, match="expected the id of a run, a text, got"):
        number_of(id)


@pytest.mark.parametrize("due", [0.0, -1e-7, 1764067200.5, 253_402_300_799.999, 1 / 3])
def test_a_cursor_has_the_place_of_its_run(due):
    run = Run("backup", due)
    assert place_of(run.cursor) == run.place
    run.number = 1 << 37
    assert place_of(run.cursor) == run.place == (due, 1 << 37)
    assert number_of(run.id) == 1 << 37


def test_only_the_attempt_that_was_taken_over_is_a_rerun():
    run = Run("backup", 1000.0)
    run.number, run.reason = 7, "run again: the words of an application"
    assert (run.is_rerun, run.takeovers) == (False, 0)
    again = run.taken_over("its process is gone")
    assert (again.is_rerun, again.takeovers, again.attempt, again.reason) == (
        True, 1, 2, "run again: its process is gone",
    )  # fmt: skip
    again.reason = None
    assert again.is_rerun
    retry = again.next_attempt(1010.0, 1000.0)
    assert (retry.is_rerun, retry.takeovers) == (False, 1)
    again.schedule_retry(1010.0, 1000.0)
    assert (again.is_rerun, again.takeovers) == (False, 1)


def test_an_action_may_ask_for_its_run():
    engine, seen = TickedScheduler(start=1000), []
    engine.add_interval_task(lambda: seen.append(current_run()), 60, taskname="asking")
    engine.tick(60)
    assert [(run.task, run.due, run.attempt, run.deadline) for run in seen] == [
        ("asking", 1000.0, 1, None),
        ("asking", 1060.0, 1, None),
    ]


def test_outside_of_an_action_there_is_no_run():
    engine, seen = TickedScheduler(), []

    def fail():
        assert current_run().task == "failing"
        raise LookupError

    def ask_elsewhere():
        thread = threading.Thread(target=lambda: seen.append(current_run()))
        thread.start()
        thread.join()

    engine.add_single_task(fail, taskname="failing")
    engine.add_single_task(ask_elsewhere, initialdelay=1)
    assert current_run() is None
    engine.tick(2)
    assert current_run() is None
    assert seen == [None]
    assert "LookupError" in engine.runs("failing")[0].error


def test_the_states_of_a_run_as_it_goes():
    engine, states = TickedScheduler(), []

    def look():
        [run] = engine.runs("looking")
        states.append((run.state, run.started, run.ended))
        engine.clock.advance(2)

    engine.add_single_task(look, initialdelay=5, taskname="looking")
    engine.tick(10)
    [run] = engine.runs("looking")
    assert states == [(runs.RUNNING, 5.0, None)]
    assert (run.state, run.started, run.ended) == (runs.OK, 5.0, 7.0)
