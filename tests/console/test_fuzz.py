"""Whatever is sent, the answer is what the documentation says, and never an internal error."""

import json
import re

import pytest
from asking import Client
from helpers import NOON
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tgscheduler import stores
from tgscheduler.console import wire
from tgscheduler.console.console import Console
from tgscheduler.console.http import segment
from tgscheduler.console.table import TABLE
from tgscheduler.testing import TickedScheduler

pytest_plugins = ["postgres"]

#: What may be answered to a request that is not as documented.
ANSWERS = {200, 202, 204, 303, 304, 307, 400, 401, 403, 404, 405, 406, 409, 412, 413, 415, 422}

NAMES = ["plain", "a/b", "50 % #1?", "🎉", "..", "<script>alert(1)</script>"]
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
ODD = st.sampled_from(
    [
        "", "0", "-1", "1", "51", "1e9", "nan", "inf", "99999999999999999999", "true", "null", "2026-02-30",
        "2026-11-25", "2026-11-25T09:00:00+01:00", "9999-12-31T23:59:59+00:00", "0001-01-01T00:00:00+14:00",
        "Europe/Berlin", "../UTC", "* * * * *", "99 99 * * *", "every 90 s", "mon-fri 09:00", "@reboot", "%", "hour",
        "'; DROP TABLE runs; --", "\U0010ffff", "failing", "ok", "running", "week", "x" * 5000, "1:2:3", ".", "a\nb",
        *NAMES,
    ]
)  # fmt: skip
VALUE = ODD | TEXT
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | VALUE,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(VALUE, inner, max_size=3),
    max_leaves=5,
)


@pytest.fixture(params=["memory", *(pytest.param(name, marks=pytest.mark.slow) for name in ("sqlite", "postgres"))])
def client(request, tmp_path):
    urls = {"memory": lambda: None, "sqlite": lambda: f"sqlite:///{tmp_path}/runs.db"}
    url = urls.get(request.param, lambda: request.getfixturevalue("postgres_schema"))()
    ticked = TickedScheduler(start=NOON, store=url and stores.open(url))
    for number, name in enumerate(NAMES):
        ticked.add_interval_task(fail if number == 1 else int, 60 + number, taskname=name)
    ticked.tick(300)
    yield Client(Console(ticked), headers={"Sec-Fetch-Site": "same-origin"})
    ticked.stop()


def fail():
    raise ValueError("<b>bad</b>")


@st.composite
def requests(draw):
    """Draw a request for one of the routes, each part of which may be as documented or not."""
    route = draw(st.sampled_from(list(TABLE)))
    path = re.sub(r"\{\w+\*?\}", lambda found: segment(draw(st.sampled_from(NAMES) | VALUE)) or "x", route.path)
    names = [each.name for each in route.parameters if each.where == "query"]
    fields = [each.name for each in route.body]
    query = draw(st.lists(st.tuples(st.sampled_from([*names, "fragment", "x"]) | TEXT, VALUE), max_size=3))
    body, kind = b"", None
    if route.is_unsafe:
        given = draw(st.dictionaries(st.sampled_from([*fields, "x"]) | TEXT, JSON, max_size=3) | JSON)
        form = draw(st.lists(st.tuples(st.sampled_from([*fields, "x"]), VALUE), max_size=3))
        body = json.dumps(given).encode() if route.is_api else encoded(form)
        kind = draw(st.sampled_from([wire.JSON if route.is_api else wire.FORM] * 4 + ["x"]))
        body = draw(st.sampled_from([body, body, body, body[:-1], b""]) | st.binary(max_size=10))
    headers = draw(
        st.dictionaries(
            st.sampled_from(["If-None-Match", "If-Match", "Idempotency-Key", "HX-Request", "Accept", "Cookie"]),
            st.sampled_from(["*", '"x"', 'W/"1"', "tgs_zone=browser:../x; tgs_theme=<", "text/html", "\x80\xff", ""]),
            max_size=2,
        )
    )
    method = draw(st.sampled_from([route.method] * 5 + ["HEAD", "PUT"]))
    return method, f"{path}?{encoded(query).decode()}", body, headers | ({"Content-Type": kind} if kind else {})


def encoded(pairs):
    return "&".join(f"{segment(name)}={segment(value)}" for name, value in pairs).encode()


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(requests())
@example(("GET", "runs?before=%F4%8F%BF%BF", b"", {}))
def test_no_request_is_an_internal_error(client, request):
    method, path, body, headers = request
    answer = client.ask(method, path, body=body, headers=headers)
    assert answer.status in ANSWERS, answer.body
    if answer.status >= 400 and method != "HEAD":
        is_api = path.startswith("api/")
        assert answer.headers["content-type"] == ("application/problem+json" if is_api else "text/html; charset=utf-8")
    assert b"Traceback" not in answer.body or answer.status == 200
    assert b"<script>alert" not in answer.body or "json" in answer.headers["content-type"]
