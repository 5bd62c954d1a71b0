"""``python -m benchmarks [CASE ...]``: run cases, print a JSON line per measurement and per goal.

Exit status: 0 if all goals of what was run hold, 1 if not, 2 if it could not be run.
"""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any, TextIO

from benchmarks import harness
from benchmarks.cases import CASES
from benchmarks.goals import GOALS


def main(arguments: list[str] | None = None) -> int:
    """Run the cases of the command line; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure, and judge the goals.")
    parser.add_argument("case", nargs="*", metavar="CASE", help="a case (default: all)")
    parser.add_argument("--list", action="store_true", help="list cases and goals")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the lines to FILE as well")
    parser.add_argument("--quick", action="store_true", help="one round of a smaller size: for trying")
    parser.add_argument("--rounds", type=int, metavar="N", help="rounds (default: as each case says, at least 3)")
    options = parser.parse_args(arguments)
    if options.list:
        _list()
        return 0
    unknown = [case for case in options.case if case not in CASES]
    if unknown:
        parser.error(f"no such case: {', '.join(unknown)}; there are {', '.join(CASES)}")
    cases = options.case or list(CASES)
    missing = harness.check_peers(cases)
    if missing:
        print("\n".join(missing), file=sys.stderr)
        return 2
    return _run(cases, options.rounds, options.quick, options.json)


def _list() -> None:
    for case in CASES:
        module = harness.case_module(case)
        print(f"{case:16} {(module.__doc__ or '').splitlines()[0]} ({', '.join(harness.who_of(module))})")
        for goal in GOALS:
            if goal.case == case:
                print(f"{'':16} - {goal.name}: {goal.sense} {goal.bound:g} {goal.unit}: {goal.what}")


def _run(cases: list[str], rounds: int | None, quick: bool, path: Path | None) -> int:
    file: TextIO | None = path.open("w", encoding="utf-8") if path is not None else None
    began = time.monotonic()
    held = True

    def emit(line: dict[str, Any]) -> None:
        text = json.dumps(line, ensure_ascii=False)
        print(text, flush=True)
        if file is not None:
            print(text, file=file, flush=True)

    try:
        for case in cases:
            print(f"# {case} ({time.monotonic() - began:.0f} s)", file=sys.stderr, flush=True)
            held &= harness.run_case(case, rounds, quick, emit)
    finally:
        if file is not None:
            file.close()
    print(f"# {time.monotonic() - began:.0f} s; {'all goals hold' if held else 'not all goals hold'}", file=sys.stderr)
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
