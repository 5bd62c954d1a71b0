"""A PostgreSQL server of a test's own, which is stopped, restarted and cut off; poolers in front of one."""

import os
import shutil
import signal
import socket
import tempfile
from pathlib import Path

from helpers import wait_for
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


class Pooler:
    """PgBouncer in transaction mode, in front of a server: two connections to each of its databases."""

    def __init__(self, url):
        import postgres

        program = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
        if program is None:
            postgres._missing("PgBouncer is missing: apt-get install pgbouncer")
        self.folder = Path(tempfile.mkdtemp(prefix="tgs-pgbouncer-"))
        self.port = free_port()
        server = f"host={url.host} port={url.port or 5432} user={url.username}"
        (self.folder / "pooler.ini").write_text(
            f"[databases]\n* = {server}{f' password={url.password}' if url.password else ''}\n"
            f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {self.port}\nunix_socket_dir =\n"
            f"auth_type = any\npool_mode = transaction\ndefault_pool_size = 2\n"
            f"logfile = {self.folder}/log\npidfile = {self.folder}/pid\n"
        )
        as_user = []
        if os.geteuid() == 0:  # it refuses to run as root
            shutil.chown(self.folder, "postgres", "postgres")
            as_user = ["runuser", "-u", "postgres", "--"]
        postgres._run(*as_user, program, "-q", "-d", self.folder / "pooler.ini", cwd=self.folder)
        wait_for(self._answers)
        self._process = int((self.folder / "pid").read_text())

    def _answers(self):
        try:
            socket.create_connection(("127.0.0.1", self.port)).close()
        except OSError:
            return False
        return True

    def close(self):
        """End it."""
        os.kill(self._process, signal.SIGTERM)
        wait_for(lambda: not self._answers())
        shutil.rmtree(self.folder, ignore_errors=True)
