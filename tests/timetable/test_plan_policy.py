"""``decide_fully``: decisions with all that may count, as a pure function; and the early exit that agrees with it."""

import math
from typing import NamedTuple

import pytest
from helpers import entry_for
from hypothesis import given
from hypothesis import strategies as st
from wallscan import fires

from tgscheduler.timetable.plan import LONGEST_QUEUE, MOST_COUNTED, Decision, decide, decide_fully
from tgscheduler.timetable.policy import DEFAULT_POLICY, Policy
from tgscheduler.timetable.run import MISSED, OK, RUNNING, SKIPPED, WAITING, Run
from tgscheduler.timetable.triggers import Cron, Interval, Once, Weekdays, either

TEN = Interval(10, anchor=0)


class DescribedRun(NamedTuple):
    """A run of a decision; RUNNING if it starts at once."""

    due: float
    until: float
    count: int
    state: str
    reason: str | None


class Described(NamedTuple):
    parts: list[DescribedRun]
    next_due: float | None


def decide_on(due, now, trigger, policy, *, manual_due=False, **more):
    return described(decide_fully(due, "it", now, trigger, policy, manual_due=manual_due, **more))


def described(decision):
    parts, starts = [], decision.starts
    for run in decision.runs:
        state = RUNNING if run.state == WAITING and starts > 0 else run.state
        starts -= run.state == WAITING
        parts.append(DescribedRun(run.due, run.until, run.count, state, run.reason))
    assert starts <= 0
    return Described(parts, decision.next_due)


def told(decision):
    return [(part.state, part.due, part.until, part.count) for part in decision.parts], decision.next_due


def an_open_run(due=5.0, state=RUNNING):
    return Run("it", due, state=state)


triggers = st.one_of(
    st.none(),
    st.builds(Interval, st.floats(0.5, 1e5), st.floats(0, 1e5)),
    st.builds(Once, st.floats(0, 1e6)),
    st.builds(Weekdays, st.sets(st.integers(1, 7), min_size=1), st.tuples(st.integers(0, 23), st.integers(0, 59))),
    st.sampled_from([Cron("0 * * * *"), Cron("30 2 * * *", "Europe/Berlin"), either(TEN, Interval(15, 3))]),
)


@given(
    triggers,
    st.floats(0, 1e6),
    st.floats(0, 3e5),
    st.sampled_from(["none", "over", "running", "waiting"]),
    st.booleans(),
)
def test_the_early_exit_decides_as_the_full_decision_does(trigger, due, late, last, manual_due):
    run = None if last == "none" else an_open_run(state={"over": OK}.get(last, last))
    if last == "over":
        run.ended = 1.0
    entry = entry_for(trigger, due=due, last_run=run, manual_due=manual_due)
    still = [run] if run is not None and run.ended is None else []
    full = decide_on(
        due,
        due + late,
        trigger,
        DEFAULT_POLICY,
        running=len(still),
        oldest=still[0] if still else None,
        manual_due=manual_due,
    )
    assert described(Decision(*decide(entry, due, "it", due + late))) == full
    assert entry.state.value == "pending"  # and nothing is changed
    assert len(full.parts) <= 1


policies = st.builds(
    lambda misfire, grace, overlap, jitter: Policy(**misfire, **overlap, grace=grace, jitter=jitter),
    st.sampled_from([{}, {"misfire": "skip"}, *({"misfire": "run_all", "misfire_cap": cap} for cap in (1, 3, 50))]),
    st.none() | st.floats(0, 1000),
    st.sampled_from([{}, {"overlap": "queue"}, {"overlap": "allow"}, {"overlap": "allow", "max_instances": 2}]),
    st.just(0.0) | st.floats(0, 100),
)


