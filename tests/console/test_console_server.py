"""The console in a real CherryPy server: what arrives at a socket, well formed or not."""

import socket

import pytest
from servers import Server

pytestmark = [pytest.mark.server, pytest.mark.slow]

PROGRAM = """
import tgscheduler.console
cherrypy.config.update({
    "tg.scheduler.console": "/scheduler", "tools.sessions.on": True, "tools.encode.on": True, "tools.gzip.on": True,
    "tools.trailing_slash.on": True, "tools.trailing_slash.extra": True, "request.show_tracebacks": True,
})
scheduler.add_interval_task(int, 3600, taskname="a/b %\N{PARTY POPPER}")

def again():
    from threading import Thread
    Thread(target=lambda: (time.sleep(0.1), engine.stop(), engine.start(), mark("started", "again"))).start()
    return "soon"

class Root(Root):
    @cherrypy.expose
    def default(self, *path, **query):
        return "the application"

serve()
"""

SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with Server(tmp_path_factory.mktemp("server"), PROGRAM) as server:
        yield server.up()
        assert "Traceback" not in server.log()
        server.stop()


def send(server, *parts, timeout=8.0):
    """Send bytes on one connection; return all that comes back until the server closes it, or is silent for long."""
    with socket.create_connection(("127.0.0.1", server.port), timeout) as sock:
        for part in parts:
            sock.sendall(part)
        received = b""
        try:
            while data := sock.recv(65536):
                received += data
        except (TimeoutError, ConnectionResetError):
            pass
        return received


def request(method, path, *headers, body=b"", close=True):
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", *headers, *(["Connection: close"] if close else [])]
    if body and not any(line.startswith(("Content-Length", "Transfer-Encoding")) for line in headers):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("utf-8") + body


def statuses(received):
    return [int(part.split(b" ", 1)[0]) for part in received.split(b"HTTP/1.1 ")[1:]]


def test_nothing_of_the_servers_own_tools_has_a_part_in_it(server):
    answer = send(server, request("GET", "/scheduler/healthz", "Accept-Encoding: gzip"))
    assert statuses(answer) == [200]
    assert answer.endswith(b"\r\n\r\nok\n")
    assert b"Set-Cookie" not in answer
    assert statuses(send(server, request("GET", "/scheduler/healthz/"))) == [404]


def test_names_survive_the_way_over_the_wire(server):
    answer = send(server, request("GET", "/scheduler/tasks/a%2Fb%20%25%F0%9F%8E%89"))
    assert statuses(answer) == [200]
    assert "a/b %🎉".encode() in answer


def test_a_forged_header_is_refused_from_this_host_too(server):
    for line in ("X-Forwarded-For: 127.0.0.1", "Forwarded: for=127.0.0.1", "X_Forwarded_For: 127.0.0.1"):
        assert statuses(send(server, request("GET", "/scheduler/", line))) == [403]


@pytest.mark.parametrize(
    "path",
    [
        "/scheduler/%", "/scheduler/%00", "/scheduler/tasks/%ff", "/scheduler/tasks/%c0%ae%c0%ae", "/scheduler/?%",
        "/scheduler/tasks/\u00e9\udcff",
    ],
)  # fmt: skip
def test_malformed_urls_are_bad_requests(server, path):
    raw = request("GET", "/x").replace(b"/x", path.encode("utf-8", "surrogateescape"))
    assert statuses(send(server, raw)) == [400]


@pytest.mark.parametrize(
    "path",
    [
        "/scheduler/static/../../../../etc/passwd", "/scheduler/static/x/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
        "/scheduler//",
        "/scheduler/static/x//etc/passwd", "/scheduler/static/x/..%5c..%5cboot.ini", "/scheduler/./healthz",
    ],
)  # fmt: skip
def test_no_path_leads_out(server, path):
    answer = send(server, request("GET", path))
    assert statuses(answer) == [404]
    assert b"root:" not in answer


def chunks(*parts):
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


SAME = ("POST", "/scheduler/display", "Sec-Fetch-Site: same-origin")
REFUSED = ("POST", "/scheduler/display", "Sec-Fetch-Site: cross-site")


def test_a_body_in_chunks_that_is_refused_is_no_next_request(server):
    answer = send(server, request(*REFUSED, "Transfer-Encoding: chunked", body=chunks(SMUGGLED), close=False))
    assert statuses(answer) == [403]
    assert b"the application" not in answer


def test_a_body_in_chunks_is_read(server):
    form = (*SAME, "Transfer-Encoding: chunked", "Content-Type: application/x-www-form-urlencoded")
    answer = send(server, request(*form, body=chunks(b"zo", b"ne=utc"), close=False))
    assert statuses(answer) == [303]
    assert b"tgs_zone=utc" in answer


def test_what_follows_the_last_chunk_is_no_next_request(server):
    form = (*SAME, "Transfer-Encoding: chunked", "Content-Type: application/x-www-form-urlencoded", "Trailer: X-Last")
    body = b"8\r\nzone=utc\r\n0\r\nX-Last: 1\r\n\r\n"
    for trailed in (body, body.replace(b"X-Last: 1\r\n", SMUGGLED)):
        answer = send(server, request(*form, body=trailed + SMUGGLED, close=False))
        assert statuses(answer) == [303]
        assert b"the application" not in answer


@pytest.mark.parametrize(
    "raw",
    [
        request(*SAME, "Transfer-Encoding: chunked", body=b"zz\r\n" + SMUGGLED, close=False),
        request(*SAME, "Transfer-Encoding: chunked", body=b"5\r\nabcdefgh\r\n" + SMUGGLED, close=False),
        request(*REFUSED, "Transfer-Encoding: chunked", "Content-Length: 5", body=b"0\r\n\r\n" + SMUGGLED, close=False),
        request(*REFUSED, "Content-Length: -1", body=SMUGGLED, close=False),
        request(*REFUSED, "Content-Length: 4_0", body=SMUGGLED, close=False),
        request("GET", "/scheduler/healthz", "Content-Length: +0", body=SMUGGLED, close=False),
    ],
)
def test_after_a_body_whose_end_is_not_known_the_connection_ends(server, raw):
    answer = send(server, raw)
    assert statuses(answer) == [400]
    assert b"the application" not in answer


def test_a_body_is_bounded_whatever_it_says(server):
    assert statuses(send(server, request(*REFUSED, "Content-Length: 65537", close=False))) == [413]
    assert statuses(send(server, request(*REFUSED, "Content-Length: 99999999999", close=False))) == [413]
    large = request(*SAME, "Transfer-Encoding: chunked", body=chunks(*[b"x" * 8000] * 20), close=False)
    assert statuses(send(server, large)) == [413]


def test_huge_headers_and_a_body_that_ends_early_harm_no_one(server):
    send(server, request("GET", "/scheduler/", "X-Long: " + "x" * 600_000))
    with socket.create_connection(("127.0.0.1", server.port), 5) as sock:
        sock.sendall(request("POST", "/scheduler/display", "Sec-Fetch-Site: same-origin", "Content-Length: 50")[:-1])
    assert statuses(send(server, request("GET", "/scheduler/healthz"))) == [200]


def test_a_stop_and_a_start_of_the_engine_keep_it_mounted_once(server):
    server.do("again")
    server.see("started again")
    assert statuses(send(server, request("GET", "/scheduler/healthz"))) == [200]
    assert server.log().count("The console of the scheduler is at /scheduler") == 2
