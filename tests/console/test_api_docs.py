"""The page on the API tells the truth: its tables are the code's, and its examples run."""

import re
import textwrap

import pytest
from helpers import ROOT, rows

from tgscheduler.console import api, openapi

PAGE = "docs/console-api.rst"


def test_the_table_of_routes_is_the_one_that_serves_them():
    routes = (*api.ROUTES, *openapi.ROUTES)
    taken = [[each for each in (*route.parameters, *route.body) if each.where != "path"] for route in routes]
    assert rows(PAGE, "\nRoutes\n------") == [
        [
            f"``{route.method} {route.path.removeprefix(api.PREFIX)}``",
            route.doc,
            ", ".join(f"``{each.name}``" for each in all),
        ]
        for route, all in zip(routes, taken, strict=True)
    ]


def test_the_table_of_refusals_is_that_of_the_description():
    assert rows(PAGE, "\nRefusals\n--------") == [[str(status), doc] for status, doc in openapi.REFUSALS.items()]


@pytest.mark.slow
@pytest.mark.server
def test_the_examples_run_one_after_the_other(live, capsys):
    text = (ROOT / PAGE).read_text(encoding="utf-8")
    blocks = re.findall(r"^\.\. code-block:: python\n\n((?: {4}.*\n|\n)+)", text, re.MULTILINE)
    program = "\n".join(textwrap.dedent(block) for block in blocks)
    assert "http://127.0.0.1:8080/scheduler/api/v1" in program
    exec(compile(program.replace("http://127.0.0.1:8080/scheduler/api/v1", live), PAGE, "exec"), {})
    printed = capsys.readouterr().out
    assert "report is paused until " in printed
    assert "report fires on weekdays (Mon-Fri) at 09:00, Europe/Berlin from now on" in printed
    assert "422 Unprocessable" in printed
