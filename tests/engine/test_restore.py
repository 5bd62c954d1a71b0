"""A timetable over a store that outlives the process: claims before starts, and what holds after a restart."""

import os

import pytest
from helpers import DAY, HOUR, NOON, noop


def records(scheduler, task="it"):
    """Return each record of a task, oldest first: due, until (from noon), count, state."""
    found = sorted(scheduler.runs(task, limit=1000), key=lambda run: (run.due, run.count))
    return [(run.due - NOON, run.until - NOON, run.count, run.state) for run in found]


def test_an_interval_keeps_its_grid_over_a_restart_and_what_was_missed_runs_once(begin):
    def schedule(scheduler):
        scheduler.add_interval_task(noop, 60, taskname="it")

    begin(NOON, schedule).tick(150)
    second = begin(NOON + 290, schedule)
    second.tick(100)
    assert records(second) == [
        *((due, due, 1, "ok") for due in (0.0, 60.0, 120.0)),
        (180.0, 240.0, 2, "ok"),
        (300.0, 300.0, 1, "ok"),
        (360.0, 360.0, 1, "ok"),
    ]
    assert second.counts()["ok"] == 7
    assert sum(second.counts().values()) == 7


def test_an_initial_delay_is_counted_from_the_first_start_of_all(begin):
    def schedule(scheduler):
        scheduler.add_interval_task(noop, HOUR, taskname="it", initialdelay=600)

    begin(NOON, schedule).tick(500)
    second = begin(NOON + 550, schedule)
    second.tick(60)
    assert records(second) == [(600.0, 600.0, 1, "ok")]


@pytest.mark.parametrize(
    ("options", "made_up"),
    [
        ({}, [(14 * HOUR, 62 * HOUR, 3, "ok")]),
        ({"misfire": "skip"}, [(14 * HOUR, 62 * HOUR, 3, "missed")]),
        ({"grace": HOUR}, [(14 * HOUR, 62 * HOUR, 3, "missed")]),
        (
            {"misfire": "run_all", "misfire_cap": 2, "overlap": "queue"},
            [(14 * HOUR, 14 * HOUR, 1, "missed"), (38 * HOUR, 38 * HOUR, 1, "ok"), (62 * HOUR, 62 * HOUR, 1, "ok")],
        ),
    ],
)
def test_what_a_calendar_task_missed_while_nothing_ran_is_up_to_its_misfire_policy(begin, options, made_up):
    def schedule(scheduler):
        scheduler.add_weekday_task(noop, range(1, 8), (2, 0), taskname="it", **options)

    begin(NOON, schedule).tick(HOUR)
    second = begin(NOON + 3 * DAY, schedule)
    second.tick(1)
    assert records(second) == made_up
    second.tick(DAY)
    assert records(second) == [*made_up, (86 * HOUR, 86 * HOUR, 1, "ok")]


def test_a_task_that_is_new_has_missed_nothing(begin):
    begin(NOON, lambda scheduler: None).tick(HOUR)
    second = begin(NOON + 3 * DAY, lambda each: each.add_weekday_task(noop, range(1, 8), (2, 0), taskname="it"))
    second.tick(1)
    assert records(second) == []


def test_a_task_whose_timetable_has_changed_begins_afresh(begin):
    begin(NOON, lambda each: each.add_weekday_task(noop, range(1, 8), (2, 0), taskname="it")).tick(DAY)
    second = begin(NOON + 3 * DAY, lambda each: each.add_weekday_task(noop, range(1, 8), (3, 0), taskname="it"))
    second.tick(DAY)
    assert records(second) == [(14 * HOUR, 14 * HOUR, 1, "ok"), (87 * HOUR, 87 * HOUR, 1, "ok")]


def test_a_single_task_at_a_moment_runs_once_over_all_starts(begin):
    def schedule(scheduler):
        scheduler.add_single_task(noop, at=NOON + 100, taskname="it")

    begin(NOON, schedule).tick(50)
    begin(NOON + 200, schedule).tick(10)
    third = begin(NOON + 300, schedule)
    third.tick(10)
    assert records(third) == [(100.0, 100.0, 1, "ok")]
    assert third.get_task("it") is None, "it is over, and its name is free"


def test_pauses_hold_over_a_restart_until_their_end(begin):
    def schedule(scheduler):
        scheduler.add_interval_task(noop, 60, taskname="it")
        scheduler.add_interval_task(noop, 60, taskname="other")

    first = begin(NOON, schedule)
    first.tick(10)
    first.pause("it", until=NOON + 400)
    second = begin(NOON + 200, schedule)
    assert second.get_task("it").paused
    second.tick(300)
    assert [state for *_, state in records(second)] == ["ok", *["skipped"] * 4, "ok", "ok"]
    assert {state for *_, state in records(second, "other")} == {"ok"}
    second.pause("it")
    second.resume("it")
    assert not begin(NOON + 600, schedule).get_task("it").paused


