"""What all pages share: the bar, banners, notices, fragments, escaping, links that work below any path."""

import itertools
import re
from html.parser import HTMLParser

import jinja2
import pytest
from asking import Client
from helpers import NOON, noop
from reading import text_of

from tgscheduler.console import render
from tgscheduler.console.console import Console
from tgscheduler.console.settings import ConsoleSettings
from tgscheduler.testing import TickedScheduler

#: Every page that can be looked at without an argument.
PAGES = ["", "runs", "calendar", "simulate", "why", "health", "tasks/a%2Fb", "tasks/a%2Fb/pause", "nothing/here"]

VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}


@pytest.fixture
def world(ticked):
    ticked.add_interval_task(noop, interval=60, taskname="a/b")
    ticked.tick(600)
    return ticked


class Outline(HTMLParser):
    """Checks that elements are closed in order, and collects attributes and headings."""

    def __init__(self, text):
        super().__init__()
        self.open, self.attributes, self.headings, self.ids = [], [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.attributes += [(tag, name, value) for name, value in attrs]
        self.ids += [value for name, value in attrs if name == "id"]
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.attributes += [(tag, name, value) for name, value in attrs]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, self.getpos()


@pytest.mark.parametrize("path", PAGES)
def test_every_page_is_well_formed_without_a_style_or_script_of_its_own(client, world, path):
    page = client.get(path).text
    outline = Outline(page)
    assert [each for each in outline.attributes if each[1] == "style" or each[1].startswith("on")] == []
    assert re.findall(r"<style|<script(?! src=)", page) == []
    assert len(outline.ids) == len(set(outline.ids))


@pytest.mark.parametrize("path", PAGES)
def test_the_headings_of_every_page_are_in_order(client, world, path):
    headings = Outline(client.get(path).text).headings
    assert headings.count(1) == 1
    assert headings[0] == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(headings))


@pytest.mark.parametrize("path", PAGES)
def test_every_address_is_relative_so_that_any_mount_and_proxy_works(client, world, path):
    named = {"href", "src", "action"}
    addresses = [value for _, name, value in Outline(client.get(path).text).attributes if name in named]
    assert addresses
    for address in addresses:
        assert re.match(r"(\./|(\.\./)+|#)", address), address
        assert address.count("../") <= path.count("/"), address


def test_a_name_with_markup_is_text_everywhere(ticked, client):
    name = "<script>alert(1)</script>\"'&"
    ticked.add_interval_task(noop, interval=60, taskname=name)
    ticked.tick(300)
    for path in ("", "?span=week", "tasks/" + render.segment(name), "runs"):
        page = client.get(path)
        assert page.status == 200
        assert "<script>alert" not in page.text
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page.text


def test_a_template_that_names_an_unknown_value_is_an_error():
    with pytest.raises(jinja2.UndefinedError):
        render.environment().from_string("{{ unknown }}").render()


def test_the_bar_says_which_page_it_is_who_asks_and_the_zone(client):
    page = client.get("health").text
    assert re.findall(r'<a href="\./(\w*)" aria-current="page">', page) == ["health"]
    assert 'title="You are local, operator"' in page
    assert 'data-zone="UTC"' in page


# -- fragments ---------------------------------------------------------------------------------------------------------


def test_the_live_fragment_is_what_a_page_has_between_the_bar_and_the_dialogs(client, world):
    whole, fragment = client.get("").text, client.get("?fragment=live").text
    assert fragment.strip().startswith("<main")
    assert fragment.strip().endswith("</main>")
    assert fragment.strip() in whole


@pytest.mark.parametrize("path", [*PAGES[:-1], "tasks/a%2Fb/run", "tasks/a%2Fb/reschedule", "pause-all"])
def test_only_a_fragment_that_stands_alone_is_found(client, world, path):
    templates = [render.environment().get_template(name) for name in render.environment().list_templates()]
    names = {name for template in templates for name in template.blocks} | {"nothing", ""}
    statuses = {name: client.get(f"{path}?fragment={name}").status for name in {*names, "live"}}
    is_form = path.rpartition("/")[2] in ("pause", "resume", "run", "reschedule", "pause-all", "resume-all")
    found = {"live", "confirm"} if is_form else {"live"}
    assert {name for name, status in statuses.items() if status == 200} == found
    assert {status for name, status in statuses.items() if name not in found} == {404}


# -- the reader's choices ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("form", "cookie"),
    [
        ({"zone": "utc"}, "tgs_zone=utc"),
        ({"zone": "server"}, "tgs_zone=server"),
        ({"zone": "browser:Asia/Tokyo"}, "tgs_zone=browser:Asia/Tokyo"),
        ({"theme": "dark"}, "tgs_theme=dark"),
    ],
)
def test_a_choice_is_kept_in_a_cookie_and_leads_back(client, form, cookie):
    answer = client.post("display", form={**form, "back": "tasks/a%2Fb?x=1"})
    assert answer.status == 303
    assert answer.headers["location"] == "././tasks/a%2Fb?x=1"
    assert answer.headers["set-cookie"].startswith(f"{cookie}; Max-Age=")
    assert "SameSite=Strict; HttpOnly" in answer.headers["set-cookie"]


