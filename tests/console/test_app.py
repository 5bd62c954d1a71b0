"""The console over WSGI: paths, queries, bodies, methods, and what is said of those that are wrong."""

import dataclasses
import gzip
import io
import json
import logging

import pytest
from asking import Client
from hypothesis import given
from hypothesis import strategies as st

from tgscheduler.console import wire
from tgscheduler.console.http import Request, Response, json_response, name_of, segment
from tgscheduler.console.public import ROUTES
from tgscheduler.console.routes import Parameter, Route, Table
from tgscheduler.errors import StoreError

FORM = {"Content-Type": "application/x-www-form-urlencoded", "Sec-Fetch-Site": "same-origin"}
JSON = {"Content-Type": "application/json"}


def echo(console, request):
    """Answer what a handler is given."""
    return json_response(dataclasses.asdict(request))


def page(console, request):
    return Response(json.dumps(dataclasses.asdict(request)))


def broken(console, request):
    raise RuntimeError("the reason, with a password")


def unreadable(console, request):
    raise StoreError("the store sqlite:///x is down")


NUMBERS = (Parameter("n", kind="integer", least=1, most=50, default=5), Parameter("at", kind="number"))
BODY = (Parameter("until", "body", "number"), Parameter("note", "body"), Parameter("sure", "body", "boolean"))
TABLE = Table(
    [
        *ROUTES,
        Route("GET", "", page, "viewer", "."),
        Route("GET", "tasks/{name}", page, "viewer", ".", parameters=NUMBERS),
        Route("GET", "tasks/all", page, "viewer", "."),
        Route("GET", "tasks/{name}/pause", page, "operator", "."),
        Route("POST", "tasks/{name}/pause", page, "operator", ".", body=BODY),
        Route("GET", "long", lambda console, request: Response("word " * 1000), "viewer", "."),
        Route("GET", "broken", broken, "viewer", "."),
        Route("GET", "unreadable", unreadable, "viewer", "."),
        Route("GET", "api/v1/broken", broken, "viewer", "."),
        Route("GET", "api/v1/tasks/{name}", echo, "viewer", ".", parameters=NUMBERS),
        Route("POST", "api/v1/tasks/{name}/pause", echo, "operator", ".", body=BODY),
    ]
)


@pytest.fixture
def client(console):
    return Client(console, table=TABLE)


# -- paths -------------------------------------------------------------------------------------------------------------

NAMES = [
    "a",
    "a/b",
    "//",
    "50 %",
    "%2F",
    "#1?x=1&y",
    "naïve 🎉",
    "..",
    ".",
    "...",
    "~..",
    "~",
    "../../etc",
    "a+b",
    ";",
    "\\",
]


@pytest.mark.parametrize("name", NAMES)
def test_every_name_survives_as_one_segment_of_a_url(client, name):
    answer = client.get(f"tasks/{segment(name)}")
    assert (answer.status, answer.json["arguments"]["name"]) == (200, name)
    assert answer.json["root"] == "../"


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1))
def test_a_segment_is_read_as_the_name_that_was_written(name):
    written = segment(name)
    assert not set(written) & set("/?#% ") - {"%"}
    assert written not in (".", "..")
    decoded = wire.segments_of({"REQUEST_URI": f"/scheduler/{written}", "SCRIPT_NAME": "/scheduler"})
    assert [name_of(each) for each in decoded] == [name]


def test_a_word_that_is_spelled_out_goes_before_a_parameter(client):
    assert "name" not in client.get("tasks/all").json["arguments"]


@pytest.mark.parametrize("script_name", ["", "/scheduler", "/ops/jobs", "/ops%20and%20jobs"])
def test_it_works_below_any_path(console, script_name):
    client = Client(console, script_name, table=TABLE)
    client.script_name = script_name
    answer = client.get("tasks/a%2Fb", environ={"SCRIPT_NAME": script_name.replace("%20", " ")})
    assert answer.json["path"] == ["tasks", "a/b"]


