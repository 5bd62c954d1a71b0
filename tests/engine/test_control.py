"""The steering verbs: what each answers, and what follows."""

import threading
import time
from datetime import UTC, datetime, timedelta

import pytest
from helpers import DAY, NOON, CustomTrigger, entry_of, noop, running, states, total, wait_for

from tgscheduler.errors import InvalidType, InvalidValue, WrongProcess
from tgscheduler.scheduler import AuditRecord, ForkedScheduler, Run, ThreadedScheduler
from tgscheduler.testing import TickedScheduler
from tgscheduler.timetable.triggers import Interval, Once

VERBS = {
    "pause": lambda scheduler, task: scheduler.pause(task),
    "resume": lambda scheduler, task: scheduler.resume(task),
    "run_now": lambda scheduler, task: scheduler.run_now(task),
    "reschedule_task": lambda scheduler, task: scheduler.reschedule_task(task, Interval(60)),
}


# -- whom they know --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", VERBS)
def test_an_unknown_an_ended_and_a_custom_task_are_errors(ticked, verb):
    cancelled = ticked.add_interval_task(noop, 60, taskname="cancelled")
    ticked.cancel(cancelled)
    ended = ticked.add_single_task(noop, taskname="ended")
    unnamed = ticked.add_single_task(noop)
    ticked.tick()
    elsewhere = TickedScheduler().add_interval_task(noop, 60)
    before = total(ticked.counts())
    for task in ("never", "cancelled", cancelled, "ended", ended, unnamed, elsewhere, None):
        with pytest.raises(InvalidValue, match=f"{verb}: there is no task .* here any more, or never was"):
            VERBS[verb](ticked, task)
    for task in (5, b"it", ["it"]):
        with pytest.raises(InvalidType, match=f"{verb}: expected a Task or the name of one, got "):
            VERBS[verb](ticked, task)
    ticked.tick(100)
    assert total(ticked.counts()) == before


@pytest.mark.parametrize("named", [True, False])
def test_a_task_and_its_name_mean_the_same(ticked, named):
    task = ticked.add_interval_task(noop, 60, taskname="it", initialdelay=60)
    it = "it" if named else task
    assert (ticked.pause(it), ticked.pause(it), task.paused) == (True, False, True)
    assert (ticked.resume(it), ticked.resume(it), task.paused) == (True, False, False)
    assert ticked.run_now(it).task == "it"
    assert ticked.reschedule_task(it, Interval(7, NOON)) == NOON + 7


# -- pause -----------------------------------------------------------------------------------------------------------


def test_what_comes_due_in_a_pause_is_skipped_and_says_so(ticked):
    ticked.add_interval_task(noop, 10, taskname="it")
    ticked.tick(5)
    assert ticked.pause("it")
    ticked.tick(20)
    assert ticked.resume("it")
    ticked.tick(10)
    assert states(ticked) == [(0, 1, "ok"), (10, 1, "skipped"), (20, 1, "skipped"), (30, 1, "ok")]
    assert ticked.runs("it", state="skipped")[0].reason == "paused"


@pytest.mark.parametrize("until", [25, datetime.fromtimestamp(NOON + 25, UTC)])
def test_a_pause_until_a_moment_ends_by_itself(ticked, until):
    task = ticked.add_interval_task(noop, 10, taskname="it", initialdelay=10)
    assert ticked.pause("it", NOON + until if until == 25 else until)
    ticked.tick(24)
    assert task.paused
    ticked.tick(6)
    assert not task.paused
    assert not ticked.resume("it")
    assert states(ticked) == [(10, 1, "skipped"), (20, 1, "skipped"), (30, 1, "ok")]
    assert ticked.runs("it", state="skipped")[0].reason == f"paused until {NOON + 25:.3f}"


@pytest.mark.parametrize(
    ("until", "error", "said"),
    [
        (NOON, InvalidValue, "until: expected a moment to come, got"),
        (NOON - 5, InvalidValue, "until: expected a moment to come"),
        ("soon", InvalidType, "until: expected a number of POSIX seconds or a datetime, got 'soon'"),
        (timedelta(hours=1), InvalidType, "until: expected a number of POSIX seconds or a datetime"),
    ],
)
def test_a_pause_until_what_is_no_moment_to_come_is_an_error(ticked, until, error, said):
    task = ticked.add_interval_task(noop, 10, taskname="it")
    for pause in (lambda: ticked.pause("it", until), lambda: ticked.pause_all(until)):
        with pytest.raises(error, match=said):
            pause()
    assert not task.paused
    ticked.tick()
    assert ticked.counts()["ok"] == 1


