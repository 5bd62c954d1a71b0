"""A timetable rehearsed: every fire, collisions, the busiest minute, notes, and nothing that runs."""

import random
import threading
import time
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from tgscheduler import config, rehearsal, scheduler
from tgscheduler.clock import zone_data_version
from tgscheduler.errors import InvalidType, InvalidValue
from tgscheduler.rehearsal import Collision, simulate
from tgscheduler.scheduler import IntervalTask, ThreadedScheduler
from tgscheduler.testing import TickedScheduler

START = datetime(2025, 3, 29, tzinfo=UTC)
BEGIN = START.timestamp()


def forbidden():
    raise AssertionError("an action has run")


def schedule():
    assert config.get("tg.scheduler") is True
    scheduler.add_weekday_task(forbidden, range(1, 8), (2, 30), taskname="nightly")
    scheduler.add_interval_task(forbidden, 3600, taskname="hourly")
    scheduler.add_single_task(forbidden, initialdelay=7200, taskname="once")
    scheduler.add_cron_task(forbidden, "0 3 1 * 1", taskname="cron")


@pytest.fixture
def found():
    return simulate(schedule, START, 3, timezone="Europe/Berlin")


def test_every_fire_of_every_task(found):
    assert [fire.due - BEGIN for fire in found.by_task["nightly"]] == [5400, 25 * 3600, 48 * 3600 + 1800]
    assert [fire.due - BEGIN for fire in found.by_task["hourly"]] == [3600.0 * k for k in range(72)]
    assert [fire.due - BEGIN for fire in found.by_task["once"]] == [7200]
    assert [fire.due - BEGIN for fire in found.by_task["cron"]] == [49 * 3600]
    assert [fire.fire_at for fire in found.fires] == sorted(fire.fire_at for fire in found.fires)
    assert len(found.fires) == 77
    assert not found.truncated


def test_it_is_what_the_ticked_scheduler_does(found):
    config.update({"tg.scheduler": True})
    engine = TickedScheduler(START, "Europe/Berlin")
    for name, task in list(_tasks(engine).items()):
        task.action = int
        assert engine.get_task(name) is task
    engine.tick(3 * 86400 - 1)
    ran = sorted((run.started, run.due, run.task) for run in engine.runs(limit=1000))
    assert ran == sorted((fire.fire_at, fire.due, fire.task) for fire in found.fires)


def _tasks(engine):
    scheduler._default = engine
    schedule()
    return engine.get_tasks()


def test_collisions_and_the_busiest_minute(found):
    assert found.collisions == [
        Collision(BEGIN + 7200, ("hourly", "once")),
        Collision(BEGIN + 25 * 3600, ("hourly", "nightly")),
        Collision(BEGIN + 49 * 3600, ("hourly", "cron")),
    ]
    assert found.busiest == (BEGIN + 7200, 2)
    burst = simulate(lambda: scheduler.add_interval_task(int, 0.5), START, 1 / 24)
    assert burst.busiest == (BEGIN, 120)
    assert burst.collisions == []


def test_notes(found):
    assert len(found.notes) == 2
    assert found.notes[0].startswith("cron: cron line '0 3 1 * 1': day-of-month '1' or day-of-week '1' suffices")
    assert found.notes[1] == (
        "nightly, Sun 2025-03-30 03:00:00 CEST (+02:00): 02:30 does not exist that day: "
        "the clock goes from 02:00 to 03:00"
    )


def test_the_report(found):
    lines = str(found).splitlines()
    assert lines[:10] == [
        "Sat 2025-03-29 01:00:00 CET (+01:00) to Tue 2025-04-01 02:00:00 CEST (+02:00), "
        f"Europe/Berlin (time zone data {zone_data_version()})",
        "77 fires of 4 tasks",
        "  cron            1  at 03:00 on the first day of the month or on Monday (either suffices), "
        "Europe/Berlin (cron 0 3 1 * 1)",
        "  hourly         72  every hour",
        "  nightly         3  every day at 02:30, Europe/Berlin",
        "  once            1  once, Sat 2025-03-29 03:00:00 CET (+01:00)",
        "busiest minute: Sat 2025-03-29 03:00:00 CET (+01:00), 2 fires",
        "collisions: 3 minutes in which more than one task fires",
        "         1  hourly, once; first Sat 2025-03-29 03:00:00 CET (+01:00)",
        "         1  hourly, nightly; first Sun 2025-03-30 03:00:00 CEST (+02:00)",
    ]
    assert lines[-3] == "notes: 2"