def test_the_path_is_read_from_path_info_if_something_has_rewritten_it(client):
    rewritten = {"SCRIPT_NAME": "/inner", "PATH_INFO": "/tasks/na\u00c3\u00afve", "REQUEST_URI": "/outer/x"}
    assert client.get(environ=rewritten).json["arguments"]["name"] == "naïve"
    assert client.get(environ={**rewritten, "REQUEST_URI": ""}).json["arguments"]["name"] == "naïve"


def test_an_absolute_url_is_read_as_its_path(client):
    answer = client.get(environ={"REQUEST_URI": "http://127.0.0.1:8080/scheduler/tasks/http:%2F%2Fx"})
    assert answer.json["arguments"]["name"] == "http://x"


def test_the_mount_without_a_slash_leads_to_the_one_with_it(client):
    bare = {"REQUEST_URI": "/scheduler?state=failing", "PATH_INFO": "", "QUERY_STRING": "state=failing"}
    answer = client.get(environ=bare)
    assert (answer.status, answer.headers["location"]) == (307, "scheduler/?state=failing")
    assert client.get("").json["root"] == "./"


@pytest.mark.parametrize(
    "path",
    [
        "nothing", "tasks", "tasks/", "tasks//", "tasks/a/", "tasks/a/b", "/tasks/a", "static/../app.py", "healthz/",
        "api",
        "static/x/%2e%2e/%2e%2e/app.py", "static/x/..%2f..%2fapp.py", "static/x//etc/passwd", "api/v1", "api/v1/",
    ],
)  # fmt: skip
def test_an_unknown_path_is_not_found(client, path):
    assert client.get(path).status == 404


@pytest.mark.parametrize("path", ["tasks/%", "tasks/%zz", "tasks/%ff", "tasks/%c0%af", "tasks/%ed%a0%80", "tasks/a%00"])
def test_a_malformed_path_is_a_bad_request(client, path):
    assert client.get(path).status == 400
    problem = client.get(f"api/v1/{path}")
    assert (problem.status, problem.headers["content-type"]) == (400, "application/problem+json")


@pytest.mark.parametrize("url", ["/" * 20_000, "tasks/" + "a" * 20_000, "tasks/a?x=" + "1" * 20_000])
def test_a_url_is_bounded(client, url):
    answer = client.get(url)
    assert answer.status == 400
    assert "Expected a URL of at most 16384 characters" in answer.text


# -- methods, media types ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"])
def test_another_method_is_told_those_that_there_are(client, method):
    answer = client.ask(method, "tasks/a/pause", headers={"Sec-Fetch-Site": "same-origin"})
    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD, POST")
    assert client.ask(method, "tasks/a").headers["allow"] == "GET, HEAD"


def test_no_header_and_no_field_makes_another_method_of_a_get(client):
    for headers in ({"X-HTTP-Method-Override": "POST"}, {"X-HTTP-Method": "POST"}, {"X-Method-Override": "DELETE"}):
        assert client.get("tasks/a/pause?_method=POST", headers=headers).json["method"] == "GET"


def test_head_is_a_get_without_its_body(client):
    got, head = client.get("long"), client.ask("HEAD", "long")
    assert (head.status, head.body) == (200, b"")
    assert head.headers == got.headers
    assert client.ask("HEAD", "nothing").status == 404


@pytest.mark.parametrize(
    ("path", "accept", "status"),
    [
        ("tasks/a", "text/html,application/xhtml+xml,*/*;q=0.8", 200),
        ("tasks/a", "text/*", 200),
        ("tasks/a", "", 200),
        ("tasks/a", "application/json", 406),
        ("tasks/a", "text/html;q=0, */*;q=0.0", 406),
        ("tasks/a", "text/html;q=abc", 200),
        ("tasks/a", "garbage", 406),
        ("tasks/a", ",", 406),
        ("api/v1/tasks/a", "application/json", 200),
        ("api/v1/tasks/a", "*/*", 200),
        ("api/v1/tasks/a", "text/html", 406),
        ("healthz", "application/json", 406),
    ],
)
def test_what_is_made_must_be_accepted(client, path, accept, status):
    assert client.get(path, headers={"Accept": accept}).status == status


