"""A server with a console over harmless tasks, for clients of the API: ``python live.py PORT``."""

import sys
from itertools import count

import cherrypy

from tgscheduler.console.app import mount
from tgscheduler.engine.scheduler import ThreadedScheduler
from tgscheduler.timetable.policy import Retry

NAMES = ("report", "a/b", "100 %", "#1", "ünïcode ☃ 😀", "<script>alert(1)</script>", "..", "a b+c&d=e?f")

_runs = count()


def harmless():
    """Do nothing, and fail now and then."""
    if next(_runs) % 3 == 0:
        raise ValueError("<b>as planned</b>")


def main(port):
    """Serve until the process is ended."""
    scheduler = ThreadedScheduler(timezone="Europe/Berlin", history=500)
    for number, name in enumerate(NAMES):
        scheduler.add_interval_task(harmless, 1 + number, taskname=name, retry=Retry(1, delay=5))
    scheduler.add_cron_task(harmless, "0 9 * * 1-5", taskname="weekday", timezone="America/New_York")
    scheduler.start()
    mount("/scheduler", scheduler)
    cherrypy.config.update({"server.socket_port": port, "engine.autoreload.on": False})
    cherrypy.engine.subscribe("stop", scheduler.stop)
    cherrypy.engine.signals.subscribe()
    cherrypy.engine.start()
    cherrypy.engine.block()


if __name__ == "__main__":
    main(int(sys.argv[1]))
