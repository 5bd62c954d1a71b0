"""Recalling: what a store that outlives the process knows of a task, put to use when the task gets its first time.

::

    pause        holds on until its end
    max_runs     what has run before counts
    timetable    unchanged: it goes on from the last claimed occurrence, on the same grid, and what was missed while
                 nothing ran is up to the misfire policy; changed, or never seen: it begins now
    a name       that is new takes over the history of ``formerly``

Each name is asked for once after a start: a task that is cancelled and added again begins afresh. What lies in the
future, as a clock was wrong when it was written, is set right and said; what has run within the next three hours does
not run again.
"""

import math
import re
from collections.abc import Iterable
from dataclasses import replace

from tgscheduler.engine.clerk import in_the_future
from tgscheduler.engine.registry import Registry
from tgscheduler.executors.base import Voice
from tgscheduler.stores.base import Known, LastingStore
from tgscheduler.timetable.realtime import Interval
from tgscheduler.timetable.run import Run
from tgscheduler.timetable.tasks import CORRECTION, IntervalTask, Task
from tgscheduler.timetable.terms import Terms

log = Voice(__name__)

#: The name under which :meth:`Recall.note_pause` keeps a pause of all tasks: no task has an empty one.
ALL = ""

#: A grid may begin so much later (seconds) than now: what is measured of the store's clock is not exact.
CLOSE = 1.0

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


