"""A TurboGears-like project in a folder of its own, and the server that runs it."""

import json

import pytest
from processes import Server, free_port
from snippets import APP_CFG, USAGE_COMMANDS

DEV_CFG = """\
[global]
server.socket_port = {port}
engine.autoreload.on = False

[logging]

[[handlers]]
[[[screen]]]
args = "(sys.stdout,)"
formatter = "line"

[[formatters]]
[[[line]]]
format = "*(levelname)s *(name)s: *(message)s"

[[loggers]]
[[[yourpkg]]]
qualname = "yourpkg"
level = "INFO"
handlers = ["screen"]
"""

START = """\
from yourpkg.commands import start

start()
"""

NOTHING_TO_SCHEDULE = """\
def schedule():
    pass
"""

CONTROLLERS = """\
import cherrypy

from tgscheduler import scheduler


class Root:
    @cherrypy.expose
    @cherrypy.tools.json_out()
    def index(self):
        return {
            "tasks": {name: [type(task).__name__, task.next_due] for name, task in scheduler.get_tasks().items()},
            "counts": scheduler.counts(),
            "health": scheduler.health(),
            "runs": [
                {
                    "task": run.task,
                    "due": run.due,
                    "state": run.state,
                    "process": run.where and run.where.process,
                    "thread": run.where and run.where.thread,
                }
                for run in scheduler.runs()
            ],
        }
"""


class Project:
    """``start-yourpkg.py``, ``dev.cfg`` and the package ``yourpkg``, as TurboGears' quickstart lays them out."""

    def __init__(self, folder):
        self.folder = folder
        self._servers = []
        self.write("start-yourpkg.py", START)
        self.write("yourpkg/__init__.py", "")
        self.write("yourpkg/config/__init__.py", "")
        self.write("yourpkg/config/app.cfg", APP_CFG)
        self.write("yourpkg/controllers.py", CONTROLLERS)
        self.write("yourpkg/jobs.py", NOTHING_TO_SCHEDULE)
        self.commands("tgscheduler.update_config(configfile='dev.cfg', modulename='yourpkg.config')")

    def write(self, name, text):
        """Write a file of the project."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def commands(self, first):
        """Write the guide's commands.py, its two ellipses filled in: the import, and what ``start`` does first."""
        text = USAGE_COMMANDS.replace("\n...\n", "\nimport tgscheduler\n", 1).replace("    ...\n", f"    {first}\n", 1)
        assert "..." not in text
        self.write("yourpkg/commands.py", text)

    def serve(self):
        """Start the server and wait until it answers."""
        port = free_port()
        self.write("dev.cfg", DEV_CFG.replace("{port}", str(port)))
        server = GuideServer("start-yourpkg.py", cwd=self.folder, port=port)
        self._servers.append(server)
        return server.up()

    def clean_up(self):
        """End what a failed test has left running."""
        for server in self._servers:
            server.clean_up()


class GuideServer(Server):
    """A server that tells about its scheduler."""

    def facts(self, path="/"):
        """Return what it tells."""
        return json.loads(self.text(path))

    def finished(self, number, timeout=10.0):
        """Wait until so many runs have ended well; return the facts of then."""
        return self.until(lambda: (facts := self.facts())["counts"]["ok"] >= number and facts, timeout)


@pytest.fixture
def project(tmp_path):
    """A fresh project; its servers do not survive the test."""
    made = Project(tmp_path)
    yield made
    made.clean_up()
