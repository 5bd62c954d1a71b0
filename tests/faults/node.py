"""A process of a fleet (see ``fleet.py``): ``python node.py ORDERS`` runs the fleet's timetable until SIGTERM.

Its orders are one JSON object: the store's ``url``, the ``mark_file``, its ``name`` and ``slot``, when the fleet has
``begun``; ``skew``: by how many seconds its clock is wrong; ``host`` and ``machine``: what it is called and was booted
as. Two files beside the file of marks change it while it lives: ``NAME.skew`` and ``NAME.freeze``.
"""

import json
import logging
import os
import signal
import socket
import sys
import time
from pathlib import Path

from marks import BEGAN, DONE, FROZEN, RAISED, READY, STOPPED, STOPPING, THAWED, MarkFile

from tgscheduler import current_run, stores
from tgscheduler.clock import Clock
from tgscheduler.engine.scheduler import ThreadedScheduler
from tgscheduler.stores import nodes
from tgscheduler.timetable.policy import Retry

#: What the processes run together: a task's name -> seconds between its occurrences.
SHARED = {
    **{f"interval {step} #{number}": step for step in (0.25, 0.5, 1.0, 2.0) for number in range(6)},
    **{f"cron #{number}": 1.0 for number in range(6)},
    **{f"retried #{number}": 1.0 for number in range(2)},
    **{f"long #{number}": 1.0 for number in range(2)},
    "forked": 2.0,
}
#: Single tasks: a name -> seconds from the fleet's beginning.
SINGLE = {f"single #{number}": 3.0 + 3.0 * number for number in range(4)}
#: A task of each slot's own, which nobody else runs.
OWN = "own of {}"
OWN_STEP = 0.5

#: Every bound on how long a process may say nothing is divided by this, so that what lies beyond it can be waited for.
HURRY = 10.0


class WrongClock(Clock):
    """A clock that is wrong by ``skew`` seconds."""

    def __init__(self, skew):
        self.skew = skew
        super().__init__()

    def now(self):
        return time.time() + self.skew


class Planned(Exception):
    """What a task that is retried raises at its first attempt."""


class Node:
    """The process's own scheduler and what it writes into the file of marks."""

    def __init__(self, orders):
        self.name, self.slot, self.begun = orders["name"], orders["slot"], orders["begun"]
        self.folder = Path(orders["mark_file"]).parent
        self.mark_file = MarkFile(orders["mark_file"])
        self.clock = WrongClock(orders["skew"])
        self.scheduler = ThreadedScheduler(clock=self.clock, store=stores.open(orders["url"]), threads=20)
        self._freeze_in_commit(self.scheduler._journal.store._database)
        self._add_tasks()

    def _add_tasks(self):
        add = self.scheduler.add_interval_task
        for number, (name, step) in enumerate(SHARED.items()):
            options = {"taskname": name, "on_lost": ("skip", "rerun")[number % 2]}
            if name.startswith("cron"):
                self.scheduler.add_cron_task(self.act, "* * * * * *", **options)
            elif name.startswith("retried"):
                retry = Retry(2, delay=0.2, jitter=0.0, on=Planned)
                add(self.fail_first, step, initialdelay=0.3, retry=retry, **options)
            elif name.startswith("long"):
                add(self.act, step, args=[0.4], **options)
            elif name == "forked":
                add(self.act, step, processmethod="forked", **options)
            else:
                kind = ("threaded", "sequential")[number % 3 == 0]
                add(self.act, step, initialdelay=number / 50, processmethod=kind, **options)
        for name, seconds in SINGLE.items():
            self.scheduler.add_single_task(self.act, at=self.begun + seconds, taskname=name)
        add(self.act, OWN_STEP, taskname=OWN.format(self.slot))

    def act(self, seconds=0.0):
        run = current_run()._run
        self.mark_file.note(BEGAN, self.name, run)
        time.sleep(seconds)
        self.mark_file.note(DONE, self.name, run)

    def fail_first(self):
        run = current_run()._run
        if run.attempt > 1:
            self.act()
            return
        self.mark_file.note(BEGAN, self.name, run)
        self.mark_file.note(RAISED, self.name, run)
        raise Planned

    def _freeze_in_commit(self, database):
        """Let this process stop itself inside its next transaction, once it is asked to."""
        commit, asked = database.commit, self.folder / f"{self.name}.freeze"

        def commit_or_freeze(connection):
            if asked.exists():
                asked.unlink()
                self.mark_file.note(FROZEN, self.name)
                os.kill(os.getpid(), signal.SIGSTOP)
                self.mark_file.note(THAWED, self.name)
            commit(connection)

        database.commit = commit_or_freeze

    def live(self, told_to_stop):
        """Run the timetable, and note every now and then how the scheduler says that it is."""
        self.scheduler.start()
        self.mark_file.note(READY, self.name)
        skew = self.folder / f"{self.name}.skew"
        with (self.folder / f"{self.name}.health").open("w", buffering=1) as healths:
            while not told_to_stop:
                if skew.exists():
                    self.clock.skew = float(skew.read_text())
                health = self.scheduler.health()
                print(json.dumps([time.time(), health["state"], health["reasons"], health["dropped"]]), file=healths)
                time.sleep(0.1)
        self.mark_file.note(STOPPING, self.name)
        self.scheduler.stop()
        self.mark_file.note(STOPPED, self.name)


def be(host, machine):
    """Be a process of another host, or of this one under another boot or in another container."""
    if host:
        socket.gethostname = lambda: host
    if machine:
        nodes._machine = lambda: machine


def hurry():
    """Shorten what the processes of a store leave to one another until they take each other for gone."""
    for module in [module for name, module in sys.modules.items() if name.startswith("tgscheduler.")]:
        for name in ("BEAT", "GONE_AFTER"):
            if hasattr(module, name):
                setattr(module, name, getattr(module, name) / HURRY)


def main():
    orders = json.loads(sys.argv[1])
    told_to_stop = []
    signal.signal(signal.SIGTERM, lambda *_: told_to_stop.append(True))
    signal.alarm(300)  # whatever becomes of the test
    log = Path(orders["mark_file"]).parent / f"{orders['name']}.log"
    logging.basicConfig(filename=log, level=logging.INFO, format="%(created).3f %(levelname)s %(name)s %(message)s")
    be(orders["host"], orders["machine"])
    node = Node(orders)
    hurry()
    node.live(told_to_stop)


if __name__ == "__main__":
    main()
