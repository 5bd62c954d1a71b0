"""Rounds: in each, all schedulers of a case are measured one after another, each in a new process."""

import importlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

from benchmarks import peers
from benchmarks.figures import Plan
from benchmarks.goals import GOALS, Goal, Round

#: Timeout (seconds) of one measurement.
TIMEOUT = 150

Emit = Callable[[dict[str, Any]], None]


class Failed(Exception):
    """A measurement did not end, or is void."""


def case_module(case: str) -> ModuleType:
    """Return a case's module."""
    return importlib.import_module(f"benchmarks.cases.{case}")


def who_of(module: ModuleType) -> list[str]:
    """Return what a case compares, in the order of a round."""
    return [who for who in peers.WHO if who in module.PLAN]


def check_peers(cases: list[str]) -> list[str]:
    """Return a message for each peer that these cases need and that is missing."""
    missing = []
    for case in cases:
        for who in who_of(case_module(case)):
            try:
                peers.prepare(who)
            except peers.Missing as error:
                missing.append(f"{case}: {error}")
    return missing


def run_case(case: str, rounds: int | None, quick: bool, emit: Emit) -> bool:
    """Measure one case (``rounds`` None: as many as the case sets), emit a line per goal; return whether all hold."""
    module = case_module(case)
    if rounds is None:
        rounds = 1 if quick else getattr(module, "ROUNDS", 3)
    measured = []
    for number in range(1, rounds + 1):
        figures = Round()
        for who in who_of(module):
            plan: Plan = module.PLAN[who]
            if plan.once and number > 1:
                continue
            for n in plan.sizes(quick):
                try:
                    lines = list(_measure(case, who, n))
                except Failed as error:
                    emit({"case": case, "who": who, "n": n, "round": number, "void": str(error)})
                    continue
                for line in lines:
                    emit({"case": case, **line, "round": number})
                    figures.put(who, line["name"], n, line["figure"])
        measured.append(figures)
    verdicts = [_judge(goal, measured) for goal in GOALS if goal.case == case]
    for verdict in verdicts:
        emit(verdict)
    return all(verdict["holds"] for verdict in verdicts)


def _judge(goal: Goal, measured: list[Round]) -> dict[str, Any]:
    ratios: list[float] = []
    for figures in measured:
        try:
            ratios.append(_short(goal.ratio(figures)))
        except KeyError:
            continue  # one of its figures is void: an earlier line has the reason
    ratio = goal.median(ratios)
    complete = len(ratios) == len(measured)
    return {
        "goal": goal.name,
        "case": goal.case,
        "what": goal.what,
        "ratio": ratio,
        "bound": f"{goal.sense} {goal.bound:g}",
        "unit": goal.unit,
        "rounds": ratios,
        "holds": ratio is not None and complete and goal.holds(ratio),
        "margin": None if ratio is None else _short(goal.margin(ratio)),
    }


def _measure(case: str, who: str, n: int) -> Iterator[dict[str, Any]]:
    # -P: the working directory stays off the path, or our package would shadow the older one of the same name.
    command = [sys.executable, "-P", "-m", "benchmarks.child", case, who, str(n)]
    what = f"{case}, {who}, n={n}"
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=peers.environment(who),
        start_new_session=True,
    )  # fmt: skip
    try:
        out, err = process.communicate(timeout=TIMEOUT)
    except subprocess.TimeoutExpired:
        raise Failed(f"{what}: no end after {TIMEOUT} s") from None
    finally:
        _end(process)
    if process.returncode:
        raise Failed(f"{what}: {err.strip()[-2000:]}")
    answer = json.loads(out.splitlines()[-1])
    for figure in answer["figures"]:
        yield {"name": figure["name"], "who": who, "n": n, "figure": _short(figure["figure"]), "unit": figure["unit"],
               "versions": answer["versions"]}  # fmt: skip


def _short(figure: float) -> float:
    return float(f"{figure:.4g}")


def _end(process: "subprocess.Popen[str]") -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
