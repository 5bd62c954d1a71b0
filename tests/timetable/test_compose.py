"""Either, except on, between: what they leave out, in which zone, and how they end."""

import dataclasses
import pickle
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from wallscan import fires

from tgscheduler.errors import InvalidType, InvalidValue
from tgscheduler.timetable.triggers import (
    Between,
    Composable,
    Cron,
    Either,
    ExceptOn,
    Interval,
    Monthdays,
    Once,
    Trigger,
    Weekdays,
    either,
)

DAY = 86400.0
BERLIN = ZoneInfo("Europe/Berlin")
DAILY = Weekdays(range(1, 8), (3, 0), "Europe/Berlin")
CHRISTMAS = date(2025, 12, 25)


def posix(text, zone=UTC):
    return datetime.fromisoformat(text).replace(tzinfo=zone).timestamp()


class CustomTrigger:
    """A trigger of an application's own: it answers what it is told to."""

    __hash__ = None

    def __init__(self, answer):
        self.answer = answer

    def next_after(self, moment):
        return self.answer(moment)


class Closed:
    """A calendar that can be asked, counted and not hashed, as those of the package holidays."""

    __hash__ = None

    def __init__(self, *days):
        self.days, self.asked = days, 0

    def __contains__(self, day):
        self.asked += 1
        return day in self.days


def local_days(trigger, first, last, zone=BERLIN):
    found = fires(trigger, posix(first, zone), posix(last, zone))
    return [f"{datetime.fromtimestamp(fire, zone):%d.%m. %H:%M}" for fire in found]


# -- either -----------------------------------------------------------------------------------------------------------


def test_either_fires_whenever_one_does_and_once_where_they_meet():
    trigger = either(Interval(1800), Interval(7200), Once(4000.0))
    assert fires(trigger, -1.0, 7300.0) == [0.0, 1800.0, 3600.0, 4000.0, 5400.0, 7200.0]
    assert either(Once(5.0), Once(6.0)).next_after(6.0) is None


def test_either_is_a_set():
    one, two, three = Interval(60), Cron("@daily"), DAILY
    assert either(one, two) == either(two, one)
    assert hash(either(one, two)) == hash(either(two, one))
    assert either(one, either(two, three), one).triggers == (one, two, three)
    assert either(one) == either(one, one)
    assert either(one) != either(two)


def test_either_gives_a_custom_trigger_what_ours_can():
    custom = CustomTrigger(lambda moment: moment + 10)
    trigger = either(custom, Once(12.0)).between(10, 25)
    assert trigger.next_after(0.0) == 12.0
    assert trigger.next_after(12.0) == 22.0
    assert trigger.next_after(22.0) is None
    assert either(custom) == either(custom)
    assert hash(either(custom)) == hash(either(custom))
    assert either(custom) != either(CustomTrigger(custom.answer))


# -- except on --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", [set, frozenset, list, tuple, dict.fromkeys, lambda days: Closed(*days)])
def test_a_calendar_s_dates_are_left_out(form):
    trigger = DAILY.except_on(form([date(2025, 12, 25), date(2025, 12, 26)]))
    assert local_days(trigger, "2025-12-24", "2025-12-29") == ["24.12. 03:00", "27.12. 03:00", "28.12. 03:00"]


def test_a_function_may_say_what_is_left_out():
    trigger = Interval(21600).except_on(lambda day: day.day % 2)
    assert local_days(trigger, "2025-12-24", "2025-12-27", UTC) == [
        *("24.12. 06:00", "24.12. 12:00", "24.12. 18:00"),
        *("26.12. 00:00", "26.12. 06:00", "26.12. 12:00", "26.12. 18:00"),
    ]


