"""The audit log of a scheduler: before its start, while it runs, and after it."""

import pytest
from helpers import NOON

from tgscheduler import scheduler as functions
from tgscheduler import stores
from tgscheduler.scheduler import AuditRecord
from tgscheduler.testing import TickedScheduler


def record(moment, task="it", action="pause"):
    return AuditRecord(moment, "ops", "operator", action, task, origin="a test")


def noop():
    pass


def test_what_was_done_is_in_the_log_of_the_task_and_of_all(ticked):
    task = ticked.add_interval_task(noop, 60, taskname="it")
    unnamed = ticked.add_interval_task(noop, 60)
    name = ticked.view(unnamed).name
    ticked.audit(record(NOON))
    ticked.audit(record(NOON + 1, None, "pause all"))
    ticked.audit(record(NOON + 2, name))
    assert [each.action for each in ticked.audits()] == ["pause", "pause all", "pause"]
    of_all = record(NOON + 1, None, "pause all")
    assert ticked.audits(task) == ticked.audits("it") == [of_all, record(NOON)]
    assert ticked.audits(unnamed) == [record(NOON + 2, name), of_all]
    assert ticked.audits(before=ticked.audits(limit=2)[-1].id) == [record(NOON)]
    assert ticked.audits("a task that is gone") == [of_all]


def test_the_functions_of_the_module_use_the_default_scheduler(ticked):
    with functions.serving(ticked, everywhere=False):
        functions.audit(record(NOON))
        assert functions.audits() == [record(NOON)]


def test_what_was_done_before_the_start_and_after_a_stop_is_written_at_the_start(url):
    store = stores.open(url)
    scheduler = TickedScheduler(start=NOON, store=store)
    scheduler.audit(record(NOON))
    scheduler.stop()
    for second in (1, 2):
        scheduler.audit(record(NOON + second, None))
    assert scheduler.audits() == [record(NOON + 2, None), record(NOON + 1, None), record(NOON)]
    assert scheduler.audits("it") == scheduler.audits()
    assert [each.at for each in stores.open(url).audits()] == [NOON]
    scheduler.configure(store=stores.open(url))  # as each start of the default scheduler does
    scheduler.start()
    scheduler.stop()
    assert [each.at for each in stores.open(url).audits()] == [NOON + 2, NOON + 1, NOON]


def test_the_log_of_a_task_follows_its_renames_and_formerly(begin):
    def old(scheduler):
        scheduler.add_interval_task(noop, 60, taskname="old")

    first = begin(NOON, old)
    first.audit(record(NOON, "old"))
    first.rename_task("old", "renamed")
    first.audit(record(NOON + 1, "renamed"))
    first.stop()
    second = begin(NOON + 100, lambda each: each.add_interval_task(noop, 60, taskname="new", formerly="renamed"))
    second.stop()
    assert [each.at for each in second.audits("new")] == [NOON + 1, NOON]
    assert second.audits("old") == []


@pytest.mark.parametrize("odd", [None, "pause", {"who": "ops"}])
def test_something_that_is_no_record_is_refused(ticked, odd):
    with pytest.raises(TypeError, match=r"expected an AuditRecord\(...\)"):
        ticked.audit(odd)


def test_a_page_of_something_that_is_no_task_is_refused(ticked):
    with pytest.raises(TypeError, match="audits: expected a Task"):
        ticked.audits(5)
