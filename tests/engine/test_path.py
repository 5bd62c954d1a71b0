"""The one path of an occurrence: what is traced here is the figure in ``docs/architecture.rst``."""

import inspect
import re
import sys
import textwrap

import pytest
from helpers import NOON, ROOT

from tgscheduler import stores
from tgscheduler.engine.claims import ClaimQueue
from tgscheduler.engine.dispatcher import Dispatcher
from tgscheduler.engine.journal import Journal
from tgscheduler.engine.loop import Loop
from tgscheduler.engine.planner import Planner
from tgscheduler.engine.registry import Registry
from tgscheduler.engine.restore import Restore
from tgscheduler.engine.scheduler import Scheduler
from tgscheduler.executors import base
from tgscheduler.executors.base import Executor
from tgscheduler.testing import TickedScheduler
from tgscheduler.timetable import plan
from tgscheduler.timetable.agenda import Agenda
from tgscheduler.timetable.tasks import Task

#: The steps that have a name in the figure.
STEPS = [
    (Scheduler, "add_interval_task"), (Scheduler, "add_single_task"), (Scheduler, "schedule"), (Registry, "admit"),
    (Planner, "place"), (Restore, "restored_due"), (Agenda, "put"), (Loop, "turn"), (Planner, "plan"),
    (plan, "decide"), (Dispatcher, "dispatch"), (Journal, "open"), (ClaimQueue, "submit"),
    (Dispatcher, "resume_claimed"), (Dispatcher, "start"), (Executor, "submit"), (Executor, "run"),
    (Executor, "begin"), (base, "perform"), (Task, "execute"), (Executor, "finish"), (Dispatcher, "collect"),
    (Journal, "record_handed_back"), (Dispatcher, "follow_up"), (Registry, "release_ended"),
]  # fmt: skip

#: Steps that a turn takes whether or not there is anything to do: without steps of their own they did nothing.
CONTAINERS = {
    "Loop.turn", "Planner.plan", "Dispatcher.dispatch", "Dispatcher.resume_claimed", "Dispatcher.collect",
}  # fmt: skip

ADD = ["Scheduler.schedule", "Registry.admit", "Planner.place", "Agenda.put"]
RUN = ["Executor.run", "perform", "Task.execute"]
RUN_WITH_OPTIONS = ["Executor.run", "Executor.begin", "perform", "Task.execute", "Executor.finish"]
COLLECT = ["Dispatcher.collect", "Journal.record_handed_back"]
PLAN = ["Loop.turn", "Planner.plan", "decide"]
START = ["Dispatcher.start", "Journal.open", "Executor.submit"]

#: The path of an interval task without options, or with; of a task that runs once; with a persistent store; with both.
PATHS = {
    "plain": ["Scheduler.add_interval_task", *ADD, *PLAN, "Agenda.put", "Dispatcher.dispatch", *START, *RUN, *COLLECT],
    "options": [
        *("Scheduler.add_interval_task", *ADD, *PLAN, "Agenda.put", "Dispatcher.dispatch", *START),
        *(*RUN_WITH_OPTIONS, *COLLECT, "Dispatcher.follow_up"),
    ],
    "once": [
        *("Scheduler.add_single_task", *ADD, *PLAN, "Dispatcher.dispatch", *START),
        *(*RUN, *COLLECT, "Registry.release_ended"),
    ],
    "store": [
        *("Scheduler.add_interval_task", *ADD[:-1], "Restore.restored_due", "Agenda.put"),
        *(*PLAN, "Agenda.put", "Dispatcher.dispatch", "Journal.open", "ClaimQueue.submit"),
        *("Loop.turn", "Dispatcher.resume_claimed", *START, *RUN, *COLLECT),
    ],
    "whole": [
        *("Scheduler.add_interval_task", *ADD[:-1], "Restore.restored_due", "Agenda.put"),
        *(*PLAN, "Agenda.put", "Dispatcher.dispatch", "Journal.open", "ClaimQueue.submit"),
        *("Loop.turn", "Dispatcher.resume_claimed", *START, *RUN_WITH_OPTIONS, *COLLECT, "Dispatcher.follow_up"),
    ],
}  # fmt: skip


