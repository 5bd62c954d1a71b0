"""Every page in a real browser: at two widths, in both schemes, with and without JavaScript, and below a sub-path."""

from urllib.parse import urlsplit

import pytest
from looks import WIDTHS, problems_of_access, too_wide
from pages import PAGES, path_of, zones_shown

pytestmark = [pytest.mark.browser, pytest.mark.server, pytest.mark.slow]

#: What the browser logs about a page that says what is wrong with its form.
REFUSED = {"simulated-wrong": "400"}


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_whole_and_accessible_at_each_width_and_in_both_schemes(name, shop, browse, pictures):
    page = browse(shop, path_of(name, shop), expected=REFUSED.get(name))
    assert page.get_by_role("heading", level=1).count() == 1
    assert page.title()
    for width, scheme in (("wide", "light"), ("wide", "dark"), ("narrow", "light"), ("narrow", "dark")):
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size({"width": WIDTHS[width], "height": 900})
        pictures(page, f"{name}-{scheme}-{width}")
        assert not too_wide(page), width
        if (width, scheme) in (("wide", "light"), ("narrow", "dark")):  # the rules are slow, and know both by then
            assert problems_of_access(page) == [], (width, scheme)


@pytest.mark.parametrize("name", PAGES)
def test_a_page_says_the_same_below_a_sub_path_and_without_javascript(name, office, browse, pictures):
    expected = REFUSED.get(name)
    path = path_of(name, office)
    page = browse(office, path, javascript=False, width=360, expected=expected)
    heading = page.get_by_role("heading", level=1).inner_text()
    pictures(page, f"{name}-no-script")
    assert too_wide(page, limit=360) == []
    page = browse(office, path, width=360, expected=expected)
    assert page.get_by_role("heading", level=1).inner_text().split(",")[0] == heading.split(",")[0]


@pytest.mark.parametrize("where", ["shop", "office"])
def test_every_link_leads_to_a_page(where, browse, shop, office):
    site = {"shop": shop, "office": office}[where]
    page = browse(site, javascript=False, expected="400")
    found = set()
    for name in PAGES.keys() - {"runs-without-match"}:  # it names the task that there is not
        page.goto(site.url + path_of(name, site))
        found.update(each.evaluate("each => each.href") for each in page.locator("a[href]:not([href^='#'])").all())
    found = {each.partition("#")[0] for each in found}
    assert len(found) > 40
    host = urlsplit(site.url).netloc
    assert {each for each in found if urlsplit(each).netloc != host} == set()
    assert {each for each in found if not each.startswith(site.url)} == set()
    answers = {each: page.request.get(each, max_redirects=0).status for each in sorted(found)}
    assert {each: status for each, status in answers.items() if status != 200} == {}


def test_one_switch_changes_the_zone_of_every_time(shop, browse):
    for javascript in (True, False):
        page = browse(shop, "runs", javascript=javascript)
        assert zones_shown(page) == {"CET"}
        choose(page, "UTC", javascript)
        for path in ("", "runs", "tasks/newsletter", "health", "calendar"):
            page.goto(shop.url + path)
            assert zones_shown(page) <= {"UTC"}, path
        choose(page, "Server", javascript)
        assert zones_shown(page) <= {"CET"}


def test_the_browsers_own_zone_can_be_chosen(shop, browse):
    page = browse(shop, "runs")
    choose(page, "Browser", True)
    assert zones_shown(page) <= {"EST", "EDT"}
    assert zones_shown(page)


def choose(page, zone, javascript):
    """Choose a zone in the menu."""
    page.locator("#display summary").click()
    choice = page.locator("#display").get_by_label(zone)
    with page.expect_navigation():
        choice.check(no_wait_after=True)
        if not javascript:
            page.locator("#display").get_by_role("button", name="Apply").first.click()
