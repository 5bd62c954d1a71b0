import pytest
from asking import Client
from helpers import NOON

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
