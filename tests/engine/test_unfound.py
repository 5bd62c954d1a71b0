"""A trigger that found no fire within the bounds of a search: its task waits, says so, and is asked again later."""

from datetime import UTC, date, datetime

import pytest
from helpers import entry_of

from tgscheduler.errors import InvalidValue
from tgscheduler.explain import task
from tgscheduler.rehearsal import simulate
from tgscheduler.testing import TickedScheduler
from tgscheduler.timetable import plan, search
from tgscheduler.timetable.compose import ExceptOn
from tgscheduler.timetable.triggers import Interval, either

START = datetime(2025, 3, 29, 8, tzinfo=UTC)
DAY = 86400.0


class Closed:
    """A calendar that leaves out every date before one, and counts how often it is asked."""

    def __init__(self, until=date.max):
        self.until, self.asked = until, 0

    def __contains__(self, day):
        self.asked += 1
        return day < self.until


@pytest.fixture
def engine(monkeypatch):
    monkeypatch.setattr(search, "SECONDS", 60.0)  # on a machine that is busy the bound in time would come first
    return TickedScheduler(start=START)


def test_it_is_said_and_not_asked_each_turn(engine, caplog):
    closed = Closed()
    task = engine.add_task(int, Interval(60).except_on(closed), taskname="it")
    engine.add_interval_task(int, 60, taskname="other")
    assert caplog.messages == [
        "it: it waits for a fire time: none found until 2075-03-31; its trigger is asked again then"
    ]
    asked = closed.asked
    engine.tick(3 * DAY)
    assert (closed.asked, engine.get_task("it"), task.next_due, engine.runs("it")) == (asked, task, None, [])
    assert len(engine.runs("other", limit=9999)) == 3 * 1440 + 1
    assert engine.explain("it").endswith("next       none found until 2075-03-31")
    assert "the fire after: none found until 2075-" in engine.why("it", datetime(2025, 4, 15, tzinfo=UTC))
    assert "it: none found until 2075-03-31" in simulate(engine, engine.clock.now(), 5).notes
    engine.stop()
    engine.start()
    assert caplog.messages[-1].startswith("it: it waits for a fire time: none found until 2075-04-0")
    engine.clock.step_by(-DAY)
    engine.tick()
    assert engine.get_task("it") is task
    with pytest.raises(InvalidValue, match=r"would never fire again by .*: none found until 2075-"):
        engine.reschedule_task("other", Interval(60).except_on(Closed()))


@pytest.mark.parametrize("before", [True, False])
def test_a_fire_beyond_the_bound_comes(engine, before, caplog):
    first = datetime(2090, 1, 1, tzinfo=UTC).timestamp()
    if before:
        engine.stop()
    engine.add_task(int, Interval(DAY).except_on(Closed(date(2090, 1, 1))), taskname="it", max_runs=3)
    if before:
        assert engine.explain("it").endswith("none found until 2075-04-01")
        engine.start()
    engine.tick_to(first + 10 * DAY)
    assert [run.due for run in engine.runs("it")] == [first + 2 * DAY, first + DAY, first]
    assert [run.count for run in engine.runs("it")] == [1, 1, 1]
    assert len([message for message in caplog.messages if "none found until" in message]) == 1
    assert engine.get_tasks() == {}


def test_after_its_last_fire_for_long_a_task_waits_too(engine, caplog):
    closed = type("Once", (Closed,), {"__contains__": lambda self, day: day != date(2025, 3, 30)})()
    engine.add_task(int, Interval(6 * 3600).except_on(closed), taskname="it")
    engine.tick(30 * DAY)
    assert len(engine.runs("it")) == 4
    assert "none found until 2075-" in caplog.text
    assert engine.get_task("it").next_due is None


def test_dates_are_looked_at_and_missed_occurrences_counted_without_the_lock(engine, monkeypatch):
    locked = []

    def watched(function):
        def watching(*args, **kw):
            locked.append(engine._registry.lock.locked())
            return function(*args, **kw)

        return watching

    monkeypatch.setattr(ExceptOn, "_leaves_out", watched(ExceptOn._leaves_out))
    monkeypatch.setattr(plan, "count_fires", watched(plan.count_fires))
    sometimes = Interval(7200).except_on([date(2025, 3, 30)])
    engine.add_task(int, sometimes, taskname="except")
    engine.add_task(int, either(sometimes, Interval(5000)), taskname="either")
    engine.add_cron_task(int, "* * * * *", taskname="cron")
    engine.add_cron_task(int, "* * * * *", taskname="jitter", jitter=5)
    engine.tick(DAY)
    engine.clock.advance(DAY)
    engine.tick()
    assert [engine.runs(name)[0].count for name in ("cron", "jitter")] == [1440, 1440]
    assert entry_of(engine.get_task("cron")).limits is None
    assert locked.count(False) > 10
    assert not any(locked)
    engine.stop()
    engine.start()
    engine.explain("except")
    assert not any(locked)


def test_an_explanation_of_a_rare_date_ends(engine, monkeypatch):
    monkeypatch.setattr(task, "_LONGEST", -1.0)
    engine.add_cron_task(int, "0 0 29 2 *", taskname="rare")
    assert engine.explain("rare", 1000).endswith("and no further than that: 1 fires took more than -1 s to find")
