"""A PostgreSQL server for tests: the one that ``TGS_POSTGRES_URL`` names, else one that is started here and stopped."""

import os
import shutil
import subprocess
import tempfile
import uuid
from contextlib import contextmanager
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


@contextmanager
def database(server, options=""):
    """Give the URL of a database that was created with ``options``; it is dropped afterwards."""
    name = f"tgs_{uuid.uuid4().hex[:12]}"
    _execute(server, f'CREATE DATABASE "{name}" {options}')
    yield server.set(database=name)
    _execute(server, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


@pytest.fixture
def postgres_url(postgres_server):
    """Yield the URL of a database of the test's own, as SQLAlchemy writes it; it is dropped afterwards."""
    with database(postgres_server) as url:
        yield url.render_as_string(hide_password=False)


@pytest.fixture
def in_encoding(postgres_server):
    """Return a function that gives the URL of a database of an encoding, as a context."""
    return lambda name: database(postgres_server, f"TEMPLATE template0 ENCODING '{name}' LC_COLLATE 'C' LC_CTYPE 'C'")


@pytest.fixture(scope="session")
def pooler(postgres_server):
    """Yield PgBouncer in front of the server."""
    from pgserver import Pooler

    pooler = Pooler(postgres_server)
    yield pooler
    pooler.close()


@pytest.fixture
def pooled_url(postgres_server, pooler):
    """Yield the URL of a database of the test's own, through PgBouncer."""
    with database(postgres_server) as url:
        yield url.set(host="127.0.0.1", port=pooler.port, password=None).render_as_string(hide_password=False)


@contextmanager
def schema(server, **settings):
    """Give the URL of an empty schema, whose sessions begin with ``settings``."""
    name = f"tgs_{uuid.uuid4().hex[:12]}"
    _execute(server, f'CREATE SCHEMA "{name}"')
    settings = {"search_path": name, **settings}
    options = " ".join(f"-c{key}={value}".replace(" ", "\\ ") for key, value in settings.items())
    address, mark, query = server.update_query_dict({"options": options}).render_as_string(False).partition("?")
    yield address + mark + query.replace("+", "%20")  # libpq knows no other space
    _execute(server, f'DROP SCHEMA "{name}" CASCADE')


@pytest.fixture
def postgres_schema(postgres_server):
    """Yield the URL of an empty schema of the test's own: it takes a tenth of the time of a database."""
    with schema(postgres_server) as url:
        yield url


@pytest.fixture
def repeatable_read(postgres_server):
    """Yield the URL of an empty schema whose sessions have another isolation level."""
    with schema(postgres_server, default_transaction_isolation="repeatable read") as url:
        yield url


@pytest.fixture
def strange_defaults(postgres_server):
    """Yield the URL of an empty schema whose sessions begin with settings that could do harm."""
    settings = {
        "default_transaction_isolation": "serializable", "default_transaction_read_only": "on",
        "extra_float_digits": "0", "array_nulls": "off", "client_encoding": "LATIN1", "statement_timeout": "200",
        "lock_timeout": "1", "datestyle": "sql", "standard_conforming_strings": "off", "bytea_output": "escape",
    }  # fmt: skip
    with schema(postgres_server, **settings) as url:
        yield url


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