@pytest.mark.parametrize(
    ("trigger", "timezone", "left_out"),
    [
        (Cron("0 * * * *", "Asia/Tokyo"), None, ["2025-12-24T15:00", "2025-12-25T14:00"]),  # its own zone
        (Interval(3600), None, ["2025-12-25T00:00", "2025-12-25T23:00"]),  # UTC
        (Interval(3600), "Asia/Tokyo", ["2025-12-24T15:00", "2025-12-25T14:00"]),
        (Interval(3600).between(0), "Asia/Tokyo", ["2025-12-24T15:00", "2025-12-25T14:00"]),
        (Cron("0 * * * *", "Asia/Tokyo"), "America/New_York", ["2025-12-25T05:00", "2025-12-26T04:00"]),
        (either(Interval(3600), Cron("0 * * * *", "Asia/Tokyo")), None, ["2025-12-24T15:00", "2025-12-25T14:00"]),
        (Interval(3600).except_on([], "Asia/Tokyo"), None, ["2025-12-24T15:00", "2025-12-25T14:00"]),
    ],
)
def test_the_date_is_that_of_a_zone(trigger, timezone, left_out):
    found = fires(trigger.except_on({CHRISTMAS}, timezone), posix("2025-12-24T00:00"), posix("2025-12-27T00:00"))
    hours = [posix("2025-12-24T00:00") + 3600 * n for n in range(1, 72)]
    first, last = map(posix, left_out)
    assert found == [hour for hour in hours if not first <= hour <= last]


def test_the_zone_of_a_trigger_stays_whatever_dates_it_was_left_out_on():
    tokyo = Weekdays([1], 3, "Asia/Tokyo").except_on({CHRISTMAS}, "America/New_York")
    assert tokyo.except_on({CHRISTMAS}).timezone == "Asia/Tokyo"
    assert Interval(60).except_on({CHRISTMAS}, "Asia/Tokyo").except_on({CHRISTMAS}).timezone == "Asia/Tokyo"
    assert either(Interval(60).except_on({CHRISTMAS}), tokyo).except_on({CHRISTMAS}).timezone == "Asia/Tokyo"


def test_zones_that_differ_must_be_settled():
    both = either(Weekdays([1], 3, "Europe/Berlin"), Weekdays([2], 3))
    with pytest.raises(InvalidValue, match=r"except_on: expected timezone=.* Europe/Berlin or UTC\?"):
        both.except_on({CHRISTMAS})
    assert both.except_on({CHRISTMAS}, "UTC").timezone == "UTC"


def test_the_rest_of_a_date_is_not_asked_for_one_by_one():
    """A trigger of each second goes over a month that is left out in a step per date."""
    closed = Closed(*(date(2025, 12, 1) + timedelta(days=n) for n in range(31)))
    trigger = Interval(1).except_on(closed)
    assert trigger.next_after(posix("2025-12-01T00:00")) == posix("2026-01-01T00:00")
    assert closed.asked == 32


def test_a_date_that_comes_twice_is_left_out_twice():
    """St John's, 2010: Sunday had lasted a minute when the clock went back to Saturday, 23:01."""
    zone, saturday = "America/St_Johns", date(2010, 11, 6)
    change = posix("2010-11-07T02:31")
    minutes = Interval(30).except_on({saturday}, zone)
    assert fires(minutes, posix("2010-11-06T12:00"), change + 3700) == [
        *(change - 60, change - 30),
        *(change + 3540, change + 3570, change + 3600, change + 3630, change + 3660, change + 3690),
    ]


@pytest.mark.parametrize(
    ("trigger", "calendar"),
    [
        (DAILY, lambda day: True),
        (Interval(1), lambda day: day.year < 9999),
        (Monthdays([1], 0), lambda day: day.day == 1),
        (Once(posix("2025-12-25T12:00")), {CHRISTMAS}),
    ],
)
def test_who_leaves_out_everything_gets_nothing(trigger, calendar):
    assert trigger.except_on(calendar).next_after(1.7e9) is None


def test_nothing_fires_beyond_the_end_of_the_calendar():
    assert Interval(1).except_on(lambda day: True).next_after(posix("9999-12-29T23:59")) is None
    assert Interval(1).except_on(lambda day: False).next_after(posix("9999-12-31T23:59")) is None
    assert Interval(1e11).except_on(lambda day: False).next_after(2e11) is None


def test_an_overflow_of_someone_s_is_not_the_end_of_the_calendar():
    def broken(day):
        raise OverflowError("theirs")

    with pytest.raises(OverflowError, match="theirs"):
        Interval(1).except_on(broken).next_after(0.0)


