"""The page of a task: what it is, its next fires, runs and figures, what was done to it; also of one that is gone."""

import json
import re
from datetime import UTC, datetime
from html import unescape

import pytest
from asking import Client
from helpers import HOUR, NOON, noop
from reading import link, links, text_of

from tgscheduler import stores
from tgscheduler.console.console import Console
from tgscheduler.console.pages.task import CHARTED, FIRES, RUNS
from tgscheduler.stores.audit import AuditRecord
from tgscheduler.testing import TickedScheduler
from tgscheduler.timetable.policy import Retry


def rank(limit, token):
    """Rank the products.

    Longer words.
    """
    raise ValueError("no such table rank")


@pytest.fixture
def world(ticked):
    def act(seconds=2.0):
        ticked.clock.advance(seconds)

    ticked.add_interval_task(act, interval=HOUR, taskname="sync")
    ticked.add_weekday_task(
        rank, range(1, 8), (13, 0), taskname="rank", kw={"limit": 100, "token": "s3cret"}, timeout=300,
        retry=Retry(times=1, delay=30),
    )  # fmt: skip
    ticked.tick(5 * HOUR)
    return ticked


def test_a_task_says_its_state_its_timetable_and_its_next_fire(client, world):
    assert text_of(client.get("tasks/sync")).startswith("Schedule sync ok")
    assert "Every hour. Next in 60 min ." in text_of(client.get("tasks/sync"))


def test_what_is_wrong_is_said_at_the_top(client, world):
    text = text_of(client.get("tasks/rank"))
    assert "failing On weekdays" in text or "failing Every day at 13:00" in text
    assert "Failed at 13:00:00 UTC : ValueError: no such table rank" in text


def test_the_definition_is_shown_with_its_source_and_without_its_secrets(client, world):
    page = client.get("tasks/rank")
    text = text_of(page)
    assert "action test_task_page.rank" in text
    assert re.search(r"source \S*test_task_page\.py:\d+", text)
    assert "Rank the products." in text
    assert "Longer words." not in text
    assert "limit = 100 token = \u2022\u2022\u2022" in text
    assert "s3cret" not in page.text
    assert "a run may take 5 min" in text
    assert "tried again once" in text


def test_a_task_with_no_choices_of_its_own_says_the_defaults(client, world):
    assert "policy the defaults: one run makes up for missed ones" in text_of(client.get("tasks/sync"))


def test_the_next_ten_fires_are_listed(client, world):
    text = text_of(client.get("tasks/sync")).partition(" Next Sun")[2].partition("Definition")[0]
    assert len(re.findall(r"\d\d:00:0\d UTC", text)) == FIRES
    assert "in 60 min" in text


def test_a_fire_that_a_clock_change_moves_has_a_note(console):
    berlin = TickedScheduler(start=datetime(2025, 3, 29, tzinfo=UTC), timezone="Europe/Berlin")
    berlin.add_weekday_task(noop, range(1, 8), (2, 30), taskname="night")
    text = text_of(Client(Console(berlin)).get("tasks/night"))
    assert "Sun 30 Mar 03:00:00 CEST" in text
    assert "02:30 does not exist" in text


def test_fires_that_a_pause_skips_are_marked(client, world):
    world.pause("sync", until=world.clock.now() + 1.5 * HOUR)
    text = text_of(client.get("tasks/sync"))
    assert "sync paused Every hour. Paused until 18:30:" in text
    assert text.partition(" Next Sun")[2].partition("Definition")[0].count(" paused ") == 1


def test_the_runs_are_listed_with_a_link_to_all(client, world):
    page = client.get("tasks/rank")
    assert "failed Sun 1 Jun 13:00:00 UTC" in text_of(page)
    assert "ValueError: no such table rank attempt 2" in text_of(page)
    assert link(page, "All its runs") == "runs?task=rank&hidden=1"
    for _ in range(30):
        world.run_now("sync")
        world.tick(5)
    assert client.get("tasks/sync").text.count('<tr id="run-') == RUNS


def test_the_chart_and_the_figures_are_those_of_the_runs(client, world):
    page = client.get("tasks/sync")
    assert "Duration of the last 6 runs median 2.0 s p95 2.0 s success 100 %" in text_of(page)
    data = json.loads(unescape(re.findall(r'data-chart="([^"]*)"', page.text)[0]))
    assert data["ok"] == pytest.approx([2.0] * 6)
    assert [name for name, _ in data["figures"]] == ["median", "p95"]


def test_a_chart_has_fifty_runs_at_most(client, world):
    for _ in range(60):
        world.run_now("sync")
        world.tick(5)
    assert f"Duration of the last {CHARTED} runs" in text_of(client.get("tasks/sync"))


