"""The page that shows what a timetable would do."""

from datetime import UTC, datetime
from html import unescape

import pytest
from asking import Client
from helpers import noop
from reading import links, text_of

from tgscheduler.console.console import Console
from tgscheduler.testing import TickedScheduler


def test_the_form_shows_what_can_be_typed_and_each_example_works(client):
    page = client.get("simulate")
    examples = [each for each in links(page) if each.startswith("simulate?line=")]
    assert len(examples) == 7
    for each in examples:
        assert "It fires" in text_of(client.get(each)), each


@pytest.mark.parametrize(
    ("line", "words", "code"),
    [
        ("0+9+*+*+1-5", "at 09:00 on Monday through Friday", "add_cron_task(action, '0 9 * * 1-5', timezone='UTC')"),
        ("every+90+s", "every 90 seconds", "add_interval_task(action, interval=90)"),
        ("mon-fri+09:00", "on weekdays (Mon-Fri) at 09:00", "add_weekday_task(action, [1, 2, 3, 4, 5], (9, 0)"),
        ("1,15+02:30", "on the 1st and the 15th of the month at 02:30", "add_monthday_task(action, [1, 15], (2, 30)"),
    ],
)
def test_a_timetable_is_shown_in_words_as_code_and_by_its_fires(client, line, words, code):
    page = client.get(f"simulate?line={line}")
    text = text_of(page)
    assert page.status == 200
    assert words in text
    assert code in text
    assert page.text.count('<th scope="row"') == 20


def test_fires_are_shown_in_the_readers_zone_and_meant_in_that_of_the_timetable(client):
    text = text_of(client.get("simulate?line=daily+09:00&zone=Asia/Tokyo"))
    assert "every day at 09:00, Asia/Tokyo" in text
    assert "Mon 2 Jun 00:00:00 UTC in 12 h" in text


def test_a_clock_change_is_noted():
    scheduler = TickedScheduler(start=datetime(2025, 3, 29, tzinfo=UTC), timezone="Europe/Berlin")
    text = text_of(Client(Console(scheduler)).get("simulate?line=daily+02:30"))
    assert "Sun 30 Mar 03:00:00 CEST" in text
    assert "02:30 does not exist" in text


def test_no_column_of_notes_without_notes(client):
    assert "Note" not in text_of(client.get("simulate?line=daily+02:30"))


def test_day_fields_of_which_either_suffices_are_warned_of(client):
    assert "either suffices" in text_of(client.get("simulate?line=30+9+1+*+1"))


def test_collisions_with_the_tasks_that_there_are(client, ticked):
    ticked.add_weekday_task(noop, range(1, 8), (9, 0), taskname="rank <b>")
    text = text_of(client.get("simulate?line=mon-fri+09:00"))
    assert "Collisions 20 minutes rank <b> 20 times, first Mon 09:00 UTC" in text
    assert "No other task fires in the same minute" in text_of(client.get("simulate?line=mon-fri+10:00"))


@pytest.mark.parametrize(
    ("query", "field", "expected"),
    [
        ("line=evry+5", "line", "expected a cron line such as '0 9 * * 1-5'"),
        ("line=0+25+*+*+*", "line", "hour"),
        ("line=every+0+s", "line", "every: expected"),
        ("line=25:00", "line", "expected a time of day from 00:00 to 23:59"),
        ("line=0+0+30+2+*", "line", "no date ever matches"),
        ("line=%3Cb%3E+%22", "line", "got '<b> \"'"),
        ("line=" + "x" * 300, "line", "expected a cron line"),
        ("line=daily+09:00&zone=Berlin", "zone", "did you mean 'Europe/Berlin'"),
        ("line=daily+09:00&zone=../../etc/passwd", "zone", "is no time zone"),
    ],
)
def test_bad_input_says_beside_its_field_what_was_expected(client, query, field, expected):
    page = client.get(f"simulate?{query}")
    assert page.status == 400
    problem = page.text.partition(f'id="{field}-problem"')[2].partition("</p>")[0]
    assert expected in unescape(problem)
    assert "<b> " not in page.text


def test_what_was_typed_stays_in_the_fields(client):
    page = client.get("simulate?line=evry+%225%22&zone=Asia/Tokyo")
    assert 'value="evry &#34;5&#34;"' in page.text
    assert 'value="Asia/Tokyo"' in page.text
