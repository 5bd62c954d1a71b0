"""Tasks: what they are made of, what they refuse, and when they come again."""

import copy
import math
import pickle
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from zoneinfo import ZoneInfo

import pytest

from tgscheduler import clock, scheduler
from tgscheduler.errors import DuplicateTask, InvalidType, InvalidValue, SchedulerError
from tgscheduler.scheduler import CronLikeTask, IntervalTask, MonthdayTask, SingleTask, Task, WeekdayTask
from tgscheduler.testing import TickedScheduler
from tgscheduler.timetable.variants import VARIANTS

NAN, INF = float("nan"), float("inf")
NOW = datetime(2025, 3, 28, 12, 0, tzinfo=UTC).timestamp()


def act(*args, **kw):
    pass


@pytest.fixture
def ticked():
    return TickedScheduler(start=NOW, timezone="Europe/Berlin")


class Number:
    """Such as numpy has: an int and a float by their protocols only."""

    def __init__(self, value):
        self.value = value

    def __index__(self):
        return self.value

    def __float__(self):
        return float(self.value)


# -- bad input --------------------------------------------------------------------------------------------------------

BAD = [
    ("interval", {"interval": 0}, ValueError, ["interval", "more than 0", "0"]),
    ("interval", {"interval": -5}, ValueError, ["interval", "more than 0", "-5"]),
    ("interval", {"interval": timedelta(0)}, ValueError, ["interval", "more than 0"]),
    ("interval", {"interval": NAN}, ValueError, ["interval", "finite", "nan"]),
    ("interval", {"interval": INF}, ValueError, ["interval", "finite", "inf"]),
    ("interval", {"interval": 1.7e12}, ValueError, ["interval", "milliseconds", "1700000000000.0"]),
    ("interval", {"interval": 10**400}, ValueError, ["interval", "finite"]),
    ("interval", {"interval": "60"}, TypeError, ["interval", "number of seconds", "'60'"]),
    ("interval", {"interval": True}, TypeError, ["interval", "number of seconds", "True"]),
    ("interval", {"interval": None}, TypeError, ["interval", "number of seconds", "None"]),
    ("interval", {"interval": 1j}, TypeError, ["interval", "number of seconds", "1j"]),
    ("interval", {"initialdelay": -1}, ValueError, ["initialdelay", "0 seconds or more", "-1"]),
    ("interval", {"initialdelay": timedelta(seconds=-1)}, ValueError, ["initialdelay", "-1"]),
    ("interval", {"initialdelay": NAN}, ValueError, ["initialdelay", "finite", "nan"]),
    ("interval", {"initialdelay": "5"}, TypeError, ["initialdelay", "'5'"]),
    ("interval", {"initialdelay": True}, TypeError, ["initialdelay", "True"]),
    ("single", {"initialdelay": -0.5}, ValueError, ["initialdelay", "0 seconds or more", "-0.5"]),
    ("single", {"initialdelay": INF}, ValueError, ["initialdelay", "finite", "inf"]),
    ("weekday", {"weekdays": [0]}, ValueError, ["weekdays", "1 to 7", "1 is Monday", "0"]),
    ("weekday", {"weekdays": [1, 8]}, ValueError, ["weekdays", "1 to 7", "8"]),
    ("weekday", {"weekdays": []}, ValueError, ["weekdays", "at least one"]),
    ("weekday", {"weekdays": range(0)}, ValueError, ["weekdays", "at least one"]),
    ("weekday", {"weekdays": "135"}, TypeError, ["weekdays", "list of days", "'135'"]),
    ("weekday", {"weekdays": ["1"]}, TypeError, ["weekdays", "whole numbers", "'1'"]),
    ("weekday", {"weekdays": [1.0]}, TypeError, ["weekdays", "whole numbers", "1.0"]),
    ("weekday", {"weekdays": [True]}, TypeError, ["weekdays", "whole numbers", "True"]),
    ("weekday", {"weekdays": 5}, TypeError, ["weekdays", "range(1, 8)", "5"]),
    ("weekday", {"timeonday": (24, 0)}, ValueError, ["timeonday", "(23, 59)", "(24, 0)"]),
    ("weekday", {"timeonday": (0, 60)}, ValueError, ["timeonday", "(23, 59)", "(0, 60)"]),
    ("weekday", {"timeonday": (-1, 0)}, ValueError, ["timeonday", "(-1, 0)"]),
    ("weekday", {"timeonday": 24}, ValueError, ["timeonday", "24"]),
    ("weekday", {"timeonday": "3:00"}, TypeError, ["timeonday", "(hour, minute)", "'3:00'"]),
    ("weekday", {"timeonday": ("3", "0")}, TypeError, ["timeonday", "(hour, minute)", "('3', '0')"]),
    ("weekday", {"timeonday": (3, 0, 0)}, TypeError, ["timeonday", "(hour, minute)", "(3, 0, 0)"]),
    ("weekday", {"timeonday": (3.0, 0)}, TypeError, ["timeonday", "(3.0, 0)"]),
    ("weekday", {"timeonday": (NAN, 0)}, TypeError, ["timeonday", "nan"]),
    ("weekday", {"timeonday": True}, TypeError, ["timeonday", "True"]),
    ("weekday", {"timeonday": None}, TypeError, ["timeonday", "None"]),
    ("weekday", {"timeonday": time(3, 0, 30)}, ValueError, ["timeonday", "seconds", "30"]),
    ("weekday", {"timeonday": time(3, 0, tzinfo=UTC)}, ValueError, ["timeonday", "zone", "the scheduler's"]),
    ("monthday", {"monthdays": [0]}, ValueError, ["monthdays", "1 to 31", "0"]),
    ("monthday", {"monthdays": [32]}, ValueError, ["monthdays", "1 to 31", "32"]),
    ("monthday", {"monthdays": ()}, ValueError, ["monthdays", "at least one"]),
    ("monthday", {"monthdays": ["lust"]}, ValueError, ["monthdays", "2nd tuesday", "'lust'"]),
    ("monthday", {"timeonday": (12, 61)}, ValueError, ["timeonday", "(12, 61)"]),
    ("cron_like", {"cron_str": "* * * jan-3 *"}, ValueError, ["'jan-3'", "mixes name and number", "write both"]),
    ("cron_like", {"cron_str": "61 * * * *"}, ValueError, ["'61'", "0 to 59"]),
    ("cron_like", {"cron_str": "* * * *"}, ValueError, ["minute hour day-of-month month day-of-week"]),
    ("cron_like", {"cron_str": "0 0 31 2 *"}, ValueError, ["no date ever matches"]),
    ("cron_like", {"cron_str": 5}, TypeError, ["cron_str", "string", "5"]),
]
GOOD = {
    "interval": {"interval": 60},
    "single": {},
    "weekday": {"weekdays": [1], "timeonday": (3, 0)},
    "monthday": {"monthdays": [1], "timeonday": (3, 0)},
    "cron_like": {"cron_str": "0 3 * * *"},
}
BAD_FOR_ALL = [
    ({"action": None}, TypeError, ["action", "callable", "None"]),
    ({"action": "act"}, TypeError, ["action", "callable", "'act'"]),
    ({"args": "abc"}, TypeError, ["args", "tuple or list", "('abc',)"]),
    ({"args": b"abc"}, TypeError, ["args", "tuple or list", "b'abc'"]),
    ({"args": {"a": 1}}, TypeError, ["args", "tuple or list", "{'a': 1}"]),
    ({"args": 5}, TypeError, ["args", "tuple or list", "(5,)"]),
    ({"kw": {1: 2}}, TypeError, ["kw", "strings", "1"]),
    ({"kw": [("a", 1)]}, TypeError, ["kw", "mapping", "[('a', 1)]"]),
    ({"kw": "ab"}, TypeError, ["kw", "mapping", "'ab'"]),
    ({"processmethod": "process"}, ValueError, ["processmethod", "sequential, threaded, forked", "'process'"]),
    ({"processmethod": None}, ValueError, ["processmethod", "sequential, threaded, forked", "None"]),
    ({"taskname": "taken"}, ValueError, ["'taken'", "already", "another name"]),
    ({"taskname": "a\nb"}, ValueError, ["taskname", "printable", r"'a\nb'"]),
    ({"taskname": "\x1b[31mred"}, ValueError, ["taskname", "printable", r"\x1b"]),
    ({"taskname": "nul\0"}, ValueError, ["taskname", "printable", r"\x00"]),
    ({"taskname": "a" * 201}, ValueError, ["taskname", "200", "201"]),
    ({"taskname": 5}, TypeError, ["taskname", "string", "5"]),
    ({"taskname": b"name"}, TypeError, ["taskname", "string", "b'name'"]),
]


