"""The loop: one turn after another, each from the timetable to the executors.

::

    settle what came back -> pop what is due, decide, put the next (the one lock, BATCH at a time)
        -> ask triggers that may take long -> hand out, and what has waited in the lobby
        -> end what is past its timeout -> a slice of sequential work
        -> sleep on the bell until the next of all these times, 30 s at most
"""

import math
import queue
import threading
from collections import deque
from collections.abc import Callable, Sequence

from tgscheduler import clock as clocks
from tgscheduler.clock import Clock
from tgscheduler.engine.clerk import TAKEN, Clerk
from tgscheduler.engine.deciding import Decider, Turn
from tgscheduler.engine.ledger import Ledger
from tgscheduler.engine.lobby import Lobby
from tgscheduler.engine.placing import Placing
from tgscheduler.engine.recalling import Recall
from tgscheduler.engine.registry import Registry
from tgscheduler.errors import StoreError
from tgscheduler.events import Events
from tgscheduler.executors import capturing
from tgscheduler.executors.base import Executor, Occurrence, Voice, brief, describe, enable_loggers
from tgscheduler.executors.sequential import SequentialExecutor
from tgscheduler.timetable.plan import slots
from tgscheduler.timetable.policy import method
from tgscheduler.timetable.run import CANCELLED, FAILED, MISSED, SKIPPED, Run
from tgscheduler.timetable.tasks import Planner, Task
from tgscheduler.timetable.terms import Terms

log = Voice(__name__)

#: While runs are open the loop looks at least this often (seconds) for what has ended.
SETTLE = 1.0

#: So long (seconds) it waits for the store at a time where that holds the timetable up; an answer rings.
PATIENCE = 0.1


