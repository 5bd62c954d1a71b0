"""A PostgreSQL server for tests: the one that ``TGS_POSTGRES_URL`` names, else one that is started here and stopped."""

import os
import shutil
import subprocess
import tempfile
import uuid
from pathlib import Path

import pytest
from processes import free_port

_SPEED = "-c fsync=off -c synchronous_commit=off -c full_page_writes=off"


@pytest.fixture(scope="session")
def postgres_server():
    """Yield the URL of a server's maintenance database."""
    try:
        import psycopg  # noqa: F401
    except ImportError:
        _missing("psycopg is missing: pip install 'tgscheduler[postgres]' brings it")
    given = os.environ.get("TGS_POSTGRES_URL")
    if given:
        yield _url(given)
        return
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    found = str(programs[-1]) if programs else shutil.which("initdb")
    if found is None:
        _missing("PostgreSQL's initdb is missing, and TGS_POSTGRES_URL is not set")
    programs = Path(found).parent
    folder = Path(tempfile.mkdtemp(prefix="tgs-postgres-"))
    as_user = []
    if os.geteuid() == 0:  # the server refuses to run as root
        shutil.chown(folder, "postgres", "postgres")
        as_user = ["runuser", "-u", "postgres", "--"]
    data, port = folder / "data", free_port()
    try:
        _run(*as_user, programs / "initdb", "-D", data, "-U", "postgres", "--auth=trust", "-E", "UTF8",
             "--locale=C.UTF-8", "--no-instructions", "--no-sync", cwd=folder)  # fmt: skip
        options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} {_SPEED}"
        _run(*as_user, programs / "pg_ctl", "-D", data, "-w", "-t", "30", "-l", folder / "log", "-o", options, "start",
             cwd=folder)  # fmt: skip
        try:
            yield _url(f"postgresql://postgres@127.0.0.1:{port}/postgres")
        finally:
            _run(*as_user, programs / "pg_ctl", "-D", data, "-m", "immediate", "-w", "-t", "30", "stop", cwd=folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def postgres_url(postgres_server):
    """Yield the URL of a database of the test's own, as SQLAlchemy writes it; it is dropped afterwards."""
    name = f"tgs_{uuid.uuid4().hex[:12]}"
    _execute(postgres_server, f'CREATE DATABASE "{name}"')
    yield postgres_server.set(database=name).render_as_string(hide_password=False)
    _execute(postgres_server, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


@pytest.fixture
def postgres_schema(postgres_server):
    """Yield the URL of an empty schema of the test's own: it takes a tenth of the time of a database."""
    name = f"tgs_{uuid.uuid4().hex[:12]}"
    _execute(postgres_server, f'CREATE SCHEMA "{name}"')
    url = postgres_server.update_query_dict({"options": f"-csearch_path={name}"})
    yield url.render_as_string(hide_password=False)
    _execute(postgres_server, f'DROP SCHEMA "{name}" CASCADE')


def _url(text):
    from sqlalchemy import make_url

    return make_url(text).set(drivername="postgresql+psycopg")


def _execute(url, statement):
    import psycopg

    plain = url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(plain, autocommit=True) as connection:
        connection.execute(statement)


def _run(*command, cwd):
    with (Path(cwd) / "commands.log").open("ab") as log:
        done = subprocess.run([str(part) for part in command], cwd=cwd, stdout=log, stderr=log, timeout=60, check=False)
    assert done.returncode == 0, (Path(cwd) / "commands.log").read_text(errors="replace")


def _missing(why):
    if os.environ.get("CI"):
        pytest.fail(why)
    pytest.skip(why)
