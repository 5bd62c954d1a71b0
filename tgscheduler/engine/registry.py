"""The tasks of one scheduler: by name, by fire time, and those that wait for its start.

This is what the engine's lock guards. Every method is called with it held.
"""

import functools
import logging
import math
import os
import threading
import weakref
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

from tgscheduler.errors import DuplicateTask, InvalidValue
from tgscheduler.timetable.agenda import Agenda
from tgscheduler.timetable.tasks import Home, Task

log = logging.getLogger(__name__)

#: So many starts and stops are remembered.
_MOST_LIVES = 250

_registries: "weakref.WeakSet[Registry]" = weakref.WeakSet()


class Registry:
    """Names and fire times."""

    def __init__(self, home: Home) -> None:
        self.lock = threading.Lock()
        self.home = home
        self.agenda = Agenda()
        #: Tasks that wait for the scheduler's start, with their delay (None: as their trigger says).
        self.waiting: dict[Task, float | None] = {}
        #: Until when no task runs (POSIX seconds; minus infinity: nobody has paused them all).
        self.paused_until = -math.inf
        #: From when until when it fired (POSIX seconds; infinity: it still does), the last lives.
        self.lives: deque[list[float]] = deque(maxlen=_MOST_LIVES)
        self._names: dict[str, Task] = {}
        self._labels: dict[str, _Numbers] = {}
        self._pid = os.getpid()
        _registries.add(self)

    # -- coming and going ----------------------------------------------------------------------------------------

    def admit(self, task: Task, now: float) -> None:
        """Make a task one of ours, under its name; raise DuplicateTask or InvalidValue and change nothing."""
        if task._home is not self.home and task._entry is not None:
            raise InvalidValue(f"{task!r} waits in another scheduler; cancel it there first")
        name = task.name
        if name is not None:
            holder = self._names.get(name)
            if holder is not None and holder is not task:
                if not is_over(holder):
                    raise DuplicateTask(
                        f"taskname {name!r}: a task of that name already waits or runs; cancel it, or take another name"
                    )
                self.release(holder)
        home = self.home
        if task._home is not home:
            task._adopt(home)
            task._last = None
            task._added = now
        elif task._gone or task._final:
            task._added = now
        if name is not None:
            self._names[name] = task
        task._gone = task._final = task._by_hand = False

    def release(self, task: Task) -> None:
        """Let a task go, with its name."""
        self.agenda.cancel(task)
        self.waiting.pop(task, None)
        if task.name is not None and self._names.get(task.name) is task:
            del self._names[task.name]
        self._free_label(task)

    def release_over(self, tasks: Iterable[Task]) -> None:
        """Let go of those tasks that have had their last occurrence."""
        names = self._names
        for task in tasks:
            if is_over(task):
                if task.name is not None and names.get(task.name) is task:
                    del names[task.name]
                self._free_label(task)

    def rename(self, task: Task, newname: str) -> None:
        """Give a task another name; raise DuplicateTask when it is taken."""
        holder = self.look_up(newname)
        if holder is task:
            return
        if holder is not None:
            raise DuplicateTask(f"cannot rename {task.name!r} to {newname!r}: the name is taken")
        if task.name is not None:
            del self._names[task.name]
        self._free_label(task)
        task.name = newname
        self._names[newname] = task

    def forget_runs(self) -> None:
        """In a forked copy: what was running at the fork runs in the parent, and is no reason to skip anything here."""
        if self._pid == os.getpid():
            return
        self._pid = os.getpid()
        for task in self.everybody():
            if task._last is not None and task._last.ended is None:
                task._last = None
            if task._terms is not None:
                task._terms.forget_runs()

    # -- looking up ----------------------------------------------------------------------------------------------

    def look_up(self, name: str) -> Task | None:
        """Return the task of that name; one that has ended for good is gone, booked or not."""
        task = self._names.get(name)
        if task is not None and is_over(task):
            self.release(task)
            return None
        return task

    def snapshot(self) -> dict[str, Task]:
        """Return the named tasks."""
        return {name: task for name, task in self._names.items() if not is_over(task)}

    def __contains__(self, task: Task) -> bool:
        if task._home is not self.home:
            return False
        return (
            task._entry is not None
            or task in self.waiting
            or (task.name is not None and self._names.get(task.name) is task)
        )

    def __len__(self) -> int:
        """How many tasks wait for a time or for the start."""
        return len(self.agenda) + len(self.waiting)

    def pending(self) -> Iterator[Task]:
        """Yield the tasks that wait: first those for a time, in order."""
        yield from self.agenda.tasks()
        yield from self.waiting

    def everybody(self) -> set[Task]:
        """Return the tasks that wait, run, or have a name."""
        return {*self.pending(), *self._names.values()}

    # -- labels --------------------------------------------------------------------------------------------------

    def label(self, task: Task) -> str:
        """Return what a task is called in runs and logs: its name, or its action's, numbered from the second on."""
        if task.name is not None:
            return task.name
        if task._label is not None:
            return task._label
        action: Any = task.action
        try:
            numbers = self._labels[action.__qualname__]
            if numbers.module != action.__module__:
                raise LookupError
        except Exception:  # its first, one of another module, or one that has none; a foreign kind may do anything
            numbers = self._numbers_of(action)
        free = numbers.free
        task._label = label = free.pop() if free else numbers.next()
        task._numbers = numbers
        return label

    def _numbers_of(self, action: Any) -> "_Numbers":
        module, qualname = _action_name(action)
        for key in (qualname, f"{module}.{qualname}"):  # the second where two modules have one of the same name
            numbers = self._labels.setdefault(key, _Numbers(module, qualname))
            if numbers.module == module:
                break
        return numbers

    def _free_label(self, task: Task) -> None:
        numbers = task._numbers
        if numbers is not None:
            numbers.free.append(task._label)
            task._label = task._numbers = None
            if len(numbers.free) == len(numbers.made):
                numbers.begin_again()


