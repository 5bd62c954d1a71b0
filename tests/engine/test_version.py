"""The version of a scheduler changes with everything that its views and runs show."""

import pytest
from helpers import NOON, CustomTrigger, noop

from tgscheduler.scheduler import Retry
from tgscheduler.timetable.triggers import Interval


def ten_seconds_on(moment):
    return moment // 10 * 10 + 10


@pytest.fixture
def changed(ticked):
    """Return what returns whether the version has changed since it was called last; fail if only what is shown has."""

    def show():
        views = [view._replace(now=0.0) for view in ticked.views()]
        return ticked.version, views, [(run.id, run.state, run.attempt) for run in ticked.runs()]

    last = show()

    def changed():
        nonlocal last
        (before, *shown), last = last, show()
        assert last[0] > before or (last[0] == before and list(last[1:]) == shown)
        return last[0] > before

    return changed


def test_what_a_caller_does_changes_the_version(ticked, changed):
    for does in (
        lambda: ticked.add_interval_task(noop, 60, taskname="it", initialdelay=60),
        lambda: ticked.pause("it"),
        lambda: ticked.resume("it"),
        lambda: ticked.pause_all(),
        lambda: ticked.resume_all(),
        lambda: ticked.reschedule_task("it", Interval(10, NOON)),
        lambda: ticked.schedule_task(ticked.get_task("it"), 30),
        lambda: ticked.schedule_task_abs(ticked.get_task("it"), NOON + 40),
        lambda: ticked.rename("it", "other"),
        lambda: ticked.run_now("other"),
        lambda: ticked.tick(),
        lambda: ticked.stop(),
        lambda: ticked.start(),
        lambda: ticked.cancel("other"),
    ):
        does()
        assert changed()
        assert not changed()


def test_what_comes_due_changes_the_version(ticked, changed):
    within = []
    ticked.add_interval_task(lambda: within.append(changed()), 10, taskname="plain", initialdelay=10)
    ticked.add_task(noop, CustomTrigger(ten_seconds_on), taskname="slow")
    ticked.add_single_task(lambda: 1 / 0, initialdelay=25, taskname="failing", retry=Retry(1, 5, jitter=0))
    assert changed()
    ticked.tick(5)
    assert not changed()
    for _ in range(10):
        ticked.tick(10)
        assert changed()
    assert within == [True] * 10


def test_a_start_and_a_stepped_clock_change_the_version(ticked, changed):
    ticked.add_weekday_task(noop, range(1, 8), (12, 0), taskname="noon")
    ticked.add_interval_task(noop, 3600, taskname="hourly", initialdelay=3600)
    ticked.add_task(noop, CustomTrigger(ten_seconds_on), taskname="slow")
    for does in (lambda: ticked.stop(), lambda: ticked.start(), lambda: ticked.clock.step_by(-7200)):
        does()
        ticked.tick()
        assert changed()
