"""Who asks: this host, users, tokens, the application's own login; and what each may do."""

import base64
import logging
import threading
from concurrent.futures import ThreadPoolExecutor

import cherrypy
import pytest
from asking import Client

from tgscheduler import passwords
from tgscheduler.console import logins
from tgscheduler.console.console import Console
from tgscheduler.console.http import json_response
from tgscheduler.console.routes import Route, Table
from tgscheduler.console.settings import ConsoleSettings
from tgscheduler.console.table import TABLE as FULL

STRANGER = "203.0.113.9"


def who(console, request):
    return json_response(list(request.caller))


TABLE = Table(
    [
        Route("GET", "who", who, "viewer", ".", makes=("*/*",)),
        Route("POST", "act", who, "operator", ".", makes=("*/*",)),
        Route("GET", "api/v1/who", who, "viewer", "."),
        Route("POST", "api/v1/act", who, "operator", "."),
        Route("POST", "choose", who, "viewer", ".", makes=("*/*",)),
    ]
)
SAME = {"Sec-Fetch-Site": "same-origin"}


@pytest.fixture(autouse=True)
def cheap(monkeypatch):
    monkeypatch.setattr(passwords, "N", 2)


@pytest.fixture
def client(ticked):
    """Return a function that makes a client of a console with some settings."""
    return lambda **settings: Client(Console(ticked, ConsoleSettings(**settings)), table=TABLE)


@pytest.fixture
def users():
    hashes = {name: passwords.hash_password(f"{name}'s:pass wörd") for name in ("ops", "dev")}
    return {"users": hashes, "operators": ("ops",)}


def basic(name, password):
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}


# -- this host ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("peer", ["127.0.0.1", "127.8.7.6", "::1", "::ffff:127.0.0.1", "::ffff:7f00:1"])
def test_without_users_a_peer_on_this_host_is_an_operator(client, peer):
    assert client().get("who", peer=peer).json == ["local", "operator", "loopback"]
    assert client().ask("POST", "act", headers=SAME, peer=peer).status == 200


@pytest.mark.parametrize(
    "peer", [STRANGER, "10.0.0.1", "::2", "::ffff:10.0.0.1", "1127.0.0.1", "127.0.0.1.evil", "localhost.x", "", "unix:"]
)
def test_without_users_any_other_peer_is_refused_with_the_reason(client, peer):
    for path in ("who", "api/v1/who"):
        answer = client().get(path, peer=peer)
        assert answer.status == 403
        assert "tg.scheduler.console.users" in answer.text


CLAIMS = [
    "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded", "Forwarded", "Forwarded-For", "Via",
    "X-Real-IP", "X-Client-IP", "Client-IP", "X-Cluster-Client-IP", "True-Client-IP", "X-Original-URL", "CF-Ray",
    "CF-Connecting-IP", "Fastly-Client-IP", "X-Envoy-External-Address", "CDN-Loop", "X-Amzn-Trace-Id",
    "X-Azure-ClientIP", "X-AppEngine-User-IP", "WL-Proxy-Client-IP", "Proxy-Connection", "X-Scheme", "X-ProxyUser-Ip",
]  # fmt: skip


@pytest.mark.parametrize("header", CLAIMS)
def test_no_header_makes_a_peer_one_of_this_host(client, header):
    assert client().get("who", peer=STRANGER, headers={header: "127.0.0.1"}).status == 403


@pytest.mark.parametrize("header", CLAIMS)
def test_a_request_through_a_proxy_is_not_from_this_host(client, header):
    answer = client().get("api/v1/who", headers={header: "127.0.0.1"})
    assert answer.status == 403
    assert header.lower() in answer.json["detail"]


def test_with_tools_proxy_every_peer_may_be_a_proxy(client, monkeypatch):
    monkeypatch.setitem(cherrypy.config, "tools.proxy.on", True)
    assert "tools.proxy" in client().get("api/v1/who").json["detail"]
    monkeypatch.setitem(cherrypy.config, "tools.proxy.on", False)
    assert client().get("who").status == 200
    app = cherrypy.Application(None, "/shop", {"/": {"tools.proxy.on": True}})
    monkeypatch.setitem(cherrypy.tree.apps, "/shop", app)
    assert client().get("who").status == 403


