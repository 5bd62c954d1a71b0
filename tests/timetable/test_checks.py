"""Moments and times of day: each way to write them, and what is refused with which mend."""

from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from fractions import Fraction
from zoneinfo import ZoneInfo

import pytest

from tgscheduler.errors import InvalidType, InvalidValue
from tgscheduler.timetable.triggers import check_moment, check_times

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("value", "times"),
    [
        ((7, 30), ((7, 30),)),
        ([7, 30], ((7, 30),)),
        (7, ((7, 0),)),
        (time(7, 30), ((7, 30),)),
        ([(7, 30)], ((7, 30),)),
        ([(19, 0), (7, 30)], ((7, 30), (19, 0))),
        (((7, 30), (19, 0)), ((7, 30), (19, 0))),
        ({(19, 0), (7, 30)}, ((7, 30), (19, 0))),
        (frozenset({time(19), time(7, 30)}), ((7, 30), (19, 0))),
        ([time(7, 30), (7, 30), [7, 30]], ((7, 30),)),
    ],
)
def test_times_of_day(value, times):
    assert check_times(value) == times
    assert check_times(times) == times


@pytest.mark.parametrize(
    ("value", "kind", "words"),
    [
        ([(7, 30), 19], InvalidType, ["several times", "(hour, minute)", "got 19"]),
        ([(7, 30), "19:00"], InvalidType, ["several times", "'19:00'"]),
        ([(7, 30), (24, 0)], InvalidValue, ["(23, 59)", "(24, 0)"]),
        ([(7, 30), time(7, 30, 5)], InvalidValue, ["seconds are not supported"]),
        ({7, 19}, InvalidType, ["(hour, minute)", "{19, 7}"]),
        ([], InvalidType, ["(hour, minute)", "got []"]),
        ([7, 19, 23], InvalidType, ["(hour, minute)", "[7, 19, 23]"]),
        ((24, 0), InvalidValue, ["(23, 59)", "(24, 0)"]),
        ((True, 0), InvalidType, ["(True, 0)"]),
        ("07:30", InvalidType, ["'07:30'"]),
    ],
)
def test_a_wrong_time_of_day_is_refused(value, kind, words):
    with pytest.raises(kind) as caught:
        check_times(value)
    assert str(caught.value).startswith("timeonday: expected")
    for word in words:
        assert word in str(caught.value)


class Hawaii(tzinfo):
    """A zone that is no ZoneInfo."""

    def utcoffset(self, when):
        return timedelta(hours=-10)

    def dst(self, when):
        return timedelta(0)


@pytest.mark.parametrize(
    ("value", "zone", "moment"),
    [
        (1700000000, None, 1700000000.0),
        (1700000000.25, "Europe/Berlin", 1700000000.25),
        (-86400, None, -86400.0),  # before 1970
        (Decimal("0.5"), None, 0.5),
        (Fraction(1, 4), None, 0.25),
        (datetime(2025, 6, 1, 12, tzinfo=UTC), None, 1748779200.0),
        (datetime(2025, 6, 1, 14, 0, 0, 250000, tzinfo=BERLIN), None, 1748779200.25),
        (datetime(2025, 6, 1, 14, tzinfo=timezone(timedelta(hours=2))), "America/New_York", 1748779200.0),
        (datetime(2025, 6, 1, 2, tzinfo=Hawaii()), None, 1748779200.0),
        (datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC), None, 253402300799.0),
        (datetime(1, 1, 1, tzinfo=UTC), None, -62135596800.0),
        # a wall time alone
        (datetime(2025, 6, 1, 14), "Europe/Berlin", 1748779200.0),
        (datetime(2025, 6, 1, 14, 0, 0, 250000), "Europe/Berlin", 1748779200.25),
        # that never was: the first instant after the gap, whatever fold
        (datetime(2025, 3, 30, 2, 30), "Europe/Berlin", 1743296400.0),
        (datetime(2025, 3, 30, 2, 30, 0, 5, tzinfo=BERLIN), None, 1743296400.0),
        (datetime(2025, 3, 30, 2, 30, tzinfo=BERLIN, fold=1), None, 1743296400.0),
        (datetime(2011, 12, 30, 12), "Pacific/Apia", 1325239200.0),
        # that came twice: the first, unless an aware one says otherwise
        (datetime(2025, 10, 26, 2, 30), "Europe/Berlin", 1761438600.0),
        (datetime(2025, 10, 26, 2, 30, fold=1), "Europe/Berlin", 1761438600.0),
        (datetime(2025, 10, 26, 2, 30, tzinfo=BERLIN), None, 1761438600.0),
        (datetime(2025, 10, 26, 2, 30, tzinfo=BERLIN, fold=1), None, 1761442200.0),
    ],
)
def test_a_moment(value, zone, moment):
    found = check_moment("start", value, zone)
    assert found == moment
    assert type(found) is float


@pytest.mark.parametrize(
    ("value", "kind", "words"),
    [
        (datetime(2025, 6, 1), InvalidValue, ["with a zone", "2025, 6, 1", "tzinfo=ZoneInfo('Europe/Berlin')"]),
        (1.7e12, InvalidValue, ["1700000000000.0", "milliseconds"]),
        (-1.7e12, InvalidValue, ["milliseconds"]),
        (float("nan"), InvalidValue, ["finite", "nan"]),
        (float("-inf"), InvalidValue, ["finite", "-inf"]),
        (10**400, InvalidValue, ["finite"]),
        (True, InvalidType, ["a number of POSIX seconds or a datetime", "True"]),
        ("2025-06-01", InvalidType, ["a datetime", "'2025-06-01'"]),
        (date(2025, 6, 1), InvalidType, ["a datetime", "datetime.date(2025, 6, 1)"]),
        (timedelta(1), InvalidType, ["a datetime", "timedelta"]),
        (None, InvalidType, ["a datetime", "None"]),
    ],
)
def test_what_is_no_moment_is_refused(value, kind, words):
    with pytest.raises(kind) as caught:
        check_moment("start", value, None)
    assert str(caught.value).startswith("start: ")
    for word in words:
        assert word in str(caught.value)


def test_a_moment_s_zone_must_be_known():
    with pytest.raises(InvalidValue, match="did you mean 'Europe/Berlin'"):
        check_moment("start", datetime(2025, 6, 1), "Berlin")