def test_a_long_text_is_compressed_for_those_who_take_it(client):
    packed = client.get("long", headers={"Accept-Encoding": "br, gzip;q=0.5"})
    assert gzip.decompress(packed.body) == client.get("long").body
    assert packed.headers["vary"] == "Accept-Encoding"
    assert packed.headers["content-length"] == str(len(packed.body)) < "999"
    assert "content-encoding" not in client.get("long", headers={"Accept-Encoding": "gzip;q=0"}).headers


# -- queries and bodies ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "arguments"),
    [
        ("", {"n": 5, "at": None}),
        ("n=50&at=-1", {"n": 50, "at": -1.0}),
        ("n=05&at=1795593600.5", {"n": 5, "at": 1795593600.5}),
        ("&&n=7&", {"n": 7, "at": None}),
    ],
)
def test_a_query_is_read_as_what_the_route_declares(client, query, arguments):
    for path in ("tasks/a", "api/v1/tasks/a"):
        assert client.get(f"{path}?{query}").json["arguments"] == {"name": "a", **arguments}


@pytest.mark.parametrize(
    "query",
    [
        "n=0", "n=51", "n=-1", "n=x", "n=1.5", "n=1&n=2", "n=99999999999999999999", "n=%D9%A1", "n=%", "n=%ff", "n=%00",
        "at=now", "at=nan", "at=inf", "at=1e9", "at=0x1", "at=1_0", "at=1 ",
    ],
)  # fmt: skip
def test_a_bad_query_is_a_bad_request(client, query):
    for path in ("tasks/a", "api/v1/tasks/a"):
        assert client.get(f"{path}?{query}").status == 400


def test_an_unknown_parameter_is_an_error_of_the_api_and_ignored_by_pages(client):
    assert client.get("tasks/a?utm=1").status == 200
    problem = client.get("api/v1/tasks/a?limit=1").json
    assert problem["detail"] == "Unknown parameter 'limit': expected one of n, at."


def test_a_form_is_read_by_pages_and_json_by_the_api(client):
    expected = {"until": 1795593600.0, "note": "ü & y", "sure": True}
    form = client.post("tasks/a/pause", form={"until": "1795593600", "note": "ü & y", "sure": "true"})
    assert form.json["arguments"] == {"name": "a", **expected}
    data = client.post("api/v1/tasks/a/pause", data=expected)
    assert data.json["arguments"] == {"name": "a", **expected}
    nothing = client.ask("POST", "api/v1/tasks/a/pause")
    assert nothing.json["arguments"] == {"name": "a", "until": None, "note": None, "sure": None}
    assert client.post("tasks/a/pause", form={"note": "", "until": ""}).json["arguments"] == nothing.json["arguments"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b'{"until": NaN}', 400),
        (b'{"until": 1, "until": 2}', 400),
        (b'{"sure": "\xff"}', 400),
        (b'"\x00"', 400),
        (b"[" * 60_000, 400),
        (b"1" * 60_000, 400),
        (b"\xef\xbb\xbf{}", 400),
        (b"[]", 422),
        (b"{}", 200),
        (b'{"unknown": 1}', 422),
        (b'{"until": "soon"}', 422),
        (b'{"until": true}', 422),
        (b'{"until": 1e400}', 422),
        (b'{"until": 9' + b"9" * 400 + b"}", 422),
        (b'{"until": {"a": []}}', 422),
        (b'{"sure": 1}', 422),
        (b'{"sure": []}', 422),
        (b'{"sure": {}}', 422),
        (b'{"note": "a\\u0000b"}', 422),
        (b'{"note": "\\ud800"}', 422),
        (b'{"note": ["a"]}', 422),
        (b'{"note": ""}', 200),
    ],
)
def test_a_bad_json_body_changes_nothing(client, body, status):
    answer = client.ask("POST", "api/v1/tasks/a/pause", body=body, headers=JSON)
    assert answer.status == status
    if status != 200:
        assert answer.json["status"] == status


