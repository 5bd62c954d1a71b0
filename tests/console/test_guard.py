"""Hosts, origins and headers: what tells the console's own pages from foreign ones."""

import pytest
from asking import Client

from tgscheduler.console.console import Console
from tgscheduler.console.http import Response
from tgscheduler.console.routes import Route, Table
from tgscheduler.console.settings import ConsoleSettings

TABLE = Table(
    [
        Route("GET", "page", lambda console, request: Response("page"), "viewer", "."),
        Route("POST", "page", lambda console, request: Response("done"), "operator", "."),
        Route("POST", "api/v1/act", lambda console, request: Response("{}"), "operator", "."),
    ]
)


@pytest.fixture
def client(ticked):
    return Client(Console(ticked, ConsoleSettings(hosts=("ops.example.com", "Jobs.example.com:8443"))), table=TABLE)


@pytest.fixture
def bound(monkeypatch):
    """Set the address that the server listens on."""
    return lambda host: monkeypatch.setattr("cherrypy.server.socket_host", host)


# -- Host: a foreign name may resolve to this server -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("listens", "host", "status"),
    [
        ("127.0.0.1", "127.0.0.1:8080", 200),
        ("127.0.0.1", "127.9.9.9", 200),
        ("127.0.0.1", "localhost", 200),
        ("127.0.0.1", "LocalHost.:8080", 200),
        ("127.0.0.1", "[::1]:8080", 200),
        ("127.0.0.1", "[0:0:0:0:0:0:0:1]", 200),
        ("127.0.0.1", "[::ffff:127.0.0.1]", 200),
        ("127.0.0.1", "ops.example.com", 200),
        ("127.0.0.1", "OPS.example.com:443", 200),
        ("127.0.0.1", "jobs.example.com", 200),
        ("127.0.0.1", "rebound.evil.example", 403),
        ("127.0.0.1", "localhost.evil.example", 403),
        ("127.0.0.1", "127.0.0.1.evil.example", 403),
        ("127.0.0.1", "evilops.example.com", 403),
        ("127.0.0.1", "192.0.2.7", 403),
        ("127.0.0.1", "0.0.0.0", 403),
        ("127.0.0.1", "", 400),
        ("127.0.0.1", "[::1", 400),
        ("127.0.0.1", "localhost:x", 400),
        ("127.0.0.1", "localhost:80@evil.example", 400),
        ("127.0.0.1", "localhost/evil.example", 400),
        ("127.0.0.1", "localhost, evil.example", 400),
        ("192.0.2.7", "192.0.2.7:80", 200),
        ("192.0.2.7", "192.0.2.8", 403),
        ("web1.example.com", "web1.example.com", 200),
        ("::1", "[::1]", 200),
        ("2001:db8::1", "[2001:DB8:0::1]:80", 200),
        ("0.0.0.0", "192.0.2.8:8080", 200),
        ("0.0.0.0", "rebound.evil.example", 403),
        ("::", "[2001:db8::9]", 200),
        (None, "192.0.2.8", 200),
        (None, "rebound.evil.example", 403),
    ],
)
def test_the_host_must_be_known(client, bound, listens, host, status):
    bound(listens)
    client.host = host
    assert client.get("page").status == status


def test_an_unknown_host_is_told_what_to_do(client):
    client.host = "<b>.example"
    answer = client.get("page")
    assert "tg.scheduler.console.hosts" in answer.text
    assert "<b>.example" not in answer.text


# -- unsafe methods ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "form", "api"),
    [
        ({"Sec-Fetch-Site": "same-origin"}, 200, 200),
        ({"Sec-Fetch-Site": "none"}, 200, 200),
        ({"Sec-Fetch-Site": "same-site"}, 403, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403, 403),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "http://127.0.0.1:8080"}, 403, 403),
        ({"Sec-Fetch-Site": ""}, 403, 403),
        ({"Sec-Fetch-Site": "same-origin, cross-site"}, 403, 403),
        ({"Origin": "http://127.0.0.1:8080"}, 200, 200),
        ({"Origin": "HTTP://127.0.0.1:8080"}, 200, 200),
        ({"Origin": "null"}, 403, 403),
        ({"Origin": ""}, 403, 403),
        ({"Origin": "http://127.0.0.1"}, 403, 403),
        ({"Origin": "http://127.0.0.1:8081"}, 403, 403),
        ({"Origin": "http://localhost:8080"}, 403, 403),
        ({"Origin": "http://evil.example"}, 403, 403),
        ({"Origin": "http://evil.example/127.0.0.1:8080"}, 403, 403),
        ({"Origin": "http://127.0.0.1:8080@evil.example"}, 403, 403),
        ({"Origin": "file://127.0.0.1:8080"}, 403, 403),
        ({"Origin": "127.0.0.1:8080"}, 403, 403),
        ({"Referer": "http://127.0.0.1:8080/scheduler/"}, 403, 200),
        ({}, 403, 200),
    ],
)
def test_an_unsafe_method_must_come_from_the_console_itself(client, headers, form, api):
    """A request with neither header is no browser's: a form is refused all the same, the API takes it."""
    assert client.ask("POST", "page", headers=headers).status == form
    assert client.ask("POST", "api/v1/act", headers=headers).status == api


@pytest.mark.parametrize(
    ("host", "origin", "status"),
    [
        ("ops.example.com", "https://ops.example.com", 200),
        ("ops.example.com:443", "https://ops.example.com", 200),
        ("ops.example.com", "https://ops.example.com:443", 200),
        ("ops.example.com:8443", "https://ops.example.com", 403),
        ("ops.example.com:80", "https://ops.example.com", 403),
    ],
)
def test_the_default_port_of_an_origin_need_not_be_written(client, host, origin, status):
    client.host = host
    assert client.ask("POST", "page", headers={"Origin": origin}).status == status


def test_reading_needs_no_origin(client):
    assert client.get("page", headers={"Sec-Fetch-Site": "cross-site", "Referer": "http://evil.example/"}).status == 200


# -- headers -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["page", "nothing", "healthz", "api/v1/nothing", "page?%"])
def test_every_answer_has_the_headers_that_keep_a_browser_from_harm(client, path):
    headers = client.get(path).headers
    policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
    assert policy == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self' data:",
        "connect-src": "'self'",
        "form-action": "'self'",
        "base-uri": "'none'",
        "frame-ancestors": "'none'",
    }
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "same-origin"
    assert headers["cache-control"] == "no-store"
    assert "geolocation=()" in headers["permissions-policy"]
    assert "set-cookie" not in headers
    assert not any(name.startswith("access-control-") for name in headers)
