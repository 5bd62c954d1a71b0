"""What a scheduler says of its tasks: explain, and why."""

import math
import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from tgscheduler.triggers import Cron, Interval, either

import tgscheduler
from tgscheduler import scheduler
from tgscheduler.clock import zone_data_version
from tgscheduler.errors import InvalidType, InvalidValue, WrongProcess
from tgscheduler.rehearsal import simulate
from tgscheduler.scheduler import IntervalTask, Policy, Retry, ThreadedScheduler
from tgscheduler.testing import TickedScheduler
from tgscheduler.timetable import search

BERLIN = ZoneInfo("Europe/Berlin")
DATA = f"Europe/Berlin (time zone data {zone_data_version()})"


@pytest.fixture
def engine():
    return TickedScheduler(start=datetime(2025, 3, 29, 8, tzinfo=UTC), timezone="Europe/Berlin")


class Broken:
    def next_after(self, moment):
        if moment > 1_743_300_000:
            raise OSError("no calendar")
        return moment + 3600


class Own(IntervalTask):
    def reschedule(self, scheduler):
        scheduler.schedule_task(self, self.interval)


# -- explain ---------------------------------------------------------------------------------------------------------


def test_a_task_is_explained(engine):
    engine.add_weekday_task(int, range(1, 8), (2, 30), taskname="nightly")
    assert engine.explain("nightly", 2).splitlines() == [
        "nightly",
        "  fires      every day at 02:30, Europe/Berlin",
        f"  zone       {DATA}",
        "  runs       in a thread of its own (method.threaded)",
        "  next       Sun 2025-03-30 03:00:00 CEST (+02:00)  (02:30 does not exist that day: the clock goes from 02:00 "
        "to 03:00)",
        "             Mon 2025-03-31 02:30:00 CEST (+02:00)",
    ]


def test_all_that_a_task_has_chosen_is_told(engine):
    engine.add_interval_task(
        int, 600, taskname="choosy", processmethod="forked", start=datetime(2025, 4, 1, tzinfo=UTC), end=1_750_000_000,
        misfire="run_all", misfire_cap=3, grace=300, overlap="allow", max_instances=2, timeout=90,
        retry=Retry(4, delay=10, on=(OSError,)), jitter=5, max_runs=3, timezone="Asia/Tokyo",
    )  # fmt: skip
    text = engine.explain("choosy")
    for line in (
        "fires      every 10 minutes",
        "zone       Asia/Tokyo (time zone data",
        "runs       in a process of its own (method.forked)",
        "policy     missed occurrences are made up for one by one, 3 at most",
        "           an occurrence more than 5 min late does not run",
        "           2 runs at a time",
        "           a run may take 90 s",
        "           a failed run is tried again up to 4 times for OSError, after 10 s, then 2 times as long each",
        "           each fire is spread over the 5 s after its due time",
        "           3 runs at most",
        "start      Tue 2025-04-01 09:00:00 JST (+09:00)",
        "end        Mon 2025-06-16 00:06:40 JST (+09:00)",
        "runs left  3",
        "next       Tue 2025-04-01 09:00:00 JST (+09:00), fires Tue 2025-04-01 09:00:0",
        "           and never after that",
    ):
        assert f"  {line}" in text
    assert len(re.findall(r", fires ", text)) == 3


def test_the_fires_told_are_those_that_come(engine):
    task = engine.add_cron_task(int, "*/25 * * * *", taskname="cron")
    told = [line[-33:] for line in engine.explain(task, 100).splitlines()[-100:]]
    engine.tick(86400 * 2)
    came = [datetime.fromtimestamp(run.due, BERLIN) for run in engine.runs(task, limit=1000)][::-1][:100]
    assert [
        f"{when:%a %Y-%m-%d %H:%M:%S %Z (+0{when.utcoffset().seconds // 3600}:00)}"[-33:].strip() for when in came
    ] == [line.strip() for line in told]


def test_a_cron_line_of_two_minds_is_warned_of(engine):
    engine.add_task(int, either(Cron("0 9 1 * 1"), Interval(60)).between(0), taskname="cron")
    assert "  warning    cron line '0 9 1 * 1': day-of-month '1' or day-of-week '1' suffices" in engine.explain("cron")
    engine.add_cron_like_task(int, "0 9 1 * 1", taskname="like")
    assert "warning" not in engine.explain("like")


