"""What the API says fires next is what the loop fires, over a year with clock changes."""

from datetime import UTC, datetime
from urllib.parse import quote

import pytest
from asking import Client
from helpers import DAY, noop

from tgscheduler import config, update_config
from tgscheduler.console.console import Console
from tgscheduler.testing import TickedScheduler, installed
from tgscheduler.views import coming

#: Two days before the clocks of Europe go forward.
START = datetime(2026, 3, 27, tzinfo=UTC).timestamp()
#: The time (seconds) from one question to the next, and how many fires are asked for: first a few, then enough.
STEP, FIRES = 30 * 3600.0, (60, 1000)

#: Timetables as text, at hours that clock changes touch, and their zones.
TIMETABLES = {
    "nightly": ("30 2 * * *", "Europe/Berlin"),
    "fold": ("30 1 * * *", "America/New_York"),
    "quarters": ("*/15 * * * *", "Europe/Berlin"),
    "hours": ("0 0-4 * * *", "Australia/Lord_Howe"),
    "days": ("mon-fri 02:15 03:00", "Europe/London"),
    "months": ("1,15, last 02:30", "Africa/Casablanca"),
    "nth": ("2nd sun, last sun 02:00", "America/New_York"),
    "interval": ("every 7 h", "UTC"),
}


@pytest.fixture
def ticked(monkeypatch):
    """A scheduler with the example application's timetable and more, whose actions do nothing."""
    monkeypatch.setattr(coming, "LONGEST", 60.0)  # all fires are told, however busy the machine is
    pytest.importorskip("sqlalchemy")
    from example_app import jobs

    for name in ("generate_product_ranking", "synchronize_stock", "delete_expired_visits", "catch_up"):
        monkeypatch.setattr(jobs, name, lambda *args: None)
    update_config(modulename="example_app.config")
    config.update({"example.stock_interval": 900})  # the others are more telling, and a year is long
    scheduler = TickedScheduler(START, timezone="Europe/Berlin")
    with installed(scheduler):
        jobs.schedule()
    reader = Console(scheduler).reader
    for name, (line, zone) in TIMETABLES.items():
        scheduler.add_task(noop, reader.parse_timetable(line, zone), taskname=name, timezone=zone)
    return scheduler


def told(api, names, until):
    """Return the due times that the API tells for each task, before a moment."""
    found = {}
    for name in names:
        for n in FIRES:
            fires = api.get(f"api/v1/tasks/{quote(name, safe='')}/next?n={n}").json["items"]
            if fires[-1]["due_posix"] > until:
                break
        found[name] = [fire["due_posix"] for fire in fires if fire["due_posix"] <= until]
        assert len(found[name]) < n
    return found


def fired(ticked, names, since):
    """Return the due times of the runs of each task after a moment."""
    return {
        name: [run.due for run in reversed(ticked.runs(name, since=since, limit=10_000)) if run.due > since]
        for name in names
    }


def compare(ticked, days):
    """Compare what is told with what is fired, step by step; return the number of fires."""
    ticked.tick(1)  # what is due at the start itself, and once
    api, names, total = Client(Console(ticked)), [view.name for view in ticked.views()], 0
    assert len(names) == 3 + len(TIMETABLES)
    for _ in range(int(days * DAY / STEP)):
        now = ticked.clock.now()
        expected = told(api, names, now + STEP)
        ticked.tick(STEP)
        assert fired(ticked, names, now) == expected
        total += sum(map(len, expected.values()))
    return total


def test_what_is_told_is_what_is_fired_around_a_clock_change(ticked):
    assert compare(ticked, 2.5) > 600


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_what_is_told_is_what_is_fired_over_a_year(ticked):
    assert compare(ticked, 365) > 90_000


@pytest.mark.parametrize(("line", "zone"), TIMETABLES.values(), ids=TIMETABLES)
def test_a_simulation_tells_what_a_task_with_that_timetable_fires(line, zone):
    ticked = TickedScheduler(START, timezone=zone)
    console = Console(ticked)
    answer = Client(console).get(f"api/v1/simulate?line={quote(line)}&n=100")
    told = [fire["due_posix"] for fire in answer.json["items"]]
    ticked.add_task(noop, console.reader.parse_timetable(line), taskname="it")
    ticked.tick_to(told[-1])
    assert fired(ticked, ["it"], START)["it"] == told
