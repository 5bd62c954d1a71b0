"""The loop: one turn after another, each from the timetable to the executors.

::

    settle what came back -> pop what is due, decide, put the next (the one lock, BATCH at a time) -> hand out
        -> a slice of sequential work -> sleep on the bell until the next fire time, 30 s at most
"""

import logging
import math
import queue
import threading
from collections.abc import Callable

from tgscheduler import clock as clocks
from tgscheduler.clock import Clock
from tgscheduler.engine.ledger import Ledger
from tgscheduler.engine.registry import Registry
from tgscheduler.executors.base import Executor, Occurrence, describe
from tgscheduler.executors.sequential import SequentialExecutor
from tgscheduler.timetable.plan import decide
from tgscheduler.timetable.policy import method
from tgscheduler.timetable.run import FAILED, SKIPPED, Run
from tgscheduler.timetable.tasks import Planner, Task

log = logging.getLogger(__name__)

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
        #: Why the loop gave up, None while it works.
        self.fault: str | None = None
        #: Fire times before this need no ring: the loop will look by then (minus infinity while it is awake).
        self.sleeps_until = -math.inf

    def run(self, ready: Callable[[], bool] | None = None) -> None:
        """Turn until stopped. ``ready`` is asked first, again and again, until it is true."""
        self.thread = threading.get_ident()
        faults = 0
        try:
            while ready is not None and not self.stopping and not ready():
                self.clock.wait(self.bell, self.clock.now() + 0.02)
            if not self.stopping:
                self.place_waiting()
            while not self.stopping:
                try:
                    deadline = self.turn()
                except Exception as error:
                    faults += 1
                    log.critical("the loop met a fault\n%s", describe(error))
                    if faults > 1:
                        self.fault = f"the loop gave up: {type(error).__name__}: {error}"
                        return
                    continue
                if not self.stopping:
                    self.clock.wait(self.bell, deadline)
        finally:
            self.done = True
            if self.drained:
                self.settle()  # the run that stopped us from inside

    def place_waiting(self) -> None:
        """Give every task that waited for the start its first fire time."""
        self.clock.step()
        now = self.clock.now()
        registry = self.registry
        with registry.lock:
            for task in registry.agenda.clear():  # they waited at the last stop, or were put at an absolute time
                missed = task._due < now and task._trigger is not None  # while stopped: no occurrence
                self._put(task, task._trigger.next_after(now) if missed and task._trigger else task._due)
            waiting, registry.waiting = registry.waiting, {}
            for task, delay in waiting.items():
                task._adopt(registry.home)  # the zone may have been set since it was added
                self._put(task, task._first_due(now, delay))
            self.placed = True

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
        try:
            if stepped:
                self._follow_step(stepped)
            now = self.clock.now()
            started: list[Occurrence] = []
            closed: list[Run] = []
            owing: list[Task] = []
            popped = registry.agenda.pop_due(now)
            self.lag = now - popped[0]._due if popped else 0.0
            for task in popped:
                self._decide(task, now, started, closed, owing)
            deadline = registry.agenda.earliest
            self.sleeps_until = deadline
        finally:
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
        return None if deadline == math.inf else deadline

    # -- deciding ------------------------------------------------------------------------------------------------

    def _decide(self, task: Task, now: float, started: list[Occurrence], closed: list[Run], owing: list[Task]) -> None:
        due, itself = task._due, task._reschedules_itself
        try:
            decision = decide(due, now, None if itself else task._trigger, task._last, task._by_hand)
        except Exception as error:  # a trigger's fault ends its task, never the loop
            self._park(task, due, f"its trigger raised {type(error).__name__}: {error}", closed)
            return
        task._by_hand = False
        if decision.next_due is not None:
            self._put(task, decision.next_due)
        elif not itself:
            task._final = True
        if decision.count:
            task._mark = decision.until
            run = Run(self.registry.label(task), due, decision.count, decision.until)
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
        reason = None
        try:
            task.reschedule(self._planner)
        except BaseException as error:
            reason = f"its reschedule raised {type(error).__name__}: {error}; the task ends"
            log.error("%s: %s\n%s", task._label or task.name, reason, describe(error))
            if task._last is not None:
                task._last.reason = reason
        with self.registry.lock:
            if not task._seq:
                task._final = True
                if task._last is None or task._last.ended is not None:
                    self.registry.release(task)

    # -- the wall clock was stepped ------------------------------------------------------------------------------

    def _follow_step(self, seconds: float) -> None:
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
                self._put(task, task._trigger.next_after(max(now, mark)))
