"""An action whose call does not do its work: refused, or a failure; and none that does its work is."""

import asyncio
import functools
import inspect
import sys
from unittest.mock import AsyncMock, MagicMock, Mock, create_autospec

import pytest

from tgscheduler.errors import InvalidType, UnfinishedAction
from tgscheduler.rehearsal import simulate
from tgscheduler.scheduler import SingleTask, ThreadedIntervalTask, ThreadedScheduler
from tgscheduler.testing import TickedScheduler
from tgscheduler.timetable.actions import check_callable, check_result


async def coroutine():
    pass


def generator():
    yield


async def async_generator():
    yield


@functools.wraps(coroutine)
async def wrapped():
    await coroutine()


class Job:
    async def method(self):
        pass

    @classmethod
    async def class_method(cls):
        pass

    @staticmethod
    async def static_method():
        pass

    def pages(self):
        yield

    async def __call__(self):
        pass


class Partly:
    __call__ = functools.partial(coroutine)


LAZY = {
    "coroutine": coroutine,
    "generator": generator,
    "async generator": async_generator,
    "wrapped": wrapped,
    "method": Job().method,
    "class method": Job.class_method,
    "static method": Job.static_method,
    "generator method": Job().pages,
    "callable object": Job(),
    "object with a partial": Partly(),
    "method of a callable object": Job().__call__,
    "partial": functools.partial(coroutine),
    "nested partial": functools.partial(functools.partial(Job().method), *()),
    "partial of an object": functools.partial(Job()),
    "lambda with yield": lambda: (yield),
}


@pytest.mark.parametrize("action", LAZY.values(), ids=LAZY)
def test_an_action_that_would_only_make_its_work_is_refused_with_the_mend(action):
    for make in (
        lambda: SingleTask("it", action),
        lambda: ThreadedIntervalTask("it", 60, action),
        lambda: ThreadedScheduler().add_interval_task(action, 60),
    ):
        with pytest.raises(InvalidType, match=r"^action: expected a function that does its work, .* def job\(\)"):
            make()


def test_what_is_marked_as_a_coroutine_function_is_refused():
    if sys.version_info < (3, 12):
        pytest.skip("inspect.markcoroutinefunction came with 3.12")
    with pytest.raises(InvalidType, match=r"asyncio\.run"):
        SingleTask("it", inspect.markcoroutinefunction(lambda: coroutine()))


def test_other_functions_that_would_never_do_their_work_are_refused_too():
    with pytest.raises(InvalidType, match=r"^subscribe: .*asyncio\.run"):
        ThreadedScheduler().subscribe(coroutine)

    with pytest.raises(InvalidType, match=r"^trigger\.next_after: .*asyncio\.run"):
        ThreadedScheduler().add_task(int, type("Trigger", (), {"next_after": coroutine})())

    with pytest.raises(InvalidType, match=r"^schedule: .*asyncio\.run"):
        simulate(coroutine, 0.0, 1)

    with pytest.raises(InvalidType, match=r"Mine\.execute: .*asyncio\.run"):

        class Mine(SingleTask):
            async def execute(self):
                pass


class Evil:
    def __getattr__(self, name):
        raise RuntimeError(name)

    def __call__(self):
        pass


@functools.wraps(coroutine)
def runs_it():
    asyncio.run(coroutine())


SOUND = {
    "builtin": int,
    "class": Job,
    "method of a list": [].clear,
    "partial": functools.partial(functools.partial(int), 1),
    "wrapper": runs_it,
    "cached": functools.lru_cache(int),
    "mock": Mock(),
    "magic mock": MagicMock(),
    "specified mock": Mock(spec=generator),
    "autospec": create_autospec(int),
    "evil": Evil(),
}


@pytest.mark.parametrize("action", SOUND.values(), ids=SOUND)
def test_an_action_that_does_its_work_is_taken(action):
    SingleTask("it", action).execute()


RETURNS = {
    "coroutine": (lambda: coroutine(), "a coroutine"),
    "generator": (lambda: generator(), "a generator"),
    "async generator": (lambda: async_generator(), "an async generator"),
    "cached": (functools.lru_cache(coroutine), "a coroutine"),
    "mock": (lambda: AsyncMock()(), "a coroutine"),
    "future": (asyncio.Future, "an awaitable (Future)"),
    "generator expression": (lambda: (x for x in ()), "a generator"),
}


class Direct(SingleTask):
    def execute(self):
        return self.action()


class Dropping(SingleTask):
    def execute(self):
        super().execute()


@pytest.mark.parametrize("kind", [SingleTask, Direct, Dropping])
@pytest.mark.parametrize(("action", "what"), RETURNS.values(), ids=RETURNS)
def test_an_action_that_returns_its_work_has_failed_with_that_reason(action, what, kind, monkeypatch, caplog):
    if what.startswith("an awaitable"):
        action = functools.partial(asyncio.Future, loop=Mock())
    scheduler = TickedScheduler()
    scheduler.schedule_task(kind("it", action), 0)
    scheduler.tick(1)
    scheduler.stop()
    [run] = scheduler.runs("it")
    assert run.state == "failed"
    assert run.reason.startswith(f"the action returned {what} and its work was not done; ")
    assert run.error == run.reason
    assert [record.getMessage() for record in caplog.records] == [f"it: failed: {run.reason}"]


def test_an_action_that_was_replaced_by_a_coroutine_function_fails():
    scheduler = TickedScheduler()
    task = scheduler.add_single_task(int)
    task.action = coroutine
    scheduler.tick(1)
    scheduler.stop()
    assert [run.state for run in scheduler.runs()] == ["failed"]


def test_a_coroutine_that_someone_else_drives_is_left_alone():
    async def main():
        work = coroutine()
        task = asyncio.create_task(work)
        with pytest.raises(UnfinishedAction):
            check_result(task)
        await task
        assert task.done()

    asyncio.run(main())


def test_results_that_are_done_are_taken():
    for result in (0, "", [], iter([]), range(3), Mock(), MagicMock(), Evil(), coroutine, open):
        check_result(result)
    check_callable("it", int)
