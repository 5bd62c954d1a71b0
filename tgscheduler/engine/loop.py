"""The loop: one turn after another, each from the timetable to the executors.

::

    settle what came back -> pop what is due, decide, put the next (the one lock, BATCH at a time) -> hand out
        -> a slice of sequential work -> sleep on the bell until the next fire time, 30 s at most
"""

import math
import queue
import threading
from collections.abc import Callable
from typing import Any

from tgscheduler import clock as clocks
from tgscheduler.clock import Clock
from tgscheduler.engine.ledger import Ledger
from tgscheduler.engine.registry import Registry
from tgscheduler.errors import InvalidValue
from tgscheduler.executors.base import Executor, Occurrence, Voice, brief, describe
from tgscheduler.executors.sequential import SequentialExecutor
from tgscheduler.timetable.plan import decide
from tgscheduler.timetable.policy import method
from tgscheduler.timetable.run import FAILED, SKIPPED, Run
from tgscheduler.timetable.tasks import Planner, Task
from tgscheduler.timetable.triggers import Interval

log = Voice(__name__)

#: While runs are open the loop looks at least this often (seconds) for what has ended.
SETTLE = 1.0

#: A wall clock set back by more than this (seconds) was corrected: what ran at the wrong times may run again.
CORRECTION = 3 * 3600.0


