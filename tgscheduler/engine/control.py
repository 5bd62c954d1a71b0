"""Control: changes to a timetable while it runs. Pause, resume, run now, reschedule, cancel, rename."""

import math
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from typing import Any

from tgscheduler import clock as clocks
from tgscheduler.clock import Clock
from tgscheduler.engine.lifecycle import Lifecycle
from tgscheduler.engine.planner import Planner
from tgscheduler.engine.registry import Registry
from tgscheduler.engine.restore import ALL
from tgscheduler.errors import InvalidType, InvalidValue
from tgscheduler.events import Events
from tgscheduler.logs import brief
from tgscheduler.timetable import zones
from tgscheduler.timetable.compose import none_until
from tgscheduler.timetable.entry import CANCELLED, EXHAUSTED, PENDING, SCHEDULED, Entry
from tgscheduler.timetable.run import Run
from tgscheduler.timetable.tasks import Task, check_name, check_trigger
from tgscheduler.timetable.trigger_phrases import none_until_in_words
from tgscheduler.timetable.triggers import Trigger, check_moment

#: The tasks that this thread has added since :func:`noting_added` began; None: they are not noted.
added_tasks: ContextVar[list[Task] | None] = ContextVar("tgscheduler_added_tasks", default=None)


@contextmanager
def noting_added() -> Iterator[list[Task]]:
    """Note the tasks that this thread adds meanwhile: what :meth:`Scheduler.discard` takes back."""
    tasks: list[Task] = []
    token = added_tasks.set(tasks)
    try:
        yield tasks
    finally:
        added_tasks.reset(token)


