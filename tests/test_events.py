"""Events: what is told, in which order, and that no listener is felt."""

import os
import threading
import time

import pytest
from helpers import running, wait_for

from tgscheduler import events
from tgscheduler.errors import InvalidType, InvalidValue
from tgscheduler.events import NAMES, Event, Events
from tgscheduler.scheduler import ForkedScheduler, ThreadedScheduler
from tgscheduler.testing import TickedScheduler


def threads():
    return [thread for thread in threading.enumerate() if thread.name == "tgscheduler-events"]


@pytest.fixture
def ticked():
    return TickedScheduler(start=1000)


@pytest.fixture
def told():
    return []


# -- what is told ----------------------------------------------------------------------------------------------------


def test_what_is_told_in_a_scheduler_s_life_in_order(ticked, told):
    ticked.subscribe(told.append)
    task = ticked.add_interval_task(int, 10, taskname="it")
    ticked.add_single_task(lambda: 1 / 0, initialdelay=1, taskname="fails")
    ticked.tick(5)
    ticked.pause("it")
    ticked.tick(10)
    ticked.resume("it")
    ticked.clock.step_by(100)
    ticked.tick()
    ticked.cancel("it")
    ticked.stop()
    ticked.start()
    assert [(event.name, event.task) for event in told] == [
        ("task-added", "it"),
        ("task-added", "fails"),
        ("run-started", "it"),
        ("run-finished", "it"),
        ("run-started", "fails"),
        ("run-finished", "fails"),
        ("task-paused", "it"),
        ("run-skipped", "it"),
        ("task-resumed", "it"),
        ("clock-stepped", None),
        ("task-cancelled", "it"),
        ("scheduler-stopped", None),
        ("scheduler-started", None),
    ]
    facts = {event.name: dict(event.facts) for event in told if event.facts}
    assert facts == {
        "task-added": {"next_due": 1001},
        "task-paused": {"until": None},
        "clock-stepped": {"seconds": 100, "before": 1015, "after": 1115},
        "scheduler-started": {"tasks": 0},
    }
    assert [event.run.state for event in told if event.name == "run-finished"] == ["ok", "failed"]
    assert [event.run.reason for event in told if event.name == "run-skipped"] == ["paused"]
    assert [event.at for event in told[:6]] == [1000, 1000, 1000, 1000, 1001, 1001]
    assert task.paused is False


def test_a_missed_run_is_told_as_skipped_and_a_retry_once(ticked, told):
    ticked.subscribe(told.append, ["run-started", "run-skipped", "run-finished"])
    ticked.add_interval_task(int, 10, taskname="late", initialdelay=10, grace=1)
    ticked.add_single_task(lambda: 1 / 0, taskname="again", retry=1, initialdelay=100)
    ticked.clock.advance(95)
    ticked.tick(10)
    found = [(event.name, event.task, event.run.state) for event in told]
    assert ("run-skipped", "late", "missed") in found
    again = [(name, state) for name, task, state in found if task == "again"]
    assert again == [("run-started", "failed"), ("run-started", "failed"), ("run-finished", "failed")]


def test_a_pause_that_changes_nothing_is_not_told(ticked, told):
    ticked.add_interval_task(int, 10, taskname="it")
    ticked.subscribe(told.append)
    for _ in range(2):
        ticked.pause("it")
        ticked.pause_all()
    for _ in range(2):
        ticked.resume_all()
    ticked.resume("it")
    assert [event.name for event in told] == ["task-paused", "task-paused", "task-resumed"]


def test_an_event_is_a_plain_value():
    event = Event("run-started", 5.0)
    assert (event.name, event.at, event.task, event.run, dict(event.facts)) == ("run-started", 5.0, None, None, {})


# -- subscribing -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("callback", "names", "error", "said"),
    [
        (None, None, InvalidType, "subscribe: expected a callable, got None"),
        (print, "run-end", InvalidValue, "subscribe: expected names among run-started, .*, got 'run-end'"),
        (print, ["run-started", "started"], InvalidValue, "got 'started'"),
        (print, [3], InvalidValue, "got 3"),
        (print, 3, InvalidType, "subscribe: expected the names of events, got 3"),
    ],
)
def test_a_subscription_that_cannot_be_is_an_error(ticked, callback, names, error, said):
    with pytest.raises(error, match=said):
        ticked.subscribe(callback, names)
    assert ticked._events.wanted == {}


def test_one_name_several_names_or_all(ticked):
    heard = {"one": [], "two": [], "all": []}
    ticked.subscribe(lambda event: heard["one"].append(event.name), "run-started")
    ticked.subscribe(lambda event: heard["two"].append(event.name), iter(("run-started", "run-finished")))
    ticked.subscribe(lambda event: heard["all"].append(event.name))
    ticked.add_single_task(int)
    ticked.tick()
    assert heard == {
        "one": ["run-started"],
        "two": ["run-started", "run-finished"],
        "all": ["task-added", "run-started", "run-finished"],
    }


