"""The verbs: what they do, what they say, whom they refuse."""

import logging
import math
import threading
import time

import pytest
from helpers import HOUR, NOON, noop, running, wait_for

from tgscheduler.console.actions import describe, perform
from tgscheduler.console.console import Console
from tgscheduler.console.http import Caller, Problem
from tgscheduler.console.settings import ConsoleSettings
from tgscheduler.console.verbs import VERBS
from tgscheduler.scheduler import ThreadedScheduler
from tgscheduler.testing import TickedScheduler
from tgscheduler.timetable.policy import Retry

ANNA = Caller("anna", "operator", "user")
GUEST = Caller("guest", "viewer", "user")


def fail():
    raise ValueError("no")


@pytest.fixture
def ticked():
    scheduler = TickedScheduler(start=NOON, timezone="Europe/Berlin")
    scheduler.add_interval_task(noop, 60, taskname="report")
    scheduler.add_cron_task(fail, "0 * * * *", taskname="feed", timezone="America/New_York")
    return scheduler


def do(console, verb, **arguments):
    return perform(console, ANNA, "192.0.2.1", verb, **arguments)


def refusal(console, verb, caller=ANNA, **arguments):
    with pytest.raises(Problem) as caught:
        perform(console, caller, "192.0.2.1", verb, **arguments)
    return caught.value.status, caught.value.detail


def test_a_task_is_paused_until_a_time_of_day_in_its_zone(ticked, console):
    outcome = do(console, "pause", task="feed", until="09:00")
    assert outcome.text == "feed is paused until Sun 2025-06-01 09:00:00 EDT (-04:00), America/New_York."
    assert (outcome.changed, outcome.task) == (True, "feed")
    assert ticked.view("feed").paused_until == NOON + HOUR
    again = do(console, "pause", task="feed", until=NOON + HOUR)
    assert (again.changed, again.text) == (False, outcome.text.replace("is", "was", 1)[:-1] + " already.")


def test_the_zone_of_a_time_may_be_named(ticked, console):
    outcome = do(console, "pause", task="feed", until="2025-06-02 09:00", timezone="Europe/Berlin")
    assert outcome.text == "feed is paused until Mon 2025-06-02 09:00:00 CEST (+02:00), Europe/Berlin."


def test_a_pause_without_an_end_lasts_until_it_is_resumed(ticked, console):
    assert do(console, "pause", task="report").text == "report is paused until it is resumed."
    assert ticked.view("report").paused_until == math.inf
    assert do(console, "resume", task="report").text == "report is resumed."
    again = do(console, "resume", task="report")
    assert (again.changed, again.text) == (False, "report was not paused.")


def test_a_task_that_is_resumed_while_all_are_paused_waits_for_these(ticked, console):
    do(console, "pause_all")
    do(console, "pause", task="report")
    said = "report is resumed. All tasks are paused: it runs when these are resumed."
    assert do(console, "resume", task="report").text == said


def test_all_tasks_are_paused_and_resumed(ticked, console):
    assert do(console, "pause_all", until="15:00").text == (
        "All tasks are paused until Sun 2025-06-01 15:00:00 CEST (+02:00), Europe/Berlin."
    )
    assert not do(console, "pause_all", until="15:00").changed
    ticked.tick(300)
    assert ticked.counts()["ok"] == 0
    assert do(console, "resume_all").text == "All tasks are resumed."
    assert do(console, "resume_all")[:2] == ("Nothing was paused.", False)


def test_a_task_runs_now_beside_its_timetable(ticked, console):
    outcome = do(console, "run", task="feed")
    assert (outcome.text, outcome.run.task, outcome.run.due) == ("feed is about to run.", "feed", NOON)
    ticked.tick()
    assert ticked.run(outcome.run.id).state == "failed"