class Index:
    @cherrypy.expose
    def index(self):
        return ""


class Decorated:
    @cherrypy.expose
    @cherrypy.tools.proxy()
    def index(self):
        return ""


class Above:
    """A controller that needs a database which is not there, with others below it."""

    def __init__(self, child):
        self.index = Index()
        self.child, self.me, self.number = child, self, 1

    @property
    def database(self):
        raise AssertionError("read")


def configured(node, **config):
    node._cp_config = {f"tools.{name}.on": value for name, value in config.items()}
    return node


@pytest.mark.parametrize(
    ("root", "status"),
    [
        (Index(), 200),
        (configured(Index(), sessions=True), 200),
        (configured(Index(), proxy=False), 200),
        (configured(Index(), proxy=True), 403),
        (Decorated(), 403),
        (Above(Index()), 200),
        (Above(configured(Index(), proxy=True)), 403),
        (Above(Decorated()), 403),
    ],
)
def test_with_tools_proxy_in_a_controller_too(client, monkeypatch, root, status):
    monkeypatch.setitem(cherrypy.tree.apps, "/shop", cherrypy.Application(root, "/shop"))
    assert client().get("who").status == status


SHOP = "https://shop.example.com"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": SHOP}, 403),
        ({"Origin": "http://127.0.0.1:8080"}, 200),
        ({"Origin": "null"}, 200),
        ({**SAME, "Origin": SHOP}, 403),
        ({**SAME, "Referer": f"{SHOP}/scheduler/"}, 403),
        ({**SAME, "Referer": "http://127.0.0.1:8080/scheduler/tasks/a?x=//b"}, 200),
        ({**SAME, "Referer": ""}, 200),
        ({"Sec-Fetch-Site": "cross-site", "Referer": f"{SHOP}/a-link"}, 200),
        ({"Referer": f"{SHOP}/a-link"}, 200),
    ],
)
def test_a_page_that_calls_this_host_by_another_name_is_behind_a_proxy(client, users, headers, status):
    assert client().get("who", headers=headers).status == status
    assert client(**users).get("who", headers={**headers, **basic("dev", "dev's:pass wörd")}).status == 200


def test_a_form_from_behind_a_proxy_is_refused_with_the_reason(client):
    answer = client().ask("POST", "api/v1/act", headers={**SAME, "Origin": SHOP})
    assert (answer.status, answer.json["title"]) == (403, "Behind a proxy")
    assert "the origin, which is not the Host" in answer.json["detail"]
    assert "tg.scheduler.console.users" in answer.json["detail"]


def test_behind_a_proxy_users_log_in(client, users):
    answer = client(**users).get("who", headers={**basic("ops", "ops's:pass wörd"), "X-Forwarded-For": STRANGER})
    assert answer.json == ["ops", "operator", "user"]


# -- users -------------------------------------------------------------------------------------------------------------


def test_users_log_in_from_anywhere_and_operators_act(client, users):
    there = client(**users)
    assert there.get("who", headers=basic("ops", "ops's:pass wörd"), peer=STRANGER).json == ["ops", "operator", "user"]
    assert there.get("who", headers=basic("dev", "dev's:pass wörd"), peer=STRANGER).json == ["dev", "viewer", "user"]
    assert there.ask("POST", "act", headers={**SAME, **basic("ops", "ops's:pass wörd")}).status == 200
    assert there.ask("POST", "choose", headers={**SAME, **basic("dev", "dev's:pass wörd")}).status == 200
    refused = there.ask("POST", "api/v1/act", headers=basic("dev", "dev's:pass wörd"))
    assert (refused.status, refused.json["title"]) == (403, "Operators only")


