"""Several times of day, and the one next fire that all tasks on a cron line share."""

import pickle
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, time

import pytest
from wallscan import fires

from tgscheduler.timetable import cron
from tgscheduler.timetable.triggers import Cron, Monthdays, Weekdays


def posix(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


DAILY = range(1, 8)


@pytest.mark.parametrize(
    ("trigger", "after", "expected"),
    [
        (
            Weekdays([1, 3], [(19, 0), (7, 30)]),
            "2025-06-02T07:30",
            ["2025-06-02T19:00", "2025-06-04T07:30", "2025-06-04T19:00", "2025-06-09T07:30"],
        ),
        (
            Monthdays(["last", "2nd tue"], [(7, 30), time(19)]),
            "2025-06-01T00:00",
            ["2025-06-10T07:30", "2025-06-10T19:00", "2025-06-30T07:30", "2025-06-30T19:00", "2025-07-08T07:30"],
        ),
        # several in one gap are one fire, at its end; one that lies there already is the same
        (
            Weekdays(DAILY, [(1, 59), (2, 0), (2, 30), (3, 0), (3, 1)], "Europe/Berlin"),
            "2025-03-30T00:00",
            ["2025-03-30T00:59", "2025-03-30T01:00", "2025-03-30T01:01", "2025-03-30T23:59"],
        ),
        # in a fold each fires in the first pass
        (
            Weekdays(DAILY, [(2, 15), (2, 45)], "Europe/Berlin"),
            "2025-10-25T12:00",
            ["2025-10-26T00:15", "2025-10-26T00:45", "2025-10-27T01:15"],
        ),
        # asked in the second pass: 02:45 has been
        (Weekdays(DAILY, [(2, 15), (2, 45), (3, 0)], "Europe/Berlin"), "2025-10-26T01:20", ["2025-10-26T02:00"]),
        # a day that never was
        (Monthdays([30], [(9, 0), (12, 0)], "Pacific/Apia"), "2011-12-29T00:00", ["2011-12-30T10:00"]),
        (Monthdays([-2], [(9, 0), (12, 0)], "Pacific/Apia"), "2011-12-29T00:00", ["2011-12-30T10:00"]),
        # months that lack a day
        (Monthdays([-31], 0), "2025-01-31T00:00", ["2025-03-01T00:00", "2025-05-01T00:00"]),
        (Monthdays("5th sunday", 0), "2025-01-01T00:00", ["2025-03-30T00:00", "2025-06-29T00:00"]),
        (Monthdays([-29], 0), "2100-01-04T00:00", ["2100-03-03T00:00"]),  # 2100 is no leap year
    ],
)
def test_next_fires(trigger, after, expected):
    expected = [posix(text) for text in expected]
    assert fires(trigger, posix(after), expected[-1] + 1) == expected


@pytest.mark.parametrize("kind", [Weekdays, Monthdays])
def test_one_time_is_kept_as_it_was_and_several_are_a_tuple(kind):
    one, several = kind([1], [7, 30]), kind([1], [(19, 0), (7, 30), (7, 30)])
    assert (one.timeonday, one.times) == ((7, 30), ((7, 30),))
    assert several.timeonday == several.times == ((7, 30), (19, 0))
    assert kind([1], [(7, 30)]) == one
    assert kind([1], {time(7, 30), time(19)}) == several
    assert hash(kind([1], several.times)) == hash(several)
    assert f"timeonday={one.timeonday}" in repr(one)


def test_after_the_end_of_the_calendar_no_monthday_comes():
    assert Monthdays([1], 0).next_after(posix("9999-12-31T23:00")) is None


# -- what cron lines share --------------------------------------------------------------------------------------------


@pytest.fixture
def asked(monkeypatch):
    """Count how often a cron line is really computed."""
    calls, next_after = [], cron.Cron.next_after

    def counting(self, when):
        calls.append(when)
        return next_after(self, when)

    monkeypatch.setattr(cron.Cron, "next_after", counting)
    return calls


@pytest.mark.parametrize("line", ["*/7 * * * *", "3 5 * * *"])
def test_many_tasks_on_one_line_compute_one_next_fire(asked, line):
    triggers, due = [Cron(line, "Asia/Kathmandu", day_and=True) for _ in range(10_000)], 1.7e9
    for _ in range(5):
        del asked[:]
        [due] = {trigger.next_after(due + 0.25 * (number % 2)) for number, trigger in enumerate(triggers)}
        assert len(asked) == 1


def test_each_zone_and_each_day_rule_has_its_own_next_fire():
    moment = posix("2025-06-01T00:00")
    for _ in range(2):
        assert Cron("0 0 13 * 5").next_after(moment) == posix("2025-06-06T00:00")
        assert Cron("0 0 13 * 5", day_and=True).next_after(moment) == posix("2025-06-13T00:00")
        assert Cron("0 0 13 * 5", "Europe/Berlin").next_after(moment) == posix("2025-06-05T22:00")


def test_a_shared_answer_is_that_of_its_own_moments_only(asked):
    trigger, hour = Cron("30 * * * *", "Africa/Tunis"), posix("2025-06-01T10:00")
    del asked[:]
    for moment, fire, computed in [
        (hour, hour + 1800, 1),
        (hour + 1799.9, hour + 1800, 1),
        (hour + 1800, hour + 5400, 2),  # not later than its answer
        (hour + 1799.9, hour + 1800, 3),  # earlier than it was asked
        (hour + 1799.8, hour + 1800, 4),
        (hour + 1799.9, hour + 1800, 4),
    ]:
        assert trigger.next_after(moment) == fire
        assert len(asked) == computed


def test_threads_that_share_a_line_get_their_own_answers():
    start = posix("2025-06-01T00:00")

    def walk(number):
        trigger = Cron("*/10 * * * *", "Europe/Malta")
        return all(
            trigger.next_after(start + 600 * n + number) == start + 600 * (n + 1) for n in range(number, number + 300)
        )

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(walk, range(8)))


def test_a_copy_shares_with_its_line():
    trigger = Cron("*/5 * * * *", "Europe/Berlin")
    assert pickle.loads(pickle.dumps(trigger))._fires is trigger._fires
