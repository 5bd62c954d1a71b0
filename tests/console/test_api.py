"""The JSON API: what it answers, and what it refuses."""

import gzip
import json
import threading
from datetime import UTC, datetime

import pytest
from asking import Client
from helpers import DAY, HOUR, NOON, noop

from tgscheduler import passwords
from tgscheduler.console.console import Console
from tgscheduler.console.http import Response, segment
from tgscheduler.console.settings import ConsoleSettings
from tgscheduler.console.table import TABLE
from tgscheduler.errors import WrongProcess
from tgscheduler.moments import iso
from tgscheduler.testing import TickedScheduler

API = "api/v1"
NAMES = ("a/b", "100 %", "#1", "ünïcode ☃ 😀", "<script>alert(1)</script>", "..", ".", "a b+c&d=e?f", "\"quoted'", "~.")


def fail():
    """Fail."""
    raise ValueError("no")


def report(password, size):
    """Do nothing."""


@pytest.fixture
def ticked():
    scheduler = TickedScheduler(start=NOON, timezone="Europe/Berlin")
    scheduler.add_interval_task(report, 60, taskname="report", kw={"password": "hunter2", "size": 3})
    scheduler.add_cron_task(fail, "0 * * * *", taskname="feed", timezone="America/New_York")
    return scheduler


@pytest.fixture
def api(client):
    def ask(path, **options):
        return client.get(f"{API}/{path}", **options)

    return ask


@pytest.fixture
def post(client):
    def ask(path, data=None, **options):
        return client.post(f"{API}/{path}", data=data, **options)

    return ask


# -- tasks -----------------------------------------------------------------------------------------------------------


def test_a_task_has_its_times_in_its_zone(api, ticked):
    task = api("tasks/feed").json
    assert (task["name"], task["state"], task["timezone"], task["method"]) == (
        "feed", "new", "America/New_York", "threaded",
    )  # fmt: skip
    assert (task["next_due"], task["next_due_posix"]) == ("2025-06-01T09:00:00-04:00", NOON + HOUR)
    assert (task["paused"], task["paused_until"], task["last_run"], task["end"]) == (False, None, None, None)
    ticked.tick(HOUR)
    task = api("tasks/feed").json
    assert (task["state"], task["last_run"]["state"]) == ("failing", "failed")
    assert task["last_run"]["error"].endswith("ValueError: no")


def test_a_task_tells_what_it_calls_without_secrets(api):
    definition = api("tasks/report").json["definition"]
    assert definition["action"] == "test_api.report"
    assert definition["arguments"] == [{"name": "password", "value": "•••"}, {"name": "size", "value": "3"}]


def test_a_pause_without_an_end_has_no_infinity(api, post):
    assert post("tasks/report/pause").status == 200
    task = api("tasks/report").json
    assert (task["state"], task["paused"], task["paused_until"], task["paused_until_posix"]) == (
        "paused", True, None, None,
    )  # fmt: skip


@pytest.mark.parametrize("end", [datetime.max, datetime(9999, 12, 31, tzinfo=UTC), 1e11])
def test_an_end_beyond_the_calendar_is_none(ticked, api, end):
    ticked.add_interval_task(noop, 60, taskname="endless", end=end, timezone="Pacific/Kiritimati")
    task = api("tasks/endless").json
    assert (task["end"], task["end_posix"]) == ((None, None) if end != 1e11 else ("5138-11-16T23:46:40+14:00", 1e11))


@pytest.mark.parametrize("name", NAMES)
def test_a_name_may_hold_any_character(ticked, api, post, name):
    ticked.add_interval_task(noop, 60, taskname=name)
    path = f"tasks/{segment(name)}"
    assert api(path).json["name"] == name
    assert post(f"{path}/pause").json["task"] == name
    assert api(f"{path}/next").status == 200
    assert name in [task["name"] for task in api("tasks?state=paused").json["items"]]


def test_tasks_come_in_pages_by_name_that_meet(ticked, api):
    for number in range(25):
        ticked.add_interval_task(noop, 60 + number, taskname=f"task {number:02}")
    found, cursor = [], None
    for _ in range(10):
        answer = api("tasks?limit=10" if cursor is None else f"tasks?limit=10&cursor={segment(cursor)}").json
        found += [task["name"] for task in answer["items"]]
        cursor = answer["next"]
        if cursor is None:
            break
    assert found == sorted(["feed", "report", *(f"task {number:02}" for number in range(25))])