def test_each_subscription_ends_by_itself_and_twice_is_harmless(ticked, told):
    first = ticked.subscribe(told.append, "task-added")
    second = ticked.subscribe(told.append)
    third = ticked.subscribe(told.append)
    for number, end in enumerate((first, second, third)):
        ticked.add_single_task(int)
        assert len(told) == 3 - number
        told.clear()
        end()
        end()
    ticked.add_single_task(int)
    assert (told, ticked._events.wanted) == ([], {})


def test_a_listener_may_unsubscribe_itself_and_others_from_within(ticked, told):
    def once(event):
        told.append(event.name)
        end()
        end_other()

    end = ticked.subscribe(once)
    end_other = ticked.subscribe(lambda event: told.append("other"))
    for _ in range(3):
        ticked.add_single_task(int)
    assert told == ["task-added"]


# -- never felt ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [ThreadedScheduler, TickedScheduler])
def test_a_listener_that_raises_is_logged_and_no_one_feels_it(make, told, caplog):
    def broken(event):
        raise ValueError("as planned")

    with running(make()) as scheduler:
        scheduler.subscribe(broken, "run-finished")
        scheduler.subscribe(told.append, "run-finished")
        for _ in range(3):
            scheduler.add_single_task(int)
        wait_for(lambda: make is ThreadedScheduler or scheduler.tick() or True)
        wait_for(lambda: len(told) == 3)
        assert scheduler.counts()["ok"] == 3
    assert caplog.text.count("a listener to run-finished raised ValueError") == 3


@pytest.mark.realtime
def test_a_listener_that_ends_its_thread_does_not():
    told = []

    def leave(event):
        told.append(event)
        raise SystemExit

    with running(ThreadedScheduler()) as scheduler:
        scheduler.subscribe(leave, "run-finished")
        for number in range(3):
            scheduler.add_single_task(int)
            wait_for(lambda number=number: len(told) == number + 1)


@pytest.mark.slow
@pytest.mark.realtime
def test_a_listener_that_blocks_delays_no_one_is_bound_and_drops(monkeypatch, caplog):
    monkeypatch.setattr(events, "LONGEST", 20)
    release, heard = threading.Event(), []

    def block(event):
        heard.append(event)
        release.wait(10)

    scheduler = ThreadedScheduler()
    scheduler.start()
    wait_for(lambda: scheduler._planner.started)
    scheduler.subscribe(block)
    started = time.monotonic()
    for _ in range(50):
        scheduler.add_single_task(int)
    wait_for(lambda: scheduler.counts()["ok"] == 50)
    assert time.monotonic() - started < 2
    assert len(heard) == 1
    wait_for(lambda: scheduler._events.dropped == 150 - 20 - 1)
    assert scheduler._events._queue.qsize() == 20
    assert caplog.text.count("20 events are queued: a listener blocks; further events are dropped") == 1
    started = time.monotonic()
    scheduler.stop()
    assert 0.9 < time.monotonic() - started < 2
    assert "its thread is left behind" in caplog.text
    release.set()
    wait_for(lambda: not threads())


@pytest.mark.realtime
def test_a_listener_may_steer_and_what_that_leads_to_is_told_in_order():
    told = []

    def follow(event):
        told.append((event.name, event.task))
        if event.task == "first" and event.name == "run-finished":
            scheduler.add_single_task(int, taskname="second")
            scheduler.cancel("unknown")

    with running(ThreadedScheduler()) as scheduler:
        scheduler.subscribe(follow)
        scheduler.add_single_task(int, taskname="first")
        wait_for(lambda: ("run-finished", "second") in told)
    names = ["task-added", "run-started", "run-finished"]
    assert [name for name, task in told if task == "second"] == names
    assert told.index(("run-finished", "first")) < told.index(("task-added", "second"))


def test_inline_a_listener_may_steer(ticked, told):
    def follow(event):
        told.append(event.name)
        if event.name == "run-started":
            ticked.add_single_task(int, initialdelay=5)
            end()

    end = ticked.subscribe(follow)
    ticked.add_single_task(int)
    ticked.tick(10)
    assert told == ["task-added", "run-started", "task-added"]
    assert ticked.counts()["ok"] == 2


# -- threads and processes -------------------------------------------------------------------------------------------


def test_no_one_listens_and_there_is_no_thread():
    with running(ThreadedScheduler()) as scheduler:
        scheduler.add_single_task(int)
        wait_for(lambda: scheduler.counts()["ok"])
        assert not threads()


def test_a_ticked_scheduler_tells_in_the_thread_in_which_it_happens(ticked):
    seen = set()
    ticked.subscribe(lambda event: seen.add(threading.current_thread()))
    ticked.add_interval_task(int, 1)
    ticked.tick(10)
    assert seen == {threading.current_thread()}
    assert not threads()


