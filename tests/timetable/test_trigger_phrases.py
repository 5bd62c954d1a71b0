"""Triggers in plain English."""

from datetime import UTC, date, datetime, timedelta
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_triggers import KINDS, cron_lines, windows

from tgscheduler.errors import InvalidValue
from tgscheduler.timetable.triggers import (
    Cron,
    Interval,
    Monthdays,
    Once,
    Weekdays,
    day_rule_warning,
    either,
    in_words,
)

MONDAY = Weekdays([1], 3, "Europe/Berlin")
CHRISTMAS = date(2025, 12, 25)


class CustomTrigger:
    """A trigger of an application's own."""

    def __init__(self, text):
        self.text = text

    def next_after(self, moment):
        return None

    def __repr__(self):
        return self.text.format()


def is_closed(day):
    return False


class Closed(dict):
    """A calendar of a class of its own, as those of the package holidays."""


@pytest.mark.parametrize(
    ("trigger", "words"),
    [
        (Interval(120), "every 2 minutes"),
        (Interval(60), "every minute"),
        (Interval(90), "every 90 seconds"),
        (Interval(5400), "every 90 minutes"),
        (Interval(3600), "every hour"),
        (Interval(1), "every second"),
        (Interval(86400), "every 24 hours"),  # no day of the calendar
        (Interval(timedelta(days=7)), "every 7 days"),
        (Interval(0.1), "every 0.1 seconds"),
        (Interval(1 / 3), "every 0.333333 seconds"),
        (Interval(1e-6), "every 0.000001 seconds"),
        (Once(1750000000.25), "once, 2025-06-15 15:06:40.25 UTC"),
        (Once(0.0), "once, 1970-01-01 00:00 UTC"),
        (
            Weekdays(range(1, 6), [(19, 0), (7, 30)], "Europe/Berlin"),
            "on weekdays (Mon-Fri) at 07:30 and 19:00, Europe/Berlin",
        ),
        (Weekdays(range(1, 8), (2, 30)), "every day at 02:30, UTC"),
        (MONDAY, "every Monday at 03:00, Europe/Berlin"),
        (Weekdays([6, 7], 9), "on Saturday and Sunday at 09:00, UTC"),
        (Weekdays([1, 2, 3, 6], 9), "on Monday to Wednesday and Saturday at 09:00, UTC"),
        (Weekdays([1, 3], [(h, 0) for h in range(24)]), "on Monday and Wednesday at 24 times from 00:00 to 23:00, UTC"),
        (
            Monthdays(["last", "2nd tue"], (2, 30), "Europe/Berlin"),
            "on the 2nd Tuesday and the last day of the month at 02:30, Europe/Berlin",
        ),
        (Monthdays([1], 0), "on the 1st of the month at 00:00, UTC"),
        (
            Monthdays([3, 11, *range(21, 25), -2, "last fri"], 0),
            "on the 3rd, the 11th, the 21st to the 24th, the last Friday and the 2nd to last day of the month at "
            "00:00, UTC",
        ),
        (Monthdays([12, 13, 22, 31], 0), "on the 12th, the 13th, the 22nd and the 31st of the month at 00:00, UTC"),
        (Monthdays(range(1, 32), 0), "every day at 00:00, UTC"),
        (Cron("0 9 * * 1-5", "Europe/Berlin"), "at 09:00 on Monday through Friday, Europe/Berlin (cron 0 9 * * 1-5)"),
        (Cron("@daily"), "at 00:00 every day, UTC (cron @daily)"),
        (Cron(" */5\t* * * * "), "every fifth minute of every hour, UTC (cron */5 * * * *)"),
        (
            Cron("0 3 1,21,22,31 * *"),
            "at 03:00 on the first, the 21st, the 22nd, and the 31st day of month, UTC (cron 0 3 1,21,22,31 * *)",
        ),
        (Cron("0 3 * 1 *"), "at 03:00 every day in January, UTC (cron 0 3 * 1 *)"),
        (
            Cron("0 0 13 * 5"),
            "at 00:00 on the 13th day of the month or on Friday (either suffices), UTC (cron 0 0 13 * 5)",
        ),
        (
            Cron("0 0 13 12 5", day_and=True),
            "at 00:00 on the 13th day of the month and on Friday (both must match) in December, UTC (cron 0 0 13 12 5)",
        ),
        (Cron("0 0 1-31 * 1"), "at 00:00 every day or on Monday (either suffices), UTC (cron 0 0 1-31 * 1)"),
        (
            Cron("0 0 */2 */3 1"),
            "at 00:00 on every second day of month and on Monday (both must match) in every third month, "
            "UTC (cron 0 0 */2 */3 1)",
        ),
        (Cron("0 3 * * 0,7"), "at 03:00 on Sunday, UTC (cron 0 3 * * 0,7)"),
        (Cron("0 3 * * sun,1,7"), "at 03:00 on Monday and Sunday, UTC (cron 0 3 * * sun,1,7)"),
        (Cron("0 3 * * 5-7,0"), "at 03:00 on Friday through Sunday, UTC (cron 0 3 * * 5-7,0)"),
        (Cron("0 3 * * 1-3,2"), "at 03:00 on Monday through Wednesday, UTC (cron 0 3 * * 1-3,2)"),
        (Cron("0 3 * * 0L,7L"), "at 03:00 on the last Sunday of the month, UTC (cron 0 3 * * 0L,7L)"),
        (Cron("0 3 * * 0#1,7#1"), "at 03:00 on the first Sunday of the month, UTC (cron 0 3 * * 0#1,7#1)"),
        (Cron("0 3 1-5,3-9 * *"), "at 03:00 on every day of month from 1 through 9, UTC (cron 0 3 1-5,3-9 * *)"),
        (Cron("0 3 * * 0-4"), "at 03:00 on Sunday through Thursday, UTC (cron 0 3 * * 0-4)"),
        (
            Cron("0 3 13 * 0,7"),
            "at 03:00 on the 13th day of the month or on Sunday (either suffices), UTC (cron 0 3 13 * 0,7)",
        ),
        (either(MONDAY, Interval(60)), "every Monday at 03:00, Europe/Berlin; or every minute"),
        (MONDAY.except_on([]), "every Monday at 03:00, Europe/Berlin"),
        (MONDAY.except_on([CHRISTMAS]), "every Monday at 03:00, Europe/Berlin, except on 2025-12-25"),
        (
            Interval(60).except_on([date(2026, 1, 1), CHRISTMAS]),
            "every minute, except on 2025-12-25 and 2026-01-01 (UTC)",
        ),
        (
            Interval(60).except_on([CHRISTMAS + timedelta(days=n) for n in range(9)], "Asia/Tokyo"),
            "every minute, except on 9 dates from 2025-12-25 to 2026-01-02 (Asia/Tokyo)",
        ),
        (MONDAY.except_on(Closed()), "every Monday at 03:00, Europe/Berlin, except on the dates of Closed"),
        (MONDAY.except_on(is_closed), "every Monday at 03:00, Europe/Berlin, except where is_closed says so"),
        (
            MONDAY.except_on(partial(id)),
            "every Monday at 03:00, Europe/Berlin, except where functools.partial(<built-in function id>) says so",
        ),
        (Interval(60).between(0), "every minute, from 1970-01-01 00:00 UTC"),
        (Interval(60).between(None, 5.5), "every minute, to 1970-01-01 00:00:05.5 UTC"),
        (Interval(60).between(), "every minute"),
        (
            Weekdays([1], 3, "Asia/Tokyo").between(datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)),
            "every Monday at 03:00, Asia/Tokyo, from 0001-01-01 09:18:59 to the last day of the calendar Asia/Tokyo",
        ),
        (
            Weekdays([1], 3, "America/New_York").between(datetime.min.replace(tzinfo=UTC)),
            "every Monday at 03:00, America/New_York, from the first day of the calendar America/New_York",
        ),
        (
            MONDAY.between(datetime(2025, 6, 1), datetime(2025, 7, 1, 3, 4, 5, tzinfo=UTC)),
            "every Monday at 03:00, Europe/Berlin, from 2025-06-01 00:00 to 2025-07-01 05:04:05 Europe/Berlin",
        ),
        (CustomTrigger("<every full moon>"), "<every full moon>"),
        (either(CustomTrigger("two\nlines\x1b[2J"), Interval(60)), r"two\nlines\x1b[2J; or every minute"),
        (CustomTrigger("{missing}"), "a CustomTrigger"),
        (CustomTrigger("x" * 101), "x" * 99 + "…"),
    ],
)
def test_in_words(trigger, words):
    assert in_words(trigger) == words


