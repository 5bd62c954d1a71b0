"""What an action logs is kept with its run, whatever logger it uses and wherever it runs."""

import logging

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from processes import Process

from tgscheduler import stores
from tgscheduler.messages import clean
from tgscheduler.testing import TickedScheduler

LOGS = """
import logging, sys, time
from tgscheduler import current_run, stores
from tgscheduler.engine.scheduler import ThreadedScheduler

def work():
    current_run().log.warning("by the run's own logger")
    logging.getLogger("jobs").warning("by another, %d", 2)

logging.basicConfig(stream=sys.stdout)
scheduler = ThreadedScheduler(store=stores.open(sys.argv[1]))
for method in ("sequential", "threaded", "forked"):
    scheduler.add_single_task(work, processmethod=method, taskname=method)
scheduler.start()
while scheduler.counts()["ok"] < 3:
    time.sleep(0.01)
scheduler.stop()
logging.getLogger("jobs").warning("by nobody")
"""


@pytest.mark.realtime
def test_the_lines_that_an_action_logs_are_kept_with_its_run(tmp_path):
    url = f"sqlite:///{tmp_path / 'scheduler.db'}"
    script = tmp_path / "logs.py"
    script.write_text(LOGS)
    assert Process(script, url, cwd=tmp_path).ended() == 0
    runs = {run.task: run.log for run in stores.open(url).runs()}
    assert set(runs) == {"sequential", "threaded", "forked"}
    for name, lines in runs.items():
        own, other = lines.splitlines()
        assert own.endswith(f"WARNING tgscheduler.action: {name}: by the run's own logger")
        assert other.endswith("WARNING jobs: by another, 2")


def test_a_run_in_memory_has_its_lines_too_and_only_the_last_ones():
    log = logging.getLogger("jobs")

    def work():
        for number in range(1000):
            log.warning("line %d", number)

    scheduler = TickedScheduler()
    scheduler.add_single_task(work, taskname="it", processmethod="sequential")
    scheduler.tick(1)
    [run] = scheduler.runs("it")
    scheduler.stop()
    assert len(run.log) <= 8_100
    assert run.log.startswith("…\n")
    assert run.log.endswith("line 999\n")


# -- beside factories of the application's own ---------------------------------------------------------------------


@pytest.fixture
def own_factory():
    before = logging.getLogRecordFactory()
    yield
    logging.setLogRecordFactory(before)


def wrap():
    """Set a factory that calls the one before, as the cookbook of logging has it."""
    before = logging.getLogRecordFactory()

    def factory(*args, **kw):
        record = before(*args, **kw)
        record.passed = getattr(record, "passed", 0) + 1
        return record

    logging.setLogRecordFactory(factory)
    return before


class Own(logging.LogRecord):
    """What stands in for the standard factory, and calls none."""


def kept(scheduler):
    """Return the lines that are kept with a run that logs one."""
    scheduler.add_single_task(lambda: logging.getLogger("jobs").warning("a line"), processmethod="sequential")
    scheduler.tick(1)
    run = scheduler.runs()[0]
    assert run.state == "ok"
    return run.log.splitlines()


def test_a_factory_that_was_set_while_a_scheduler_ran_calls_the_next_scheduler_and_no_circle(own_factory):
    TickedScheduler().stop()
    first = TickedScheduler()
    wrap()
    first.stop()
    second = TickedScheduler()
    logging.getLogger("jobs").warning("outside of a run")
    assert len(kept(second)) == 1
    second.stop()


def test_many_schedulers_leave_no_factory_behind_and_a_long_chain_is_no_matter(own_factory):
    before = logging.getLogRecordFactory()
    for _ in range(2000):
        TickedScheduler().stop()
    assert logging.getLogRecordFactory() is before
    for _ in range(100):
        scheduler = TickedScheduler()
        wrap()
        scheduler.stop()
    scheduler = TickedScheduler()
    assert len(kept(scheduler)) == 1
    scheduler.stop()


def test_a_line_that_a_factory_logs_itself_is_kept_too(own_factory):
    scheduler = TickedScheduler()
    before = logging.getLogRecordFactory()

    def factory(name, *args, **kw):
        if name == "jobs":
            logging.getLogger("factory").warning("made one")
        return before(name, *args, **kw)

    logging.setLogRecordFactory(factory)
    assert [line.split(" ", 2)[2] for line in kept(scheduler)] == ["WARNING factory: made one", "WARNING jobs: a line"]
    scheduler.stop()


STEPS = st.lists(
    st.one_of(
        st.just(("start", 0)),
        st.tuples(st.just("stop"), st.integers(0, 3)),
        st.just(("wrap", 0)),
        st.just(("replace", 0)),
        st.tuples(st.just("put back"), st.integers(0, 5)),
    ),
    max_size=20,
)


@given(STEPS)
@settings(deadline=None)
def test_any_order_of_factories_and_schedulers_keeps_each_line_once(steps):
    """``put back``: the application takes a factory away by setting the one that was there before it."""
    at_first = logging.getLogRecordFactory()
    schedulers, befores = [], []
    try:
        for step, number in steps:
            if step == "start":
                schedulers.append(TickedScheduler())
            elif step == "stop" and schedulers:
                schedulers.pop(number % len(schedulers)).stop()
            elif step == "wrap":
                befores.append(wrap())
            elif step == "replace":
                befores.append(logging.getLogRecordFactory())
                logging.setLogRecordFactory(Own)
            elif step == "put back" and befores:
                logging.setLogRecordFactory(befores.pop(number % len(befores)))
            logging.getLogger("jobs").warning("outside of a run")
            for scheduler in schedulers:
                assert len(kept(scheduler)) == 1
    finally:
        for scheduler in schedulers:
            scheduler.stop()
        logging.setLogRecordFactory(at_first)


def test_the_bound_counts_what_is_spelled_out():
    def work():
        logging.getLogger("jobs").warning("\ud800\0" * 4000)

    scheduler = TickedScheduler()
    scheduler.add_single_task(work, taskname="it", processmethod="sequential")
    scheduler.tick(1)
    [run] = scheduler.runs("it")
    scheduler.stop()
    assert len(run.log) <= 8_100
    assert run.log.endswith("\\ud800\\x00\n")
    assert clean(run.log) == run.log, "a store makes it no longer"
