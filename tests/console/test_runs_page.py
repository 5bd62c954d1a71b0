"""The page of all runs: filters, what is hidden, pages by key."""

import re
from datetime import UTC, datetime

import pytest
from helpers import DAY, HOUR, noop
from reading import link, links, text_of


def fail():
    raise ValueError("no such table <b>rank</b>")


def run_ids(answer):
    return re.findall(r'<tr id="run-([^"]+)"', answer.text)


def tasks_on(answer):
    return set(re.findall(r'<th scope="row" class="name"><a [^>]*>([^<]*)</a>', answer.text))


@pytest.fixture
def day(ticked):
    """A day of runs: one good and one that fails each hour, and one that is paused."""
    ticked.add_interval_task(noop, interval=HOUR, taskname="good")
    ticked.add_interval_task(fail, interval=HOUR, taskname="bad")
    ticked.add_interval_task(noop, interval=HOUR, taskname="held")
    ticked.pause("held")
    ticked.tick(DAY / 2)
    return ticked


def test_runs_are_listed_newest_first_with_what_happened(client, day):
    page = client.get("runs")
    assert page.status == 200
    text = text_of(page)
    assert "ValueError: no such table <b>rank</b>" in text
    assert text.index("Mon 2 Jun 00:00:00 UTC") < text.index("Sun 1 Jun 23:00:00 UTC")
    assert [f"runs/{id}" for id in run_ids(page)] == [each for each in links(page) if each.startswith("runs/")]


def test_what_did_not_run_is_hidden_until_it_is_asked_for(client, day):
    page = client.get("runs")
    assert tasks_on(page) == {"good", "bad"}
    assert tasks_on(client.get(link(page, "Show them"))) == {"good", "bad", "held"}
    assert tasks_on(client.get(link(page, "Did not run"))) == {"held"}
    assert tasks_on(client.get("runs?state=skipped")) == {"held"}


def test_an_occurrence_that_did_not_run_leads_to_why(client, day):
    page = client.get("runs?hidden=1&task=held")
    answer = text_of(client.get(links(page, "Why?")[0]))
    assert "It did not run (due Mon 2025-06-02 00:00:00 UTC (+00:00)): skipped: paused." in answer


def test_filters_stand_in_the_url_and_go_together(client, day):
    page = client.get("runs?task=bad&since=2025-06-01T20:00")
    assert tasks_on(page) == {"bad"}
    assert len(run_ids(page)) == 5
    failures = link(page, "Failures")
    assert "task=bad" in failures
    assert "since=2025-06-01T20%3A00" in failures
    assert run_ids(client.get(failures)) == run_ids(page)
    assert run_ids(client.get(link(page, "In progress"))) == []


@pytest.mark.parametrize(("since", "expected"), [("1h", 2), ("24h", 13), ("7d", 13)])
def test_a_span_counts_back_from_now(client, day, since, expected):
    assert len(run_ids(client.get(f"runs?task=bad&since={since}"))) == expected


def test_the_runs_of_a_day_end_before_the_midnight_that_follows(client, day):
    page = client.get("runs?task=good&since=2025-06-01&until=2025-06-02")
    assert len(run_ids(page)) == 12
    assert "Mon 2 Jun 00:00:00 UTC" not in text_of(page).partition("What happened")[2]
    assert len(run_ids(client.get("runs?task=good&since=2025-06-02&until=2025-06-03"))) == 1


def test_times_are_in_the_zone_that_the_reader_chose(client, day):
    cookie = {"Cookie": "tgs_zone=browser:Asia/Tokyo"}
    assert "Mon 2 Jun 09:00:00 JST" in text_of(client.get("runs", headers=cookie))
    assert len(run_ids(client.get("runs?task=good&since=2025-06-02T08:00", headers=cookie))) == 2


def test_pages_meet_without_a_gap_though_many_runs_share_a_due_time(client, ticked):
    for number in range(13):
        ticked.add_interval_task(noop, interval=HOUR, taskname=f"task {number}", initialdelay=0)
    ticked.tick(10 * HOUR)
    page = client.get("runs")
    found = run_ids(page)
    assert links(page, "Newest") == []
    while older := links(page, "Older"):
        page = client.get(older[0])
        found += run_ids(page)
    assert found == [run.id for run in ticked.runs(limit=1000)]
    assert len(found) == len(set(found)) == 143
    assert run_ids(client.get(link(page, "Newest"))) == found[:50]


def test_a_page_that_ends_the_list_exactly_has_no_next_one(client, ticked):
    ticked.add_interval_task(noop, interval=HOUR, taskname="task")
    ticked.tick(49 * HOUR)
    assert len(run_ids(client.get("runs"))) == 50
    assert links(client.get("runs"), "Older") == []


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("state=done", "expected one of waiting, running, ok"),
        ("since=yesterday", "or one of 1h, 24h, 7d"),
        ("until=2025-13-01", "is no moment"),
        ("before=nonsense", "expected the cursor of a run"),
        ("hidden=maybe", "hidden: expected true or false"),
        ("task=a&task=b", "Expected task once"),
    ],
)
def test_a_bad_filter_is_a_problem_that_says_what_was_expected(client, day, query, expected):
    answer = client.get(f"runs?{query}")
    assert answer.status == 400
    assert expected in text_of(answer)


def test_an_unknown_filter_is_ignored(client, day):
    assert client.get("runs?colour=red").status == 200


def test_a_name_with_markup_is_text(client, ticked):
    name = "<script>alert(1)</script> a/b ‰ %2F #🐍"
    ticked.add_interval_task(noop, interval=HOUR, taskname=name)
    ticked.tick(HOUR)
    page = client.get("runs")
    assert name in text_of(page)
    assert "<script>alert" not in page.text
    assert client.get(links(page, name)[0]).status == 200


def test_nothing_has_run_yet(client):
    assert "Nothing has run yet" in text_of(client.get("runs"))


def test_no_run_matches(client, day):
    page = client.get("runs?task=godo")
    assert "No run matches The name of a task must match as a whole." in text_of(page)
    assert link(page, "Clear the filters") == "runs"


def test_a_run_in_progress_is_listed_without_an_end(client, ticked):
    pages = []

    def slow():
        ticked.clock.advance(30)
        pages.append(client.get("runs?state=running"))

    ticked.add_single_task(slow, initialdelay=HOUR, taskname="slow")
    ticked.tick(HOUR)
    assert "running slow Sun 1 Jun 13:00:00 UTC +0 ms 30 s ago" in text_of(pages[0])


def test_the_page_is_not_sent_again_until_something_has_changed(client, day):
    tag = client.get("runs").headers["etag"]
    again = {"If-None-Match": tag}
    assert client.get("runs", headers=again).status == 304
    day.run_now("good")
    day.tick()
    assert client.get("runs", headers=again).status == 200


def test_the_years_of_older_runs_are_shown(client, ticked):
    ticked.add_interval_task(noop, interval=400 * DAY, taskname="rare")
    ticked.tick_to(datetime(2026, 8, 1, tzinfo=UTC).timestamp())
    ticked.tick(200 * DAY)
    assert "Mon 6 Jul 2026 12:00:00 UTC" in text_of(client.get("runs"))
