"""The page of the scheduler's health, with what to do in each state."""

import re
from html import unescape

import pytest
from asking import Client
from helpers import HOUR, noop
from reading import text_of

from tgscheduler import config
from tgscheduler.console import passwords
from tgscheduler.console.console import Console
from tgscheduler.console.pages import health
from tgscheduler.console.settings import ConsoleSettings


def fail():
    raise ValueError("no")


@pytest.fixture
def being(ticked, monkeypatch):
    """Let the scheduler say that it is in some state."""
    real = ticked.health()

    def be(**facts):
        monkeypatch.setattr(ticked, "health", lambda: {**real, **facts})

    return be


def setting(answer, key):
    """Return what the page says of a setting."""
    row = re.search(rf"<tr>\s*<th[^>]*><span[^>]*>{re.escape(key)}</span>.*?</tr>", answer.text, re.DOTALL)
    return " ".join(unescape(re.sub("<[^>]*>", " ", row[0])).split())


def test_a_healthy_scheduler_says_so_first(client, ticked):
    ticked.add_interval_task(noop, interval=HOUR, taskname="it")
    ticked.tick(25 * HOUR)
    text = text_of(client.get("health"))
    assert text.startswith("Health ok The loop is on time, and nothing waits that should not.")
    assert "loop lag 0 ms running 0 waiting 0 threads busy 0 processes busy 0 abandoned 0" in text
    assert "tasks 1 next fire 14:00:00 UTC" in text


def test_what_came_of_all_occurrences_is_counted(client, ticked):
    ticked.add_interval_task(fail, interval=HOUR, taskname="bad")
    ticked.tick(2 * HOUR)
    assert "Occurrences 3 in all failed 3" in text_of(client.get("health"))


@pytest.mark.parametrize(
    ("reason", "advice"),
    [
        ("the store is down: disk full; 412 records wait for it", "Tasks keep running, and their records wait"),
        ("12 records were dropped while the store was down", "The history has a gap"),
        ("the loop is 2.5 s behind", "Something holds the loop's thread"),
        ("rank: its action holds the loop since 3.0 s", "Everything waits for it."),
        ("3 due runs wait: all 100 threads are busy", "Raise tg.scheduler.threads"),
        ("the clock is 12 s ahead of the store's, which other processes use too", "Set the clocks of the hosts"),
        ("cannot fork: out of memory", "The host refuses processes or threads"),
        ("something new", "The log has more."),
    ],
)
def test_a_degraded_scheduler_says_what_is_wrong_and_what_to_do(client, being, reason, advice):
    being(state="degraded", reasons=[reason])
    page = client.get("health")
    text = text_of(page)
    assert text.startswith("Health degraded Tasks still fire, but not as they should.")
    assert f"{reason[0].upper()}{reason[1:]}. {advice}" in text
    assert page.text.count(f"{reason[0].upper()}{reason[1:]}.".replace("'", "&#39;")) <= 2  # not once more as a banner


def test_a_store_that_is_down_is_said_beside_its_address(client, being):
    being(state="degraded", reasons=["the store is down: no <b>space</b>; 412 records wait for it"], buffered=412)
    page = client.get("health")
    assert "Store down address memory buffered 412 records" in text_of(page)
    assert "<b>space" not in page.text


def test_a_scheduler_that_has_failed_says_what_to_do(client, being):
    being(state="failed", reasons=["the loop ended by a fault: OSError"])
    text = text_of(client.get("health"))
    assert text.startswith("Health failed No task fires any more.")
    assert "restart the server" in text


def test_a_stopped_scheduler_says_what_to_do(client, ticked):
    ticked.stop()
    page = client.get("health")
    assert page.status == 200
    assert text_of(page).startswith("Health stopped No task fires. Set tg.scheduler = True in app.cfg")
    assert "Started" not in text_of(page).partition("loop lag")[0]


def test_nothing_has_come_due_yet(client):
    assert "Nothing has come due yet." in text_of(client.get("health"))


def test_each_setting_is_shown_with_its_meaning(client):
    page = client.get("health")
    for key, known in config.SETTINGS.items():
        assert known.doc[:20] in setting(page, key), key


def test_a_setting_says_where_its_value_comes_from(client):
    with config.assuming({"tg.scheduler.threads": 7}):
        row = setting(client.get("health"), "tg.scheduler.threads")
    assert "default: 100" in row
    assert " 7 " in row
    assert setting(client.get("health"), "tg.scheduler.threads").endswith("100 default")


def test_no_secret_of_a_setting_is_shown(ticked):
    client = Client(Console(ticked, ConsoleSettings()))
    hashed = passwords.hash_password("s3cret")
    secrets = {
        "tg.scheduler.store": "postgresql://shop:s3cret@db/shop",
        "tg.scheduler.console.users": {"ops": hashed},
    }
    with config.assuming(secrets):
        page = client.get("health")
    assert "s3cret" not in page.text
    assert hashed[-20:] not in page.text
    assert "ops" in setting(page, "tg.scheduler.console.users")


def test_the_versions_are_those_of_what_it_runs_on(client):
    text = text_of(client.get("health"))
    for name in ("Python 3.", "time zone data", "CherryPy", "tgscheduler"):
        assert name in text


def test_a_console_that_only_reads_still_says_so(ticked):
    client = Client(Console(ticked, ConsoleSettings(read_only=True)))
    assert "Read only" in client.get("health").text


def test_every_state_has_a_sentence():
    assert set(health.STATES) == {"ok", "degraded", "failed", "stopped"}