class Recall:
    """What is known from before a start, and what is to be known after it.

    Its methods are called under the engine's lock; :meth:`first_due` is not where the task's trigger is the
    application's own, and its label is known by then.
    """

    def __init__(self, store: LastingStore, registry: Registry) -> None:
        self._store = store
        self._registry = registry
        self._before = store.load()
        #: The store's clock counts for what is in the future; this process's may be behind it.
        self._behind = store.behind()
        self._present: dict[str, Known] = {}
        self._unsaved: dict[str, Known] = {}
        self._new: dict[str, Task] = {}
        #: What was in flight when its process died, by task.
        self.lost: dict[str, list[Run]] = {}
        for run in store.lost():
            self.lost.setdefault(run.task, []).append(run)
        everybody = self._before.pop(ALL, None)
        if everybody is not None:
            registry.paused_until = max(registry.paused_until, everybody.paused_until)
        self._present[ALL] = Known(ALL, "", paused_until=registry.paused_until)
        if everybody != self._present[ALL]:
            self._unsaved[ALL] = self._present[ALL]

    @property
    def alone(self) -> bool:
        """Whether no other process goes by the same marks and grids."""
        return self._store.alone()

    def gone(self) -> list[str]:
        """Return the names that have a history, and no task any more."""
        return sorted(self._before)

    def first_due(self, task: Task, now: float, due: float | None) -> float | None:
        """Return when a task fires first that would do so at ``due`` if nothing were known of it; None: never."""
        label = self._registry.label(task)
        known = self._take(label) or self._take_over(task, label)
        if known is None:
            if task._trigger is not None:
                again = label in self._present
                self._keep(self._afresh(task, label, now), back=again)
                if not again and _has_grid(task):
                    self._new[label] = task
            return due
        terms = self._agree(task, known, now)
        if terms is not None and terms.left == 0:
            log.info("%s: it has had its %d runs", label, known.runs)
            return None
        if task._trigger is None or (task._by_hand and due is not None and due >= now):
            return due
        spec = spec_of(task)
        mark = self._sound_mark(known, now)
        if known.spec != spec:
            self._keep(self._afresh(task, label, now), back=mark < known.mark)
            return due if due is None or due > mark else task._due_after(mark)
        if _has_grid(task):
            if known.anchor is None or mark > now + self._behind or self._is_wrong(known, now, due):
                self._keep(self._afresh(task, label, now), back=True)  # its rhythm begins again
                return due
            assert isinstance(task, IntervalTask)
            task._trigger = Interval.sound(task.interval, known.anchor)
        self._keep(replace(known, mark=mark, paused_until=_paused_until(task)), back=mark < known.mark)
        task._mark = mark
        return task._due_after(mark)

    def _sound_mark(self, known: Known, now: float) -> float:
        """Return a task's mark, set right where it is of a clock that was wrong."""
        ahead = known.mark - now - self._behind
        if ahead <= 0.0:
            return known.mark
        if ahead <= CORRECTION and known.runs:  # what has run does not run again
            log.warning("%s: %s", known.name, in_the_future(known.mark, now))
            return known.mark
        log.warning(
            "%s: its last run is on record %.0f s in the future, as a clock was wrong: set right", known.name, ahead
        )
        return math.nextafter(now, -math.inf)

    def _is_wrong(self, known: Known, now: float, due: float | None) -> bool:
        """Return whether the first point of a grid is in the future by no delay of its task's."""
        assert known.anchor is not None
        ahead = known.anchor - max(now, now if due is None else due) - self._behind
        if ahead <= CLOSE:
            return False
        log.warning("%s: it begins %.0f s in the future, as a clock was wrong: it begins now", known.name, ahead)
        return True

    def _take(self, name: str) -> Known | None:
        """Take out what is known of a name, which may be spelled otherwise on record."""
        spelled = self._store.spelled(name)
        known = self._before.pop(spelled, None)
        if known is None or spelled == name:
            return known
        for run in self.lost.pop(spelled, ()):
            run.task = name
            self.lost.setdefault(name, []).append(run)
        return replace(known, name=name)

    def _agree(self, task: Task, known: Known, now: float) -> Terms | None:
        """Let a task be as it was: paused, or with fewer runs left."""
        terms = task._terms
        if known.paused_until > now:
            if terms is None:
                terms = task._terms = Terms()
                terms.adopt(self._registry.home.policy)
            terms.paused_until = known.paused_until
        if terms is not None and terms.policy.max_runs is not None:
            terms.left = max(0, terms.policy.max_runs - known.runs)
        return terms

    def _take_over(self, task: Task, label: str) -> Known | None:
        former = None if task._terms is None else task._terms.formerly
        known = None if former is None else self._take(former)
        if known is None or former is None:
            return None
        self._store.rename(former, label)
        if former in self.lost:
            self.lost[label] = self.lost.pop(former)
            for run in self.lost[label]:
                run.task = label
        log.info("%s: it takes over the history of %s", label, former)
        return replace(known, name=label)

    def _afresh(self, task: Task, label: str, now: float) -> Known:
        ahead = max(0.0, self._store.condition().skew)  # others use the store, and its clock counts
        anchor = None
        if isinstance(task._trigger, Interval) and _has_grid(task):
            anchor = task._trigger.anchor - ahead
            if ahead:
                task._trigger = Interval.sound(task._trigger.seconds, anchor)
        return Known(label, spec_of(task), anchor, math.nextafter(now - ahead, -math.inf), _paused_until(task))

    def _keep(self, known: Known, back: bool = False) -> None:
        self._present[known.name] = known
        if back:
            self._store.save([known], back=True)
        else:
            self._unsaved[known.name] = known

    def commit(self) -> None:
        """Hand to the store what is new since the last call."""
        if self._unsaved:
            unsaved, self._unsaved = self._unsaved, {}
            self._store.save(list(unsaved.values()))

    def agree(self, timeout: float) -> list[tuple[Task, float]]:
        """Return new tasks that another process has registered at the same time, with the anchor of its grid."""
        new, self._new = self._new, {}
        if not new or not self._store.flush(timeout):
            return []
        stored = self._store.load()
        other = []
        for label, task in new.items():
            known, ours = stored.get(self._store.spelled(label)), self._present[label]
            if known is not None and known.spec == ours.spec and known.anchor not in (None, ours.anchor):
                self._present[label] = replace(ours, anchor=known.anchor)
                other.append((task, known.anchor))
        return other

    def confirm(self, timeout: float) -> None:
        """Wait until what was kept is on record, without the lock; warn where that takes too long."""
        if not self._store.flush(timeout):
            log.warning("the store does not answer: a pause, or its end, would not outlive this process yet")

    # -- what changes while it runs ------------------------------------------------------------------------------

    def note_pause(self, label: str, until: float) -> None:
        """Keep a pause of a task, or of all (ALL), or its end (minus infinity)."""
        known = self._present.get(label) or self._before.get(self._store.spelled(label)) or Known(label, "")
        self._present[label] = known = replace(known, name=label, paused_until=until)
        self._store.save([known])

    def note_resumed(self, labels: Iterable[str]) -> None:
        """Keep the end of many pauses."""
        known = [replace(self._present[label], paused_until=-math.inf) for label in labels if label in self._present]
        self._present.update((each.name, each) for each in known)
        if known:
            self._store.save(known)

    def renamed(self, old: str, new: str) -> None:
        """Let the history go with a new name."""
        known = self._present.pop(old, None)
        if known is not None:
            self._present[new] = replace(known, name=new)
        self._store.rename(old, new)

    def set_back(self, tasks: Iterable[Task], now: float) -> None:
        """Let tasks that have never run do so from now on: the clock was set back to before they were added."""
        moved = []
        for task in tasks:
            known = self._present.get(self._registry.label(task))
            if known is not None and known.mark > now and not known.runs and task._last is None:
                self._present[known.name] = known = replace(known, mark=math.nextafter(now, -math.inf))
                moved.append(known)
        if moved:
            self._store.save(moved, back=True)

    def shifted(self, tasks: Iterable[Task], seconds: float) -> None:
        """Keep the marks and grids of interval tasks that have followed a step of the wall clock."""
        moved = []
        for task in tasks:
            known = self._present.get(self._registry.label(task))
            if known is not None and isinstance(task._trigger, Interval):
                anchor = None if known.anchor is None else task._trigger.anchor
                known = replace(known, anchor=anchor, mark=max(task._mark, known.mark + seconds))
                self._present[known.name] = known
                moved.append(known)
        if moved:
            self._store.save(moved, back=True)


def spec_of(task: Task) -> str:
    """Return a task's timetable as text; the first point of a grid is no part of it."""
    if _has_grid(task):
        assert isinstance(task, IntervalTask)
        return f"every {task.interval!r} s"
    return _ADDRESS.sub("", repr(task._trigger))[:1000]


def _paused_until(task: Task) -> float:
    return -math.inf if task._terms is None else task._terms.paused_until


def _has_grid(task: Task) -> bool:
    """Say whether its grid begins where the task was added."""
    own = task._terms is None or (task._terms.trigger is None and task._terms.start is None)
    return isinstance(task, IntervalTask) and own


def lost_reason(run: Run) -> str:
    """Return why a run is lost: it was in flight in a process that is gone."""
    where = run.where
    place = "its process" if where is None else f"its process ({where.process} on {where.host})"
    return f"{place} ended while attempt {run.attempt} was in flight"