class Loop(Placing):
    """Turns a timetable into runs, from start to stop; a second start makes another."""

    def __init__(
        self,
        planner: Planner,
        clock: Clock,
        registry: Registry,
        ledger: Ledger,
        executors: dict[str, Executor],
        events: Events,
        recall: Recall | None = None,
    ) -> None:
        self._planner = planner
        self.clock = clock
        self.registry = registry
        self.ledger = ledger
        self.executors = executors
        self.events = events
        self.decider = Decider(clock, registry)
        lobby = executors[Lobby.method]
        assert isinstance(lobby, Lobby)
        self._lobby = lobby
        clerk = executors.get(Clerk.method)
        #: Where the store outlives the process: what is decided goes through its hands first; what is known of tasks.
        self.clerk = clerk if isinstance(clerk, Clerk) else None
        if self.clerk is not None:
            self.decider.held = self.clerk.catching_up
        self.recall = recall
        sequential = executors[method.sequential]
        assert isinstance(sequential, SequentialExecutor)
        self._sequential = sequential
        #: Those whose runs are elsewhere: they are looked after while runs are open.
        self._elsewhere = [
            executor for executor in executors.values() if not isinstance(executor, (Lobby, Clerk, SequentialExecutor))
        ]
        self.bell: clocks.Bell = queue.SimpleQueue()
        for executor in executors.values():
            executor.bell, executor.events = self.bell, events
        #: Set by stop: no turn begins any more.
        self.stopping = False
        #: The stop has drained what ran: nobody else settles what ends now.
        self.drained = False
        #: The loop has left; its thread while it is in.
        self.done = False
        self.thread: int | None = None
        #: Tasks have their first fire times; what is added from now on gets one at once.
        self.placed = False
        self._requests: deque[Occurrence] = deque()
        #: So many runs that have ended may wait to be booked together; more than 0 only where somebody else settles
        #: those that lead to something.
        self.slack = 0
        #: How late (seconds) the first occurrence of the last turn was.
        self.lag = 0.0
        #: Who is asked, since when (``clock.elapsed``) and for what: somebody's code, on the loop's thread.
        self.asking: tuple[str, float, str] | None = None
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
                self._settle_last()

    def _settle_last(self) -> None:
        """Book what ended after the stop: the run that stopped us from inside, or what it left behind."""
        try:
            self.settle()
        except StoreError as error:
            log.warning("a run that ended after the stop is not on record: %s", error)

    def _get_ready(self, ready: Callable[[], bool] | None) -> float:
        """Begin once ``ready()`` is true; return until when to sleep."""
        if ready is not None and not ready():
            return self.clock.now() + 0.02
        if not self.stopping:
            self.place_waiting()
        return -math.inf

    def interrupt(self) -> None:
        """End the loop by KeyboardInterrupt: a real Ctrl-C came."""
        self.decider.interrupted = True  # also where an action swallows what is raised now
        raise KeyboardInterrupt

    def put(self, task: Task, due: float | None) -> None:
        """Enter a task into the timetable, under the lock; wake the loop where it would sleep too long."""
        if task._terms is None and due is not None and self.registry.paused_until == -math.inf:
            self.registry.agenda.put(task, due)  # what nearly every call has
        else:
            self.decider.put(task, due)
        if due is not None and due < self.sleeps_until:
            self.sleeps_until = -math.inf
            self.bell.put(None)

    def ask_for(self, task: Task, run: Run) -> None:
        """Let a run begin beside the timetable: from any thread."""
        self._requests.append((task, run))
        self.bell.put(None)

    def forget(self) -> None:
        """In a forked copy: turn no more, also where a host has replaced threads by what a fork copies."""
        self.stopping = True
        self.events = Events(self.clock.now)  # that nobody listens to
        for executor in self.executors.values():
            executor.forget()

    def leave(self) -> None:
        """Take note that all is drained, and when."""
        self.drained = True
        if self.placed:
            self.registry.lives[-1][1] = self.clock.now()

    def refuse(self, reason: str = "stopped before it began", only: Run | None = None) -> bool:
        """End the runs that were asked for and that no turn has seen, or one of them; say whether there was any."""
        found = [occurrence for occurrence in list(self._requests) if only in (None, occurrence[1])]
        for occurrence in found:
            try:
                self._requests.remove(occurrence)
            except ValueError:  # two refuse at a time
                continue
            run = occurrence[1]
            self.ledger.enter([occurrence])
            run.reason, run.ended, run.state = reason, self.clock.now(), CANCELLED
            self.ledger.ended.append(occurrence)
        return bool(found)

    @property
    def earliest(self) -> float:
        """When there is something to do next, infinity when there is not."""
        if self._requests:
            return -math.inf
        due, again = self.registry.agenda.earliest, self._lobby.earliest
        return due if due < again else again

    def turn(self) -> float | None:
        """Do what is due; return until when to sleep (POSIX seconds), None for no deadline."""
        capturing.go_on()
        enable_loggers()
        if len(self.ledger.ended) > self.slack:
            self.settle()
        if self.clerk is not None:
            self._proceed(self.clerk)
        stepped = self.clock.step()
        registry, turn, asked = self.registry, Turn(), None
        if not (registry.lock.acquire(False) or registry.lock.acquire(timeout=0.05)):
            return self.clock.now()  # its holder may be the thread that is stopping us: look again
        try:
            if self.stopping:  # since it was asked for, or this is a fork's copy
                return None
            moved = self._follow_step(stepped, turn) if stepped else ()
            now = self.clock.now()
            held_up = self.clerk is not None and self.clerk.full
            popped = [] if held_up else registry.agenda.pop_due(now)
            if popped:
                self.lag = now - popped[0]._due
                self.decider.decide(popped, now, turn)
            else:
                self.lag = 0.0
            if self._requests:
                asked = Turn()
                while self._requests:
                    self.decider.by_hand(*self._requests.popleft(), now, asked)
            deadline = now + PATIENCE if held_up else registry.agenda.earliest
            self.sleeps_until = deadline
        finally:  # what was decided before a fault is done all the same
            registry.lock.release()
            self._enact(turn)
            if asked is not None:
                self._enact(asked, by_hand=True)
        if stepped:
            self._place_slow(moved, turn)
            self._enact(turn)  # one that was wrong is booked
            self.events.publish("clock-stepped", seconds=stepped, before=now - stepped, after=now)
        for task, due in turn.asked:
            self._ask(task, due, now, turn)
            deadline = now
        for task in turn.owing:
            self._ask_to_reschedule(task)
        if self._lobby.earliest <= now:
            self._try_again(self._lobby.ready(now))
        more = self._sequential.work()
        if self.decider.interrupted:
            raise KeyboardInterrupt
        if more:
            return now
        if len(self.ledger.ended) > self.slack:
            self.settle()
        if self._elsewhere and len(self.ledger):
            deadline = min(deadline, now + SETTLE, self._lobby.earliest)
            if self.clerk is not None:
                deadline = min(deadline, now + self.clerk.patience_left)
            for executor in self._elsewhere:
                if executor.limits:
                    deadline = min(deadline, executor.expire(now))
                if executor.trouble is not None:
                    executor.retry()
        return None if deadline == math.inf else deadline

    def _ask(self, task: Task, due: float, now: float, turn: Turn) -> None:
        """Ask a trigger that may take long, without the lock, and do what follows."""
        self.asking = task.name or task._label or "?", self.clock.elapsed(), "trigger"
        try:
            self.decider.ask(task, due, now, turn)
        finally:
            self.asking = None
        self._enact(turn)

    def _enact(self, turn: Turn, by_hand: bool = False) -> None:
        """Hand out what starts, keep what waits in line, book what does not run; or have all of it claimed first."""
        if self.clerk is not None and turn.any:
            self.ledger.enter([*turn.started, *turn.waiting])
            self.clerk.hand_in(turn, by_hand)
            if self.clerk.down:  # nobody answers: they start now, where they do at all
                self._proceed(self.clerk)
            return
        self._carry_out(turn)

    def _proceed(self, clerk: Clerk) -> None:
        """Go on with what the store has on record by now."""
        answer = clerk.answered()
        if answer is None:
            return
        self._carry_out(answer.turn)
        if answer.closed and self.events.wanted:
            self._tell(answer.closed, ())
        if answer.left:
            self._put_again(answer.left)
        if answer.orphans:
            self._see_to_lost(answer.orphans)
        if answer.refused:
            self.ledger.drop(answer.refused)
            for _, run in answer.refused:
                run.reason, run.ended, run.state = TAKEN, self.clock.now(), SKIPPED
            self._let_go(answer.refused)

    def _carry_out(self, turn: Turn) -> None:
        """Hand out what starts, keep what waits in line, book what does not run."""
        if turn.started:
            started, turn.started = turn.started, []
            self.ledger.enter(started)
            self._hand_out(started)
        if turn.waiting:
            waiting, turn.waiting = turn.waiting, []
            self.ledger.enter(waiting)
            for occurrence in waiting:
                occurrence[0]._terms.line.append(occurrence)  # type: ignore[union-attr]
                self._lobby.submit(occurrence)
        if turn.closed:
            closed, turn.closed = turn.closed, []
            self.settle(closed)

    def _hand_out(self, started: list[Occurrence]) -> None:
        """Hand runs to their executors: those of one method together, as nearly all are."""
        method = started[0][0].method
        others = [occurrence for occurrence in started if occurrence[0].method != method] if len(started) > 1 else None
        if others:
            started = [occurrence for occurrence in started if occurrence[0].method == method]
        executor = self.executors[method]
        if executor.takes_many:
            executor.submit_all(started)
        else:
            for occurrence in started:
                self._send(occurrence)
        if others:
            self._hand_out(others)

    def _send(self, occurrence: Occurrence) -> None:
        """Hand a run to its executor."""
        executor = self.executors[occurrence[0].method]
        try:
            executor.submit(occurrence)
        except Exception as error:
            run = occurrence[1]
            executor.waiting.pop(run, None)
            run.error, run.ended, run.state = describe(error), self.clock.now(), FAILED
            log.error("%s: it could not be handed out\n%s", run.task, run.error)
            self.ledger.ended.append(occurrence)

    def _send_on(self, occurrence: Occurrence) -> None:
        """Hand out what has waited in the lobby, where nobody has cancelled it meanwhile."""
        task, run = occurrence
        if task._gone:
            self._lobby.withdraw(run, "its task was cancelled")
        elif self._lobby.leave(occurrence):
            self._send(occurrence)

    def _try_again(self, ready: Sequence[Occurrence]) -> None:
        """Begin the next attempts; with a store that lasts each is on record before it starts."""
        if self.clerk is None:
            for occurrence in ready:
                self._send_on(occurrence)
            return
        turn = Turn()
        for occurrence in ready:
            task, run = occurrence
            if task._gone:
                self._lobby.withdraw(run, "its task was cancelled")
            elif self._lobby.leave(occurrence):
                turn.started.append(occurrence)
        self._enact(turn, by_hand=True)

    # -- coming back ---------------------------------------------------------------------------------------------

    def settle(self, closed: list[Run] | None = None) -> bool:
        """Book what has ended, and let go of tasks that will not come again; say whether there was anything."""
        batch = self.ledger.settle(closed or ())
        if self.events.wanted:
            self._tell(closed or (), batch)
        self._let_go(batch)
        return bool(batch)

    def _let_go(self, batch: Sequence[Occurrence]) -> None:
        """Let what comes next come, and let go of tasks that will not come again."""
        over: list[Task] = []
        for task, run in batch:
            terms = task._terms
            if terms is not None:
                self._settle_terms(task, run, terms)
            if task._entry is None and (task._last is run or terms is not None):
                if task._reschedules_itself and task.method == method.sequential and not task._final:
                    self._ask_to_reschedule(task)
                if task._final and run.ended is not None:
                    over.append(task)
        # Where the lock is not to be had (a signal handler stops us inside an add), look-ups release them.
        if over and self.registry.lock.acquire(timeout=0.05):
            try:
                self.registry.release_over(over)
            finally:
                self.registry.lock.release()

    def _settle_terms(self, task: Task, run: Run, terms: Terms) -> None:
        """Keep what is tried again in the lobby; let the next in line start."""
        if run.ended is None:
            if run not in terms.open:  # the Run of another attempt
                terms.open.append(run)
                task._last = run
            self._lobby.wait_until(run._again, (task, run))
            return
        while terms.line and len(terms.busy()) < slots(terms.policy):
            occurrence = terms.line.popleft()
            following = occurrence[1]
            if following.ended is None:
                task._last = following
                terms.open.append(following)
                self._send_on(occurrence)

    def _tell(self, closed: Sequence[Run], batch: Sequence[Occurrence]) -> None:
        publish = self.events.publish
        for run in closed:
            publish("run-skipped", run.task, run)
        for _, run in batch:
            if run.ended is not None:
                publish("run-skipped" if run.state in (SKIPPED, MISSED) else "run-finished", run.task, run)

    def _ask_to_reschedule(self, task: Task) -> None:
        """Let a task of a foreign class put itself; one that does not, or raises, has had its last occurrence."""
        if task._gone or task._entry is not None:
            return
        if self.stopping:
            with self.registry.lock:
                self.registry.waiting[task] = 0.0
            return
        name = task.name or task._label or "?"
        self.asking = name, self.clock.elapsed(), "reschedule"
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
            if task._entry is None:
                task._final = True
                if task._last is None or task._last.ended is not None:
                    self.registry.release(task)
