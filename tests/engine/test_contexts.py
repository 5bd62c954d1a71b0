"""The context of each run, from the start of a scheduler on."""

import contextvars
import decimal
from contextvars import ContextVar

import pytest
from helpers import wait_for

from tgscheduler.scheduler import ForkedScheduler, ThreadedScheduler
from tgscheduler.testing import TickedScheduler

variable = ContextVar("variable", default="nothing")


def seen():
    return f"{variable.get()} {decimal.getcontext().prec}"


def start(scheduler, value, prec):
    variable.set(value)
    decimal.setcontext(decimal.Context(prec=prec))
    scheduler.start()


@pytest.mark.realtime
@pytest.mark.parametrize("kind", [ThreadedScheduler, ForkedScheduler])
def test_each_run_sees_what_the_application_had_when_it_started_the_scheduler(kind, tmp_path):
    path = tmp_path / "seen"

    def action():
        with path.open("a") as lines:
            lines.write(f"{seen()}\n")
        variable.set("of an action")
        decimal.getcontext().prec = 7

    def lines():
        return path.read_text().splitlines() if path.exists() else []

    scheduler = kind()
    before = seen()
    for method in ("sequential", "threaded", "forked"):
        for _ in range(3):
            scheduler.add_single_task(action, processmethod=method)
    contextvars.Context().run(start, scheduler, "of the start", 40)
    wait_for(lambda: len(lines()) == 9)
    scheduler.stop()
    assert set(lines()) == {"of the start 40"}
    assert seen() == before

    if kind is ThreadedScheduler:  # another start is of another context
        scheduler.add_single_task(action)
        contextvars.Context().run(start, scheduler, "of the second start", 41)
        wait_for(lambda: len(lines()) == 10)
        scheduler.stop()
        assert lines()[-1] == "of the second start 41"


class Asked:
    def __init__(self):
        self.answers = []

    def next_after(self, moment):
        self.answers.append(seen())
        return moment + 1


def test_the_loops_thread_keeps_nothing_of_an_action():
    def action():
        variable.set("of an action")
        decimal.getcontext().prec = 7
        raise ValueError

    scheduler, trigger, before = TickedScheduler(), Asked(), seen()
    scheduler.add_task(int, trigger, processmethod="sequential")
    scheduler.add_interval_task(action, 1, processmethod="sequential")
    scheduler.tick(5)
    scheduler.stop()
    assert scheduler.counts()["failed"] >= 5
    assert set(trigger.answers) == {before}
    assert seen() == before


def test_a_ticked_scheduler_has_the_context_of_the_tick():
    scheduler, found = TickedScheduler(), []
    scheduler.add_interval_task(lambda: found.append(variable.get()), 1)
    token = variable.set("of the test")
    try:
        scheduler.tick(2)
    finally:
        variable.reset(token)
        scheduler.stop()
    assert set(found) == {"of the test"}
