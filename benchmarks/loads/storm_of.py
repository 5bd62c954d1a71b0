"""One side of the storm: ``python -P -m benchmarks.loads.storm_of ours|tgs17 fail|exit SECONDS``; prints its counts."""

import collections
import json
import logging
import os
import random
import sys
import tempfile
import threading
import time
from pathlib import Path

from tgscheduler import scheduler

WRITERS = 30
PAUSE = 0.05  # seconds between two tasks of a writer

#: Seconds that the last tasks have to run: the predecessor checks for new ones every 5 s at the latest.
LAST_RUNS_TIMEOUT = 12.0


class Storm:
    """The tasks that the writers have added, and their outcomes; each run, in any process, is a line in a file."""

    def __init__(self, kind: str, path: str) -> None:
        self.kinds = ["ok"] * 16 + ["fail"] * 3 + ["exit" if kind == "exit" else "ok"]
        self.path = path
        self.added: list[str] = []
        self.failures: set[str] = set()
        self.refused: list[BaseException] = []
        self.logged: set[str] = set()
        self.forks = 0
        self.stop = threading.Event()
        self._ran = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def act(self, name: str, kind: str) -> None:
        """Note the run, and end as ``kind`` requires."""
        os.write(self._ran, f"{name}\n".encode())
        if kind == "fail":
            raise ValueError("as planned")
        if kind == "exit":
            raise SystemExit(3)

    def write(self, number: int) -> None:
        """Add tasks until the storm is over: three in four threaded, one in twenty forked, the others sequential."""
        rng = random.Random(number)
        while not self.stop.wait(PAUSE):
            name, kind, place = f"task-{number}-{len(self.added)}-", rng.choice(self.kinds), rng.random()
            how = "forked" if place < 0.05 else "threaded" if place < 0.8 else "sequential"
            if kind != "ok":
                self.failures.add(name)
            try:
                scheduler.add_single_task(self.act, [name, kind], processmethod=how, taskname=name)
            except Exception as error:
                self.refused.append(error)
                self.failures.discard(name)
                continue
            self.added.append(name)
            self.forks += how == "forked"

    def emit(self, record: logging.LogRecord) -> None:
        """Note the failures that are logged."""
        said = record.getMessage().partition(":")[0]
        if said in self.failures:
            self.logged.add(said)

    def ran(self) -> "collections.Counter[str]":
        """Return the number of runs of each task."""
        return collections.Counter(Path(self.path).read_text().split())


def children() -> int:
    """Return the number of children of this process, zombies included."""
    found = 0
    for task in Path("/proc/self/task").iterdir():
        found += len((task / "children").read_text().split())
    return found


def main(who: str, kind: str, seconds: float, path: str) -> None:
    """Run the storm, wait for the last run, print the counts."""
    assert hasattr(scheduler, "runs") is (who == "ours"), "the other package of this name"
    storm = Storm(kind, path)
    handler = logging.Handler()
    handler.emit = storm.emit  # type: ignore[method-assign]
    logging.getLogger().addHandler(handler)
    scheduler.start_scheduler()
    writers = [threading.Thread(target=storm.write, args=(number,)) for number in range(WRITERS)]
    for writer in writers:
        writer.start()
    end, threads = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        threads = max(threads, threading.active_count() - WRITERS - 1)
        time.sleep(0.005)
    storm.stop.set()
    for writer in writers:
        writer.join()
    end = time.monotonic() + LAST_RUNS_TIMEOUT
    while len(storm.ran()) < len(storm.added) and time.monotonic() < end:
        time.sleep(0.05)
    time.sleep(0.5)  # for runs that have just begun to end and be logged
    ran = storm.ran()
    found = {
        "added": len(storm.added), "ran": len(ran), "twice": sum(count > 1 for count in ran.values()),
        "failures": len(storm.failures & set(ran)), "named": len(storm.logged), "refused": len(storm.refused),
        "forks": storm.forks, "children": children(), "threads": threads,
    }  # fmt: skip
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        main(sys.argv[1], sys.argv[2], float(sys.argv[3]), str(Path(folder) / "ran"))
        sys.stdout.flush()
    os._exit(0)  # without waiting for other threads
