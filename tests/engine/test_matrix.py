"""Twenty-one task classes under three schedulers: one table."""

import os
import threading
import time

import pytest
from helpers import running, wait_for

from tgscheduler.scheduler import ForkedScheduler, Scheduler, ThreadedScheduler, method
from tgscheduler.timetable.triggers import Interval
from tgscheduler.timetable.variants import VARIANTS

ARGUMENTS = {
    "IntervalTask": (3600,),
    "SingleTask": (),
    "WeekdayTask": (range(1, 8), (0, 0)),
    "MonthdayTask": (range(1, 32), (0, 0)),
    "CronTask": ("0 0 * * *",),
    "CronLikeTask": (),
    "TriggerTask": (Interval(86400),),
}
CLASSES = [
    pytest.param(kind, variant, id=variant.__name__) for kind, row in VARIANTS.items() for variant in row.values()
]


def make(kind, variant, name, action, *args):
    if kind.__name__ == "CronLikeTask":
        return variant(name, action, "0 0 * * *", args)
    return variant(name, *ARGUMENTS[kind.__name__], action, args)


def leave_traces(path):
    with path.open("a") as traces:
        traces.write(f"{os.getpid()},{os.getppid()},{threading.current_thread().name}\n")


@pytest.mark.realtime
@pytest.mark.parametrize("scheduler_class", [Scheduler, ThreadedScheduler, ForkedScheduler])
@pytest.mark.parametrize(("kind", "variant"), CLASSES)
def test_every_task_class_runs_where_it_should_under_every_scheduler(kind, variant, scheduler_class, tmp_path):
    path = tmp_path / "traces"
    scheduler = scheduler_class()
    scheduler.schedule_task(make(kind, variant, "it", leave_traces, path), 0)

    with running(scheduler):
        pid, parent, thread = wait_for(lambda: path.exists() and path.read_text().strip()).split(",")
        time.sleep(0.02)

    assert path.read_text().count("\n") == 1  # once: its next time is far off
    ours, in_child = str(os.getpid()), scheduler_class is ForkedScheduler
    if variant.method == method.forked:
        assert (parent != ours) if in_child else (parent == ours)
        assert pid != ours
    else:
        assert (parent == ours) if in_child else (pid == ours)
        assert thread.startswith("tgscheduler-worker") == (variant.method == method.threaded)


@pytest.mark.parametrize(("kind", "variant"), CLASSES)
def test_every_task_class_does_what_its_kind_says(kind, variant):
    called = []
    task = make(kind, variant, "it", called.append, 1)

    task.execute()

    assert called == [1]
    assert (task.name, task.args, dict(task.kw)) == ("it", (1,), {})
    assert issubclass(variant, kind)
