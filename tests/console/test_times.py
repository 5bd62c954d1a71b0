"""Times in the zone that the reader chose: always with that zone, in words where that is shorter."""

import math
import re
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from tgscheduler.console.times import Times, duration, iso, utc

BERLIN = ZoneInfo("Europe/Berlin")


def moment(*fields, zone=BERLIN, fold=0):
    return datetime(*fields, tzinfo=zone, fold=fold).timestamp()


NOW = moment(2026, 11, 23, 8, 41, 22)


@pytest.fixture
def times():
    return Times.chosen(None, "Europe/Berlin", NOW)


def text(markup):
    return re.sub("<[^>]*>", "", str(markup))


@pytest.mark.parametrize(
    ("cookie", "zone", "choice"),
    [
        (None, "Europe/Berlin", "server"),
        ("server", "Europe/Berlin", "server"),
        ("utc", "UTC", "utc"),
        ("browser:America/New_York", "America/New_York", "browser"),
        ("browser:Moon/Crater", "Europe/Berlin", "server"),
        ("browser:", "Europe/Berlin", "server"),
        ("browser:../../etc/passwd", "Europe/Berlin", "server"),
        ("nonsense", "Europe/Berlin", "server"),
    ],
)
def test_the_cookie_says_the_zone_and_the_servers_is_what_is_left(cookie, zone, choice):
    times = Times.chosen(cookie, "Europe/Berlin", NOW)
    assert (times.tz.key, times.choice) == (zone, choice)


@pytest.mark.parametrize(
    ("when", "shown"),
    [
        ((2026, 11, 23, 8, 42), "08:42:00 CET"),
        ((2026, 11, 24, 9, 0), "Tue 09:00 CET"),
        ((2026, 11, 24, 9, 0, 30), "Tue 09:00:30 CET"),
        ((2026, 11, 20, 9, 0), "Fri 09:00 CET"),
        ((2026, 12, 1, 2, 30), "1 Dec 02:30 CET"),
        ((2027, 7, 1, 2, 30), "1 Jul 2027 02:30 CEST"),
    ],
)
def test_a_time_is_as_short_as_its_distance_allows_and_has_its_zone(times, when, shown):
    assert text(times.at(moment(*when))) == shown


def test_full_and_dated_times_have_a_date_and_seconds(times):
    assert text(times.full(NOW)) == "Mon 23 Nov 2026 08:41:22 CET"
    assert text(times.dated(NOW)) == "Mon 23 Nov 08:41:22 CET"
    assert text(times.dated(moment(2025, 1, 2, 3, 4, 5))) == "Thu 2 Jan 2025 03:04:05 CET"
    assert times.plain(NOW) == "Mon 23 Nov 2026 08:41:22 CET"


def test_every_time_can_be_read_by_machines_and_shows_utc_when_pointed_at(times):
    assert str(times.at(NOW + 0.25)) == (
        '<time datetime="2026-11-23T07:41:22.25Z" title="2026-11-23 07:41:22.25 UTC">08:41:22 <abbr>CET</abbr></time>'
    )


def test_both_passes_of_a_repeated_hour_are_told_apart_by_their_zone(times):
    first, second = moment(2026, 10, 25, 2, 30), moment(2026, 10, 25, 2, 30, fold=1)
    assert second - first == 3600
    assert text(times.full(first)).endswith("02:30:00 CEST")
    assert text(times.full(second)).endswith("02:30:00 CET")


def test_a_zone_without_letters_is_named_by_its_offset():
    times = Times.chosen("browser:America/Sao_Paulo", "UTC", NOW)
    assert text(times.at(NOW)) == "04:41:22 UTC-03"


@pytest.mark.parametrize(
    ("ahead", "words"),
    [
        (0.2, "now"), (38, "in 38 s"), (-38, "38 s ago"), (99, "in 99 s"), (101, "in 2 min"), (19 * 60, "in 19 min"),
        (-180, "3 min ago"), (5400, "in 90 min"), (7200, "in 2 h"), (-12 * 3600, "12 h ago"), (86400, "tomorrow"),
        (-86400, "yesterday"), (3 * 86400, "in 3 days"), (-40 * 86400, "40 days ago"),
    ],
)  # fmt: skip
def test_distances_in_words(times, ahead, words):
    assert times.distance(NOW + ahead) == words
    assert text(times.relative(NOW + ahead)) == words


def test_what_is_no_time_is_a_dash(times):
    for none in (None, math.inf, -math.inf, math.nan):
        assert text(times.at(none)) == text(times.relative(none)) == "\u2013"
        assert duration(none) == "\u2013"


def test_a_moment_beyond_the_calendar_is_shown_all_the_same(times):
    assert text(times.full(1e15)) == "1000000000000000 POSIX seconds"


def test_the_moments_of_a_reason_are_in_the_readers_zone(times):
    due = datetime(2026, 11, 23, 8, 30, tzinfo=UTC).timestamp()
    assert times.reason(f"paused until {due:.3f}") == "paused until 09:30:00 CET"


def test_days_begin_at_the_readers_midnight_also_where_the_clock_changes(times):
    since, until = moment(2026, 10, 24, 12), moment(2026, 10, 27)
    assert list(times.days(since, until)) == [moment(2026, 10, day) for day in (25, 26, 27)]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 ms"), (0.0004, "0.4 ms"), (0.0999, "0.10 s"), (0.41, "0.41 s"), (0.999, "1.0 s"), (9.96, "10 s"),
        (59.4, "59 s"), (59.6, "1 min"), (192, "3 min 12 s"), (3599.7, "1 h"), (7380, "2 h 3 min"), (86400, "1 d"),
        (200000, "2 d 7 h"), (-0.012, "-12 ms"),
    ],
)  # fmt: skip
def test_durations_in_words(seconds, words):
    assert duration(seconds) == words


def test_times_for_machines_have_a_fraction_only_if_there_is_one():
    assert iso(1.0) == "1970-01-01T00:00:01Z"
    assert iso(1.5) == "1970-01-01T00:00:01.5Z"
    assert utc(-0.25) == "1969-12-31 23:59:59.75 UTC"