def test_failures_beyond_those_that_are_looked_at_are_at_least_so_many(client, ticked):
    def fail():
        raise ValueError("no")

    ticked.add_interval_task(fail, interval=60, taskname="bad")
    ticked.tick(28 * 60)
    assert "bad has failed 29 times since 12:00:00 UTC : ValueError: no" in text_of(client.get(""))
    ticked.tick(60)
    assert "bad has failed at least 30 times since 12:00:00 UTC or earlier: ValueError: no" in text_of(client.get(""))
    assert "Failed 30 times since 12:00:00 UTC : ValueError" in text_of(client.get("tasks/bad"))
    ticked.tick(60 * 60)
    schedule, task = text_of(client.get("")), text_of(client.get("tasks/bad"))
    assert "bad has failed at least 30 times since 13:00:00 UTC or earlier: ValueError: no" in schedule
    assert "failed at least 30 times 0 ms" in schedule
    assert "Failed at least 50 times since 12:40:00 UTC or earlier: ValueError: no" in task


def test_a_task_that_has_not_run_has_no_chart(client, ticked):
    ticked.add_interval_task(noop, interval=60, taskname="young")
    page = client.get("tasks/young")
    assert "data-chart" not in page.text
    assert "It has not run yet" in text_of(page)


def test_what_was_done_to_it_and_by_whom_is_listed(client, world):
    at = world.clock.now()
    world.audit(AuditRecord(at, "ops", "operator", "pause", "rank", "until 18:00", "console from 127.0.0.1"))
    world.audit(AuditRecord(at, "ci", "operator", "run", "rank", outcome="it has ended"))
    world.audit(AuditRecord(at, "eve", "operator", "pause", "sync"))
    world.audit(AuditRecord(at, "ann", "operator", "pause_all"))
    world.audit(AuditRecord(at, "bob", "operator", "resume_all", outcome="nothing to do"))
    text = text_of(client.get("tasks/rank")).partition("Changes")[2]
    assert "ann paused all tasks" in text
    assert "bob tried to resume all tasks: nothing to do" in text
    assert "ops paused it, until 18:00" in text
    assert "console from 127.0.0.1" in text
    assert "ci tried to run it: it has ended" in text
    assert "eve" not in text


def test_the_actions_are_those_that_make_sense(client, world):
    assert {"tasks/sync/run", "tasks/sync/pause", "tasks/sync/reschedule"} <= set(links(client.get("tasks/sync")))
    world.pause("sync")
    page = client.get("tasks/sync")
    assert "tasks/sync/resume" in links(page)
    assert "tasks/sync/pause" not in links(page)


def test_a_form_asks_why_it_did_not_run(client, world):
    form = client.get("tasks/sync").text.partition('action="../why"')[2].partition("</form>")[0]
    assert 'name="task" value="sync"' in form
    assert 'name="at"' in form


def test_a_task_that_has_ended_says_so_and_offers_nothing(client, ticked):
    task = ticked.add_single_task(noop, initialdelay=10, taskname="once")
    ticked.tick(60)
    assert task is not None
    page = client.get("tasks/once")
    assert page.status == 200
    assert "Run now" not in text_of(page)
    assert "ok Sun 1 Jun 12:00:10 UTC" in text_of(page)


def test_a_task_that_is_gone_shows_its_history_and_says_so(client, world):
    world.cancel("rank")
    page = client.get("tasks/rank")
    assert page.status == 200
    assert "no task of this name any more" in text_of(page) or "It fires no more" in text_of(page)
    assert "ValueError: no such table rank" in text_of(page)
    assert "Run now" not in page.text


def test_a_task_that_never_was_is_not_found(client, world):
    answer = client.get("tasks/nothing%3Cb%3E")
    assert answer.status == 404
    assert "There is no task 'nothing<b>' here" in text_of(answer)


@pytest.mark.parametrize(
    "name", ["a/b", "100 %", "#1", "?", "\N{PARTY POPPER}", "..", "~.", "a b", "\u00e9", "run", "x" * 200]
)
def test_a_name_may_hold_any_printable_character(client, ticked, name):
    ticked.add_interval_task(noop, interval=60, taskname=name)
    ticked.tick(60)
    address = link(client.get(""), name)
    page = client.get(address)
    assert page.status == 200
    assert f"Schedule {name} ok" in text_of(page)


def test_what_went_wrong_is_read_from_a_database_too(tmp_path):
    ticked = TickedScheduler(start=NOON, store=stores.open(f"sqlite:///{tmp_path}/runs.db"))
    ticked.add_interval_task(rank, interval=HOUR, taskname="rank", kw={"limit": 1, "token": ""})
    ticked.tick(2 * HOUR)
    client = Client(Console(ticked))
    assert text_of(client.get("tasks/rank")).count("ValueError: no such table rank") == 4  # at the top, three runs
    assert "rank has failed 3 times since 12:00:00 UTC : ValueError: no such table rank" in text_of(client.get(""))
    ticked.stop()
