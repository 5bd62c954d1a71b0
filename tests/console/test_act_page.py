"""The pages of actions: what will happen, the POST that does it, and what is seen then."""

import re
from html import unescape

import pytest
from asking import Client
from helpers import HOUR, NOON, noop
from reading import link, links, text_of

from tgscheduler.console.console import Console
from tgscheduler.console.settings import ConsoleSettings

#: A name of which each part needs care somewhere.
NAME = "a/b %2F #🐍 <b>?&"
QUOTED = "a%2Fb%20%252F%20%23%F0%9F%90%8D%20%3Cb%3E%3F%26"

EVERY_ACTION = ["pause-all", "resume-all", *(f"tasks/it/{verb}" for verb in ("pause", "resume", "run", "reschedule"))]


def fail():
    raise ValueError("no")


@pytest.fixture
def task(ticked):
    """A scheduler with a task that is due every hour."""
    ticked.add_interval_task(noop, interval=HOUR, taskname="it")
    ticked.tick()
    return ticked


def confirmed(client, path, **form):
    """Open a confirmation, send its form as it is (and ``form``), and return the page that follows."""
    page = client.get(path)
    assert page.status == 200, text_of(page)
    shown = page.text.partition('<form class="confirm card"')[2].partition("</form>")[0]
    action = unescape(re.match(r' method="post" action="(?:\.\./)*(?:\./)?([^"]*)"', shown)[1])
    assert action == path.partition("?")[0]
    hidden = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', shown))
    return followed(
        client, client.post(action, {**{name: unescape(text) for name, text in hidden.items()}, **form}), action
    )


def followed(client, answer, path):
    """Return the page that a redirect leads to."""
    assert answer.status == 303, text_of(answer)
    location = answer.headers["location"]
    assert location.startswith("../" * path.count("/") or "./")
    return client.get(location.replace("../", "").removeprefix("./"))


# -- what an operator does ---------------------------------------------------------------------------------------------


def test_a_pause_until_it_is_resumed_and_the_resume(client, task):
    assert "it does not run until it is resumed" in text_of(client.get("tasks/it/pause"))
    page = confirmed(client, "tasks/it/pause", until="")
    assert "it is paused until it is resumed" in page.text
    assert task.view("it").paused_until == float("inf")
    page = confirmed(client, "tasks/it/resume")
    assert "it is resumed." in page.text
    assert task.view("it").paused_until < task.clock.now()


def test_a_ready_end_of_a_pause(client, task):
    page = client.get("tasks/it/pause")
    values = re.findall(r'name="until" value="([^"]*)"', page.text)
    assert values == ["", "2025-06-01T13:00:00+00:00", "2025-06-01T16:00:00+00:00", "2025-06-02T09:00:00+00:00", "at"]
    confirmed(client, "tasks/it/pause", until=values[1])
    assert task.view("it").paused_until == NOON + HOUR


def test_the_end_of_a_pause_is_read_in_the_zone_that_the_reader_chose(ticked, task, console):
    client = Client(console, headers={"Cookie": "tgs_zone=browser:Asia/Tokyo"})
    confirmed(client, "tasks/it/pause", until="at", at="2025-06-01T22:00")
    assert task.view("it").paused_until == NOON + HOUR


@pytest.mark.parametrize(
    ("form", "status", "expected"),
    [
        ({"until": "at", "at": ""}, 422, "Expected a date and time, got an empty field."),
        ({"until": "at", "at": "soon"}, 422, "expected '2026-11-25T09:00:00+01:00'"),
        ({"until": "at", "at": "2025-06-01T11:00"}, 409, "expected a moment to come"),
        ({"until": "", "at": "2025-06-01T14:00"}, 422, "Expected one end of the pause"),
        ({"until": "tomorrow"}, 422, "expected '2026-11-25T09:00:00+01:00'"),
    ],
)
def test_a_bad_end_of_a_pause_is_the_form_again_with_what_was_expected(client, task, form, status, expected):
    page = client.post("tasks/it/pause", form)
    assert page.status == status
    assert expected in unescape(page.text.partition('id="at-problem"')[2])
    assert f'name="at" aria-label="Until this time in UTC" value="{form.get("at", "")}"' in page.text
    assert task.view("it").paused_until < task.clock.now()