@pytest.mark.parametrize(
    "given",
    [
        {},
        basic("ops", "wrong"),
        basic("ops", ""),
        basic("eve", "ops's:pass wörd"),
        basic("", ""),
        {"Authorization": "Basic"},
        {"Authorization": "Basic !!!"},
        {"Authorization": "Basic " + base64.b64encode(b"ops").decode()},
        {"Authorization": "Basic " + base64.b64encode(b"ops:\xff").decode()},
        {"Authorization": "Digest username=ops"},
        {"Authorization": "\u00e9"},
    ],
)
def test_with_users_no_one_else_is_let_in_not_even_from_this_host(client, users, given):
    answer = client(**users).get("who", headers=given)
    assert answer.status == 401
    assert answer.headers["www-authenticate"] == 'Basic realm="tgscheduler", charset="UTF-8"'


def test_an_operator_without_a_password_is_a_mistake_and_a_wrong_role_is_no_way_in(client, users):
    there = client(users={"dev": users["users"]["dev"]}, operators=("ops",))
    assert there.get("who", headers=basic("ops", "ops's:pass wörd")).status == 401


# -- tokens ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def tokens():
    return {
        "ci": {"hash": passwords.hash_password("ci-secret"), "role": "viewer"},
        "cd": {"hash": passwords.hash_password("cd-secret"), "role": "operator"},
        "plain": {"hash": passwords.hash_password("plain-secret")},
    }


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


def test_a_token_has_its_role_in_the_api_from_anywhere(client, tokens):
    there = client(tokens=tokens)
    assert there.get("api/v1/who", headers=bearer("ci-secret"), peer=STRANGER).json == ["ci", "viewer", "token"]
    assert there.get("api/v1/who", headers=bearer("plain-secret"), peer=STRANGER).json == ["plain", "viewer", "token"]
    assert there.ask("POST", "api/v1/act", headers=bearer("cd-secret"), peer=STRANGER).json[0] == "cd"
    assert there.ask("POST", "api/v1/act", headers=bearer("ci-secret")).status == 403


def test_a_wrong_token_is_no_one_even_from_this_host(client, tokens, users):
    for settings in ({"tokens": tokens}, {}, users):
        answer = client(**settings).get("api/v1/who", headers=bearer("wrong"))
        assert answer.status == 401
        assert answer.headers["www-authenticate"]
    assert client(tokens=tokens).get("api/v1/who", headers=bearer(tokens["ci"]["hash"])).status == 401


def test_a_wrong_token_is_logged_without_it(client, tokens, caplog):
    client(tokens=tokens).get("api/v1/who", headers=bearer("hush"), peer=STRANGER)
    said = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert said == [f"A login to the console failed: a token, from {STRANGER}"]
    assert "hush" not in caplog.text


def test_a_token_is_for_the_api_alone(client, tokens):
    assert client(tokens=tokens).get("who", headers=bearer("ci-secret")).status == 401


def test_tokens_do_not_close_the_pages_to_this_host(client, tokens):
    assert client(tokens=tokens).get("who").json == ["local", "operator", "loopback"]
    assert client(tokens=tokens).get("who", peer=STRANGER).status == 403


# -- the application's own login ---------------------------------------------------------------------------------------


def by_header(request):
    """Trust a header, as an application behind its own gate may."""
    return {"anna": ("anna", "operator"), "ben": ["ben", "viewer"]}.get(request.cookies.get("login"))


def by_session(request):
    """Ask CherryPy's session who is logged in: the console reads it, and neither locks nor prolongs it."""
    session = cherrypy.lib.sessions.RamSession(request.cookies.get("session_id"), clean_freq=0)
    name = session.get("user")
    return name and (name, "operator" if name == "anna" else "viewer")


def wrong(request):
    return request.cookies["answer"] and eval(request.cookies["answer"])


@pytest.fixture
def function(request):
    return lambda name: f"{__name__}:{name}"


