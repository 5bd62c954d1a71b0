"""Fixtures for users' tests; pytest finds them by itself once this package is installed.

::

    def test_the_ranking_is_made_each_night(ticked_scheduler):
        jobs.schedule()
        ticked_scheduler.tick(86400)
        assert ticked_scheduler.runs("product ranking")[0].state == "ok"

Nothing but pytest is imported before one of them is requested.
"""

import datetime
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tgscheduler.testing import TickedScheduler, VirtualClock


@pytest.fixture
def ticked_scheduler() -> Iterator["TickedScheduler"]:
    """A TickedScheduler in UTC at 2025-01-01 that the module-level functions serve; stopped after the test."""
    from tgscheduler.testing import TickedScheduler, installed

    scheduler = TickedScheduler(start=datetime.datetime(2025, 1, 1, tzinfo=datetime.UTC))
    try:
        with installed(scheduler):
            yield scheduler
    finally:
        scheduler.stop()


@pytest.fixture
def virtual_clock(ticked_scheduler: "TickedScheduler") -> "VirtualClock":
    """The clock of ``ticked_scheduler``; it stands still until a test moves it."""
    return ticked_scheduler.clock
