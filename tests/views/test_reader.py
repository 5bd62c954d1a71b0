"""The read model: what pages, API, command line and metrics say of the same scheduler."""

import functools
from datetime import UTC, date, datetime

import pytest

from tgscheduler.scheduler import AuditRecord
from tgscheduler.testing import TickedScheduler
from tgscheduler.views import HIDDEN, Reader, failures

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC).timestamp()
HOUR = 3600.0


def noop(*args, **kw):
    """Do nothing."""


def fail():
    raise RuntimeError("token=abc123")


@pytest.fixture
def scheduler():
    scheduler = TickedScheduler(start=NOON, timezone="Europe/Berlin")
    yield scheduler
    scheduler.stop()


@pytest.fixture
def reader(scheduler):
    return Reader(scheduler)


def statuses(reader):
    return {task.name: task.status for task in reader.tasks()}


def test_a_task_has_one_word_for_its_condition(scheduler, reader):
    scheduler.add_interval_task(noop, 60, taskname="good")
    scheduler.add_interval_task(fail, 60, taskname="bad")
    scheduler.add_interval_task(noop, HOUR, taskname="to come", initialdelay=HOUR)
    scheduler.add_interval_task(noop, 60, taskname="held")
    scheduler.pause("held")
    scheduler.tick(1)
    assert statuses(reader) == {"good": "ok", "bad": "failing", "to come": "new", "held": "paused"}
    scheduler.resume("held")
    reader.forget()
    assert statuses(reader)["held"] == "new"
    scheduler.stop()
    reader.forget()
    assert set(statuses(reader).values()) == {"off"}


def test_a_task_that_runs_or_is_late_says_so(scheduler, reader):
    seen = []
    scheduler.add_interval_task(lambda: seen.append(reader.task("slow").status), 60, taskname="slow")
    scheduler.add_interval_task(noop, 60, taskname="waits", initialdelay=30)
    scheduler.add_single_task(lambda: seen.append(reader.task("once").status), taskname="once")
    scheduler.tick(1)
    assert seen == ["running", "running"]
    scheduler.clock.advance(100)
    assert reader.task("waits").status == "late"


def test_a_task_that_has_ended_is_still_read_by_who_holds_it(scheduler, reader):
    task = scheduler.add_single_task(noop, taskname="once")
    scheduler.tick(1)
    assert reader.task("once") is None
    assert scheduler.view(task).has_ended


def test_what_changes_between_two_lists_is_seen_at_once_or_after_a_moment(scheduler, reader):
    scheduler.add_interval_task(noop, 60, taskname="a")
    assert set(statuses(reader)) == {"a"}
    first = reader.tasks()
    assert reader.tasks() is first
    version = reader.version
    scheduler.add_interval_task(noop, 60, taskname="b")
    assert reader.version > version
    reader.forget()
    assert set(statuses(reader)) == {"a", "b"}


def test_a_definition_says_what_is_called_with_secrets_hidden(scheduler, reader):
    def connect(url, password, limit=1, **more):
        """Connect."""

    scheduler.add_interval_task(connect, 60, args=["db://a:b@c/d", "xyz"], kw={"api_key": "k", "n": 2}, taskname="it")
    found = reader.definition(reader.task("it"))
    assert found.action.endswith("<locals>.connect")
    assert found.file.endswith("test_reader.py")
    assert found.line == connect.__code__.co_firstlineno
    assert found.doc == "Connect."
    assert dict(found.arguments) == {"url": f"'db://{HIDDEN}@c/d'", "password": HIDDEN, "api_key": HIDDEN, "n": "2"}


class Job:
    def __call__(self, what):
        pass

    def method(self, what):
        pass


class Unreadable:
    def __repr__(self):
        raise ValueError

    def __call__(self):
        pass


@pytest.mark.parametrize(
    ("action", "args", "name", "arguments"),
    [
        (print, [1], "builtins.print", {"1": "1"}),
        (Job(), [1], "test_reader.Job", {"what": "1"}),
        (Job().method, [1], "test_reader.Job.method", {"what": "1"}),
        (functools.partial(noop, 1, token=2), [3], "test_reader.noop", {"1": "1", "2": "3", "token": HIDDEN}),
        (lambda secret: None, ["x"], "<lambda>", {"secret": HIDDEN}),
        (Unreadable(), [], "test_reader.Unreadable", {}),
        (noop, [Unreadable()], "test_reader.noop", {"1": "<Unreadable>"}),
    ],
)
def test_every_callable_has_a_definition(scheduler, reader, action, args, name, arguments):
    scheduler.add_interval_task(action, 60, args=args, taskname="it")
    found = reader.definition(reader.task("it"))
    assert found.action.endswith(name)
    assert dict(found.arguments) == arguments


