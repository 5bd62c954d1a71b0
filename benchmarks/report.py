"""``python -m benchmarks.report FILE ...``: the tables and the plot in the documentation, from runs with ``--json``.

One file for each Python version. Writes ``docs/benchmarks/last_run.txt`` and ``docs/benchmarks/goals.svg``.
"""

import json
import math
import sys
from collections.abc import Iterable, Iterator
from html import escape
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.goals import GOALS
from benchmarks.peers import ROOT, TITLES

FOLDER = ROOT / "docs" / "benchmarks"
COLOURS = ("#2a6f97", "#e07a1f", "#6a994e")


class LastRun:
    """The lines of one run."""

    def __init__(self, path: Path) -> None:
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        self.figures = [line for line in lines if "figure" in line]
        self.goals = {line["goal"]: line for line in lines if "goal" in line}
        self.python = self.figures[0]["versions"]["python"]

    def median(self, case: str, name: str, who: str, n: int) -> float | None:
        """Return the median of a figure over the rounds, None if there is none."""
        found = [
            line["figure"]
            for line in self.figures
            if (line["case"], line["name"], line["who"], line["n"]) == (case, name, who, n)
        ]
        return median(found) if found else None


def main(paths: list[str]) -> None:
    """Write both files."""
    runs = [LastRun(Path(path)) for path in paths]
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / "last_run.txt").write_text("\n".join(_page(runs)) + "\n", encoding="utf-8")
    (FOLDER / "goals.svg").write_text(plot(runs), encoding="utf-8")


def _page(runs: list[LastRun]) -> Iterator[str]:
    yield ".. Written by python -m benchmarks.report"
    yield ""
    heads = [f"Python {run.python}" for run in runs]
    rows = [[f"{goal.what}", f"{goal.sense} {goal.bound:g} {goal.unit}", *_verdicts(goal.name, runs)] for goal in GOALS]
    yield from table("The goals: median (least to most) of the rounds", ["what", "goal", *heads], rows, "46 18")
    for run in runs:
        heads = ["what", "unit", *TITLES.values()]
        yield from table(f"All figures, Python {run.python}, medians of the rounds", heads, _figures(run), "")


def _verdicts(goal: str, runs: list[LastRun]) -> Iterator[str]:
    for run in runs:
        verdict = run.goals.get(goal)
        if verdict is None or verdict["ratio"] is None:
            yield "**void**"
            continue
        span = f" ({number(min(verdict['rounds']))} to {number(max(verdict['rounds']))})"
        text = number(verdict["ratio"]) + (span if len(verdict["rounds"]) > 1 else "")
        yield text if verdict["holds"] else f"**{text}: not held**"


def _figures(run: LastRun) -> Iterator[list[str]]:
    seen = []
    for line in run.figures:
        key = line["case"], line["name"], line["unit"]
        if key not in seen:
            seen.append(key)
    for case, name, unit in seen:
        cells = []
        for who in TITLES:
            sizes = sorted({line["n"] for line in run.figures if (line["case"], line["who"]) == (case, who)})
            known = [(n, run.median(case, name, who, n)) for n in sizes]
            texts = [f"{number(figure)} at {n:,}" for n, figure in known if figure is not None]
            cells.append(" | ".join(texts) or "")
        yield [f"{case}: {name}", unit, *cells]


def table(title: str, heads: list[str], rows: Iterable[list[str]], widths: str) -> Iterator[str]:
    """Yield the lines of a list-table; ``widths``: those of the first columns. A cell may have several lines."""
    yield f".. list-table:: {title}"
    yield "   :header-rows: 1"
    if widths:
        rest = len(heads) - len(widths.split())
        yield f"   :widths: {widths} {' '.join(['18'] * rest)}"
    yield ""
    for row in (heads, *rows):
        for i, cell in enumerate(row):
            for n, text in enumerate(cell.split("\n")):
                lead = f"   {'*' if i == 0 else ' '} - " if n == 0 else " " * 7
                yield f"{lead}{text}".replace("|", "\\|").rstrip()
    yield ""


def number(value: float) -> str:
    """Return a figure as text for a table."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


# -- the plot --------------------------------------------------------------------------------------------------------

_LEFT, _RIGHT, _ROW, _TOP = 270, 450, 24, 64
_LOW, _HIGH = 0.25, 100.0


def plot(runs: list[LastRun]) -> str:
    """Return an SVG: how many times better than its goal each ratio is; left of the line a goal is not reached."""
    height = _TOP + _ROW * len(GOALS) + 16
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_LEFT + _RIGHT + 30} {height}" '
        'font-family="sans-serif" font-size="13">',
        '<rect width="100%" height="100%" fill="#ffffff"/>',
        _text(12, 22, "Times better than the goal (logarithmic); left of the line: not held"),
    ]
    for i, run in enumerate(runs):
        parts.append(f'<circle cx="{_LEFT + i * 130}" cy="40" r="5" fill="{COLOURS[i]}"/>')
        parts.append(_text(_LEFT + 10 + i * 130, 45, f"Python {run.python}"))
    for tick in (0.5, 1, 2, 5, 10, 20, 50):
        style = 'stroke="#333333" stroke-width="2"' if tick == 1 else 'stroke="#dddddd"'
        parts.append(f'<line x1="{_x(tick)}" x2="{_x(tick)}" y1="{_TOP}" y2="{height - 8}" {style}/>')
        parts.append(_text(_x(tick), _TOP - 4, f"{tick:g}", "middle"))
    for row, goal in enumerate(GOALS):
        y = _TOP + _ROW * row + 16
        parts.append(_text(_LEFT - 10, y + 4, goal.name, "end"))
        for i, run in enumerate(runs):
            verdict: dict[str, Any] = run.goals.get(goal.name, {})
            if verdict.get("ratio") is not None:
                parts.append(
                    f'<circle cx="{_x(goal.margin(verdict["ratio"]))}" cy="{y + 3 * i - 1}" r="5" fill="{COLOURS[i]}"/>'
                )
    return "\n".join([*parts, "</svg>", ""])


def _x(margin: float) -> float:
    share = math.log(min(max(margin, _LOW), _HIGH) / _LOW) / math.log(_HIGH / _LOW)
    return round(_LEFT + share * _RIGHT, 1)


def _text(x: float, y: float, text: str, anchor: str = "start") -> str:
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}">{escape(text)}</text>'


if __name__ == "__main__":
    main(sys.argv[1:])
