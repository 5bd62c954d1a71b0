"""Moments as people and programs write them."""

import pytest

from tgscheduler.errors import InvalidType, InvalidValue
from tgscheduler.moments import iso, parse_moment

BERLIN = "Europe/Berlin"
#: Tuesday 2025-11-25 09:00 in Berlin.
NINE = 1764057600.0


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("2026-11-25T09:00:00+01:00", "2026-11-25T09:00:00+01:00"),
        ("2026-11-25T09:00:00Z", "2026-11-25T10:00:00+01:00"),
        ("2026-11-25T09:00:00.250Z", "2026-11-25T10:00:00.250+01:00"),
        ("2026-11-25 09:00", "2026-11-25T09:00:00+01:00"),
        ("2026-07-25 09:00:30", "2026-07-25T09:00:30+02:00"),
        ("2026-11-25", "2026-11-25T00:00:00+01:00"),
        ("1764057600", "2025-11-25T09:00:00+01:00"),
        (1764057600, "2025-11-25T09:00:00+01:00"),
        (1764057600.5, "2025-11-25T09:00:00.500+01:00"),
        (-1, "1970-01-01T00:59:59+01:00"),
        ("now", "2025-11-25T09:00:00+01:00"),
        # in a gap the first instant after it, in a fold the first of the two
        ("2026-03-29 02:30", "2026-03-29T03:00:00+02:00"),
        ("2026-10-25 02:30", "2026-10-25T02:30:00+02:00"),
    ],
)
def test_a_moment_is_read_and_said_back(text, seen):
    assert iso(parse_moment("at", text, BERLIN, NINE), BERLIN) == seen


def test_a_time_of_day_is_todays_or_the_next_one():
    assert iso(parse_moment("at", "08:30", BERLIN, NINE), BERLIN) == "2025-11-25T08:30:00+01:00"
    assert iso(parse_moment("until", "08:30", BERLIN, NINE, ahead=True), BERLIN) == "2025-11-26T08:30:00+01:00"
    assert iso(parse_moment("until", "09:00", BERLIN, NINE, ahead=True), BERLIN) == "2025-11-26T09:00:00+01:00"
    assert iso(parse_moment("until", "23:59:59", BERLIN, NINE, ahead=True), BERLIN) == "2025-11-25T23:59:59+01:00"


@pytest.mark.parametrize(
    "value",
    [
        *("", "tomorrow", "25:00", "9:00", "2026-02-30", "2026-11-25T09:00:00+1", "2026-11-25T24:00"),
        *("2026-W48-3", "1e9", "0x10", "nan", "inf", "9" * 12, "1764057600000", "\uff11\uff12:\uff13\uff10"),
        *(
            "0001-01-01",
            "9999-12-31 23:59",
            "2026-11-25T09:00:00+99:00",
            "\0",
            "now\0",
            1e300,
            float("nan"),
            -1e11,
            1e12,
        ),
        *(True, None, [], {}, b"now"),
    ],
)
def test_anything_else_is_refused(value):
    with pytest.raises((InvalidValue, InvalidType), match=r"^at: "):
        parse_moment("at", value, BERLIN, NINE)


def test_a_plus_that_a_url_has_lost_is_told():
    with pytest.raises(InvalidValue, match=r"a \+ in a URL is written %2B$"):
        parse_moment("at", "2026-11-25T09:00:00 01:00", BERLIN, NINE)


def test_an_unknown_zone_is_refused():
    with pytest.raises(InvalidValue, match="did you mean 'Europe/Berlin'"):
        parse_moment("at", "09:00", "Berlin", NINE)


def test_an_offset_with_seconds_is_given_in_utc():
    assert iso(-3e9, BERLIN) == "1874-12-07T18:40:00+00:00"
