"""Cron-like lines of TGScheduler 1.7: what the fields stand for, and the cron line they become."""

from datetime import UTC, datetime

import pytest

from tgscheduler.errors import InvalidType, InvalidValue
from tgscheduler.timetable.cronlike import CronFields
from tgscheduler.timetable.triggers import Cron


@pytest.mark.parametrize(
    ("line", "minutes", "hours", "doms", "months", "dows"),
    [
        ("* * * * *", range(60), range(24), range(1, 32), range(1, 13), [0, 1, 2, 3, 4, 5, 6]),
        ("*/30 8-18 1 1-3 mon-fri", range(0, 60, 30), [*range(8, 19)], [1], [1, 2, 3], [0, 1, 2, 3, 4]),
        ("0,15 5,1 1-3,31 feb,APR 0", [0, 15], [5, 1], [1, 2, 3, 31], [2, 4], [6]),
        # a step counts over the whole list
        ("1,2,3,4/2 0-23/12 1-10/3 */4 7", [1, 3], [0, 12], [1, 4, 7, 10], range(1, 13, 4), [6]),
        ("59 23 31 12 Sun,mon-wed", [59], [23], [31], [12], [0, 1, 2, 6]),
        ("*/90 */24 */31 */12 */30", [0], [0], [1], [1], [6]),
    ],
)
def test_the_fields_stand_for(line, minutes, hours, doms, months, dows):
    fields = CronFields.parse(line)
    assert [*map(list, fields)] == [list(minutes), list(hours), list(doms), list(months), dows]


def test_a_star_stays_a_range_as_in_1_7():
    fields = CronFields.parse("*/30 * * * *")
    assert fields.minutes == range(0, 60, 30)
    assert fields.hours == range(24)


@pytest.mark.parametrize(
    ("line", "becomes"),
    [
        ("* * * * *", "* * * * *"),
        ("*/30 8-10 1 1-3 mon-fri", "*/30 8,9,10 1 1,2,3 1,2,3,4,5"),
        ("1,2,3,4/2 5,1 * * 7", "1,3 1,5 * * 0"),
        ("0 0-3 * * 0-6", "0 0,1,2,3 * * *"),
        ("*/45 */24 */31 */12 *", "*/45 0 1 1 *"),
        ("30,0,30 2 * * *", "0,30 2 * * *"),
    ],
)
def test_the_line_becomes(line, becomes):
    assert CronFields.parse(line).line() == becomes


@pytest.mark.parametrize(
    ("line", "fires"),
    [
        # written with numbers it is due once a wall time: the second pass of the fold is passed over
        ("30 0-23 * * *", ["00:30", "02:30", "03:30"]),
        # begun with a star it follows real time
        ("30 * * * *", ["00:30", "01:30", "02:30"]),
    ],
)
def test_only_a_star_follows_real_time(line, fires):
    trigger = Cron(CronFields.parse(line).line(), "Europe/Berlin", day_and=True)
    moment, found = datetime(2025, 10, 26, 0, 0, tzinfo=UTC).timestamp(), []
    for _ in fires:
        moment = trigger.next_after(moment)
        found.append(f"{datetime.fromtimestamp(moment, UTC):%H:%M}")
    assert found == fires


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("* * * *", ["minute hour day-of-month month day-of-week", "got ['*', '*', '*', '*']"]),
        ("* * * * * *", ["minute hour day-of-month month day-of-week"]),
        ("60 * * * *", ["minute", "'60'", "0 to 59"]),
        ("* 24 * * *", ["hour", "'24'", "0 to 23"]),
        ("* * 0 * *", ["day-of-month", "1 to 31"]),
        ("* * * 13 *", ["month", "1 to 12 or jan to dec"]),
        ("* * * * 8", ["day-of-week", "0 to 7 or sun to sat"]),
        ("* * * jan-3 *", ["'jan-3'", "mixes name and number"]),
        ("* * * * mon-5", ["'mon-5'", "mixes name and number"]),
        ("10-5 * * * *", ["'10-5'", "backwards"]),
        ("*/0 * * * *", ["'*/0'", "step of 1 or more"]),
        ("*/-1 * * * *", ["'*/-1'", "step of 1 or more"]),
        ("1/2/3 * * * *", ["'1/2/3'", "step of 1 or more"]),
        ("1-2-3 * * * *", ["'1-2-3'", "'2-3'"]),
        ("0 0 L * *", ["'L'", "1 to 31"]),
        ("0 0 * * 5#2", ["'5#2'", "0 to 7"]),
        ("@daily", ["minute hour day-of-month month day-of-week"]),
        ("²,3 * * * *", ["'²'", "0 to 59"]),
    ],
)
def test_a_line_that_is_refused_says_what_is_expected(line, words):
    with pytest.raises(InvalidValue) as caught:
        CronFields.parse(line)
    assert f"cron_str {line!r}" in str(caught.value)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize("line", [None, 5, b"* * * * *", ("*", "*", "*", "*", "*")])
def test_a_line_is_a_string(line):
    with pytest.raises(InvalidType, match="cron_str: expected a string"):
        CronFields.parse(line)
