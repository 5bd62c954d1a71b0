"""The cron dialect: what a line means, and what is refused with which mend."""

from datetime import datetime

import pytest

from tgscheduler.errors import InvalidType, InvalidValue
from tgscheduler.timetable import cron

START = datetime(2025, 1, 15, 10, 17, 30)  # a Wednesday


def following(line, count=4, start=START, **kw):
    """Return the next matches of a line as texts."""
    parsed, found = cron.parse(line, **kw), []
    for _ in range(count):
        start = parsed.next_after(start)
        found.append(f"{start:%Y-%m-%d %H:%M:%S}".removesuffix(":00"))
    return found


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("5 4 * * *", ["2025-01-16 04:05", "2025-01-17 04:05"]),
        ("*/45 * * * *", ["2025-01-15 10:45", "2025-01-15 11:00", "2025-01-15 11:45"]),
        ("50/2 * * * *", ["2025-01-15 10:50", "2025-01-15 10:52", "2025-01-15 10:54"]),
        ("58/2,1 * * * *", ["2025-01-15 10:58", "2025-01-15 11:01", "2025-01-15 11:58"]),
        ("50-50/2 * * * *", ["2025-01-15 10:50", "2025-01-15 11:50"]),  # a-a/n is a
        ("0-59/20 3 * * *", ["2025-01-16 03:00", "2025-01-16 03:20", "2025-01-16 03:40", "2025-01-17 03:00"]),
        ("30 20 * * * *", ["2025-01-15 10:20:30", "2025-01-15 11:20:30"]),  # six fields: seconds first
        ("*/20 17 10 * * *", ["2025-01-15 10:17:40", "2025-01-16 10:17"]),
        ("0 0 1 JAN,jul *", ["2025-07-01 00:00", "2026-01-01 00:00"]),
        ("0 0 1 feb-apr *", ["2025-02-01 00:00", "2025-03-01 00:00", "2025-04-01 00:00", "2026-02-01 00:00"]),
        ("0 0 * * 0", ["2025-01-19 00:00", "2025-01-26 00:00"]),
        ("0 0 * * 7", ["2025-01-19 00:00", "2025-01-26 00:00"]),
        ("0 0 * * Sun", ["2025-01-19 00:00", "2025-01-26 00:00"]),
        ("0 0 * * sat-sun", ["2025-01-18 00:00", "2025-01-19 00:00", "2025-01-25 00:00"]),
        ("0 0 * * 6-0", ["2025-01-18 00:00", "2025-01-19 00:00", "2025-01-25 00:00"]),
        ("0 0 L * *", ["2025-01-31 00:00", "2025-02-28 00:00", "2025-03-31 00:00"]),
        ("0 0 LW * *", ["2025-01-31 00:00", "2025-02-28 00:00", "2025-03-31 00:00", "2025-04-30 00:00"]),
        ("0 0 * * 5L", ["2025-01-31 00:00", "2025-02-28 00:00", "2025-03-28 00:00"]),
        ("0 0 * * fri#2", ["2025-02-14 00:00", "2025-03-14 00:00"]),
        ("0 0 31 * *", ["2025-01-31 00:00", "2025-03-31 00:00", "2025-05-31 00:00"]),
        ("0 0 29 2 *", ["2028-02-29 00:00", "2032-02-29 00:00"]),
        (" \t0  0 1\u00a01 *\n", ["2026-01-01 00:00"]),  # white space of any kind
        ("@hourly", ["2025-01-15 11:00", "2025-01-15 12:00"]),
        ("@daily", ["2025-01-16 00:00", "2025-01-17 00:00"]),
        ("@midnight", ["2025-01-16 00:00", "2025-01-17 00:00"]),
        ("@Weekly", ["2025-01-19 00:00", "2025-01-26 00:00"]),
        ("@monthly", ["2025-02-01 00:00", "2025-03-01 00:00"]),
        ("@yearly", ["2026-01-01 00:00", "2027-01-01 00:00"]),
        ("@annually", ["2026-01-01 00:00", "2027-01-01 00:00"]),
    ],
)
def test_a_line_means(line, expected):
    assert following(line, len(expected)) == expected


@pytest.mark.parametrize(
    ("line", "either", "both"),
    [
        ("0 0 13 * 5", ["2025-01-17 00:00", "2025-01-24 00:00"], ["2025-06-13 00:00", "2026-02-13 00:00"]),
        ("0 0 1-31 * 1", ["2025-01-16 00:00", "2025-01-17 00:00"], ["2025-01-20 00:00", "2025-01-27 00:00"]),
        # a field that begins with * makes both match, as in Vixie's cron
        ("0 0 */2 * 1", ["2025-01-27 00:00", "2025-02-03 00:00"], ["2025-01-27 00:00", "2025-02-03 00:00"]),
    ],
)
def test_two_restricted_day_fields(line, either, both):
    assert following(line, 2) == either
    assert following(line, 2, day_and=True) == both


