"""The pictures of README and documents: ``TGS_PICTURES=docs/images pytest -m slow`` and this file makes them."""

import re
from pathlib import Path

import pytest
from helpers import ROOT
from looks import WIDTHS
from pages import path_of
from sites import HERE

pytestmark = [pytest.mark.browser, pytest.mark.server, pytest.mark.slow]

#: Each picture: the page, its width, the scheme, and the height (pixels).
PICTURES = {
    "schedule": ("schedule", "wide", "light", 980),
    "schedule-narrow": ("schedule", "narrow", "dark", 900),
    "task": ("task-charted", "wide", "light", 1060),
    "run": ("run-failed", "wide", "light", 700),
    "calendar": ("calendar", "wide", "light", 880),
    "simulate": ("simulated", "wide", "dark", 900),
}


#: Shows folders of this machine as /srv/shop.
RENAMED = """folders => {
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode())
        for (const folder of folders)
            walker.currentNode.data = walker.currentNode.data.replaceAll(folder, '/srv/shop');
}"""


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_of_the_documents(name, shop, browse, pictures):
    where, width, scheme, height = PICTURES[name]
    page = browse(shop, path_of(where, shop), width=WIDTHS[width], height=height, scheme=scheme)
    page.wait_for_load_state("networkidle")
    page.evaluate(RENAMED, [str(HERE), str(shop.folder)])
    pictures(page, name, full=False)


def test_every_picture_that_a_document_shows_is_made_here():
    shown = set()
    for document in (ROOT / "README.rst", *(ROOT / "docs").glob("console*.rst")):
        shown |= {Path(path).stem for path in re.findall(r"image:: (\S+)", document.read_text(encoding="utf-8"))}
    assert shown == set(PICTURES)
    assert all((ROOT / "docs" / "images" / f"{name}.png").is_file() for name in PICTURES)
