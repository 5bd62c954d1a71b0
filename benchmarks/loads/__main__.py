"""``python -m benchmarks.loads [LOAD ...]``: run loads one after another, each in a new process; print their lines.

Exit status: 0 if all checks hold, 1 if not, 2 if it could not be run.
"""

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, TextIO

from benchmarks.loads import LOADS

#: Timeout (seconds) of one load.
TIMEOUT = 1800.0


def main(arguments: list[str] | None = None) -> int:
    """Run the loads of the command line; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.loads", description="Put the scheduler under load.")
    parser.add_argument("load", nargs="*", metavar="LOAD", help="a load (default: all)")
    parser.add_argument("--list", action="store_true", help="list the loads")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the lines to FILE as well")
    parser.add_argument("--short", action="store_true", help="a tenth of each load or a little more, to try it")
    options = parser.parse_args(arguments)
    if options.list:
        for name, what in LOADS.items():
            print(f"{name:8} {what}")
        return 0
    unknown = [name for name in options.load if name not in LOADS]
    if unknown:
        parser.error(f"no such load: {', '.join(unknown)}; there are {', '.join(LOADS)}")
    return _run(options.load or list(LOADS), options.short, options.json)


def _run(names: list[str], short: bool, path: Path | None) -> int:
    file: TextIO | None = path.open("w", encoding="utf-8") if path is not None else None
    began = time.monotonic()
    failed = []
    try:
        for name in names:
            print(f"# {name} ({time.monotonic() - began:.0f} s)", file=sys.stderr, flush=True)
            line = run_load(name, short)
            text = json.dumps(line, ensure_ascii=False)
            print(text, flush=True)
            if file is not None:
                print(text, file=file, flush=True)
            if not line["holds"]:
                failed.append(name)
    finally:
        if file is not None:
            file.close()
    verdict = f"not held: {', '.join(failed)}" if failed else "all loads hold"
    print(f"# {time.monotonic() - began:.0f} s; {verdict}", file=sys.stderr)
    return 1 if failed else 0


def run_load(name: str, short: bool) -> dict[str, Any]:
    """Run one load in a process of its own and return its line; one without a line counts as not held."""
    command = [sys.executable, "-m", f"benchmarks.loads.{name}", *(["--short"] if short else [])]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        out, _ = process.communicate(timeout=TIMEOUT)
        why = f"it ended with {process.returncode} and said nothing"
    except subprocess.TimeoutExpired:
        out, why = "", f"no end after {TIMEOUT:.0f} s"
    finally:
        _end(process)
    try:
        line: dict[str, Any] = json.loads(out.splitlines()[-1])
    except (IndexError, ValueError):
        return {"load": name, "python": platform.python_version(), "short": short, "void": why, "holds": False}
    line["holds"] = line["holds"] and process.returncode == 0
    return line


def _end(process: "subprocess.Popen[str]") -> None:
    """End all processes of its session: a load that was interrupted has servers and children."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.communicate()


if __name__ == "__main__":
    sys.exit(main())
