"""Wall time and POSIX seconds: there and back, in gaps and in folds."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wallscan import changes

from tgscheduler.errors import InvalidType, InvalidValue
from tgscheduler.timetable import zones

ZONES = ["Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "Pacific/Apia", "America/Sao_Paulo", "UTC"]
MOMENTS = st.integers(0, int(datetime(2101, 1, 1, tzinfo=UTC).timestamp()))


def posix(text):
    return datetime.fromisoformat(text).timestamp()


@pytest.mark.parametrize(
    ("zone", "wall", "utc"),
    [
        ("Europe/Berlin", "2025-07-01 12:00:00", "2025-07-01T10:00:00Z"),
        ("UTC", "2025-07-01 12:00:00", "2025-07-01T12:00:00Z"),
        # gaps: the first instant after
        ("Europe/Berlin", "2025-03-30 01:59:59", "2025-03-30T00:59:59Z"),
        ("Europe/Berlin", "2025-03-30 02:00:00", "2025-03-30T01:00:00Z"),
        ("Europe/Berlin", "2025-03-30 02:59:59", "2025-03-30T01:00:00Z"),
        ("Europe/Berlin", "2025-03-30 03:00:00", "2025-03-30T01:00:00Z"),
        ("America/Sao_Paulo", "2018-11-04 00:00:00", "2018-11-04T03:00:00Z"),
        ("Australia/Lord_Howe", "2025-10-05 02:15:00", "2025-10-04T15:30:00Z"),
        ("Pacific/Apia", "2011-12-30 12:00:00", "2011-12-30T10:00:00Z"),
        ("Pacific/Kwajalein", "1993-08-21 00:00:00", "1993-08-21T12:00:00Z"),
        ("Africa/Monrovia", "1972-01-07 00:10:00", "1972-01-07T00:44:30Z"),
        # folds: the first of the two
        ("Europe/Berlin", "2025-10-26 02:00:00", "2025-10-26T00:00:00Z"),
        ("Europe/Berlin", "2025-10-26 02:59:59", "2025-10-26T00:59:59Z"),
        ("Europe/Berlin", "2025-10-26 03:00:00", "2025-10-26T02:00:00Z"),
        ("America/St_Johns", "2010-11-06 23:30:00", "2010-11-07T02:00:00Z"),
        ("Australia/Lord_Howe", "2025-04-06 01:45:00", "2025-04-05T14:45:00Z"),
        ("Asia/Pyongyang", "2015-08-14 23:45:00", "2015-08-14T14:45:00Z"),
        # winter is the «saving» in Dublin
        ("Europe/Dublin", "2025-03-30 01:30:00", "2025-03-30T01:00:00Z"),
        ("Europe/Dublin", "2025-10-26 01:30:00", "2025-10-26T00:30:00Z"),
    ],
)
def test_a_wall_time_is_due_at(zone, wall, utc):
    assert zones.instant(datetime.fromisoformat(wall), zones.zone(zone)) == posix(utc)


@pytest.mark.parametrize(
    ("moment", "shown"),
    [
        (0, "1970-01-01 01:00:00"),
        (59.9999999, "1970-01-01 01:00:59"),  # never rounded up into the next minute
        (1743296399, "2025-03-30 01:59:59"),
        (1743296400, "2025-03-30 03:00:00"),
        (-0.5, "1970-01-01 00:59:59"),
    ],
)
def test_the_wall_shows_whole_seconds(moment, shown):
    assert zones.wall(moment, zones.zone("Europe/Berlin")) == datetime.fromisoformat(shown)


@pytest.mark.parametrize("name", ZONES)
@given(data=st.data())
@settings(derandomize=True, deadline=None, max_examples=40)
def test_there_and_back_is_the_same_or_the_first_pass(name, data):
    tz = zones.zone(name)
    moment = data.draw(MOMENTS)
    back = zones.instant(zones.wall(moment, tz), tz)
    assert back <= moment
    assert zones.wall(back, tz) == zones.wall(moment, tz)


@pytest.mark.parametrize("name", ZONES)
@given(data=st.data())
@settings(derandomize=True, deadline=None, max_examples=40)
def test_a_later_wall_time_is_never_due_earlier(name, data):
    tz = zones.zone(name)
    near = data.draw(st.sampled_from([change * 60 for change in changes(name)] or [0]))
    first = zones.naive(near + data.draw(st.integers(-2 * 86400, 2 * 86400)))
    second = first + timedelta(seconds=data.draw(st.integers(0, 90000)))
    assert zones.instant(first, tz) <= zones.instant(second, tz)


@pytest.mark.parametrize("name", ["UTC", "Europe/Berlin", "Asia/Gaza", "Africa/Casablanca", "America/Noronha"])
def test_all_changes_of_a_zone_are_found_one_after_the_other(name):
    tz, end = zones.zone(name), changes(name)[-1] * 60 if changes(name) else 4_000_000_000
    found, moment = [], 0
    while (change := zones.next_change(moment, tz, end)) is not None:
        found.append(change)
        moment = change
    assert [change // 60 for change in found] == [minute for minute in changes(name) if minute * 60 <= end]
    for change in found:
        assert zones.offset(change - 1, tz) != zones.offset(change, tz)


def test_a_change_is_looked_for_after_the_moment_and_up_to_the_end():
    berlin, spring = zones.zone("Europe/Berlin"), 1743296400
    assert zones.next_change(spring - 1, berlin, spring) == spring
    assert zones.next_change(spring, berlin, spring + 86400) is None
    assert zones.next_change(spring - 86400, berlin, spring - 1) is None


@pytest.mark.parametrize(
    ("zone", "moment", "until"),
    [
        ("Europe/Berlin", 1748779200.5, 1748815200),  # the midnight after 2025-06-01 14:00
        ("Europe/Berlin", 1743292800, 1743296400),  # on the day of a change it may be earlier: at the change
        ("Europe/Berlin", 1743296400, 1743372000),
        ("America/St_Johns", 1289097000, 1289097060),  # Sunday has lasted a minute: back to Saturday, 23:01
        ("America/St_Johns", 1289097060, 1289100600),
        ("Pacific/Apia", 1325239199, 1325239200),  # a day is jumped over
        ("Pacific/Apia", 1325239200, 1325325600),
    ],
)
def test_the_next_date_begins_at_midnight_or_a_change(zone, moment, until):
    tz = zones.zone(zone)
    assert zones.next_day(moment, tz) == until
    assert zones.wall(until - 1, tz).date() == zones.wall(moment, tz).date()


def test_without_a_name_the_zone_is_utc():
    assert zones.zone(None) == ZoneInfo("UTC")


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("Berlin", "did you mean 'Europe/Berlin'?"),
        ("europe/berln", "did you mean 'Europe/Berlin'?"),
        ("New York", "did you mean 'America/New_York'?"),
        ("Sao_Paolo", "did you mean 'America/Sao_Paulo'?"),
        ("", "expected an IANA name such as 'Europe/Berlin'"),
        ("xqzw", "expected an IANA name such as 'Europe/Berlin'"),
        ("/etc/localtime", ""),
        ("../../etc/passwd", ""),
        ("Factory", "stands for one that was never set"),
        ("Europe", ""),  # a folder of the zone database
        ("UTC\0", ""),
        ("\ud800", ""),
        ("TZ=", ""),
        ("TZ=Nowhere", ""),
        ("TZ=JST-9\n", ""),
        ("TZ=XXX24", ""),
        ("TZ=\ud800-9", ""),
    ],
)
def test_an_unknown_zone_is_refused_with_the_nearest_name(name, hint):
    with pytest.raises(InvalidValue) as caught:
        zones.zone(name)
    assert f"{name!r} is no time zone" in str(caught.value)
    assert hint in str(caught.value)


def test_a_zone_that_counts_leap_seconds_is_refused():
    with pytest.raises(InvalidValue, match="counts leap seconds, which POSIX time does not; write 'Europe/Berlin'"):
        zones.zone("right/Europe/Berlin")


@pytest.mark.parametrize(
    ("rule", "name"),
    [
        ("CET-1CEST,M3.5.0,M10.5.0/3", "Europe/Berlin"),
        ("NST3:30NDT,M3.2.0,M11.1.0", "America/St_Johns"),
        ("<+1030>-10:30<+11>-11,M10.1.0,M4.1.0", "Australia/Lord_Howe"),
        ("GMT0IST,M3.5.0/1,M10.5.0", "Europe/Dublin"),
    ],
)
def test_a_posix_rule_is_a_zone_with_its_clock_changes(rule, name):
    ruled, named, end = zones.zone(f"TZ={rule}"), zones.zone(name), 4_102_444_800
    moment = 1_748_779_200
    while (change := zones.next_change(moment, named, end)) is not None:
        assert zones.next_change(moment, ruled, end) == change
        assert zones.offset(change, ruled) == zones.offset(change, named)
        moment = change


@pytest.mark.parametrize("name", [5, b"UTC", ["UTC"], ZoneInfo("UTC"), 3600.0])
def test_a_zone_is_given_by_name(name):
    with pytest.raises(InvalidType) as caught:
        zones.zone(name)
    assert repr(name) in str(caught.value)
    assert "'Europe/Berlin'" in str(caught.value)
