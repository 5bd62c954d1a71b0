"""Each snippet of the guide in a real server: it starts, jobs fire, it ends well."""

import itertools
from datetime import datetime

import pytest
from snippets import EVERY_TEN_SECONDS, SEQUENTIAL, USAGE_JOBS, VISITS_JOBS

pytestmark = pytest.mark.server
pytest_plugins = ["postgres"]

SCHEDULED_AT_IMPORT = "def schedule():\n    pass\n"

VISITS_MODEL = """\
from datetime import datetime, timedelta, timezone

from sqlalchemy import Column, DateTime, Integer, MetaData, String, Table, create_engine, select

metadata = MetaData()
visits_table = Table("visit", metadata, Column("visit_key", String(40), primary_key=True),
    Column("expiry", DateTime(timezone=True)))
visit_identity_table = Table("visit_identity", metadata, Column("visit_key", String(40), primary_key=True),
    Column("user_id", Integer))

engine = create_engine("{url}")
metadata.create_all(engine)
now = datetime.now(timezone.utc)
with engine.begin() as connection:
    for key, expiry in [("old", now - timedelta(minutes=16)), ("late", now - timedelta(minutes=14)), ("new", now)]:
        connection.execute(visits_table.insert().values(visit_key=key, expiry=expiry))
    for key in ("old", "late", "orphan"):
        connection.execute(visit_identity_table.insert().values(visit_key=key, user_id=1))


def keys():
    with engine.begin() as connection:
        return [sorted(connection.scalars(select(table.c.visit_key))) for table in (visits_table, visit_identity_table)]
"""

VISITS_CONTROLLERS = """

from yourpkg import model

def visits(self):
    return model.keys()

Root.visits = cherrypy.expose(cherrypy.tools.json_out()(visits))
"""


def changed(text, **numbers):
    """Return a snippet with other numbers, so that no test waits as long as the guide's reader."""
    for name, (old, new) in numbers.items():
        assert f"{name}={old}" in text
        text = text.replace(f"{name}={old}", f"{name}={new}")
    return text


def add(project, name, text):
    project.write(name, (project.folder / name).read_text() + text)


@pytest.mark.slow
def test_every_ten_seconds(project):
    project.write("yourpkg/jobs.py", changed(EVERY_TEN_SECONDS, interval=(10, 0.2)) + SCHEDULED_AT_IMPORT)
    server = project.serve()
    server.printed("Hello world.", times=3)
    facts = server.finished(3)
    assert list(facts["tasks"]) == ["do_something"]
    assert {run["task"] for run in facts["runs"]} == {"do_something"}
    for late, early in itertools.pairwise(run["due"] for run in facts["runs"]):
        assert round((late - early) / 0.2, 3) in (1, 2, 3)  # a slow machine may skip one, none drifts
    log = server.ends_well()
    assert "Scheduler started: 1 task" in log
    assert "Scheduler stopped." in log
    assert log.index("Bus STARTED") < log.index("Hello world.")
    assert "Traceback" not in log


@pytest.mark.slow
def test_sequential_and_the_fourth_function(project):
    project.write(
        "yourpkg/jobs.py",
        f"""\
import tgscheduler
from tgscheduler.scheduler import add_monthday_task, add_single_task

def do_something():
    print("Hello world.")

def schedule():
{"".join("    " + line for line in changed(SEQUENTIAL, initialdelay=(5, 0), interval=(60, 0.2)).splitlines(True))}
    add_single_task(do_something, taskname="once")
    add_single_task(do_something, taskname="in line", processmethod=tgscheduler.scheduler.method.sequential)
    add_single_task(do_something, taskname="apart", processmethod=tgscheduler.scheduler.method.forked)
    add_monthday_task(do_something, (1, 15), (3, 0), taskname="twice a month")
""",
    )
    server = project.serve()
    server.printed("Hello world.", times=5)
    server.until(lambda: set(server.facts()["tasks"]) == {"do_something", "twice a month"})  # single tasks have ended
    facts = server.facts()
    assert {run["task"] for run in facts["runs"] if run["state"] == "ok"} == {
        "do_something",
        "once",
        "in line",
        "apart",
    }
    where = {run["task"]: (run["process"], run["thread"]) for run in facts["runs"]}
    assert where["do_something"] == where["in line"]
    assert where["once"][0] == server.pid
    assert where["once"][1] != where["do_something"][1]
    assert where["apart"][0] != server.pid
    day = datetime.fromtimestamp(facts["tasks"]["twice a month"][1])
    assert day.day in (1, 15)
    assert (day.hour, day.minute) == (3, 0)
    server.ends_well()


