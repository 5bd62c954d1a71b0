"""A PostgreSQL server of a test's own, which is stopped and restarted."""

import os
import shutil
import tempfile
from pathlib import Path

from processes import free_port

PASSWORD = "s3cret-of-the-test"


class Server:
    """A server that asks for a password; ``url`` is that of its database ``postgres``."""

    def __init__(self):
        import postgres  # a plugin of pytest, which wants to be the first to import it

        self._tools = postgres
        found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
        program = str(found[-1]) if found else shutil.which("initdb")
        if program is None:
            postgres._missing("PostgreSQL's initdb is missing")
        self._programs = Path(program).parent
        self.folder = Path(tempfile.mkdtemp(prefix="tgs-postgres-"))
        self._as_user = []
        if os.geteuid() == 0:  # the server refuses to run as root
            shutil.chown(self.folder, "postgres", "postgres")
            self._as_user = ["runuser", "-u", "postgres", "--"]
        self.port = free_port()
        password = self.folder / "password"
        password.write_text(PASSWORD)
        password.chmod(0o644)
        postgres._run(*self._as_user, self._programs / "initdb", "-D", self.folder / "data", "-U", "postgres",
             "--auth=scram-sha-256", f"--pwfile={password}", "-E", "UTF8", "--locale=C.UTF-8", "--no-instructions",
             "--no-sync", cwd=self.folder)  # fmt: skip

    def url(self, port=None, password=PASSWORD, database="postgres"):
        """Return a URL of it."""
        return f"postgresql://postgres:{password}@127.0.0.1:{port or self.port}/{database}"

    def start(self):
        """Start it and wait until it answers."""
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self.folder} -c fsync=off"
        self._control("-l", self.folder / "log", "-o", options, "start")

    def stop(self, mode="fast"):
        """Stop it and wait until it is gone."""
        self._control("-m", mode, "stop")

    def execute(self, statement):
        """Execute a statement and return its rows, if it has any."""
        import psycopg

        with psycopg.connect(self.url(), autocommit=True) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def remove(self):
        """Stop it, and remove all of it."""
        try:
            self._control("-m", "immediate", "stop")
        except AssertionError:  # it does not run
            pass
        shutil.rmtree(self.folder, ignore_errors=True)

    def _control(self, *words):
        command = [self._programs / "pg_ctl", "-D", self.folder / "data", "-w", "-t", "30", *words]
        self._tools._run(*self._as_user, *command, cwd=self.folder)