class _Numbers:
    """The labels of one action's tasks, numbered from the second on.

    What was given back is taken first, and once all were, the first is next: a label is built once, not per task.
    """

    __slots__ = ("base", "free", "made", "module")

    def __init__(self, module: str, qualname: str) -> None:
        self.module = module
        base = f"{module}.{qualname}"
        self.base = base if base.isprintable() else ascii(base)
        self.made: list[str] = []
        self.free: list[str] = []

    def next(self) -> str:
        label = f"{self.base}#{len(self.made) + 1}" if self.made else self.base
        self.made.append(label)
        return label

    def begin_again(self) -> None:
        del self.made[1000:]
        self.free[:] = reversed(self.made)


def is_over(task: Task) -> bool:
    """Say whether a task has had its last occurrence, and that has ended."""
    return (
        task._final
        and task._entry is None
        and (task._last is None or task._last.ended is not None)
        and (task._terms is None or task._terms.over)
    )


def _action_name(action: Any) -> tuple[str, str]:
    """Return the module and the qualified name of any callable."""
    while isinstance(action, functools.partial):
        action = action.func
    try:
        kind = action if isinstance(action.__qualname__, str) else type(action)
    except Exception:
        kind = type(action)
    return str(getattr(kind, "__module__", None) or "?"), str(getattr(kind, "__qualname__", "?"))


# -- forks of the application: no timetable is copied in the middle of a turn -------------------------------------


class _Held(threading.local):
    """The locks that this thread holds while it forks."""

    def __init__(self) -> None:
        self.locks: list[threading.Lock] = []


_held = _Held()


def _before_fork() -> None:
    for registry in list(_registries):
        if registry.lock.acquire(timeout=0.2):  # a signal handler may fork in the middle of an add
            _held.locks.append(registry.lock)


def _after_fork() -> None:
    while _held.locks:
        _held.locks.pop().release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)
