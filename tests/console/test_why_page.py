"""The page that says why a task did or did not run."""

from html import unescape

import pytest
from helpers import DAY, HOUR, noop
from reading import link, links, text_of


@pytest.fixture
def task(ticked):
    """A scheduler with a task at 09:00."""
    ticked.add_weekday_task(noop, range(1, 8), (9, 0), taskname="rank")
    ticked.tick(2 * DAY)
    return ticked


def test_the_form_asks_for_a_task_and_a_moment(client, task):
    page = client.get("why")
    assert page.status == 200
    assert '<option value="rank">' in page.text
    assert 'value="2025-06-03T12:00:00"' in page.text  # now
    assert "skipped, missed or lost" in text_of(page)


def test_a_run_is_the_answer(client, task):
    text = text_of(client.get("why?task=rank&at=2025-06-02T09:00"))
    assert "rank at Mon 2 Jun 2025 09:00:00 UTC" in text
    assert "It ran (due Mon 2025-06-02 09:00:00 UTC (+00:00)): ok" in text


def test_a_moment_without_a_fire_shows_the_fires_around_it(client, task):
    text = text_of(client.get("why?task=rank&at=2025-06-02T10:00"))
    assert "Its timetable has no fire then: it fires every day at 09:00, UTC." in text
    assert "The fire before: Mon 2025-06-02 09:00:00 UTC (+00:00)." in text


def test_a_moment_to_come_is_answered_too(client, task):
    assert "Still to come: due Wed 2025-06-04 09:00:00" in text_of(client.get("why?task=rank&at=2025-06-04T09:00"))


def test_wall_time_is_read_in_the_zone_that_the_reader_chose(client, task):
    page = client.get("why?task=rank&at=2025-06-02T18:00", headers={"Cookie": "tgs_zone=browser:Asia/Tokyo"})
    assert "rank at Mon 2 Jun 2025 18:00:00 JST" in text_of(page)
    assert "It ran" in text_of(page)
    assert 'value="2025-06-02T18:00:00"' in page.text


def test_a_moment_with_its_offset_is_that_moment(client, task):
    assert "It ran" in text_of(client.get("why?task=rank&at=2025-06-02T11:00:00%2B02:00"))


def test_the_answer_leads_to_the_task_and_its_runs_up_to_then(client, task):
    page = client.get("why?task=rank&at=2025-06-02T09:00")
    assert link(page, "The task") == "tasks/rank"
    runs = client.get(link(page, "Its runs up to then"))
    assert "Mon 2 Jun 09:00:00" in text_of(runs)
    assert "Tue 3 Jun 09:00:00" not in text_of(runs)


def test_a_task_that_is_gone_is_answered_from_its_history(client, task):
    task.cancel("rank")
    assert "It ran" in text_of(client.get("why?task=rank&at=2025-06-02T09:00"))


@pytest.mark.parametrize(
    ("query", "field", "expected"),
    [
        ("task=nothing&at=2025-06-02T09:00", "task", "there is no task 'nothing' here, and no record of one"),
        ("task=rank&at=yesterday", "at", "expected '2026-11-25T09:00:00+01:00'"),
        ("task=rank&at=2025-02-30T09:00", "at", "is no moment"),
        ("task=rank&at=99999-01-01", "at", "expected"),
    ],
)
def test_a_bad_field_says_beside_it_what_was_expected(client, task, query, field, expected):
    page = client.get(f"why?{query}")
    assert page.status == 400
    problem = page.text.partition(f'id="{field}-problem"')[2].partition("</p>")[0]
    assert expected in unescape(problem)
    assert links(page, "The task") == []


@pytest.mark.parametrize("query", ["task=rank", "at=2025-06-02T09:00", "task=&at="])
def test_half_a_question_is_the_form_again(client, task, query):
    page = client.get(f"why?{query}")
    assert page.status == 200
    assert links(page, "The task") == []


def test_a_name_and_a_reason_with_markup_are_text(client, ticked):
    ticked.add_interval_task(noop, interval=HOUR, taskname="<script>alert(1)</script>")
    ticked.tick()
    page = client.get("why?task=%3Cscript%3Ealert(1)%3C/script%3E&at=2025-06-01T12:00")
    assert "It ran" in text_of(page)
    assert "<script>alert" not in page.text
