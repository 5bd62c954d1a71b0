"""What test_store_kills.py kills: processes that run a thousand tasks over one store, one after another.

``python kills.py URL FOLDER KILLS SEED SECONDS`` prints what an independent record in files says against the store's;
the last process lives so many seconds and ends well.
"""

import itertools
import json
import os
import random
import signal
import sys
import threading
import time
from collections import Counter
from pathlib import Path

from tgscheduler import current_run, stores
from tgscheduler.engine.scheduler import ThreadedScheduler

TASKS = 1000
INTERVALS = (1.0, 2.0, 5.0)


def interval(number):
    return INTERVALS[number % len(INTERVALS)]


def live(url, folder):
    """Run the thousand tasks until killed; note each start before anything else, and what the store has confirmed."""
    starts = os.open(folder / "starts", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    confirmed = os.open(folder / "confirmed", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    finished = []

    def action():
        run = current_run()
        os.write(starts, f"{run.task} {run.due!r}\n".encode())

    store = stores.open(url)
    scheduler = ThreadedScheduler(store=store)
    scheduler.subscribe(lambda event: finished.append(event.run), "run-finished")
    for number in range(TASKS):
        scheduler.add_interval_task(
            action,
            interval(number),
            initialdelay=number / TASKS,
            taskname=f"task {number}",
            on_lost=("skip", "rerun")[number % 2],
            processmethod="sequential" if number % 3 else "threaded",
        )
    scheduler.start()

    def confirm():
        while True:
            ended = finished[:]
            del finished[: len(ended)]
            if store.flush(5.0):
                lines = "".join(f"{run.task} {run.due!r} {run.state}\n" for run in ended)
                os.write(confirmed, lines.encode())
            time.sleep(0.02)

    threading.Thread(target=confirm, daemon=True).start()
    return scheduler


def kill(url, folder, kills, rng, seconds):
    """Fork one process after another and kill each at a random moment; let the last one end well."""
    for _ in range(kills):
        pid = os.fork()
        if pid == 0:
            try:
                live(url, folder)
                time.sleep(60)
            finally:
                os._exit(1)
        time.sleep(rng.uniform(0.02, 0.5))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    pid = os.fork()
    if pid == 0:
        try:
            scheduler = live(url, folder)
            time.sleep(seconds)
            print("health", json.dumps(scheduler.health()), flush=True)
            scheduler.stop()
            os._exit(0)
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def compare(url, folder):
    """Return what the store has of what the files say."""
    store = stores.open(url)
    runs = {}
    holes = []
    for number in range(TASKS):
        found = sorted(store.runs(task=f"task {number}", limit=1_000_000), key=lambda run: run.due)
        runs.update(((run.task, run.due), run) for run in found)
        step = interval(number)
        for one, following in itertools.pairwise(found):
            if abs(following.due - one.until - step) > 1e-3:
                holes.append((one.task, one.until, following.due))
    states = Counter()
    for run in runs.values():
        states[run.state] += run.count
    starts = Counter(tuple(line.rsplit(" ", 1)) for line in (folder / "starts").read_text().splitlines())
    confirmed = [line.rsplit(" ", 2) for line in (folder / "confirmed").read_text().splitlines()]
    counts = store.counts()
    store.close(1.0)

    def record(task, due):
        return runs.get((task, float(due)))

    return {
        "starts": sum(starts.values()),
        "unknown": [key for key in starts if record(*key) is None][:5],
        "twice": [key for key, times in starts.items() if record(*key) and times > record(*key).attempt][:5],
        "again": sum(times > 1 for times in starts.values()),
        "confirmed": len(confirmed),
        "forgotten": [line for line in confirmed if not record(*line[:2]) or record(*line[:2]).state != line[2]][:5],
        "holes": holes[:5],
        "open": states["running"] + states["waiting"],
        "states": states,
        "counts": {state: count for state, count in counts.items() if count},
    }


def main():
    url, folder, kills, seed, seconds = sys.argv[1], Path(sys.argv[2]), *map(int, sys.argv[3:])
    code = kill(url, folder, kills, random.Random(seed), seconds)
    print(json.dumps({"code": code, **compare(url, folder)}))


if __name__ == "__main__":
    main()