def test_a_pause_of_all_holds_over_a_restart_until_it_is_ended(begin):
    def schedule(scheduler):
        scheduler.add_interval_task(noop, 60, taskname="it")

    first = begin(NOON, schedule)
    first.tick(10)
    first.pause_all()
    second = begin(NOON + 90, schedule)
    second.tick(60)
    assert [state for *_, state in records(second)] == ["ok", "skipped", "skipped"]
    assert second.resume_all()
    third = begin(NOON + 200, schedule)
    third.tick(60)
    assert records(third)[-1][-1] == "ok"


def test_max_runs_counts_the_runs_before_a_restart(begin):
    def schedule(scheduler):
        scheduler.add_interval_task(noop, 60, taskname="it", max_runs=5)

    begin(NOON, schedule).tick(130)
    second = begin(NOON + 150, schedule)
    second.tick(HOUR)
    assert [due for due, *_ in records(second)] == [0.0, 60.0, 120.0, 180.0, 240.0]
    assert begin(NOON + 2 * HOUR, schedule).get_task("it") is None


def test_history_and_counts_are_those_of_all_starts(begin):
    def schedule(scheduler):
        scheduler.add_interval_task(noop, 60, taskname="it")

    begin(NOON, schedule).tick(130)
    second = begin(NOON + 2 * HOUR, schedule)
    second.tick(90)
    assert second.counts()["ok"] == sum(run.count for run in second.runs(limit=1000)) == 122
    assert second.counts(since=NOON + 2 * HOUR + 1)["ok"] == 1
    assert second.counts_by_task() == {"it": {"ok": second.counts()["ok"]}}


def test_a_task_that_is_registered_no_more_keeps_its_history_and_shows_as_gone(begin):
    begin(NOON, lambda each: each.add_interval_task(noop, 60, taskname="old")).tick(70)
    second = begin(NOON + 100, lambda each: each.add_interval_task(noop, 60, taskname="new"))
    second.tick(10)
    assert second.gone() == ["old"]
    assert len(second.runs("old")) == 2


def test_a_task_of_another_name_takes_over_the_history_that_it_asks_for(begin):
    begin(NOON, lambda each: each.add_interval_task(noop, 60, taskname="old")).tick(70)
    second = begin(NOON + 100, lambda each: each.add_interval_task(noop, 60, taskname="new", formerly="old"))
    second.tick(50)
    assert (second.gone(), second.runs("old")) == ([], [])
    assert [due for due, *_ in records(second, "new")] == [0.0, 60.0, 120.0]


def test_a_task_renamed_while_it_runs_takes_its_history_with_it(begin):
    first = begin(NOON, lambda each: each.add_interval_task(noop, 60, taskname="old"))
    first.tick(70)
    first.rename("old", "new")
    first.tick(60)
    second = begin(NOON + 140, lambda each: each.add_interval_task(noop, 60, taskname="new"))
    second.tick(50)
    assert [due for due, *_ in records(second, "new")] == [0.0, 60.0, 120.0, 180.0]


def test_a_task_that_is_cancelled_and_added_again_begins_afresh(begin):
    scheduler = begin(NOON, lambda each: each.add_interval_task(noop, 60, taskname="it"))
    scheduler.tick(70)
    scheduler.cancel("it")
    scheduler.tick(HOUR)
    scheduler.add_interval_task(noop, 60, taskname="it")
    scheduler.tick(70)
    assert [due for due, *_ in records(scheduler)] == [0.0, 60.0, 3670.0, 3730.0]


@pytest.mark.parametrize("step", [-HOUR, HOUR])
def test_an_interval_keeps_its_rhythm_when_the_wall_clock_is_stepped(begin, step):
    scheduler = begin(NOON, lambda each: each.add_interval_task(noop, 60, taskname="it"))
    scheduler.tick(90)
    scheduler.clock.step_by(step)
    scheduler.tick(100)
    assert [due for due, *_ in records(scheduler)] == sorted([0.0, 60.0, 120.0 + step, 180.0 + step])


def test_the_file_is_for_its_owner_only(begin, tmp_path):
    before = os.umask(0)
    try:
        begin(NOON, lambda each: each.add_interval_task(noop, 60, taskname="it")).tick(10)
    finally:
        os.umask(before)
    assert {oct(path.stat().st_mode & 0o777) for path in tmp_path.glob("scheduler.db*")} == {"0o600"}