def test_a_long_report_is_cut():
    def many():
        for number in range(50):
            scheduler.add_interval_task(int, 60 + number, taskname=f"task {number}")

    text = str(simulate(many, START, 0.1))
    assert "  and 30 tasks more" in text
    assert len(text.splitlines()) < 60


def test_nothing():
    found = simulate(lambda: None, START, 1)
    assert (found.fires, found.by_task, found.collisions, found.busiest, found.notes) == ([], {}, [], (BEGIN, 0), [])
    assert "0 fires of 0 tasks" in str(found)


def test_jitter_counts_when_it_fires():
    found = simulate(lambda: scheduler.add_interval_task(int, 600, taskname="task", jitter=500), START, 1)
    assert all(0 <= fire.fire_at - fire.due < 500 for fire in found.fires)
    assert len({fire.fire_at - fire.due for fire in found.fires}) > 100


def test_a_million_at_most(monkeypatch):
    assert rehearsal.MOST_FIRES == 1_000_000
    monkeypatch.setattr(rehearsal, "MOST_FIRES", 10_000)
    found = simulate(lambda: scheduler.add_interval_task(int, 0.01), START, 1)
    assert found.truncated
    assert len(found.fires) == 10_000
    assert "cut off after the first 10000" in str(found)


def test_tasks_that_reschedule_themselves_and_triggers_that_raise():
    class Own(IntervalTask):
        def reschedule(self, scheduler):
            scheduler.schedule_task(self, self.interval)

    class Broken:
        def next_after(self, moment):
            if moment > BEGIN + 7200:
                raise OSError("no calendar")
            return moment + 3600

    def tasks():
        scheduler._get_scheduler().schedule_task(Own("own", 60, int), 30)
        scheduler.add_task(int, Broken(), taskname="broken")

    found = simulate(tasks, START, 1)
    assert [(fire.task, fire.due - BEGIN) for fire in found.fires] == [
        ("own", 30), ("broken", 3600), ("broken", 7200),
    ]  # fmt: skip  # what is due when the trigger raises does not run
    assert found.notes == [
        "own: it reschedules itself, only its next fire is known",
        "broken: its trigger raised OSError: no calendar",
    ]


# -- whom it asks ----------------------------------------------------------------------------------------------------


def test_the_application_s_own_scheduler_never_notices():
    scheduler.add_interval_task(int, 60, taskname="real")
    before, seen = scheduler._default, {}
    began, go_on = threading.Event(), threading.Event()

    def slow():
        schedule()
        began.set()
        assert go_on.wait(10)

    thread = threading.Thread(target=lambda: seen.update(found=simulate(slow, START, 1)))
    thread.start()
    assert began.wait(10)
    scheduler.add_interval_task(int, 60, taskname="meanwhile")
    assert config.get("tg.scheduler") is False
    go_on.set()
    thread.join()
    assert scheduler._default is before
    assert set(scheduler.get_tasks()) == {"real", "meanwhile"}
    assert set(seen["found"].by_task) == {"nightly", "hourly", "once", "cron"}


def test_all_is_restored_where_schedule_raises():
    def fails():
        schedule()
        raise RuntimeError("no database")

    with pytest.raises(RuntimeError, match="no database"):
        simulate(fails, START, 1)
    assert scheduler._default is None
    assert config.get("tg.scheduler") is False
    assert scheduler.get_tasks() == {}


def test_starting_and_stopping_inside_reaches_the_rehearsal_only():
    def whole():
        scheduler.start_scheduler()
        schedule()
        scheduler.stop_scheduler()

    assert len(simulate(whole, START, 1).fires) == 26
    assert not [thread for thread in threading.enumerate() if thread.name == "tgscheduler-loop"]


def test_the_settings_count():
    config.update({"tg.scheduler.timezone": "Asia/Tokyo", "tg.scheduler.overlap": "queue"})
    policies = []

    def tasks():
        policies.append(scheduler.add_weekday_task(int, range(1, 8), 9, taskname="nine").policy.overlap)

    found = simulate(tasks, START, 2)
    assert policies == ["queue"]
    assert [fire.due - BEGIN for fire in found.fires] == [86400]
    assert "Asia/Tokyo" in str(found)


