"""One suite over every executor: an occurrence in, its end out, exactly once."""

import contextvars
import decimal
import threading
from collections import deque
from contextvars import ContextVar

import pytest
from helpers import occurrence, wait_for

from tgscheduler.clock import Clock
from tgscheduler.executors.forked import ForkedExecutor
from tgscheduler.executors.sequential import SequentialExecutor
from tgscheduler.executors.threaded import ThreadedExecutor
from tgscheduler.scheduler import SingleTask, current_run
from tgscheduler.timetable.policy import Retry
from tgscheduler.timetable.run import MOVES, Run


class Own(BaseException):
    pass


class Silent(Exception):
    def __str__(self):
        raise RuntimeError("no text")

    __repr__ = __str__


def raiser(error):
    def action():
        raise error

    return action


@pytest.fixture(params=[SequentialExecutor, ThreadedExecutor, ForkedExecutor], ids=lambda kind: kind.method)
def make_executor(request):
    made = []

    def make():
        executor = request.param(Clock(), deque())
        executor.start()
        made.append(executor)
        return executor

    yield make
    for executor in made:
        executor.close()
        wait_for(executor.idle)
        executor.terminate()


@pytest.fixture
def executor(make_executor):
    return make_executor()


def submit(executor, action, *args, name="it"):
    run = Run(name, 0.0)
    executor.submit([occurrence(SingleTask(name, action, args), run)])
    return run


def work_on(executor):
    if isinstance(executor, SequentialExecutor):
        executor.work()


def end_of(executor, run):
    wait_for(lambda: work_on(executor) or run.ended)
    return run


def test_an_action_that_returns_is_ok(executor):
    run = end_of(executor, submit(executor, lambda: "anything, even what cannot be pickled" and (lambda: 0)))

    assert (run.state, run.error, run.reason) == ("ok", None, None)
    assert run.started <= run.ended
    assert run.where.host
    assert run.where.process
    assert run.where.thread
    assert [ended for _, ended in executor._handed_back] == [run]
    assert not executor.waiting
    assert not executor.running


@pytest.mark.parametrize(
    "error",
    [ValueError("boom"), SystemExit(0), SystemExit("bye"), KeyboardInterrupt(), GeneratorExit(), Own("mine")],
    ids=lambda error: type(error).__name__,
)
def test_whatever_is_raised_is_a_failure_logged_once_with_name_and_traceback(executor, error, caplog):
    run = end_of(executor, submit(executor, raiser(error)))

    assert run.state == "failed"
    assert run.error.startswith("Traceback")
    assert "raise error" in run.error
    wait_for(lambda: caplog.records)
    [record] = caplog.records
    assert record.getMessage().startswith(f"it: the action raised {type(error).__name__}\nTraceback")
    after = end_of(executor, submit(executor, int))
    assert after.state == "ok"


def test_an_exception_without_text_is_described_all_the_same(executor):
    run = end_of(executor, submit(executor, raiser(Silent())))
    assert run.state == "failed"
    assert "Silent" in run.error


def test_a_long_chain_of_exceptions_is_cut(executor):
    error = ValueError("last")
    for number in range(2000):
        cause, error = error, ValueError(f"link {number} " + "x" * 5000)
        error.__cause__ = cause
    run = end_of(executor, submit(executor, raiser(error)))
    assert "link 1999" in run.error
    assert len(run.error) < 20_000


def test_an_error_can_be_written_anywhere_and_is_bounded_whatever_its_text(executor):
    run = end_of(executor, submit(executor, raiser(ValueError("no file caf\udce9" + "\udcff" * 20_000))))
    assert len(run.error.encode()) < 20_000
    assert "no file caf\\udce9" in run.error


def test_endless_recursion_is_a_failure(executor):
    def recurse():
        recurse()

    run = end_of(executor, submit(executor, recurse))
    assert (run.state, "RecursionError" in run.error) == ("failed", True)


def test_an_action_knows_its_run_and_no_one_else_does(executor, tmp_path):
    path = tmp_path / "seen"
    end_of(executor, submit(executor, lambda: path.write_text(repr(current_run())), name="known"))
    assert path.read_text() == "CurrentRun(task='known', due=0.0, attempt=1)"
    assert current_run() is None


