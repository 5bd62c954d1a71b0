"""What matches a pattern of the API's description is taken."""

import re

import pytest
from helpers import NOON
from hypothesis import given, settings
from hypothesis.strategies import from_regex

from tgscheduler.console import patterns
from tgscheduler.moments import parse_moment
from tgscheduler.timetable.run import cursor, place_of
from tgscheduler.views import timetables


@given(from_regex(patterns.MOMENT, fullmatch=True))
def test_a_moment_that_matches_is_one(text):
    parse_moment("at", text.rstrip("\n"), "Europe/Berlin", NOON)


@settings(max_examples=50)
@given(from_regex(patterns.timetable(), fullmatch=True))
def test_a_timetable_that_matches_is_one_and_fires(text):
    assert timetables.parse(text.rstrip("\n"), "Europe/Berlin", NOON).next_after(NOON) is not None


@given(from_regex(patterns.CURSOR, fullmatch=True))
def test_a_cursor_that_matches_is_one(text):
    place_of(text.rstrip("\n"))


@pytest.mark.parametrize("id", ["68719476757", "4f2a9c-17"])
def test_the_cursor_of_a_run_matches(id):
    assert re.search(patterns.CURSOR, cursor(NOON, id))


@pytest.mark.parametrize(
    "text",
    [
        *("2026-11-25T09:00:00+01:00", "2026-11-25T09:00:00.25Z", "2026-11-25 09:00", "2026-11-25", "09:00", "now"),
        *("1764057600", "-1", "1764057600.5", "2028-02-29", "2000-02-29", "2026-12-31 23:59:59"),
    ],
)
def test_the_usual_moments_match(text):
    assert re.search(patterns.MOMENT, text)


@pytest.mark.parametrize("text", ["2027-02-29", "1900-02-29", "2026-04-31", "24:00", "12345678901", "", "today"])
def test_what_is_no_moment_does_not_match(text):
    assert not re.search(patterns.MOMENT, text)


@pytest.mark.parametrize(
    "text",
    [
        *("@daily", "every 90 s", "every minute", "mon-fri 09:00", "daily 07:30 19:00", "1,15 02:30", "2nd tue 23:00"),
        *("0 9 * * 1-5", "*/5 9-17 * * mon-fri", "0 0 1,15 * *", "30 2 L * *", "0 0 * * 5L", "0 22 * * MON#2".lower()),
        *("0 0 30 6 *", "0 0 31 12 *", "15,45 */2 1-7 jan-mar 0", "*/10 * * * * *", "0 0 29 2 *", "10-50/20 * * * *"),
    ],
)
def test_the_usual_timetables_match(text):
    assert re.search(patterns.timetable(), text)


@pytest.mark.parametrize(
    "text", ["", "60 * * * *", "50-10 * * * *", "0 0 30 2 *", "*/0 * * * *", "every 0 s", "@never"]
)
def test_what_is_no_timetable_does_not_match(text):
    assert not re.search(patterns.timetable(), text)
