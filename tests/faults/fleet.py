"""A fleet: processes that run one timetable over one store, and what is done to them."""

import json
import os
import random
import signal
import sqlite3
import time
from contextlib import contextmanager
from pathlib import Path

from audit import Audit
from helpers import wait_for
from marks import KILLED, READY, SKEWED, MarkFile
from processes import Process

from tgscheduler import stores

NODE = Path(__file__).parent / "node.py"

#: So many seconds a fleet lives before a fault and after it, and the last process alone.
BEFORE, AFTER, ALONE = 3.0, 4.0, 3.0


class Node(Process):
    """A process of a fleet."""

    def __init__(self, name, slot, orders, folder):
        super().__init__(NODE, json.dumps(orders), cwd=folder, name=name)
        self.name, self.slot = name, slot

    @property
    def alive(self):
        """Whether it has not ended."""
        return self._popen.poll() is None

    def signal(self, number):
        """Send it a signal."""
        os.kill(self.pid, number)

    @property
    def stands_still(self):
        """Whether SIGSTOP holds it."""
        return Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "T"


class Fleet:
    """Processes in slots ``a``, ``b``, …: the third one in slot ``a`` is the node ``a3``."""

    def __init__(self, url, folder, seed):
        self.url, self.folder = url, folder
        self.rng = random.Random(seed)
        self.begun = time.time()
        self.mark_file = MarkFile(folder / "mark_file")
        self.nodes = []
        self._number = {}

    # -- processes ----------------------------------------------------------------------------------------------------

    def start(self, slot, url=None, skew=0.0, host=None, machine=None):
        """Start the next process in a slot."""
        self._number[slot] = self._number.get(slot, 0) + 1
        name = f"{slot}{self._number[slot]}"
        orders = {
            "url": url or self.url,
            "mark_file": str(self.folder / "mark_file"),
            "name": name,
            "slot": slot,
            "begun": self.begun,
            "skew": skew,
            "host": host,
            "machine": machine,
        }
        node = Node(name, slot, orders, self.folder)
        self.nodes.append(node)
        if skew:
            self.mark_file.note(SKEWED, name)
        return node

    def start_some(self, least=2, most=4, **options):
        """Start two, three or four processes and wait until each runs its timetable; return them, shuffled."""
        nodes = [self.start(slot, **options) for slot in "abcd"[: self.rng.randint(least, most)]]
        self.ready(*nodes)
        self.rng.shuffle(nodes)
        return nodes

    def ready(self, *nodes):
        """Wait until processes run their timetables."""
        for node in nodes:
            node.until(lambda node=node: any(mark[:2] == (READY, node.name) for mark in self.mark_file.read()), 30)

    @property
    def up(self):
        """The processes that have not ended."""
        return [node for node in self.nodes if node.alive]

    def live(self, seconds):
        """Let time pass; none that lives may end meanwhile."""
        up, end = self.up, time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(0.05)
            for node in up:
                assert node.alive, f"{node.name} has ended:\n{node.output}"

    # -- faults -------------------------------------------------------------------------------------------------------

    def kill(self, node):
        """Kill a process at once."""
        self.mark_file.note(KILLED, node.name)
        node.stop(signal.SIGKILL)

    def freeze(self, node, seconds):
        """Let a process stand still inside a transaction, as under SIGSTOP, and go on."""
        (self.folder / f"{node.name}.freeze").touch()
        wait_for(lambda: node.stands_still, 30)
        time.sleep(seconds)
        node.signal(signal.SIGCONT)

    def set_clock(self, node, skew):
        """Let a process's clock be wrong by so many seconds from now on."""
        self.mark_file.note(SKEWED, node.name)
        new = self.folder / f"{node.name}.new"
        new.write_text(repr(skew))
        new.replace(self.folder / f"{node.name}.skew")

    @contextmanager
    def locked(self):
        """Lock everybody out of the store."""
        if self.url.startswith("sqlite"):
            connection = sqlite3.connect(self.url.removeprefix("sqlite:///"), isolation_level=None, timeout=10)
            connection.execute("BEGIN EXCLUSIVE")
        else:
            import psycopg

            connection = psycopg.connect(self.url.replace("+psycopg", ""))
            connection.execute("LOCK TABLE tg_task IN ACCESS EXCLUSIVE MODE")
        try:
            yield
        finally:
            connection.rollback()
            connection.close()

    # -- the end ------------------------------------------------------------------------------------------------------

    def stop(self, node):
        """Stop a process as a deployment does."""
        code = node.stop(timeout=20)
        assert code == 0, f"{node.name} ended with {code}:\n{node.output}"

    def end(self, last=None):
        """Stop one after another; the last one lives for a while alone. Return what does not hold."""
        up = self.up
        self.rng.shuffle(up)
        up.sort(key=lambda node: node is last)
        for node in up[:-1]:
            self.stop(node)
        self.live(ALONE)
        self.stop(up[-1])
        store = stores.open(self.url)
        try:
            return Audit(self.mark_file.read(), self.folder, store).findings()
        finally:
            store.close(1)

    def said(self, pattern):
        """Return the nodes whose health or log has said something like it."""
        return Audit(self.mark_file.read(), self.folder, None).said(pattern)

    def clean_up(self):
        """End what a failed test has left."""
        for node in self.nodes:
            node.clean_up()
        self.mark_file.close()
