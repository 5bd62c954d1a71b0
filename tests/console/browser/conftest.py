"""A real Chromium, and the servers that it looks at.

One browser for all tests, a context for each. A page that logs an error, violates its Content-Security-Policy, raises,
or asks another host for something fails its test.
"""

import os
import re
import shutil
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from helpers import need_package
from sites import USERS, Proxied, Site, written_past


@pytest.fixture(scope="package")
def chromium():
    """Yield the browser."""
    playwright = need_package("playwright.sync_api", "pip install 'tgscheduler[browser]' brings it")
    names = (os.environ.get("TGS_CHROMIUM"), "chromium-headless-shell", "chromium")
    path = next(filter(None, map(shutil.which, filter(None, names))), None)
    if path is None:
        why = "there is no Chromium: apt-get install chromium-headless-shell brings one, TGS_CHROMIUM names another"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(why)
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-dev-shm-usage"])
        yield browser
        browser.close()


@pytest.fixture
def browse(chromium):
    """Return a function that opens a page in a new context; afterwards no page may have done anything wrong."""
    visits = []

    def browse(site, path="", **options):
        visits.append(Visit(chromium, site, **options))
        return visits[-1].open(path)

    yield browse
    for visit in visits:
        visit.context.close()
    wrong = [each for visit in visits for each in visit.wrong()]
    assert not wrong, wrong


class Visit:
    """A page of a context, and what it has done wrong.

    ``expected``: a pattern of what it may log. ``clock``: whether its time passes only as the test says.
    """

    def __init__(self, browser, site, *, width=1280, height=900, scheme="light", javascript=True, clock=False,
                 expected=None, user=None, headers=None):  # fmt: skip
        name, password = user or site.user or (None, None)
        self.site, self.expected, self._wrong = site, expected, []
        self.context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme, java_script_enabled=javascript,
            http_credentials={"username": name, "password": password} if name else None, locale="en-GB",
            timezone_id="America/New_York", reduced_motion="reduce", extra_http_headers=headers,
        )  # fmt: skip
        self.context.set_default_timeout(8000)
        self.page = self.context.new_page()
        if clock:
            self.page.clock.install()
        self.page.on("console", self._logged)
        self.page.on("pageerror", lambda error: self._wrong.append(f"raised: {error}"))
        self.page.on("request", self._asked)

    def open(self, path):
        """Go to a path below the console; return the page."""
        answer = self.page.goto(self.site.url + path)
        if answer.status >= 400 and not self.expected:
            self._wrong.append(f"{path}: {answer.status}")
        return self.page

    def wrong(self):
        """Return what was not expected."""
        return [each for each in self._wrong if not (self.expected and re.search(self.expected, each))]

    def _logged(self, message):
        if message.type in ("error", "warning"):
            self._wrong.append(f"logged: {message.text} ({message.location.get('url', '')})")

    def _asked(self, request):
        host = urlsplit(request.url)
        if host.scheme not in ("data", "blob") and host.netloc != urlsplit(self.site.url).netloc:
            self._wrong.append(f"asked {request.url}")


@pytest.fixture(scope="package")
def past(tmp_path_factory):
    """Return a folder with a store that has three days of runs."""
    return written_past(tmp_path_factory.mktemp("past"))


@pytest.fixture(scope="package")
def shop(tmp_path_factory, past):
    """Yield the shop with the console at /scheduler, for this host only."""
    site = Site(tmp_path_factory.mktemp("shop"), past)
    try:
        yield site.up()
    finally:
        site.clean_up()


@pytest.fixture(scope="package")
def office(tmp_path_factory, past):
    """Yield the shop behind a proxy and below a sub-path, with an operator, anna, and a viewer, vera."""
    from tgscheduler.passwords import hash_password

    users = {name: hash_password(password) for name, password in USERS.items()}
    more = f'tg.scheduler.console.users = {users!r}\ntg.scheduler.console.operators = ["anna"]\n'
    site = Proxied(tmp_path_factory.mktemp("office"), past, more)
    site.user = ("anna", USERS["anna"])
    try:
        yield site.up()
    finally:
        site.clean_up()


@pytest.fixture
def serve(tmp_path):
    """Return a function that starts a shop with lines of configuration of the test's own."""
    sites = []

    def serve(more="", **options):
        sites.append(Site(tmp_path, more=more, **options))
        return sites[-1].up()

    yield serve
    for site in sites:
        site.clean_up()


@pytest.fixture(scope="package")
def pictures(tmp_path_factory):
    """Return a function that keeps a page's picture: in the folder that TGS_PICTURES names, or in a temporary one."""
    folder = Path(os.environ.get("TGS_PICTURES") or tmp_path_factory.mktemp("pictures")).absolute()
    folder.mkdir(parents=True, exist_ok=True)

    def keep(page, name, full=True):
        (folder / f"{name}.png").write_bytes(page.screenshot(full_page=full, animations="disabled"))

    return keep
