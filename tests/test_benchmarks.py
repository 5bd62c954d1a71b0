"""The benchmarks are whole and speak JSON; how fast anything is, no test asserts."""

import json

import pytest

from benchmarks import __main__ as command
from benchmarks import goals, harness, peers, report
from benchmarks.cases import CASES

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
             "add in a burst p90")  # fmt: skip

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
        assert line["ratio"] in (1.0, 2.0, 2 / 3, 0.6667, 0.1667)


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