def test_usage_example(project):
    useful = 'print("synchronized since", round((datetime.datetime.now() - since()).total_seconds()), "s ago")'
    project.write("yourpkg/jobs.py", useful.join(USAGE_JOBS.rsplit("pass", 1)))
    server = project.serve()
    facts = server.finished(1)
    assert facts["health"]["tasks"] == 2
    assert 0 < facts["health"]["next_due"] - facts["runs"][0]["due"] < 120.1
    server.printed("synchronized since 120 s ago")
    assert [run["task"] for run in facts["runs"]] == ["yourpkg.jobs.synchronize_stock"]
    log = server.ends_well()
    assert "Scheduler started: 2 tasks" in log
    assert "Traceback" not in log


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_expired_visits_are_deleted(project, kind, request):
    jobs = VISITS_JOBS
    if kind == "postgres":
        url = request.getfixturevalue("postgres_url")
    else:
        url = f"sqlite:///{project.folder}/visits.db"
        jobs = jobs.replace("current_timestamp-'15min'::interval", "datetime('now', '-15 minutes')")
        assert jobs != VISITS_JOBS
    project.write("yourpkg/jobs.py", jobs)
    project.write("yourpkg/model.py", VISITS_MODEL.replace("{url}", url))
    add(project, "yourpkg/controllers.py", VISITS_CONTROLLERS)
    server = project.serve()
    server.finished(1)
    assert server.facts("/visits") == [["late", "new"], ["late"]]
    log = server.ends_well()
    begun, deleting = "INFO yourpkg.jobs: Scheduling background jobs...", "INFO yourpkg.jobs: Deleting expired visits"
    assert log.index(begun) < log.index("Bus STARTED") < log.index(deleting)
    assert "Traceback" not in log


@pytest.mark.slow
def test_scheduler_not_activated(project):
    project.write("yourpkg/config/app.cfg", "[global]\n")
    project.write("yourpkg/jobs.py", VISITS_JOBS)
    project.write("yourpkg/model.py", "engine = visits_table = visit_identity_table = None\n")
    server = project.serve()
    facts = server.facts()
    assert facts["health"]["state"] == "stopped"
    assert sum(facts["counts"].values()) == 0
    log = server.ends_well()
    assert "WARNING yourpkg.jobs: Scheduler not activated!" in log
    assert "tg.scheduler = True under [global] switches it on" in log
    assert "Scheduling background jobs" not in log
    assert "Deleting" not in log


TASK_OBJECTS = """\
import os
import threading
import time

import tgscheduler
from tgscheduler.scheduler import *

ALWAYS = {
    IntervalTask: (3600,), ThreadedIntervalTask: (3600,), ForkedIntervalTask: (3600,),
    WeekdayTask: (range(1, 8), (0, 0)), ThreadedWeekdayTask: (range(1, 8), (0, 0)),
    ForkedWeekdayTask: (range(1, 8), (0, 0)),
    MonthdayTask: (range(1, 32), (0, 0)), ThreadedMonthdayTask: (range(1, 32), (0, 0)),
    ForkedMonthdayTask: (range(1, 32), (0, 0)),
}
own = {"plain": Scheduler(), "threaded": ThreadedScheduler(), "forked": ForkedScheduler()}

def note(*what):
    with open("ran", "a") as ran:
        print(*what, os.getpid(), file=ran)

def fill(name, scheduler):
    for kind, when in ALWAYS.items():
        for how in ("delay", "abs"):
            task = kind(f"{kind.__name__} {how}", *when, note, (name, kind.__name__, how))
            if how == "delay":
                scheduler.schedule_task(task, 0.1)
            else:
                scheduler.schedule_task_abs(task, time.time() + 0.2)

def schedule():
    fill("server", tgscheduler.schedule._get_scheduler())
    for name, scheduler in own.items():
        fill(name, scheduler)
        start = scheduler.start
        if name == "plain":
            threading.Thread(target=start, name="plain scheduler", daemon=True).start()
        else:
            start()
    tgscheduler.startup.call_on_shutdown.append(shut_down)

def shut_down():
    own["plain"].stop()
    own["threaded"].stop()
    # the forked one ends with its parent

def add_to_forked():
    return own["forked"].schedule_task(IntervalTask("too late", 1, note), 0)
"""

