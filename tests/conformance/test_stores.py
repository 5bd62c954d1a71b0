"""One suite over every store: what each remembers, and how it is asked."""

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from store_helpers import START, dues, ended, fields

from tgscheduler.errors import InvalidType, InvalidValue
from tgscheduler.stores.base import Query, StoreStatus
from tgscheduler.stores.memory import MemoryStore
from tgscheduler.timetable.run import STATES, Run, Where

pytest_plugins = ["postgres", "store_fixtures"]

DAY = 86400.0


# -- every store -------------------------------------------------------------------------------------------------------


def test_an_empty_store_answers(store):
    assert store.runs() == []
    assert store.counts() == {}
    assert store.counts_by_task() == {}
    assert store.durations() == {}


def test_runs_come_newest_due_time_first_whatever_the_order_of_their_ends(store, settle):
    store.record([ended("a", START + 3), ended("a", START + 1)])
    assert settle()
    store.record([ended("a", START + 2)])
    assert dues(store.runs()) == [3.0, 2.0, 1.0]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ({"task": "a"}, [3.0, 1.0]),
        ({"state": "failed"}, [4.0, 3.0]),
        ({"task": "a", "state": "ok"}, [1.0]),
        ({"task": "a", "state": "failed"}, [3.0]),
        ({"since": START + 2.0}, [4.0, 3.0, 2.0]),
        ({"before": START + 3.0}, [2.0, 1.0]),
        ({"since": START + 2.0, "before": START + 4.0}, [3.0, 2.0]),
        ({"limit": 2}, [4.0, 3.0]),
        ({"task": "nobody"}, []),
        ({"state": "lost"}, []),
        ({"state": ("lost", "failed")}, [4.0, 3.0]),
        ({"state": {"ok", "failed", "running"}}, [4.0, 3.0, 2.0, 1.0]),
        ({"state": ["failed", "lost"], "limit": 1}, [4.0]),
        ({"state": ["failed", "lost"], "task": "a"}, [3.0]),
        ({"state": ["ok", "lost"], "task": "a", "before": START + 2.0}, [1.0]),
        ({"state": ["failed", "lost", "missed"], "before": START + 4.0}, [3.0]),
        ({"state": ("waiting", "running")}, []),
        ({"state": "waiting"}, []),
    ],
)
def test_what_is_asked_for_is_what_comes(store, settle, words, expected):
    first = [ended("a", START + 1), ended("b", START + 2)]
    store.record([*first, ended("a", START + 3, "failed"), ended("b", START + 4, "failed")])
    assert settle()
    assert dues(store.runs(**words)) == expected
    assert dues(store.runs(Query(**words))) == expected


