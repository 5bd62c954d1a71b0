"""Policies at work: for each case the exact records that it leaves."""

import threading
import time

import pytest
from helpers import DAY, NOON, flaky, noop, records, running, total, wait_for

from tgscheduler.scheduler import Retry, ThreadedScheduler, current_run

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
def test_every_combination_records_each_occurrence_once(ticked, misfire, overlap, grace, retry):
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
        wait_for(lambda: scheduler.counts()["skipped"] == expected.count("skipped") and len(inside) == bound)
        assert total(scheduler.counts()) == 3
        release.set()
        wait_for(lambda: not scheduler.counts()["running"] + scheduler.counts()["waiting"])
        scheduler.run_now(task)
        wait_for(lambda: not scheduler.counts()["running"] + scheduler.counts()["waiting"])
        assert total(scheduler.counts()) == 4
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
