"""What the first page costs: its weight over the wire, and the time until it is drawn."""

import statistics

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.server, pytest.mark.slow]

MEASURE = """() => {
    const loaded = [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')];
    return {
        bytes: loaded.reduce((sum, each) => sum + each.transferSize, 0),
        drawn: performance.getEntriesByName('first-contentful-paint')[0].startTime,
        loaded: loaded[0].domContentLoadedEventEnd,
    };
}"""


@pytest.mark.parametrize("path", ["", "tasks/prices"])
def test_a_first_page_is_light_and_soon_drawn(path, shop, browse):
    found = []
    for _ in range(5):
        page = browse(shop, path)
        page.wait_for_load_state("load")
        found.append(page.evaluate(MEASURE))
    assert max(each["bytes"] for each in found) < 120 * 1024
    assert statistics.median(each["drawn"] for each in found) < 300
    assert statistics.median(each["loaded"] for each in found) < 300
