"""A page that keeps itself up to date: what an update keeps, when it asks, and what a lost server looks like."""

from contextlib import contextmanager

import pytest
from helpers import wait_for
from looks import problems_of_access
from pages import tell

pytestmark = [pytest.mark.browser, pytest.mark.server, pytest.mark.slow]


@contextmanager
def updates(page):
    """Collect the statuses of the page's updates."""
    seen = []

    def note(response):
        if "fragment=live" in response.url:
            seen.append(response.status)

    page.on("response", note)
    yield seen
    page.remove_listener("response", note)


def update(page, site):
    """Run a task that has not run for long, and let time pass until the page shows that it has."""
    row = page.locator("table.tasks tbody tr", has_text="month's report").locator(".last")
    before = row.inner_text()
    tell(site, "tasks/month's%20report/run")
    wait_for(lambda: row.inner_text() != before or page.clock.run_for(2100))


def test_an_update_keeps_focus_selection_scroll_and_open_details(shop, browse):
    page = browse(shop, height=500, clock=True)
    page.locator("#timeline-table summary").click()
    page.locator("#display summary").click()
    page.locator('a[href$="tasks/stock"]').last.focus()
    page.evaluate("() => getSelection().selectAllChildren(document.querySelector('h2'))")
    page.evaluate("() => scrollTo(0, 300)")
    focused = page.evaluate_handle("() => document.activeElement")
    update(page, shop)
    assert page.evaluate("each => each === document.activeElement", focused)
    assert page.evaluate("() => getSelection().toString()")
    assert page.evaluate("() => scrollY") == 300
    assert page.locator("#timeline-table[open]").count() == 1
    assert page.locator("#display[open]").count() == 1


def test_what_is_typed_survives_an_update(shop, browse):
    page = browse(shop, clock=True)
    search = page.get_by_role("searchbox")
    search.type("mon")
    page.clock.run_for(400)
    update(page, shop)
    search.type("th")
    assert search.input_value() == "month"
    assert search.evaluate("each => [each.selectionStart, each === document.activeElement]") == [5, True]


def test_a_page_asks_less_often_while_nothing_changes_and_not_at_all_while_hidden(shop, browse):
    page = browse(shop, clock=True)
    with updates(page) as seen:
        wait_for(lambda: 304 in seen or page.clock.run_for(2100), 30)
        often = len(seen)
        page.clock.run_for(5000)
        assert len(seen) - often <= 2
    hide = """hidden => {
        Object.defineProperty(document, 'hidden', {value: hidden, configurable: true});
        document.dispatchEvent(new Event('visibilitychange'));
    }"""
    page.evaluate(hide, True)
    page.wait_for_load_state("networkidle")
    with updates(page) as seen:
        page.clock.run_for(60000)
        assert seen == []
        page.evaluate(hide, False)
        wait_for(lambda: seen or page.clock.run_for(100))


def test_updates_can_be_switched_off_and_the_page_says_so(shop, browse):
    page = browse(shop, clock=True)
    page.locator("#display summary").click()
    page.get_by_label("Keep this page up to date").uncheck()
    assert page.locator("[data-halted]").is_visible()
    with updates(page) as seen:
        page.clock.run_for(30000)
    assert seen == []
    page.get_by_label("Keep this page up to date").check()
    assert not page.locator("[data-halted]").is_visible()


def test_a_lost_server_shows_and_its_return_too(serve, browse, pictures):
    site = serve()
    page = browse(site, clock=True, expected="ERR_CONNECTION_REFUSED|Failed to load")
    site.down()
    banner = page.locator("[data-lost]")
    wait_for(lambda: banner.is_visible() or page.clock.run_for(2500))
    assert "No answer from the server" in banner.inner_text()
    assert problems_of_access(page) == []
    pictures(page, "lost-server")
    site.up()
    wait_for(lambda: not banner.is_visible() or page.clock.run_for(10500), 20)