@pytest.mark.parametrize("body", [b"until=%", b"until=%ff", b"until=\xff", b"until=%00"])
def test_a_malformed_form_is_a_bad_request(client, body):
    assert client.ask("POST", "tasks/a/pause", body=body, headers=FORM).status == 400


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Type": "application/json"}, 200),
        ({"Content-Type": "Application/JSON; charset=UTF-8"}, 200),
        ({"Content-Type": 'application/json;charset="utf-8"'}, 200),
        ({"Content-Type": "application/json; charset=utf-16"}, 415),
        ({"Content-Type": "application/json, text/plain"}, 415),
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
        ({"Content-Type": "multipart/form-data; boundary=x"}, 415),
        ({}, 415),
        ({"Content-Type": "application/json", "Content-Encoding": "gzip"}, 415),
    ],
)
def test_a_body_of_another_type_is_refused(client, headers, status):
    assert client.ask("POST", "api/v1/tasks/a/pause", body=b"{}", headers=headers).status == status


class Unread(io.BytesIO):
    def read(self, size=-1):
        raise AssertionError("read, though it was to be refused before")


@pytest.mark.parametrize(("length", "status"), [(str(2**16), 400), (str(2**16 + 1), 413), ("9" * 5000, 413)])
def test_the_length_of_a_body_is_bounded_and_checked_before_it_is_read(client, length, status):
    stream = io.BytesIO(b"{}") if status == 400 else Unread()
    for path in ("tasks/a/pause", "api/v1/tasks/a/pause"):
        environ = {"CONTENT_LENGTH": length, "wsgi.input": stream}
        assert client.ask("POST", path, headers=FORM, environ=environ).status == status


@pytest.mark.parametrize("length", ["-1", "+1", "1_0", "x", "0x10", "\u0661", " 1"])
def test_the_connection_ends_after_a_length_that_is_none(client, length):
    """Or the server would take the rest of the body for the next request."""
    environ = {"CONTENT_LENGTH": length, "wsgi.input": Unread()}
    answer = client.ask("POST", "tasks/a/pause", headers=FORM, environ=environ)
    assert (answer.status, answer.closes) == (400, True)


