"""Policies at work: for each case the exact records that it leaves."""

import os
import signal
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from helpers import running, total, wait_for

from tgscheduler.scheduler import Retry, ThreadedScheduler, current_run
from tgscheduler.testing import TickedScheduler
from tgscheduler.timetable.plan import fire_time
from tgscheduler.timetable.policy import Policy

NOON = datetime(2025, 6, 1, 12, tzinfo=UTC).timestamp()  # a Sunday
HOUR, DAY = 3600.0, 86400.0


def noop():
    pass


@pytest.fixture
def ticked():
    return TickedScheduler(start=NOON)


def records(scheduler, task="it"):
    """Return each record of a task: due, until (from noon), count, state, attempt, reason."""
    found = sorted(scheduler.runs(task, limit=1000), key=lambda run: (run.due, run.count))
    return [(run.due - NOON, run.until - NOON, run.count, run.state, run.attempt, run.reason) for run in found]


def states(scheduler, task="it"):
    return [(due, count, state) for due, _, count, state, _, _ in records(scheduler, task)]


# -- misfire x grace: every 10 s; the process is away from 5 to 65 ---------------------------------------------------

OK1 = (0, 0, 1, "ok", 1, None)
NEXT = (70, 70, 1, "ok", 1, None)


@pytest.mark.parametrize(
    ("options", "middle"),
    [
        ({}, [(10, 60, 6, "ok", 1, None)]),
        ({"grace": 55}, [(10, 60, 6, "ok", 1, None)]),
        ({"grace": 30}, [(10, 30, 3, "missed", 1, "35.0 s late; grace is 30 s"), (40, 60, 3, "ok", 1, None)]),
        ({"grace": 1}, [(10, 60, 6, "missed", 1, "5.0 s late; grace is 1 s")]),
        ({"misfire": "skip"}, [(10, 50, 5, "missed", 1, "misfire: skip"), (60, 60, 1, "ok", 1, None)]),
        (
            {"misfire": "skip", "grace": 5},
            [(10, 50, 5, "missed", 1, "15.0 s late; grace is 5 s"), (60, 60, 1, "ok", 1, None)],
        ),
        ({"misfire": "skip", "grace": 4}, [(10, 60, 6, "missed", 1, "5.0 s late; grace is 4 s")]),
        ({"misfire": "run_all", "misfire_cap": 10}, [(due, due, 1, "ok", 1, None) for due in range(10, 61, 10)]),
        (
            {"misfire": "run_all", "misfire_cap": 2},
            [
                (10, 40, 4, "missed", 1, "misfire: run_all makes up for 2 at most"),
                (50, 50, 1, "ok", 1, None),
                (60, 60, 1, "ok", 1, None),
            ],
        ),
        (
            {"misfire": "run_all", "misfire_cap": 10, "grace": 20},
            [
                (10, 40, 4, "missed", 1, "25.0 s late; grace is 20 s"),
                (50, 50, 1, "ok", 1, None),
                (60, 60, 1, "ok", 1, None),
            ],
        ),
        (
            {"misfire": "run_all", "misfire_cap": 2, "overlap": "allow", "max_instances": 1},
            [
                (10, 40, 4, "missed", 1, "misfire: run_all makes up for 2 at most"),
                (50, 50, 1, "ok", 1, None),
                (60, 60, 1, "ok", 1, None),
            ],
        ),
    ],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["interval", "cron"])
def test_what_was_missed_leaves_exactly_these_records(ticked, options, middle, kind):
    if kind == "interval":
        ticked.add_interval_task(noop, 10, taskname="it", **options)
    else:
        ticked.add_cron_task(noop, "*/10 * * * * *", taskname="it", start=NOON, **options)
    ticked.tick(5)
    ticked.clock.advance(60)
    ticked.tick(5)
    first = [OK1] if kind == "interval" else []
    assert [record for record in records(ticked) if kind == "interval" or record[0]] == [*first, *middle, NEXT]
    assert total(ticked.counts()) == sum(record[2] for record in records(ticked))