def test_the_present_tasks_of_a_scheduler():
    engine = ThreadedScheduler(timezone="Europe/Berlin")
    engine.add_weekday_task(forbidden, range(1, 8), 9, taskname="nine")
    engine.add_interval_task(forbidden, 3600, initialdelay=50)
    now = engine.clock.now()
    found = simulate(engine, now, 2)
    assert len(found.by_task["nine"]) == 2
    assert 47 <= len(found.fires) - 2 <= 48
    assert engine.get_task("nine").next_due is None
    later = simulate(engine, now + 10 * 86400, 2)
    assert len(later.by_task["nine"]) == 2


def test_a_ticked_scheduler_of_one_s_own():
    engine = TickedScheduler(START - timedelta(hours=2), "Asia/Tokyo")
    found = simulate(schedule, START, 2, scheduler=engine)
    assert set(engine.get_tasks()) == set(found.by_task)
    assert found.timezone == "Asia/Tokyo"
    with pytest.raises(InvalidValue, match="no time before that of the scheduler's clock"):
        simulate(schedule, START - timedelta(hours=1), 2, scheduler=engine)


@pytest.mark.parametrize(
    ("start", "days", "zone", "error", "text"),
    [
        (datetime(2025, 1, 1), 1, None, InvalidValue, "start: expected a datetime with a zone"),
        ("soon", 1, None, InvalidType, "start: expected"),
        (START, 0, None, InvalidValue, "days: expected"),
        (START, -1, None, InvalidValue, "days: expected"),
        (START, "7", None, InvalidType, "days: expected"),
        (START, float("nan"), None, InvalidValue, "days: expected"),
        (START, 4_000_000, None, InvalidValue, "expected a time from 1970 to 9999"),
        (START, 1, "Berlin", InvalidValue, "did you mean 'Europe/Berlin'"),
    ],
)
def test_bad_values(start, days, zone, error, text):
    with pytest.raises(error, match=text):
        simulate(schedule, start, days, zone)


def test_bad_schedules():
    with pytest.raises(InvalidType, match="expected a function that adds tasks, or a Scheduler, got 5"):
        simulate(5, START, 1)
    with pytest.raises(InvalidType, match="expected a TickedScheduler"):
        simulate(schedule, START, 1, scheduler=ThreadedScheduler())


# -- a real application ----------------------------------------------------------------------------------------------


def test_a_month_of_the_example_application_takes_less_than_a_second():
    pytest.importorskip("sqlalchemy")
    from example_app import jobs

    config.update_config(modulename="example_app.config")
    began = time.monotonic()
    found = simulate(jobs.schedule, datetime(2025, 3, 1), 31, timezone="Europe/Berlin")
    text = str(found)
    assert time.monotonic() - began < 1
    assert {name: len(fires) for name, fires in found.by_task.items()} == {
        "catch up": 1, "product ranking": 31, "stock": 22_319, "expired visits": 1_488,
    }  # fmt: skip
    assert "product ranking" in text


@pytest.mark.slow
def test_a_virtual_year_of_an_application_like_the_example(caplog):
    caplog.set_level("CRITICAL")
    engine = TickedScheduler(datetime(2025, 1, 1, tzinfo=ZoneInfo("Europe/Berlin")), "Europe/Berlin", history=200_000)
    chance, calls = random.Random(5), [0]

    def action():
        calls[0] += 1
        if chance.random() < 0.001:
            raise OSError("the database is away")

    def tasks():
        scheduler.add_single_task(int, taskname="catch up")
        scheduler.add_weekday_task(int, range(1, 8), 0, taskname="product ranking")
        scheduler.add_weekday_task(int, range(1, 8), (2, 30), taskname="nightly", jitter=60)
        scheduler.add_interval_task(action, 600, initialdelay=600, taskname="stock", retry=3, jitter=30)
        scheduler.add_interval_task(int, 1800, taskname="expired visits")
        scheduler.add_cron_task(int, "15 9 * * 1-5", taskname="report")

    found = simulate(tasks, engine.clock.now(), 365, "Europe/Berlin")
    scheduler._default = engine
    tasks()
    engine.tick_to(engine.clock.now() + 365 * 86400 - 1)
    ran = sorted((run.due, run.task) for run in engine.runs(limit=200_000))
    assert ran == sorted((fire.due, fire.task) for fire in found.fires)
    assert len(ran) == 1 + 364 + 365 + 52_559 + 17_520 + 261
    assert engine.counts()["failed"] == 0
    assert calls[0] > 52_559
    assert len([note for note in found.notes if note.startswith("nightly")]) == 2
