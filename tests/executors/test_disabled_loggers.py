"""A ``dictConfig`` that disables all loggers it does not name, which is its default, silences no failure."""

import logging
import logging.config

import pytest

from tgscheduler.scheduler import current_run
from tgscheduler.testing import TickedScheduler


@pytest.fixture(autouse=True)
def loggers_as_before():
    known = {name: each for name, each in logging.root.manager.loggerDict.items() if isinstance(each, logging.Logger)}
    before = {name: (each.disabled, each.level, each.propagate, each.handlers[:]) for name, each in known.items()}
    root = logging.root.handlers[:], logging.root.level
    yield
    for name, (disabled, level, propagate, handlers) in before.items():
        logger = known[name]
        logger.disabled, logger.propagate, logger.handlers = disabled, propagate, handlers
        logger.setLevel(level)
    logging.root.handlers[:] = root[0]
    logging.root.setLevel(root[1])


def fail():
    current_run().log.warning("goes on")
    raise ValueError("broken inside")


def lines_of(capsys, scheduler, **config):
    """Return what is on standard error of a failing run after a dictConfig."""
    logging.root.handlers[:] = []
    logging.config.dictConfig({"version": 1, **config})
    scheduler.add_single_task(fail, taskname="it", processmethod="sequential")
    scheduler.tick(1)
    scheduler.stop()
    assert scheduler.counts()["failed"] == 1
    return [line for line in capsys.readouterr().err.splitlines() if line.startswith("it:")]


BOTH = ["it: goes on", "it: the action raised ValueError"]


def test_a_failure_reaches_standard_error_though_our_loggers_were_disabled(capsys):
    assert lines_of(capsys, TickedScheduler()) == BOTH


def test_all_of_our_loggers_are_heard_again_and_no_other(capsys):
    scheduler = TickedScheduler()
    store, other = logging.getLogger("tgscheduler.stores.writer"), logging.getLogger("tgschedulers_neighbour")
    logging.config.dictConfig({"version": 1})
    assert store.disabled
    scheduler.tick(1)
    scheduler.stop()
    assert not store.disabled
    assert other.disabled


@pytest.mark.parametrize("name", ["tgscheduler", "tgscheduler.task"])
def test_a_level_that_was_set_by_name_stays(capsys, name):
    loggers = {name: {"level": "CRITICAL"}}
    expected = [] if name == "tgscheduler" else BOTH[:1]
    assert lines_of(capsys, TickedScheduler(), loggers=loggers) == expected


def test_a_handler_that_was_set_by_name_stays(capsys, tmp_path):
    path = tmp_path / "own.log"
    handlers = {"own": {"class": "logging.FileHandler", "filename": str(path)}}
    loggers = {"tgscheduler.task": {"handlers": ["own"], "propagate": False}}
    lines = lines_of(capsys, TickedScheduler(), handlers=handlers, loggers=loggers)
    for handler in logging.getLogger("tgscheduler.task").handlers:
        handler.close()
    assert lines == BOTH[:1]
    assert path.read_text().startswith(BOTH[1])


def test_what_is_disabled_altogether_stays_so(capsys):
    logging.disable(logging.CRITICAL)
    try:
        assert lines_of(capsys, TickedScheduler()) == []
    finally:
        logging.disable(logging.NOTSET)
