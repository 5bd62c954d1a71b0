"""The server of the console's load: ``python -m benchmarks.loads.console_server URL TASKS busy|still``.

``busy``: each task runs every SPACING seconds, and PROBES more run every second, which note how late they began.
``still``: no task runs for a week.
"""

import json
import sys
import time

import cherrypy

from benchmarks.loads.console_past import SPACING
from tgscheduler import scheduler as functions
from tgscheduler import stores
from tgscheduler.console import mount
from tgscheduler.engine.scheduler import Scheduler
from tgscheduler.scheduler import ThreadedScheduler

PROBES = 50

delays: list[float] = []


def work() -> None:
    """Do nothing."""


def probe() -> None:
    """Note how late this run began."""
    run = functions.current_run()
    assert run is not None
    delays.append(time.time() - run.due)


class Root:
    """Figures of the process."""

    @cherrypy.expose
    def facts(self) -> bytes:
        """Return the delays since the last request, and the CPU time so far."""
        noted, delays[:] = list(delays), []
        return json.dumps({"delays": noted, "cpu": time.process_time()}).encode()


def scheduler_over(url: str, tasks: int, mode: str) -> Scheduler:
    """Return a scheduler with a store's tasks, which has not started."""
    scheduler = ThreadedScheduler(store=stores.open(url, days=None, per_task=None), timezone="Europe/Berlin")
    interval = SPACING if mode == "busy" else 7 * 86400.0
    for number in range(tasks):
        delay = interval * (number + 1) / tasks + (0.0 if mode == "busy" else 86400.0)
        scheduler.add_interval_task(work, interval, initialdelay=delay, taskname=f"task {number}")
    for number in range(PROBES if mode == "busy" else 0):
        scheduler.add_interval_task(probe, 1.0, initialdelay=number / PROBES, taskname=f"probe {number}")
    return scheduler


def main() -> None:
    """Serve until SIGTERM; print the port when the server runs."""
    url, tasks, mode = sys.argv[1:]
    cherrypy.config.update({"server.socket_port": 0, "server.thread_pool": 20, "log.screen": False,
                            "engine.autoreload.on": False, "server.socket_queue_size": 100})  # fmt: skip
    scheduler = scheduler_over(url, int(tasks), mode)
    scheduler.start()
    cherrypy.tree.mount(Root(), "/", {"/": {}})
    mount("/scheduler", scheduler)
    cherrypy.engine.subscribe("stop", scheduler.stop, 20)
    cherrypy.engine.signals.subscribe()
    cherrypy.engine.start()
    print(cherrypy.server.httpserver.bind_addr[1], flush=True)
    cherrypy.engine.block()


if __name__ == "__main__":
    main()
