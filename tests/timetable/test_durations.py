"""Durations: buckets, and what is read from them."""

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tgscheduler.errors import InvalidValue
from tgscheduler.timetable.durations import FIRST, NO_DURATIONS, Bucket, Durations, bucket_of

seconds = st.floats(0.0, 1e8, allow_subnormal=False)


def of(durations):
    """Return the Durations of runs that were ok."""
    by_bucket = {}
    for each in durations:
        by_bucket.setdefault(bucket_of(each), []).append(each)
    buckets = [Bucket(number, len(each), math.fsum(each), max(each)) for number, each in sorted(by_bucket.items())]
    return Durations({"ok": len(durations)}, tuple(buckets))


@given(seconds)
def test_a_duration_lies_between_the_bounds_of_its_bucket(took):
    bucket = Bucket(bucket_of(took), 1, took, took)
    assert bucket.lower * (1 - 1e-12) <= took <= bucket.upper * (1 + 1e-12)
    assert bucket.number == FIRST or bucket.upper / bucket.lower == pytest.approx(2**0.25)


@pytest.mark.parametrize(("took", "number"), [(0.0, -40), (0.0009, -40), (0.001, -39), (0.99, 0), (1.0, 0), (1.01, 1)])
def test_buckets_have_these_numbers(took, number):
    assert bucket_of(took) == number


@given(st.lists(st.floats(0.001, 1e6), min_size=1, max_size=60), st.floats(0.0, 1.0))
def test_a_quantile_is_at_most_ten_percent_wrong(durations, q):
    exact = sorted(durations)[max(1, math.ceil(q * len(durations))) - 1]
    assert of(durations).quantile(q) == pytest.approx(exact, rel=0.1)


@given(st.lists(seconds, min_size=1, max_size=60))
def test_quantiles_rise_and_end_at_the_longest(durations):
    found = of(durations)
    quantiles = [found.quantile(q / 20) for q in range(21)]
    assert all(one <= other * (1 + 1e-9) for one, other in itertools.pairwise(quantiles))
    assert quantiles[-1] <= found.longest == max(durations)
    assert found.mean == pytest.approx(sum(durations) / len(durations))


def test_runs_that_all_took_the_same_have_that_as_median_and_as_95th_percentile():
    found = of([3.25] * 40)
    assert (found.quantile(0.5), found.quantile(0.95), found.mean, found.longest) == (3.25, 3.25, 3.25, 3.25)


def test_a_success_rate_is_the_share_of_ok_in_what_was_tried():
    counts = {"ok": 6, "failed": 1, "timed_out": 2, "lost": 1, "cancelled": 5, "skipped": 7, "missed": 3}
    assert Durations(counts).success_rate == 0.6
    assert Durations({"failed": 2}).success_rate == 0.0
    assert Durations({"skipped": 2}).success_rate is None


def test_without_runs_there_are_no_figures():
    none = NO_DURATIONS
    assert (none.runs, none.seconds, none.mean, none.longest, none.success_rate, none.quantile(0.5)) == (
        *(0, 0.0),
        *(None, None, None, None),
    )


@pytest.mark.parametrize("q", [-0.1, 1.5, 95, math.nan])
def test_a_quantile_of_no_share_is_refused(q):
    with pytest.raises(InvalidValue, match="from 0 to 1"):
        of([1.0]).quantile(q)
