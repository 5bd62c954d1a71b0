"""The choices of a task: each is checked where it is made, and says what is expected."""

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tgscheduler.errors import InvalidType, InvalidValue
from tgscheduler.timetable.plan import fire_time
from tgscheduler.timetable.policy import DEFAULT_POLICY, Policy, Retry, check_retry, jitter_fraction


@pytest.mark.parametrize(
    ("choices", "error", "said"),
    [
        ({"misfire": "runonce"}, InvalidValue, "misfire: expected one of run_once, skip, run_all, got 'runonce'"),
        ({"misfire": None}, InvalidValue, "misfire: expected one of run_once, skip, run_all, got None"),
        ({"misfire": ["skip"]}, InvalidValue, "misfire: expected one of"),
        ({"overlap": "wait"}, InvalidValue, "overlap: expected one of skip, queue, allow, got 'wait'"),
        ({"misfire": "run_all"}, InvalidValue, "misfire 'run_all': expected misfire_cap as well"),
        ({"misfire_cap": 3}, InvalidValue, "misfire_cap: goes with misfire='run_all', got misfire='run_once'"),
        ({"misfire": "run_all", "misfire_cap": 0}, InvalidValue, "misfire_cap: expected 1 or more, got 0"),
        ({"misfire": "run_all", "misfire_cap": 2.0}, InvalidType, "misfire_cap: expected a whole number, got 2.0"),
        ({"max_instances": 2}, InvalidValue, "max_instances: goes with overlap='allow', got overlap='skip'"),
        ({"overlap": "queue", "max_instances": 2}, InvalidValue, "max_instances: goes with overlap='allow'"),
        ({"overlap": "allow", "max_instances": True}, InvalidType, "max_instances: expected a whole number, got True"),
        ({"grace": -1}, InvalidValue, "grace: expected 0 seconds or more, got -1"),
        ({"grace": "60"}, InvalidType, "grace: expected a number of seconds or a timedelta, got '60'"),
        ({"grace": float("nan")}, InvalidValue, "grace: expected a finite number"),
        ({"timeout": 0}, InvalidValue, "timeout: expected more than 0 seconds, got 0"),
        ({"timeout": timedelta(0)}, InvalidValue, "timeout: expected more than 0 seconds"),
        ({"jitter": -0.5}, InvalidValue, "jitter: expected 0 seconds or more, got -0.5"),
        ({"jitter": None}, InvalidType, "jitter: expected a number of seconds or a timedelta, got None"),
        ({"max_runs": 0}, InvalidValue, "max_runs: expected 1 or more, got 0"),
        ({"max_runs": "3"}, InvalidType, "max_runs: expected a whole number, got '3'"),
        ({"retry": True}, InvalidType, r"retry: expected a number of times, a Retry\(...\) or None, got True"),
        ({"retry": 2.5}, InvalidType, "retry: expected a number of times"),
        ({"retry": -1}, InvalidValue, "retry times: expected 1 or more, got -1"),
    ],
)
def test_a_choice_that_cannot_be_says_what_is_expected(choices, error, said):
    with pytest.raises(error, match=said):
        Policy(**choices)


@pytest.mark.parametrize(
    ("choices", "error", "said"),
    [
        ({"times": 0}, InvalidValue, "retry times: expected 1 or more, got 0"),
        ({"times": "3"}, InvalidType, "retry times: expected a whole number, got '3'"),
        ({"delay": -1}, InvalidValue, "retry delay: expected 0 seconds or more, got -1"),
        ({"longest": "1h"}, InvalidType, "retry longest: expected a number of seconds or a timedelta, got '1h'"),
        ({"factor": 0.5}, InvalidValue, "retry factor: expected 1 to 100, got 0.5"),
        ({"factor": 101}, InvalidValue, "retry factor: expected 1 to 100, got 101"),
        ({"jitter": 1.5}, InvalidValue, "retry jitter: expected 0 to 1, got 1.5"),
        ({"on": ()}, InvalidType, r"retry on: expected exception classes such as \(OSError, TimeoutError\), got \(\)"),
        ({"on": "OSError"}, InvalidType, "retry on: expected exception classes"),
        ({"on": OSError()}, InvalidType, "retry on: expected exception classes"),
        ({"on": (OSError, int)}, InvalidType, "retry on: expected exception classes"),
    ],
)
def test_a_retry_that_cannot_be_says_what_is_expected(choices, error, said):
    with pytest.raises(error, match=said):
        Retry(**{"times": 3, **choices})


def test_what_is_written_in_other_ways_is_kept_in_one():
    policy = Policy(grace=timedelta(minutes=1), timeout=3, jitter=timedelta(seconds=2), retry=2)
    assert (policy.grace, policy.timeout, policy.jitter, policy.retry) == (60.0, 3.0, 2.0, Retry(2))
    assert Retry(1, on=OSError).on == (OSError,)
    assert Retry(1, on=[OSError, KeyError]).on == (OSError, KeyError)
    assert check_retry(0) is check_retry(None) is Policy(retry=0).retry is None
    assert Policy(retry=0) == DEFAULT_POLICY


retries = st.builds(
    Retry,
    times=st.integers(1, 20),
    delay=st.floats(0, 1e4),
    factor=st.floats(1, 100),
    longest=st.floats(0, 1e5),
    jitter=st.floats(0, 1),
)


@given(retries, st.text(max_size=20), st.floats(0, 1e10), st.integers(1, 500))
@settings(deadline=None, max_examples=40)
def test_the_wait_grows_by_its_factor_up_to_a_bound_and_is_the_same_each_time_it_is_asked(retry, name, due, attempt):
    seconds = retry.wait(name, due, attempt)
    assert seconds == retry.wait(name, due, attempt)
    try:
        plain = min(retry.delay * retry.factor ** (attempt - 1), retry.longest)
    except OverflowError:
        plain = retry.longest if retry.delay else 0.0
    assert plain <= seconds <= plain * (1 + retry.jitter) * (1 + 1e-9)


def test_waits_spread_over_names_due_times_and_attempts():
    retry = Retry(5, delay=100, factor=1, jitter=1)
    waits = {retry.wait(*each) for each in [("a", 0.0, 1), ("b", 0.0, 1), ("a", 1.0, 1), ("a", 0.0, 2)]}
    assert len(waits) == 4


@given(st.text(), st.floats(allow_nan=False, allow_infinity=False), st.floats(0, 1e5))
def test_jitter_is_a_function_of_name_and_due_time_within_its_bound(name, due, jitter):
    assert 0 <= jitter_fraction(name, due) < 1
    fire = fire_time(name, due, Policy(jitter=jitter))
    assert due <= fire <= due + jitter
    assert fire == fire_time(name, due, Policy(jitter=jitter))


def test_jitter_spreads_evenly():
    found = [jitter_fraction("name", 60.0 * number) for number in range(1000)]
    assert all(60 < sum(tenth <= each * 10 < tenth + 1 for each in found) < 140 for tenth in range(10))
