"""One rule for every trigger: what may be asked, and that nothing fires beyond the calendar."""

import math
from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tgscheduler.errors import InvalidType, InvalidValue
from tgscheduler.timetable import zones
from tgscheduler.timetable.triggers import Cron, Interval, Monthdays, Once, Weekdays, either

PLAIN = [
    Interval(1),
    Interval(1e-6, 5.5),
    Interval(1e11),
    Once(1.7e9),
    Once(datetime.max.replace(tzinfo=UTC)),
    Weekdays(range(1, 8), [(2, 30), (23, 59)], "America/St_Johns"),
    Weekdays([3], 0, "Pacific/Kiritimati"),
    Monthdays([31, "last"], 0, "Europe/Berlin"),
    Cron("30 2 * * *", "Pacific/Apia"),
    Cron("*/15 * * * *", "Australia/Lord_Howe"),
    Cron("0 0 29 2 *", "Asia/Gaza"),
    Cron("* * 29 2 mon", "Europe/Berlin", day_and=True),
    Cron("* * * * * *"),
]
TRIGGERS = st.recursive(
    st.sampled_from(PLAIN),
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: either(*parts)),
        st.builds(lambda part, days: part.except_on(days, "Asia/Tokyo"), inner, st.sets(st.dates(), max_size=3)),
        st.builds(
            lambda part, bounds: part.between(*bounds),
            inner,
            st.sampled_from([(None, None), (0, None), (None, 1e11), (datetime(9998, 12, 31, tzinfo=UTC), None)]),
        ),
    ),
    max_leaves=5,
)
MOMENTS = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False),
    st.floats(zones.START - 1e6, zones.START + 1e6),
    st.floats(zones.END - 1e8, zones.END + 1e6),
    st.floats(0, 4.2e9),
    st.integers(-(10**30), 10**30),
)


@settings(deadline=None)
@given(TRIGGERS, MOMENTS)
def test_every_finite_moment_has_an_answer_within_the_calendar(trigger, moment):
    fire = trigger.next_after(moment)
    assert fire is None or (type(fire) is float and max(moment, zones.START) <= fire < zones.END)
    assert fire is None or fire > moment
    assert moment < zones.END or fire is None
    if moment < zones.START:
        assert fire == trigger.next_after(zones.START)


@settings(deadline=None)
@given(TRIGGERS, st.floats(0, 4.2e9), st.floats(0, 1e7))
def test_answers_are_in_order(trigger, moment, ahead):
    first, second = trigger.next_after(moment), trigger.next_after(moment + ahead)
    if first is None:
        assert second is None
    elif first > moment + ahead:
        assert second == first
    else:
        assert second is None or second > first


@settings(deadline=None)
@given(TRIGGERS)
def test_what_is_no_moment_is_an_error(trigger):
    for moment in (
        math.nan,
        math.inf,
        -math.inf,
        Decimal("NaN"),
        Decimal("sNaN"),
        Decimal("inf"),
        datetime(2025, 1, 1),
    ):
        with pytest.raises(InvalidValue, match=r"^moment: expected"):
            trigger.next_after(moment)
    for moment in (True, None, "0", b"0", 1j, date(2025, 1, 1), [0]):
        with pytest.raises(InvalidType, match=r"^moment: expected a number of POSIX seconds or a datetime"):
            trigger.next_after(moment)


@settings(deadline=None)
@given(TRIGGERS, st.integers(0, 4_000_000_000))
def test_a_moment_may_be_any_number_or_a_datetime_with_a_zone(trigger, seconds):
    expected = trigger.next_after(float(seconds))
    for moment in (seconds, Decimal(seconds), Fraction(seconds), datetime.fromtimestamp(seconds, UTC)):
        assert trigger.next_after(moment) == expected


@pytest.mark.parametrize(
    ("trigger", "distance"),
    [
        (Interval(1), 1.5),
        (Weekdays(range(1, 8), 0, "Europe/Berlin"), zones.DAY),
        (Monthdays([31], 0), 2 * zones.DAY),
        (Cron("30 2 * * *", "Pacific/Apia"), zones.DAY),
        (Cron("*/15 * * * *", "Australia/Lord_Howe"), 900.5),
        (Cron("* * * * * *", "America/St_Johns"), 1.5),
    ],
)
def test_all_kinds_fire_up_to_the_same_end(trigger, distance):
    fire = trigger.next_after(zones.END - distance)
    assert fire is not None
    while (following := trigger.next_after(fire)) is not None:
        fire = following
    assert zones.END - distance < fire < zones.END
