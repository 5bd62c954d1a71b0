"""What most tests of the engine start from."""

import pytest
from helpers import NOON

from tgscheduler.testing import TickedScheduler


@pytest.fixture
def ticked():
    """A scheduler on a clock that is moved by hand, from noon on."""
    return TickedScheduler(start=NOON)