FORKED_CONTROLLERS = """

from yourpkg import jobs

def too_late(self):
    try:
        return {"added": jobs.add_to_forked()}
    except Exception as error:
        return {"error": str(error), "running": jobs.own["forked"].running}

Root.too_late = cherrypy.expose(cherrypy.tools.json_out()(too_late))
"""


@pytest.mark.slow
def test_task_objects_under_all_schedulers(project):
    project.write("yourpkg/jobs.py", TASK_OBJECTS)
    add(project, "yourpkg/controllers.py", FORKED_CONTROLLERS)
    server = project.serve()
    ran = project.folder / "ran"
    server.until(lambda: ran.exists() and len(ran.read_text().splitlines()) >= 4 * 18)
    lines = [line.split() for line in ran.read_text().splitlines()]
    kinds = [
        f"{where}{what}Task" for where in ("", "Threaded", "Forked") for what in ("Interval", "Weekday", "Monthday")
    ]
    expected = [(name, kind, how) for name in ("server", "plain", "threaded", "forked") for kind in kinds
                for how in ("delay", "abs")]  # fmt: skip
    assert sorted(tuple(line[:3]) for line in lines) == sorted(expected)

    homes = {line[3] for line in lines if line[0] == "forked" and not line[1].startswith("Forked")}
    assert len(homes) == 1  # one process of its own
    for name, kind, _, pid in lines:
        home = homes.copy().pop() if name == "forked" else str(server.pid)
        assert (pid == home) is not kind.startswith("Forked"), (name, kind)
    assert str(server.pid) not in homes

    facts = server.finished(18)
    assert {name.split()[0] for name in facts["tasks"]} == set(kinds)
    late = server.facts("/too_late")
    assert "ForkedScheduler" in late["error"]
    assert "before start()" in late["error"]
    assert "ThreadedScheduler" in late["error"]
    assert late["running"] is True
    log = server.ends_well()
    assert "Traceback" not in log


RUNTIME_CONTROLLERS = """

from tgscheduler.scheduler import add_interval_task, cancel, current_run

def tick():
    pass

def fail():
    raise LookupError("the feed is gone")

def leave():
    raise SystemExit(3)

held = {}

def read(self, name, interval="0.05"):
    held[name] = add_interval_task({"fail": fail, "leave": leave}.get(name, tick), float(interval), taskname=name)
    return [held[name].name, type(held[name]).__name__]

def forget(self, name):
    cancel(held[name])
    return name

Root.read = cherrypy.expose(cherrypy.tools.json_out()(read))
Root.forget = cherrypy.expose(cherrypy.tools.json_out()(forget))
"""


@pytest.mark.slow
def test_tasks_come_and_go_at_runtime(project):
    add(project, "yourpkg/controllers.py", RUNTIME_CONTROLLERS)
    server = project.serve()
    assert server.facts("/read?name=feed") == ["feed", "ThreadedIntervalTask"]
    server.finished(2)
    assert server.facts("/forget?name=feed") == "feed"
    server.until(lambda: server.facts()["health"]["running"] == 0)
    facts = server.facts()
    assert facts["tasks"] == {}
    assert facts["health"]["tasks"] == 0

    for name in ("fail", "leave"):
        server.facts(f"/read?name={name}")
        server.until(lambda: server.facts()["counts"]["failed"] >= 3)
        server.facts(f"/forget?name={name}")
    before = server.facts()["counts"]["ok"]
    server.facts("/read?name=another")
    server.finished(before + 2)
    assert server.facts()["health"]["state"] == "ok"
    log = server.ends_well()
    assert "fail: the action raised LookupError" in log
    assert "LookupError: the feed is gone" in log
    assert "leave: the action raised SystemExit" in log
