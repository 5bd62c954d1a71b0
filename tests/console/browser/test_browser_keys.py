"""The console by keyboard alone."""

import pytest
from pages import ask

pytestmark = [pytest.mark.browser, pytest.mark.server, pytest.mark.slow]

#: Whether the focused element shows that it is.
SHOWS_FOCUS = """() => {
    const style = getComputedStyle(document.activeElement);
    return (style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0) || style.boxShadow !== 'none';
}"""
FOCUSED = "() => (document.activeElement.innerText || document.activeElement.ariaLabel || '').trim()"


def test_the_first_stop_skips_to_the_page_and_every_stop_is_seen(shop, browse):
    page = browse(shop)
    page.keyboard.press("Tab")
    assert page.evaluate(FOCUSED) == "Skip to the page"
    stops = []
    for _ in range(25):
        assert page.evaluate(SHOWS_FOCUS), page.evaluate(FOCUSED)
        page.keyboard.press("Tab")
        stops.append(page.evaluate(FOCUSED))
    names = ["Schedule", "Runs", "Calendar", "Simulate", "Health"]
    places = [stops.index(name) for name in names]
    assert places == sorted(places)
    assert "heartbeat" in stops


def test_a_slash_searches_and_escape_leaves(shop, browse):
    page = browse(shop)
    page.keyboard.press("/")
    page.keyboard.type("newsl")
    page.locator("table.tasks tbody tr").nth(1).wait_for(state="detached")
    assert page.locator("table.tasks tbody tr").count() == 1
    assert "q=newsl" in page.url
    assert page.evaluate("() => document.activeElement.type") == "search"
    for _ in range(2):
        page.keyboard.press("Escape")
    page.keyboard.press("j")
    assert page.evaluate(FOCUSED) == "newsletter"
    page.keyboard.press("Enter")
    page.wait_for_url("**/tasks/newsletter")


def test_a_slash_leads_to_the_search_from_a_page_without_one(shop, browse):
    page = browse(shop, "health")
    page.keyboard.press("/")
    page.wait_for_url("**/scheduler/#search")
    assert page.evaluate("() => document.activeElement.type") == "search"


def test_a_question_mark_shows_the_keys(shop, browse):
    page = browse(shop)
    page.keyboard.press("?")
    assert page.locator("#keys").is_visible()
    page.keyboard.press("Escape")
    assert not page.locator("#keys").is_visible()


def test_rows_are_walked_by_j_and_k(shop, browse):
    page = browse(shop)
    names = page.locator("table.tasks tbody th.name a").all_inner_texts()
    for key, name in (("j", names[0]), ("j", names[1]), ("k", names[0]), ("k", names[0])):
        page.keyboard.press(key)
        assert page.evaluate(FOCUSED) == name


def test_a_dialog_takes_the_focus_keeps_it_and_gives_it_back(shop, browse):
    page = browse(shop, "tasks/stock")
    opener = page.locator('a[href$="tasks/stock/pause"]').first
    opener.focus()
    page.keyboard.press("Enter")
    page.locator("dialog form.confirm").wait_for()
    for _ in range(12):
        within = "() => document.activeElement === document.body || !!document.activeElement.closest('dialog')"
        assert page.evaluate(within)
        page.keyboard.press("Tab")
    page.keyboard.press("Escape")
    assert page.locator("dialog form.confirm:visible").count() == 0
    assert opener.evaluate("each => each === document.activeElement")


def test_a_task_is_paused_and_resumed_without_a_mouse(shop, browse):
    page = browse(shop, "tasks/stock")
    for verb, state in (("pause", "paused"), ("resume", "ok")):
        page.locator(f'a[href$="tasks/stock/{verb}"]').first.focus()
        page.keyboard.press("Enter")
        page.locator("dialog form.confirm").wait_for()
        button = page.locator("dialog form.confirm button.main")
        for _ in range(12):
            if button.evaluate("each => each === document.activeElement"):
                break
            page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        page.locator(".notices .banner").wait_for()
        assert ask(shop, "api/v1/tasks/stock")["state"] == state


def test_the_menu_opens_closes_and_changes_the_colours(shop, browse):
    page = browse(shop)
    page.locator("#display summary").focus()
    page.keyboard.press("Enter")
    page.get_by_label("Dark").focus()
    page.keyboard.press("Space")
    page.wait_for_load_state()
    page.locator("html[data-theme=dark]").wait_for()
    assert page.locator("#display[open]").count() == 0
    page.locator("#display summary").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Escape")
    assert page.locator("#display[open]").count() == 0
    assert page.locator("#display summary").evaluate("each => each === document.activeElement")
