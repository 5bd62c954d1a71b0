"""What can happen to a server whose output or log has no room, and to one whose log handler raises."""

import ast
import itertools
import signal

import pytest
from servers import Server, until

pytestmark = [pytest.mark.server, pytest.mark.slow]

BUSY = """
def fail():
    raise LookupError("not written anywhere")

def beat():
    mark("beat", time.monotonic())

for name in ("sequential", "threaded", "forked"):
    scheduler.add_interval_task(fail, 0.2, processmethod=name, taskname=name)
scheduler.add_interval_task(beat, 0.1, taskname="probe")

def counts():
    return scheduler.counts()["failed"], scheduler._get_scheduler().running, scheduler.health()["state"]
"""

LOGS = {
    "a full log file": 'cherrypy.config.update({"log.screen": False, "log.error_file": "/dev/full"})\n',
    "a full stdout and stderr": 'full = os.open("/dev/full", os.O_WRONLY)\nos.dup2(full, 1), os.dup2(full, 2)\n',
    "a closed stdout": "os.close(1)\n",
    "a pipe that nobody reads any more": (
        "read, write = os.pipe()\nos.close(read)\nos.dup2(write, 1), os.dup2(write, 2)\n"
        "signal.signal(signal.SIGPIPE, signal.SIG_IGN)\n"
    ),
    "a handler that raises": (
        "class Broken(logging.Handler):\n    def emit(self, record):\n        raise OSError(28, 'No space left')\n"
        'logging.getLogger("tgscheduler").addHandler(Broken())\n'
    ),
    "a filter that raises": (
        "def broken(record):\n    raise OSError(28, 'No space left on device')\n"
        'logging.getLogger("tgscheduler.task").addFilter(broken)\n'
    ),
}


def beats(server):
    return [float(line.split()[1]) for line in server.marks() if line.startswith("beat")]


@pytest.mark.parametrize("where", LOGS)
def test_a_log_without_room_is_not_felt(tmp_path, where):
    with Server(tmp_path, LOGS[where] + BUSY + "\nserve()\n") as server:
        assert until(lambda: len(beats(server)) > 20)
        failed, running, state = ast.literal_eval(server.do("counts"))
        assert failed >= 12
        assert (running, state) == (True, "ok")
        found = beats(server)
        assert max(after - before for before, after in itertools.pairwise(found)) < 0.6
        assert server.get() == "here"
        server.kill(signal.SIGTERM)
        assert server.end() == 0