def test_a_task_without_a_name_is_found_by_its_label_and_steered(scheduler, reader):
    scheduler.add_interval_task(noop, 60)
    scheduler.add_interval_task(noop, 90)
    names = [task.name for task in reader.tasks()]
    assert [name.rpartition(".")[2] for name in names] == ["noop", "noop#2"]
    assert reader.task(names[1]).timetable == "every 90 seconds"
    assert scheduler.pause(names[1])
    assert [reader.task(name).paused_until is not None for name in names] == [False, True]
    scheduler.cancel(names[0])
    reader.forget()
    assert [task.name for task in reader.tasks()] == names[1:]


def test_secrets_in_errors_are_hidden(scheduler, reader):
    scheduler.add_interval_task(fail, 60, taskname="bad")
    scheduler.tick(130)
    recent = reader.recent(["bad"])["bad"]
    assert all("abc123" not in run.error and f"token={HIDDEN}" in run.error for run in recent)
    assert failures(recent, 30) == (3, NOON, f"RuntimeError: token={HIDDEN}", False)


def test_fires_of_many_tasks_come_in_order_up_to_a_bound_for_each(scheduler, reader):
    scheduler.add_interval_task(noop, 600, taskname="tens", initialdelay=600)
    scheduler.add_interval_task(noop, 1, taskname="seconds", initialdelay=1)
    scheduler.add_interval_task(noop, 600, taskname="held", initialdelay=900)
    scheduler.pause("held")
    found = reader.fires(NOON, NOON + HOUR, most=10)
    assert found.dense == {"seconds"}
    assert [fire.fire_at for fire in found.items] == sorted(fire.fire_at for fire in found.items)
    by_task = {name: [fire for fire in found.items if fire.task == name] for name in ("tens", "seconds", "held")}
    assert [fire.due - NOON for fire in by_task["tens"]] == [600, 1200, 1800, 2400, 3000]
    assert len(by_task["seconds"]) == 10
    assert all(fire.skipped for fire in by_task["held"])
    assert len(reader.fires(NOON, NOON + HOUR, ["tens"]).items) == 5


def test_the_next_fires_are_what_the_loop_fires(scheduler, reader):
    scheduler.add_cron_task(noop, "30 2 * * *", taskname="night")
    scheduler.add_interval_task(noop, 7 * HOUR, taskname="sevens")
    expected = {name: [fire.due for fire in reader.next_fires(name, 5)] for name in ("night", "sevens")}
    scheduler.tick(6 * 24 * HOUR)
    for name, dues in expected.items():
        assert sorted(run.due for run in scheduler.runs(name, limit=1000))[:5] == dues


class Broken:
    def next_after(self, moment):
        if moment > NOON + 100:
            raise RuntimeError("no calendar")
        return moment + 60


def test_a_trigger_that_raises_hides_no_other_task(scheduler, reader):
    scheduler.add_task(noop, Broken(), taskname="broken")
    scheduler.add_interval_task(noop, 600, taskname="good", initialdelay=600)
    found = reader.fires(NOON, NOON + HOUR)
    assert "no calendar" in found.faults["broken"]
    assert [fire.task for fire in found.items if fire.task == "good"] == ["good"] * 5
    assert "no calendar" in reader.next_fires("broken", 5)[-1].note


def test_a_timetable_is_tried_before_a_task_has_it(scheduler, reader):
    scheduler.add_cron_task(noop, "0 9 * * *", taskname="nine")
    preview = reader.simulate("30 2 * * *", "Europe/Berlin", datetime(2027, 3, 27, tzinfo=UTC), 3)
    assert preview.words == "at 02:30 every day, Europe/Berlin (cron 30 2 * * *)"
    assert "02:30 does not exist" in preview.fires[1].note
    assert reader.simulate("1 9 * * *").collisions == []
    assert {task for found in reader.simulate("0 9 * * *").collisions for task in found.tasks} == {"nine"}
    assert "suffices" in reader.simulate("0 9 13 * 5").warnings[0]


def test_a_calendar_counts_what_is_to_come(scheduler, reader):
    scheduler.add_cron_task(noop, "0 9 * * 1-5", taskname="workdays")
    scheduler.add_interval_task(noop, 600, taskname="tens")
    scheduler.add_single_task(noop, at=datetime(2026, 11, 28, 12, tzinfo=UTC), taskname="once")
    scheduler.add_interval_task(noop, 60, taskname="held")
    scheduler.pause("held")
    days = reader.days(date(2026, 11, 24), 6)
    assert [(day.date.day, day.fires) for day in days] == [
        (24, 0),
        (25, 66),
        (26, 145),
        (27, 145),
        (28, 145),
        (29, 144),
    ]
    assert all(day.exact for day in days)
    assert days[4].tasks == ("tens", "once")


