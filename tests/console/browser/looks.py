"""What the tests ask of a page that a reader sees."""

from functools import cache
from pathlib import Path

from helpers import need_package

#: The widths (pixels) at which every page is looked at.
WIDTHS = {"wide": 1280, "narrow": 360}


@cache
def axe_script():
    """Return the source of axe."""
    package = need_package("axe_playwright_python", "pip install 'tgscheduler[browser]' brings it")
    return (Path(package.__file__).parent / "axe.min.js").read_text(encoding="utf-8")


def problems_of_access(page):
    """Return what axe finds: the rule, where, and why."""
    if not page.evaluate("() => 'axe' in window"):
        page.evaluate(axe_script())
    found = page.evaluate("() => axe.run(document, {resultTypes: ['violations']})")
    return [
        (each["id"], [node["target"] for node in each["nodes"]][:5], each["nodes"][0]["failureSummary"])
        for each in found["violations"]
    ]


def too_wide(page, limit=None):
    """Return what makes a page scroll sideways, nothing if it does not."""
    limit = limit or page.viewport_size["width"]
    if page.locator("html").evaluate("each => each.scrollWidth") <= limit:
        return []
    edge = "each => [each.getBoundingClientRect().right, each.outerHTML.slice(0, 120)]"
    edges = [each.evaluate(edge) for each in page.locator("body *").all()]
    return [text for right, text in edges if right > limit][:5]