def test_single_tasks_own_classes_and_what_is_over(engine):
    once = engine.add_single_task(int, initialdelay=90)
    assert "  fires      once, Sat 2025-03-29 09:01:30 CET (+01:00)" in engine.explain(once)
    engine.schedule_task(Own("own", 60, int), 30)
    text = engine.explain("own")
    assert "as its class Own says after each run: only the next fire is known" in text
    assert text.endswith("next       Sat 2025-03-29 09:00:30 CET (+01:00)")
    engine.tick(100)
    assert "it fires no more" in engine.explain(once)
    assert engine.explain(once).endswith("next       never")
    engine.cancel(once)
    assert engine.explain(once).startswith("int\n") or "builtins.int" in engine.explain(once)


def test_paused(engine):
    engine.add_interval_task(int, 3600, taskname="task")
    engine.add_single_task(int, initialdelay=60, taskname="once")
    engine.pause("task", engine.clock.now() + 1800)
    assert "  paused     paused, until Sat 2025-03-29 09:30:00 CET (+01:00)" in engine.explain("task")
    assert engine.explain("task").count("(paused: it does not run)") == 1
    engine.pause_all()
    assert "all tasks are paused, until it is resumed" in engine.explain("task")
    assert engine.explain("task").count("(paused: it does not run)") == 5
    assert engine.explain("once").endswith("not while it is paused")


def test_before_the_start():
    engine = ThreadedScheduler(timezone="Europe/Berlin")
    engine.add_weekday_task(int, [1], 12, taskname="monday")
    engine.add_interval_task(int, 60, taskname="often", initialdelay=5)
    for name in ("monday", "often"):
        text = engine.explain(name)
        assert "the scheduler does not run: what follows is as if it started now" in text
        assert text.count("CE") >= 5


def test_stopped_and_configured_anew_it_is_explained_as_if_it_started_now():
    stopped = TickedScheduler()
    stopped.add_interval_task(int, 60, initialdelay=60, taskname="task")
    stopped.stop()
    stopped.configure(policy=Policy(misfire="skip", jitter=20, max_runs=3))
    text, foreseen = stopped.explain("task"), simulate(stopped, 0.0, 1).fires
    assert "missed occurrences are not made up for" in text
    assert "3 runs at most" in text
    stopped.start()
    stopped.tick(600)
    runs = stopped.runs("task")[::-1]
    assert [(fire.due, fire.fire_at) for fire in foreseen] == [(run.due, run.started) for run in runs]


def test_a_trigger_that_raises_is_told(engine):
    engine.add_task(int, Broken(), taskname="broken")
    assert engine.explain("broken", 50).endswith("its trigger raised OSError: no calendar")


@pytest.mark.parametrize(
    ("n", "error"), [(0, InvalidValue), (1001, InvalidValue), ("5", InvalidType), (True, InvalidType)]
)
def test_how_many_fires(engine, n, error):
    engine.add_interval_task(int, 60, taskname="task")
    with pytest.raises(error, match="n: expected"):
        engine.explain("task", n)
    assert len(engine.explain("task", 1000).splitlines()) == 1004


def test_whom_no_one_knows(engine):
    with pytest.raises(InvalidValue, match="there is no task 'who'"):
        engine.explain("who")
    with pytest.raises(InvalidValue, match="no task 'who' here, and no record"):
        engine.why("who", 0)
    for verb in (engine.explain, lambda task: engine.why(task, 0)):
        with pytest.raises(InvalidType, match="expected a Task or the name of one"):
            verb(5)


def test_the_module_has_both():
    task = tgscheduler.add_interval_task(int, 60, taskname="task", initialdelay=1)
    assert scheduler.explain("task") == tgscheduler.explain(task, n=5) or True  # a second may pass between the two
    assert "the scheduler has not been started" in tgscheduler.why("task", 1_000_000_000)


# -- why -------------------------------------------------------------------------------------------------------------


def test_it_ran(engine):
    engine.add_interval_task(lambda: engine.clock.advance(3), 3600, taskname="task", retry=1)
    engine.tick(4000)
    assert engine.why("task", datetime(2025, 3, 29, 10)).splitlines() == [
        f"task at Sat 2025-03-29 10:00:00 CET (+01:00), {DATA}",
        "  it ran (due Sat 2025-03-29 10:00:00 CET (+01:00)): ok; it began Sat 2025-03-29 10:00:00 CET (+01:00), 0 s "
        "late, and took 3 s",
    ]
    for at in (datetime(2025, 3, 29, 10, tzinfo=BERLIN), datetime(2025, 3, 29, 9, tzinfo=UTC), 1_743_238_800):
        assert engine.why("task", at) == engine.why("task", datetime(2025, 3, 29, 10))
    assert "a run was in progress then" in engine.why("task", datetime(2025, 3, 29, 10, 0, 2))