def test_the_applications_own_login_says_who_asks(client, function):
    there = client(auth=function("by_header"))
    assert there.get("who", headers={"Cookie": "login=anna"}, peer=STRANGER).json == ["anna", "operator", "application"]
    assert there.ask("POST", "act", headers={**SAME, "Cookie": "login=ben"}).status == 403
    refused = there.get("api/v1/who", headers={"Cookie": "login=eve"})
    assert (refused.status, refused.json["title"]) == (403, "Not logged in")


def test_the_login_may_be_a_session_of_cherrypy(client, function):
    session = cherrypy.lib.sessions.RamSession(clean_freq=0)
    session.acquire_lock()
    session["user"] = "anna"
    session.save()  # which gives the lock back
    there = client(auth=function("by_session"))
    assert there.get("who", headers={"Cookie": f"session_id={session.id}"}, peer=STRANGER).json[:2] == [
        "anna",
        "operator",
    ]
    for cookie in ("session_id=0", "session_id=", ""):
        assert there.get("who", headers={"Cookie": cookie}).status == 403


def test_users_may_log_in_beside_the_applications_login(client, function, users):
    there = client(auth=function("by_header"), **users)
    assert there.get("who", headers={"Cookie": "login=anna"}).json[0] == "anna"
    assert there.get("who", headers=basic("dev", "dev's:pass wörd")).json[0] == "dev"
    assert there.get("who").status == 401


@pytest.mark.parametrize(
    "answer",
    ["1", "'anna'", "('anna',)", "('anna','root')", "('','viewer')", "('a\\n','viewer')", "(1,'viewer')", "1/0"],
)
def test_a_login_that_fails_lets_no_one_in_and_is_logged_once(client, function, caplog, answer):
    there = client(auth=function("wrong"))
    for _ in range(3):
        refused = there.get("api/v1/who", headers={"Cookie": f"answer={answer}"})
        assert (refused.status, refused.json["title"]) == (503, "The application's login failed")
    assert there.get("who", headers={"Cookie": f"answer={answer}"}).status == 503
    said = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    assert len(said) == 1
    assert said[0].startswith(f"The application's login to the console, {function('wrong')}, failed: ")
    assert "anna" not in caplog.text


def test_a_login_that_works_again_may_fail_again(client, function, caplog):
    there = client(auth=function("wrong"))
    for answer, status in (("1/0", 503), ("('anna','viewer')", 200), ("1/0", 503), ("{}['hush']", 503)):
        assert there.get("who", headers={"Cookie": f"answer={answer}"}).status == status
    said = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    assert [each.partition("failed: ")[2].partition(",")[0] for each in said] == ["ZeroDivisionError"] * 2 + [
        "KeyError"
    ]
    assert "hush" not in caplog.text


def by_bearer(request):
    return ("ci", "operator") if request.headers.get("authorization") == "Bearer of-the-shop" else None


def test_without_tokens_a_bearer_token_is_the_applications(client, function, users, tokens):
    there = client(auth=function("by_bearer"), **users)
    assert there.get("who", headers=bearer("of-the-shop")).json == ["ci", "operator", "application"]
    assert there.get("api/v1/who", headers=bearer("of-the-shop")).json == ["ci", "operator", "application"]
    assert there.get("api/v1/who", headers=bearer("wrong")).status == 401
    assert client(auth=function("by_bearer")).get("api/v1/who", headers=bearer("wrong")).status == 403
    closed = client(auth=function("by_bearer"), tokens=tokens)
    assert closed.get("api/v1/who", headers=bearer("of-the-shop")).status == 401
    assert closed.get("api/v1/who", headers=bearer("ci-secret")).json == ["ci", "viewer", "token"]


# -- read only ---------------------------------------------------------------------------------------------------------


def test_a_read_only_console_refuses_every_action_and_no_choice_of_a_viewer(client, users, tokens):
    there = client(read_only=True, tokens=tokens, **users)
    for path, headers in (("act", basic("ops", "ops's:pass wörd")), ("api/v1/act", bearer("cd-secret"))):
        answer = there.ask("POST", path, headers={**SAME, **headers})
        assert answer.status == 403
        assert "read_only" in answer.text
    assert there.get("who", headers=basic("ops", "ops's:pass wörd")).status == 200
    assert there.ask("POST", "choose", headers={**SAME, **basic("dev", "dev's:pass wörd")}).status == 200