def refused(call, kind, words):
    """Assert that a call raises an error of our own tree that a caller who knows only Python catches as well."""
    with pytest.raises(SchedulerError) as caught:
        call()
    assert isinstance(caught.value, (InvalidValue, InvalidType))
    assert isinstance(caught.value, kind)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(("verb", "bad", "kind", "words"), BAD)
def test_bad_input_is_refused_and_nothing_is_registered(ticked, verb, bad, kind, words):
    add = getattr(ticked, f"add_{verb}_task")
    refused(lambda: add(**{"action": act, "taskname": "new", **GOOD[verb], **bad}), kind, words)
    assert ticked.get_tasks() == {}
    assert ticked.health()["tasks"] == 0


@pytest.mark.parametrize("verb", GOOD)
@pytest.mark.parametrize(("bad", "kind", "words"), BAD_FOR_ALL)
def test_what_no_task_may_be_given(ticked, verb, bad, kind, words):
    taken = ticked.add_single_task(act, initialdelay=60, taskname="taken")
    add = getattr(ticked, f"add_{verb}_task")
    refused(lambda: add(**{"action": act, **GOOD[verb], **bad}), kind, words)
    assert ticked.get_tasks() == {"taken": taken}
    assert ticked.health()["tasks"] == 1


def test_a_taken_name_has_an_error_of_its_own(ticked):
    ticked.add_interval_task(act, 60, taskname="mine")
    with pytest.raises(DuplicateTask):
        ticked.add_weekday_task(act, [1], 3, taskname="mine")


