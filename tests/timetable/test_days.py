"""Days of the month: each form, its one spelling, and the dates that it means."""

import calendar
from datetime import date, timedelta
from enum import IntEnum
from itertools import count

import pytest

from tgscheduler.errors import InvalidType, InvalidValue
from tgscheduler.timetable.days import NTH, WEEKDAYS, check_days, days_in
from tgscheduler.timetable.triggers import Monthdays, check_monthdays


@pytest.mark.parametrize(
    ("days", "form"),
    [
        ([15, 1, 1], (1, 15)),
        (range(1, 4), (1, 2, 3)),
        ("last", (-1,)),
        (["last", -1], (-1,)),
        ([-1, -31, 5], (5, -31, -1)),
        ("first monday", ("1st monday",)),
        ("  Last   FRI ", ("last friday",)),
        (["2nd tue", "second Tuesday", "SECOND tue"], ("2nd tuesday",)),
        (
            ["3rd friday", "5th sunday", "4TH sat", "fifth wed"],
            ("3rd friday", "4th saturday", "5th wednesday", "5th sunday"),
        ),
        (
            ["last fri", -2, "last", 31, "last mon", "first sun", 1],
            (1, 31, "1st sunday", "last monday", "last friday", -2, -1),
        ),
    ],
)
def test_days_of_the_month_have_one_order_and_form(days, form):
    assert check_monthdays(days) == form
    assert check_monthdays(form) == form
    assert Monthdays(days, 3) == Monthdays(form, (3, 0))


@pytest.mark.parametrize(
    ("days", "kind", "words"),
    [
        ([0], InvalidValue, ["1 to 31", "-31", "got 0"]),
        ([32], InvalidValue, ["1 to 31", "got 32"]),
        ([-32], InvalidValue, ["-31", "got -32"]),
        (["15"], InvalidValue, ["1 to 31", "got '15'"]),
        ("monday", InvalidValue, ["'2nd tuesday'", "'last fri'", "got 'monday'"]),
        ("6th monday", InvalidValue, ["'2nd tuesday'", "'6th monday'"]),
        ("second tusday", InvalidValue, ["'2nd tuesday'", "'second tusday'"]),
        ("", InvalidValue, ["'last'", "got ''"]),
        ([True], InvalidType, ["1 to 31", "True"]),
        ([1.5], InvalidType, ["1 to 31", "1.5"]),
        ([None], InvalidType, ["None"]),
        (b"last", InvalidType, ["a list of days", "b'last'"]),
        (5, InvalidType, ["a list of days", "got 5"]),
        ([], InvalidValue, ["at least one day", "'last'", "got none"]),
    ],
)
def test_what_is_no_day_of_the_month_is_refused(days, kind, words):
    with pytest.raises(kind) as caught:
        check_monthdays(days)
    assert str(caught.value).startswith("monthdays: expected")
    for word in words:
        assert word in str(caught.value)


def test_an_endless_list_of_days_ends():
    assert check_monthdays(n % 3 + 1 for n in count()) == (1, 2, 3)
    assert check_days("weekdays", (n % 3 + 1 for n in count()), 7) == (1, 2, 3)


def test_days_are_plain_numbers():
    day = IntEnum("day", "monday tuesday")
    assert [type(number) for number in check_days("weekdays", day, 7) + check_monthdays(day)] == [int] * 4


@pytest.mark.parametrize("year", [1970, 2000, 2023, 2024, 2026, 2100])
def test_days_are_the_dates_that_the_calendar_has(year):
    for month in range(1, 13):
        dates = [date(year, month, 1) + timedelta(days=n) for n in range(calendar.monthrange(year, month)[1])]
        for n in range(1, 32):
            assert days_in((n,), year, month) == tuple(when.day for when in dates if when.day == n)
            assert days_in((-n,), year, month) == tuple(when.day for when in dates[::-1][n - 1 : n])
        for text, (n, weekday) in NTH.items():
            such = [when.day for when in dates if when.weekday() == weekday]
            assert days_in((text,), year, month) == tuple(such[-1:] if n == 0 else such[n - 1 : n])


def test_several_days_that_meet_are_one():
    assert days_in((28, 31, "last saturday", -1, -4), 2026, 2) == (25, 28)  # the 28th of February 2026 is a Saturday


def test_every_nth_weekday_is_known():
    assert len(NTH) == 6 * len(WEEKDAYS)
    assert set(check_monthdays(NTH)) == set(NTH)
