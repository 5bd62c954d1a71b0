"""Tasks under a ticked scheduler: which days, which hours, through months, leap years and clock changes."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from tgscheduler import scheduler
from tgscheduler.errors import InvalidValue
from tgscheduler.scheduler import ThreadedScheduler
from tgscheduler.testing import TickedScheduler
from tgscheduler.timetable.policy import METHODS


def ticked(start, zone):
    """Return a scheduler in ``zone`` that starts at a wall time there."""
    return TickedScheduler(start=datetime.fromisoformat(start).replace(tzinfo=ZoneInfo(zone)), timezone=zone)


def local(moment, zone):
    return datetime.fromtimestamp(moment, ZoneInfo(zone)).strftime("%m-%d %H:%M")


DAILY = range(1, 8)


@pytest.mark.parametrize(
    ("zone", "start", "kind", "days", "at", "span", "expected"),
    [
        # month ends and leap years
        (
            "UTC",
            "2025-01-29",
            "weekday",
            DAILY,
            (6, 0),
            4,
            ["01-29 06:00", "01-30 06:00", "01-31 06:00", "02-01 06:00"],
        ),
        ("UTC", "2024-12-30", "weekday", [2, 3], 0, 9, ["12-31 00:00", "01-01 00:00", "01-07 00:00"]),
        ("UTC", "2024-02-27", "monthday", [29, 1], (6, 0), 6, ["02-29 06:00", "03-01 06:00"]),
        ("UTC", "2025-02-27", "monthday", [29, 1], (6, 0), 32, ["03-01 06:00", "03-29 06:00"]),
        ("UTC", "2025-01-01", "monthday", [31], (6, 0), 150, ["01-31 06:00", "03-31 06:00"]),
        ("UTC", "2100-02-27", "monthday", [29], (6, 0), 31, ["03-29 06:00"]),  # 2100 is no leap year
        # today only if its time is still to come
        ("UTC", "2025-01-06 06:00:00", "weekday", [1], (6, 0), 8, ["01-13 06:00"]),
        ("UTC", "2025-01-06 05:59:59", "weekday", [1], (6, 0), 8, ["01-06 06:00", "01-13 06:00"]),
        # the hour that never was, the hour that came twice
        ("Europe/Berlin", "2025-03-29", "weekday", DAILY, (2, 30), 3, ["03-29 02:30", "03-30 03:00", "03-31 02:30"]),
        ("Europe/Berlin", "2025-10-25", "weekday", DAILY, (2, 30), 3, ["10-25 02:30", "10-26 02:30", "10-27 02:30"]),
        ("Europe/Berlin", "2025-10-26 02:45", "weekday", [7], (2, 30), 8, ["11-02 02:30"]),
        ("Europe/Berlin", "2025-03-01", "monthday", [30], (2, 0), 40, ["03-30 03:00"]),
        # midnight itself: the day never vanishes
        ("America/Sao_Paulo", "2018-11-03", "weekday", DAILY, 0, 3, ["11-04 01:00", "11-05 00:00", "11-06 00:00"]),
        ("America/Sao_Paulo", "2018-11-03", "weekday", [7], (0, 30), 10, ["11-04 01:00", "11-11 00:30"]),
        ("America/Sao_Paulo", "2018-02-17", "weekday", [6], (23, 30), 3, ["02-17 23:30"]),
        ("America/Sao_Paulo", "2018-11-01", "monthday", [4], 0, 40, ["11-04 01:00", "12-04 00:00"]),
        # half an hour, a whole day
        (
            "Australia/Lord_Howe",
            "2025-10-04",
            "weekday",
            DAILY,
            (2, 15),
            3,
            ["10-04 02:15", "10-05 02:30", "10-06 02:15"],
        ),
        ("Pacific/Apia", "2011-12-29", "weekday", [5], (12, 0), 9, ["12-31 00:00", "01-06 12:00"]),
        ("Pacific/Apia", "2011-12-29", "weekday", DAILY, (12, 0), 2, ["12-29 12:00", "12-31 00:00", "12-31 12:00"]),
    ],
)
def test_calendar_tasks_run_at(zone, start, kind, days, at, span, expected):
    engine, runs = ticked(start, zone), []
    add = engine.add_weekday_task if kind == "weekday" else engine.add_monthday_task
    add(lambda: runs.append(local(engine.clock.now(), zone)), days, at)
    engine.tick(span * 86400 - 1)
    assert runs == expected


def test_the_host_s_calendar_is_not_asked():
    """Half a day apart, the same wall time on the same wall day."""
    for zone in ("Pacific/Kiritimati", "Pacific/Pago_Pago"):
        engine, runs = ticked("2025-06-30", zone), []
        engine.add_monthday_task(lambda engine=engine, runs=runs: runs.append(engine.clock.now()), [1], (0, 5))
        engine.tick(2 * 86400)
        assert [local(run, zone) for run in runs] == ["07-01 00:05"]


@pytest.mark.parametrize("processmethod", METHODS)
def test_an_interval_of_1_s_with_an_action_of_a_third_starts_each_second(processmethod):
    engine, starts = TickedScheduler(start=1000), []

    def work():
        starts.append(engine.clock.now() - 1000)
        engine.clock.advance(0.3)

    task = engine.add_interval_task(work, 1, processmethod=processmethod)
    engine.tick(100)
    assert starts == list(range(101))
    assert [run.late for run in engine.runs(task, limit=200)] == [0.0] * 101


@pytest.mark.parametrize("seconds", [0.1, 0.7, 1 / 3])
def test_an_interval_that_is_no_whole_number_does_not_drift(seconds):
    engine, starts = TickedScheduler(start=1.7e9), []
    engine.add_interval_task(lambda: starts.append(engine.clock.now()), seconds)
    engine.tick_to(1.7e9 + 2000 * seconds)
    assert starts == [1.7e9 + k * seconds for k in range(2001)]


def test_initialdelay_is_the_first_fire_and_the_interval_counts_from_it():
    engine = TickedScheduler(start=0)
    task = engine.add_interval_task(int, 60, initialdelay=600)
    engine.tick(800)
    assert [run.due for run in engine.runs(task)][::-1] == [600, 660, 720, 780]


def test_an_interval_keeps_its_24_real_hours_through_a_clock_change():
    engine = ticked("2025-03-29 12:00", "Europe/Berlin")
    task = engine.add_interval_task(int, timedelta(days=1))
    engine.tick(3 * 86400 - 1)
    assert [local(run.due, "Europe/Berlin") for run in engine.runs(task)][::-1] == [
        "03-29 12:00",
        "03-30 13:00",
        "03-31 13:00",
    ]


def test_a_cron_like_task_needs_both_days_to_match():
    engine = ticked("2025-01-01", "Europe/Berlin")
    task = engine.add_cron_like_task(int, "0 6 13 * fri")
    engine.tick(365 * 86400)
    assert [local(run.due, "Europe/Berlin") for run in engine.runs(task)] == ["06-13 06:00"]


# -- put by hand ------------------------------------------------------------------------------------------------------

WEDNESDAY, FRIDAY = (datetime(2025, 1, day, 10, 0, tzinfo=UTC).timestamp() for day in (15, 17))


@pytest.mark.parametrize(
    "make",
    [
        lambda act: scheduler.WeekdayTask("friday", [5], (3, 0), act),
        lambda act: scheduler.ThreadedMonthdayTask("the 17th", [17, 24], (3, 0), act),
    ],
)
def test_put_by_hand_on_a_wrong_day_it_runs_nothing_and_goes_on_to_the_right_one(make):
    engine, runs = TickedScheduler(start=WEDNESDAY - 3600), []
    task = make(lambda: runs.append(local(engine.clock.now(), "UTC")))
    engine.schedule_task_abs(task, WEDNESDAY)
    assert task.next_due == WEDNESDAY
    engine.tick(7200)
    assert runs == []
    assert sum(engine.counts().values()) == 0  # it was no occurrence
    assert local(task.next_due, "UTC") == "01-17 03:00"
    engine.tick(9 * 86400)
    assert runs == ["01-17 03:00", "01-24 03:00"]


def test_a_delay_that_ends_on_a_wrong_day_runs_nothing_either():
    engine = TickedScheduler(start=WEDNESDAY - 3600)
    task = scheduler.WeekdayTask("friday", [5], (3, 0), int)
    engine.schedule_task(task, 3600)
    engine.tick(3 * 86400)
    assert [local(run.due, "UTC") for run in engine.runs(task)] == ["01-17 03:00"]


def test_put_by_hand_on_a_right_day_it_runs_then_whatever_the_hour():
    engine = TickedScheduler(start=WEDNESDAY)
    task = scheduler.WeekdayTask("friday", [5], (3, 0), int)
    engine.schedule_task_abs(task, FRIDAY)
    engine.tick_to(FRIDAY)
    assert [run.due for run in engine.runs(task)] == [FRIDAY]
    assert local(task.next_due, "UTC") == "01-24 03:00"


def test_reschedule_as_the_seed_describes_it_costs_no_run():
    engine = TickedScheduler(start=FRIDAY)
    task = engine.add_weekday_task(int, [5], (11, 0), processmethod="sequential")
    engine.tick(2 * 3600)
    task.reschedule(engine)
    assert local(task.next_due, "UTC") == "01-18 11:00"  # tomorrow, a Saturday
    engine.tick(8 * 86400)
    assert [local(run.due, "UTC") for run in engine.runs(task)] == ["01-24 11:00", "01-17 11:00"]


@pytest.mark.parametrize(
    ("make", "delay", "expected"),
    [
        (lambda: scheduler.IntervalTask("t", 60, int), 5, [5, 65, 125]),
        (lambda: scheduler.SingleTask("t", int), 5, [5]),
        (lambda: scheduler.Task("t", int), 5, [5]),
    ],
)
def test_schedule_task_puts_a_task_so_many_seconds_ahead(make, delay, expected):
    engine = TickedScheduler(start=0)
    task = make()
    engine.schedule_task(task, delay)
    engine.tick(130)
    assert [run.due for run in engine.runs(task)][::-1] == expected


def test_putting_a_task_that_waits_moves_it():
    engine = TickedScheduler(start=0)
    task = engine.add_interval_task(int, 60, initialdelay=30, taskname="moved")
    engine.schedule_task_abs(task, 45)
    engine.schedule_task(task, 50)
    engine.tick(120)
    assert [run.due for run in engine.runs(task)][::-1] == [50, 110]


# -- the wall clock is stepped ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ticks", "step", "expected"),
    [
        (3600, 3 * 3600, [("10:00", "12:00")]),  # jumped over: late, and once
        (3 * 3600, -2 * 3600, [("10:00", "10:00")]),  # it has run: not again
        (3600, -3600, [("10:00", "10:00")]),  # it has not: at its time by the new clock
        (3 * 3600, -5 * 3600, [("10:00", "10:00"), ("10:00", "10:00")]),  # a correction by more than three hours
    ],
)
def test_a_calendar_task_follows_the_new_time(ticks, step, expected):
    engine, clock = TickedScheduler(start=datetime(2025, 6, 2, 8, tzinfo=UTC)), "%H:%M"
    task = engine.add_weekday_task(int, DAILY, (10, 0))
    engine.tick(ticks)
    engine.clock.step_by(step)
    engine.tick(5 * 3600)
    runs = engine.runs(task)[::-1]
    assert [
        tuple(f"{datetime.fromtimestamp(t, UTC):{clock}}" for t in (run.due, run.started)) for run in runs
    ] == expected


# -- classes of a user ------------------------------------------------------------------------------------------------


def test_a_class_that_overrides_reschedule_decides_when_it_comes_again():
    class Halving(scheduler.SingleTask):
        delay = 16.0

        def reschedule(self, planner):
            self.delay /= 2
            if self.delay >= 1:
                planner.schedule_task(self, self.delay)

    engine = TickedScheduler(start=0)
    task = Halving("halving", int)
    engine.schedule_task(task, 16)
    engine.tick(100)
    assert [run.due for run in engine.runs("halving")][::-1] == [16, 24, 28, 30, 31]
    assert engine.get_task("halving") is None


def test_a_class_that_overrides_execute_only_keeps_its_timetable():
    class Counting(scheduler.IntervalTask):
        executed = 0

        def execute(self):
            self.executed += 1

    engine = TickedScheduler(start=0)
    task = Counting("counting", 10, int)
    engine.schedule_task(task, 0)
    engine.tick(35)
    assert task.executed == 4
    assert [run.due for run in engine.runs(task)][::-1] == [0, 10, 20, 30]


def test_a_reschedule_that_raises_ends_the_task_with_its_reason(caplog):
    class Broken(scheduler.IntervalTask):
        def reschedule(self, planner):
            raise LookupError("no table")

    engine = TickedScheduler(start=0)
    engine.schedule_task(Broken("broken", 10, int), 5)
    engine.tick(60)
    [run] = engine.runs("broken")
    assert run.state == "ok"
    assert "LookupError: no table" in run.reason
    assert engine.get_task("broken") is None
    assert "broken: its reschedule raised LookupError" in caplog.text


@pytest.mark.parametrize(
    ("zone", "options", "read_in"),
    [
        ("Europe/Berlin", {}, "Europe/Berlin"),
        ("Europe/Berlin", {"timezone": None}, "Europe/Berlin"),
        ("Europe/Berlin", {"timezone": "Asia/Tokyo"}, "Asia/Tokyo"),
    ],
)
def test_a_datetime_without_a_zone_is_read_in_the_task_s_or_else_in_the_scheduler_s(zone, options, read_in):
    engine = TickedScheduler(start=datetime(2025, 6, 2, 8, tzinfo=UTC), timezone=zone)
    naive = datetime(2025, 7, 1, 9, 30)
    moment = naive.replace(tzinfo=ZoneInfo(read_in)).timestamp()
    assert engine.add_single_task(int, at=naive, **options).next_due == moment
    assert engine.add_single_task(int, at=naive, start=naive, end=naive, **options).next_due == moment
    assert engine.add_interval_task(int, 60, start=naive, **options).next_due == moment
    every_day = engine.add_weekday_task(int, range(1, 8), 9, start=naive, end=naive + timedelta(days=1), **options)
    assert every_day.next_due == moment + 23.5 * 3600


def test_a_datetime_without_a_zone_is_refused_where_neither_has_one():
    engine = ThreadedScheduler()
    naive = datetime(2025, 7, 1, 9, 30)
    for add in (
        lambda: engine.add_single_task(int, at=naive),
        lambda: engine.add_interval_task(int, 60, start=naive),
        lambda: engine.add_weekday_task(int, [1], 9, end=naive),
    ):
        with pytest.raises(InvalidValue, match="expected a datetime with a zone"):
            add()
