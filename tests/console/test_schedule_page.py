"""The schedule: what is wrong first, the timeline and its table, the tasks with search, filter, sort and pages."""

import re
from html import unescape

import pytest
from helpers import DAY, HOUR, noop
from reading import links, text_of

from tgscheduler.console.pages.schedule import LANES
from tgscheduler.timetable.triggers import Trigger


def fail():
    raise ValueError("no such table <b>rank</b>")


def rows(answer):
    """Return the cells of the table of tasks by task: {class: text}."""
    table = answer.text.partition('<table class="list tasks">')[2].partition("</table>")[0]
    found = {}
    for row in table.split("<tr id=")[1:]:
        cells = re.findall(r'<t[dh](?: scope="row")? class="([^"]*)">(.*?)</t[dh]>', row, re.DOTALL)
        texts = {kind.split()[-1]: " ".join(unescape(re.sub("<[^>]*>", " ", cell)).split()) for kind, cell in cells}
        found[texts["name"]] = texts
    return found


def lanes(answer):
    return re.findall(
        r"<li><a[^>]*>([^<]*)</a></li>", answer.text.partition('<div class="lanes">')[2].partition("</ul>")[0]
    )


@pytest.fixture
def world(ticked):
    ticked.add_interval_task(noop, interval=600, taskname="sync")
    ticked.add_interval_task(fail, interval=1800, taskname="rank")
    ticked.add_weekday_task(noop, range(1, 6), (9, 0), taskname="mail")
    ticked.add_cron_task(noop, "30 2 1 * *", taskname="books")
    ticked.tick(2 * HOUR)
    return ticked


# -- what is wrong -----------------------------------------------------------------------------------------------------


def test_what_is_wrong_is_said_before_any_figure(client, world):
    text = text_of(client.get(""))
    assert text.startswith("1 failing 4 tasks, next in 10 min rank has failed 5 times since 12:00:00 UTC : ")
    assert text.index("ValueError: no such table <b>rank</b>") < text.index("failed today 5") < text.index("runs today")


def test_a_single_failure_is_said_with_its_time(client, ticked):
    ticked.add_interval_task(fail, interval=HOUR, taskname="rank", initialdelay=HOUR)
    ticked.tick(HOUR)
    assert "rank has failed at 13:00:00 UTC : ValueError" in text_of(client.get(""))


def test_of_many_failing_tasks_some_are_named_and_the_others_are_a_link(client, ticked):
    for number in range(5):
        ticked.add_interval_task(fail, interval=HOUR, taskname=f"rank{number}", initialdelay=HOUR)
    ticked.tick(HOUR)
    page = client.get("")
    assert text_of(page).count("has failed at") == 3
    assert "?state=failing" in links(page, "and 2 more")


def test_where_all_is_well_the_next_fire_is_what_there_is_to_say(client, ticked):
    ticked.add_interval_task(noop, interval=HOUR, taskname="sync", initialdelay=HOUR)
    assert text_of(client.get("")).startswith("all well 1 task, next in 60 min Next is sync at 13:00:00 UTC")


def test_without_tasks_there_is_a_line_to_copy(client):
    text = text_of(client.get(""))
    assert text.startswith("No tasks yet Add the first one")
    assert 'scheduler.add_interval_task(action=hello, interval=10, taskname="hello")' in text


def test_a_stopped_scheduler_shows_what_it_would_do(client, world):
    world.stop()
    page = client.get("")
    assert text_of(page).startswith("off 4 tasks The times below are as if it started now.")
    assert {cells["st"] for cells in rows(page).values()} == {"off"}


# -- the table ---------------------------------------------------------------------------------------------------------


def test_a_row_says_what_a_task_is_and_does(client, world):
    assert rows(client.get(""))["rank"] == {
        "st": "failing",
        "name": "rank",
        "when": "every 30 minutes",
        "next": "14:30:00 UTC in 30 min",
        "last": "failed 5 times 0 ms, now",
        "hist": "",
        "act": "Run now",
    }


def test_a_cron_line_is_shown_beside_its_words_without_the_zone_of_the_server(client, world):
    assert rows(client.get(""))["books"]["when"] == "at 02:30 on the first day of every month 30 2 1 * *"


def test_the_next_fire_of_a_paused_task_is_the_end_of_its_pause(client, world):
    world.pause("sync")
    world.pause("mail", until=world.clock.now() + HOUR)
    found = rows(client.get(""))
    assert (found["sync"]["st"], found["sync"]["next"]) == ("paused", "paused until it is resumed")
    assert found["mail"]["next"] == "paused until 15:00:00 UTC"


def test_a_task_that_has_not_run_says_never(client, ticked):
    ticked.add_interval_task(noop, interval=60, taskname="young")
    assert rows(client.get(""))["young"]["last"] == "never"


def test_a_task_whose_trigger_raises_says_why(client, ticked):
    class Moon(Trigger):
        phases = None

        def next_after(self, moment):
            return self.phases[moment] if self.phases else moment + HOUR

    trigger = Moon()
    ticked.stop()
    ticked.add_task(noop, trigger, taskname="moon")
    trigger.phases = {"full": 0}
    assert "KeyError" in rows(client.get(""))["moon"]["next"]


def test_the_strip_says_the_last_runs_in_words(client, world):
    assert 'aria-label="5 failed; the last one: failed"' in client.get("").text