@pytest.mark.parametrize(
    ("options", "state", "reason"),
    [
        ({}, "ok", None),
        ({"grace": 60}, "ok", None),
        ({"grace": 59}, "missed", "60.0 s late; grace is 59 s"),
        ({"misfire": "skip"}, "ok", None),
        ({"misfire": "skip", "grace": 10}, "missed", "60.0 s late; grace is 10 s"),
        ({"misfire": "run_all", "misfire_cap": 1}, "ok", None),
    ],
)
def test_a_late_single_task_leaves_one_record_and_is_gone(ticked, options, state, reason):
    ticked.add_single_task(noop, taskname="it", initialdelay=10, **options)
    ticked.clock.advance(70)
    ticked.tick()
    assert records(ticked) == [(10, 10, 1, state, 1, reason)]
    assert ticked._registry._names == {}
    assert ticked.health()["tasks"] == 0


# -- overlap x retry -------------------------------------------------------------------------------------------------


def flaky(ticked, failures, seconds=0.0, error=ValueError):
    """Return an action that fails so many times, and takes so long."""
    left = [failures]

    def action():
        ticked.clock.advance(seconds)
        if left[0]:
            left[0] -= 1
            raise error("as planned")

    return action


@pytest.mark.parametrize(
    ("retry", "failures", "state", "attempt", "reason", "ended"),
    [
        (None, 1, "failed", 1, None, 0),
        (1, 1, "ok", 2, "after 2 attempts", 1),
        (3, 2, "ok", 3, "after 3 attempts", 3),
        (2, 9, "failed", 3, "after 3 attempts", 3),
        (Retry(2, delay=10, factor=3), 9, "failed", 3, "after 3 attempts", 40),
        (Retry(3, delay=10, factor=10, longest=20), 9, "failed", 4, "after 4 attempts", 50),
        (Retry(2, delay=0), 1, "ok", 2, "after 2 attempts", 0),
        (Retry(2, on=(KeyError, OSError)), 1, "failed", 1, None, 0),
        (Retry(2, on=(KeyError, ValueError)), 1, "ok", 2, "after 2 attempts", 1),
    ],
)
def test_a_failed_run_is_tried_again_and_is_one_record(ticked, retry, failures, state, attempt, reason, ended):
    if isinstance(retry, int):
        retry = Retry(retry, jitter=0)
    elif retry is not None:
        retry = Retry(retry.times, retry.delay, retry.factor, retry.longest, 0, retry.on)
    ticked.add_single_task(flaky(ticked, failures), taskname="it", retry=retry)
    ticked.tick(100)
    assert records(ticked) == [(0, 0, 1, state, attempt, reason)]
    [run] = ticked.runs("it")
    assert (run.ended - NOON, run.error is None) == (ended, state == "ok")
    assert ticked.get_task("it") is None


def test_between_attempts_a_run_waits_keeps_the_name_of_its_task_and_says_when(ticked):
    seen = []

    def action():
        seen.append((current_run().attempt, ticked.clock.now() - NOON))
        raise ValueError

    ticked.add_single_task(action, taskname="it", retry=Retry(2, delay=10, jitter=0))
    ticked.tick(5)
    [run] = ticked.runs("it")
    assert (run.state, run.attempt, run.started) == ("waiting", 2, None)
    assert run.reason == "attempt 1 has failed; the next one follows after 10 s"
    assert ticked.get_task("it") is not None
    assert (ticked.counts()["waiting"], ticked.health()["waiting"]) == (1, 1)
    with pytest.raises(ValueError, match="taskname 'it'"):
        ticked.add_single_task(noop, taskname="it")
    ticked.tick(25)
    assert seen == [(1, 0), (2, 10), (3, 30)]
    assert ticked.get_task("it") is None


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"overlap": "skip"}, [
            (0, 0, 1, "ok", 2, "after 2 attempts"),
            (10, 10, 1, "skipped", 1, "overlap: the run due {0:.3f} still waits for its turn"),
            (20, 20, 1, "skipped", 1, "overlap: the run due {0:.3f} still waits for its turn"),
            (30, 30, 1, "ok", 1, None)]),
        ({"overlap": "queue"}, [
            (0, 0, 1, "ok", 2, "after 2 attempts"), (10, 10, 1, "ok", 1, None), (20, 20, 1, "ok", 1, None),
            (30, 30, 1, "ok", 1, None)]),
        ({"overlap": "allow"}, [
            (0, 0, 1, "ok", 2, "after 2 attempts"), (10, 10, 1, "ok", 1, None), (20, 20, 1, "ok", 1, None),
            (30, 30, 1, "ok", 1, None)]),
        ({"overlap": "allow", "max_instances": 1}, [
            (0, 0, 1, "ok", 2, "after 2 attempts"),
            (10, 10, 1, "skipped", 1, "overlap: the run due {0:.3f} still waits for its turn"),
            (20, 20, 1, "skipped", 1, "overlap: the run due {0:.3f} still waits for its turn"),
            (30, 30, 1, "ok", 1, None)]),
    ],
)  # fmt: skip
def test_a_run_that_waits_for_its_next_attempt_counts_as_running(ticked, options, expected):
    started = []
    fails = flaky(ticked, 1)
    ticked.add_interval_task(
        lambda: (started.append((current_run().due - NOON, ticked.clock.now() - NOON)), fails()), 10,
        taskname="it", retry=Retry(1, delay=25, jitter=0), **options,
    )  # fmt: skip
    ticked.tick(30)
    assert records(ticked) == [(*each[:5], each[5] and each[5].format(NOON)) for each in expected]
    if options["overlap"] == "queue":
        assert started == [(0, 0), (0, 25), (10, 25), (20, 25), (30, 30)]


