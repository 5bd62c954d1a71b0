"""Any query, path and form of any page is answered with the page or a problem, never with a failure."""

from urllib.parse import quote

import pytest
from helpers import HOUR, noop

from tgscheduler.console.table import TABLE

#: Values that are not what any parameter expects, or only just.
ODD = (
    *(
        "",
        " ",
        "0",
        "-1",
        "1",
        "1e999",
        "nan",
        "inf",
        "9" * 400,
        "null",
        "true",
        "None",
        "\0",
        "\n",
        "\x7f",
        "a" * 4096,
    ),
    *("<script>", "'\"", "..", "../..", "/", "%", "%2F", "a/b", "\u202e", "\ud7ff\ue000", "🐍", "٣", "0001-01-01"),
    *("9999-12-31T23:59:59Z", "2025-06-01T12:00", "1970-01-01", "2025-06", "24:00", "at", "running", "1748779200_x"),
    *("0 0 29 2 *", "* * * * * *", "every 0.0000001 s", "every 99999999999 weeks", "0 0 L * *", "mon-fri 9:00", "UTC"),
)

PAGES = [route for route in TABLE if not route.is_api]


def address(route, value):
    return "/".join(quote(value, safe="") if part.startswith("{") else part for part in route.path.split("/"))


@pytest.fixture
def busy(ticked):
    """A scheduler with some runs."""
    ticked.add_interval_task(noop, interval=HOUR, taskname="it")
    ticked.tick(3 * HOUR)
    return ticked


@pytest.mark.parametrize("route", [each for each in PAGES if not each.is_unsafe], ids=lambda route: route.path or "/")
def test_any_query_is_answered_with_the_page_or_a_problem(client, busy, route):
    path = address(route, busy.runs()[0].id if "{id}" in route.path else "it")
    names = [each.name for each in route.parameters if each.where == "query"]
    for value in ODD:
        for query in (["fragment"], ["notice"], *([name] for name in names), names):
            answer = client.get(f"{path}?{'&'.join(f'{name}={quote(value, safe=str())}' for name in query)}")
            assert answer.status in (200, 303, 400, 404, 409, 422, 503), (query, value, answer.text[-300:])


@pytest.mark.parametrize("route", PAGES, ids=lambda route: f"{route.method} {route.path}")
def test_any_name_in_a_path_is_answered_with_the_page_or_a_problem(client, busy, route):
    for value in ODD:
        if "{" in route.path:
            answer = client.ask(route.method, address(route, value), headers={"Sec-Fetch-Site": "same-origin"})
            assert answer.status in (200, 303, 400, 404, 409, 422), (value, answer.text[-300:])


@pytest.mark.parametrize("route", [each for each in PAGES if each.is_unsafe], ids=lambda route: route.path)
def test_any_form_is_answered_with_its_effect_or_a_problem(client, busy, route):
    for each in route.body:
        for value in ODD:
            answer = client.post(address(route, "it"), {each.name: value})
            assert answer.status in (200, 303, 400, 404, 409, 422), (each.name, value, answer.text[-300:])
