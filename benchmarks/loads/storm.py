"""A storm of failing tasks from 30 threads, on this scheduler and on its predecessor: what each loses.

One program (``storm_of``) runs both, since they have the same functions. The checks are for this one only.
"""

import json
import subprocess
import sys
from typing import Any

from benchmarks import peers
from benchmarks.loads import arguments, conclude

WHO = ("ours", "tgs17")

#: Threads that this scheduler may have besides those of the program: its bound, and six.
MOST_THREADS = 100 + 6


def main() -> None:
    """Run the storm on both, without and with actions that exit."""
    short = arguments(__doc__).short
    peers.prepare("tgs17")
    found = {who: {kind: _storm(who, kind, 2.0 if short else 10.0) for kind in ("fail", "exit")} for who in WHO}
    ours = found["ours"].values()
    conclude(
        "storm",
        short,
        {
            "each task ran once": all(each["ran"] == each["added"] and each["twice"] == 0 for each in ours),
            "each failure is logged with its task's name": all(each["named"] == each["failures"] for each in ours),
            "no call of the API fails": all(each["refused"] == 0 for each in ours),
            "no child is left, none as a zombie": all(each["children"] == 0 for each in ours),
            "threads within the bound and six": all(each["threads"] <= MOST_THREADS for each in ours),
        },
        ran=_each(found, "fail", "ran", "added"),
        ran_beside_exits=_each(found, "exit", "ran", "added"),
        failures_logged_with_the_name=_each(found, "exit", "named", "failures"),
        children_left=_each(found, "fail", "children", "forks"),
        most_threads=_each(found, "fail", "threads"),
    )


def _storm(who: str, kind: str, seconds: float) -> dict[str, int]:
    # -P: the working directory stays off the path, or our package would shadow the older one of the same name.
    command = [sys.executable, "-P", "-m", "benchmarks.loads.storm_of", who, kind, str(seconds)]
    done = subprocess.run(command, stdout=subprocess.PIPE, env=peers.environment(who), timeout=120, check=True)
    found: dict[str, int] = json.loads(done.stdout.splitlines()[-1])
    return found


def _each(found: dict[str, dict[str, dict[str, int]]], kind: str, what: str, of: str = "") -> dict[str, Any]:
    return {
        peers.TITLES[who]: f"{each[kind][what]:,} of {each[kind][of]:,}" if of else each[kind][what]
        for who, each in found.items()
    }


if __name__ == "__main__":
    main()