#: The paths that the page draws: the shortest and the longest.
DRAWN = ("plain", "whole")


class Step:
    """A call of a step, and the steps below it."""

    def __init__(self, name, module):
        self.name, self.module, self.below, self.answer = name, module, [], None

    def does_nothing(self):
        return (self.name in CONTAINERS and not self.below) or (
            self.name == "Journal.record_handed_back" and not self.answer
        )

    def prune(self):
        """Leave out what did nothing; return self."""
        self.below = [each.prune() for each in self.below]
        self.below = [each for each in self.below if not each.does_nothing()]
        return self

    def lines(self, depth=0):
        """Yield (depth, name, module) of this and all steps below it, in the order of their calls."""
        yield depth, self.name, self.module
        for each in self.below:
            yield from each.lines(depth + 1)


def steps_by_code():
    """Return {code object: (name, module)} of each step, in whatever class it is written."""
    found = {}
    for owner, name in STEPS:
        owners = [owner] if inspect.ismodule(owner) else [owner, *descendants(owner)]
        label = name if inspect.ismodule(owner) else f"{owner.__name__}.{name}"
        for each in owners:
            function = getattr(each, name)
            written_in = getattr(owner, name).__module__.removeprefix("tgscheduler.").replace(".", "/")
            found[function.__code__] = label, written_in
    return found


def descendants(cls):
    return [each for child in cls.__subclasses__() for each in (child, *descendants(child))]


def traced(action):
    """Return the steps of a call of ``action``, which runs in this thread."""
    codes, top = steps_by_code(), Step("", "")
    stack = [top]

    def note(frame, event, argument):
        known = codes.get(frame.f_code)
        if known is None:
            return
        if event == "call":
            step = Step(*known)
            stack[-1].below.append(step)
            stack.append(step)
        elif event == "return":
            stack.pop().answer = argument

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        action()
    finally:
        sys.setprofile(before)
    assert stack == [top]
    return top.prune().below


def path(kind, tmp_path):
    """Return the steps of one occurrence, from its ``add`` to its record."""
    store = stores.open(f"sqlite:///{tmp_path / 'runs.db'}") if kind in ("store", "whole") else None
    ticked = TickedScheduler(start=NOON, store=store)

    def one():
        if kind == "once":
            ticked.add_single_task(int, taskname="it")
        else:
            options = {"timeout": 60} if kind in ("options", "whole") else {}
            ticked.add_interval_task(int, 10, taskname="it", **options)
        ticked.tick()

    try:
        return traced(one)
    finally:
        ticked.stop()


@pytest.mark.parametrize("kind", PATHS)
def test_an_occurrence_passes_these_steps_in_this_order(kind, tmp_path):
    taken = [name for step in path(kind, tmp_path) for _, name, _ in step.lines()]
    assert taken == PATHS[kind]


def figure(steps):
    """Return the steps as the page draws them: indented by who calls whom, with the module of each."""
    lines = [("  " * depth + name, module) for step in steps for depth, name, module in step.lines()]
    width = max(len(text) for text, _ in lines) + 3
    return "\n".join(f"{text:{width}}{module}" for text, module in lines)


def drawn(kind):
    """Return the figure of the page that stands below a comment with that name."""
    page = (ROOT / "docs/architecture.rst").read_text(encoding="utf-8")
    found = re.search(rf"^\.\. path: {kind}\n\n\.\. code-block:: text\n\n((?:    .*\n|\n)+)", page, re.MULTILINE)
    assert found, f"docs/architecture.rst has no figure below '.. path: {kind}'"
    return textwrap.dedent(found[1]).rstrip()


@pytest.mark.parametrize("kind", DRAWN)
def test_the_page_draws_the_path(kind, tmp_path):
    expected = figure(path(kind, tmp_path))
    assert drawn(kind) == expected, (
        f"The figure of docs/architecture.rst should be:\n\n{textwrap.indent(expected, '    ')}"
    )