def test_a_day_of_a_clock_change_has_23_hours(scheduler, reader):
    scheduler.add_interval_task(noop, HOUR, taskname="hourly")
    [day] = reader.days(date(2027, 3, 28), 1, "Europe/Berlin")
    assert (day.end - day.begin, day.fires) == (23 * HOUR, 23)


def test_health_says_where_settings_come_from_and_hides_secrets(scheduler, reader):
    found = reader.health()
    assert (found.state, found.tasks, found.store) == ("ok", 0, "memory")
    assert found.started == NOON
    assert {setting.key for setting in found.settings} >= {"tg.scheduler", "tg.scheduler.store"}
    assert {"Python", "CherryPy", "time zone data", "tgscheduler"} <= set(found.versions)
    scheduler.stop()
    assert (reader.health().state, reader.health().started) == ("stopped", None)


def test_pages_of_runs_meet_without_a_gap_and_the_last_one_says_so(scheduler, reader):
    scheduler.add_interval_task(noop, 60, taskname="good")
    scheduler.add_interval_task(fail, 60, taskname="bad")
    scheduler.tick(10 * 60 - 1)
    found, before = [], None
    while True:
        page = reader.runs(state=("ok", "failed"), before=before, limit=7)
        found += page.items
        before = page.next
        if before is None:
            break
    assert len({run.id for run in found}) == len(found) == 20
    assert reader.run(found[3].id) == found[3]
    assert {run.state for run in reader.runs(state="failed").items} == {"failed"}
    with pytest.raises(ValueError, match="cursor"):
        reader.runs(before="yesterday")


def test_figures_come_for_many_tasks_at_once(scheduler, reader):
    scheduler.add_interval_task(lambda: scheduler.clock.advance(2), 60, taskname="slow")
    scheduler.add_interval_task(fail, 60, taskname="bad", initialdelay=30)
    scheduler.tick(300)
    found = reader.figures(["slow", "bad", "nobody"])
    assert found["slow"].quantile(0.5) == pytest.approx(2.0, rel=0.1)
    assert [found[name].success_rate for name in ("slow", "bad", "nobody")] == [1.0, 0.0, None]
    assert reader.counts()["failed"] == 5


def test_a_calendar_counts_what_became_of_what_was_due(scheduler, reader):
    scheduler.add_interval_task(noop, HOUR, taskname="good")
    scheduler.add_interval_task(fail, 6 * HOUR, taskname="bad")
    scheduler.tick(24 * HOUR)
    days = reader.days(date(2026, 11, 24), 4)
    assert [dict(day.counts) for day in days] == [{}, {"ok": 11, "failed": 2}, {"ok": 14, "failed": 3}, {}]
    assert [day.fires for day in days] == [0, 0, 11, 28]


def test_who_changed_what_is_read_by_task(scheduler, reader):
    for task in ("a", "b", "a"):
        scheduler.audit(AuditRecord(scheduler.clock.now(), "ops", "operator", "pause", task, "until 09:00", "::1"))
    assert [record.task for record in reader.audits()] == ["a", "b", "a"]
    assert len(reader.audits("a")) == 2


class Slow:
    asked = 0

    def __repr__(self):
        Slow.asked += 1
        return "Slow()"


def test_an_argument_is_asked_for_its_text_once(scheduler, reader):
    scheduler.add_interval_task(noop, 60, args=[Slow()], taskname="it")
    for _ in range(3):
        assert reader.definition(reader.task("it")).arguments == (("1", "Slow()"),)
    assert Slow.asked == 1
    scheduler.cancel("it")
    scheduler.add_interval_task(noop, 60, args=[Slow(), 2], taskname="it")
    assert len(reader.definition(reader.task("it")).arguments) == 2


def test_samples_are_the_first_fires_after_each_step():
    ticked = TickedScheduler(start=1_000_000.0)
    ticked.add_interval_task(int, 10, taskname="often", initialdelay=5)
    reader = Reader(ticked)
    found = [fire.fire_at - 1_000_000.0 for fire in reader.samples("often", 1_000_000.0, 1_000_300.0, 60)]
    assert found == [5, 65, 125, 185, 245]
    assert reader.samples("nobody's", 1_000_000.0, 1_000_300.0, 60) == []
