"""The server of the http load: ``python -m benchmarks.loads.http_server scheduler|thread CPU_PER_RUN``."""

import json
import sys
import threading
import time

import cherrypy

import tgscheduler.host
from tgscheduler import config, scheduler, startup

RATE = 1000


def work() -> None:
    """Compute a little, as a real job does between two waits."""
    sum(range(200))


class Root:
    """A page, and figures of the scheduler."""

    @cherrypy.expose
    def index(self) -> str:
        """Return a short page."""
        return "hello"

    @cherrypy.expose
    def facts(self) -> bytes:
        """Return the counts of runs and the CPU time of a run."""
        counts = scheduler.counts()
        while counts["waiting"] + counts["running"]:
            time.sleep(0.005)
            counts = scheduler.counts()
        facts = {"due": sum(counts.values()), "ok": counts["ok"], "skipped": counts["skipped"], "runs": counts["ok"]}
        return json.dumps({**facts, "cpu_per_run": cpu_per_run[0]}).encode()


cpu_per_run = [0.0]


def schedule() -> None:
    """Add tasks that make RATE runs a second."""
    for number in range(100):
        scheduler.add_interval_task(work, 100 / RATE, initialdelay=number / RATE, taskname=f"work {number}")


def measure() -> None:
    """Measure the cost of a run before the first request."""
    time.sleep(0.5)
    cpu, runs = time.process_time(), scheduler.counts()["ok"]
    time.sleep(1.5)
    done = scheduler.counts()["ok"] - runs
    cpu_per_run[0] = (time.process_time() - cpu) / done


def burn(seconds: float) -> None:
    """Use ``seconds`` of CPU time RATE times a second, without a scheduler."""
    following = time.monotonic()
    while True:
        end = time.thread_time() + seconds
        while time.thread_time() < end:
            work()
        following += 1 / RATE
        time.sleep(max(0.0, following - time.monotonic()))


def main() -> None:
    """Serve until SIGTERM; print the port when the server runs."""
    mode, cost = sys.argv[1], float(sys.argv[2])
    cherrypy.config.update({"server.socket_port": 0, "server.thread_pool": 50, "log.screen": False,
                            "engine.autoreload.on": False, "server.socket_queue_size": 100})  # fmt: skip
    if mode == "scheduler":
        config.update({"tg.scheduler": True})
        startup.call_on_startup.append(schedule)
    else:
        threading.Thread(target=burn, args=(cost,), daemon=True).start()
    cherrypy.tree.mount(Root(), "/", {"/": {}})
    cherrypy.engine.signals.subscribe()
    cherrypy.engine.start()
    if mode == "scheduler":
        measure()
    print(cherrypy.server.httpserver.bind_addr[1], flush=True)
    cherrypy.engine.block()


if __name__ == "__main__":
    assert tgscheduler.host.plugin
    main()