def test_closures_and_bound_methods_run(executor, tmp_path):
    path = tmp_path / "out"

    class Job:
        def __init__(self):
            self.lock = threading.Lock()

        def write(self, text):
            with self.lock:
                path.write_text(text)

    end_of(executor, submit(executor, Job().write, "written"))
    assert path.read_text() == "written"


def test_many_occurrences_each_end_once(executor):
    submitted = [submit(executor, int) for _ in range(50)]
    for run in submitted:
        end_of(executor, run)
    assert sorted(map(id, (run for _, run in executor._handed_back))) == sorted(map(id, submitted))
    assert {run.state for run in submitted} == {"ok"}


def test_what_waits_at_close_ends_as_cancelled_and_what_comes_later_too(executor):
    if isinstance(executor, SequentialExecutor):
        waiting = submit(executor, int)
        executor.close()
        assert (waiting.state, waiting.reason) == ("cancelled", "stopped before it began")
    executor.close()
    late = submit(executor, int)
    assert (late.state, late.reason) == ("cancelled", "stopped before it began")
    assert "cancelled" in MOVES["waiting"]


def test_a_run_that_was_given_up_does_not_end_again(executor):
    if isinstance(executor, ForkedExecutor):
        pytest.skip("children are ended, not given up")
    given_up = []

    def action():
        [run] = executor.running
        given_up.append(executor.finish(run, "cancelled", reason="given up"))

    run = end_of(executor, submit(executor, action))
    after = end_of(executor, submit(executor, int))
    assert (given_up, run.state, run.reason, after.state) == ([True], "cancelled", "given up", "ok")
    assert [ended for _, ended in executor._handed_back] == [run, after]


def test_finish_and_cancel_waiting_of_an_unknown_run_say_so(executor):
    assert not executor.finish(Run("x", 0.0), "ok")
    assert not executor.cancel_waiting(Run("x", 0.0), "because")


async def work():
    pass


def test_an_action_that_returns_its_work_has_failed_with_that_reason(executor):
    run = end_of(executor, submit(executor, lambda: work()))
    assert run.state == "failed"
    assert run.reason.startswith("the action returned a coroutine and its work was not done; ")
    assert run.error == run.reason


# -- a context of its own ------------------------------------------------------------------------------------------

variable = ContextVar("variable", default="nothing")


def note(path):
    path.write_text(f"{variable.get()} {decimal.getcontext().prec}")
    variable.set("from another run")
    decimal.getcontext().prec = 3
    decimal.setcontext(decimal.Context(prec=2))


@pytest.mark.parametrize("used", [True, False], ids=["decimal used before", "decimal not used before"])
def test_each_run_has_a_copy_of_the_context_that_the_scheduler_was_started_in(make_executor, tmp_path, used):
    executor = contextvars.Context().run(start_in_context, make_executor, used)
    here = variable.get(), decimal.getcontext().prec
    for number in range(3):
        path = tmp_path / str(number)
        assert end_of(executor, submit(executor, note, path)).state == "ok"
        assert path.read_text() == f"the application's {50 if used else 28}"
    assert (variable.get(), decimal.getcontext().prec) == here


def start_in_context(make_executor, used):
    variable.set("the application's")
    if used:
        decimal.getcontext().prec = 50
    executor = make_executor()
    variable.set("of later")
    if used:
        decimal.getcontext().prec = 60
    return executor


def test_the_next_attempt_has_a_context_of_its_own_too(executor, tmp_path):
    path = tmp_path / "seen"

    def action():
        with path.open("a") as seen:
            seen.write(f"{variable.get()} ")
        variable.set("of the first attempt")
        raise ValueError

    run = Run("it", 0.0)
    due = occurrence(SingleTask("it", action).configure(retry=Retry(2, delay=0.0)), run)
    for _ in range(2):
        executor.submit([due])
        before = len(executor._handed_back)
        wait_for(lambda before=before: work_on(executor) or len(executor._handed_back) > before)
    assert (run.attempt, path.read_text()) == (3, "nothing nothing ")