def test_one_free_day_in_forty_years_is_found():
    leap_days = Cron("0 0 29 2 *").except_on(lambda day: day.year != 2064)
    assert leap_days.next_after(posix("2024-03-01T00:00")) == posix("2064-02-29T00:00")


@pytest.mark.parametrize(
    ("calendar", "words"),
    [
        (["2025-12-25"], ["datetime.date(2025, 12, 25)", "got '2025-12-25'"]),
        ({datetime(2025, 12, 25)}, ["datetime.date(2025, 12, 25)", "datetime.datetime(2025"]),
        ("2025-12-25", ["a set or list of datetime.date", "'2025-12-25'"]),
        (None, ["a set or list of datetime.date", "None"]),
        (iter(()), ["a set or list of datetime.date"]),
        (Closed, ["the class Closed", "call it first"]),
    ],
)
def test_what_is_no_calendar_is_refused(calendar, words):
    with pytest.raises(InvalidType) as caught:
        DAILY.except_on(calendar)
    for word in words:
        assert word in str(caught.value)


def test_a_set_is_kept_as_it_was():
    days = {CHRISTMAS}
    trigger = DAILY.except_on(days)
    days.clear()
    assert trigger.calendar == frozenset({CHRISTMAS})


# -- between ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "end", "found"),
    [
        (60, 180, [60.0, 120.0, 180.0]),  # both included
        (60.5, 179.5, [120.0]),
        (None, 60, [0.0, 60.0]),
        (180, None, [180.0, 240.0]),
        (None, None, [0.0, 60.0, 120.0, 180.0, 240.0]),
        (120, 120, [120.0]),
        (61, 119, []),
        (datetime(1970, 1, 1, 0, 1, tzinfo=UTC), datetime(1970, 1, 1, 1, 2, tzinfo=BERLIN), [60.0, 120.0]),
    ],
)
def test_bounds_include_both_ends(start, end, found):
    assert fires(Interval(60).between(start, end), -1.0, 299.0) == found


def test_a_bound_without_a_zone_is_read_in_the_trigger_s():
    trigger = DAILY.between(datetime(2025, 12, 25, 3), datetime(2025, 12, 26, 3))
    assert local_days(trigger, "2025-12-20", "2025-12-30") == ["25.12. 03:00", "26.12. 03:00"]
    gap = Cron("* * * * *", "Europe/Berlin").between(datetime(2025, 3, 30, 2, 30), datetime(2025, 10, 26, 2, 30))
    assert (gap.start, gap.end) == (1743296400.0, 1761438600.0)


@pytest.mark.parametrize(
    ("trigger", "bounds", "kind", "words"),
    [
        (Interval(60), (datetime(2025, 1, 1), None), InvalidValue, ["start", "tzinfo=ZoneInfo('Europe/Berlin')"]),
        (Weekdays([1], 3), (None, datetime(2025, 1, 1)), InvalidValue, ["end", "tzinfo="]),
        (either(DAILY, Cron("@daily", "UTC")), (datetime(2025, 1, 1), None), InvalidValue, ["start", "tzinfo="]),
        (Interval(60), (120, 60), InvalidValue, ["end", "no earlier", "120.0", "60.0"]),
        (Interval(60), (0, 1.7e12), InvalidValue, ["end", "milliseconds"]),
        (Interval(60), ("2025-01-01", None), InvalidType, ["start", "'2025-01-01'"]),
        (Interval(60), (None, True), InvalidType, ["end", "True"]),
    ],
)
def test_a_wrong_bound_is_refused(trigger, bounds, kind, words):
    with pytest.raises(kind) as caught:
        trigger.between(*bounds)
    for word in words:
        assert word in str(caught.value)


# -- all of them ------------------------------------------------------------------------------------------------------

CALENDAR = Closed(CHRISTMAS)


