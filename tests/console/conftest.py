import pytest
from asking import Client
from helpers import NOON

from tgscheduler.console.console import Console
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
