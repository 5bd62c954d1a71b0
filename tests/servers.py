"""Real CherryPy servers in processes of their own, for tests: started, asked over HTTP, signalled, buried."""

import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
import urllib.request
import uuid
from pathlib import Path

from helpers import ROOT

PREAMBLE = """
import logging, os, signal, sys, threading, time
import cheroot.server
import cherrypy
import tgscheduler.host
from tgscheduler import config, scheduler, startup

cheroot.server.HTTPServer.expiration_interval = 0.05   # else each stop takes half a second
port = int(os.environ["PORT"])
cherrypy.config.update({
    "server.socket_host": "127.0.0.1", "server.socket_port": port, "server.shutdown_timeout": 1,
    "engine.autoreload.on": False, "tg.scheduler": True, "tg.scheduler.timezone": "UTC",
})
engine = cherrypy.engine

def mark(*words):
    "Write a line that the test reads: one write, whichever thread or process."
    fd = os.open("marks", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(fd, (" ".join(map(str, words)) + "\\n").encode())
    os.close(fd)

def serve():
    cherrypy.quickstart(Root())

class Root:
    @cherrypy.expose
    def index(self):
        return "here"

    @cherrypy.expose
    def do(self, what):
        return str(globals()[what]())
"""


def until(what, timeout=10.0):
    """Poll until ``what()`` is true and return its value; None after ``timeout`` seconds."""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        value = what()
        if value:
            return value
        time.sleep(0.01)
    return None


def free_port():
    """Return a port that nobody listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


class Server:
    """A program in a folder of its own; ``log`` is what it writes to stdout and stderr, ``marks`` what it marks."""

    def __init__(self, folder, program, port=None, preamble=PREAMBLE):
        self.folder = Path(folder)
        self.port = port or free_port()
        self._family = uuid.uuid4().hex
        (self.folder / "app.py").write_text(preamble + textwrap.dedent(program))
        environ = {
            **os.environ, "PYTHONPATH": str(ROOT), "PORT": str(self.port), "FAMILY": self._family,
            "PYTHONDONTWRITEBYTECODE": "1",
        }  # fmt: skip
        with (self.folder / "log").open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, "app.py"], cwd=folder, env=environ, stdin=subprocess.DEVNULL, stdout=out, stderr=out
            )

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        for pid in self.family():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait(10)
        if failure[0]:
            print(f"--- log\n{self.log()}\n--- marks\n{self.marks()}")

    def log(self):
        """Return what stands in the log."""
        return (self.folder / "log").read_text(errors="replace")

    def marks(self):
        """Return the marked lines."""
        path = self.folder / "marks"
        return path.read_text().splitlines() if path.exists() else []

    def see(self, text, timeout=10.0):
        """Wait until a text is in the log or marked."""
        found = until(lambda: text in self.log() or any(text in line for line in self.marks()), timeout)
        assert found, f"not seen: {text!r}"
        return self

    def up(self):
        """Wait until the server has started."""
        return self.see("Bus STARTED")

    def get(self, path="/"):
        """Return a page."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as answer:
            return answer.read().decode()

    def do(self, what):
        """Call a function of the program in a request handler, and return its answer."""
        return self.get(f"/do?what={what}")

    def kill(self, sig):
        """Send a signal to the server."""
        self.process.send_signal(sig)
        return self

    def end(self, timeout=10.0):
        """Wait for the server's end; return its exit code. Nobody of its family may be left then."""
        code = self.process.wait(timeout)
        left = until(lambda: not self.family(), 2.0)
        assert left, f"left behind: {self.family()}"
        return code

    def stop(self):
        """End the server by SIGTERM; return its exit code."""
        return self.kill(signal.SIGTERM).end()

    def family(self):
        """Return the process ids of all that descends from the server, orphans too (Linux; elsewhere itself alone)."""
        if sys.platform != "linux":
            return [self.process.pid] if self.process.poll() is None else []
        mine = f"FAMILY={self._family}".encode()
        found = []
        for path in Path("/proc").glob("[0-9]*/environ"):
            try:
                if mine in path.read_bytes():
                    found.append(int(path.parent.name))
            except OSError:
                continue
        return found
