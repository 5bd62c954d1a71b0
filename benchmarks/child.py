"""The program of one measurement, in a new process: one case, one scheduler, one size; prints the figures as JSON."""

import importlib
import json
import logging
import os
import sys

from benchmarks import peers


def main(case: str, who: str, n: str) -> None:
    """Measure, print, and exit without waiting for other threads."""
    logging.basicConfig(level=logging.ERROR)
    measure = getattr(importlib.import_module(f"benchmarks.cases.{case}"), who)
    figures = [figure._asdict() for figure in measure(int(n))]
    print(json.dumps({"figures": figures, "versions": peers.versions(who)}), flush=True)
    os._exit(0)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except BaseException as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
        if type(error).__name__ != "Void":
            import traceback

            traceback.print_exc()
        os._exit(1)