def test_every_unsafe_route_is_an_operators_but_for_the_choice_of_zone_and_colours():
    unsafe = [route for route in FULL if route.is_unsafe]
    assert [route.path for route in unsafe if route.role != "operator"] == ["display"]


# -- the cost of logins ------------------------------------------------------------------------------------------------


class Counted:
    """Counts the checks of passwords, and has its own clock."""

    def __init__(self, monkeypatch):
        self.checks, self.now = 0, 1000.0
        verify = passwords.verify

        def counted(*arguments):
            self.checks += 1
            return verify(*arguments)

        monkeypatch.setattr(passwords, "verify", counted)
        self.logins = logins.Logins(lambda: self.now)

    def find(self, given="right", peer=STRANGER, login="ops", **kept):
        return self.logins.find(peer, login, given, kept or self.kept)


@pytest.fixture
def counted(monkeypatch):
    made = Counted(monkeypatch)
    made.kept = {"ops": passwords.hash_password("right")}
    return made


def test_a_success_is_remembered_for_minutes(counted):
    for _ in range(50):
        assert counted.find() == "ops"
    assert counted.checks == 1
    counted.now += logins.REMEMBERED
    assert counted.find() == "ops"
    assert counted.checks == 2


def test_a_success_that_is_used_stays_remembered(counted):
    for _ in range(50):
        assert counted.find() == "ops"
        counted.now += logins.REMEMBERED - 1
    assert counted.checks == 1


def test_many_tabs_that_come_at_once_cost_one_check(counted):
    with ThreadPoolExecutor(20) as pool:
        assert set(pool.map(lambda number: counted.find(), range(60))) == {"ops"}
    assert counted.checks == 1


def test_a_flood_of_checks_does_not_hold_every_thread(counted, monkeypatch):
    monkeypatch.setattr(logins, "PATIENCE", 0.01)
    begun, may_end = threading.Event(), threading.Event()
    monkeypatch.setattr(passwords, "verify", lambda *given: begun.set() or may_end.wait(10))
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(counted.find)
        assert begun.wait(10)
        with pytest.raises(logins.Slowed):
            counted.find("another", peer="203.0.113.10")
        may_end.set()
        assert first.result() == "ops"
    assert counted.find() == "ops"


def test_a_changed_password_is_checked_again(counted):
    counted.find()
    assert counted.find(ops=passwords.hash_password("other")) is None


def test_what_is_remembered_is_no_password(counted):
    counted.find()
    assert "right" not in repr(vars(counted.logins))


def test_failures_slow_their_peer_ever_more_and_no_other(counted):
    for _ in range(logins.FREE):
        assert counted.find("wrong") is None
    waits = []
    for _ in range(9):
        with pytest.raises(logins.Slowed) as slowed:
            counted.find("wrong")
        waits.append(slowed.value.seconds)
        counted.now += slowed.value.seconds
        assert counted.find("wrong") is None
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    checks = counted.checks
    with pytest.raises(logins.Slowed):
        counted.find()
    assert counted.checks == checks, "a peer that must wait costs nothing"
    assert counted.find(peer="203.0.113.10") == "ops"
    assert counted.find() == "ops", "what is remembered goes on"
    with pytest.raises(logins.Slowed):
        counted.find("wrong")
    counted.now += logins.FAILING + 61
    assert counted.find("wrong") is None
    assert counted.find("wrong") is None


def test_a_wait_is_bounded_however_long_the_failures_go_on(counted):
    for _ in range(1200):
        counted.find("wrong")
        counted.now += logins.LONGEST