@pytest.mark.parametrize(
    ("put", "kind", "words"),
    [
        (lambda s, t: s.schedule_task(t, -1), ValueError, ["delay", "0 seconds or more", "-1"]),
        (lambda s, t: s.schedule_task(t, "5"), TypeError, ["delay", "'5'"]),
        (lambda s, t: s.schedule_task(t, NAN), ValueError, ["delay", "finite"]),
        (
            lambda s, t: s.schedule_task_abs(t, NOW * 1000),
            ValueError,
            ["abstime", "is it milliseconds?", "1743163200000"],
        ),
        (lambda s, t: s.schedule_task_abs(t, NAN), ValueError, ["abstime", "finite", "nan"]),
        (lambda s, t: s.schedule_task_abs(t, datetime(2025, 1, 1)), TypeError, ["abstime", "number of seconds"]),
        (lambda s, t: s.schedule_task(act, 5), TypeError, ["Task", "function act"]),
        (lambda s, t: s.schedule_task_abs("new", NOW), TypeError, ["Task", "'new'"]),
    ],
)
def test_a_bad_time_put_by_hand_is_refused(ticked, put, kind, words):
    task = IntervalTask("new", 60, act)
    refused(lambda: put(ticked, task), kind, words)
    assert task.next_due is None
    assert ticked.get_tasks() == {}


# -- good input -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "seconds"),
    [(60, 60.0), (0.25, 0.25), (timedelta(minutes=2), 120.0), (Fraction(3, 2), 1.5), (Decimal("0.1"), 0.1)]
    + [(Number(7), 7.0)],
)
def test_an_interval_is_any_number_of_seconds(ticked, given, seconds):
    task = ticked.add_interval_task(act, given, initialdelay=given)
    assert task.interval == seconds
    assert type(task.interval) is float
    assert task.next_due == NOW + seconds


@pytest.mark.parametrize(
    ("given", "days"),
    [
        (range(1, 8), (1, 2, 3, 4, 5, 6, 7)),
        ([5], (5,)),
        ((7, 1, 1), (1, 7)),
        ({3, 4}, (3, 4)),
        ((day for day in (2, 6)), (2, 6)),
        ({1: "Monday"}.keys(), (1,)),
        ([Number(3)], (3,)),
    ],
)
def test_days_are_any_iterable_of_ints(given, days):
    assert WeekdayTask("days", given, (3, 0), act).days == days


@pytest.mark.parametrize(
    ("given", "timeonday"),
    [
        ((3, 30), (3, 30)),
        ([3, 30], (3, 30)),
        (time(3, 30), (3, 30)),
        (0, (0, 0)),
        (23, (23, 0)),
        ((Number(3), 0), (3, 0)),
    ],
)
def test_timeonday(given, timeonday):
    assert WeekdayTask("time", [1], given, act).timeonday == timeonday
    assert MonthdayTask("time", [1], given, act).timeonday == timeonday


@pytest.mark.parametrize("args", [(1, 2), [1, 2], range(1, 3), (n for n in (1, 2)), {1: None, 2: None}.keys()])
def test_args_are_any_iterable_but_a_string(args):
    got = []
    Task("args", lambda *args, **kw: got.append((args, kw)), args, {"key": "word"}).execute()
    assert got == [((1, 2), {"key": "word"})]


