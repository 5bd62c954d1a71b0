"""``python -m benchmarks.loads.report FILE ...``: the documentation's table of the loads, from runs with ``--json``.

One file for each Python version. Writes ``docs/benchmarks/loads.txt``.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.loads import LOADS
from benchmarks.report import FOLDER, number, table

#: The unit for the last word of a figure's name.
UNITS = {"mib": "MiB", "ms": "ms", "us": "us"}

Lines = dict[str, dict[str, Any]]


def main(paths: list[str]) -> None:
    """Write the file."""
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / "loads.txt").write_text("\n".join(page([_read(Path(path)) for path in paths])) + "\n", encoding="utf-8")


def _read(path: Path) -> Lines:
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return {line["load"]: line for line in lines}


def page(runs: list[Lines]) -> Iterator[str]:
    """Yield the lines of the file: one row for each load of any run, one column for each run."""
    yield ".. Written by python -m benchmarks.loads.report"
    yield ""
    runs = [run for run in runs if run]
    heads = [f"Python {next(iter(run.values()))['python']}" for run in runs]
    names = [name for name in LOADS if any(name in run for run in runs)]
    rows = [
        [f"**{name}**: {LOADS[name]}", _asked(name, runs), *(_cell(run.get(name)) for run in runs)] for name in names
    ]
    title = "The loads; what is marked short is a tenth of it, or a little more"
    yield from table(title, ["what is done", "what must hold", *heads], rows, "20 20")


def _asked(name: str, runs: list[Lines]) -> str:
    """Return the checks of a load, each once, of all runs."""
    asked = {check: None for run in runs for check in run.get(name, {}).get("checks", {})}
    return _list(asked) or "that it comes to its end"


def _cell(line: dict[str, Any] | None) -> str:
    if line is None:
        return ""
    if "void" in line:
        return f"**not held**: {line['void']}"
    broken = [check for check, holds in line["checks"].items() if not holds]
    why = "; ".join(broken) or "it did not end well"
    verdict = "held" if line["holds"] else f"**not held**: {why}"
    figures = [_figure(key, value) for key, value in line["figures"].items()]
    return f"{verdict}{' (short)' if line['short'] else ''}\n\n{_list(figures)}"


def _list(items: Any) -> str:
    return "\n".join(f"* {item}" for item in items)


def _figure(key: str, value: Any) -> str:
    words = key.split("_")
    unit = UNITS.get(words[-1], "")
    return f"{' '.join(words[:-1] if unit else words)}: {_value(value, unit and f' {unit}')}"


def _value(value: Any, unit: str = "") -> str:
    if isinstance(value, dict):
        return "; ".join(f"{key} {_value(each)}" for key, each in value.items()) + unit
    if isinstance(value, list):
        if len(value) > 4:
            return f"{_value(value[0])}{unit} at first, {_value(value[-1])}{unit} at last"
        return " / ".join(map(_value, value)) + unit
    return (f"{value:,}" if isinstance(value, int) else number(value) if isinstance(value, float) else value) + unit


if __name__ == "__main__":
    main(sys.argv[1:])
