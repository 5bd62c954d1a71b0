"""The benchmarks are whole and speak JSON; how fast anything is, no test asserts."""

import importlib
import json
import re

import pytest
from helpers import ROOT
from tests_by_name import missing

from benchmarks import __main__ as command
from benchmarks import goals, harness, loads, peers, report
from benchmarks.cases import CASES
from benchmarks.loads import __main__ as loads_command
from benchmarks.loads import report as loads_report

VERSIONS = {"python": "3.x"}


def test_list_names_every_case_and_every_goal(capsys):
    assert command.main(["--list"]) == 0
    said = capsys.readouterr().out
    assert [name for name in CASES if f"\n{name} " not in f"\n{said}"] == []
    assert [goal.name for goal in goals.GOALS if f"- {goal.name}: {goal.sense} {goal.bound:g}" not in said] == []


def test_the_table_of_goals_is_complete():
    assert {goal.case for goal in goals.GOALS} == set(CASES)
    assert len({goal.name for goal in goals.GOALS}) == len(goals.GOALS)
    assert {goal.sense for goal in goals.GOALS} == {">=", "<="}


@pytest.mark.parametrize("case", CASES)
def test_a_case_says_what_it_is_and_has_a_function_for_each_that_it_compares(case):
    module = harness.case_module(case)
    assert module.__doc__
    assert "ours" in module.PLAN
    assert set(module.PLAN) <= set(peers.WHO)
    for who, plan in module.PLAN.items():
        assert callable(getattr(module, who))
        assert all(n > 0 for n in plan.sizes(True) + plan.sizes(False))


class Pretend:
    """Answers in the place of a fresh process: every figure of every case that a goal may ask for."""

    names = ("add", "cancel", "fire", "fire threaded", "fire sequential", "short actions", "sleepers", "forked",
             "wake-up", "late p50", "late p99", "CPU per run", "idle CPU", "memory", "worst offset",
             "add in a burst p90", "recorded")  # fmt: skip

    def __init__(self, void=()):
        self.void = void

    def __call__(self, case, who, n):
        if who in self.void:
            raise harness.Failed(f"{case}, {who}: runs were lost")
        for name in self.names:
            yield {"name": name, "who": who, "n": n, "figure": 2.0, "unit": "us", "versions": VERSIONS}


@pytest.mark.parametrize("case", CASES)
def test_each_goal_forms_its_ratio_from_the_figures_of_its_case(case, monkeypatch):
    monkeypatch.setattr(harness, "_measure", Pretend())
    lines = []
    harness.run_case(case, 3, False, lines.append)
    verdicts = [line for line in lines if "goal" in line]
    assert [line["goal"] for line in verdicts] == [goal.name for goal in goals.GOALS if goal.case == case]
    for line in verdicts:
        assert len(line["rounds"]) == 3
        assert line["ratio"] in (0.0, 1.0, 2.0, 2 / 3, 0.6667, 0.1667)


def test_a_goal_whose_figure_is_void_does_not_hold_and_says_so(monkeypatch):
    monkeypatch.setattr(harness, "_measure", Pretend(void=("ours",)))
    lines = []
    assert not harness.run_case("drift", 1, True, lines.append)
    assert "runs were lost" in next(line["void"] for line in lines if "void" in line)
    assert (lines[-1]["ratio"], lines[-1]["holds"]) == (None, False)


def test_a_missing_peer_says_which_pip_install_brings_it(monkeypatch, capsys):
    monkeypatch.setitem(peers.WHO, "apscheduler", ("no-such-scheduler", "1.0"))
    monkeypatch.setattr(peers, "_prepare_tgs17", lambda: None)
    assert command.main(["lateness"]) == 2
    assert "lateness: no-such-scheduler is missing: pip install no-such-scheduler==1.0" in capsys.readouterr().err