class Control:
    """The methods that change a running timetable."""

    def __init__(
        self, clock: Clock, registry: Registry, planner: Planner, events: Events, lifecycle: Lifecycle
    ) -> None:
        self._clock = clock
        self._registry = registry
        self._planner = planner
        self._events = events
        self._lifecycle = lifecycle

    # -- pauses --------------------------------------------------------------------------------------------------

    def pause(self, task: Task | str, until: float | datetime | None) -> bool:
        """Pause one task; return whether that changed anything."""
        end, restore = self._moment(until), self._planner.restore
        with self._registry.lock:
            entry = self._require_entry("pause", task)
            limits = entry.limited()
            changed, limits.paused_until = limits.paused_until != end, end
            self._put_again([entry])
            name = self._registry.label(entry)
            if changed and restore is not None:
                restore.save_pause(name, end)
        if changed:
            self._wait_saved()
            self._events.publish("task-paused", name, until=None if end == math.inf else end)
        return changed

    def resume(self, task: Task | str) -> bool:
        """End the pause of one task; return whether it was paused."""
        restore = self._planner.restore
        with self._registry.lock:
            entry = self._require_entry("resume", task)
            limits = entry.limits
            if limits is None or limits.paused_until <= self._clock.now():
                return False
            limits.paused_until = -math.inf
            self._put_again([entry])
            name = self._registry.label(entry)
            if restore is not None:
                restore.save_pause(name, -math.inf)
        self._wait_saved()
        self._events.publish("task-resumed", name)
        return True

    def pause_all(self, until: float | datetime | None) -> bool:
        """Pause all tasks; return whether that changed anything."""
        end, restore, registry = self._moment(until), self._planner.restore, self._registry
        with registry.lock:
            changed, registry.paused_until = registry.paused_until != end, end
            self._put_again(list(registry.agenda.entries()))
            if changed and restore is not None:
                restore.save_pause(ALL, end)
        if changed:
            self._wait_saved()
            self._events.publish("task-paused", None, until=None if end == math.inf else end)
        return changed

    def resume_all(self) -> bool:
        """End the pause of all tasks, and that of each task; return whether any was paused."""
        now, restore, registry = self._clock.now(), self._planner.restore, self._registry
        with registry.lock:
            changed = registry.paused_until > now
            registry.paused_until = -math.inf
            resumed = [ALL]
            for entry in registry.entries():
                limits = entry.limits
                if limits is not None and limits.paused_until > -math.inf:
                    changed = changed or limits.paused_until > now
                    limits.paused_until = -math.inf
                    resumed.append(registry.label(entry))
            self._put_again(list(registry.agenda.entries()))
            if restore is not None:
                restore.save_resumed(resumed)
        if changed:
            self._wait_saved()
            self._events.publish("task-resumed", None)
        return changed

    def _put_again(self, entries: Iterable[Entry]) -> None:
        """Schedule waiting one-shot tasks again: at their time, or at the end of the pause."""
        self._registry.version += 1
        for entry in entries:
            if entry.one_shot and entry.state is SCHEDULED and self._lifecycle.loop is not None:
                assert entry.due is not None
                self._planner.schedule(entry, entry.due)

    def _wait_saved(self) -> None:
        """Wait until the store has committed a pause, before it is reported."""
        restore = self._planner.restore
        if restore is not None:
            restore.wait_saved(self._lifecycle.store_timeout)

    # -- runs ----------------------------------------------------------------------------------------------------

    def run_now(self, task: Task | str) -> Run:
        """Run a task at once, beside its timetable; return the Run."""
        loop, dispatcher = self._lifecycle.loop, self._lifecycle.dispatcher
        if loop is None or dispatcher is None or not self._planner.started:
            raise InvalidValue(f"run_now: the scheduler does not run, and so {task!r} cannot; start it first")
        with self._registry.lock:
            entry = self._require_entry("run_now", task)
            run = Run(self._registry.label(entry), self._clock.now())
            run.reason = "by hand"
            if self._planner.restore is not None:
                self._planner.restore.assign_numbers([run])
            dispatcher.request(entry, run)
            self._registry.version += 1
        if loop.drained:  # stopped meanwhile: no further turn plans it
            dispatcher.cancel_requests()
            dispatcher.collect()
        return run

    def cancel_run(self, run: Run) -> bool:
        """End a run that waits or runs as cancelled; return False if it has ended."""
        if not isinstance(run, Run):
            raise InvalidType(f"cancel_run: expected a Run, as runs() returns them, got {run!r}")
        loop, dispatcher = self._lifecycle.loop, self._lifecycle.dispatcher
        end = clocks.elapsed() + 1.0
        while run.ended is None and loop is not None and dispatcher is not None and dispatcher.journal.is_open(run):
            if dispatcher.cancel_run(run, "cancelled by hand"):
                loop.bell.put(None)
                return True
            if clocks.elapsed() > end:
                break
            if loop.thread != threading.get_ident() or not dispatcher.collect():  # it is between two stages
                clocks.pause(0.001)
        return False

    # -- tasks ---------------------------------------------------------------------------------------------------

    def reschedule_task(self, task: Task | str, trigger: Trigger) -> float:
        """Give a task another trigger from now on; return its first fire time (POSIX seconds)."""
        check_trigger(trigger)
        now, registry = self._clock.now(), self._registry
        with registry.lock:
            entry = self._require_entry("reschedule_task", task)
        try:
            due = trigger.next_after(now)  # without the lock: it may be a custom one
            if due is not None and not now < due < math.inf:
                raise InvalidValue(f"expected a time after {now!r}, or None, got {due!r}")
        except Exception as error:
            raise InvalidValue(f"reschedule_task: {entry.task!r}: its new trigger raised {brief(error)}") from error
        limits = entry.limits
        if due is None or (limits is not None and due > limits.end):
            until = none_until(trigger, now) if due is None else None
            why = "" if until is None else f": {none_until_in_words(until, zones.zone(entry.task.timezone))}"
            raise InvalidValue(f"reschedule_task: {entry.task!r} would never fire again by {trigger!r}{why}")
        with registry.lock:
            if entry not in registry:
                raise InvalidValue(f"reschedule_task: {entry.task!r} has been cancelled, or has ended")
            if entry.limited().runs_left == 0:
                many = entry.policy.max_runs
                raise InvalidValue(f"reschedule_task: {entry.task!r} would never fire again: max_runs is {many}")
            if entry.state is EXHAUSTED:  # its last run has not ended
                entry.state = PENDING
            entry.limited().give_trigger(trigger)
            entry.trigger, entry.manual_due = trigger, False
            registry.version += 1
            if self._planner.started:
                registry.pending_start.pop(entry, None)
                self._planner.schedule(entry, due)
            else:
                self._planner.place(entry, None, now)
        return due

    def note_added(self, task: Task) -> None:
        """Note a task that was added, and publish that it was."""
        tasks = added_tasks.get()
        if tasks is not None:
            tasks.append(task)
        if "task-added" in self._events.wanted:
            with self._registry.lock:
                entry = self._registry.entry_of(task)
                label = None if entry is None else self._registry.label(entry)
            self._events.publish("task-added", label, next_due=task.next_due)

    def cancel(self, task: Task | str) -> None:
        """Cancel a task; nothing happens if it is unknown."""
        registry, name = self._registry, None
        with registry.lock:
            entry = registry.look_up(task) if isinstance(task, str) else registry.entry_of(task)
            if entry is not None:
                if "task-cancelled" in self._events.wanted:
                    name = registry.label(entry)
                registry.cancel(entry)
        dispatcher = self._lifecycle.dispatcher
        if entry is not None and entry.limits is not None and dispatcher is not None:
            dispatcher.cancel_queued(entry)
        if name is not None:
            self._events.publish("task-cancelled", name)

    def cancel_many(self, tasks: Iterable[Task]) -> None:
        """Cancel tasks; do nothing if this thread was interrupted in the middle of an add, and holds the lock."""
        registry = self._registry
        if registry.lock.acquire(timeout=1.0):
            try:
                for task in tasks:
                    entry = registry.entry_of(task)
                    if entry is not None and entry in registry:
                        registry.cancel(entry)
            finally:
                registry.lock.release()

    def rename(self, task: str | Task, newname: str) -> None:
        """Give a task another name; nothing happens if it is unknown."""
        checked = check_name(newname)
        if checked is None:
            raise InvalidValue("rename: expected a new name, got an empty one")
        registry, restore = self._registry, self._planner.restore
        with registry.lock:
            entry = registry.entry_of(task) if isinstance(task, Task) else registry.look_up(task)
            if entry is not None and entry in registry:
                former = registry.label(entry)
                registry.rename(entry, checked)
                if restore is not None:
                    restore.rename(former, checked)

    # -- helpers -------------------------------------------------------------------------------------------------

    def _moment(self, until: float | datetime | None) -> float:
        if until is None:
            return math.inf
        end = check_moment("until", until, self._registry.context.timezone)
        if end <= self._clock.now():
            raise InvalidValue(f"until: expected a moment to come, got {until!r}")
        return end

    def _require_entry(self, verb: str, task: Any) -> Entry:
        """Return the entry of a task of this scheduler; raise InvalidValue or InvalidType if there is none.

        The caller holds the lock.
        """
        registry = self._registry
        entry = registry.look_up(task) if isinstance(task, str) else None
        if isinstance(task, Task):
            entry = registry.entry_of(task)
        if entry is not None and entry.state is not CANCELLED and not entry.has_ended():
            return entry
        if entry is None and not isinstance(task, (str, Task, type(None))):
            raise InvalidType(f"{verb}: expected a Task or the name of one, got {task!r}")
        raise InvalidValue(f"{verb}: there is no task {task!r} here any more, or never was")