def test_pages_meet_without_a_gap_by_the_last_run_of_the_one_before(store, settle):
    store.record([ended("ab"[number % 2], START + number // 10, "ok", number + 1) for number in range(60)])
    assert settle()
    for words in ({}, {"task": "a"}, {"state": "ok"}, {"task": "b", "state": "ok"}):
        whole = [run.count for run in store.runs(limit=100, **words)]
        for key in (lambda run: run, lambda run: run.cursor, lambda run: store.run(run.id)):
            pages, before = [], None
            while page := store.runs(limit=7, before=before, **words):
                pages += [run.count for run in page]
                before = key(page[-1])
            assert pages == whole
        assert len(set(whole)) == len(whole) == (30 if "task" in words else 60)


def test_a_run_is_found_by_its_id(store, settle):
    runs = [ended("ab"[number % 2], START + number // 3, "ok", number + 1) for number in range(9)]
    runs[4].error, runs[4].captured_log = "why", "what it said"
    store.record(runs)
    assert settle()
    found = [store.run(run.id) for run in runs]
    assert [run.id for run in found] == [run.id for run in runs]
    assert [fields(run) for run in found] == [fields(run) for run in runs]
    stranger = Run("a", START)
    for id in (stranger.id, "1", "", "?", "9" * 18, f"0{runs[0].id}", f"{runs[0].id} ", runs[0].cursor):
        assert store.run(id) is None
    with pytest.raises(InvalidType, match="expected the id of a run"):
        store.run(7)


def test_every_question_has_the_answer_that_a_look_at_all_runs_gives(store, settle):
    draw, tasks, states = random.Random(14), ("a", "b", "c"), STATES[2:]
    everything = [ended(draw.choice(tasks), START + draw.randrange(40), draw.choice(states)) for _ in range(400)]
    store.record(everything)
    assert settle()
    everything.sort(key=lambda run: run.place, reverse=True)
    for _ in range(300):
        asked = Query(
            draw.choice((None, *tasks)),
            draw.choice((None, draw.choice(states), draw.sample(STATES, draw.randrange(1, 6)))),
            draw.choice((None, START + draw.randrange(40))),
            draw.choice((None, START + draw.randrange(40), draw.choice(everything), draw.choice(everything).cursor)),
            draw.randrange(1, 60),
        )
        states_asked = [asked.state] if isinstance(asked.state, str) else asked.state
        expected = [
            run.id
            for run in everything
            if asked.task in (None, run.task)
            and (states_asked is None or run.state in states_asked)
            and (asked.since is None or run.due >= asked.since)
            and (asked.end is None or run.place < asked.end)
        ]
        assert [run.id for run in store.runs(asked)] == expected[: asked.limit], asked
    for n in (1, 30, 500):
        found = store.recent_runs(tasks, n)
        for task in tasks:
            assert [run.id for run in found[task]] == [run.id for run in everything if run.task == task][:n]


def test_the_last_runs_of_many_tasks_are_one_question(store, settle):
    names = [f"task {number}" for number in range(130)]
    store.record([ended(name, START + number, "ok", number + 1) for number in range(5) for name in names])
    assert settle()
    store.record([ended("task 7", START + 9, "failed"), ended("task 7", START + 2.5, "lost")])
    found = store.recent_runs([*names, "nobody"], 3)
    assert set(found) == {*names, "nobody"}
    assert dues(found["task 7"]) == [9.0, 4.0, 3.0]
    assert [run.state for run in found["task 7"]] == ["failed", "ok", "ok"]
    assert found["nobody"] == []
    assert all(dues(found[name]) == [4.0, 3.0, 2.0] for name in names if name != "task 7")
    assert {run.task for run in found["task 9"]} == {"task 9"}
    for name in ("task 7", "task 9"):
        assert [run.id for run in found[name]] == [run.id for run in store.runs(task=name, limit=3)]
    assert len(store.recent_runs({"task 7"})["task 7"]) == 7
    assert store.recent_runs([]) == {}


@pytest.mark.parametrize(
    ("tasks", "n", "error"),
    [
        ("task", 3, "tasks: expected the names of tasks, got 'task'"),
        (None, 3, "tasks: expected the names of tasks"),
        ([None], 3, "tasks: expected the names of tasks"),
        (["task"], 0, "n: expected 1 or more"),
        (["task"], 1.5, "n: expected a whole number"),
    ],
)
def test_the_last_runs_are_of_names_and_so_many(store, tasks, n, error):
    with pytest.raises((InvalidValue, InvalidType), match=error):
        store.recent_runs(tasks, n)


def test_counts_and_counts_by_task_add_up_occurrences(store, settle):
    store.record([ended("a", START, "ok", 2), ended("b", START + 3600, "missed", 5)])
    assert settle()
    store.record([ended("a", START + 3600), ended("a", START + 7200, "failed")])
    assert store.counts() == {"ok": 3, "missed": 5, "failed": 1}
    assert store.counts_by_task() == {"a": {"ok": 3, "failed": 1}, "b": {"missed": 5}}
    assert store.counts_by_task(START + 3700) == {"a": {"ok": 1, "failed": 1}, "b": {"missed": 5}}
    assert store.counts_by_task(START + 10800) == {}


def test_occurrences_of_all_tasks_are_counted_by_hour(store, settle):
    store.record([ended("a", START), ended("b", START + 60, "failed"), ended("a", START + 7200, count=5)])
    store.record([ended("b", START - 1), ended("b", START + 3 * 3600)])
    assert settle()
    first = START // 3600 * 3600
    expected = {first: {"ok": 1, "failed": 1}, first + 7200: {"ok": 5}}
    assert store.counts_by_hour(START, first + 3 * 3600) == expected
    assert store.counts_by_hour(START + 10 * 3600, START + 20 * 3600) == {}


def test_durations_are_of_runs_that_began_and_ended(store, settle):
    store.record([ended("a", START, took=1.0), ended("a", START, "failed", took=3.0), ended("b", START, count=4)])
    assert settle()
    unbegun = ended("a", START + 1, "failed")
    unbegun.started = None
    store.record([ended("a", START + 2, "timed_out", took=60.0), ended("a", START, "cancelled", took=500.0), unbegun])
    found = store.durations()
    assert set(found) == {"a", "b"}
    assert found["a"].counts == {"ok": 1, "failed": 2, "timed_out": 1, "cancelled": 1}
    assert (found["a"].runs, found["a"].seconds, found["a"].success_rate) == (3, pytest.approx(64.0), 0.25)
    assert [found["a"].quantile(q) for q in (0.1, 0.5, 1.0)] == pytest.approx([1.0, 3.0, 60.0])
    assert (found["b"].counts, found["b"].runs) == ({"ok": 4}, 1)


def test_durations_of_some_tasks_are_one_question(store, settle):
    store.record([ended(f"task {number}", START + number, took=number + 1.0) for number in range(40)])
    assert settle()
    found = store.durations(["task 3", "task 39", "nobody"])
    assert {task: durations.longest for task, durations in found.items()} == pytest.approx(
        {"task 3": 4.0, "task 39": 40.0, "nobody": None}
    )
    assert found["nobody"].counts == {}
    assert store.durations([]) == {}
    assert set(store.durations([f"task {number}" for number in range(3)])) == {"task 0", "task 1", "task 2"}


def test_durations_of_a_period_begin_with_its_hour(store, settle):
    store.record([ended("a", START + hour * 3600, took=hour + 1.0) for hour in range(-30, 40) if hour != -1])
    assert settle()
    for hour in (-30, -5, 0, 3, 24, 39, 40):
        (found,) = store.durations(["a"], START + hour * 3600 + 1800).values()
        assert found.runs == sum(1 for each in range(hour, 40) if each != -1), hour
        assert found.counts.get("ok", 0) == found.runs
        assert store.durations(since=START + hour * 3600).get("a", found) == found


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ({"state": "done"}, "expected one of waiting"),
        ({"state": ("ok", "done")}, "expected one of waiting"),
        ({"state": ()}, "expected one of waiting"),
        ({"state": 5}, "expected one of waiting"),
        ({"since": "today"}, "since: expected POSIX seconds"),
        ({"before": float("nan")}, "before: expected POSIX seconds"),
        ({"since": 10**400}, "since: expected POSIX seconds"),
        ({"before": "1764067200.5"}, "before: expected the cursor of a run"),
        ({"before": "1764067200.5_"}, "before: expected the cursor of a run"),
        ({"before": b"1.5_7"}, "before: expected POSIX seconds"),
        ({"limit": 0}, "1 or more"),
        ({"limit": -1}, "1 or more"),
        ({"limit": True}, "whole number"),
        ({"limit": "5"}, "whole number"),
    ],
)
def test_a_question_that_cannot_be_is_an_error(store, words, error):
    with pytest.raises((InvalidValue, InvalidType), match=error):
        store.runs(**words)
    with pytest.raises((InvalidValue, InvalidType), match=error):
        store.runs(Query(**words))


def test_the_store_in_memory_is_bounded_and_its_counts_are_not():
    store = MemoryStore(history=5)
    for number in range(20):
        store.record([ended("a", START + number, count=2)])
    assert dues(store.runs()) == [19.0, 18.0, 17.0, 16.0, 15.0]
    assert store.counts() == {"ok": 40}


# -- every field, bit by bit -------------------------------------------------------------------------------------------

moments = st.floats(0.0, 4_102_444_800.0, allow_subnormal=False).map(lambda moment: moment + 0.0)
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)


@st.composite
def drawn_runs(draw):
    """Draw a run of any fields."""
    due = draw(moments)
    until = draw(st.one_of(st.none(), moments))
    run = Run(draw(texts), due, draw(st.integers(1, 10**9)), until, draw(st.sampled_from(STATES[2:])))
    run.started, run.ended = draw(st.one_of(st.none(), moments)), draw(moments)
    run.attempt = draw(st.integers(1, 1000))
    run.where = draw(st.one_of(st.none(), st.builds(Where, texts, st.integers(0, 2**31), texts)))
    run.reason, run.error = draw(st.one_of(st.none(), texts)), draw(st.one_of(st.none(), texts))
    run.captured_log = draw(texts)
    return run


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(runs=st.lists(drawn_runs(), min_size=1, max_size=40))
def test_all_that_a_run_says_comes_back_bit_by_bit(factory, runs):
    store = factory.open(days=None, per_task=None)
    try:
        store.record(runs)
        assert store.flush(5)
        before = {run.id: fields(run) for run in runs}
        found = {run.id: fields(run) for run in store.runs(limit=100_000)}
        assert {number: found[number] for number in before} == before
    finally:
        store.close(5)


def test_text_that_no_database_takes_is_spelled_out(factory):
    store = factory.open()
    run = ended("a\0b", START, "failed")
    run.error, run.reason, run.where = "lone \ud800 half", "nul \0", Where("h", 1, "t\0")
    store.record([run])
    assert store.flush(5)
    assert [run.task for run in store.recent_runs(["a\0b"])["a\0b"]] == ["a\0b"]
    (found,) = store.runs()
    said = (found.task, found.error, found.reason, found.where)
    assert said == ("a\\x00b", "lone \\ud800 half", "nul \\x00", Where("h", 1, "t\\x00"))
    assert store.status() == StoreStatus()