def test_every_task_can_be_run_from_here_and_all_can_be_paused(client, console, world):
    page = client.get("")
    assert {"tasks/sync/run", "tasks/rank/run", "pause-all"} <= set(links(page))
    world.pause_all()
    console.reader.forget()
    assert "resume-all" in links(client.get(""))


# -- search, filter, sort, pages ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("", ["sync", "rank", "mail", "books"]),
        ("?sort=name", ["books", "mail", "rank", "sync"]),
        ("?sort=state", ["rank", "sync", "mail", "books"]),
        ("?state=failing", ["rank"]),
        ("?q=A", ["rank", "mail"]),
        ("?q=+sy+&state=ok", ["sync"]),
        ("?q=zzz", []),
        ("?unknown=1", ["sync", "rank", "mail", "books"]),
    ],
)
def test_what_is_shown_stands_in_the_address(client, world, query, names):
    assert list(rows(client.get(query))) == names


def test_sorting_by_the_last_run_shows_the_newest_first(client, world):
    world.tick(1)
    world.run_now("books")
    world.tick(1)
    assert list(rows(client.get("?sort=last")))[0] == "books"


def test_the_sorted_column_is_marked_for_screen_readers(client, world):
    assert re.findall(r'aria-sort="ascending"><a[^>]*>(\w+)', client.get("?sort=name").text) == ["Task"]


def test_the_filters_survive_a_sort_and_a_sort_survives_a_filter(client, world):
    page = client.get("?q=a&state=failing&span=week")
    assert "?q=a&state=failing&sort=name&span=week" in links(page)
    form = client.get("?sort=name&span=day").text.partition("data-filter")[2].partition("</form>")[0]
    assert 'name="sort" value="name"' in form
    assert 'name="span" value="day"' in form


@pytest.mark.parametrize(
    "query", ["?state=wrong", "?sort=size", "?span=year", "?page=0", "?page=x", "?q=a&q=b", "?q=%ff"]
)
def test_a_bad_address_is_refused_with_what_is_expected(client, world, query):
    answer = client.get(query)
    assert answer.status == 400
    assert "xpected" in text_of(answer)


def test_what_matches_nothing_can_be_left(client, world):
    page = client.get("?q=zzz&state=ok")
    assert "4 tasks do not match \u201czzz\u201d in the state ok." in text_of(page)
    assert "?" in links(page, "Show all")


def test_tasks_come_in_pages_of_fifty(client, ticked):
    for number in range(120):
        ticked.add_interval_task(noop, interval=HOUR + number, taskname=f"task {number:03}")
    first, second, last = client.get(""), client.get("?page=2"), client.get("?page=99")
    assert [len(rows(page)) for page in (first, second, last)] == [50, 50, 20]
    assert "1 to 50 of 120 tasks" in text_of(first)
    assert "101 to 120 of 120 tasks" in text_of(last)
    assert (links(first, "Next"), links(first, "Back")) == (["?page=2"], [])
    assert (links(second, "Back"), links(second, "Next")) == (["?page=1"], ["?page=3"])
    assert not set(rows(first)) & set(rows(second))


# -- the timeline ------------------------------------------------------------------------------------------------------


def test_the_timeline_has_a_lane_for_each_task_that_fires_in_its_time(client, world):
    assert lanes(client.get("")) == ["sync", "rank"]
    assert lanes(client.get("?span=day")) == ["sync", "rank", "mail"]
    assert lanes(client.get("?span=week")) == ["sync", "rank", "mail"]


def test_the_table_twin_says_what_the_timeline_draws(client, world):
    text = text_of(client.get(""))
    assert "sync 5 14:10:00 UTC , 14:20:00 UTC" in text
    assert "rank 1 14:30:00 UTC" in text


def test_fires_that_a_pause_will_skip_are_hollow_and_said_to_be(client, world):
    world.pause("rank", until=world.clock.now() + 2000)
    page = client.get("")
    assert page.text.count('class="fire held"') == 1
    assert "14:30:00 UTC (paused)" in text_of(page)


def test_a_task_that_fires_all_the_time_is_one_bar_to_the_end(client, ticked):
    ticked.add_interval_task(noop, interval=1, taskname="heartbeat")
    drawing = client.get("?span=week").text.partition('<svg class="timeline"')[2].partition("</svg>")[0]
    assert drawing.count("<rect") == 1
    assert "<circle" not in drawing


def test_a_bar_has_a_gap_where_a_task_rests(client, ticked):
    ticked.add_cron_task(noop, "* 9-16 * * *", taskname="office")
    page = client.get("?span=week")
    drawing = page.text.partition('<svg class="timeline"')[2].partition("</svg>")[0]
    assert drawing.count("<rect") == 8  # from Sunday noon: a rest of that day, and seven mornings
    assert "60 or more" in text_of(page)


def test_of_many_tasks_the_first_are_drawn_and_the_others_counted(client, ticked):
    for number in range(LANES + 3):
        ticked.add_interval_task(noop, interval=600 + number, taskname=f"task {number:03}")
    page = client.get("")
    assert len(lanes(page)) == LANES
    assert "3 more tasks not drawn" in text_of(page)


def test_a_time_without_a_fire_says_so(client, ticked):
    ticked.add_interval_task(noop, interval=2 * DAY, taskname="rare", initialdelay=DAY)
    assert "None of the tasks below fires in this time." in text_of(client.get(""))