@pytest.mark.parametrize("name", ["visits", "Überfällige löschen", "每日", "a b", "x" * 200])
def test_names_are_printable_text(name):
    assert SingleTask(name, act).name == name


@pytest.mark.parametrize("name", [None, ""])
def test_a_task_may_have_no_name(ticked, name):
    task = ticked.add_interval_task(act, 60, taskname=name)
    assert task.name is None
    assert ticked.get_tasks() == {}


# -- constructors and attributes: those of kronos ---------------------------------------------------------------------

MADE = [
    (IntervalTask, ("t", 60, act, (1,), {"k": 2}), {"interval": 60.0}),
    (SingleTask, ("t", act, (1,), {"k": 2}), {}),
    (WeekdayTask, ("t", [1, 5], (3, 30), act, (1,), {"k": 2}), {"days": (1, 5), "timeonday": (3, 30)}),
    (MonthdayTask, ("t", [1, 31], (3, 30), act, (1,), {"k": 2}), {"days": (1, 31), "timeonday": (3, 30)}),
    (CronLikeTask, ("t", act, "5 4 * 1-2 mon", (1,), {"k": 2}), {"minutes": [5], "hours": [4], "dows": [0]}),
]
CLASSES = [(cls, *rest) for kind, *rest in MADE for cls in VARIANTS[kind].values()]


@pytest.mark.parametrize(("cls", "arguments", "attributes"), CLASSES)
def test_what_a_task_is_made_with_can_be_read(cls, arguments, attributes):
    task = cls(*arguments)
    assert (task.name, task.action, task.args, task.kw) == ("t", act, (1,), {"k": 2})
    assert task.next_due is None
    assert {name: getattr(task, name) for name in attributes} == attributes
    assert "t" in repr(task)
    assert cls.__name__ in repr(task)


@pytest.mark.parametrize(("cls", "arguments", "attributes"), CLASSES)
def test_every_task_takes_keywords_and_needs_no_arguments(cls, arguments, attributes):
    by_name = {
        IntervalTask: {"interval": 60},
        WeekdayTask: {"weekdays": [1], "timeonday": 3},
        MonthdayTask: {"monthdays": [1], "timeonday": 3},
        CronLikeTask: {"cron_str": "* * * * *"},
        SingleTask: {},
    }
    given = next(values for kind, values in by_name.items() if issubclass(cls, kind))
    task = cls(name="t", action=act, **given)
    assert list(task.args) == []
    assert dict(task.kw) == {}


def test_the_action_is_the_very_object():
    class Job:
        def work(self):
            pass

    bound, job = Job().work, lambda: None
    assert SingleTask(None, bound).action is bound
    assert Task(None, job).action is job


def test_execute_calls_the_action_and_lets_its_exception_pass():
    with pytest.raises(ZeroDivisionError):
        SingleTask("division", lambda: 1 / 0).execute()


@pytest.mark.parametrize(("cls", "arguments", "attributes"), CLASSES)
def test_a_user_may_hang_attributes_on_a_task(cls, arguments, attributes):
    task = cls(*arguments)
    task.colour = "red"
    assert task.colour == "red"


# -- reschedule: the seed's table -------------------------------------------------------------------------------------


class Planner:
    def __init__(self):
        self.calls = []

    def schedule_task(self, task, delay):
        self.calls.append(("in", task, delay))

    def schedule_task_abs(self, task, abstime):
        self.calls.append(("at", task, datetime.fromtimestamp(abstime, ZoneInfo("Europe/Berlin")).isoformat()))


def owned(ticked, task, delay=1e6):
    ticked.schedule_task(task, delay)
    return task


@pytest.mark.parametrize(("cls", "arguments", "attributes"), CLASSES)
def test_reschedule(ticked, cls, arguments, attributes):
    task, planner = owned(ticked, cls(*arguments)), Planner()
    if issubclass(cls, MonthdayTask):
        with pytest.raises(NotImplementedError):
            task.reschedule(planner)
    else:
        task.reschedule(planner)
    expected = {
        IntervalTask: [("in", task, 60.0)],
        WeekdayTask: [("at", task, "2025-03-29T03:30:00+01:00")],  # tomorrow, a Saturday: as the seed says
        CronLikeTask: [("at", task, "2026-01-05T04:05:00+01:00")],
    }
    assert planner.calls == next((calls for kind, calls in expected.items() if issubclass(cls, kind)), [])


