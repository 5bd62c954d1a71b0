"""What the page on policies says is in the record: its table, row by row."""

import re
import threading
from types import SimpleNamespace

import pytest
from helpers import DAY, NOON, flaky, noop, rows, running, wait_for

from tgscheduler.scheduler import Retry, ThreadedScheduler
from tgscheduler.testing import TickedScheduler

ROWS = rows("docs/policies.rst", "\nWhat is in the record\n")


def ticked():
    return TickedScheduler(start=NOON)


def five_missed(**policy):
    """Return what a break of which five occurrences were missed leaves, the first due first."""
    scheduler = ticked()
    scheduler.add_interval_task(noop, 10, initialdelay=10, taskname="it", **policy)
    scheduler.tick(10)
    scheduler.clock.advance(50)
    scheduler.tick()
    first, *found = reversed(scheduler.runs("it"))
    assert first.state == "ok"
    assert sum(run.count for run in found) == 5
    return found


def one_run_for_all():
    [run] = five_missed(misfire="run_once")
    assert (run.count, run.due, run.until) == (5, NOON + 20, NOON + 60)
    yield [run]


def skipped_but_for_the_last():
    found = five_missed(misfire="skip")
    assert ([run.count for run in found], found[1].reason) == ([4, 1], None)
    yield found


def two_at_most():
    found = five_missed(misfire="run_all", misfire_cap=2)
    assert [(run.count, run.reason) for run in found[1:]] == [(1, None)] * 2
    assert found[0].count == 3
    yield found


def too_late():
    scheduler = ticked()
    scheduler.add_interval_task(noop, DAY, initialdelay=10, taskname="it", grace=5)
    scheduler.clock.advance(20)
    scheduler.tick()
    yield scheduler.runs("it")


def held(state, **policy):
    """Yield the first run in a state while one or more before it hold on; it is waited for where it waits."""
    release = threading.Event()
    with running(ThreadedScheduler()) as scheduler:
        scheduler.add_interval_task(release.wait, 0.02, args=(10,), taskname="it", **policy)
        run = wait_for(lambda: scheduler.runs("it", state=state))[-1]
        found = [SimpleNamespace(state=run.state, reason=run.reason)]  # as it is now
        release.set()
        if state == "waiting":
            wait_for(lambda: run.ended)
            found.append(run)
        yield found


def too_long():
    for processmethod in ("sequential", "threaded", "forked"):
        release = threading.Event()
        with running(ThreadedScheduler()) as scheduler:
            wait = 0.2 if processmethod == "sequential" else 10
            scheduler.add_single_task(
                release.wait, args=(wait,), taskname="it", timeout=0.1, processmethod=processmethod
            )
            found = wait_for(lambda scheduler=scheduler: [run for run in scheduler.runs("it") if run.ended])
            release.set()
        yield found


def the_second_attempt_succeeds():
    scheduler = ticked()
    scheduler.add_single_task(flaky(scheduler, 1), taskname="it", retry=Retry(1, delay=1, jitter=0))
    scheduler.tick(5)
    [run] = scheduler.runs("it")
    assert run.attempt == 2
    yield [run]


def each_attempt_fails():
    scheduler, left = ticked(), ["last", "first"]

    def fails():
        raise ValueError(left.pop())

    scheduler.add_single_task(fails, taskname="it", retry=Retry(1, delay=1, jitter=0))
    scheduler.tick(5)
    [run] = scheduler.runs("it")
    assert run.error.startswith("Traceback")
    assert run.error.endswith("ValueError: last")
    yield [run]


def paused():
    for until in (None, NOON + 60):
        scheduler = ticked()
        scheduler.pause(scheduler.add_interval_task(noop, DAY, initialdelay=10, taskname="it"), until)
        scheduler.tick(10)
        yield scheduler.runs("it")


def on_request():
    scheduler = ticked()
    scheduler.add_interval_task(noop, DAY, initialdelay=10, taskname="it")
    run = scheduler.run_now("it")
    scheduler.tick()
    yield [run]


def cancelled():
    release = threading.Event()
    with running(ThreadedScheduler()) as scheduler:
        scheduler.add_single_task(release.wait, args=(10,), taskname="it")
        [run] = wait_for(lambda: scheduler.runs("it", state="running"))
        assert scheduler.cancel_run(run)
        wait_for(lambda: run.ended)
        release.set()
    yield [run]


#: What happens, as the table says it -> what yields the runs that this leaves, the first due first, once or oftener.
SCENARIOS = {
    'Five were missed, ``misfire="run_once"``': one_run_for_all,
    'Five were missed, ``misfire="skip"``': skipped_but_for_the_last,
    'Five were missed, ``misfire="run_all"``, ``misfire_cap=2``': two_at_most,
    "It is later than its ``grace``": too_late,
    'It still runs, ``overlap="skip"``': lambda: held("skipped", overlap="skip"),
    'It still runs, ``overlap="queue"``': lambda: held("waiting", overlap="queue"),
    "There are ``max_instances`` of it": lambda: held("skipped", overlap="allow", max_instances=2),
    "It takes longer than its ``timeout``": too_long,
    "It fails, and succeeds at the second attempt": the_second_attempt_succeeds,
    "It fails at each attempt": each_attempt_fails,
    "It is paused": paused,
    "It was asked for by ``run_now``": on_request,
    "It was ended by ``cancel_run``": cancelled,
}


def test_each_row_has_its_scenario():
    assert [what for what, _, _ in ROWS] == list(SCENARIOS)


@pytest.mark.realtime
@pytest.mark.parametrize(("what", "states", "told"), ROWS, ids=[what for what, _, _ in ROWS])
def test_a_row_is_what_happens(what, states, told):
    quoted = re.findall("``(.+?)``", re.split("(?<=``);", told)[0])  # what follows is of other fields
    reasons = [re.escape(text).replace("…", ".+") for text in quoted]
    used = set()
    for runs in SCENARIOS[what]():
        assert [run.state for run in runs] == states.split(", ")
        if told.startswith("none"):
            assert {run.reason for run in runs} == {None}
        else:
            matching = [reason for reason in reasons if re.fullmatch(reason, runs[0].reason)]
            assert matching, runs[0].reason
            used.update(matching)
    assert told.startswith("none") or used == set(reasons)