@given(
    st.sampled_from([TEN, Interval(7.3, 1), either(TEN, Interval(15, 3)), Cron("*/1 * * * *")]),
    st.integers(0, 100), st.floats(0, 3000), policies, st.integers(0, 3), st.booleans(),
)  # fmt: skip
def test_each_occurrence_of_a_stretch_is_in_exactly_one_part(trigger, number, late, policy, running, manual_due):
    due = number * 0.77 if manual_due else trigger.next_after(number * 10.0)
    now = due + late
    decision = decide_on(
        due, now, trigger, policy, running=running, oldest=an_open_run() if running else None, manual_due=manual_due
    )
    horizon = now - policy.jitter
    expected = [due, *fires(trigger, due, math.nextafter(max(horizon, due), math.inf))]
    found = []
    for part in decision.parts:
        inside = [fire for fire in expected if part.due <= fire <= part.until]
        assert (inside[0], inside[-1], len(inside)) == (part.due, part.until, part.count)
        assert part.reason is not None or part.state in (RUNNING, WAITING)
        found += inside
    assert found == expected
    assert decision.next_due == trigger.next_after(max(horizon, due))
    starts = [part for part in decision.parts if part.state == RUNNING]
    room = {"allow": policy.max_instances or math.inf}.get(policy.overlap, 1)
    assert len(starts) <= max(0, room - running)
    if policy.misfire == "run_all":
        assert sum(part.state in (RUNNING, WAITING) for part in decision.parts) <= policy.misfire_cap


@pytest.mark.parametrize(
    ("policy", "parts"),
    [  # due at 10, 20, 30, 40, 50; now it is 55
        (Policy(), [(RUNNING, 10, 50, 5)]),
        (Policy(grace=45), [(RUNNING, 10, 50, 5)]),
        (Policy(grace=25), [(MISSED, 10, 20, 2), (RUNNING, 30, 50, 3)]),
        (Policy(grace=5), [(MISSED, 10, 40, 4), (RUNNING, 50, 50, 1)]),
        (Policy(grace=4.9), [(MISSED, 10, 50, 5)]),
        (Policy(grace=0), [(MISSED, 10, 50, 5)]),
        (Policy(misfire="skip"), [(MISSED, 10, 40, 4), (RUNNING, 50, 50, 1)]),
        (Policy(misfire="skip", grace=4), [(MISSED, 10, 50, 5)]),
        (
            Policy(misfire="run_all", misfire_cap=9),
            [(RUNNING, 10, 10, 1), *((WAITING, d, d, 1) for d in (20, 30, 40, 50))],
        ),
        (Policy(misfire="run_all", misfire_cap=2), [(MISSED, 10, 30, 3), (RUNNING, 40, 40, 1), (WAITING, 50, 50, 1)]),
        (
            Policy(misfire="run_all", misfire_cap=9, grace=15),
            [(MISSED, 10, 30, 3), (RUNNING, 40, 40, 1), (WAITING, 50, 50, 1)],
        ),
        (Policy(misfire="run_all", misfire_cap=3, overlap="allow"),
         [(MISSED, 10, 20, 2), (RUNNING, 30, 30, 1), (RUNNING, 40, 40, 1), (RUNNING, 50, 50, 1)]),
        (Policy(jitter=20), [(RUNNING, 10, 30, 3)]),
    ],
)  # fmt: skip
def test_what_was_missed(policy, parts):
    assert told(decide_on(10.0, 55.0, TEN, policy))[0] == parts


def test_reasons_say_why():
    [missed, live] = decide_on(10.0, 55.0, TEN, Policy(grace=25)).parts
    assert (missed.reason, live.reason) == ("35.0 s late; grace is 25 s", None)
    [missed] = decide_on(10.0, 200.0, None, Policy(misfire="skip")).parts
    assert missed.reason == "190.0 s late; misfire: skip tolerates 60 s"
    [missed, *_] = decide_on(10.0, 55.0, TEN, Policy(misfire="run_all", misfire_cap=2)).parts
    assert missed.reason == "misfire: run_all makes up for 2 at most"
    [missed, _] = decide_on(10.0, 55.0, TEN, Policy(misfire="skip")).parts
    assert missed.reason == "misfire: skip"


def test_a_time_by_hand_off_the_grid_is_the_first_that_run_all_makes_up_for():
    decision = decide_on(15.0, 41.0, TEN, Policy(misfire="run_all", misfire_cap=10), manual_due=True)
    assert told(decision) == ([(RUNNING, 15, 15, 1), *((WAITING, d, d, 1) for d in (20, 30, 40))], 50.0)