@pytest.mark.parametrize(
    ("overlap", "changed", "said"),
    [
        ("skip", False, "busy is running: by its overlap policy, this run is skipped, unless that ends first."),
        ("queue", True, "busy is running: by its overlap policy, this run waits for the end of that."),
        ("allow", True, "busy is about to run."),
    ],
)
def test_what_becomes_of_a_run_beside_another_one_is_said(ticked, console, overlap, changed, said):
    outcomes = []

    def busy():
        if not outcomes:
            outcomes.append(do(console, "run", task="busy"))

    ticked.add_interval_task(busy, 1000, taskname="busy", overlap=overlap)
    ticked.tick()
    [outcome] = outcomes
    assert (outcome.changed, outcome.text) == (changed, said)
    [(*_, came_of)] = records(ticked)
    assert came_of.partition(",")[0] == ("ok" if changed else "skipped")


@pytest.mark.realtime
def test_a_run_beside_another_one_of_a_scheduler_in_a_thread_is_skipped_before_the_answer():
    begun, end = threading.Event(), threading.Event()

    def busy():
        begun.set()
        end.wait(5)

    with running(ThreadedScheduler()) as scheduler:
        scheduler.add_interval_task(busy, 1000, taskname="busy", overlap="skip")
        assert begun.wait(5)
        outcome = do(Console(scheduler), "run", task="busy")
        end.set()
        assert (outcome.changed, outcome.run.state) == (False, "skipped")
        assert outcome.text == "busy is running: by its overlap policy, this run was skipped."
        assert scheduler.audits()[0].outcome.startswith("skipped: overlap: the run due")


@pytest.mark.realtime
def test_a_forked_run_that_is_cancelled_does_not_count_as_running():
    with running(ThreadedScheduler()) as scheduler:
        scheduler.add_interval_task(time.sleep, 1000, args=(20,), processmethod="forked", taskname="it")
        [run] = wait_for(lambda: scheduler.health()["children"] and scheduler.runs("it"))
        outcome = do(Console(scheduler), "cancel", run=run.id)
        assert outcome.run.state == "cancelled" or outcome.text.endswith("as soon as its process has ended.")
        wait_for(lambda: run.state == "cancelled", 1)


def test_a_task_gets_another_timetable_as_text(ticked, console):
    outcome = do(console, "reschedule", task="report", timetable="mon-fri 09:00")
    assert outcome.text == (
        "report fires on weekdays (Mon-Fri) at 09:00, Europe/Berlin from now on; "
        "the next time is Mon 2025-06-02 09:00:00 CEST (+02:00), Europe/Berlin."
    )
    again = do(console, "reschedule", task="report", timetable="mon,tue,wed,thu,fri 9:00")
    assert (again.changed, again.text) == (False, "report had that timetable already.")
    assert console.reader.task("report").next_due == NOON + 19 * HOUR


def test_an_interval_is_the_same_from_whatever_moment_it_is_counted(ticked, console):
    ticked.tick(30)
    due = console.reader.task("report").next_due
    assert describe(console, "reschedule", task="report", timetable="every 60 s").endswith("already: nothing changes.")
    assert not do(console, "reschedule", task="report", timetable="every minute").changed
    assert console.reader.task("report").next_due == due


@pytest.mark.parametrize(
    ("verb", "arguments", "said"),
    [
        ("pause", {"task": "report"}, " It is paused until it is resumed: it does not run before."),
        ("pause_all", {}, " All tasks are paused until all are resumed: it does not run before."),
        (
            "pause",
            {"task": "report", "until": "15:00"},
            " It is paused until Sun 2025-06-01 15:00:00 CEST (+02:00), Europe/Berlin: it does not run before.",
        ),
    ],
)
def test_a_paused_task_that_is_rescheduled_is_paused(ticked, console, verb, arguments, said):
    do(console, verb, **arguments)
    assert describe(console, "reschedule", task="report", timetable="every 5 min").endswith(f"its code.{said}")
    assert do(console, "reschedule", task="report", timetable="every 5 min").text.endswith(said)


def test_a_failed_run_is_run_again_as_another_one(ticked, console):
    ticked.tick(HOUR)
    failed = ticked.runs("feed")[0]
    outcome = do(console, "rerun", run=failed.id)
    assert outcome.run.id != failed.id
    ticked.tick()
    assert [run.state for run in ticked.runs("feed")] == ["failed", "failed"]


def test_a_run_that_went_well_is_not_run_again(ticked, console):
    ticked.tick(60)
    status, detail = refusal(console, "rerun", run=ticked.runs("report")[0].id)
    assert (status, detail.endswith("this one is ok.")) == (409, True)