@pytest.mark.parametrize("everybody", [True, False])
@pytest.mark.parametrize("until", [None, NOON + 100])
def test_a_single_task_is_kept_while_it_is_paused(ticked, everybody, until):
    task = ticked.add_single_task(noop, initialdelay=10, taskname="it")
    ticked.pause_all(until) if everybody else ticked.pause("it", until)
    ticked.tick(99)
    assert (ticked.runs("it"), ticked.get_task("it"), task.next_due) == ([], task, NOON + 10)
    if until is None:
        ticked.resume_all() if everybody else ticked.resume("it")
        ticked.tick()
    ticked.tick(2)
    [run] = ticked.runs("it")
    assert (run.due - NOON, run.state, run.started - NOON) == (10, "ok", 99 if until is None else 100)
    assert ticked.get_task("it") is None


def test_a_pause_that_comes_before_a_single_task_s_time_is_over_again_costs_it_nothing(ticked):
    ticked.add_single_task(noop, initialdelay=10, taskname="it")
    ticked.pause("it")
    ticked.tick(5)
    ticked.resume("it")
    ticked.tick(10)
    assert [run.late for run in ticked.runs("it")] == [0]


def test_pause_all_and_resume_all(ticked):
    own = ticked.add_interval_task(noop, 10, taskname="own", initialdelay=10)
    ticked.add_interval_task(noop, 10, taskname="it", initialdelay=10)
    assert not ticked.resume_all()
    ticked.pause("own")
    assert (ticked.pause_all(), ticked.pause_all()) == (True, False)
    assert not ticked.resume("it")  # by itself it is not paused
    ticked.add_interval_task(noop, 10, taskname="later", initialdelay=10)
    ticked.tick(15)
    assert ticked.counts()["skipped"] == total(ticked.counts()) == 3
    assert (ticked.resume_all(), ticked.resume_all(), own.paused) == (True, False, False)
    ticked.tick(10)
    assert (ticked.counts()["ok"], ticked.counts()["skipped"]) == (3, 3)
    assert entry_of(ticked.get_task("later")).limits is None  # a pause of all leaves a task as quick as before


def test_resuming_one_task_does_not_end_the_pause_of_all(ticked):
    ticked.add_interval_task(noop, 10, taskname="it", initialdelay=10)
    ticked.pause("it")
    ticked.pause_all(NOON + 15)
    ticked.resume("it")
    ticked.tick(25)
    assert states(ticked) == [(10, 1, "skipped"), (20, 1, "ok")]


def test_what_runs_at_a_pause_goes_on(ticked):
    ticked.add_interval_task(lambda: (ticked.pause("it"), ticked.clock.advance(5)), 10, taskname="it")
    ticked.tick(10)
    assert states(ticked) == [(0, 1, "ok"), (10, 1, "skipped")]


# -- run_now ---------------------------------------------------------------------------------------------------------


def test_run_now_is_a_run_beside_the_timetable(ticked):
    task = ticked.add_interval_task(noop, 10, taskname="it", initialdelay=10)
    ticked.tick(3)
    run = ticked.run_now("it")
    assert isinstance(run, Run)
    ticked.tick(0)
    assert (run.due - NOON, run.state, run.reason, run.attempt) == (3, "ok", "by hand", 1)
    assert task.next_due == NOON + 10
    ticked.pause("it")
    assert ticked.run_now("it").state == "waiting"
    ticked.tick(0)
    assert ticked.counts()["ok"] == 2
    single = ticked.add_single_task(noop, initialdelay=60, taskname="single")
    ticked.run_now(single)
    ticked.tick(60)
    assert [run.due - NOON for run in ticked.runs("single")] == [63, 3]


def test_a_run_by_hand_is_tried_again_like_any_other(ticked):
    task = ticked.add_interval_task(lambda: 1 / 0, DAY, initialdelay=DAY, taskname="it", retry=1)
    run = ticked.run_now(task)
    ticked.tick(10)
    assert (run.state, run.attempt, total(ticked.counts())) == ("failed", 2, 1)


@pytest.mark.parametrize(
    ("options", "state", "reason"),
    [
        ({}, "skipped", "overlap: the run due {:.3f} has not ended"),
        ({"overlap": "allow", "max_instances": 1}, "skipped", "overlap: the run due {:.3f} has not ended"),
        ({"overlap": "queue"}, "ok", "by hand"),
        ({"overlap": "allow"}, "ok", "by hand"),
    ],
)
def test_run_now_while_it_runs_is_as_its_overlap_says(options, state, reason):
    release = threading.Event()
    with running(ThreadedScheduler()) as scheduler:
        task = scheduler.add_interval_task(lambda: release.wait(10), DAY, taskname="it", **options)
        [first] = wait_for(lambda: scheduler.runs("it", state="running"))
        second = scheduler.run_now(task)
        expected = (
            {"ok": "waiting" if options["overlap"] == "queue" else "running"}.get(state, state) if options else state
        )
        wait_for(lambda: second.state == expected and second in scheduler.runs("it"))
        release.set()
        wait_for(lambda: second.ended and first.ended)
        assert (second.state, second.reason) == (state, reason.format(first.due))


