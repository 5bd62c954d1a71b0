"""One suite over every store."""

import pytest

from tgscheduler.stores.base import Query
from tgscheduler.stores.memory import MemoryStore
from tgscheduler.timetable.run import Run


def ended(task, due, state="ok", count=1):
    run = Run(task, due, count)
    run.started, run.ended, run.state = due + 0.1, due + 0.2, state
    return run


@pytest.fixture(params=[MemoryStore], ids=lambda kind: kind.__name__)
def store(request):
    return request.param(history=5)


def test_an_empty_store_answers(store):
    assert store.runs(Query()) == []
    assert store.counts() == {}


def test_runs_come_newest_due_time_first_whatever_the_order_of_their_ends(store):
    store.record([ended("a", 3.0), ended("a", 1.0)])
    store.record([ended("a", 2.0)])
    assert [run.due for run in store.runs(Query())] == [3.0, 2.0, 1.0]


@pytest.mark.parametrize(
    ("query", "dues"),
    [
        (Query(task="a"), [3.0, 1.0]),
        (Query(state="failed"), [4.0, 3.0]),
        (Query(task="a", state="ok"), [1.0]),
        (Query(since=2.0), [4.0, 3.0, 2.0]),
        (Query(before=3.0), [2.0, 1.0]),
        (Query(since=2.0, before=4.0), [3.0, 2.0]),
        (Query(limit=2), [4.0, 3.0]),
        (Query(task="nobody"), []),
    ],
)
def test_what_is_asked_for_is_what_comes(store, query, dues):
    store.record([ended("a", 1.0), ended("b", 2.0), ended("a", 3.0, "failed"), ended("b", 4.0, "failed")])
    assert [run.due for run in store.runs(query)] == dues


def test_history_is_bounded_and_counts_are_not(store):
    for due in range(20):
        store.record([ended("a", float(due), count=2)])
    assert [run.due for run in store.runs(Query())] == [19.0, 18.0, 17.0, 16.0, 15.0]
    assert store.counts() == {"ok": 40}


@pytest.mark.parametrize(
    ("query", "error"),
    [
        (Query(state="done"), "expected one of waiting"),
        (Query(limit=0), "1 or more"),
        (Query(limit=-1), "1 or more"),
        (Query(limit=True), "whole number"),
        (Query(limit="5"), "whole number"),
    ],
)
def test_a_question_that_cannot_be_is_an_error(query, error):
    with pytest.raises((ValueError, TypeError), match=error):
        query.check()