def test_a_run_that_waits_is_cancelled(ticked, console):
    ticked.add_interval_task(fail, 1000, taskname="retried", retry=Retry(1, delay=60))
    ticked.tick()
    waiting = ticked.runs("retried", "waiting")[0]
    outcome = do(console, "cancel", run=waiting.id)
    assert (outcome.text, outcome.run.state) == ("This run of retried is cancelled.", "cancelled")
    again = do(console, "cancel", run=waiting.id)
    assert (again.changed, again.text) == (False, "This run of retried was cancelled already.")


def test_a_run_that_has_ended_is_not_cancelled(ticked, console):
    ticked.tick(60)
    status, detail = refusal(console, "cancel", run=ticked.runs("report")[0].id)
    assert status == 409
    assert detail.startswith("This run of report cannot be cancelled: it has ended (ok), Sun 2025-06-01 14:01:00 CEST")


@pytest.mark.parametrize("verb", [verb for verb, row in VERBS.items() if row.needs == "task"])
def test_what_is_not_there_or_has_ended_is_refused(ticked, console, verb):
    assert refusal(console, verb, task="nothing", timetable="@daily") == (404, "There is no task 'nothing'.")
    ticked.tick(60)
    ticked.cancel("report")
    status, detail = refusal(console, verb, task="report", timetable="@daily")
    assert (status, detail) == (409, "'report' has ended, and fires no more; its runs are still on record.")


@pytest.mark.parametrize("verb", ["cancel", "rerun"])
def test_a_run_that_is_not_there_is_refused(console, verb):
    assert refusal(console, verb, run="no-such")[0] == 404


@pytest.mark.parametrize("until", ["11:99", "yesterday", "1e9", 1e300, math.nan, True, [], ""])
def test_what_is_no_moment_is_refused(ticked, console, until):
    status, detail = refusal(console, "pause", task="report", until=until)
    assert (status, detail.startswith("until: ")) == (422, True)
    assert refusal(console, "pause_all", until=until)[0] == 422
    assert ticked.view("report").held_until == -math.inf


@pytest.mark.parametrize("until", ["2025-06-01 13:59", NOON, -1, "now"])
def test_a_moment_that_is_past_is_refused(ticked, console, until):
    status, detail = refusal(console, "pause", task="report", until=until)
    assert (status, detail) == (409, f"until: expected a moment to come, got {until!r}.")
    assert ticked.view("report").held_until == -math.inf


def test_an_unknown_zone_is_refused(console):
    assert refusal(console, "pause", task="report", until="15:00", timezone="Berlin") == (
        422, "'Berlin' is no time zone; did you mean 'Europe/Berlin'?",
    )  # fmt: skip


@pytest.mark.parametrize("line", ["", "61 * * * *", "mon-fri", "os.system", "every 0 s", "0 0 30 2 *", "@never"])
def test_a_timetable_that_is_none_is_refused(ticked, console, line):
    before = ticked.view("report").trigger
    status, detail = refusal(console, "reschedule", task="report", timetable=line)
    assert (status, bool(detail)) == (422, True)
    assert ticked.view("report").trigger == before


def test_nothing_runs_while_the_scheduler_does_not(console, ticked):
    ticked.stop()
    assert refusal(console, "run", task="report")[0] == 409


# -- what is left on record ------------------------------------------------------------------------------------------


def records(ticked):
    return [(each.action, each.task, each.detail, each.outcome) for each in reversed(ticked.audits())]


def test_what_is_done_is_on_record_with_who_and_from_where(ticked, console):
    ticked.tick(30)
    do(console, "pause", task="feed", until="09:00")
    [record] = ticked.audits()
    assert (record.at, record.who, record.role, record.action, record.task, record.origin, record.outcome) == (
        NOON + 30, "anna", "operator", "pause", "feed", "user 192.0.2.1", "ok",
    )  # fmt: skip
    assert record.detail == "until Sun 2025-06-01 09:00:00 EDT (-04:00), America/New_York"


