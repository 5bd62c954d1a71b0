"""Placing: the fire times that tasks get at a start, and when the wall clock was stepped.

What the store remembers of a task (:mod:`tgscheduler.engine.recalling`) counts here.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

from tgscheduler.clock import Clock
from tgscheduler.engine.deciding import Decider, Turn
from tgscheduler.engine.recalling import Recall, lost_reason
from tgscheduler.engine.registry import Registry, is_over
from tgscheduler.events import Events
from tgscheduler.executors.base import Executor, Voice
from tgscheduler.timetable.realtime import Interval
from tgscheduler.timetable.run import LOST, Run
from tgscheduler.timetable.tasks import CORRECTION, IntervalTask, Task

log = Voice(__name__)

#: So long (seconds) a start waits for the store to say whether another process has registered the same tasks.
AGREE = 2.0


class Placing:
    """The part of the loop that gives tasks their times outside of its turns."""

    clock: Clock
    registry: Registry
    decider: Decider
    executors: dict[str, Executor]
    events: Events
    recall: Recall | None
    placed: bool
    asking: tuple[str, float, str] | None

    def settle(self, closed: list[Run] | None = None) -> bool:
        """Book what has ended."""
        raise NotImplementedError

    def _enact(self, turn: Turn, by_hand: bool = False) -> None:
        raise NotImplementedError

    def place_waiting(self) -> None:
        """Give every task that waited for the start its first fire time."""
        self.clock.step()
        now = self.clock.now()
        registry, turn = self.registry, Turn()
        places: list[tuple[Task, Callable[..., float | None], tuple[Any, ...]]] = []
        with registry.lock:
            for task in registry.agenda.clear():  # they waited at the last stop, or were put at an absolute time
                places.append((task, self._due_after_stop, (task, now)))
            waiting, registry.waiting = registry.waiting, {}
            for task, delay in waiting.items():
                places.append((task, self._due_from_start, (task, now, delay)))
            if self.recall is not None:  # labels are numbered in the order in which tasks were added, at each start
                for task, _, _ in places:
                    registry.label(task)
            self._place(places, turn)
            registry.lives.append([now, math.inf])
            self.placed = True
        self._place_slow(places, turn)
        self._enact(turn)
        if self.recall is not None:
            self.recall.commit()
            self._agree_on_grids(self.recall)
            lost, self.recall.lost = self.recall.lost, {}
            self._see_to_lost([run for runs in lost.values() for run in runs])
        self.events.publish("scheduler-started", tasks=len(places))

    def _place(self, places: "_Places", turn: Turn) -> None:
        for task, ask, args in places:
            if task._terms is None or not task._terms.slow:
                self.decider.place(task, turn, ask, *args)

    def _place_slow(self, places: "_Places", turn: Turn) -> None:
        for task, ask, args in places:
            if task._terms is not None and task._terms.slow:
                self.asking = task.name or task._label or "?", self.clock.elapsed(), "trigger"
                try:
                    self.decider.place_slow(task, turn, ask, *args)
                finally:
                    self.asking = None

    def _due_after_stop(self, task: Task, now: float) -> float | None:
        """Return when a task that had a time fires: what was due meanwhile is none, but a single task's."""
        task._adopt(self.registry.home)
        due = task._due_after_stop(now)
        return due if self.recall is None else self.recall.first_due(task, now, due)

    def _due_from_start(self, task: Task, now: float, delay: float | None) -> float | None:
        """Return when a task that was added before the start fires first."""
        task._adopt(self.registry.home)  # the zone may have been set since
        due = task._first_due(now, delay)
        return due if self.recall is None else self.recall.first_due(task, now, due)

    def _agree_on_grids(self, recall: Recall) -> None:
        """Fire together with another process that has started at the same time: each occurrence is claimed by one."""
        for task, anchor in recall.agree(AGREE):
            with self.registry.lock:
                if task._entry is not None and isinstance(task, IntervalTask):
                    task._trigger = Interval.sound(task.interval, anchor)
                    self.decider.put(task, task._due_after(math.nextafter(self.clock.now(), -math.inf)))

    def _see_to_lost(self, runs: Sequence[Run]) -> None:
        """Run again what was in flight when its process died, where its task asks for that; record it as lost."""
        if not runs:
            return
        turn, lost, now = Turn(), [], self.clock.now()
        with self.registry.lock:
            tasks = {task.name or task._label: task for task in self.registry.everybody()}
        for run in runs:
            task, reason, what = tasks.get(run.task), lost_reason(run), "it is recorded as lost"
            if task is not None and not task._gone and task.policy.on_lost == "rerun":
                if run.takeovers < task.policy.max_takeovers:
                    self.decider.by_hand(task, run.taken_over(reason), now, turn)
                    what = "it runs again"
                else:
                    reason += f"; it was taken over {run.takeovers} times, as often as max_takeovers allows"
            if what != "it runs again":
                run.reason, run.ended, run.state = reason, now, LOST
                lost.append(run)
            log.warning("%s: due %.3f: %s; %s", run.task, run.due, reason, what)
        if lost or turn.closed:
            closed, turn.closed = [*lost, *turn.closed], []
            self.settle(closed)
        self._enact(turn, by_hand=True)

    def _put_again(self, tasks: Sequence[Task]) -> None:
        """Let what follows the store's mark be due again: no one has had it, and its claim was refused as a whole."""
        with self.registry.lock:
            for task in tasks:
                plain = task._terms is None or not task._terms.slow
                if task._gone or task._by_hand or task._reschedules_itself or not plain:
                    continue
                if task._trigger is not None:
                    self.decider.put(task, task._due_after(task._mark))
                elif task._entry is None:
                    self.decider.put(task, task._due)
                if is_over(task):
                    self.registry.release(task)

    # -- the wall clock was stepped ------------------------------------------------------------------------------

    def _follow_step(self, seconds: float, turn: Turn) -> "_Places":
        """Keep the rhythm of what counts real seconds; let calendar tasks follow the new time at once.

        Return the tasks that are to be placed without the lock, as asking their trigger may take long.
        """
        now = self.clock.now()
        log.warning("the wall clock was stepped by %+.1f s", seconds)
        agenda, slow = self.registry.agenda, []
        for executor in self.executors.values():
            executor.shift(seconds)
        tasks, shifted, late = agenda.clear(), [], []
        shared = self.recall is not None and not self.recall.alone
        for task in tasks:
            if (not shared or task._trigger is None) and task._shift(seconds):
                task._mark += seconds
                self.decider.put(task, task._due + seconds)
                shifted.append(task)
            elif seconds > 0 or task._by_hand or task._trigger is None:
                self.decider.put(task, task._due)
            else:
                late.append(task)
                if seconds < -CORRECTION:
                    task._mark = -math.inf
                mark = task._mark  # what has run does not run again
                if task._terms is not None and task._terms.slow:
                    slow.append((task, task._due_after, (max(now, mark),)))
                else:
                    self.decider.place(task, turn, task._due_after, max(now, mark))
        if self.recall is not None:
            self.recall.shifted(shifted, seconds)
            if not shared:
                self.recall.set_back(late, now)
        return slow


_Places = Sequence[tuple[Task, Callable[..., float | None], tuple[Any, ...]]]
