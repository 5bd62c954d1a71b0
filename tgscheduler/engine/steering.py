"""The steering verbs of a scheduler: pause, resume, run now, reschedule, cancel a run. Each answers what it did."""

import math
import threading
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from tgscheduler import clock as clocks
from tgscheduler.clock import Clock
from tgscheduler.engine.loop import Loop
from tgscheduler.engine.recalling import ALL, Recall
from tgscheduler.engine.registry import Registry, is_over
from tgscheduler.engine.verbs import Verbs
from tgscheduler.errors import InvalidType, InvalidValue
from tgscheduler.events import Callback, Events
from tgscheduler.executors.base import Executor, brief
from tgscheduler.timetable import zones
from tgscheduler.timetable.compose import none_until
from tgscheduler.timetable.run import Run
from tgscheduler.timetable.tasks import Task, check_trigger
from tgscheduler.timetable.telling import none_until_in_words
from tgscheduler.timetable.terms import Terms
from tgscheduler.timetable.triggers import Trigger, check_moment


class Steering(Verbs):
    """What changes a timetable while it runs; the functions of :mod:`tgscheduler.scheduler` document each."""

    clock: Clock
    _registry: Registry
    _events: Events
    _executors: dict[str, Executor]
    _loop: Loop | None
    _store_timeout: float

    def _check_use(self, task: Task | None = None) -> None:
        raise NotImplementedError

    def pause(self, task: Task | str, until: float | datetime | None = None) -> bool:
        """Let a task run nothing ``until`` a moment (None: until it is resumed); False where it was so already."""
        self._check_use()
        end = self._moment(until)
        with self._registry.lock:
            found = self._known("pause", task)
            terms = found._terms = found._terms or self._new_terms()
            changed, terms.paused_until = terms.paused_until != end, end
            self._keep_or_free(found)
            name = self._registry.label(found)
            if changed and self._recall is not None:
                self._recall.note_pause(name, end)
        if changed:
            self._confirm()
            self._events.publish("task-paused", name, until=None if end == math.inf else end)
        return changed

    def resume(self, task: Task | str) -> bool:
        """Let a paused task run again from now on; False where it was not paused."""
        self._check_use()
        with self._registry.lock:
            found = self._known("resume", task)
            terms = found._terms
            if terms is None or terms.paused_until <= self.clock.now():
                return False
            terms.paused_until = -math.inf
            self._keep_or_free(found)
            if terms.needless:
                found._terms = None
            name = self._registry.label(found)
            if self._recall is not None:
                self._recall.note_pause(name, -math.inf)
        self._confirm()
        self._events.publish("task-resumed", name)
        return True

    def pause_all(self, until: float | datetime | None = None) -> bool:
        """Let no task run anything ``until`` a moment (None: until all are resumed); False where it was so already."""
        self._check_use()
        end = self._moment(until)
        with self._registry.lock:
            changed, self._registry.paused_until = self._registry.paused_until != end, end
            self._keep_or_free_all()
            if changed and self._recall is not None:
                self._recall.note_pause(ALL, end)
        if changed:
            self._confirm()
            self._events.publish("task-paused", None, until=None if end == math.inf else end)
        return changed

    def resume_all(self) -> bool:
        """End :meth:`pause_all`, and the pause of every single task; False where nothing was paused."""
        self._check_use()
        now = self.clock.now()
        with self._registry.lock:
            changed = self._registry.paused_until > now
            self._registry.paused_until = -math.inf
            resumed = [ALL]
            for task in self._registry.everybody():
                terms = task._terms
                if terms is not None and terms.paused_until > -math.inf:
                    changed = changed or terms.paused_until > now
                    terms.paused_until = -math.inf
                    resumed.append(self._registry.label(task))
                    if terms.needless:
                        task._terms = None
            self._keep_or_free_all()
            if self._recall is not None:
                self._recall.note_resumed(resumed)
        if changed:
            self._confirm()
            self._events.publish("task-resumed", None)
        return changed

    def run_now(self, task: Task | str) -> Run:
        """Run a task at once, beside its timetable and also while it is paused; return the Run.

        Its overlap policy holds: where it runs already, the Run ends as skipped, or waits in line.
        """
        self._check_use()
        loop = self._loop
        if loop is None or not loop.placed:
            raise InvalidValue(f"run_now: the scheduler does not run, and so {task!r} cannot; start it first")
        with self._registry.lock:
            found = self._known("run_now", task)
            run = Run(self._registry.label(found), self.clock.now())
            run.reason = "by hand"
        loop.ask_for(found, run)
        if loop.drained:  # stopped meanwhile: nobody else looks any more
            loop.refuse()
            loop.settle()
        return run

    def reschedule_task(self, task: Task | str, trigger: Trigger) -> float:
        """Let a task fire by another trigger from now on; return when it does so first (POSIX seconds).

        Raise InvalidValue, and leave the task as it is, where the trigger has no fire time any more.
        """
        self._check_use()
        check_trigger(trigger)
        now = self.clock.now()
        with self._registry.lock:
            found = self._known("reschedule_task", task)
        try:
            due = trigger.next_after(now)  # without the lock: it may be the application's own
            if due is not None and not now < due < math.inf:
                raise InvalidValue(f"expected a time after {now!r}, or None, got {due!r}")
        except Exception as error:
            raise InvalidValue(f"reschedule_task: {found!r}: its new trigger raised {brief(error)}") from error
        terms = found._terms
        if due is None or (terms is not None and due > terms.end):
            until = none_until(trigger, now) if due is None else None
            why = "" if until is None else f": {none_until_in_words(until, zones.zone(found.timezone))}"
            raise InvalidValue(f"reschedule_task: {found!r} would never fire again by {trigger!r}{why}")
        with self._registry.lock:
            if found not in self._registry:
                raise InvalidValue(f"reschedule_task: {found!r} has been cancelled, or has ended")
            terms = found._terms = found._terms or self._new_terms()
            terms.take_trigger(trigger)
            found._trigger, found._by_hand, found._final = trigger, False, False
            if self._loop is not None and self._loop.placed:
                self._registry.waiting.pop(found, None)
                self._loop.put(found, due)
            else:
                self._registry.agenda.cancel(found)
                self._registry.waiting[found] = None
        return due

    def cancel_run(self, run: Run) -> bool:
        """End a run that waits or runs as cancelled; False where it has ended.

        A forked one is ended with its process. An action in a thread cannot be ended: ``current_run().cancelled``
        tells it to return, and its thread counts as abandoned until it does.
        """
        self._check_use()
        if not isinstance(run, Run):
            raise InvalidType(f"cancel_run: expected a Run, as runs() returns them, got {run!r}")
        loop = self._loop
        end = clocks.elapsed() + 1.0
        while run.ended is None and loop is not None:
            with self._registry.lock:  # no turn takes it meanwhile
                cancelled = loop.refuse("cancelled by hand", run)
            if cancelled or any(executor.cancel(run, "cancelled by hand") for executor in [*self._executors.values()]):
                loop.bell.put(None)
                return True
            if clocks.elapsed() > end:
                break
            if loop.thread != threading.get_ident() or not loop.settle():  # on its way from one place to another
                clocks.pause(0.001)
        return False

    def subscribe(self, callback: Callback, names: str | Iterable[str] | None = None) -> Callable[[], None]:
        """Call ``callback(event)`` for each event of these names (None: of all); return what ends that again."""
        self._check_use()
        return self._events.subscribe(callback, names)

    @property
    def _recall(self) -> Recall | None:
        return None if self._loop is None else self._loop.recall

    def _confirm(self) -> None:
        """Have a pause on record before we say that there is one."""
        if self._recall is not None:
            self._recall.confirm(self._store_timeout)

    # -- helpers -------------------------------------------------------------------------------------------------

    def _moment(self, until: float | datetime | None) -> float:
        if until is None:
            return math.inf
        end = check_moment("until", until, self._registry.home.timezone)
        if end <= self.clock.now():
            raise InvalidValue(f"until: expected a moment to come, got {until!r}")
        return end

    def _known(self, verb: str, task: Any) -> Task:
        """Return a task of ours; raise InvalidValue for one that is none, with the lock held."""
        found = self._registry.look_up(task) if isinstance(task, str) else task
        if isinstance(found, Task) and found._home is self._registry.home and not found._gone and not is_over(found):
            return found
        if found is None or isinstance(found, Task):
            raise InvalidValue(f"{verb}: there is no task {task!r} here any more, or never was")
        raise InvalidType(f"{verb}: expected a Task or the name of one, got {task!r}")

    def _new_terms(self) -> Terms:
        terms = Terms()
        terms.adopt(self._registry.home.policy)
        return terms

    def _keep_or_free(self, task: Task) -> None:
        """Enter what runs once again: at its time, or at the end of the pause."""
        if task._trigger is None and task._entry is not None and self._loop is not None:
            self._loop.put(task, task._due)

    def _keep_or_free_all(self) -> None:
        if self._loop is not None:
            for task in list(self._registry.agenda.tasks()):
                self._keep_or_free(task)