def test_what_changes_nothing_and_what_is_refused_for_the_state_is_on_record(ticked, console):
    do(console, "resume", task="feed")
    ticked.tick(60)
    run = ticked.runs("report")[0]
    refusal(console, "cancel", run=run.id)
    do(console, "pause_all")
    do(console, "reschedule", task="report", timetable="every 5 min")
    resumed, cancelled, *others = records(ticked)
    assert resumed == ("resume", "feed", "", "nothing to do")
    assert cancelled[:3] == ("cancel", "report", run.id)
    assert cancelled[3].startswith("This run of report cannot be cancelled: it has ended (ok)")
    assert others == [
        ("pause_all", None, "until all are resumed", "ok"),
        ("reschedule", "report", "every 5 minutes", "ok"),
    ]


def test_what_is_wrong_or_not_allowed_is_not_on_record(ticked, console):
    refusal(console, "pause", task="nothing")
    refusal(console, "pause", task="report", until="never")
    refusal(console, "pause", GUEST, task="report")
    assert ticked.audits() == []


def test_a_task_that_ends_between_the_look_and_the_change_is_a_conflict(ticked, console, monkeypatch):
    ticked.tick(60)
    pause = ticked.pause

    def late(task, until):
        ticked.cancel(task)
        return pause(task, until)

    monkeypatch.setattr(ticked, "pause", late)
    assert refusal(console, "pause", task="report")[0] == 409


def test_what_a_run_has_logged_is_told_without_secrets(ticked, console):
    def talk():
        logging.getLogger("shop").warning("password=hunter2")
        raise ValueError("token=hunter2")

    ticked.add_interval_task(talk, 1000, taskname="talk", retry=Retry(1, delay=60))
    ticked.tick()
    outcome = do(console, "cancel", run=ticked.runs("talk")[0].id)
    assert outcome.run.state == "cancelled"
    assert "hunter2" not in repr(outcome)


# -- who may --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("caller", [GUEST, GUEST._replace(via="token"), None])
@pytest.mark.parametrize("verb", VERBS)
def test_only_operators_change_anything(console, caller, verb):
    assert refusal(console, verb, caller)[0] == 403


@pytest.mark.parametrize("verb", VERBS)
def test_a_console_that_only_reads_changes_nothing(ticked, verb):
    console = Console(ticked, ConsoleSettings(read_only=True))
    status, detail = refusal(console, verb)
    assert (status, detail) == (403, "This console only reads: tg.scheduler.console.read_only is True.")


# -- what they say before -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("verb", "arguments", "said"),
    [
        ("pause", {"task": "report"}, "report does not run until it is resumed. What comes due meanwhile is recorded"),
        ("pause", {"task": "report", "until": "15:00"}, "report does not run until Sun 2025-06-01 15:00:00 CEST"),
        ("resume", {"task": "report"}, "report is not paused by itself: nothing changes."),
        ("run", {"task": "report"}, "report runs once, at once, with its own arguments. Its timetable goes on"),
        ("reschedule", {"task": "report", "timetable": "every 5 minutes"}, "report fires every 5 minutes, and no more"),
        ("pause_all", {"until": "15:00"}, "No task runs until Sun 2025-06-01 15:00:00 CEST (+02:00), Europe/Berlin."),
        ("resume_all", {}, "Nothing is paused: nothing changes."),
    ],
)
def test_what_a_verb_will_do_is_said_before(console, verb, arguments, said):
    assert describe(console, verb, **arguments).startswith(said)


def test_what_a_verb_will_do_with_a_run_is_said_before(ticked, console):
    ticked.add_interval_task(fail, 1000, taskname="retried", retry=Retry(1, delay=60))
    ticked.tick(HOUR)
    failed = ticked.runs("feed")[0]
    assert describe(console, "rerun", run=failed.id).endswith("The run that was failed stays on record as it is.")
    assert describe(console, "cancel", run=failed.id) == "This run of feed has ended (failed): nothing changes."
    waiting = do(console, "run", task="retried").run
    said = "This run of retried does not begin, and ends as cancelled."
    assert describe(console, "cancel", run=waiting.id) == said


def test_a_description_changes_nothing(ticked, console):
    version = ticked.version
    for verb, row in VERBS.items():
        if row.needs != "run":
            describe(console, verb, **({"task": "report"} if row.needs == "task" else {}), timetable="@daily")
    assert ticked.version == version
