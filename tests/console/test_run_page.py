"""The page of one run: what happened, its traceback and log, what may be done."""

import logging
from pathlib import Path

import pytest
from helpers import HOUR, noop
from reading import link, links, text_of
from tgscheduler.policy import Retry

import tgscheduler
from tgscheduler.console.pages import loglines, tracebacks
from tgscheduler.errors import InvalidValue

log = logging.getLogger("shop.jobs")


def fail(token="s3cret"):
    log.setLevel(logging.DEBUG)
    log.debug("ranking")
    log.info("connecting with token=%s", token)
    log.warning("the table is locked\n  by <b>4711</b>")
    raise ValueError("<script>alert(1)</script>")


def page_of(client, scheduler, state=None, **words):
    """Return the page of the last run."""
    return client.get(f"runs/{scheduler.runs(state=state, limit=1)[0].id}", **words)


@pytest.fixture
def failed(ticked):
    """A scheduler with one failed run."""
    ticked.add_interval_task(fail, interval=HOUR, taskname="bad")
    ticked.tick()
    return ticked


def test_a_failed_run_says_what_went_wrong_first(client, failed):
    page = page_of(client, failed)
    text = text_of(page)
    assert text.startswith("Schedule / bad Run due Sun 1 Jun 12:00:00 UTC failed")
    assert text.index("ValueError: <script>alert(1)</script> , after 0 ms") < text.index("Traceback")
    assert "due Sun 1 Jun 2025 12:00:00 UTC began" in text
    assert f"process {failed.runs()[0].where.process} thread MainThread" in text


def test_a_traceback_and_a_log_with_markup_are_text(client, failed):
    page = page_of(client, failed)
    assert "<script>alert" not in page.text
    assert "<b>4711" not in page.text
    assert 'raise ValueError("<script>alert(1)</script>")' in text_of(page)


def test_a_secret_in_the_log_is_hidden(client, failed):
    page = page_of(client, failed)
    assert "s3cret" not in page.text
    assert "connecting with token=•••" in text_of(page)


def test_the_log_shows_a_level_and_above_with_all_lines_of_a_record(client, failed):
    page = page_of(client, failed)
    assert "ranking" in text_of(page)
    warnings = text_of(client.get(link(page, "warning")))
    assert "shop.jobs: the table is locked by <b>4711</b>" in warnings
    assert "connecting" not in warnings
    errors = client.get(link(page, "error"))
    assert "Nothing of level error or above." in text_of(errors)
    assert client.get(link(errors, "Show all")).status == 200


def test_the_log_can_be_read_as_text(client, failed):
    assert "ranking" in client.get(link(page_of(client, failed), "As text")).text


def test_an_unknown_level_is_a_problem(client, failed):
    answer = client.get(f"runs/{failed.runs()[0].id}?level=loud")
    assert answer.status == 400
    assert "level: expected one of debug, info, warning, error, critical, got 'loud'." in text_of(answer)


@pytest.mark.parametrize("id", ["nothing", "0", "%F0%9F%90%8D", "a%2Fb", "~..", "9" * 400])
def test_an_unknown_run_is_a_page_that_says_why_it_may_be_gone(client, id):
    answer = client.get(f"runs/{id}")
    assert answer.status == 404
    assert "No such run There is no run of this id. The store in memory forgets" in text_of(answer)


def test_a_good_run_says_how_long_it_took(client, ticked):
    ticked.add_interval_task(lambda: ticked.clock.advance(2.5), interval=HOUR, taskname="good")
    ticked.tick()
    text = text_of(page_of(client, ticked))
    assert "Took 2.5 s, began 0 ms late." in text
    assert "Its action has logged nothing." in text


@pytest.mark.parametrize("state", ["skipped", "missed"])
def test_an_occurrence_that_did_not_run_says_why_and_leads_to_more(client, ticked, state):
    ticked.add_interval_task(noop, interval=HOUR, taskname="held", misfire="skip", grace=60)
    if state == "skipped":
        ticked.pause("held")
    else:
        ticked.clock.advance(1.5 * HOUR)
    ticked.tick()
    page = page_of(client, ticked, state)
    assert "Its action did not begin, so there is no log." in text_of(page)
    assert f": {state}" in text_of(client.get(link(page, "Why?")))