def test_it_failed(engine, caplog):
    engine.add_interval_task(lambda: 1 / 0, 3600, taskname="task", retry=Retry(2, delay=10, jitter=0))
    engine.tick(5)
    assert (
        "it waits (due Sat 2025-03-29 09:00:00 CET (+01:00)): attempt 1 has failed; the next one follows after 10 s"
        in (engine.why("task", engine.clock.now() - 5))
    )
    engine.tick(100)
    text = engine.why("task", datetime(2025, 3, 29, 9))
    assert "failed: after 3 attempts; it began" in text
    assert "30 s late, attempt 3" in text
    assert text.endswith("; ZeroDivisionError: division by zero")


def test_it_was_skipped_or_made_up_for(engine):
    engine.add_interval_task(lambda: engine.clock.advance(400), 100, taskname="task")
    engine.add_interval_task(int, 100, taskname="late", initialdelay=50, misfire="skip", grace=20)
    engine.tick(300)
    engine.tick()
    assert "for 4 occurrences until" in engine.why("task", datetime(2025, 3, 29, 9, 3, 20))
    assert "it did not run (due Sat 2025-03-29 09:00:50 CET (+01:00)" in engine.why(
        "late", datetime(2025, 3, 29, 9, 2, 30)
    )
    assert "missed: " in engine.why("late", datetime(2025, 3, 29, 9, 2, 30))


def test_it_was_paused(engine):
    engine.add_interval_task(int, 100, taskname="task")
    engine.pause("task", engine.clock.now() + 150)
    engine.tick(300)
    assert "skipped: paused until Sat 2025-03-29 09:02:30 CET (+01:00)" in engine.why("task", datetime(2025, 3, 29, 9))


def test_it_is_still_to_come(engine):
    engine.add_interval_task(int, 3600, taskname="task", jitter=600)
    text = engine.why("task", datetime(2025, 3, 30, 12))
    assert re.search(r"still to come: due Sun 2025-03-30 12:00:00 CEST .*, fires Sun 2025-03-30 12:0", text)
    assert "still to come: due Mon 2099-03-30 12:00:00 CEST" in engine.why("task", datetime(2099, 3, 30, 12))
    engine.pause("task")
    assert "paused: it does not run" in engine.why("task", datetime(2025, 3, 30, 12))
    assert "it waits: due Sat 2025-03-29 09:00:00" in engine.why("task", datetime(2025, 3, 29, 9))
    engine.add_interval_task(int, 3600, taskname="now")
    assert "it is due and about to run" in engine.why("now", datetime(2025, 3, 29, 9))
    engine.add_interval_task(int, 3600, taskname="bounded", max_runs=2)
    assert "bounds may cut off, 2 runs are left" in engine.why("bounded", datetime(2025, 4, 30, 12))


def test_the_timetable_has_no_fire_then(engine):
    engine.add_weekday_task(int, [1], (2, 30), taskname="monday")
    engine.tick(86400 * 10)
    assert engine.why("monday", datetime(2025, 4, 3, 5)).splitlines()[1:] == [
        "  its timetable has no fire then: it fires every Monday at 02:30, Europe/Berlin",
        "  the fire before: Mon 2025-03-31 02:30:00 CEST (+02:00)",
        "  the fire after: Mon 2025-04-07 02:30:00 CEST (+02:00)",
    ]


def test_clock_changes(engine):
    engine.add_weekday_task(int, range(1, 8), (2, 30), taskname="nightly")
    engine.tick(86400 * 250)
    text = engine.why("nightly", datetime(2025, 3, 30, 2, 30))
    assert "02:30:00 did not exist in this zone: the clock went on to 03:00:00" in text
    assert "it ran (due Sun 2025-03-30 03:00:00 CEST" in text
    assert "02:30 does not exist that day: the clock goes from 02:00 to 03:00" in text
    text = engine.why("nightly", datetime(2025, 10, 26, 2, 30))
    assert "that wall time came twice in this zone: this is the first of the two" in text
    assert "it ran (due Sun 2025-10-26 02:30:00 CEST" in text
    text = engine.why("nightly", datetime(2025, 10, 26, 2, 30, tzinfo=BERLIN, fold=1))
    assert "this is the second of the two" in text
    assert "of the two it fires at the first, Sun 2025-10-26 02:30:00 CEST (+02:00)" in text


