"""Updates in place: what has not changed is 304, what many ask for at once is made once."""

import threading

import pytest
from asking import Client
from helpers import noop, wait_for

from tgscheduler.console.console import Console
from tgscheduler.console.http import Response
from tgscheduler.console.polling import MOST, Fragments
from tgscheduler.console.settings import ConsoleSettings


@pytest.fixture
def world(ticked):
    ticked.add_interval_task(noop, interval=600, taskname="sync")
    ticked.tick(1800)
    return ticked


def poll(client, path="", seen=None, **headers):
    mark = "&" if "?" in path else "?"
    return client.get(f"{path}{mark}fragment=live", headers={"If-None-Match": seen, **headers} if seen else headers)


def test_what_has_not_changed_is_not_sent_again(client, world):
    first = poll(client)
    again = poll(client, seen=first.headers["etag"])
    assert (first.status, again.status, again.body) == (200, 304, b"")
    assert again.headers["etag"] == first.headers["etag"]


@pytest.mark.parametrize(
    "change",
    [
        lambda world: world.pause("sync"),
        lambda world: world.add_interval_task(noop, interval=5, taskname="other"),
        lambda world: world.tick(600),
        lambda world: world.stop(),
        lambda world: world.clock.advance(61),
    ],
    ids=["a pause", "a new task", "a run", "a stop", "a minute later"],
)
def test_every_change_that_a_page_shows_is_sent(client, console, world, change):
    seen = poll(client).headers["etag"]
    change(world)
    console.reader.forget()
    changed = poll(client, seen=seen)
    assert changed.status == 200
    assert changed.headers["etag"] != seen


def test_a_reader_who_chooses_another_zone_gets_another_page(client, world):
    seen = poll(client).headers["etag"]
    other = poll(client, seen=seen, Cookie="tgs_zone=browser:Asia/Tokyo")
    assert other.status == 200
    assert b"JST" in other.body
    assert b"JST" not in poll(client).body


def test_every_answer_has_the_servers_time(client, world):
    first = poll(client)
    assert float(first.headers["x-time"]) == world.clock.now()
    world.clock.advance(1)
    assert float(poll(client, seen=first.headers["etag"]).headers["x-time"]) == world.clock.now()


def test_many_tabs_are_one_page(client, console, world, monkeypatch):
    made = []
    render = console.render
    monkeypatch.setattr(console, "render", lambda *args, **kw: made.append(args) or render(*args, **kw))
    answers = [poll(client) for _ in range(10)]
    assert len(made) == 1
    assert len({answer.body for answer in answers}) == 1
    poll(client, "?span=day")
    assert len(made) == 2


def test_what_an_action_did_is_seen_at_once(client, console, world):
    poll(client)
    world.pause("sync")
    console.reader.forget()
    assert b"until it is resumed" in poll(client).body


def by_header(request):
    """Log everybody in as the role that a header says."""
    return "someone", request.headers["x-role"]


def test_a_viewer_is_not_given_what_was_made_for_an_operator(ticked, world):
    client = Client(Console(ticked, ConsoleSettings(auth="test_polling:by_header")))
    assert b"Run now" in poll(client, **{"X-Role": "operator"}).body
    assert b"Run now" not in poll(client, **{"X-Role": "viewer"}).body


def test_no_more_fragments_are_kept_than_a_hundred():
    fragments, tasks, made = Fragments(), [], []

    def ask(key):
        return fragments.made(key, lambda: tasks, lambda: made.append(key) or Response(str(key))).body

    for key in range(MOST + 20):
        assert ask(key) == str(key)
    made.clear()
    assert [ask(MOST), ask(0), ask(0)] == [str(MOST), "0", "0"]
    assert made == [0]
    tasks = []
    ask(0)
    assert made == [0, 0]


def test_of_many_tabs_at_once_one_has_the_page_made():
    fragments, tasks, made, begun = Fragments(), [], [], threading.Event()

    def make():
        begun.set()
        made.append(threading.get_ident())
        wait_for(lambda: waiting, 5)
        return Response("it")

    def ask():
        begun.wait(5)
        waiting.append(1)
        assert fragments.made("it", lambda: tasks, make).body == "it"

    waiting = []
    threads = [threading.Thread(target=ask) for _ in range(5)]
    for thread in threads:
        thread.start()
    assert fragments.made("it", lambda: tasks, make).body == "it"
    for thread in threads:
        thread.join()
    assert len(made) == 1


def test_a_whole_page_is_made_anew(client, console, world):
    assert Client(console).get("").headers["etag"] == poll(client).headers["etag"]
    assert client.get("").status == 200
