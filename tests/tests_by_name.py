"""Tests by name: whether ``tests/engine/test_loop.py::test_x`` is there."""

import ast
import functools

from helpers import ROOT


@functools.cache
def functions(path):
    """Return the names of the test functions in a file, by its path from the project's root."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}


def missing(tests):
    """Return those of the tests, each ``path::function``, that are not there."""
    found = []
    for test in tests:
        path, _, name = test.partition("::")
        if not (ROOT / path).is_file() or name not in functions(path):
            found.append(test)
    return found


def expand(table):
    """Return a table of rows with the short form ``engine/test_loop::test_x`` written out."""
    return {
        row: [f"tests/{path}.py::{name}" for path, _, name in (test.partition("::") for test in tests.split())]
        for row, tests in table.items()
    }
