"""The API's description says what the API does."""

import pytest
from helpers import HOUR, NOON, noop

from tgscheduler.console.actions import perform
from tgscheduler.console.console import Console
from tgscheduler.console.http import Caller
from tgscheduler.console.openapi import document
from tgscheduler.console.shapes import RUN
from tgscheduler.console.table import TABLE
from tgscheduler.testing import TickedScheduler
from tgscheduler.timetable.policy import Retry
from tgscheduler.views import RunView

Draft202012Validator = pytest.importorskip("jsonschema").Draft202012Validator
OpenAPIV31SpecValidator = pytest.importorskip("openapi_spec_validator").OpenAPIV31SpecValidator


def fail():
    raise ValueError("no")


@pytest.fixture
def ticked():
    scheduler = TickedScheduler(start=NOON, timezone="Europe/Berlin")
    scheduler.add_interval_task(noop, 60, taskname="report", args=[1], max_runs=1000, end=NOON + 1e6)
    scheduler.add_cron_task(fail, "0 0 1 * 1", taskname="feed", overlap="queue")
    scheduler.add_single_task(noop, initialdelay=1e6, taskname="once")
    scheduler.add_cron_task(fail, "0 * * * *", taskname="hourly", retry=Retry(1, delay=30))
    scheduler.pause("once")
    perform(Console(scheduler), Caller("anna", "operator", "user"), "192.0.2.1", "pause", task="report", until="23:00")
    scheduler.resume("report")
    scheduler.tick(HOUR)
    return scheduler


@pytest.fixture
def described(client):
    return client.get("api/v1/openapi.json").json


def validator(described, method, path, status):
    """Return what validates an answer of a route, and the media type that is expected."""
    answer = described["paths"][path][method]["responses"][str(status)]
    ((kind, media),) = answer["content"].items()
    schema = {**media["schema"], "components": described["components"]}
    return Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER), kind


def test_the_description_is_valid_openapi(described):
    OpenAPIV31SpecValidator(described).validate()
    assert described["openapi"] == "3.1.0"


def test_every_route_of_the_api_is_described_and_no_other(described):
    routes = {(route.path, route.method.lower()) for route in TABLE if route.is_api}
    assert {(f"api/v1{path}", method) for path, each in described["paths"].items() for method in each} == routes
    names = [operation["operationId"] for each in described["paths"].values() for operation in each.values()]
    assert len(set(names)) == len(names)


def test_its_address_is_below_the_mount_and_relative_for_proxies(described):
    assert [server["url"] for server in described["servers"]] == ["/scheduler/api/v1", "../v1"]


READS = [
    ("/tasks", "tasks"),
    ("/tasks", "tasks?limit=1"),
    *(("/tasks/{name}", f"tasks/{name}") for name in ("report", "feed", "once", "hourly")),
    *(("/tasks/{name}/next", f"tasks/{name}/next") for name in ("report", "once")),
    ("/runs", "runs"),
    ("/runs", "runs?state=waiting"),
    ("/runs/{id}", "runs/ID"),
    ("/runs/{id}/log", "runs/ID/log"),
    ("/why", "why?task=feed&at=now"),
    ("/simulate", "simulate?line=0+0+1+*+1"),
    ("/audit", "audit?task=report"),
    ("/figures", "figures?task=report&task=feed&task=nothing"),
    ("/health", "health"),
    ("/openapi.json", "openapi.json"),
]


def test_every_reading_route_is_tried():
    assert {f"api/v1{path}" for path, _ in READS} == {
        route.path for route in TABLE if route.is_api and not route.is_unsafe
    }


@pytest.mark.parametrize(("path", "asked"), READS, ids=[asked for _, asked in READS])
def test_what_is_read_is_as_described(ticked, client, described, path, asked):
    answer = client.get(f"api/v1/{asked.replace('ID', ticked.runs('hourly')[0].id)}")
    check, kind = validator(described, "get", path, 200)
    assert answer.headers["content-type"].partition(";")[0] == kind
    check.validate(answer.text if kind == "text/plain" else answer.json)


WRITES = [
    ("/tasks/{name}/pause", "tasks/report/pause", {"until": "23:00"}),
    ("/tasks/{name}/resume", "tasks/report/resume", {}),
    ("/tasks/{name}/run", "tasks/report/run", None),
    ("/tasks/{name}/reschedule", "tasks/report/reschedule", {"timetable": "@daily", "timezone": "UTC"}),
    ("/runs/{id}/rerun", "runs/ID/rerun", {}),
    ("/pause-all", "pause-all", {}),
    ("/resume-all", "resume-all", {}),
]


@pytest.mark.parametrize(("path", "asked", "data"), WRITES, ids=[asked for _, asked, _ in WRITES])
def test_what_a_change_answers_is_as_described(ticked, client, described, path, asked, data):
    failed = ticked.run_now("feed")
    ticked.tick()
    answer = client.post(f"api/v1/{asked.replace('ID', failed.id)}", data=data)
    validator(described, "post", path, 200)[0].validate(answer.json)


@pytest.mark.parametrize(
    ("method", "path", "asked", "status"),
    [
        ("get", "/tasks", "tasks?limit=0", 400),
        ("get", "/tasks/{name}", "tasks/nothing", 404),
        ("get", "/why", "why?task=report&at=never", 422),
        ("post", "/tasks/{name}/pause", "tasks/nothing/pause", 404),
        ("post", "/runs/{id}/rerun", "runs/nothing/rerun", 404),
    ],
)
def test_a_refusal_is_as_described(client, described, method, path, asked, status):
    answer = client.ask(method.upper(), f"api/v1/{asked}")
    assert answer.status == status
    check, kind = validator(described, method, path, status)
    assert answer.headers["content-type"] == kind
    check.validate(answer.json)


def test_every_parameter_is_documented(described):
    for path, operations in described["paths"].items():
        for operation in operations.values():
            for each in operation["parameters"]:
                assert each["description"], (path, each)


def test_who_may_is_described(ticked, described):
    assert set(described["components"]["securitySchemes"]) == {"bearer", "basic"}
    assert {} in described["security"]
    assert document("Shop", needs_login=True)["security"] == [{"bearer": []}, {"basic": []}]


def test_a_run_has_every_field_of_a_run():
    assert {each.name for each in RUN.members} >= set(RunView._fields)