@pytest.mark.parametrize("misfire", [{}, {"misfire": "skip"}, {"misfire": "run_all", "misfire_cap": 5}])
@pytest.mark.parametrize("overlap", ["skip", "queue", "allow"])
@pytest.mark.parametrize("grace", [None, 12])
@pytest.mark.parametrize("retry", [None, Retry(1, delay=3, jitter=0)])
def test_every_combination_books_each_occurrence_once(ticked, misfire, overlap, grace, retry):
    ticked.add_interval_task(
        flaky(ticked, 3, 17), 10, taskname="it", overlap=overlap, grace=grace, retry=retry, **misfire
    )
    ticked.tick(45)
    ticked.clock.advance(33)
    ticked.tick(40)
    ticked.stop()
    found = ticked.runs("it", limit=1000)
    dues = [run.due + 10 * number - NOON for run in found for number in range(run.count)]
    assert sorted(dues) == [10 * number for number in range(len(dues))]
    assert total(ticked.counts()) == len(dues)
    assert all(run.ended is not None and run.until == run.due + 10 * (run.count - 1) for run in found)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, ["ok", "skipped", "skipped", "ok"]),
        ({"overlap": "queue"}, ["ok", "ok", "ok", "ok"]),
        ({"overlap": "allow", "max_instances": 2}, ["ok", "ok", "skipped", "ok"]),
        ({"overlap": "allow"}, ["ok", "ok", "ok", "ok"]),
    ],
)
@pytest.mark.realtime
def test_overlap_in_real_threads(options, expected):
    release, most, inside = threading.Event(), [0], []

    def action():
        inside.append(1)
        most[0] = max(most[0], len(inside))
        release.wait(10)
        inside.pop()

    with running(ThreadedScheduler()) as scheduler:
        task = scheduler.add_interval_task(action, DAY, taskname="it", **options)
        wait_for(lambda: inside)
        for _ in range(2):
            scheduler.run_now(task)
        bound = {"allow": options.get("max_instances", 3)}.get(options.get("overlap"), 1)
        wait_for(lambda: total(scheduler.counts()) == 3 and len(inside) == bound)
        release.set()
        wait_for(lambda: not scheduler.counts()["running"] + scheduler.counts()["waiting"])
        scheduler.run_now(task)
        wait_for(lambda: total(scheduler.counts()) == 4 and not scheduler.counts()["running"])
        found = [run.state for run in sorted(scheduler.runs("it"), key=lambda run: run.due)]
        assert found == expected
        assert most[0] == bound


def test_the_name_of_a_task_with_several_runs_is_free_when_the_last_has_ended():
    release = threading.Event()
    with running(ThreadedScheduler()) as scheduler:
        scheduler.add_interval_task(
            lambda: release.wait(10) if current_run().due == first else None, 0.05,
            taskname="it", overlap="allow", max_runs=2, start=(first := time.time() + 0.02),
        )  # fmt: skip
        wait_for(lambda: scheduler.counts()["ok"] == 1)
        time.sleep(0.05)
        assert scheduler.get_task("it") is not None
        release.set()
        wait_for(lambda: scheduler.counts()["ok"] == 2)
        wait_for(lambda: not scheduler._registry._names)