def chunked(stream):
    return {"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True, "wsgi.input": stream}


def test_a_body_in_chunks_is_bounded_too(client):
    post = {"method": "POST", "path": "api/v1/tasks/a/pause", "headers": JSON}
    assert client.ask(**post, environ=chunked(io.BytesIO(b'{"sure": true}'))).json["arguments"]["sure"] is True
    assert client.ask(**post, environ=chunked(io.BytesIO(b" " * 70_000))).status == 413
    both = {**chunked(Unread()), "CONTENT_LENGTH": "5"}
    assert client.ask(**post, environ=both).status == 400


def test_a_body_in_chunks_is_read_only_if_it_is_wanted_and_ends_the_connection(client):
    """Or the server would take what is left of it for the next request."""
    for method, path, status in (("GET", "tasks/a", 200), ("POST", "tasks/a", 405), ("POST", "nothing", 404)):
        answer = client.ask(method, path, environ=chunked(Unread()))
        assert (answer.status, answer.closes) == (status, True)
    assert not client.get("tasks/a").closes


class Lost(io.BytesIO):
    def __init__(self, error):
        super().__init__()
        self.error = error

    def read(self, size=-1):
        raise self.error


@pytest.mark.parametrize("error", [TimeoutError("timed out"), ConnectionResetError(104, "reset"), ValueError("chunk")])
def test_a_body_that_does_not_come_to_its_end_is_a_bad_request(client, error):
    assert client.post("tasks/a/pause", {"until": "1"}, environ={"wsgi.input": Lost(error)}).status == 400
    assert client.post("tasks/a/pause", {"until": "1"}, environ={"wsgi.input": io.BytesIO(b"un")}).status == 400


# -- what handlers are given, and what becomes of their errors ---------------------------------------------------------


def test_no_handler_sees_a_secret_header(client):
    given = {"Authorization": "Basic b3BzOmh1c2g=", "Cookie": "tgs_zone=utc; broken; session=hush", "X-Y": "z"}
    seen = client.get("tasks/a", headers=given).json
    assert seen["headers"]["x-y"] == "z"
    assert not {"authorization", "cookie"} & set(seen["headers"])
    assert seen["cookies"]["tgs_zone"] == "utc"
    assert "hush" not in repr(Request(headers=given, cookies=seen["cookies"]))


def test_an_error_is_logged_once_and_told_without_its_text(client, caplog):
    for path, kind in (("broken", "text/html; charset=utf-8"), ("api/v1/broken", "application/problem+json")):
        caplog.clear()
        answer = client.get(path)
        assert (answer.status, answer.headers["content-type"]) == (500, kind)
        assert b"password" not in answer.body
        assert b"Traceback" not in answer.body
        errors = [record for record in caplog.records if record.levelno >= logging.WARNING]
        assert [record.getMessage() for record in errors] == [f"The console failed at GET {path}"]
        assert errors[0].exc_info[1].args == ("the reason, with a password",)


def test_a_store_that_does_not_answer_is_said(client):
    answer = client.get("unreadable")
    assert answer.status == 503
    assert "the store sqlite:///x is down" in answer.text


def test_a_problem_is_told_even_if_its_page_cannot_be_made(client, monkeypatch):
    monkeypatch.setattr("tgscheduler.console.render.page", lambda *args: 1 / 0)
    answer = client.get("<b>")
    assert answer.status == 404
    assert "&lt;b&gt;" in answer.text


def test_a_problem_is_text_and_no_markup(client):
    assert b"<script>" not in client.get("%3Cscript%3Ealert(1)%3C%2Fscript%3E").body


def test_no_header_of_an_answer_has_a_line_break(client):
    bare = {"REQUEST_URI": "/scheduler", "PATH_INFO": "", "QUERY_STRING": "a\r\nSet-Cookie: x\u20ac"}
    place = client.get(environ=bare).headers["location"]
    assert "\n" not in place
    place.encode("latin-1")


def test_each_request_is_in_the_access_log_but_for_those_that_find_nothing_new(console, caplog):
    def tagged(console, request):
        return Response(status=304 if request.headers.get("if-none-match") else 200)

    client = Client(console, table=Table([Route("GET", "x", tagged, "viewer", ".")]))
    with caplog.at_level(logging.INFO):
        client.get('x?a="\x07', headers={"User-Agent": 'Mozilla "x"\n'}, environ={"SERVER_PROTOCOL": "HTTP/1.1"})
        client.get("x", headers={"If-None-Match": "x"})
    lines = [record.getMessage() for record in caplog.records if record.name.startswith("cherrypy.access")]
    assert len(lines) == 1
    assert lines[0].startswith("127.0.0.1 - - [")
    assert lines[0].endswith(r'] "GET /scheduler/x?a=\"\x07 HTTP/1.1" 200 - "" "Mozilla \"x\"\n"')


# -- public ------------------------------------------------------------------------------------------------------------


def test_the_probes_answer_strangers_by_one_word(client, ticked):
    foreign = {"peer": "203.0.113.9", "environ": {"HTTP_HOST": "10.0.0.1", "HTTP_X_FORWARDED_FOR": "198.51.100.1"}}
    assert client.get("healthz", **foreign)[::2] == (200, b"ok\n")
    assert client.get("readyz", **foreign)[::2] == (200, b"ready\n")
    ticked.stop()
    for path in ("healthz", "readyz"):
        answer = client.get(path, **foreign)
        assert (answer.status, answer.text) == (503, "stopped\n")
        assert answer.headers["cache-control"] == "no-store"


def test_a_degraded_scheduler_is_alive_and_not_ready(client, ticked, monkeypatch):
    monkeypatch.setattr(ticked, "health", lambda: {"state": "degraded"})
    assert client.get("healthz")[::2] == (200, b"degraded\n")
    assert client.get("readyz")[::2] == (503, b"degraded\n")


def test_a_static_file_is_kept_for_ever_and_only_under_its_version(client):
    from tgscheduler.console import assets

    address = assets.address("", "console.css")
    answer = client.get(address, peer="203.0.113.9")
    assert (answer.status, answer.headers["content-type"]) == (200, "text/css; charset=utf-8")
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert client.get(address.replace(assets.version(), "0")).status == 404
    assert client.get(assets.address("", "vendor/manifest.json")).status == 404


def test_the_mount_itself_is_the_schedule(console):
    answer = Client(console).get("")
    assert answer.status == 200
    assert "Schedule" in answer.text