@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("tasks/it/pause", {"untill": "2025-06-02 12:00"}),
        ("tasks/it/pause", {"until": "", "At": "2025-06-02 12:00"}),
        ("tasks/it/pause?until=2025-06-02", {}),
        ("pause-all", {"until": "", "task": "it"}),
        ("tasks/it/run", {"args": "1"}),
        ("tasks/it/reschedule", {"line": "@daily", "timezone": "UTC", "shown": "@daily "}),
        ("display", {"zone": "utc", "them": "dark"}),
    ],
)
def test_a_form_with_an_unknown_field_changes_nothing(client, task, path, form):
    version = task.version
    answer = client.post(path, form)
    assert (answer.status, "Unknown parameter" in text_of(answer)) == (400, True)
    assert "set-cookie" not in answer.headers
    assert task.version == version
    assert task.audits() == []


def test_running_a_task_leads_to_its_new_run(client, task):
    task.tick(60)
    assert "it runs once, at once" in text_of(client.get("tasks/it/run"))
    page = confirmed(client, "tasks/it/run")
    assert "it is about to run." in page.text
    assert text_of(page).startswith("Schedule / it Run due Sun 1 Jun 12:01:00 UTC")
    task.tick()
    assert task.runs(limit=1)[0].due == NOON + 60


def test_running_a_failed_run_again(client, ticked):
    ticked.add_interval_task(fail, interval=HOUR, taskname="bad")
    ticked.tick(60)
    before = client.get(f"runs/{ticked.runs()[0].id}")
    page = confirmed(client, link(before, "Run again…"))
    assert "bad is about to run." in page.text
    ticked.tick()
    assert len(ticked.runs()) == 2


def test_cancelling_a_run_that_is_in_progress(client, ticked):
    pages = []

    def slow():
        id = ticked.runs(state="running")[0].id
        pages.append(confirmed(client, f"runs/{id}/cancel"))

    ticked.add_single_task(slow, taskname="slow")
    ticked.tick()
    assert "This run of slow is cancelled." in pages[0].text
    assert [run.state for run in ticked.runs()] == ["cancelled"]


def test_pausing_and_resuming_all(client, task):
    page = confirmed(client, "pause-all", until="")
    assert "All tasks are paused until all are resumed." in page.text
    assert task.view("it").all_paused_until == float("inf")
    assert "All tasks are resumed." in confirmed(client, "resume-all").text
    assert task.view("it").all_paused_until < task.clock.now()


def test_a_timetable_is_saved_after_its_fires_have_been_shown(client, task):
    page = client.get("tasks/it/reschedule?line=mon-fri+09:30&zone=Europe/Berlin")
    assert page.text.count('<th scope="row"') == 5
    assert "it fires on weekdays (Mon-Fri) at 09:30, Europe/Berlin" in text_of(page)
    assert "Mon 2 Jun 07:30:00 UTC" in text_of(page)
    fields = {"line": "mon-fri 09:30", "zone": "Europe/Berlin"}
    page = confirmed(client, "tasks/it/reschedule?line=mon-fri+09:30&zone=Europe/Berlin", **fields)
    assert "it fires on weekdays" in page.text
    assert task.view("it").next_due == NOON + 19.5 * HOUR