# -- max_runs, jitter, bounds, zones ---------------------------------------------------------------------------------


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
        ({"at": datetime(2025, 6, 1, 15)}, "at: expected a datetime with a zone"),
        ({"at": NOON, "end": NOON - 1}, "at: expected a moment from start to end"),
        ({"at": NOON, "start": NOON + 1}, "at: expected a moment from start to end"),
    ):
        with pytest.raises(ValueError, match=said):
            ticked.add_single_task(noop, taskname="bad", **options)
    assert ticked.get_task("bad") is None


# -- timeouts --------------------------------------------------------------------------------------------------------


def test_a_sequential_run_past_its_timeout_is_marked_when_it_returns(ticked, caplog):
    ticked.add_single_task(lambda: ticked.clock.advance(3), processmethod="sequential", taskname="it", timeout=2)
    ticked.add_single_task(lambda: ticked.clock.advance(2), processmethod="sequential", taskname="just", timeout=2)
    ticked.tick(10)
    assert records(ticked) == [(0, 0, 1, "timed_out", 1, "timed out: it took 3.000 s of 2")]
    assert [record[3] for record in records(ticked, "just")] == ["ok"]
    assert "it: timed out: it took 3.000 s of 2" in caplog.messages


def test_a_deadline_is_known_inside(ticked):
    seen = []

    def action():
        run = current_run()
        seen.append((run.deadline - NOON, run.cancelled, (ticked.clock.advance(5), run.cancelled)[1]))

    ticked.add_single_task(action, taskname="it", timeout=5)
    ticked.add_single_task(lambda: seen.append((current_run().deadline, current_run().cancelled)), initialdelay=60)
    ticked.tick(60)
    assert seen == [(5, False, True), (None, False)]


@pytest.mark.realtime
def test_a_threaded_run_is_marked_at_its_deadline_and_its_thread_counts_until_it_returns(caplog):
    release, seen = threading.Event(), []

    def action():
        run = current_run()
        release.wait(10)
        seen.append(run.cancelled)

    with running(ThreadedScheduler()) as scheduler:
        scheduler.add_single_task(action, taskname="it", timeout=0.1)
        [run] = wait_for(lambda: scheduler.runs("it", state="timed_out"))
        assert 0.1 <= run.ended - run.started < 0.2
        thread = run.where.thread
        assert run.reason == f"timed out after 0.1 s; {thread} is held until it returns"
        assert (scheduler.health()["abandoned"], scheduler.health()["running"]) == (1, 0)
        assert scheduler.get_task("it") is None
        release.set()
        wait_for(lambda: scheduler.health()["abandoned"] == 0)
        assert seen == [True]
        assert [found.state for found in scheduler.runs("it")] == ["timed_out"]
    assert caplog.text.count("it: timed out after 0.1 s") == 1


@pytest.mark.realtime
def test_a_timeout_is_tried_again_while_the_first_attempt_still_holds_its_thread():
    release, seen = threading.Event(), []

    def action():
        run = current_run()
        if run.attempt == 1:
            release.wait(10)
            seen.append(("first", run.attempt, run.cancelled))
        else:
            seen.append(("second", run.attempt, run.cancelled))

    with running(ThreadedScheduler()) as scheduler:
        scheduler.add_single_task(action, taskname="it", timeout=0.1, retry=Retry(1, delay=0.05))
        [run] = wait_for(lambda: scheduler.runs("it", state="ok"))
        assert (run.attempt, run.reason, scheduler.health()["abandoned"]) == (2, "after 2 attempts", 1)
        assert total(scheduler.counts()) == 1
        release.set()
        wait_for(lambda: len(seen) == 2 and not scheduler.health()["abandoned"])
        assert seen == [("second", 2, False), ("first", 1, True)]
        assert (scheduler.runs("it"), total(scheduler.counts())) == ([run], 1)


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.realtime
def test_a_forked_run_is_gone_soon_after_its_deadline_with_its_group(tmp_path):
    pids = tmp_path / "pids"

    def action():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        grandchild = os.fork()
        if grandchild:
            pids.write_text(f"{os.getpid()} {grandchild}")
        while True:
            time.sleep(1)

    with running(ThreadedScheduler()) as scheduler:
        scheduler.add_single_task(action, processmethod="forked", taskname="it", timeout=0.3)
        [run] = wait_for(lambda: scheduler.runs("it", state="timed_out"))
        assert 0.3 <= run.ended - run.started < 0.8
        assert run.reason.startswith("timed out after 0.3")
        assert run.reason.endswith("its process was ended")
        wait_for(lambda: not any(map(alive, pids.read_text().split())), 1.0)