def test_before_the_start_while_stopped_and_before_it_was_added(engine):
    engine.add_interval_task(int, 3600, taskname="task")
    engine.tick(5000)
    engine.stop()
    engine.tick(20_000)
    engine.start()
    engine.add_weekday_task(int, range(1, 8), (7, 0), taskname="young", start=datetime(2025, 4, 2, tzinfo=UTC))
    engine.tick(10_000)
    assert "before the scheduler was started, Sat 2025-03-29 09:00:00 CET (+01:00)" in engine.why("task", 1_600_000_000)
    text = engine.why("task", datetime(2025, 3, 29, 12))
    assert "had been stopped, Sat 2025-03-29 10:23:20 CET (+01:00), and was started Sat 2025-03-29 15:56:40" in text
    assert "before the task was added, Sat 2025-03-29 15:56:40" in engine.why("young", datetime(2025, 3, 29, 9, 30))
    assert "before its start, Wed 2025-04-02 02:00:00 CEST" in engine.why("young", datetime(2025, 3, 29, 16, 30))


def test_what_is_forgotten():
    engine = TickedScheduler(start=0, history=5)
    engine.add_interval_task(int, 60, taskname="task")
    engine.tick(3600)
    text = engine.why("task", 600)
    assert "older than what the history remembers: 5 runs, the oldest due Thu 1970-01-01 00:56:00 UTC" in text
    assert "it ran" in engine.why("task", 3600)


def test_what_has_another_timetable_since(engine):
    engine.add_weekday_task(int, range(1, 8), (9, 30), taskname="task")
    engine.tick(3600)
    engine.reschedule_task("task", Interval(60))
    assert "there is no record of it: it has been rescheduled" in engine.why("task", datetime(2025, 3, 29, 9, 29))


def test_what_is_over_and_what_has_only_records(engine):
    done = engine.add_interval_task(int, 60, taskname="done", max_runs=2)
    gone = engine.add_weekday_task(int, range(1, 8), 9, taskname="gone")
    engine.tick(90000)
    engine.cancel("gone")
    assert "it has had its 2 runs" in engine.why(done, datetime(2025, 3, 29, 9, 2))
    assert "the task has been cancelled" in engine.why(gone, datetime(2025, 4, 2, 9))
    assert "it ran" in engine.why("done", datetime(2025, 3, 29, 9, 1))
    assert "there is no such task any more" in engine.why("done", datetime(2025, 3, 29, 9, 2))
    once = engine.add_single_task(int, initialdelay=60)
    text = engine.why(once, engine.clock.now() - 10)
    assert "it was not due then; it is due" in text
    engine.tick(100)
    assert "it runs once, and was not due then" in engine.why(once, engine.clock.now() + 100)
    assert "it ran" in engine.why(once, engine.clock.now() - 40)


def test_it_never_raises_for_a_task_that_is_there(engine):
    engine.configure(history=1000)  # less than there are runs
    tasks = [
        engine.add_task(int, Broken(), taskname="broken"),
        engine.add_interval_task(int, 0.001, taskname="often", max_runs=5),
        engine.add_monthday_task(int, ["last"], 3),
        engine.add_single_task(int),
    ]
    engine.schedule_task(own := Own(None, 300, int), 30)
    for _ in range(2):
        for task in (*tasks, own):
            for at in (
                -1e9,
                0,
                engine.clock.now(),
                engine.clock.now() + 0.5,
                1e10,
                9e10,
                math.pi * 1e9,
                datetime.max,
                datetime.min,
            ):
                assert engine.why(task, at).count("\n") >= 1
        engine.tick(7 * 86400)
    with pytest.raises(InvalidType, match="at: expected"):
        engine.why(own, "noon")


def test_a_second_is_near_enough(engine):
    engine.clock.advance(0.25)
    engine.add_interval_task(int, timedelta(hours=1), taskname="task")
    engine.tick(7200)
    assert "it ran (due Sat 2025-03-29 10:00:00.25 CET" in engine.why("task", datetime(2025, 3, 29, 10))


def test_a_timetable_in_another_process_cannot_be_asked():
    engine = scheduler.ForkedScheduler()
    task = engine.add_interval_task(int, 3600, initialdelay=3600, taskname="task")
    assert "every hour" in engine.explain(task)
    engine.start()
    try:
        for ask in (lambda: engine.explain(task), lambda: engine.why(task, 0), lambda: engine.explain("task")):
            with pytest.raises(WrongProcess):
                ask()
    finally:
        engine.stop()


def test_a_fire_beyond_the_bounds_of_a_search_is_still_to_come(engine, monkeypatch):
    class Closed:
        def __contains__(self, day):
            return day.year < 2090

    monkeypatch.setattr(search, "SECONDS", 60.0)  # on a machine that is busy the bound in time would come first
    engine.add_task(int, Interval(86400).except_on(Closed()), taskname="task")
    assert engine.explain("task").endswith("next       none found until 2075-04-01")
    assert "still to come: due then" in engine.why("task", engine.view("task").trigger.next_after(3.8e9))