def test_tasks_are_found_by_state_and_text(ticked, api):
    ticked.pause("report")
    ticked.tick(HOUR)
    names = {query: [task["name"] for task in api(f"tasks?{query}").json["items"]] for query in (
        "state=paused", "state=failing", "state=failing&state=paused", "state=ok", "q=EE", "q=o&state=failing",
    )}  # fmt: skip
    assert list(names.values()) == [["report"], ["feed"], ["feed", "report"], [], ["feed"], []]


def test_the_next_fires_are_told_with_a_note_where_a_clock_change_moves_one(ticked, api):
    ticked.add_cron_task(noop, "30 2 29 3 *", taskname="night", timezone="Europe/Berlin")
    fires = api("tasks/night/next?n=2").json
    assert fires["next"] is None
    first = fires["items"][0]
    assert (first["task"], first["due"]) == ("night", "2026-03-29T03:00:00+02:00")
    assert "does not exist" in first["note"] or "02:30" in first["note"]
    assert len(api("tasks/night/next").json["items"]) == 10


# -- runs ------------------------------------------------------------------------------------------------------------


def test_runs_come_in_pages_that_meet(ticked, api):
    ticked.tick(HOUR)
    found, cursor = [], ""
    while cursor is not None:
        answer = api(f"runs?limit=7&before={cursor}" if cursor else "runs?limit=7").json
        found += [run["id"] for run in answer["items"]]
        cursor = answer["next"]
    assert found == [run.id for run in ticked.runs(limit=1000)]
    assert len(set(found)) == len(found) == 62


def test_runs_are_found_by_task_state_and_time(ticked, api):
    ticked.tick(2 * HOUR)
    assert {run["task"] for run in api("runs?state=failed&state=lost").json["items"]} == {"feed"}
    assert [run["due"] for run in api("runs?task=feed&since=09:30").json["items"]] == ["2025-06-01T10:00:00-04:00"]
    assert len(api("runs?task=feed&since=2025-06-01T09:00:00-04:00".replace("+", "%2B")).json["items"]) == 2
    assert api("runs?task=nothing").json == {"items": [], "next": None}


def test_a_run_has_the_fields_of_run(ticked, api):
    ticked.tick(60)
    run = ticked.runs("report")[0]
    answer = api(f"runs/{run.id}").json
    assert answer["where"] == run.where._asdict()
    for name in ("id", "task", "state", "attempt", "late", "count", "reason", "error", "log"):
        assert answer[name] == getattr(run, name)
    for name in ("due", "until", "started", "ended"):
        assert answer[f"{name}_posix"] == getattr(run, name)
        assert answer[name] == iso(getattr(run, name), "Europe/Berlin")


def test_the_log_of_a_run_is_text(ticked, api):
    def talk():
        import logging

        logging.getLogger("shop").warning("<b>sold</b> password=hunter2")

    ticked.add_interval_task(talk, 60, taskname="talk")
    ticked.tick()
    answer = api(f"runs/{ticked.runs('talk')[0].id}/log")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.text.endswith("WARNING shop: <b>sold</b> password=•••\n")


# -- the rest --------------------------------------------------------------------------------------------------------


def test_why_is_answered_in_the_zone_of_the_task(ticked, api):
    ticked.tick(HOUR)
    answer = api("why?task=feed&at=09:00").json
    assert (answer["at"], answer["timezone"]) == ("2025-06-01T09:00:00-04:00", "America/New_York")
    assert "it began" in answer["answer"]
    ticked.cancel("feed")
    assert "there is no such task any more" in api("why?task=feed&at=2025-06-01T08:00:00-04:00").json["answer"]


def test_a_timetable_is_simulated(api):
    answer = api("simulate?line=0+9+*+*+1-5&timezone=Asia/Tokyo&n=2&from=2025-06-06").json
    assert [fire["due"] for fire in answer["items"]] == ["2025-06-06T09:00:00+09:00", "2025-06-09T09:00:00+09:00"]
    assert (answer["timezone"], answer["line"]) == ("Asia/Tokyo", "0 9 * * 1-5")
    assert answer["collisions"][0]["tasks"] == ["report", "feed"] or answer["collisions"]