def test_a_time_by_hand_on_a_wrong_day_is_nothing():
    friday = Weekdays([5], (3, 0))
    assert decide_on(0.0, 0.0, friday, Policy(grace=1), manual_due=True) == Described([], friday.next_after(0.0))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("policy", "states"),
    [
        (Policy(misfire="skip"), [MISSED, RUNNING]),
        (Policy(grace=3600), [MISSED, RUNNING]),
        (Policy(misfire="run_all", misfire_cap=3), [MISSED, RUNNING, WAITING, WAITING]),
    ],
)
def test_what_is_too_much_to_count_hides_nothing_that_still_runs(policy, states):
    minutely, month = Cron("* * * * *"), 30 * 86400.0
    decision = decide_on(0.0, month + 30, minutely, policy)
    assert [part.state for part in decision.parts] == states
    assert decision.parts[-1].until == month
    assert decision.parts[0].count == MOST_COUNTED
    assert f"at least {MOST_COUNTED} occurrences" in decision.parts[0].reason
    assert decision.next_due == month + 60


def test_the_end_is_included_and_nothing_comes_after_it():
    assert told(decide_on(10.0, 55.0, TEN, DEFAULT_POLICY, end=30.0)) == ([(RUNNING, 10, 30, 3)], None)
    assert told(decide_on(10.0, 10.0, TEN, DEFAULT_POLICY, end=20.0)) == ([(RUNNING, 10, 10, 1)], 20.0)
    assert told(decide_on(20.0, 20.0, TEN, DEFAULT_POLICY, end=20.0)) == ([(RUNNING, 20, 20, 1)], None)


def test_what_is_left_bounds_runs_and_not_what_was_missed():
    three = Policy(misfire="run_all", misfire_cap=3)
    assert told(decide_on(10.0, 55.0, TEN, three, runs_left=2)) == (
        [(MISSED, 10, 20, 2), (RUNNING, 30, 30, 1), (WAITING, 40, 40, 1)], None,
    )  # fmt: skip
    assert told(decide_on(10.0, 10.0, TEN, DEFAULT_POLICY, runs_left=1)) == ([(RUNNING, 10, 10, 1)], None)
    assert told(decide_on(10.0, 10.0, TEN, DEFAULT_POLICY, runs_left=1, running=1, oldest=an_open_run())) == (
        [(SKIPPED, 10, 10, 1)], 20.0,
    )  # fmt: skip


def test_paused_nothing_runs_and_the_reason_says_so():
    decision = decide_on(10.0, 55.0, TEN, Policy(grace=25), paused="paused", runs_left=3)
    assert [(part.state, part.reason, part.count) for part in decision.parts] == [
        (SKIPPED, "paused", 2),
        (SKIPPED, "paused", 3),
    ]
    assert decision.next_due == 60.0


@pytest.mark.parametrize(
    ("policy", "running", "waiting", "state", "reason"),
    [
        (Policy(), 0, 0, RUNNING, None),
        (Policy(), 1, 0, SKIPPED, "overlap: the run due 5.000 has not ended"),
        (Policy(overlap="queue"), 0, 0, RUNNING, None),
        (Policy(overlap="queue"), 1, 0, WAITING, None),
        (Policy(overlap="queue"), 0, 1, WAITING, None),
        (Policy(overlap="queue"), 1, LONGEST_QUEUE - 1, WAITING, None),
        (Policy(overlap="queue"), 1, LONGEST_QUEUE, SKIPPED, f"overlap: {LONGEST_QUEUE} occurrences wait already"),
        (Policy(overlap="allow"), 1000, 0, RUNNING, None),
        (Policy(overlap="allow", max_instances=2), 1, 0, RUNNING, None),
        (Policy(overlap="allow", max_instances=2), 2, 0, SKIPPED, "overlap: 2 runs have not ended"),
        (Policy(misfire="run_all", misfire_cap=3), 0, 2, SKIPPED, "overlap: 2 occurrences wait already"),
        (Policy(misfire="run_all", misfire_cap=3, overlap="allow", max_instances=2), 2, 1, SKIPPED,
         "overlap: 2 runs have not ended, and 1 wait"),
    ],
)  # fmt: skip
def test_overlap(policy, running, waiting, state, reason):
    oldest = an_open_run() if running else None
    decision = decide_on(10.0, 10.0, TEN, policy, running=running, waiting=waiting, oldest=oldest)
    assert decision.parts == [DescribedRun(10.0, 10.0, 1, state, reason)]


def test_what_run_all_makes_up_for_waits_in_a_line_that_is_bounded():
    parts = decide_on(0.0, 20_000.0, TEN, Policy(misfire="run_all", misfire_cap=1500)).parts
    assert [part.state for part in parts[1:]] == [RUNNING] + [WAITING] * LONGEST_QUEUE + [SKIPPED] * 499