@pytest.mark.parametrize(
    ("line", "wildcard"),
    [
        ("* * * * *", True),
        ("*/15 3 * * *", True),
        ("0 * * * *", True),
        ("0 */2 * * *", True),
        ("*,5 1 * * *", True),
        ("*/10 0 3 * * *", True),
        ("@hourly", True),
        ("5 0-5 * * *", False),
        ("0-59/10 3 * * *", False),
        ("0-59 0-23 * * *", False),
        ("15,45 1-3 * * *", False),
        ("0 30 2 * * *", False),
        ("@daily", False),
        ("@weekly", False),
        ("@monthly", False),
        ("@yearly", False),
        ("0 3 * * *", False),  # stars in the day fields do not count
    ],
)
def test_a_line_follows_real_time_if_its_clock_fields_begin_with_a_star(line, wildcard):
    assert cron.parse(line).wildcard is wildcard


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("", ["five fields", "got 0"]),
        ("* * * *", ["five fields", "got 4"]),
        ("0 0 1 1 * 2025 5", ["five fields", "got 7"]),
        ("60 * * * *", ["minute", "'60'", "0 to 59"]),
        ("60 * * * * *", ["second", "'60'", "0 to 59"]),
        ("* 24 * * *", ["hour", "'24'", "0 to 23"]),
        ("* * 0 * *", ["day-of-month", "'0'", "1 to 31"]),
        ("* * 32 * *", ["day-of-month", "'32'", "1 to 31"]),
        ("* * * 13 *", ["month", "'13'", "1 to 12 or jan to dec"]),
        ("* * * * 8", ["day-of-week", "'8'", "0 to 7 or sun to sat"]),
        ("* * * janury *", ["month", "janury", "jan to dec"]),
        ("? * * * *", ["minute", "'?'", "write '*'"]),
        ("0 0 ? * 1", ["day-of-month", "write '*'"]),
        ("0 0 15W * *", ["'15w'", "'LW'"]),
        ("0 0 L-3 * *", ["'l-3'", "'L' stands alone"]),
        ("0 0 L/2 * *", ["'l/2'", "'L' stands alone"]),
        ("0 0 * * L", ["day-of-week", "behind a day of the week (5L)"]),
        ("0 0 * * MON#6", ["'mon#6'", "#1 to #5"]),
        ("0 0 * * MON#0", ["'mon#0'", "#1 to #5"]),
        ("H * * * *", ["'H' is not known", "jitter="]),
        ("0~30 * * * *", ["'~' is not known", "jitter="]),
        ("@reboot", ["'@reboot'", "add_single_task", "call_on_startup"]),
        ("@every 5m", ["'@every 5m'", "add_interval_task"]),
        ("@fortnightly", ["@daily", "@hourly"]),
        ("0 0 * * fri-mon", ["'fri-mon'", "backwards", "list"]),
        ("5-1 * * * *", ["'5-1'", "backwards"]),
        ("0 0 1 jan-3 *", ["'jan-3'", "mixes name and number"]),
        ("0 0 * * mon-7", ["'mon-7'", "mixes name and number"]),
        ("1- * * * *", ["'1-'", "got ''"]),
        ("0 0 ,1 * *", ["day-of-month", "got ''"]),
        ("-5 * * * *", ["'-5'", "got ''"]),
        ("*/0 * * * *", ["'*/0'", "step of 1 or more"]),
        ("*/x * * * *", ["'*/x'", "step of 1 or more"]),
        ("1/ * * * *", ["'1/'", "step of 1 or more"]),
        ("*/90 * * * *", ["'*/90'", "larger than the field"]),
        ("0 */24 * * *", ["'*/24'", "larger than the field"]),
        ("٣ * * * *", ["'٣'", "0 to 59"]),
        ("*/٣ * * * *", ["'*/٣'", "step of 1 or more"]),
        ("TZ=Europe/Berlin * * * * *", ["timezone="]),
        ("CRON_TZ=UTC 0 3 * * *", ["timezone="]),
        ("0 0 30 2 *", ["no date ever matches"]),
        ("0 0 31 4,6,9,11 *", ["no date ever matches"]),
    ],
)
def test_a_line_that_is_refused_says_where_and_how_to_mend_it(line, words):
    with pytest.raises(InvalidValue) as caught:
        cron.parse(line)
    assert repr(line) in str(caught.value)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize("line", [None, 5, b"* * * * *", ["*", "*", "*", "*", "*"]])
def test_a_line_is_a_string(line):
    with pytest.raises(InvalidType) as caught:
        cron.parse(line)
    assert repr(line) in str(caught.value)


def test_a_parsed_line_is_shared_and_keeps_no_state():
    first, second = cron.parse("*/5 * * * *"), cron.parse("*/5 * * * *")
    assert first is second
    later = first.next_after(datetime(2030, 1, 1))
    assert first.next_after(START) == datetime(2025, 1, 15, 10, 20)
    assert first.next_after(datetime(2030, 1, 1)) == later
