"""The servers of these tests: the example application in processes of its own, and a proxy before it."""

import http.client
import shutil
import urllib.error
import urllib.request
from pathlib import Path

from processes import Process, Server, free_port

HERE = Path(__file__).parent

#: Who may log in where there are users.
USERS = {"anna": "correct horse", "vera": "battery staple"}

CONFIG = """
[global]
server.socket_port = {port}
engine.autoreload.on = False
example.database = "sqlite:///{folder}/shop.db"
example.stock_interval = 300
example.visits_interval = 600
shop.odd = {odd}
tg.scheduler.timezone = "Europe/Berlin"
tg.scheduler.stop_timeout = 1
tg.scheduler.store = "sqlite:///{folder}/scheduler.db"
tg.scheduler.console = "/scheduler"
"""


class Site:
    """A running shop; ``url`` is where its console is, ``user`` who asks (name, password) or None."""

    def __init__(self, folder, past=None, more="", odd=False, program=HERE / "shop.py"):
        self.folder, self.port, self.user = Path(folder), free_port(), None
        if past is not None:
            for file in Path(past).glob("scheduler.db*"):
                shutil.copy(file, self.folder)
        text = CONFIG.format(port=self.port, folder=self.folder, odd=odd)
        for line in filter(None, more.splitlines()):  # a key that is given again replaces the first
            key = line.partition("=")[0]
            text = "".join(kept for kept in text.splitlines(keepends=True) if not kept.startswith(key + "="))
        (self.folder / "shop.cfg").write_text(text + more)
        self.arguments = (program, "shop.cfg")
        self.server = None
        self.url = f"http://127.0.0.1:{self.port}/scheduler/"

    def up(self):
        """Start it, and wait until it answers."""
        self.server = Server(*self.arguments, cwd=self.folder, port=self.port)
        self.server.up()
        return self

    def down(self):
        """End it as an operator does."""
        self.server.stop()

    def clean_up(self):
        """End what is left of it."""
        if self.server is not None:
            self.server.clean_up()


class Proxied(Site):
    """A shop behind a proxy that strips a prefix; it has users."""

    def __init__(self, folder, past, more):
        super().__init__(folder, past, more, odd=True)
        self.proxy_port = free_port()
        self.proxy = None
        self.url = f"http://127.0.0.1:{self.proxy_port}/office/shop/"

    def up(self):
        """Start both."""
        super().up()
        target = f"http://127.0.0.1:{self.port}/scheduler"
        self.proxy = Process(HERE / "proxy.py", self.proxy_port, "/office/shop", target, cwd=self.folder, name="proxy")
        self.proxy.until(lambda: answers(self.url + "healthz"))
        return self

    def clean_up(self):
        """End both."""
        if self.proxy is not None:
            self.proxy.clean_up()
        super().clean_up()


def answers(url):
    """Return whether a server answers, whatever it says."""
    try:
        urllib.request.urlopen(url, timeout=5).close()
    except urllib.error.HTTPError as error:
        error.close()
    except (OSError, http.client.HTTPException):
        return False
    return True


def written_past(folder):
    """Write the past into a store in this folder; return the folder."""
    Site(folder, odd=True)
    Process(HERE / "shop.py", "shop.cfg", "past", cwd=folder).ended(60)
    return folder