@pytest.mark.parametrize(
    "form",
    [{}, {"zone": "mars"}, {"zone": "browser:Moon/Crater"}, {"zone": "browser:UTC; x=y"}, {"theme": "pink"}],
)
def test_another_choice_is_refused(client, form):
    answer = client.post("display", form=form)
    assert answer.status == 422
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    "back", ["https://evil.example/", "//evil.example", "/etc", "a\r\nSet-Cookie: x=y", "\\\\evil"]
)
def test_the_way_back_stays_below_the_mount(client, back):
    location = client.post("display", form={"theme": "light", "back": back}).headers["location"]
    assert location.startswith("././")
    assert re.fullmatch(r"[!-~]+", location)
    assert "\\" not in location


def test_all_times_of_a_page_are_in_the_chosen_zone(client, world):
    page = client.get("", headers={"Cookie": "tgs_zone=browser:Asia/Tokyo"}).text
    assert set(re.findall(r"<abbr>(\w+)</abbr>", page)) == {"JST"}
    assert 'value="browser:Asia/Tokyo" checked' in page


@pytest.mark.parametrize(("cookie", "theme"), [("dark", "dark"), ("light", "light"), ('x"onload', "auto")])
def test_the_chosen_colours_are_those_of_the_page(client, cookie, theme):
    assert f'data-theme="{theme}"' in client.get("", headers={"Cookie": f"tgs_theme={cookie}"}).text


# -- banners, notices --------------------------------------------------------------------------------------------------


def test_a_notice_is_shown_once_and_only_its_token_is_in_the_address(client, console):
    token = console.notices.leave("rank was <paused>.")
    assert "rank was &lt;paused&gt;." in client.get(f"?notice={token}").text
    assert "rank was" not in client.get(f"?notice={token}").text
    assert "evil" not in client.get("?notice=evil").text


def test_no_more_notices_wait_than_two_hundred(console):
    tokens = [console.notices.leave(str(number)) for number in range(300)]
    assert [console.notices.take(token) for token in tokens[:100]] == [None] * 100
    assert console.notices.take(tokens[100]) == "100"


def test_a_stopped_scheduler_is_said_with_what_to_do(ticked, client):
    assert "is stopped" not in client.get("").text
    ticked.stop()
    text = client.get("").text
    assert "The scheduler is stopped." in text
    assert "tg.scheduler = True" in text


def test_a_read_only_console_says_so_and_offers_no_action(ticked, world):
    client = Client(Console(ticked, ConsoleSettings(read_only=True)))
    for path in ("", "tasks/a%2Fb"):
        page = client.get(path).text
        assert "Read only" in page
        assert "Run now" not in page
        assert "Pause" not in page


def test_a_viewer_is_offered_no_action(ticked, world):
    client = Client(Console(ticked, ConsoleSettings(auth="reading:guest")))
    page = client.get("").text
    assert "guest" in page
    assert "Run now" not in page


def test_what_degrades_the_scheduler_is_a_banner(client, console, monkeypatch):
    health = console.reader.health()
    worse = type(health)(**{name: getattr(health, name) for name in health.__dataclass_fields__} | {
        "state": "degraded", "reasons": ("the store is down: disk full; 412 records wait for it",)
    })  # fmt: skip
    monkeypatch.setattr(console.reader, "health", lambda: worse)
    text = text_of_all(client.get(""))
    assert "Degraded: the store is down: disk full; 412 records wait for it. Tasks keep running" in text


def text_of_all(answer):
    return " ".join(re.sub("<[^>]*>", " ", answer.text).split())


def test_a_stranger_sees_a_problem_and_nothing_of_the_scheduler():
    stopped = TickedScheduler(start=NOON)
    stopped.stop()
    page = Client(Console(stopped), peer="203.0.113.9").get("")
    assert page.status == 403
    assert "stopped" not in page.text
    assert "tg.scheduler.console.users" in text_of(page)


# -- words and figures -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("share", "shown"),
    [(None, "\u2013"), (1.0, "100 %"), (0.9999, "99.9 %"), (0.5, "50 %"), (0.981, "98.1 %"), (0, "0 %")],
)
def test_not_quite_all_is_not_a_hundred_per_cent(share, shown):
    assert render.percent(share) == shown


def test_a_query_leaves_out_what_is_not_set():
    assert render.query({"q": "a b", "state": None, "page": ""}, page=2) == "?q=a+b&page=2"
    assert render.query({"q": None}) == "?"


def test_counts_and_their_nouns():
    assert [render.plural(count, "task") for count in (0, 1, 4312)] == ["0 tasks", "1 task", "4,312 tasks"]


def test_the_last_line_of_an_error_is_the_exception():
    assert render.last_line("Traceback:\n  File\nValueError: no\n\n") == "ValueError: no"
    assert render.last_line(None) == ""
