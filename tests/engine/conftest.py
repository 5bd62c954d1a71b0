"""What most tests of the engine start from."""

import pytest
from helpers import NOON

from tgscheduler import stores
from tgscheduler.testing import TickedScheduler


@pytest.fixture
def ticked():
    """A scheduler on a clock that is moved by hand, from noon on."""
    return TickedScheduler(start=NOON)


@pytest.fixture
def url(tmp_path):
    """The address of a store in a file of the test's own."""
    return f"sqlite:///{tmp_path / 'scheduler.db'}"


@pytest.fixture
def begin(url):
    """Return what starts a scheduler at a moment, over one store, with tasks; the one before it is stopped."""
    lives = []

    def begin(start, schedule, stop=True, store=None):
        if lives and stop:
            lives[-1].stop()
        scheduler = TickedScheduler(start=start, store=store or stores.open(url, days=None))
        scheduler.stop()  # tasks are added before the start, as an application does
        schedule(scheduler)
        scheduler.start()
        lives.append(scheduler)
        return scheduler

    yield begin
    for scheduler in lives:
        scheduler.stop()
