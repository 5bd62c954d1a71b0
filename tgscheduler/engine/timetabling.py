"""Tasks come and go: what puts them into a timetable, renames them and takes them out."""

import logging
import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from tgscheduler.engine.lobby import Lobby
from tgscheduler.engine.steering import Steering
from tgscheduler.errors import InvalidType, InvalidValue
from tgscheduler.executors.base import brief
from tgscheduler.timetable import triggers
from tgscheduler.timetable.tasks import Task, check_name

log = logging.getLogger(__name__)

_collector: ContextVar[list[Task] | None] = ContextVar("tgscheduler_collector", default=None)


class Timetabling(Steering):
    """What a timetable consists of; the functions of :mod:`tgscheduler.scheduler` document each."""

    def schedule_task(self, task: Task, delay: float) -> None:
        """Put a task ``delay`` seconds ahead, counted from the start where there was none yet; move it if it waits."""
        _check_task(task)
        self._add(task, triggers.check_seconds("delay", delay))

    def schedule_task_abs(self, task: Task, abstime: float) -> None:
        """Put a task at an absolute time, POSIX seconds; move it if it waits."""
        _check_task(task)
        due = triggers.check_seconds("abstime", abstime)
        self._check_use(task)
        with self._registry.lock:
            self._registry.admit(task, self.clock.now())
            self._registry.waiting.pop(task, None)
            task._put_at(due)
            self._put(task, due)
        self._note(task)

    def _add(self, task: Task, delay: float | None) -> None:
        """Make a task ours and give it its first fire time; before the start it waits for that."""
        self._check_use(task)
        registry = self._registry
        slow = task._terms is not None and task._terms.slow
        first, until = self._ask_first(task, delay) if slow else (None, None)
        with registry.lock:
            now = self.clock.now()
            registry.admit(task, now)
            loop = self._loop
            if loop is not None and loop.placed:
                if slow:
                    task._by_hand = delay is not None
                    due = first
                else:
                    due = task._first_due(now, delay)
                    if loop.recall is not None:
                        due = loop.recall.first_due(task, now, due)
                if loop.recall is not None:
                    loop.recall.commit()
                if due is None and until is not None:
                    loop.decider.put_off(task, until)
                else:
                    loop.put(task, due)
                    if due is None:
                        log.warning("%s: it never fires: its last time is over", registry.label(task))
                        registry.release(task)
            else:
                registry.agenda.cancel(task)
                registry.waiting[task] = delay
        if _collector.get() is not None or self._events.wanted:
            self._note(task)

    def _ask_first(self, task: Task, delay: float | None) -> tuple[float | None, float | None]:
        """Ask a trigger that may take long, without the lock; what it raises is the caller's to mend.

        Return the first fire time, or else until when the trigger found none.
        """
        loop = self._loop
        try:
            now = self.clock.now()
            due = task._first_due(now, delay)
            if loop is not None and loop.placed and loop.recall is not None:
                self._label(task)  # under the lock; what is known is looked up by it
                due = loop.recall.first_due(task, now, due)
            if due is not None and not -math.inf < due < math.inf:
                raise InvalidValue(f"expected a time in POSIX seconds, or None, got {due!r}")
            until = task._none_until(now) if due is None else None
        except Exception as error:
            raise InvalidValue(f"{task!r}: its trigger raised {brief(error)}") from error
        return due, until

    def _note(self, task: Task) -> None:
        """Tell of a task that was added."""
        collected = _collector.get()
        if collected is not None:
            collected.append(task)
        if "task-added" in self._events.wanted:
            self._events.publish("task-added", self._label(task), next_due=task.next_due)

    def _label(self, task: Task) -> str:
        with self._registry.lock:
            return self._registry.label(task)

    def _put(self, task: Task, due: float) -> None:
        loop = self._loop
        if loop is None:
            self._registry.agenda.put(task, due)
        else:
            loop.put(task, due)

    def cancel(self, task: Task | str | None) -> None:
        """Cancel a task, or the task of that name: it fires no more; a run in progress goes on.

        None, a task that is gone and a name that nobody has are no errors.
        """
        if task is None:
            return
        self._check_use()
        registry = self._registry
        with registry.lock:
            found = registry.look_up(task) if isinstance(task, str) else task
            if found is not None:
                _check_task(found)
                name = registry.label(found) if "task-cancelled" in self._events.wanted else None
                self._cancel(found)
        if found is not None and found._terms is not None:
            self._empty_line(found)
        if found is not None and name is not None:
            self._events.publish("task-cancelled", name)

    def _cancel(self, task: Task) -> None:
        if task._home is self._registry.home:
            task._gone = task._final = True
            self._registry.release(task)

    def _empty_line(self, task: Task) -> None:
        """Cancel what waits for a retry or for its turn."""
        lobby = self._executors.get(Lobby.method)
        if lobby is not None:
            for run, (owner, _) in list(lobby.waiting.items()):
                if owner is task:
                    lobby.withdraw(run, "its task was cancelled")

    def rename(self, taskname: str | Task, newname: str) -> None:
        """Give a task another name; nothing happens where it is unknown. Raise DuplicateTask for a taken name."""
        self._check_use()
        checked = check_name(newname)
        if checked is None:
            raise InvalidValue("rename: expected a new name, got an empty one")
        registry = self._registry
        with registry.lock:
            task = taskname if isinstance(taskname, Task) else registry.look_up(taskname)
            if task is not None and task in registry:
                former = registry.label(task)
                registry.rename(task, checked)
                if self._loop is not None and self._loop.recall is not None:
                    self._loop.recall.renamed(former, checked)

    rename_task = rename

    @contextmanager
    def collecting(self) -> Iterator[list[Task]]:
        """Collect the tasks that this thread adds meanwhile: what :meth:`discard` takes back."""
        tasks: list[Task] = []
        token = _collector.set(tasks)
        try:
            yield tasks
        finally:
            _collector.reset(token)

    def discard(self, tasks: Iterable[Task]) -> None:
        """Cancel many tasks; give up, saying nothing, where this thread was stopped in the middle of adding one."""
        if self._registry.lock.acquire(timeout=1.0):
            try:
                for task in tasks:
                    if task in self._registry:
                        self._cancel(task)
            finally:
                self._registry.lock.release()


def _check_task(task: object) -> None:
    if not isinstance(task, Task):
        raise InvalidType(f"task: expected a Task, got {task!r}")