def test_no_timetable_is_saved_unseen(client, task):
    form = client.get("tasks/it/reschedule")
    assert "Save" not in text_of(form)
    fields = {"line": "daily 10:00", "zone": "UTC"}
    for shown in ("", "daily 09:00 UTC"):
        page = client.post("tasks/it/reschedule", {**fields, "shown": shown})
        assert page.status == 200
        assert "Mon 2 Jun 10:00:00 UTC" in text_of(page)
        assert "Save" in text_of(page)
    assert task.view("it").next_due == NOON + HOUR


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"line": "evry 5", "zone": "UTC"}, "expected a cron line"),
        ({"line": "daily 9:00", "zone": "Berlin"}, "Europe/Berlin"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_bad_timetable_is_the_form_again_with_what_was_expected(client, task, fields, expected, method):
    if method == "GET":
        page = client.get("tasks/it/reschedule?line={line}&zone={zone}".format(**fields).replace(" ", "+"))
    else:
        page = client.post("tasks/it/reschedule", {**fields, "shown": "{line} {zone}".format(**fields)})
    assert page.status == 422
    assert expected in text_of(page)
    assert task.view("it").next_due == NOON + HOUR


def test_a_timetable_that_cannot_be_saved_says_why_in_the_form(client, ticked):
    ticked.add_interval_task(noop, interval=HOUR, taskname="short", end=NOON + 2 * HOUR)
    ticked.tick()
    fields = {"line": "daily 10:00", "zone": "UTC"}
    page = client.post("tasks/short/reschedule", {**fields, "shown": "daily 10:00 UTC"})
    assert page.status == 422
    assert "would never fire again" in unescape(page.text.partition('id="line-problem"')[2].partition("</p>")[0])


def test_what_holds_already_is_said_and_changes_nothing(client, task):
    page = confirmed(client, "tasks/it/resume")
    assert "it was not paused." in page.text


def test_a_notice_is_shown_once_and_no_url_can_put_words_on_a_page(client, task):
    answer = client.post("tasks/it/pause", {"until": ""})
    path = answer.headers["location"].replace("../", "")
    assert "it is paused until" in client.get(path).text.partition("data-notices")[2].partition("</div>")[0]
    assert "it is paused until" not in client.get(path).text.partition("data-notices")[2].partition("</div>")[0]
    assert "<b>hello" not in client.get("tasks/it?notice=%3Cb%3Ehello").text


def test_any_printable_name_survives_the_way_through_the_form(client, ticked):
    ticked.add_interval_task(noop, interval=HOUR, taskname=NAME)
    ticked.tick()
    page = confirmed(client, f"tasks/{QUOTED}/pause", until="")
    assert f"{NAME} is paused until it is resumed" in unescape(page.text)
    assert text_of(page).startswith(f"Schedule {NAME} paused")
    assert "<b>?" not in page.text


def test_a_form_knows_its_address_below_any_mount(ticked, task, console):
    client = Client(console, script_name="/ops/scheduler")
    assert "it is paused until it is resumed" in confirmed(client, "tasks/it/pause", until="").text
    assert 'action="../../tasks/it/pause"' in client.get("tasks/it/pause").text


# -- who may not, and what cannot be -----------------------------------------------------------------------------------


@pytest.mark.parametrize("path", EVERY_ACTION)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_viewer_is_refused_with_the_reason_and_nothing_changes(guest, task, path, method):
    version = task.version
    answer = guest.get(path) if method == "GET" else guest.post(path, {"line": "daily 9:00", "shown": "daily 9:00 UTC"})
    assert answer.status == 403
    assert "guest is a viewer, who may look and not act" in text_of(answer)
    assert task.version == version


@pytest.mark.parametrize("path", EVERY_ACTION)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_console_that_only_reads_refuses_operators_too(ticked, task, path, method):
    client = Client(Console(ticked, ConsoleSettings(read_only=True)))
    version = task.version
    answer = client.get(path) if method == "GET" else client.post(path)
    assert answer.status == 403
    assert "read_only" in text_of(answer)
    assert task.version == version


@pytest.mark.parametrize("page", ["", "tasks/it", "runs?state=failed"])
def test_a_viewer_sees_no_action(client, guest, task, page):
    assert [each for each in links(guest.get(page)) if each.rpartition("/")[2] in ("run", "pause", "pause-all")] == []


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("verb", ["pause", "resume", "run", "reschedule"])
def test_a_task_that_is_not_there_is_a_page_that_says_so(client, task, verb, method):
    path = f"tasks/nothing/{verb}"
    answer = client.get(path) if method == "GET" else client.post(path)
    assert answer.status == 404
    assert "There is no task 'nothing'." in text_of(answer)


@pytest.mark.parametrize("verb", ["pause", "resume", "run", "reschedule"])
def test_a_task_that_has_ended_is_a_page_that_says_so(client, task, verb):
    task.cancel("it")
    answer = client.get(f"tasks/it/{verb}")
    assert answer.status == 409
    assert "fires no more" in text_of(answer)


@pytest.mark.parametrize("verb", ["cancel", "rerun"])
def test_a_run_that_is_not_there_is_a_page_that_says_so(client, task, verb):
    assert client.get(f"runs/nothing/{verb}").status == client.post(f"runs/nothing/{verb}").status == 404


def test_a_run_that_has_ended_cannot_be_cancelled(client, task):
    id = task.runs()[0].id
    assert "nothing changes" in text_of(client.get(f"runs/{id}/cancel"))
    answer = client.post(f"runs/{id}/cancel")
    assert answer.status == 409
    assert "it has ended (ok)" in text_of(answer)


def test_a_good_run_is_not_run_again(client, task):
    assert client.get(f"runs/{task.runs()[0].id}/rerun").status == 409


def test_nothing_is_done_by_a_get_or_another_site(client, task):
    version = task.version
    for path in EVERY_ACTION:
        client.get(path)
        assert client.post(path, headers={"Sec-Fetch-Site": "cross-site"}).status == 403
    assert task.version == version


def test_the_confirmation_alone_can_be_asked_for_as_a_dialog(client, task):
    for path in EVERY_ACTION:
        page = client.get(f"{path}?fragment=confirm")
        assert page.text.strip().startswith('<form class="confirm card"'), path
        assert "<html" not in page.text
