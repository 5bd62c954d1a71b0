"""The tasks of one scheduler: by name, by fire time, and those that wait for its start.

This is what the engine's lock guards. Every method is called with it held.
"""

import functools
import logging
import math
import os
import threading
import weakref
from collections.abc import Iterable, Iterator
from typing import Any

from tgscheduler.errors import DuplicateTask, InvalidValue
from tgscheduler.timetable.agenda import Agenda
from tgscheduler.timetable.tasks import Home, Task

log = logging.getLogger(__name__)


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
        self._names: dict[str, Task] = {}
        self._labels: dict[tuple[str, str], _Numbers] = {}
        self._pid = os.getpid()
        _registries.add(self)

    # -- coming and going ----------------------------------------------------------------------------------------

    def admit(self, task: Task) -> None:
        """Make a task one of ours, under its name; raise DuplicateTask or InvalidValue and change nothing."""
        if task._home is not self.home and task._entry is not None:
            raise InvalidValue(f"{task!r} waits in another scheduler; cancel it there first")
        name = task.name
        if name is not None:
            holder = self._names.get(name)
            if holder is not None and holder is not task:
                if not _is_over(holder):
                    raise DuplicateTask(
                        f"taskname {name!r}: a task of that name already waits or runs; cancel it, or take another name"
                    )
                self.release(holder)
        if task._home is not self.home:
            task._adopt(self.home)
            task._last = None
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
            if task._final and task._entry is None:
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
        if task is not None and _is_over(task):
            self.release(task)
            return None
        return task

    def snapshot(self) -> dict[str, Task]:
        """Return the named tasks."""
        return {name: task for name, task in self._names.items() if not _is_over(task)}

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
            key = action.__module__, action.__qualname__
            numbers = self._labels.get(key)
        except Exception:  # most have none; those of a foreign kind may be anything
            key = _odd_action_name(action)
            numbers = self._labels.get(key)
        if numbers is None:
            numbers = self._labels[key] = _Numbers(".".join(map(str, key)))
        number = numbers.free.pop() if numbers.free else numbers.most + 1
        if number > numbers.most:
            numbers.most = number
        task._number = number, numbers
        task._label = label = numbers.base if number == 1 else f"{numbers.base}#{number}"
        return label

    def _free_label(self, task: Task) -> None:
        if task._number is not None:
            number, numbers = task._number
            task._label = task._number = None
            free = numbers.free
            free.append(number)
            if len(free) == numbers.most:
                numbers.most = 0
                free.clear()


class _Numbers:
    """Numbers from 1 on; what was given back is taken first, and once all were, 1 is next."""

    __slots__ = ("base", "free", "most")

    def __init__(self, base: str) -> None:
        self.base = base if base.isprintable() else ascii(base)
        self.most = 0
        self.free: list[int] = []


def _is_over(task: Task) -> bool:
    """Say whether a task has had its last occurrence, and that has ended."""
    return (
        task._final
        and task._entry is None
        and (task._last is None or task._last.ended is not None)
        and (task._terms is None or task._terms.over)
    )


def _odd_action_name(action: Any) -> tuple[str, str]:
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
