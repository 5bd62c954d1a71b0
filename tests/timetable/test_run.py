"""Runs: their states, the legal moves, and what an action may know of its own."""

import threading

import pytest

from tgscheduler.scheduler import current_run
from tgscheduler.testing import TickedScheduler
from tgscheduler.timetable import run as runs
from tgscheduler.timetable.run import MOVES, STATES, Run


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
