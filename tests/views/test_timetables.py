"""Timetables as people type them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tgscheduler.errors import SchedulerError
from tgscheduler.timetable.triggers import Cron, Interval, Monthdays, Weekdays, in_words
from tgscheduler.views.timetables import code_of, parse

ZONE = "Europe/Berlin"
WORKDAYS = (1, 2, 3, 4, 5)


@pytest.mark.parametrize(
    ("text", "trigger"),
    [
        ("0 9 * * 1-5", Cron("0 9 * * 1-5", ZONE)),
        ("  */5  * * * *  ", Cron("*/5 * * * *", ZONE)),
        ("30 0 9 * * mon", Cron("30 0 9 * * mon", ZONE)),
        ("@daily", Cron("@daily", ZONE)),
        ("every 90 s", Interval(90, 1090.0)),
        ("every 1.5 seconds", Interval(1.5, 1001.5)),
        ("Every 5 Minutes", Interval(300, 1300.0)),
        ("every hour", Interval(3600, 4600.0)),
        ("every 2 days", Interval(172800, 173800.0)),
        ("mon-fri 09:00", Weekdays(WORKDAYS, (9, 0), ZONE)),
        ("on weekdays at 9:00", Weekdays(WORKDAYS, (9, 0), ZONE)),
        ("fri-mon 09:00", Weekdays((1, 5, 6, 7), (9, 0), ZONE)),
        ("sat and sun at 10:00 and 12:30", Weekdays((6, 7), ((10, 0), (12, 30)), ZONE)),
        ("Wednesday 23:59", Weekdays((3,), (23, 59), ZONE)),
        ("daily 07:30 19:00", Weekdays(tuple(range(1, 8)), ((7, 30), (19, 0)), ZONE)),
        ("every day at 0:00", Weekdays(tuple(range(1, 8)), (0, 0), ZONE)),
        ("07:30", Weekdays(tuple(range(1, 8)), (7, 30), ZONE)),
        ("1,15 02:30", Monthdays((1, 15), (2, 30), ZONE)),
        ("last, 2nd tue at 23:00", Monthdays(("2nd tue", -1), (23, 0), ZONE)),
        ("-1 12:00", Monthdays((-1,), (12, 0), ZONE)),
    ],
)
def test_what_people_type(text, trigger):
    assert parse(text, ZONE, 1000.0) == trigger


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "expected a cron line such as"),
        ("sometimes", "'every 90 s'"),
        ("every fortnight", "'every 90 s'"),
        ("every 0 s", "more than 0 seconds"),
        ("mon 24:00", "from 00:00 to 23:59"),
        ("mon 9:60", "from 00:00 to 23:59"),
        ("mon-fry 09:00", "'mon-fry 09:00'"),
        ("32 09:00", "got 32"),
        ("99 * * * *", "minute '99'"),
        ("1 2 3 4 5 6 7", "expected a cron line"),
        ("0 9 * * 1-5\n", "expected a cron line"),
        ("x" * 201, "expected a cron line"),
    ],
)
def test_what_is_none_is_refused_with_what_is_expected(text, said):
    with pytest.raises(SchedulerError, match=said.replace("*", r"\*")):
        parse(text, ZONE, 0.0)


@given(st.text(max_size=60) | st.from_regex(r"(every )?[a-z0-9*/,@: -]{1,40}", fullmatch=True))
def test_any_text_is_a_timetable_or_refused(text):
    try:
        assert in_words(parse(text, "UTC", 0.0))
    except SchedulerError:
        pass


def test_the_line_of_python_to_copy():
    lines = [code_of(parse(text, ZONE, 0.0)) for text in ("@daily", "every 90 s", "mon,tue 9:00", "last 9:00 10:30")]
    assert lines == [
        "add_cron_task(action, '@daily', timezone='Europe/Berlin')",
        "add_interval_task(action, interval=90)",
        "add_weekday_task(action, [1, 2], (9, 0), timezone='Europe/Berlin')",
        "add_monthday_task(action, [-1], [(9, 0), (10, 30)], timezone='Europe/Berlin')",
    ]
