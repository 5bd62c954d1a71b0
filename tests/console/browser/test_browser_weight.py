"""What the first page weighs over the wire."""

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.server, pytest.mark.slow]

#: Bytes of the page and of all that it asks for, in a browser that has nothing of it yet.
LOADED = """() => [
    ...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')
].reduce((sum, each) => sum + each.transferSize, 0)"""


@pytest.mark.parametrize("path", ["", "tasks/prices"])
def test_a_first_page_is_light(path, shop, browse):
    page = browse(shop, path)
    page.wait_for_load_state("load")
    assert 10_000 < page.evaluate(LOADED) < 120 * 1024