@pytest.mark.parametrize(
    ("trigger", "twin"),
    [
        (either(DAILY, Interval(60)), either(DAILY, Interval(60.0))),
        (DAILY.except_on([CHRISTMAS]), DAILY.except_on({CHRISTMAS}, "Europe/Berlin")),
        (DAILY.except_on(CALENDAR), DAILY.except_on(CALENDAR)),
        (DAILY.between(0, 60), DAILY.between(0.0, datetime(1970, 1, 1, 0, 1, tzinfo=UTC))),
        (
            either(DAILY.except_on([CHRISTMAS]).between(0), Once(5)).between(5),
            Between(either(Once(5.0), Between(ExceptOn(DAILY, (CHRISTMAS,)), 0)), 5.0),
        ),
    ],
)
def test_composed_triggers_are_values(trigger, twin):
    assert trigger == twin
    assert hash(trigger) == hash(twin)
    assert isinstance(trigger, Trigger)
    for field in dataclasses.fields(trigger):
        with pytest.raises(AttributeError):
            setattr(trigger, field.name, None)
    copy = pickle.loads(pickle.dumps(trigger))
    assert copy.next_after(1.7e9) == trigger.next_after(1.7e9)
    assert (copy == trigger) == (not isinstance(getattr(trigger, "calendar", None), Closed))


def test_calendars_that_cannot_be_hashed_are_only_equal_to_themselves():
    assert DAILY.except_on(Closed(CHRISTMAS)) != DAILY.except_on(Closed(CHRISTMAS))
    assert DAILY.except_on({CHRISTMAS: "x"}) != DAILY.except_on({CHRISTMAS})


@pytest.mark.parametrize("make", [lambda it: either(it), lambda it: ExceptOn(it, ()), lambda it: Between(it)])
@pytest.mark.parametrize("what", [5, None, "0 3 * * *", [Interval(60)], Interval])
def test_what_is_no_trigger_is_refused(make, what):
    with pytest.raises(InvalidType, match=r"expected a trigger such as Interval\(60\)"):
        make(what)


def test_the_base_alone_never_answers():
    class Empty(Composable):
        pass

    with pytest.raises(NotImplementedError, match="Empty has no next_after"):
        Empty().between(0).next_after(0.0)


def test_either_of_nothing_is_refused():
    with pytest.raises(InvalidValue, match="at least one trigger"):
        either()
    with pytest.raises(InvalidValue, match="at least one trigger"):
        Either(())


@pytest.mark.parametrize(
    "answer", [lambda moment: moment, lambda moment: 0.0, lambda moment: float("nan"), lambda m: float("inf")]
)
@pytest.mark.parametrize("make", [either, lambda it: ExceptOn(it, lambda day: True), lambda it: Between(it, 5, 1e9)])
def test_an_answer_that_is_no_later_moment_is_an_error(make, answer):
    with pytest.raises(InvalidValue, match=r"next_after: expected a time after .*, or None, got"):
        make(CustomTrigger(answer)).next_after(10.0)


def test_a_moment_is_on_the_day_of_what_was_composed():
    monday, tuesday = posix("2025-12-22T12:00"), posix("2025-12-23T12:00")
    mondays = Weekdays([1], 3)
    assert mondays.between(0).on_scheduled_day(monday)
    assert not mondays.between(0).on_scheduled_day(tuesday)
    assert mondays.except_on([CHRISTMAS]).on_scheduled_day(monday)
    assert not mondays.except_on([CHRISTMAS]).on_scheduled_day(tuesday)
    assert not mondays.except_on([date(2025, 12, 22)]).on_scheduled_day(monday)
    assert either(mondays, Monthdays([23], 3)).on_scheduled_day(tuesday)
    assert not either(mondays, Monthdays([24], 3)).on_scheduled_day(tuesday)
    assert either(mondays, Interval(60)).on_scheduled_day(tuesday)  # an interval has no days
    for timeless in (Interval(60), Cron("@daily"), either(mondays, Interval(60))):
        for trigger in (timeless, timeless.between(0), timeless.except_on(())):
            assert trigger.except_on(lambda day: True).on_scheduled_day(tuesday)
    assert not either(mondays.between(0), mondays).except_on(lambda day: True).on_scheduled_day(monday)