def test_run_now_of_a_scheduler_that_does_not_run_says_so(ticked):
    task = ticked.add_interval_task(noop, 10, taskname="it")
    ticked.stop()
    for scheduler, it in ((ticked, task), (ThreadedScheduler(), "it")):
        with pytest.raises(
            InvalidValue, match=r"run_now: the scheduler does not run, and so .* cannot; start it first"
        ):
            scheduler.run_now(it)
    assert total(ticked.counts()) == 0


def test_a_run_by_hand_that_no_turn_has_seen_can_be_cancelled_and_ends_with_a_stop(ticked):
    ticked.add_interval_task(noop, 10, taskname="it", initialdelay=10)
    began = time.monotonic()
    run, other = ticked.run_now("it"), ticked.run_now("it")
    assert (ticked.cancel_run(run), ticked.cancel_run(run)) == (True, False)
    assert time.monotonic() - began < 0.5
    ticked.stop()
    assert [(each.state, each.reason) for each in (run, other)] == [
        ("cancelled", "cancelled by hand"), ("cancelled", "stopped before it began"),
    ]  # fmt: skip
    assert ticked.counts()["cancelled"] == total(ticked.counts()) == 2


# -- before the start, after a stop ----------------------------------------------------------------------------------


def test_before_the_start_pauses_and_triggers_are_kept_for_it():
    scheduler = TickedScheduler(start=NOON)
    scheduler.stop()
    for name in ("paused", "moved", "single"):
        scheduler.add_interval_task(noop, 10, taskname=name) if name != "single" else scheduler.add_single_task(
            noop, taskname=name
        )
    assert scheduler.pause("paused")
    assert scheduler.pause("single")
    assert scheduler.reschedule_task("moved", Interval(25, NOON)) == NOON + 25
    scheduler.start()
    scheduler.tick(20)
    assert (states(scheduler, "moved"), states(scheduler, "single")) == ([], [])
    assert {run.state for run in scheduler.runs("paused")} == {"skipped"}
    scheduler.tick(5)
    assert states(scheduler, "moved") == [(25, 1, "ok")]
    assert scheduler.resume("single")
    scheduler.tick()
    assert [run.state for run in scheduler.runs("single")] == ["ok"]