def test_health_is_that_of_the_scheduler(ticked, api):
    answer = api("health").json
    health = ticked.health()
    assert {name: answer[name] for name in health if name != "next_due"} == {
        name: health[name] for name in health if name != "next_due"
    }
    assert answer["next_due_posix"] == health["next_due"]
    assert "tg.scheduler" in [setting["key"] for setting in answer["settings"]]


def test_the_audit_log_comes_in_pages(ticked, api, post):
    for path in ("tasks/feed/pause", "tasks/report/pause", "tasks/feed/resume", "pause-all", "tasks/feed/run"):
        assert post(path).status == 200
    page = api("audit?limit=3").json
    assert [record["action"] for record in page["items"]] == ["run", "pause_all", "resume"]
    rest = api(f"audit?limit=3&before={page['next']}").json
    assert ([record["task"] for record in rest["items"]], rest["next"]) == (["report", "feed"], None)
    first = api("audit?task=feed").json["items"][-1]
    assert (first["at"], first["who"], first["origin"]) == ("2025-06-01T08:00:00-04:00", "local", "loopback 127.0.0.1")


def test_figures_of_several_tasks_are_one_question(ticked, api):
    ticked.tick(HOUR)
    found = {each["task"]: each for each in api("figures?task=report&task=feed").json["items"]}
    assert (found["report"]["counts"], found["report"]["success_rate"], found["report"]["p95"]) == (
        {"ok": 61},
        1.0,
        0.0,
    )
    assert (found["feed"]["runs"], found["feed"]["success_rate"]) == (1, 0.0)
    assert api("figures").status == 400


# -- changes ---------------------------------------------------------------------------------------------------------


def test_verbs_change_what_is_read(ticked, api, post):
    assert (
        post("tasks/feed/pause", {"until": "11:00"}).json["text"].endswith("11:00:00 EDT (-04:00), America/New_York.")
    )
    assert api("tasks/feed").json["paused_until"] == "2025-06-01T11:00:00-04:00"
    assert post("tasks/feed/resume").json["changed"]
    assert not post("tasks/feed/resume", {}).json["changed"]
    assert post("tasks/feed/reschedule", {"timetable": "daily 12:00"}).status == 200
    assert api("tasks/feed").json["next_due"] == "2025-06-01T12:00:00-04:00"
    run = post("tasks/feed/run").json["run"]
    ticked.tick()
    assert api(f"runs/{run['id']}").json["state"] == "failed"
    assert post(f"runs/{run['id']}/cancel").status == 409
    again = post(f"runs/{run['id']}/rerun").json["run"]
    assert again["id"] != run["id"]
    assert post("pause-all", {"until": NOON + DAY}).json["changed"]
    assert {task["paused_until_posix"] for task in api("tasks").json["items"]} == {NOON + DAY}
    assert post("resume-all").json["changed"]


def test_a_key_starts_a_run_once(ticked, post):
    first, second = (post("tasks/report/run", headers={"Idempotency-Key": "k1"}) for _ in range(2))
    assert (first.status, first.body) == (second.status, second.body)
    ticked.tick()
    assert len(ticked.runs("report", since=NOON)) == 2  # the timetable's own, and one
    other = post("tasks/feed/run", headers={"Idempotency-Key": "k1"})
    assert (other.status, other.json["title"]) == (409, "Key in use")
    assert post("tasks/report/run", headers={"Idempotency-Key": "k2"}).json["run"]["id"] != first.json["run"]["id"]


def test_an_answer_is_given_again_as_each_client_takes_it(post, ticked):
    name = "☃" * 150  # an answer that is worth packing
    ticked.add_interval_task(fail, 1000, taskname=name)
    answers = {}
    for packing in ("gzip", "identity", "gzip"):
        sent = {"Idempotency-Key": "k", "Accept-Encoding": packing}
        answers[packing] = post(f"tasks/{segment(name)}/run", headers=sent)
    assert answers["gzip"].headers["content-encoding"] == "gzip"
    assert "content-encoding" not in answers["identity"].headers
    assert json.loads(gzip.decompress(answers["gzip"].body)) == answers["identity"].json


