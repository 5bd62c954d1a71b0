"""Deciding: from a task that is due to runs that start, wait or do not run, and to its next fire time.

Called by the loop, under the engine's lock; what may take long is asked outside of it: a trigger of the application's
own, one that is made of triggers, and each missed occurrence of a calendar.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

from tgscheduler.clock import Clock
from tgscheduler.engine.registry import Registry, is_over
from tgscheduler.errors import InvalidValue
from tgscheduler.executors.base import Occurrence, Voice, brief
from tgscheduler.timetable import zones
from tgscheduler.timetable.compose import ask
from tgscheduler.timetable.plan import ONCE, Decision, Part, Verdict, decide, fire_time, judge, overlaps, pause_reason
from tgscheduler.timetable.policy import PLAIN, method
from tgscheduler.timetable.realtime import Interval, Once
from tgscheduler.timetable.run import RUNNING, SKIPPED, WAITING, Run
from tgscheduler.timetable.tasks import Task
from tgscheduler.timetable.telling import none_until_in_words
from tgscheduler.timetable.terms import Terms

log = Voice(__name__)

#: A task whose catch-up is being claimed is looked at again after so many seconds.
HELD = 0.05

#: Over so many seconds occurrences are counted by asking for each under the lock, at most.
_SHORT = 60.0
_COUNTED_AT_ONCE = (Interval, Once, type(None))


#: When a turn has so many runs that wait or have ended, other tasks wait for the next one.
MOST = 2048


class Turn:
    """What one turn of the loop has decided: runs to start, to keep in line, that do not run; and whom to ask."""

    __slots__ = ("asked", "closed", "owing", "started", "waiting")

    def __init__(self) -> None:
        self.started: list[Occurrence] = []
        self.waiting: list[Occurrence] = []
        self.closed: list[Run] = []
        #: Tasks that reschedule themselves; tasks whose trigger is asked outside of the lock, with their due time.
        self.owing: list[Task] = []
        self.asked: list[tuple[Task, float]] = []

    @property
    def any(self) -> bool:
        """Whether there is anything to start, to keep in line or to book."""
        return bool(self.started or self.waiting or self.closed)


class Decider:
    """Decides on tasks, and puts them at their next fire time."""

    def __init__(self, clock: Clock, registry: Registry) -> None:
        self._clock = clock
        self._registry = registry
        #: Labels of tasks whose catch-up has been claimed and is not answered: another process may have had a part of
        #: it, and the rest must not be passed over by a claim for what follows. Such a task is looked at again soon.
        self.held: Mapping[str, int] = {}
        #: A real Ctrl-C came: nothing that is raised is a trigger's fault any more.
        self.interrupted = False

    # -- one occurrence ------------------------------------------------------------------------------------------

    def decide(self, popped: list[Task], now: float, turn: Turn) -> None:
        """Decide on what is due, in order; who was not decided on, as the turn is full, is due again at once.

        So is who was not decided on before a fault.
        """
        plain = now >= self._registry.paused_until
        task, held = None, self.held
        try:
            for task in popped:
                if held and self._registry.label(task) in held:
                    self._registry.agenda.put(task, task._due, now + HELD)
                elif plain and task._terms is None:
                    self.plain(task, now, turn)
                elif len(turn.waiting) + len(turn.closed) < MOST:
                    self.by_terms(task, now, turn)
                else:
                    self._registry.agenda.put(task, task._due)
        except BaseException:
            for left in popped[popped.index(task) if task else 0 :]:
                self._registry.agenda.put(left, left._due)
            raise

    def plain(self, task: Task, now: float, turn: Turn) -> None:
        """Decide on a task without terms: what is due starts as one run, unless the last one has not ended."""
        due, itself, trigger, last = task._due, task._reschedules_itself, task._trigger, task._last
        if last is not None and last.ended is not None:
            last = None  # in nobody's way
        try:
            decision: Decision | None = ONCE
            if trigger is not None or last is not None:
                decision = decide(due, now, None if itself else trigger, last, task._by_hand, False)
        except BaseException as error:
            self._blame(error, task, due, turn)
            return
        if decision is None:
            task._terms = Terms()
            turn.asked.append((task, due))
            return
        # What can fail comes first: after it the occurrence is disposed of as a whole.
        label = task.name or task._label or self._registry.label(task)
        run = Run(label, due, decision.count, decision.until) if decision.count else None
        task._by_hand = False
        if decision.next_due is not None:
            self._registry.agenda.put(task, decision.next_due)
        elif not itself:
            task._final = True
        if run is not None:
            task._mark = run.until
            run.reason = decision.skip or decision.note
            if decision.skip is None:
                task._last = run
                turn.started.append((task, run))
            else:
                run.state, run.ended = SKIPPED, now
                turn.closed.append(run)
        if itself and not (decision.skip is None and task.method == method.sequential):
            turn.owing.append(task)

    def by_terms(self, task: Task, now: float, turn: Turn) -> None:
        """Decide on any task; where asking its trigger may take long, note that it is to be asked."""
        due = task._due
        if task._terms is None:  # all tasks are paused
            task._terms = Terms()
        elif task._terms.slow or self._counts_long(task, task._terms, now):
            turn.asked.append((task, due))
            return
        try:
            verdict = self._judge(task, due, now)
        except BaseException as error:
            self._blame(error, task, due, turn)
            return
        self._enact(task, verdict, now, turn)
        if task._terms.needless:
            task._terms = None

    def ask(self, task: Task, due: float, now: float, turn: Turn) -> None:
        """Decide on a task whose trigger may take long: called without the lock, which it takes."""
        lock, until, terms = self._registry.lock, None, task._terms or Terms()
        try:
            verdict = self._judge(task, due, now)
            if verdict.next_due is None:
                until = task._none_until(max(due, now - terms.policy.jitter))
        except BaseException as error:
            with lock:
                self._blame(error, task, due, turn)
            return
        with lock:
            if not task._gone:
                self._enact(task, verdict, now, turn, until)
                if task._terms is not None and task._terms.needless:
                    task._terms = None

    def by_hand(self, task: Task, run: Run, now: float, turn: Turn) -> None:
        """Decide on a run that somebody has asked for beside the timetable: only its overlap counts."""
        terms = task._terms
        running = self._running(task)
        policy, waiting = (PLAIN, 0) if terms is None else (terms.policy, len(terms.line))
        [part] = overlaps(
            [Part(run.due, run.due, 1, RUNNING, run.reason)],
            policy,
            len(running),
            waiting,
            running[0] if running else None,
        )
        self._file(task, part, run, now, turn)

    def _file(self, task: Task, part: Part, run: Run, now: float, turn: Turn) -> None:
        """Put a run where its part says."""
        run.reason = part.reason
        if part.state == RUNNING:
            task._last = run
            if task._terms is not None:
                task._terms.open.append(run)
            turn.started.append((task, run))
        elif part.state == WAITING:
            turn.waiting.append((task, run))
        else:
            run.state, run.ended = part.state, now
            turn.closed.append(run)

    def _running(self, task: Task) -> list[Run]:
        """Return the runs of a task that have not ended."""
        running = [] if task._terms is None else task._terms.busy()
        if task._last is not None and task._last.ended is None and task._last not in running:
            running.append(task._last)  # from before it had terms
        return running

    @staticmethod
    def _counts_long(task: Task, terms: Terms, now: float) -> bool:
        """Return whether more than a few missed occurrences are to be counted by asking for each."""
        return now - task._due > terms.policy.jitter + _SHORT and type(task._trigger) not in _COUNTED_AT_ONCE

    def _judge(self, task: Task, due: float, now: float) -> Verdict:
        terms, trigger = task._terms or Terms(), task._trigger  # none: the end of a pause has freed them meanwhile
        if trigger is not None and terms.unfound == due:  # no fire time: the search goes on there
            fire = ask(trigger, math.nextafter(due, -math.inf))
            if fire is None or fire > min(now, terms.end):
                return Verdict([], None if fire is None or fire > terms.end else fire)
            due = fire
        if terms.paused_until <= now:  # it is over
            terms.paused_until = -math.inf
        paused = pause_reason(now, max(terms.paused_until, self._registry.paused_until))
        if paused is not None and task._trigger is None and not task._reschedules_itself:
            return Verdict([], due)  # what runs once is kept until then
        running = self._running(task)
        return judge(
            due,
            now,
            None if task._reschedules_itself else task._trigger,
            terms.policy,
            running=len(running),
            waiting=len(terms.line),
            oldest=running[0] if running else None,
            left=terms.left,
            end=terms.end,
            paused=paused,
            by_hand=task._by_hand,
        )

    def _enact(self, task: Task, verdict: Verdict, now: float, turn: Turn, until: float | None = None) -> None:
        terms, itself = task._terms, task._reschedules_itself
        if terms is None:
            terms = task._terms = Terms()
        label = self._registry.label(task)
        made = [(part, Run(label, part.due, part.count, part.until)) for part in verdict.parts]
        if task._entry is None:  # else it has been moved while its trigger was asked
            task._by_hand = task._by_hand and verdict.next_due == task._due
            if verdict.next_due is not None:
                self.put(task, verdict.next_due)
            elif until is not None and terms.left != sum(part.state in (RUNNING, WAITING) for part in verdict.parts):
                self.put_off(task, until)
            elif not itself:
                task._final = True
        for part, run in made:
            task._mark = run.until
            if part.state in (RUNNING, WAITING):
                terms.left = None if terms.left is None else terms.left - 1
            self._file(task, part, run, now, turn)
        if task._final and is_over(task):  # it was missed
            self._registry.release(task)
        starts = any(part.state == RUNNING for part in verdict.parts)
        if itself and not (starts and task.method == method.sequential):
            turn.owing.append(task)

    def _blame(self, error: BaseException, task: Task, due: float, turn: Turn) -> None:
        """Park a task whose trigger has raised; never the loop."""
        if isinstance(error, MemoryError) or self.interrupted:  # the host's fault, not the trigger's
            raise error
        self.park(task, due, f"its trigger raised {brief(error)}", turn.closed)

    # -- fire times ----------------------------------------------------------------------------------------------

    def put(self, task: Task, due: float | None) -> None:
        """Enter a task at its next due time, with its jitter; None: there is none."""
        if due is None:
            task._final = True
            return
        terms, registry = task._terms, self._registry
        fire_at = due if terms is None else fire_time(registry.label(task), due, terms.policy)
        if task._trigger is None and not task._reschedules_itself:  # what runs once is kept while it is paused
            until = registry.paused_until if terms is None else max(terms.paused_until, registry.paused_until)
            fire_at = until if until > self._clock.now() and until > fire_at else fire_at
        registry.agenda.put(task, due, fire_at)

    def put_off(self, task: Task, until: float) -> None:
        """Let the search for a task's next fire, which found none before ``until``, go on at that time."""
        assert task._terms is not None
        said = none_until_in_words(until, zones.zone(task.timezone))
        log.warning(
            "%s: it waits for a fire time: %s; its trigger is asked again then", self._registry.label(task), said
        )
        task._terms.unfound = until
        self._registry.agenda.put(task, until)

    def place(
        self, task: Task, turn: Turn, ask: Callable[..., float | None], *args: Any, until: float | None = None
    ) -> None:
        """Enter a task at the time that ``ask(*args)`` returns; park it where that is none.

        ``until``: its trigger found none before that moment, and is asked again then.
        """
        try:
            due = ask(*args)
            if due is not None and not -math.inf < due < math.inf:
                raise InvalidValue(f"expected a time in POSIX seconds, or None, got {due!r}")
        except BaseException as error:
            self._blame(error, task, task._due or self._clock.now(), turn)
            return
        if due is None and until is not None:
            self.put_off(task, until)
            return
        self.put(task, due)
        if due is None:
            if task._terms is None or task._terms.left != 0:  # else it has had its runs, which was said
                log.warning("%s: it never fires: its last time is over", self._registry.label(task))
            self._registry.release(task)

    def place_slow(self, task: Task, turn: Turn, ask: Callable[..., float | None], *args: Any) -> None:
        """Place a task whose trigger may take long: called without the lock, which it takes."""
        due: float | None = None
        until: float | None = None
        fault: BaseException | None = None
        try:
            due = ask(*args)
            if due is None:
                until = task._none_until(self._clock.now())
        except BaseException as error:
            fault = error

        def answer() -> float | None:
            if fault is not None:
                raise fault
            return due

        with self._registry.lock:
            if not task._gone and task._entry is None:
                self.place(task, turn, answer, until=until)

    def park(self, task: Task, due: float, reason: str, closed: list[Run]) -> None:
        """Let a task fire no more, for a reason."""
        label = self._registry.label(task)
        log.error("%s: %s; it does not fire any more", label, reason)
        run = Run(label, due, state=SKIPPED)
        run.reason, run.ended = reason, self._clock.now()
        closed.append(run)
        task._final = True
        self._registry.release(task)
