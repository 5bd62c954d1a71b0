"""What a forked action logs reaches the parent as it would from a thread, whatever it is."""

import logging
from decimal import Decimal

import pytest
from helpers import running, wait_for

from tgscheduler.executors import child
from tgscheduler.scheduler import ThreadedScheduler, method

log = logging.getLogger("app.jobs")


class Nasty:
    """It has no text."""

    def __str__(self):
        raise ValueError("no text")

    __repr__ = __str__


def run_both(action, capfd):
    """Run an action in a thread and in a child; return each one's state and what came to standard error."""
    found = []
    with running(ThreadedScheduler()) as scheduler:
        handler = logging.StreamHandler()  # pytest's own raises
        log.addHandler(handler)
        log.propagate = False
        try:
            for processmethod in (method.threaded, method.forked):
                scheduler.add_single_task(action, processmethod=processmethod, taskname=processmethod)
                [run] = wait_for(lambda name=processmethod: [run for run in scheduler.runs(name) if run.ended])
                found.append((run.state, capfd.readouterr().err))
        finally:
            log.removeHandler(handler)
            log.propagate = True
    return found


@pytest.mark.parametrize(
    "arguments",
    [("%d", "x"), ("%s", Nasty()), (Nasty(),), ("%s %s", 1), ("%(a)s", {"b": 1}), ("%q", 1)],
    ids=["type", "argument", "message", "too few", "key", "format"],
)
def test_a_bad_log_call_fails_no_run_and_is_told_on_stderr(arguments, capfd):
    def action():
        log.warning(*arguments)
        log.warning("and on")

    in_thread, in_child = run_both(action, capfd)
    for state, told in (in_thread, in_child):
        assert state == "ok"
        assert "--- Logging error ---" in told
        assert "test_child_log.py" in told
        assert "and on" in told


def sent(caplog, action):
    """Run an action in a child; return the record of what it has logged, and the run."""
    caplog.set_level(logging.INFO)
    with running(ThreadedScheduler()) as scheduler:
        scheduler.add_single_task(action, processmethod=method.forked, taskname="it")
        [run] = wait_for(lambda: [run for run in scheduler.runs("it") if run.ended])
    assert run.state == "ok", run.error
    [record] = [record for record in caplog.records if record.name == "app.jobs"]
    return record, run


def test_extra_values_come_over_and_what_is_not_plain_as_its_text(caplog):
    extra = {
        "count": 3, "share": 0.5, "on": True, "none": None, "who": "Ann",
        "price": Decimal("1.50"), "path": ["a", 1], "nasty": Nasty(), "long": "x" * 3_000_000,
    }  # fmt: skip
    record, _ = sent(caplog, lambda: log.info("done", extra=extra))
    assert (record.count, record.share, record.on, record.none, record.who) == (3, 0.5, True, None, "Ann")
    assert (record.price, record.path) == ("1.50", "['a', 1]")
    assert record.nasty == "(Nasty: its text cannot be had: ValueError)"
    assert "cut" in record.long


@pytest.mark.parametrize(("letter", "length"), [("x", 3_000_000), ("\N{GRINNING FACE}", 400_000), ("x", 1 << 20)])
def test_a_record_that_is_too_long_is_cut_with_a_note(letter, length, caplog):
    record, run = sent(caplog, lambda: log.info("begin %s end", letter * length))
    text = record.getMessage()
    assert text.startswith(f"begin {letter}")
    assert text.endswith(f"{letter} end")
    assert "characters] …" in text
    assert len(text) > 10_000
    assert run.log.endswith(" end\n")


def test_a_record_with_thousands_of_long_values_comes_without_them(caplog):
    extra = {f"value{number}": "\N{GRINNING FACE}" * 1000 for number in range(1000)}
    record, _ = sent(caplog, lambda: log.info("done", extra=extra))
    assert record.getMessage() == "done"
    assert not hasattr(record, "value0")


def test_a_handler_that_raises_in_the_parent_is_not_felt(caplog):
    class Bad(logging.Handler):
        def emit(self, record):
            raise ValueError("as planned")

    bad = Bad()
    log.addHandler(bad)
    try:
        log.propagate = False
        with running(ThreadedScheduler()) as scheduler:
            scheduler.add_single_task(lambda: log.warning("kept"), processmethod=method.forked, taskname="it")
            [run] = wait_for(lambda: [run for run in scheduler.runs("it") if run.ended])
    finally:
        log.propagate = True
        log.removeHandler(bad)
    assert (run.state, run.log.endswith("kept\n")) == ("ok", True)
    assert caplog.messages == []


def test_no_line_is_longer_than_the_parent_reads():
    for text in ("x", "\N{GRINNING FACE}", "\n", '"'):
        record = log.makeRecord("app.jobs", 20, "file", 1, text * 2_000_000, (), None, extra={"a": text * 2_000_000})
        assert len(child._record_line(record)) <= child.LONGEST