def test_only_an_operator_may_run_a_failed_run_again(client, guest, failed):
    page = page_of(client, failed)
    assert link(page, "Run again…") == f"runs/{failed.runs()[0].id}/rerun"
    assert links(page, "Cancel…") == []
    assert links(page_of(guest, failed), "Run again…") == []


def test_only_a_run_that_has_not_ended_may_be_cancelled(client, guest, ticked):
    pages = []

    def look():
        pages.extend(page_of(each, ticked, "running") for each in (client, guest))

    ticked.add_interval_task(look, interval=HOUR, taskname="it")
    ticked.tick()
    assert link(pages[0], "Cancel…").endswith("/cancel")
    assert links(pages[0], "Run again…") == links(pages[1], "Cancel…") == []
    assert links(page_of(client, ticked), "Cancel…") == []


def test_the_attempts_are_counted(client, ticked):
    ticked.add_interval_task(fail, interval=HOUR, taskname="bad", retry=Retry(2, delay=1, jitter=0))
    ticked.tick(10)
    assert "attempt 3 of 3" in text_of(page_of(client, ticked))


def test_a_run_of_a_task_that_is_gone_says_so_and_is_not_offered_again(client, failed):
    failed.cancel("bad")
    page = page_of(client, failed)
    assert "This task fires no more. Its history is kept" in text_of(page)
    assert links(page, "Run again…") == []


def test_a_run_knows_its_address_below_any_mount(client, failed):
    client.script_name = "/a/b c"
    page = client.get(f"runs/{failed.runs()[0].id}")
    assert 'href="../health"' in page.text
    assert 'href="/' not in page.text


# -- tracebacks ------------------------------------------------------------------------------------------------------

OURS = Path(tgscheduler.__file__).parent / "timetable" / "checks.py"
TRACEBACK = f"""\
Traceback (most recent call last):
  File "/srv/shop/jobs.py", line 3, in rank
    Weekdays([8])
    ~~~~~~~~^^^^^
  File "{OURS}", line 10, in check
    inner()
  File "C:\\venv\\Lib\\site-packages\\tgscheduler\\errors.py", line 20, in inner
    raise InvalidValue
InvalidValue: expected a day

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "/srv/tgscheduler/jobs.py", line 5, in rank
    raise KeyError("day")
KeyError: 'day'
  and a note"""


def test_frames_of_the_package_are_apart_and_nothing_is_lost():
    found = tracebacks.parts(TRACEBACK)
    assert [part.frames for part in found] == [0, 2, 0, 0]
    assert [part.is_end for part in found] == [False, False, False, True]
    assert found[-1].text == "KeyError: 'day'\n  and a note"
    assert "\n".join(part.text for part in found) == TRACEBACK


def test_frames_within_a_group_of_exceptions_are_apart():
    text = f"""\
  + Exception Group Traceback (most recent call last):
  |   File "/srv/shop/jobs.py", line 3, in rank
  |     group()
  | ExceptionGroup: many (1 sub-exception)
  +-+---------------- 1 ----------------
    | Traceback (most recent call last):
    |   File "{OURS}", line 10, in check
    |     raise ValueError
    | ValueError
    +------------------------------------"""
    found = tracebacks.parts(text)
    assert [part.frames for part in found] == [0, 1, 0]
    assert "\n".join(part.text for part in found) == text


@pytest.mark.parametrize("text", ["", "the process was killed by signal 9", "no\n\nframes"])
def test_an_error_without_frames_is_its_end(text):
    assert all(part.is_end for part in tracebacks.parts(text))


def test_a_frame_of_the_package_is_folded_on_the_page(client, ticked):
    def check():
        raise InvalidValue("no")

    ticked.add_interval_task(lambda: tgscheduler.scheduler.Policy(misfire="never"), interval=HOUR, taskname="bad")
    ticked.tick()
    page = page_of(client, ticked)
    assert "of tgscheduler</summary>" in page.text
    assert text_of(page).count("in <lambda>") == 1


# -- log lines -------------------------------------------------------------------------------------------------------


def test_a_level_of_the_applications_own_is_never_left_out():
    line = "2025-06-01 12:00:00,000 TRACE shop: here"
    assert loglines.records(line, "critical") == [loglines.Record("trace", line)]


def test_lines_before_the_first_record_are_kept():
    found = loglines.records("…\nrest\n2025-06-01 12:00:00,000 INFO shop: here\n  more")
    assert [record.level for record in found] == ["", "", "info"]
    assert found[-1].text.endswith("here\n  more")
