"""How many runs, from when to when, spread over what, and in whose zone."""

from datetime import UTC, datetime

import pytest
from helpers import DAY, HOUR, NOON, flaky, noop, records, states, total

from tgscheduler.scheduler import Retry, ThreadedScheduler
from tgscheduler.timetable.plan import fire_time
from tgscheduler.timetable.policy import Policy


def test_max_runs_counts_runs_and_neither_skipped_ones_nor_attempts(ticked):
    ticked.add_interval_task(flaky(ticked, 1, 15), 10, taskname="it", max_runs=3, retry=Retry(1, delay=3, jitter=0))
    ticked.tick(200)
    found = records(ticked)
    assert len([record for record in found if record[3] in ("ok", "failed")]) == 3
    assert found[0][3:5] == ("ok", 2)
    assert found[-1][3] == "ok"
    assert ticked.get_tasks() == {}


def test_max_runs_goes_on_after_a_stop(ticked):
    ticked.add_interval_task(noop, 10, taskname="it", max_runs=4)
    ticked.tick(15)
    ticked.stop()
    ticked.start()
    ticked.tick(100)
    assert states(ticked) == [(0, 1, "ok"), (10, 1, "ok"), (20, 1, "ok"), (30, 1, "ok")]


def test_jitter_delays_the_start_and_leaves_the_due_time(ticked):
    task = ticked.add_interval_task(noop, 10, taskname="it", jitter=4)
    ticked.tick(1000)
    found = sorted(ticked.runs("it", limit=1000), key=lambda run: run.due)
    assert [run.due - NOON for run in found] == [10 * number for number in range(len(found))]
    assert len(found) >= 100
    assert [run.started for run in found] == [fire_time("it", run.due, task.policy) for run in found]
    assert len({run.late for run in found}) > 90
    assert all(0 <= run.late <= 4 and run.state == "ok" and run.count == 1 for run in found)
    assert task.next_due - NOON == 10 * len(found)


def test_jitter_longer_than_the_interval_loses_nothing_and_keeps_the_order(ticked):
    ticked.add_interval_task(noop, 10, taskname="it", jitter=35)
    ticked.tick(1000)
    found = sorted(ticked.runs("it", limit=1000), key=lambda run: run.due)
    dues = [run.due + 10 * number - NOON for run in found for number in range(run.count)]
    assert dues == [10 * number for number in range(len(dues))]
    assert [run.started for run in found] == sorted(run.started for run in found)
    assert len(dues) >= 96


def test_jitter_holds_for_a_single_task_and_at_a_restart(ticked):
    ticked.add_single_task(noop, taskname="it", initialdelay=100, jitter=50)
    ticked.tick(10)
    ticked.stop()
    ticked.start()
    ticked.tick(200)
    [run] = ticked.runs("it")
    assert (run.due - NOON, run.started) == (100, fire_time("it", NOON + 100, Policy(jitter=50)))


@pytest.mark.parametrize(
    ("start", "end", "dues"),
    [
        (15, 45, [15, 25, 35, 45]),
        (20, 40, [20, 30, 40]),
        (20, 39.999, [20, 30]),
        (-15, 21, [5, 15]),
        (-20, 20, [0, 10, 20]),
        (30, 30, [30]),
        (None, 20, [0, 10, 20]),
    ],
)
def test_an_interval_from_start_to_end_both_included(ticked, start, end, dues):
    start = start if start is None else NOON + start
    ticked.add_interval_task(noop, 10, taskname="it", start=start, end=NOON + end)
    ticked.tick(100)
    assert [record[0] for record in records(ticked)] == dues
    assert ticked.get_task("it") is None


def test_a_calendar_from_start_to_end_both_included(ticked):
    bounds = {"start": datetime(2025, 6, 1, 14, tzinfo=UTC), "end": datetime(2025, 6, 1, 16, tzinfo=UTC)}
    ticked.add_cron_task(noop, "0 * * * *", taskname="it", **bounds)
    ticked.tick(DAY)
    assert [record[0] for record in records(ticked)] == [2 * HOUR, 3 * HOUR, 4 * HOUR]


@pytest.mark.parametrize("event", ["stop", "step", "correction"])
def test_nothing_fires_before_its_start_whatever_happens_meanwhile(ticked, event):
    ticked.add_cron_task(noop, "*/30 * * * *", taskname="it", start=NOON + 4 * HOUR, end=NOON + 5 * HOUR)
    ticked.tick(10)
    if event == "stop":
        ticked.stop()
        ticked.start()
    else:
        ticked.clock.step_by(-HOUR if event == "step" else -5 * HOUR)
    ticked.tick(DAY)
    assert [record[0] for record in records(ticked)] == [4 * HOUR, 4.5 * HOUR, 5 * HOUR]


def test_a_task_whose_end_is_over_is_not_kept_and_a_warning_says_so(ticked, caplog):
    ticked.add_interval_task(noop, 10, taskname="it", end=NOON - 1)
    ticked.add_task(noop, Never(), taskname="never")
    assert ticked._registry._names == {}
    assert caplog.messages == [f"{name}: it never fires: its last time is over" for name in ("it", "never")]
    assert total(ticked.counts()) == 0


class Never:
    """A trigger that has no fire time, and counts who asks."""

    asked = 0

    def next_after(self, moment):
        self.asked += 1


def test_each_task_may_have_a_zone_of_its_own(ticked):
    zones = {"UTC": 18, "Asia/Tokyo": 9, "America/New_York": 22, "Europe/Berlin": 16}
    for zone in zones:
        ticked.add_weekday_task(noop, range(1, 8), (18, 0), taskname=zone, timezone=zone)
    ticked.tick(DAY)
    hours = {zone: datetime.fromtimestamp(ticked.runs(zone)[0].due, UTC).hour for zone in zones}
    assert hours == zones
    assert ticked.get_task("Asia/Tokyo").timezone == "Asia/Tokyo"
    ticked.stop()
    ticked.configure(timezone="Europe/London")
    ticked.start()
    assert ticked.get_task("UTC").timezone == "UTC"


def test_a_single_task_at_a_moment(ticked):
    ticked.add_single_task(noop, taskname="it", at=datetime(2025, 6, 1, 15), timezone="Europe/Berlin")
    ticked.add_single_task(noop, taskname="past", at=NOON - 5)
    ticked.add_single_task(noop, taskname="missed", at=NOON - 5, grace=1)
    ticked.tick(2 * HOUR)
    assert records(ticked) == [(HOUR, HOUR, 1, "ok", 1, None)]
    assert records(ticked, "past") == [(-5, -5, 1, "ok", 1, None)]
    assert records(ticked, "missed") == [(-5, -5, 1, "missed", 1, "5.0 s late; grace is 1 s")]
    for options, said in (
        ({"at": NOON, "initialdelay": 3}, "expected at or initialdelay, got both"),
        ({"at": NOON, "end": NOON - 1}, "at: expected a moment from start to end"),
        ({"at": NOON, "start": NOON + 1}, "at: expected a moment from start to end"),
    ):
        with pytest.raises(ValueError, match=said):
            ticked.add_single_task(noop, taskname="bad", **options)
    assert ticked.get_task("bad") is None
    with pytest.raises(ValueError, match="at: expected a datetime with a zone"):
        ThreadedScheduler().add_single_task(noop, at=datetime(2025, 6, 1, 15))