def test_of_two_requests_at_once_with_one_key_one_starts_a_run(ticked, post):
    answers = []
    threads = [
        threading.Thread(target=lambda: answers.append(post("tasks/report/run", headers={"Idempotency-Key": "k"})))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({answer.body for answer in answers}) == 1
    ticked.tick()
    assert len(ticked.runs("report")) == 2  # the timetable's own, and one


def test_a_refused_request_frees_its_key(ticked, post):
    assert post("tasks/nothing/run", headers={"Idempotency-Key": "k"}).status == 404
    assert post("tasks/report/run", headers={"Idempotency-Key": "k"}).status == 200


def test_keys_are_bounded_and_each_callers_own(ticked, console, post):
    for number in range(1100):
        console.replays.answer(("anna", number), "run", Response)
    assert len(console.replays._kept) == 1000


@pytest.mark.parametrize("key", ["", "x" * 256, "a b", "\xfc"])
def test_a_key_that_is_none_is_refused(post, key):
    assert post("tasks/report/run", headers={"Idempotency-Key": key}).status == 400


# -- etags -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["tasks", "tasks/report", "runs", "tasks/report/next", "health", "openapi.json"])
def test_what_has_not_changed_is_not_sent_again(api, path):
    etag = api(path).headers["etag"]
    for given in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        answer = api(path, headers={"If-None-Match": given})
        assert (answer.status, answer.body, answer.headers["etag"]) == (304, b"", etag)
    assert api(path, headers={"If-None-Match": '"other"'}).status == 200


def test_the_etag_changes_with_the_task(ticked, api):
    before = api("tasks/report").headers["etag"]
    ticked.pause("report")
    assert api("tasks/report").headers["etag"] != before


def test_a_change_of_what_has_changed_since_is_refused(ticked, api, post):
    etag = api("tasks/report").headers["etag"]
    assert post("tasks/report/pause", headers={"If-Match": etag}).status == 200
    answer = post("tasks/report/reschedule", {"timetable": "@daily"}, headers={"If-Match": etag})
    assert (answer.status, answer.json["title"]) == (412, "Changed")
    assert api("tasks/report").json["timetable"] == "every minute"
    assert post("tasks/report/resume", headers={"If-Match": "*"}).status == 200
    assert post("pause-all", headers={"If-Match": etag}).status == 412
    ticked.tick(HOUR)
    run = ticked.runs("feed")[0].id
    assert post(f"runs/{run}/rerun", headers={"If-Match": etag}).status == 412
    assert post(f"runs/{run}/rerun", headers={"If-Match": api(f"runs/{run}").headers["etag"]}).status == 200


# -- what is refused -------------------------------------------------------------------------------------------------

BAD_GETS = {
    400: [
        *("tasks?unknown=1", "tasks?limit=0", "tasks?limit=501", "tasks?limit=x", "tasks?limit=1&limit=2"),
        *("tasks?state=great", "tasks?q=%FF", "runs?state=ok,failed", "why?task=feed", "why?at=now", "simulate"),
        *("tasks/report/next?n=0", "tasks/report/next?n=1001", "tasks/report/next?n=1.5", "simulate?line=@daily&n=101"),
        *("tasks/report?x=1", "health?x=", "tasks?q=a%00b", "runs/%00", "tasks?q=%zz", f"tasks?q={'x' * 5000}"),
    ],
    404: ["", "tasks/nothing", "tasks/nothing/next", "runs/nothing", "runs/1e9", "runs/x/log", "why?task=no&at=now"],
    405: ["pause-all", "tasks/report/pause", "runs/x/cancel"],
    422: [
        *("runs?since=yesterday", "runs?since=25:00", "why?task=feed&at=x", "simulate?line=61+*+*+*+*"),
        *("simulate?line=os.system", "simulate?line=@daily&timezone=Mars/Base", "simulate?line=@daily&from=x"),
        *("simulate?line=@daily&timezone=", "simulate?line=@daily&timezone=Factory"),
        *("simulate?line=", "runs?before=x", "runs?since=2025-06-01T00:00:00 02:00"),
    ],
}  # fmt: skip


@pytest.mark.parametrize(("status", "path"), [(status, path) for status, paths in BAD_GETS.items() for path in paths])
def test_a_bad_question_gets_a_problem(api, status, path):
    answer = api(path)
    assert answer.status == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json["status"] == status
    assert answer.json["detail"]


@pytest.mark.parametrize(
    ("status", "path", "data"),
    [
        (422, "tasks/report/pause", {"until": "yesterday"}),
        (422, "tasks/report/pause", {"until": ["12:00"]}),
        (422, "tasks/report/pause", {"until": {"a": 1}}),
        (422, "tasks/report/pause", {"until": True}),
        (422, "tasks/report/pause", {"untli": "12:00"}),
        (422, "tasks/report/pause", {"until": "15:00", "timezone": "Berlin"}),
        (422, "tasks/report/pause", {"until": "15:00", "timezone": ""}),
        (422, "tasks/report/pause", {"until": "15:00", "timezone": "Factory"}),
        (422, "tasks/report/reschedule", {"timetable": "@daily", "timezone": ""}),
        (422, "tasks/report/pause", {"until": ""}),
        (422, "tasks/report/pause", ["15:00"]),
        (422, "tasks/report/pause", "15:00"),
        (422, "tasks/report/pause", 0),
        (422, "tasks/report/run", {"args": ["rm"]}),
        (422, "tasks/report/reschedule", {}),
        (422, "tasks/report/reschedule", None),
        (422, "tasks/report/reschedule", {"timetable": 60}),
        (422, "tasks/report/reschedule", {"timetable": "os.system"}),
        (422, "tasks/report/reschedule", {"timetable": "@daily", "action": "os.system"}),
        (404, "tasks/nothing/pause", {}),
        (404, "runs/nothing/cancel", {}),
        (405, "tasks/report", {}),
        (404, "tasks/report/delete", {}),
        (404, "pause_all", {}),
    ],
)
def test_a_bad_change_gets_a_problem_and_changes_nothing(ticked, post, status, path, data):
    version = ticked.version
    answer = post(path, data)
    assert (answer.status, answer.headers["content-type"]) == (status, "application/problem+json")
    assert answer.json["detail"]
    assert ticked.version == version


CHANGES = [route for route in TABLE if route.role == "operator"]


@pytest.mark.parametrize("route", CHANGES, ids=lambda route: route.path)
def test_no_one_changes_anything_but_an_operator_where_that_is_allowed(ticked, monkeypatch, route):
    monkeypatch.setattr(passwords, "N", 2)
    path, kept = route.path.format(name="report", id="x"), passwords.hash_password("secret")
    version = ticked.version
    tokens = {"ci": {"hash": kept, "role": "viewer"}, "cd": {"hash": kept, "role": "operator"}}
    settings = ConsoleSettings(users={"dev": kept}, tokens=tokens)
    sent = {"form": {}} if not route.is_api else {"data": {}}
    basic = {"Authorization": "Basic ZGV2OnNlY3JldA=="}  # dev:secret
    assert Client(Console(ticked, settings)).post(path, headers=basic, **sent).status == 403
    assert Client(Console(ticked, ConsoleSettings(read_only=True))).post(path, **sent).status == 403
    if route.is_api:
        bearer = {"Authorization": "Bearer secret"}
        viewer = ConsoleSettings(tokens={"ci": tokens["ci"]})
        assert Client(Console(ticked, viewer)).post(path, headers=bearer, **sent).status == 403
        operator = ConsoleSettings(tokens={"cd": tokens["cd"]}, read_only=True)
        assert Client(Console(ticked, operator)).post(path, headers=bearer, **sent).status == 403
    assert ticked.version == version


def test_a_scheduler_in_another_process_is_out_of_reach():
    class Elsewhere(TickedScheduler):
        def _check_read(self):
            raise WrongProcess("its timetable is in its child process")

        _check_use = _check_read

    client = Client(Console(Elsewhere(NOON)))
    for path in ("tasks", "tasks/report", "runs", "health"):
        answer = client.get(f"{API}/{path}")
        assert (answer.status, answer.json["detail"]) == (503, "its timetable is in its child process.")
    assert client.post(f"{API}/pause-all", data={}).status == 503
    assert client.get("").status == 503


def test_the_description_knows_the_path_of_the_mount(console):
    described = Client(console, script_name="/shop/jobs").get(f"{API}/openapi.json").json
    assert described["servers"][0]["url"] == "/shop/jobs/api/v1"
