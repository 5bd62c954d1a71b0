"""A task that fires by another trigger from now on."""

import pytest
from helpers import NOON, CustomTrigger, noop, states, total

from tgscheduler.errors import InvalidType, InvalidValue
from tgscheduler.timetable.triggers import Cron, Interval, Monthdays, Once, Weekdays, either


def fails(moment):
    raise ZeroDivisionError("as planned")


TRIGGERS = {
    "interval": (Interval(7, NOON), [7, 14, 21]),
    "once": (Once(NOON + 5), [5]),
    "cron": (Cron("*/5 * * * * *"), [5, 10, 15, 20, 25]),
    "weekdays": (Weekdays([7], (12, 0)), []),
    "monthdays": (Monthdays([2], (12, 0)), []),
    "either": (either(Interval(20, NOON), Once(NOON + 3)), [3, 20]),
    "between": (Interval(7, NOON).between(NOON + 10, NOON + 21), [14, 21]),
    "foreign": (CustomTrigger(lambda moment: (moment // 8 + 1) * 8), [8, 16, 24]),
}


@pytest.mark.parametrize("kind", TRIGGERS)
@pytest.mark.parametrize("task", ["interval", "single", "weekdays", "cron"])
def test_any_task_fires_by_any_other_trigger(ticked, kind, task):
    trigger, dues = TRIGGERS[kind]
    if task == "interval":
        task = ticked.add_interval_task(noop, 3, initialdelay=3, taskname="it")
    elif task == "single":
        task = ticked.add_single_task(noop, initialdelay=4, taskname="it")
    elif task == "weekdays":
        task = ticked.add_weekday_task(noop, [7], (12, 1), taskname="it")
    else:
        task = ticked.add_cron_task(noop, "* * * * * *", taskname="it")
    first = ticked.reschedule_task("it", trigger)
    assert (first, task.next_due, task.trigger) == (trigger.next_after(NOON), first, trigger)
    ticked.tick(26)
    assert states(ticked) == [(due, 1, "ok") for due in dues]
    if kind in ("once", "between"):
        assert ticked.get_task("it") is None


@pytest.mark.parametrize(
    ("trigger", "error", "said"),
    [
        (CustomTrigger(fails), InvalidValue, "its new trigger raised ZeroDivisionError: as planned"),
        (
            CustomTrigger(lambda moment: moment),
            InvalidValue,
            "its new trigger raised InvalidValue: expected a time after",
        ),
        (CustomTrigger(lambda moment: float("nan")), InvalidValue, "expected a time after .* got nan"),
        (CustomTrigger(lambda moment: float("inf")), InvalidValue, "expected a time after .* got inf"),
        (CustomTrigger(lambda moment: "soon"), InvalidValue, "its new trigger raised TypeError"),
        (CustomTrigger(lambda moment: None), InvalidValue, "would never fire again by"),
        (Once(NOON - 1), InvalidValue, "would never fire again by Once"),
        (Interval(3600, NOON), InvalidValue, "would never fire again"),  # beyond its end
        (60, InvalidType, "trigger: expected an object with next_after"),
        (Interval, InvalidType, "trigger: expected an object with next_after"),
    ],
)
def test_a_trigger_that_does_not_fire_leaves_the_task_as_it_is(ticked, trigger, error, said):
    task = ticked.add_interval_task(noop, 10, taskname="it", end=NOON + 100)
    before = task.trigger
    with pytest.raises(error, match=said):
        ticked.reschedule_task("it", trigger)
    assert task.trigger is before
    ticked.tick(10)
    assert states(ticked) == [(0, 1, "ok"), (10, 1, "ok")]


def test_a_task_that_was_cancelled_while_its_new_trigger_was_asked_stays_so(ticked):
    task = ticked.add_interval_task(noop, 10, taskname="it")

    def answer(moment):
        ticked.cancel("it")
        return moment + 1

    with pytest.raises(InvalidValue, match="has been cancelled, or has ended"):
        ticked.reschedule_task(task, CustomTrigger(answer))
    ticked.tick(20)
    assert (total(ticked.counts()), task.next_due) == (0, None)


def test_the_last_run_may_reschedule_its_task_unless_it_has_had_all_its_runs(ticked):
    found = []

    def again():
        try:
            found.append(ticked.reschedule_task("it", Interval(5, NOON)) - NOON)
        except InvalidValue as error:
            found.append(str(error))

    ticked.add_single_task(again, taskname="it")
    ticked.tick(11)
    assert found == [5, 10, 15]
    assert states(ticked) == [(0, 1, "ok"), (5, 1, "ok"), (10, 1, "ok")]
    ticked.cancel("it")
    ticked.add_interval_task(again, 60, taskname="it", max_runs=1)
    ticked.tick(60)
    assert found[3:] == ["reschedule_task: <ThreadedIntervalTask 'it'> would never fire again: max_runs is 1"]
    assert ticked.get_task("it") is None