def test_a_success_ends_the_waiting_for_its_own_name(counted):
    for _ in range(3):
        for _ in range(logins.FREE - 1):
            assert counted.find("wrong") is None
        assert counted.find() == "ops"
        counted.now += logins.REMEMBERED


def test_a_client_with_wrong_passwords_locks_no_one_out_behind_the_same_proxy(counted):
    """For a day, at each moment at which it may: forty others log in, each once in that time."""
    slowed = wrong = 0
    for minute in range(24 * 60):
        try:
            counted.find("wrong", login="eve")
            wrong += 1
        except logins.Slowed:
            slowed += 1
        if minute % 36 == 0:
            name = f"user{minute // 36}"
            assert counted.find("right", login=name, **{name: counted.kept["ops"]}) == name
        counted.now += 30.0
    assert min(slowed, wrong) > 500


def test_wrong_passwords_under_many_names_slow_their_peer(counted):
    for number in range(logins.PEER_FREE):
        assert counted.find("wrong", login=f"user{number}") is None
    for number in range(5):
        with pytest.raises(logins.Slowed) as slowed:
            counted.find("wrong", login=f"other{number}")
        assert slowed.value.seconds == logins.PEER_PACE
        counted.now += slowed.value.seconds
        assert counted.find("wrong", login=f"other{number}") is None
    counted.now += logins.PEER_PACE
    assert counted.find(login="new") == "ops"


def test_the_addresses_of_one_network_are_one_peer(counted):
    for number in range(logins.FREE):
        counted.find("wrong", peer=f"2001:db8::{number:x}")
    with pytest.raises(logins.Slowed):
        counted.find("wrong", peer="2001:db8::ffff")
    assert counted.find("wrong", peer="2001:db8:0:1::1") is None


def test_memory_is_bounded(counted):
    for number in range(logins.MOST + 50):
        counted.logins.find(f"10.0.{number // 250}.{number % 250}", f"user{number}", "x", {})
    sizes = [len(each) for each in vars(counted.logins).values() if hasattr(each, "__len__")]
    assert sorted(sizes)[-2:] == [logins.MOST, logins.MOST]
    for number in range(logins.MOST + 50):
        counted.find(login="ops", **{f"user{number}": counted.kept["ops"]})
    assert len(counted.logins._good) == logins.MOST


def test_wrong_tokens_slow_no_right_one(client, tokens):
    there = client(tokens=tokens)
    for number in range(12):
        answer = there.get("api/v1/who", headers=bearer("expired"), peer=STRANGER)
        assert answer.status == (401 if number < logins.FREE else 429)
    assert there.get("api/v1/who", headers=bearer("ci-secret"), peer=STRANGER).status == 200


def test_an_unknown_user_costs_as_much_as_a_known_one(client, users, monkeypatch):
    counted = Counted(monkeypatch)
    there = client(**users)
    for name in ("ops", "eve"):
        counted.checks = 0
        assert there.get("who", headers=basic(name, "wrong")).status == 401
        assert counted.checks == 1


def test_too_many_failures_are_told_when_to_come_again(client, users, caplog):
    there = client(**users)
    for _ in range(logins.FREE):
        assert there.get("who", headers=basic("ops", "hush"), peer=STRANGER).status == 401
    answer = there.get("who", headers=basic("ops", "ops's:pass wörd"), peer=STRANGER)
    assert (answer.status, answer.headers["retry-after"]) == (429, "1")
    assert there.get("who", headers=basic("ops", "ops's:pass wörd")).status == 200
    assert there.get("who", headers=basic("dev", "dev's:pass wörd"), peer=STRANGER).status == 200
    said = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert said == [f"A login to the console failed: ops, from {STRANGER}"] * logins.FREE


def test_a_log_has_no_password_that_was_typed_as_a_name(client, users, caplog):
    client(**users).get("who", headers=basic("hush", ""))
    assert "hush" not in caplog.text
    assert "an unknown user" in caplog.text


def test_settings_do_not_show_hashes(users, tokens):
    assert "scrypt" not in repr(ConsoleSettings(tokens=tokens, **users))
