from pathlib import Path

import pytest
from asking import Client
from helpers import NOON
from processes import Server, free_port

from tgscheduler.console.console import Console
from tgscheduler.console.settings import ConsoleSettings
from tgscheduler.testing import TickedScheduler


@pytest.fixture
def ticked():
    return TickedScheduler(start=NOON)


@pytest.fixture
def console(ticked):
    return Console(ticked)


@pytest.fixture
def client(console):
    return Client(console)


@pytest.fixture
def guest(ticked):
    """Ask as a viewer."""
    return Client(Console(ticked, ConsoleSettings(auth="reading:guest")))


@pytest.fixture
def live(tmp_path):
    """The address of the API of a console in a process of its own, which logs no fault."""
    server = Server(Path(__file__).with_name("live.py"), port := free_port(), cwd=tmp_path, port=port)
    try:
        yield f"http://127.0.0.1:{server.up().port}/scheduler/api/v1"
        assert "The console failed" not in server.ends_well()
    finally:
        server.clean_up()