# -- what is tried again ---------------------------------------------------------------------------------------------


@pytest.mark.realtime
@pytest.mark.parametrize(
    ("kind", "on", "attempts"),
    [
        ("dies", (ChildProcessError,), 2),
        ("dies", (ValueError,), 1),
        ("raises", (LookupError,), 2),
        ("raises", (ChildProcessError,), 1),
        ("hangs", (TimeoutError,), 2),
        ("exits", (Exception,), 1),
        ("exits", (SystemExit,), 2),
    ],
)
def test_a_forked_run_is_tried_again_for_what_is_listed(kind, on, attempts, tmp_path):
    def action():
        with (tmp_path / "attempts").open("a") as file:
            file.write(f"{current_run().attempt}\n")
        if kind == "dies":
            os.kill(os.getpid(), signal.SIGKILL)
        if kind == "raises":
            raise KeyError("as planned")
        if kind == "exits":
            raise SystemExit(3)
        time.sleep(20)

    with running(ThreadedScheduler()) as scheduler:
        scheduler.add_single_task(
            action, processmethod="forked", taskname="it", retry=Retry(1, delay=0.01, on=on),
            timeout=0.15 if kind == "hangs" else None,
        )  # fmt: skip
        run = wait_for(lambda: [run for run in scheduler.runs("it") if run.ended])[0]
        assert (run.state, run.attempt) == ("timed_out" if kind == "hangs" else "failed", attempts)
        assert (tmp_path / "attempts").read_text().split() == [str(number + 1) for number in range(attempts)]
        assert total(scheduler.counts()) == 1


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        ("stop", "stopped before it began"),
        ("cancel", "its task was cancelled"),
        ("cancel_run", "cancelled by hand"),
    ],
)
def test_a_run_that_waits_for_its_next_attempt_can_be_ended(ticked, end, reason):
    task = ticked.add_interval_task(flaky(ticked, 9), HOUR, taskname="it", retry=Retry(5, delay=60, jitter=0))
    ticked.tick(10)
    [run] = ticked.runs(task)
    assert run.state == "waiting"
    if end == "stop":
        ticked.stop()
    elif end == "cancel":
        ticked.cancel(task)
    else:
        assert ticked.cancel_run(run)
    ticked.tick(100)
    assert records(ticked) == [(0, 0, 1, "cancelled", 2, reason)]
    assert (ticked.counts()["waiting"], ticked.health()["waiting"]) == (0, 0)


@pytest.mark.parametrize("end", ["stop", "cancel", "cancel_run"])
@pytest.mark.realtime
def test_what_waits_in_line_can_be_ended(end):
    release = threading.Event()
    with running(ThreadedScheduler(stop_timeout=0.3)) as scheduler:
        task = scheduler.add_interval_task(lambda: release.wait(10), DAY, taskname="it", overlap="queue")
        wait_for(lambda: scheduler.counts()["running"])
        waiting = [scheduler.run_now(task) for _ in range(3)]
        wait_for(lambda: scheduler.counts()["waiting"] == 3)
        if end == "stop":
            threading.Timer(0.1, release.set).start()
            scheduler.stop()
        elif end == "cancel":
            scheduler.cancel(task)
        else:
            assert scheduler.cancel_run(waiting[1])
            assert not scheduler.cancel_run(waiting[1])
        release.set()
        wait_for(lambda: not scheduler.counts()["waiting"] + scheduler.counts()["running"])
        expected = ["ok", "cancelled", "ok"] if end == "cancel_run" else ["cancelled"] * 3
        assert [run.state for run in waiting] == expected
        assert total(scheduler.counts()) == 4


@pytest.mark.parametrize("seconds", [HOUR, -HOUR])
def test_the_wait_for_the_next_attempt_counts_real_seconds(ticked, seconds):
    ticked.add_single_task(flaky(ticked, 1), taskname="it", retry=Retry(1, delay=60, jitter=0))
    ticked.tick(10)
    ticked.clock.step_by(seconds)
    ticked.tick(49)
    assert states(ticked) == [(0, 1, "waiting")]
    ticked.tick(1)
    assert states(ticked) == [(0, 1, "ok")]