def test_a_plain_task_has_no_reschedule():
    with pytest.raises(NotImplementedError, match="Task has no reschedule"):
        Task("plain", act).reschedule(Planner())


@pytest.mark.parametrize(
    ("at", "today", "expected"),
    [
        ((13, 0), True, "2025-03-29T13:00:00+01:00"),  # it is 13:00 in Berlin: that is over
        ((13, 1), True, "2025-03-28T13:01:00+01:00"),
        ((13, 1), False, "2025-03-29T13:01:00+01:00"),
        ((0, 0), True, "2025-03-29T00:00:00+01:00"),
    ],
)
def test_get_schedule_time(ticked, at, today, expected):
    for task in (WeekdayTask("w", [1], at, act), MonthdayTask("m", [1], at, act)):
        due = owned(ticked, task).get_schedule_time(today)
        assert datetime.fromtimestamp(due, ZoneInfo("Europe/Berlin")).isoformat() == expected


def test_get_schedule_time_goes_by_the_calendar_through_a_clock_change(ticked):
    ticked.tick_to(datetime(2025, 3, 29, 12, tzinfo=UTC).timestamp())
    due = owned(ticked, WeekdayTask("w", [1], (2, 30), act)).get_schedule_time(False)
    assert due == datetime(2025, 3, 30, 1, 0, tzinfo=UTC).timestamp()  # in the gap: the first instant after


@pytest.mark.parametrize("today", [True, False])
def test_get_schedule_time_works_without_a_scheduler(today):
    zone = ZoneInfo(clock.local_zone())
    for cls in (WeekdayTask, MonthdayTask, scheduler.ThreadedWeekdayTask):
        before = clock.Clock().now()
        due = cls("alone", [1], (12, 0), act).get_schedule_time(today)
        assert before < due < before + 2 * 86400 + 3600 * 3
        shown = datetime.fromtimestamp(due, zone)
        assert (shown.hour, shown.minute, shown.second) == (12, 0, 0)
    minute = CronLikeTask("alone", act, "* * * * *").get_schedule_time(today)
    assert minute % 60 == 0
    assert 0 < minute - before <= 62


# -- next_due and interval --------------------------------------------------------------------------------------------


def test_next_due_follows_the_timetable(ticked):
    task = ticked.add_interval_task(act, 60, initialdelay=10)
    assert task.next_due == NOW + 10
    ticked.tick(10)
    assert task.next_due == NOW + 70
    ticked.cancel(task)
    assert task.next_due is None


def test_a_single_task_is_due_no_more_when_it_has_run(ticked):
    task = ticked.add_single_task(act, initialdelay=timedelta(seconds=1.5))
    assert task.next_due == NOW + 1.5
    ticked.tick(2)
    assert task.next_due is None


def test_before_the_start_nothing_is_due():
    other = scheduler.Scheduler(timezone="UTC")
    assert other.add_interval_task(act, 60).next_due is None


def test_a_new_interval_counts_from_the_next_run_on(ticked):
    task = ticked.add_interval_task(act, 60, initialdelay=10)
    ticked.tick(10)
    task.interval = 7
    ticked.tick(90)
    assert [run.due - NOW for run in ticked.runs(task)][::-1] == [10, 70, 77, 84, 91, 98]
    with pytest.raises(InvalidValue, match="more than 0"):
        task.interval = 0
    assert task.interval == 7


def test_an_unknown_fraction_of_a_second_is_not_lost(ticked):
    third = Fraction(1, 3)
    task = ticked.add_interval_task(act, third, initialdelay=third)
    assert math.isclose(task.next_due, NOW + 1 / 3, abs_tol=1e-6)


# -- copies ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kw", [None, {}, {"key": 1}])
@pytest.mark.parametrize(
    "duplicate",
    [copy.copy, copy.deepcopy, lambda task: pickle.loads(pickle.dumps(task))],
    ids=["copy", "deep", "pickle"],
)
def test_a_task_can_be_copied_and_pickled_with_and_without_kw(ticked, duplicate, kw):
    task = IntervalTask("it", 60, act, (1,), kw)
    task.note = "an application's own"
    twin = duplicate(task)
    assert type(twin) is IntervalTask
    assert (twin.name, twin.interval, twin.action, twin.args, twin.kw) == ("it", 60, act, (1,), kw or {})
    assert (twin.note, task.kw) == (task.note, kw or {})
    twin.execute()
    ticked.schedule_task(twin, 5)
    ticked.tick(5)
    assert [run.state for run in ticked.runs("it")] == ["ok"]