def test_a_trigger_that_an_application_has_changed_is_not_said_to_be_ours():
    class Mine(Interval):
        pass

    assert "Mine(" in in_words(Mine(60))


@given(data=st.data())
@settings(derandomize=True, deadline=None, max_examples=40)
def test_every_trigger_has_words(data):
    kind = data.draw(st.sampled_from([*KINDS, "cron", "cron"]))
    words = in_words(KINDS[kind](data.draw, data.draw(windows())).trigger)
    assert words.isprintable()
    assert "  " not in words
    assert words[0].islower()


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        (
            "0 0 13 * 5",
            ["'13' or day-of-week '5' suffices", "on the 13th day of the month or on Friday", "day_and=True"],
        ),
        ("0 0 0 1-31 * fri-sun", ["'1-31'", "'fri-sun'", "every day or on Friday through Sunday"]),
        ("0 0 L 12 5L", ["'L'", "'5L'", "day of the month or on the last Friday"]),
    ],
)
def test_two_day_fields_of_which_either_suffices_are_warned_of(line, parts):
    warning = day_rule_warning(line)
    for part in parts:
        assert part in warning


@pytest.mark.parametrize("line", ["0 0 13 * *", "0 0 * * 5", "0 0 */2 * 5", "0 0 13 * */2", "@weekly", "* * * * * *"])
def test_other_lines_give_no_warning(line):
    assert day_rule_warning(line) is None


@given(line=cron_lines())
@settings(derandomize=True, deadline=None, max_examples=25)
def test_a_warning_is_given_where_the_day_rule_matters(line):
    text = line[0]
    day, weekday = text.split()[2::2]
    assert (day_rule_warning(text) is None) == (day.startswith("*") or weekday.startswith("*"))


def test_a_line_that_is_none_is_refused():
    with pytest.raises(InvalidValue, match="five fields"):
        day_rule_warning("0 0 13")
