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


@pytest.fixture(scope="module", params=[Scheduler, ThreadedScheduler, ForkedScheduler])
def traced(request, tmp_path_factory):
    """Run one task of each class under one scheduler; return its class and where the traces of each task are."""
    scheduler, folder = request.param(), tmp_path_factory.mktemp("traces")
    rows = [(kind, variant) for kind, row in VARIANTS.items() for variant in row.values()]
    for kind, variant in rows:
        name = variant.__name__
        scheduler.schedule_task(make(kind, variant, name, leave_traces, folder / name), 0)
    with running(scheduler):
        wait_for(lambda: sum(path.stat().st_size > 0 for path in folder.iterdir()) == len(rows))
        time.sleep(0.05)
    return request.param, folder


@pytest.mark.realtime
@pytest.mark.parametrize(("kind", "variant"), CLASSES)
def test_every_task_class_runs_where_it_should_under_every_scheduler(kind, variant, traced):
    scheduler_class, folder = traced
    [line] = (folder / variant.__name__).read_text().splitlines()  # once: its next time is far off
    pid, parent, thread = line.split(",")
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
