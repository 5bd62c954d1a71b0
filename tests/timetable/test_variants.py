"""The matrix: twenty-one literal classes, one for each kind of task and each place to run."""

import pickle

import pytest

from tgscheduler import scheduler
from tgscheduler.errors import InvalidValue
from tgscheduler.timetable.policy import METHODS, method
from tgscheduler.timetable.variants import VARIANTS, variant

MATRIX = [
    (kind, where, f"{prefix}{kind}Task")
    for kind in ("Interval", "Single", "Weekday", "Monthday", "Cron", "CronLike", "Trigger")
    for where, prefix in ((method.sequential, ""), (method.threaded, "Threaded"), (method.forked, "Forked"))
]


@pytest.mark.parametrize(("kind", "where", "name"), MATRIX)
def test_each_cell_is_a_class_of_its_own(kind, where, name):
    cls, plain = getattr(scheduler, name), getattr(scheduler, f"{kind}Task")
    assert variant(plain, where) is cls
    assert cls.__name__ == name
    assert cls.method == where
    assert issubclass(cls, plain)
    assert cls.__doc__
    assert pickle.loads(pickle.dumps(cls)) is cls


def test_the_table_holds_nothing_else():
    assert {cls.__name__ for row in VARIANTS.values() for cls in row.values()} == {name for _, _, name in MATRIX}
    assert all(set(row) == set(METHODS) for row in VARIANTS.values())


@pytest.mark.parametrize("processmethod", ["process", "Threaded", "", None, 5, [], ["threaded"], {}])
def test_an_unknown_processmethod_is_refused_with_the_known_ones(processmethod):
    with pytest.raises(InvalidValue) as caught:
        variant(scheduler.IntervalTask, processmethod)
    assert repr(processmethod) in str(caught.value)
    for known in ("sequential", "threaded", "forked"):
        assert known in str(caught.value)


def test_threadedcall_executes_the_task():
    calls = []
    scheduler.ThreadedSingleTask("once", calls.append, ("done",)).threadedcall()
    assert calls == ["done"]


def test_an_exception_in_threadedcall_is_logged_with_name_and_traceback(caplog):
    scheduler.ThreadedIntervalTask("division", 60, lambda: 1 / 0).threadedcall()
    [record] = caplog.records
    assert record.name == "tgscheduler.task"
    assert "division" in record.getMessage()
    assert record.exc_info[0] is ZeroDivisionError


def test_threadedcall_leaves_an_exception_to_handle_exception():
    caught = []

    class Careful(scheduler.ThreadedSingleTask):
        def handle_exception(self):
            caught.append(self.name)

    Careful("risky", lambda: 1 / 0).threadedcall()
    assert caught == ["risky"]


def test_threadedcall_lets_a_request_to_exit_pass():
    def leave():
        raise SystemExit(3)

    with pytest.raises(SystemExit):
        scheduler.ThreadedSingleTask("leaver", leave).threadedcall()