@pytest.mark.parametrize("name", ["scheduler-started", "scheduler-stopped"])
def test_the_end_is_told_before_stop_returns_and_no_thread_is_left(name, told):
    scheduler = ThreadedScheduler()
    scheduler.subscribe(lambda event: (time.sleep(0.05), told.append(event.name)), name)
    for _ in range(2):
        scheduler.start()
        wait_for(lambda: scheduler._planner.started)
        scheduler.stop()
        assert told.pop() == name
        assert not threads()


@pytest.mark.parametrize("kind", [ThreadedScheduler, ForkedScheduler])
def test_what_is_told_before_the_start_leaves_no_thread_after_a_stop(kind, told):
    scheduler = kind()
    scheduler.subscribe(told.append)
    scheduler.add_single_task(int, initialdelay=60)
    wait_for(lambda: told)
    scheduler.stop()
    assert not threads()


@pytest.mark.realtime
def test_a_listener_may_stop_the_scheduler(told):
    scheduler = ThreadedScheduler()
    scheduler.subscribe(lambda event: told.append(event.name))
    scheduler.subscribe(lambda event: scheduler.stop(), "run-finished")
    scheduler.start()
    scheduler.add_single_task(int)
    wait_for(lambda: "scheduler-stopped" in told and not threads())
    assert not scheduler.running
    scheduler.start()
    scheduler.add_single_task(int, initialdelay=60)
    wait_for(lambda: told[-1] == "task-added")
    scheduler.stop()


@pytest.mark.realtime
def test_a_fork_of_the_application_tells_nothing_of_its_parent():
    told = []
    with running(ThreadedScheduler()) as scheduler:
        scheduler.subscribe(told.append)
        scheduler.add_interval_task(int, 0.01)
        wait_for(lambda: len(told) > 10)
        pid = os.fork()
        if pid == 0:
            number = len(told)
            time.sleep(0.1)
            clean = len(told) == number and scheduler._events._thread is None and not scheduler._events._queue.qsize()
            os._exit(0 if clean else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


@pytest.mark.realtime
def test_a_forked_run_is_told_in_the_parent_once(tmp_path):
    told = tmp_path / "told"
    with running(ThreadedScheduler()) as scheduler:
        scheduler.subscribe(lambda event: told.write_text(f"{event.name} {os.getpid()}\n"), "run-finished")
        scheduler.add_single_task(int, processmethod="forked")
        wait_for(lambda: told.exists() and told.read_text())
    assert told.read_text() == f"run-finished {os.getpid()}\n"


def test_where_no_thread_can_be_started_what_waits_is_told_later(monkeypatch, told):
    def refuse(self):
        raise RuntimeError("can't start new thread")

    port = Events(lambda: 0.0)
    port.subscribe(told.append)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        port.publish("scheduler-started")
    assert not told
    port.publish("scheduler-stopped")
    wait_for(lambda: len(told) == 2)
    assert [event.name for event in told] == ["scheduler-started", "scheduler-stopped"]
    port.drain(1)


def test_an_event_that_is_published_as_the_thread_ends_is_told(told):
    port = Events(lambda: 0.0)
    put = port._queue.put

    def interrupted(event):
        if event is not None and event.name == "scheduler-stopped":
            port.drain(5)
            assert not threads()
        put(event)

    port._queue.put = interrupted
    port.subscribe(told.append)
    port.publish("scheduler-started")
    port.publish("scheduler-stopped")
    port.drain(5)
    assert [event.name for event in told] == ["scheduler-started", "scheduler-stopped"]


@pytest.mark.realtime
def test_no_event_is_lost_between_drains(told):
    port, number = Events(lambda: 0.0), 20_000
    port.subscribe(told.append)

    def publish():
        for place in range(number):
            port.publish("task-added", str(place))

    publisher = threading.Thread(target=publish)
    publisher.start()
    while publisher.is_alive():
        port.drain(5)
    port.drain(5)
    assert len(told) + port.dropped == number


def test_dropped_events_are_logged_once_for_each_jam(monkeypatch, caplog, told):
    monkeypatch.setattr(events, "LONGEST", 4)
    release = threading.Semaphore(0)
    port = Events(lambda: 0.0)
    port.subscribe(lambda event: (release.acquire(timeout=10), told.append(event)))
    for jam in (1, 2):
        begun = len(told)
        port.publish("task-added")
        wait_for(lambda: not port._queue.qsize())
        for _ in range(6):
            port.publish("task-added")
        release.release()
        wait_for(lambda begun=begun: len(told) == begun + 1 and port._queue.qsize() == 3)
        for _ in range(3):  # nearly full: still the same jam
            port.publish("task-added")
        assert port.dropped == 4 * jam
        assert caplog.text.count("4 events are queued: a listener blocks") == jam
        release.release(5)
        wait_for(lambda begun=begun: len(told) == begun + 6)
    port.drain(5)


def test_every_name_is_known():
    assert len(NAMES) == len(set(NAMES)) == 12
