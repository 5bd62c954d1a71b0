"""The calendar: a month, a cell a day."""

import re
from datetime import UTC, datetime
from html import unescape

import pytest
from asking import Client
from helpers import DAY, HOUR, noop
from reading import link, links, text_of

from tgscheduler.console.console import Console
from tgscheduler.testing import TickedScheduler


def fail():
    raise ValueError("no")


def cells(answer):
    """Return the text of each day's cell, by its number; the days beside the month are left out."""
    found = re.findall(r'<td class="([^"]*)"[^>]*>(.*?)</td>', answer.text, re.DOTALL)
    days = [
        " ".join(unescape(re.sub("<[^>]*>", " ", inner)).split()) for classes, inner in found if "beside" not in classes
    ]
    return {int(day.split()[1]): day for day in days}


@pytest.fixture
def june(ticked):
    """Two days of June: one run a day that is good, two that fail, and one that is paused."""
    ticked.add_weekday_task(noop, range(1, 8), (9, 0), taskname="good")
    ticked.add_weekday_task(fail, range(1, 8), [(9, 0), (15, 0)], taskname="bad")
    ticked.add_weekday_task(noop, range(1, 8), (3, 0), taskname="held")
    ticked.pause("held", ticked.clock.now() + 1.5 * DAY)
    ticked.tick(2 * DAY)
    return ticked


def test_the_present_month_is_shown_with_today_marked(client, june):
    page = client.get("calendar")
    assert text_of(page).startswith("June 2025")
    assert len(cells(page)) == 30
    assert page.text.count('aria-current="date"') == 1
    assert 'class=" today"' in page.text
    assert 'scope="col"><abbr title="Monday">Mon' in page.text


def test_a_day_to_come_has_its_fires_and_the_tasks(client, june):
    assert cells(client.get("calendar"))[20].startswith("Fri 20 June 4 fires")
    assert cells(client.get("calendar"))[20].endswith("bad, held, good")


def test_minutes_in_which_tasks_meet_are_counted(client, june):
    assert "1 collision" in cells(client.get("calendar"))[20]


def test_a_task_that_fires_often_is_no_collision(client, june):
    june.add_interval_task(noop, interval=60, taskname="often")
    page = client.get("calendar")
    assert "1 collision" in cells(page)[20]
    assert "1,444 fires" in cells(page)[20]


def test_a_day_that_is_over_has_what_became_of_it_and_leads_to_these_runs(client, june):
    page = client.get("calendar")
    assert "2 failed 1 ok 1 did not run" in cells(page)[2]
    assert "fire" not in cells(page)[2]
    assert text_of(page).startswith("June 2025 4 failed")
    runs = client.get(links(page, "2 failed")[0])
    assert runs.text.count('<tr id="run-') == 2
    assert text_of(client.get(link(page, "1 did not run"))).count("Mon 2 Jun 03:00:00") == 1


def test_today_has_both(client, june):
    assert "1 failed 2 ok 1 fire" in cells(client.get("calendar"))[3]


def test_a_day_lists_its_fires_by_task_and_where_they_meet(client, june):
    page = client.get("calendar?month=2025-06&day=2025-06-20")
    text = text_of(page)
    assert "Friday, 20 June 2025 Runs of this day" in text
    assert "bad 2 09:00:00 15:00:00" in text
    assert "Collisions 1 minute 09:00:00 UTC bad, good" in text
    assert link(page, "Runs of this day") == "runs?since=2025-06-20&until=2025-06-21&hidden=1"


def test_a_fire_that_a_pause_skips_says_so(client, june):
    june.pause("good")
    assert "good 1 09:00:00 paused: it does not run" in text_of(client.get("calendar?day=2025-06-20"))


def test_a_day_that_is_over_has_no_fires_to_list(client, june):
    page = client.get("calendar?day=2025-06-02")
    assert "This day is over: see its runs , or ask why a task did not run ." in text_of(page)
    assert link(page, "why a task did not run") == "why?at=2025-06-02"


def test_the_months_are_linked_one_to_the_next(client, june):
    page = client.get("calendar?month=2025-12")
    assert text_of(page).startswith("December 2025")
    assert 'rel="prev" href="./calendar?month=2025-11"' in page.text
    assert 'rel="next" href="./calendar?month=2026-01"' in page.text


def test_days_are_those_of_the_zone_that_the_reader_chose(june, console):
    client = Client(console, headers={"Cookie": "tgs_zone=browser:Pacific/Auckland"})
    june.cancel("bad")
    june.cancel("held")
    june.add_single_task(noop, at=datetime(2025, 6, 20, 13, tzinfo=UTC), taskname="once")  # 01:00 of the 21st there
    page = client.get("calendar")
    assert "2 fires" in cells(page)[21]
    assert "1 fire" in cells(page)[20]
    assert "once" in text_of(client.get("calendar?day=2025-06-21"))


def test_a_clock_change_is_noted_on_its_day():
    scheduler = TickedScheduler(start=datetime(2025, 3, 1, tzinfo=UTC), timezone="Europe/Berlin")
    scheduler.add_weekday_task(noop, range(1, 8), (2, 30), taskname="it")
    page = Client(Console(scheduler)).get("calendar?day=2025-03-30")
    assert "03:00:00 02:30 does not exist" in text_of(page)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("month=june", "expected one from 1970-01 to 2200-12"),
        ("month=2025-13", "such as 2026-11, got '2025-13'"),
        ("month=1969-12", "1970-01"),
        ("month=2201-01&day=2201-01-01", "2200-12"),
        ("day=2025-13-01", "day: expected one of the month"),
        ("month=2025-06&day=2025-08-01", "day: expected one of the month"),
        ("month=2025-06&month=2025-07", "Expected month once"),
    ],
)
def test_a_bad_month_or_day_is_a_problem_that_says_what_was_expected(client, june, query, expected):
    answer = client.get(f"calendar?{query}")
    assert answer.status == 400
    assert expected in text_of(answer)


@pytest.mark.parametrize("month", ["1970-01", "2024-02", "2200-12"])
def test_every_month_has_all_its_days(client, june, month):
    page = client.get(f"calendar?month={month}")
    assert list(cells(page)) == list(range(1, {"1970-01": 32, "2024-02": 30, "2200-12": 32}[month]))


def test_a_trigger_that_raises_is_told_on_the_day(client, ticked):
    class Broken:
        def next_after(self, moment):
            if moment > ticked.clock.now() + HOUR:
                raise OSError("no <b>calendar</b>")
            return moment + HOUR

    ticked.add_task(noop, Broken(), taskname="broken")
    page = client.get("calendar?day=2025-06-02")
    assert "broken: its trigger raised OSError: no <b>calendar</b>" in text_of(page)
    assert "<b>calendar" not in page.text


def test_a_name_with_markup_is_text(client, ticked):
    ticked.add_weekday_task(noop, range(1, 8), (9, 0), taskname="<script>alert(1)</script>")
    page = client.get("calendar?day=2025-06-20")
    assert "<script>alert(1)</script> 1 09:00:00" in text_of(page)
    assert "<script>alert" not in page.text


def test_weeks_without_anything_say_so(client):
    assert "Nothing was due in these weeks, and nothing is to come." in text_of(client.get("calendar"))