def test_lines_parse_and_the_report_is_made_of_them(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(harness, "_measure", Pretend())
    monkeypatch.setattr(harness, "check_peers", lambda cases: [])
    monkeypatch.setattr(report, "FOLDER", tmp_path)
    file = tmp_path / "run.jsonl"
    assert command.main(["drift", "growth", "--json", str(file)]) in (0, 1)
    printed = capsys.readouterr().out
    assert printed == file.read_text()
    figure, *_, verdict = map(json.loads, printed.splitlines())
    assert {"case", "name", "who", "n", "figure", "unit", "versions", "round"} <= set(figure)
    assert {"goal", "ratio", "bound", "holds"} <= set(verdict)
    report.main([str(file)])
    assert "Python 3.x" in (tmp_path / "last_run.txt").read_text()
    assert (tmp_path / "goals.svg").read_text().startswith("<svg")


def test_a_measurement_comes_from_a_fresh_process():
    lines = list(harness._measure("memory", "bare", 500))
    assert [line["name"] for line in lines] == ["memory"]
    assert lines[0]["versions"]["python"]


# -- loads ---------------------------------------------------------------------------------------------------------


def line_of(load, holds=True, python="3.x", short=False):
    """Return the line of a load, with figures of every kind."""
    figures = {"runs": 1_234_567, "growth_mib": 0.123, "late_ms": {"p50": 0.25, "p99": 3}, "objects": [1000, 1001],
               "traced_by_hour_mib": [0.5, 0.6, 0.6, 0.6, 0.7], "ran": {"ours": "7 of 7", "theirs": "1 of 7"},
               "seconds": 12.0}  # fmt: skip
    checks = {"nothing grows": True, "the journal adds up": holds}
    return {"load": load, "python": python, "short": short, "figures": figures, "checks": checks, "holds": holds}


def test_each_load_is_a_program_of_its_own(capsys):
    assert loads_command.main(["--list"]) == 0
    said = capsys.readouterr().out
    for name, what in loads.LOADS.items():
        assert f"\n{name} " in f"\n{said}"
        assert what in said
        module = importlib.import_module(f"benchmarks.loads.{name}")
        assert module.__doc__
        assert callable(module.main)


@pytest.mark.parametrize(("broken", "status"), [((), 0), (("soak",), 1), (("day", "soak"), 1)])
def test_a_load_that_does_not_hold_makes_the_status_and_the_others_run(broken, status, tmp_path, monkeypatch, capsys):
    asked = []

    def run_load(name, short):
        asked.append((name, short))
        return line_of(name, name not in broken, short=short)

    monkeypatch.setattr(loads_command, "run_load", run_load)
    file = tmp_path / "loads.jsonl"
    assert loads_command.main(["--short", "day", "soak", "burst", "--json", str(file)]) == status
    assert asked == [("day", True), ("soak", True), ("burst", True)]
    said = capsys.readouterr()
    assert said.out == file.read_text()
    assert [json.loads(line)["holds"] for line in said.out.splitlines()] == [name not in broken for name, _ in asked]
    assert (f"not held: {', '.join(broken)}" if broken else "all loads hold") in said.err


def test_an_unknown_load_is_an_error_that_names_those_there_are(capsys):
    with pytest.raises(SystemExit) as ended:
        loads_command.main(["dya"])
    assert ended.value.code == 2
    assert f"no such load: dya; there are {', '.join(loads.LOADS)}" in capsys.readouterr().err


@pytest.mark.parametrize(("holds", "status"), [(True, 0), (False, 1)])
def test_a_load_ends_with_its_line_and_its_status(holds, status, capsys):
    with pytest.raises(SystemExit) as ended:
        loads.conclude("day", True, {"it holds": holds}, runs=7)
    assert ended.value.code == status
    line = json.loads(capsys.readouterr().out)
    assert (line["load"], line["short"], line["holds"]) == ("day", True, holds)
    assert (line["checks"], line["figures"]) == ({"it holds": holds}, {"runs": 7})


def test_a_load_that_says_nothing_has_not_held(capfd):
    line = loads_command.run_load("no_such_program", True)
    assert (line["holds"], line["void"]) == (False, "it ended with 1 and said nothing")
    assert "No module named" in capfd.readouterr().err


def written(tmp_path, monkeypatch, *runs):
    """Return the table that the report makes of runs, each a list of lines."""
    monkeypatch.setattr(loads_report, "FOLDER", tmp_path)
    files = [tmp_path / f"{number}.jsonl" for number in range(len(runs))]
    for file, lines in zip(files, runs, strict=True):
        file.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    loads_report.main(list(map(str, files)))
    return (tmp_path / "loads.txt").read_text()


VOID = {"load": "http", "python": "3.y", "short": False, "void": "no end after 1800 s", "holds": False}


def test_the_table_of_loads_is_made_of_lines(tmp_path, monkeypatch):
    first = [line_of("day", short=True), line_of("burst")]
    text = written(tmp_path, monkeypatch, first, [line_of("burst", False, "3.y"), VOID])
    heads, day, http, burst = (row.splitlines() for row in text.split("   * - ")[1:])
    assert heads[:4] == ["what is done", "     - what must hold", "     - Python 3.x", "     - Python 3.y"]
    assert day[0] == f"**day**: {loads.LOADS['day']}"
    assert day[1:3] == ["     - * nothing grows", "       * the journal adds up"]
    assert day[3:] == [
        "     - held (short)",
        "",
        "       * runs: 1,234,567",
        "       * growth: 0.123 MiB",
        "       * late: p50 0.25; p99 3 ms",
        "       * objects: 1,000 / 1,001",
        "       * traced by hour: 0.5 MiB at first, 0.7 MiB at last",
        "       * ran: ours 7 of 7; theirs 1 of 7",
        "       * seconds: 12",
        "     -",
    ]
    assert http[1:4] == ["     - that it comes to its end", "     -", "     - **not held**: no end after 1800 s"]
    assert "     - held" in burst
    assert "     - **not held**: the journal adds up" in burst


def test_the_table_of_loads_is_restructuredtext(tmp_path, monkeypatch):
    core = pytest.importorskip("docutils.core", reason="pip install -e '.[docs]' brings it")
    text = written(tmp_path, monkeypatch, [line_of("day"), VOID], [line_of("day", False, "3.y", short=True)])
    core.publish_doctree(text, settings_overrides={"halt_level": 2, "report_level": 2})


def test_the_page_of_loads_tells_of_each_and_names_tests_that_are_there():
    text = (ROOT / "docs" / "loads.rst").read_text(encoding="utf-8")
    assert re.findall(r"^\*\*(\w+)\*\*$", text, re.MULTILINE) == list(loads.LOADS)
    path, told = None, []
    for word in re.findall(r"``(tests/[\w/]+\.py|test_\w+)``", text):
        if word.endswith(".py"):
            path = word
        else:
            told.append(f"{path}::{word}")
    assert len(told) >= 8
    assert missing(told) == []