class Loop:
    """Turns a timetable into runs, from start to stop; a second start makes another."""

    def __init__(
        self, planner: Planner, clock: Clock, registry: Registry, ledger: Ledger, executors: dict[str, Executor]
    ) -> None:
        self._planner = planner
        self.clock = clock
        self.registry = registry
        self.ledger = ledger
        self.executors = executors
        sequential = executors[method.sequential]
        assert isinstance(sequential, SequentialExecutor)
        self._sequential = sequential
        self.bell: clocks.Bell = queue.SimpleQueue()
        #: Set by stop: no turn begins any more.
        self.stopping = False
        #: The stop has drained what ran: nobody else settles what ends now.
        self.drained = False
        #: The loop has left; its thread while it is in.
        self.done = False
        self.thread: int | None = None
        #: Tasks have their first fire times; what is added from now on gets one at once.
        self.placed = False
        #: A real Ctrl-C came: the loop ends by KeyboardInterrupt.
        self.interrupted = False
        #: How late (seconds) the first occurrence of the last turn was.
        self.lag = 0.0
        #: Who is asked to reschedule itself, and since when (``clock.elapsed``): somebody's code, on the loop's thread.
        self.asking: tuple[str, float] | None = None
        #: Why the loop gave up, None while it works.
        self.fault: str | None = None
        #: Fire times before this need no ring: the loop will look by then (minus infinity while it is awake).
        self.sleeps_until = -math.inf

    def run(self, ready: Callable[[], bool] | None = None) -> None:
        """Turn until stopped. ``ready`` is asked first, again and again, until it is true.

        One fault is survived; a second one ends the loop, and ``fault`` says so: it is never alive and silent.
        """
        self.thread = threading.get_ident()
        faults = 0
        try:
            while not self.stopping:
                try:
                    deadline = self.turn() if self.placed else self._get_ready(ready)
                    if not self.stopping:
                        self.clock.wait(self.bell, deadline)
                except BaseException as error:
                    # In the main thread a signal handler's: Ctrl-C, or the application's own sys.exit().
                    if not isinstance(error, Exception) and threading.current_thread() is threading.main_thread():
                        raise
                    faults += 1
                    end = " and gives up: nothing fires any more" if faults > 1 else ""
                    log.critical("the loop met a fault%s\n%s", end, describe(error))
                    if faults > 1:
                        self.fault = f"the loop gave up: {brief(error)}"
                        return
        finally:
            self.done = True
            if self.drained:
                self.settle()  # the run that stopped us from inside

    def _get_ready(self, ready: Callable[[], bool] | None) -> float:
        """Begin once ``ready()`` is true; return until when to sleep."""
        if ready is not None and not ready():
            return self.clock.now() + 0.02
        if not self.stopping:
            self.place_waiting()
        return -math.inf

    def place_waiting(self) -> None:
        """Give every task that waited for the start its first fire time."""
        self.clock.step()
        now = self.clock.now()
        registry = self.registry
        closed: list[Run] = []
        with registry.lock:
            for task in registry.agenda.clear():  # they waited at the last stop, or were put at an absolute time
                self._place(task, closed, self._due_after_stop, task, now)
            waiting, registry.waiting = registry.waiting, {}
            for task, delay in waiting.items():
                self._place(task, closed, self._due_from_start, task, now, delay)
            self.placed = True
        if closed:
            self.settle(closed)

    def _place(self, task: Task, closed: list[Run], ask: Callable[..., float | None], *args: Any) -> None:
        """Enter a task at the time that ``ask(*args)`` returns; park it where that is none."""
        try:
            due = ask(*args)
            if due is not None and not -math.inf < due < math.inf:
                raise InvalidValue(f"expected a time in POSIX seconds, or None, got {due!r}")
        except Exception as error:
            self._park(task, task._due or self.clock.now(), f"its trigger raised {brief(error)}", closed)
        else:
            self._put(task, due)

    def _due_after_stop(self, task: Task, now: float) -> float | None:
        """Return when a task that had a time fires: what was due meanwhile is none, but a single task's."""
        task._adopt(self.registry.home)
        trigger = task._trigger
        if trigger is None or (task._due >= now and (task._by_hand or isinstance(trigger, Interval))):
            return task._due
        task._by_hand = False
        return trigger.next_after(now)

    def _due_from_start(self, task: Task, now: float, delay: float | None) -> float | None:
        """Return when a task that was added before the start fires first."""
        task._adopt(self.registry.home)  # the zone may have been set since
        return task._first_due(now, delay)

    def put(self, task: Task, due: float | None) -> None:
        """Enter a task into the timetable, under the lock; wake the loop where it would sleep too long."""
        self._put(task, due)
        if due is not None and due < self.sleeps_until:
            self.sleeps_until = -math.inf
            self.bell.put(None)

    def turn(self) -> float | None:
        """Do what is due; return until when to sleep (POSIX seconds), None for no deadline."""
        self.settle()
        stepped = self.clock.step()
        registry = self.registry
        if not registry.lock.acquire(timeout=0.05):
            return self.clock.now()  # its holder may be the thread that is stopping us: look again
        started: list[Occurrence] = []
        closed: list[Run] = []
        owing: list[Task] = []
        try:
            if stepped:
                self._follow_step(stepped, closed)
            now = self.clock.now()
            popped = registry.agenda.pop_due(now)
            self.lag = now - popped[0]._due if popped else 0.0
            task = None
            try:
                for task in popped:
                    self._decide(task, now, started, closed, owing)
            except BaseException:  # the agenda stays whole: who was not decided on is due at once
                for left in popped[popped.index(task) if task else 0 :]:
                    registry.agenda.put(left, left._due)
                raise
            deadline = registry.agenda.earliest
            self.sleeps_until = deadline
        finally:  # what was decided before a fault is done all the same
            registry.lock.release()
            if started:
                self._hand_out(started)
            if closed:
                self.settle(closed)
        for task in owing:
            self._ask_to_reschedule(task)
        more = self._sequential.work()
        if self.interrupted:
            raise KeyboardInterrupt
        if more:
            return now
        if self.ledger.ended:
            self.settle()
        if len(self.ledger):
            deadline = min(deadline, now + SETTLE)
            for executor in self.executors.values():
                if executor.trouble is not None:
                    executor.retry()
        return None if deadline == math.inf else deadline

    # -- deciding ------------------------------------------------------------------------------------------------

    def _decide(self, task: Task, now: float, started: list[Occurrence], closed: list[Run], owing: list[Task]) -> None:
        due, itself = task._due, task._reschedules_itself
        try:
            decision = decide(due, now, None if itself else task._trigger, task._last, task._by_hand)
        except MemoryError:  # the host's fault, not the trigger's: the loop tries again
            raise
        except BaseException as error:  # a trigger's fault ends its task, never the loop
            if self.interrupted:
                raise
            self._park(task, due, f"its trigger raised {brief(error)}", closed)
            return
        # What can fail comes first: after it the occurrence is disposed of as a whole.
        run = Run(self.registry.label(task), due, decision.count, decision.until) if decision.count else None
        task._by_hand = False
        if decision.next_due is not None:
            self._put(task, decision.next_due)
        elif not itself:
            task._final = True
        if run is not None:
            task._mark = run.until
            run.reason = decision.skip or decision.note
            if decision.skip is None:
                task._last = run
                started.append((task, run))
            else:
                run.state, run.ended = SKIPPED, now
                closed.append(run)
        if itself and not (decision.skip is None and task.method == method.sequential):
            owing.append(task)

    def _park(self, task: Task, due: float, reason: str, closed: list[Run]) -> None:
        label = self.registry.label(task)
        log.error("%s: %s; it does not fire any more", label, reason)
        run = Run(label, due, state=SKIPPED)
        run.reason, run.ended = reason, self.clock.now()
        closed.append(run)
        task._final = True
        self.registry.release(task)

    def _put(self, task: Task, due: float | None) -> None:
        if due is None:
            task._final = True
        else:
            self.registry.agenda.put(task, due)

    def _hand_out(self, started: list[Occurrence]) -> None:
        self.ledger.enter(started)
        executors = self.executors
        for occurrence in started:
            task, run = occurrence
            try:
                executors[task.method].submit(occurrence)
            except Exception as error:
                executors[task.method].waiting.pop(run, None)
                run.error, run.ended, run.state = describe(error), self.clock.now(), FAILED
                log.error("%s: it could not be handed out\n%s", run.task, run.error)
                self.ledger.ended.append(occurrence)

    # -- coming back ---------------------------------------------------------------------------------------------

    def settle(self, closed: list[Run] | None = None) -> bool:
        """Book what has ended, and let go of tasks that will not come again; say whether there was anything."""
        batch = self.ledger.settle(closed or ())
        over: list[Task] = []
        for task, run in batch:
            if task._last is run and not task._seq:
                if task._reschedules_itself and task.method == method.sequential and not task._final:
                    self._ask_to_reschedule(task)
                if task._final:
                    over.append(task)
        # Where the lock is not to be had (a signal handler stops us inside an add), look-ups release them.
        if over and self.registry.lock.acquire(timeout=0.05):
            try:
                self.registry.release_over(over)
            finally:
                self.registry.lock.release()
        return bool(batch)

    def _ask_to_reschedule(self, task: Task) -> None:
        """Let a task of a foreign class put itself; one that does not, or raises, has had its last occurrence."""
        if task._gone or task._seq:
            return
        if self.stopping:
            with self.registry.lock:
                self.registry.waiting[task] = 0.0
            return
        name = task.name or task._label or "?"
        self.asking = name, self.clock.elapsed()
        try:
            task.reschedule(self._planner)
        except BaseException as error:
            reason = f"its reschedule raised {brief(error)}; the task ends"
            log.error("%s: %s\n%s", name, reason, describe(error))
            if task._last is not None:
                task._last.reason = reason
        finally:
            self.asking = None
        with self.registry.lock:
            if not task._seq:
                task._final = True
                if task._last is None or task._last.ended is not None:
                    self.registry.release(task)

    # -- the wall clock was stepped ------------------------------------------------------------------------------

    def _follow_step(self, seconds: float, closed: list[Run]) -> None:
        """Keep the rhythm of what counts real seconds; let calendar tasks follow the new time at once."""
        now = self.clock.now()
        log.warning("the wall clock was stepped by %+.1f s", seconds)
        agenda = self.registry.agenda
        for task in agenda.clear():
            if task._shift(seconds):
                agenda.put(task, task._due + seconds)
            elif seconds > 0 or task._by_hand or task._trigger is None:
                agenda.put(task, task._due)
            else:
                mark = -math.inf if seconds < -CORRECTION else task._mark  # what has run does not run again
                self._place(task, closed, task._trigger.next_after, max(now, mark))
