"""The scheduler's events on the CherryPy bus: channels, what is built for nobody, and listeners that fail."""

import threading
from contextlib import contextmanager

import pytest
from cherrypy.process.wspbus import Bus
from helpers import wait_for
from servers import Server

import tgscheduler
from tgscheduler import config, events, scheduler, startup
from tgscheduler.host.plugin import CHANNELS, SchedulerPlugin


@pytest.fixture
def bus():
    """A bus of its own, with the plugin on it; what it logs is in ``lines``."""
    bus = Bus()
    bus.lines = []
    bus.subscribe("log", lambda message, level=20: bus.lines.append(message))
    SchedulerPlugin(bus).subscribe()
    yield bus
    bus.exit()


@contextmanager
def started(bus, **settings):
    """The bus from start to stop."""
    config.update({"tg.scheduler": True, **settings})
    bus.start()
    try:
        yield tgscheduler.scheduler._get_scheduler()
    finally:
        bus.stop()


def test_each_event_has_its_channel():
    assert set(CHANNELS) == set(events.NAMES)
    assert CHANNELS["run-started"] == "scheduler-run-started"
    assert CHANNELS["clock-stepped"] == "scheduler-clock-stepped"
    for name in ("scheduler-started", "scheduler-stopped", "store-down", "store-up"):
        assert CHANNELS[name] == name


def test_listeners_of_the_bus_are_told(bus):
    told = []
    for channel in CHANNELS.values():
        bus.subscribe(channel, lambda event, channel=channel: told.append((channel, event)))
    startup.call_on_startup.append(lambda: scheduler.add_single_task(int, taskname="one", timeout=60))
    with started(bus):
        wait_for(lambda: any(channel == "scheduler-run-finished" for channel, _ in told))
        scheduler.add_interval_task(int, 60, initialdelay=60, taskname="two")
        scheduler.pause("two")
        scheduler.resume("two")
        scheduler.cancel("two")
    channels = [channel for channel, _ in told]
    assert channels == [
        "scheduler-task-added", "scheduler-started", "scheduler-run-started", "scheduler-run-finished",
        "scheduler-task-added", "scheduler-task-paused", "scheduler-task-resumed", "scheduler-task-cancelled",
        "scheduler-stopped",
    ]  # fmt: skip
    finished = told[3][1]
    assert (finished.name, finished.task, finished.run.state) == ("run-finished", "one", "ok")
    assert "Traceback" not in "".join(bus.lines)


def test_for_a_channel_without_a_listener_nothing_is_built(bus, monkeypatch):
    built, real = [], events.Event
    monkeypatch.setattr(events, "Event", lambda *args: built.append(args[0]) or real(*args))
    with started(bus) as engine:
        assert engine._events.wanted == {}
        scheduler.add_interval_task(int, 0.01, taskname="often")
        wait_for(lambda: scheduler.counts()["ok"] > 3)
        assert built == []
        assert "tgscheduler-events" not in {thread.name for thread in threading.enumerate()}
        told = []
        bus.subscribe("scheduler-run-finished", told.append)  # one that comes late
        assert list(engine._events.wanted) == ["run-finished"]
        wait_for(lambda: len(told) > 3)
        assert set(built) == {"run-finished"}
        bus.unsubscribe("scheduler-run-finished", told.append)
        assert engine._events.wanted == {}
    assert len(told) == len(built)


def test_listeners_from_before_the_plugin_and_from_before_the_start_are_told():
    bus, told = Bus(), []
    bus.subscribe("scheduler-started", lambda event: told.append("before the plugin"))
    plugin = SchedulerPlugin(bus)
    plugin.subscribe()
    bus.subscribe("scheduler-started", lambda event: told.append("after it"))
    with started(bus):
        wait_for(lambda: len(told) == 2)
    with started(bus):
        wait_for(lambda: len(told) == 4)
    plugin.unsubscribe()
    bus.exit()


def test_other_listeners_of_the_scheduler_stay(bus):
    told, heard = [], []
    scheduler.subscribe(heard.append, "run-finished")
    with started(bus):
        bus.subscribe("scheduler-run-finished", told.append)
        scheduler.add_single_task(int, timeout=60)
        wait_for(lambda: told and heard)
        bus.unsubscribe("scheduler-run-finished", told.append)
        scheduler.add_single_task(int, timeout=60)
        wait_for(lambda: len(heard) == 2)
    assert len(told) == 1


@pytest.mark.parametrize("error", [ValueError("no such page"), SystemExit(3), KeyboardInterrupt()])
def test_a_listener_that_raises_is_logged_and_not_felt(bus, error, caplog):
    told = []

    def broken(event):
        raise error

    bus.subscribe("scheduler-run-finished", broken, 10)
    bus.subscribe("scheduler-run-started", told.append)
    with started(bus):
        scheduler.add_interval_task(int, 0.01, taskname="often")
        wait_for(lambda: scheduler.counts()["ok"] > 3 and len(told) > 3)
        assert scheduler.health()["state"] == "ok"
        assert bus.state is bus.states.STARTED
    said = "\n".join(bus.lines) + caplog.text
    assert type(error).__name__ in said
    assert "broken" in said
    if isinstance(error, ValueError):
        assert not [record for record in caplog.records if "listener" in record.message], "it is logged once"


def test_a_listener_that_calls_the_scheduler_and_stops_listening_harms_no_one(bus):
    told = []

    def once(event):
        told.append(scheduler.counts()["ok"])
        scheduler.cancel("often")
        bus.unsubscribe("scheduler-run-finished", once)

    bus.subscribe("scheduler-run-finished", once)
    with started(bus):
        scheduler.add_interval_task(int, 0.01, taskname="often")
        wait_for(lambda: told and scheduler.get_task("often") is None)
    assert len(told) == 1


def test_switched_off_nothing_is_told(bus):
    told = []
    bus.subscribe("scheduler-task-added", told.append)
    config.update({"tg.scheduler": False})
    bus.start()
    scheduler.add_single_task(int)
    bus.stop()
    assert told == []


@pytest.mark.server
@pytest.mark.slow
def test_a_page_learns_of_runs_by_the_bus_of_a_real_server(tmp_path):
    program = """
    engine.subscribe("scheduler-started", lambda event: mark(event.name, event.facts["tasks"]))
    engine.subscribe("scheduler-run-finished", lambda event: mark(event.name, event.task, event.run.state))
    engine.subscribe("scheduler-stopped", lambda event: mark(event.name, engine.state))
    startup.call_on_startup.append(lambda: scheduler.add_single_task(print, taskname="hello"))
    serve()
    """
    with Server(tmp_path, program) as server:
        server.up().see("run-finished hello ok")
        assert server.stop() == 0
    assert server.marks() == ["scheduler-started 1", "run-finished hello ok", "scheduler-stopped states.STOPPING"]
