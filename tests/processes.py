"""Real server processes: started in a session of their own, asked over HTTP, stopped, and nothing of them left."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from helpers import wait_for

import tgscheduler

#: What the server itself says from start to stop, in this order.
LIFE = ("Bus STARTING", "Serving on http://127.0.0.1:", "Bus STARTED", "Bus STOPPING", "Bus STOPPED", "Bus EXITED")


def free_port():
    """Return a port of this machine that nobody listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


class Process:
    """A Python process that leads a session of its own; what it prints goes to a file beside it."""

    def __init__(self, *arguments, cwd, name="process", environment=()):
        self._log = Path(cwd) / f"{name}.out"
        package = str(Path(tgscheduler.__file__).parent.parent)
        environ = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")}
        path = os.pathsep.join(filter(None, [package, environ.get("PYTHONPATH")]))
        environ.update(PYTHONPATH=path, PYTHONUNBUFFERED="1", PYTHONDONTWRITEBYTECODE="1", PYTHONWARNINGS="")
        environ.update(environment)
        with self._log.open("wb") as log:
            self._popen = subprocess.Popen(
                [sys.executable, *map(str, arguments)],
                cwd=cwd,
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.pid = self._popen.pid

    @property
    def output(self):
        """What it has printed so far."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def printed(self, text, times=1, timeout=10.0):
        """Wait until it has printed ``text`` so many times."""
        self.until(lambda: self.output.count(text) >= times, timeout)

    def until(self, what, timeout=10.0):
        """Wait until ``what()`` is true and return its value; fail at once when the process has ended."""

        def look():
            value = what()
            if not value:
                assert self._popen.poll() is None, f"it ended with {self._popen.returncode}:\n{self.output}"
                time.sleep(0.02)
            return value

        try:
            return wait_for(look, timeout)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.output}") from None

    def ended(self, timeout=10.0):
        """Wait for its end and return its exit code; nothing of its session may be left."""
        code = self._popen.wait(timeout)
        wait_for(lambda: not session(self.pid), 3.0)
        return code

    def stop(self, number=signal.SIGTERM, timeout=10.0):
        """Send it a signal and return its exit code."""
        self._popen.send_signal(number)
        return self.ended(timeout)

    def clean_up(self):
        """End whatever a failed test has left of it."""
        self._popen.poll()
        for pid in {*session(self.pid), *([self.pid] if self._popen.returncode is None else [])}:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self._popen.wait(10)


class Server(Process):
    """A process that serves HTTP on ``port``."""

    def __init__(self, *arguments, cwd, port):
        super().__init__(*arguments, cwd=cwd, name="server")
        self.port = port

    def up(self, timeout=15.0):
        """Wait until it answers; return self."""
        self.until(lambda: self._answers() and "Bus STARTED" in self.output, timeout)
        return self

    def ask(self, path="/", form=None):
        """Return status and text of a GET, or of a POST of ``form``."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            if form is None:
                connection.request("GET", path)
            else:
                connection.request("POST", path, form, {"Content-Type": "application/x-www-form-urlencoded"})
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()

    def text(self, path="/"):
        """Return the text of a page that must be there."""
        status, text = self.ask(path)
        assert status == 200, f"{path}: {status}\n{text}\n{self.output}"
        return text

    def ends_well(self, number=signal.SIGTERM):
        """Stop it: exit code 0, nothing left, the log as it should be. Return the log."""
        code = self.stop(number)
        log = self.output
        assert code == 0, log
        places = [log.find(line) for line in LIFE]
        assert -1 not in places, log
        assert places == sorted(places), log
        return log

    def _answers(self):
        try:
            return self.ask("/")[0] < 500
        except (OSError, http.client.HTTPException):
            return False


def session(leader):
    """Return the processes of a session, zombies that wait for the system's own reaper left out (Linux only)."""
    found = set()
    if sys.platform != "linux":
        return found
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _parent, _group, sid, *_ = stat.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if int(sid) == leader and state != "Z":
            found.add(int(stat.parent.name))
    return found
