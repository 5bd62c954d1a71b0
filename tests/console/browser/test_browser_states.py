"""The console where there is nothing to show, or something is wrong: each says what it is and what to do."""

import sqlite3
from contextlib import closing

import pytest
from helpers import wait_for
from looks import WIDTHS, problems_of_access, too_wide
from pages import ask, tell
from sites import HERE, USERS

pytestmark = [pytest.mark.browser, pytest.mark.server, pytest.mark.slow]


@pytest.fixture
def seen(pictures):
    """Return a function that looks at a page in both widths and schemes, and returns its text."""

    def seen(page, name):
        for width, scheme in (("wide", "light"), ("narrow", "dark")):
            page.emulate_media(color_scheme=scheme)
            page.set_viewport_size({"width": WIDTHS[width], "height": 900})
            pictures(page, f"{name}-{scheme}-{width}")
            assert problems_of_access(page) == []
            assert not too_wide(page)
        return page.locator("#live").inner_text()

    return seen


def test_without_tasks_it_says_how_to_add_one(serve, browse, seen):
    site = serve(program=HERE / "bare.py")
    page = browse(site)
    text = seen(page, "empty")
    assert "No tasks" in text
    assert "add_interval_task" in text
    for path, says in (("runs", "Nothing has run yet"), ("calendar", ""), ("health", "")):
        page.goto(site.url + path)
        assert says in seen(page, f"empty-{path}")


def test_switched_off_it_says_how_to_switch_it_on(serve, browse, seen, past):
    page = browse(serve("tg.scheduler = False\n", past=past))
    text = seen(page, "off")
    assert "The scheduler is stopped" in text
    assert "tg.scheduler = True" in text


def test_a_store_that_is_down_is_shown_until_it_is_back(serve, browse, seen, past):
    site = serve("tg.scheduler.store_timeout = 0.5\n", past=past)
    page = browse(site, expected="50[0-9]")
    with closing(sqlite3.connect(site.folder / "scheduler.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        tell(site, "tasks/heartbeat/run")
        wait_for(lambda: ask(site, "api/v1/health")["state"] == "degraded")
        page.reload()
        assert "store" in seen(page, "store-down")
        for path in ("runs", "health", "tasks/stock"):
            page.goto(site.url + path)
            assert "store" in seen(page, f"store-down-{path.partition('/')[0]}")
        other.execute("ROLLBACK")
    wait_for(lambda: ask(site, "api/v1/health")["state"] == "ok")
    page.goto(site.url)
    assert page.get_by_label("Warnings").count() == 0


def test_read_only_shows_no_action_and_refuses_them(serve, browse, seen):
    site = serve("tg.scheduler.console.read_only = True\n")
    page = browse(site, expected="403")
    assert "Read only" in seen(page, "read-only")
    assert page.locator("a[data-dialog]").count() == 0
    page.goto(site.url + "tasks/stock/run")
    assert "read_only" in seen(page, "read-only-refused")


def test_a_viewer_has_no_action_and_is_refused_one(office, browse, seen):
    page = browse(office, user=("vera", USERS["vera"]), expected="403")
    for path in ("", "tasks/stock", "runs"):
        page.goto(office.url + path)
        assert page.locator("a[data-dialog]").count() == 0
    page.goto(office.url + "tasks/stock/pause")
    assert "operator" in seen(page, "no-permission").lower()


def test_a_stranger_is_told_why_it_is_refused(shop, office, browse, seen):
    page = browse(shop, expected="403", headers={"X-Forwarded-For": "203.0.113.7"})
    assert "proxy" in seen(page, "behind-a-proxy")
    page = browse(office, user=("vera", "wrong"), expected="401")
    assert page.title()


def test_a_page_that_is_not_there_leads_back(shop, browse, seen):
    page = browse(shop, "tasks/nothing-like-this", expected="404")
    assert "nothing-like-this" in seen(page, "no-such-task")
    page.locator("main a").first.click()
    assert page.locator("table.tasks").count() == 1


def test_markup_in_names_logs_and_errors_stays_text(office, browse):
    from pages import path_of

    page = browse(office, path_of("task-odd", office))
    assert page.locator("h1").inner_text().startswith("<script>alert(1)</script> a/b?c=%20#d & 🚚")
    page.locator("table.list tbody tr a[href*='runs/']").first.click()
    page.locator(".trace").wait_for()
    text = page.locator("main").inner_text()
    assert "<b>bold</b> & </code><script>alert(3)</script>" in text
    assert "<img src=x onerror=alert(1)>" in text
    assert page.locator("main script, main img").count() == 0