def test_a_stop_and_a_start_keep_pauses_and_triggers(ticked):
    ticked.add_interval_task(noop, 10, taskname="paused", initialdelay=10)
    ticked.add_single_task(noop, taskname="single", initialdelay=10)
    ticked.add_weekday_task(noop, [1], (0, 0), taskname="moved")
    ticked.reschedule_task("moved", CustomTrigger(lambda moment: (moment // 8 + 1) * 8))
    ticked.pause("paused")
    ticked.pause("single")
    ticked.pause_all(NOON + 30)
    ticked.stop()
    ticked.tick(5)
    ticked.start()
    ticked.tick(35)
    assert states(ticked, "moved") == [
        (8, 1, "skipped"),
        (16, 1, "skipped"),
        (24, 1, "skipped"),
        (32, 1, "ok"),
        (40, 1, "ok"),
    ]
    assert {run.state for run in ticked.runs("paused")} == {"skipped"}
    assert ticked.runs("single") == []
    assert ticked.resume_all()
    ticked.tick(10)
    assert ticked.runs("paused")[0].state == ticked.runs("single")[0].state == "ok"


# -- from inside an action, in other processes -----------------------------------------------------------------------


@pytest.mark.parametrize("processmethod", ["sequential", "threaded"])
def test_each_verb_answers_from_inside_an_action(processmethod):
    answers = []

    def action():
        began = time.monotonic()
        answers.append(scheduler.pause("other"))
        answers.append(scheduler.resume("other"))
        answers.append(scheduler.pause_all())
        answers.append(scheduler.resume_all())
        run = scheduler.run_now("other")
        if processmethod == "sequential":
            answers.append(scheduler.cancel_run(run))
        else:
            answers.append(wait_for(lambda: run.state == "ok"))
        answers.append(scheduler.reschedule_task("me", Once(time.time() + 3600)) > time.time())
        answers.append(time.monotonic() - began < 0.8)

    with running(ThreadedScheduler()) as scheduler:
        scheduler.add_interval_task(noop, DAY, initialdelay=DAY, taskname="other")
        scheduler.add_interval_task(action, DAY, processmethod=processmethod, taskname="me")
        wait_for(lambda: scheduler.counts()["ok"] and scheduler.runs("me")[0].ended)
        assert answers == [True] * 7, scheduler.runs()
        assert scheduler.get_task("me").next_due > time.time()


@pytest.mark.realtime
def test_in_a_forked_run_each_verb_is_an_error(tmp_path):
    verbs = {
        **VERBS,
        "pause_all": lambda scheduler, task: scheduler.pause_all(),
        "resume_all": lambda scheduler, task: scheduler.resume_all(),
        "cancel_run": lambda scheduler, task: scheduler.cancel_run(Run("it", 1.0)),
        "subscribe": lambda scheduler, task: scheduler.subscribe(print),
        "audit": lambda scheduler, task: scheduler.audit(AuditRecord(1.0, "ops", "operator", "pause")),
    }

    def action():
        for verb, call in verbs.items():
            with pytest.raises(WrongProcess, match="the timetable is its parent's"):
                call(scheduler, task)
            (tmp_path / verb).touch()

    with running(ThreadedScheduler()) as scheduler:
        task = scheduler.add_interval_task(noop, DAY, initialdelay=DAY, taskname="it")
        scheduler.add_single_task(action, processmethod="forked", taskname="forked")
        run = wait_for(lambda: [run for run in scheduler.runs("forked") if run.ended])[0]
        assert (run.state, run.error) == ("ok", None)
        assert {path.name for path in tmp_path.iterdir()} == set(verbs)


@pytest.mark.realtime
def test_a_forked_scheduler_that_was_started_is_steered_no_more():
    scheduler = ForkedScheduler()
    task = scheduler.add_interval_task(noop, DAY, initialdelay=DAY, taskname="it")
    assert scheduler.pause(task)
    assert scheduler.resume_all()
    with running(scheduler):
        for call in (*VERBS.values(), lambda scheduler, task: scheduler.pause_all(),
                     lambda scheduler, task: scheduler.resume_all(),
                     lambda scheduler, task: scheduler.cancel_run(Run("it", 1.0)),
                     lambda scheduler, task: scheduler.subscribe(print),
                     lambda scheduler, task: scheduler.audits(),
                     lambda scheduler, task: scheduler.durations()):  # fmt: skip
            with pytest.raises(WrongProcess, match="its timetable is in its child process"):
                call(scheduler, "it")


# -- cancel_run ------------------------------------------------------------------------------------------------------


@pytest.mark.realtime
def test_a_threaded_run_is_cancelled_and_its_action_is_told():
    seen, begun = [], threading.Event()

    def action():
        from tgscheduler.scheduler import current_run

        run = current_run()
        begun.set()
        wait_for(lambda: run.cancelled)
        seen.append(run.cancelled)

    with running(ThreadedScheduler()) as scheduler:
        scheduler.add_single_task(action, taskname="it", retry=3)
        assert begun.wait(5)
        [run] = scheduler.runs("it")
        assert (scheduler.cancel_run(run), scheduler.cancel_run(run)) == (True, False)
        assert (run.state, run.reason, run.attempt) == ("cancelled", "cancelled by hand", 1)
        wait_for(lambda: seen and not scheduler.health()["abandoned"])
        assert scheduler.counts()["cancelled"] == total(scheduler.counts()) == 1
        wait_for(lambda: scheduler.get_task("it") is None)


@pytest.mark.realtime
def test_a_forked_run_is_cancelled_with_its_process():
    with running(ThreadedScheduler()) as scheduler:
        scheduler.add_single_task(time.sleep, args=(20,), processmethod="forked", taskname="it", retry=3)
        [run] = wait_for(lambda: scheduler.health()["children"] and scheduler.runs("it"))
        assert scheduler.cancel_run(run)
        wait_for(lambda: run.ended, 1)
        assert (run.state, run.reason, run.attempt) == ("cancelled", "cancelled by hand", 1)
        wait_for(lambda: scheduler.health()["children"] == 0, 1)
        assert not scheduler.cancel_run(run)


def test_cancel_run_takes_runs_only(ticked):
    ticked.add_single_task(noop, taskname="it")
    ticked.tick()
    [run] = ticked.runs("it")
    assert not ticked.cancel_run(run)
    assert run.state == "ok"
    for wrong in ("it", None, 5):
        with pytest.raises(InvalidType, match=r"cancel_run: expected a Run, as runs\(\) returns them, got"):
            ticked.cancel_run(wrong)
