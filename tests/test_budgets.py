"""Budgets: what an add and a run cost, in instructions.

Instructions do not depend on what else the machine does (docs/design/0006). Callgrind counts a program with 2,000 and
with 8,000 tasks; the difference per task is free of what the interpreter's start costs. A figure of ``BUDGETS`` goes
down when something has become cheaper. It goes up only with a reason in its commit.
"""

import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from helpers import ROOT, need

FEW, MANY = 2000, 8000

#: How much more than its figure a program may cost.
MARGIN = 1.03

#: What is over that margin still; the target of each is MARGIN.
RATCHETS = {"one-shot": 1.10, "interval": 1.08}

#: Instructions per task, by version of Python, before a task had an entry of its own. The figure of ``sched``, which is
#: the standard library's, is that of the build that the others were counted with: another build has other figures.
BUDGETS = {
    "3.11": {"add": 34_100, "one-shot": 61_300, "interval": 83_700, "sched": 17_900},
    "3.13": {"add": 37_150, "one-shot": 68_550, "interval": 91_300, "sched": 20_350},
}

VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(VERSION not in BUDGETS, reason=f"no figures for Python {VERSION}"),
]


def instructions(valgrind, program, tasks):
    """Return how many instructions a program of ``tests/counted.py`` takes, the interpreter's start included."""
    variables = {"PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [
            *(valgrind, "--tool=callgrind", "--callgrind-out-file=/dev/null"),
            *(sys.executable, str(ROOT / "tests/counted.py"), program, str(tasks)),
        ],
        env={"PATH": os.environ["PATH"], **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    found = re.search(r"Collected : (\d+)", done.stderr)
    assert done.returncode == 0, done.stderr
    assert found, done.stderr
    return int(found[1])


def per_task(program):
    """Return how many instructions one more task costs."""
    valgrind = need("valgrind", "it counts instructions; Debian's package has the same name")
    with ThreadPoolExecutor(2) as pool:
        few, many = pool.map(lambda tasks: instructions(valgrind, program, tasks), (FEW, MANY))
    return (many - few) / (MANY - FEW)


@pytest.fixture(scope="module")
def same_build():
    """Skip on another build of Python than the one that the figures are of."""
    figure, counted = BUDGETS[VERSION]["sched"], per_task("sched")
    if abs(counted / figure - 1) > 0.02:
        pytest.skip(f"another build of Python {VERSION}: an event of sched takes {counted:,.0f}, not {figure:,}")


@pytest.mark.parametrize("program", ["add", "one-shot", "interval"])
def test_a_task_costs_no_more_instructions_than_before(program, same_build):
    figure, counted, allowed = BUDGETS[VERSION][program], per_task(program), RATCHETS.get(program, MARGIN)
    counts = f"{program}: {counted:,.0f} instructions, {counted / figure:.3f} of {figure:,}"
    assert counted <= allowed * figure, f"{counts}, where {allowed} is allowed"
    assert counted >= 0.9 * allowed * figure, f"{counts}: lower its number in RATCHETS, or in BUDGETS"
