"""Planner: from entries that are due to runs and next due times, and the fire times that entries get elsewhere.

::

    plan(now, batch)      what is due, at most 256 entries: plan.decide -> Agenda.put, under the engine's lock
    plan_slowly(...)       the same without the lock, for what may take long
    place(entry, ...)     a first fire time, at an add; before a start the entry waits for Placements.place_batch
    schedule(entry, due)  into the agenda, with jitter and pause; the loop is woken if it would sleep too long

What may take long is only done in :meth:`Planner.in_slow_code`: calling a custom trigger or one that is made of
triggers, and counting missed occurrences of a calendar.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

from tgscheduler.clock import Bell, Clock
from tgscheduler.engine.planned import PlannedBatch
from tgscheduler.engine.registry import Registry
from tgscheduler.engine.restore import Restore
from tgscheduler.errors import InvalidValue
from tgscheduler.logs import SafeLogger, brief, describe
from tgscheduler.timetable import zones
from tgscheduler.timetable.entry import CANCELLED, DECIDING, EXHAUSTED, PENDING, Entry
from tgscheduler.timetable.plan import (
    COUNTED_AT_ONCE,
    DecisionTuple,
    Placement,
    apply_overlap,
    decide,
    fire_time,
    first_placement,
    placement_after_stop,
    takes_long,
)
from tgscheduler.timetable.policy import method
from tgscheduler.timetable.run import SKIPPED, WAITING, Run
from tgscheduler.timetable.tasks import Rescheduler
from tgscheduler.timetable.trigger_phrases import none_until_in_words

log = SafeLogger(__name__)

T = TypeVar("T")

#: Maximum number of runs in one turn that wait or have ended; entries with limits beyond it are planned in the next.
MAX_BATCH_RUNS = 2048

#: Delay (seconds) after which an entry whose catch-up is being claimed is planned again.
CATCH_UP_DELAY = 0.05


class Planner:
    """Plans what is due, and gives entries their fire times."""

    def __init__(self, clock: Clock, registry: Registry, rescheduler: Rescheduler) -> None:
        self._clock = clock
        self._registry = registry
        self._rescheduler = rescheduler
        # Set by the lifecycle, at a start and after a stop.
        #: Task state from a persistent store; None: there is no such store.
        self.restore: Restore | None = None
        #: Labels of entries whose catch-up has been claimed and is not answered (kept by the claim queue): another
        #: process may have had a part of it, and a claim for what follows must not pass over the rest. They are planned
        #: after the answer.
        self.catching_up: Mapping[str, int] = {}
        # Set by the loop and its stop; ``started`` by the placements, when a start begins.
        #: Whether entries get fire times: from a start to the stop after it. Before, what is added waits.
        self.started = False
        #: The loop sleeps on this bell until then; minus infinity: it is awake, and will look by itself.
        self.bell: Bell | None = None
        self.wake_at = -math.inf
        #: Set by a stop: a task that reschedules itself waits for the next start.
        self.stopping = False
        #: A real Ctrl-C came: nothing that is raised is a trigger's fault any more.
        self.interrupted = False
        # Set by the planner itself, for health().
        #: The task in whose code the loop's thread is, since when (``clock.elapsed``), and which code; None: in none.
        self.in_user_code: tuple[str, float, str] | None = None
        #: How late (seconds) the first entry of the last turn was.
        self.lag = 0.0

    # -- what is due ---------------------------------------------------------------------------------------------

    def plan(self, now: float, batch: PlannedBatch) -> None:
        """Plan due entries in order. If planning fails, put the remaining ones back as due now."""
        registry = self._registry
        due = registry.agenda.pop_due(now)
        if not due:
            self.lag = 0.0
            return
        first = due[0].due
        assert first is not None
        self.lag = now - first
        all_paused_until, catching_up, apply = registry.paused_until, self.catching_up, self._apply
        planned = 0
        try:
            for entry in due:
                at, limits = entry.due, entry.limits
                assert at is not None
                special = limits is not None or catching_up or now - at > COUNTED_AT_ONCE
                if special and self._must_wait(entry, at, now, batch):
                    planned += 1
                    continue
                paused_until = all_paused_until
                if limits is not None and limits.paused_until > paused_until:
                    paused_until = limits.paused_until
                label = entry.task.name or entry.label or registry.label(entry)
                try:
                    decision = decide(entry, at, label, now, paused_until)
                except BaseException as error:
                    self.trigger_failed(error, entry, at, batch)
                else:
                    apply(entry, decision, now, batch)
                planned += 1
        except BaseException:
            for entry in due[planned:]:
                assert entry.due is not None
                registry.agenda.put(entry, entry.due)
            raise

    def _must_wait(self, entry: Entry, due: float, now: float, batch: PlannedBatch) -> bool:
        """Return whether an entry must not be planned now, or not under the lock; it is put where it waits for that."""
        registry = self._registry
        label = registry.label(entry)  # its runs are called so; the lock is not held later
        if label in self.catching_up:
            registry.agenda.put(entry, due, now + CATCH_UP_DELAY)
        elif takes_long(entry, due, now):
            batch.to_ask.append((entry, due))
        elif entry.limits is not None and len(batch.to_queue) + len(batch.not_run) >= MAX_BATCH_RUNS:
            registry.agenda.put(entry, due)
        else:
            return False
        return True

    def _apply(self, entry: Entry, decision: DecisionTuple, now: float, batch: PlannedBatch) -> None:
        """Carry out a decision: nothing can fail here, so the occurrence is disposed of as a whole."""
        runs, starts, following, unfound = decision
        if self.restore is not None:
            self.restore.assign_numbers(runs)
        limits, reschedules_itself = entry.limits, following is None and entry.task.self_rescheduling
        if entry.ticket is None:  # else it has been moved while its trigger was asked
            entry.manual_due = entry.manual_due and (following == entry.due or entry.trigger is None)
            if following is None:
                if unfound is not None:
                    self.search_again_at(entry, unfound)
                elif not reschedules_itself:
                    entry.state = EXHAUSTED
            elif limits is None and not (self._registry.paused_until > now and entry.one_shot):
                self._registry.agenda.put(entry, following)
            else:
                self._enter(entry, following)
        started = False
        for run in runs:
            entry.high_water = run.until
            if run.state != WAITING:
                run.ended = now
                batch.not_run.append(run)
                continue
            if limits is not None and limits.runs_left is not None:
                limits.runs_left -= 1
            if starts:
                starts -= 1
                started = True
                entry.last_run = run
                if limits is not None:
                    limits.in_flight.append(run)
                batch.to_start.append((entry, run))
            else:
                batch.to_queue.append((entry, run))
        if not started and entry.state is EXHAUSTED and entry.has_ended():  # it was missed
            self._registry.release(entry)
        if reschedules_itself and not (started and entry.task.method == method.sequential):
            batch.to_reschedule.append(entry)

    def plan_slowly(self, entry: Entry, due: float, now: float, batch: PlannedBatch) -> None:
        """Plan an entry without the lock, as that may take long."""
        label, limits = self.name_of(entry), entry.limits
        paused_until = max(-math.inf if limits is None else limits.paused_until, self._registry.paused_until)
        self.ask_slowly(
            entry,
            lambda: decide(entry, due, label, now, paused_until),
            lambda decision: self._apply(entry, decision, now, batch),
            due,
            batch,
        )

    def ask_slowly(
        self, entry: Entry, ask: Callable[[], T], then: Callable[[T], None], due: float, batch: PlannedBatch
    ) -> None:
        """Call ``ask`` without the lock, then ``then`` under it, unless the entry was cancelled meanwhile."""
        try:
            with self.in_slow_code(entry, "trigger"):
                answer = ask()
        except BaseException as error:
            with self._registry.lock:
                self.trigger_failed(error, entry, due, batch)
            return
        with self._registry.lock:
            if entry.state is not CANCELLED:
                then(answer)
            self._registry.version += 1

    def plan_request(self, entry: Entry, run: Run, now: float, batch: PlannedBatch) -> None:
        """Plan a run that was requested beside the timetable: only its overlap counts."""
        if batch.off_schedule is None:
            batch.off_schedule = PlannedBatch()
        batch, limits, running = batch.off_schedule, entry.limits, entry.running()
        waiting = 0 if limits is None else len(limits.queue)
        if apply_overlap([run], entry.policy, len(running), waiting, running[0] if running else None):
            entry.last_run = run
            if limits is not None:
                limits.in_flight.append(run)
            batch.to_start.append((entry, run))
        elif run.state == WAITING:
            entry.limited()
            batch.to_queue.append((entry, run))
        else:
            run.ended = now
            batch.not_run.append(run)

    def call_reschedule(self, entry: Entry) -> None:
        """Call a task's own ``reschedule``; if it raises or does not schedule the task, the entry is exhausted."""
        registry, task = self._registry, entry.task
        if entry.state is not DECIDING:
            return
        if self.stopping:
            with registry.lock:
                entry.state = PENDING
                registry.pending_start[entry] = 0.0
            return
        try:
            with self.in_slow_code(entry, "reschedule"):
                task.reschedule(self._rescheduler)
        except BaseException as error:
            reason = f"its reschedule raised {brief(error)}; the task ends"
            log.error("%s: %s\n%s", self.name_of(entry), reason, describe(error))
            if entry.last_run is not None:
                entry.last_run.reason = reason
        with registry.lock:
            if entry.state is DECIDING:
                entry.state = EXHAUSTED
                if entry.has_ended():
                    registry.release(entry)

    @contextmanager
    def in_slow_code(self, entry: Entry, what: str) -> Iterator[None]:
        """Note that the thread is in code that may take any time."""
        self.in_user_code = self.name_of(entry), self._clock.elapsed(), what
        try:
            yield
        finally:
            self.in_user_code = None

    def name_of(self, entry: Entry) -> str:
        """Return what a task is called, without the lock."""
        return entry.task.name or entry.label or "?"

    # -- fire times ----------------------------------------------------------------------------------------------

    def schedule(self, entry: Entry, due: float) -> None:
        """Enter an entry at its next due time, under the lock; wake the loop if it would sleep too long."""
        if entry.limits is None and self._registry.paused_until == -math.inf:
            self._registry.agenda.put(entry, due)  # the usual case
        else:
            self._enter(entry, due)
        if due < self.wake_at and self.bell is not None:
            self.wake_at = -math.inf
            self.bell.put(None)

    def _enter(self, entry: Entry, due: float) -> None:
        registry = self._registry
        fire_at = fire_time(registry.label(entry), due, entry.policy) if entry.policy.jitter else due
        if entry.one_shot:  # it is kept while it is paused
            until = registry.paused_until
            if entry.limits is not None:
                until = max(until, entry.limits.paused_until)
            fire_at = until if until > self._clock.now() and until > fire_at else fire_at
        registry.agenda.put(entry, due, fire_at)

    def place(self, entry: Entry, delay: float | None, now: float, asked: Placement | None = None) -> None:
        """Give an entry its first fire time, under the lock; before the start it waits for that.

        ``asked``: what a slow trigger has answered (:meth:`Placements.ask_first`).
        """
        if not self.started:
            if entry.ticket is not None:
                self._registry.agenda.cancel(entry)
            self._registry.pending_start[entry] = delay
            entry.state = PENDING
        elif entry.limits is None and delay is not None and self.restore is None and entry.made_trigger is None:
            self.schedule(entry, now + delay)  # an interval's grid begins here, and is made at its first use
        else:
            unfound = None
            if asked is None:
                due = self.find_first(entry, now, delay)
            else:
                entry.manual_due, due, unfound = asked.manual_due, asked.due, asked.unfound
            if self.restore is not None:
                self.restore.submit_saves()
            self.schedule_or_release(entry, due, unfound)

    def place_at(self, entry: Entry, due: float) -> None:
        """Enter an entry at an absolute time, under the lock, also before the start."""
        self._registry.pending_start.pop(entry, None)
        if entry.begins_grid:
            entry.trigger = None
            entry.due = due
        else:
            entry.manual_due = True
        self.schedule(entry, due)

    def find_first(self, entry: Entry, now: float, delay: float | None) -> float | None:
        """Return an entry's first due time: in ``delay`` seconds, or (None) by its trigger. Sets what it adopts."""
        return self.adopt_placement(entry, first_placement(entry, now, delay), now)

    def find_after_stop(self, entry: Entry, now: float) -> float | None:
        """Return the next due time of an entry that had one before a stop. Sets what it adopts."""
        return self.adopt_placement(entry, placement_after_stop(entry, now), now)

    def adopt_placement(self, entry: Entry, placement: Placement, now: float) -> float | None:
        """Set an entry's trigger and ``manual_due`` as placed; return when it is due: so, or by its record in a store.

        A record also sets the mark, the pause and the runs left. Called without the lock if the trigger is slow.
        """
        due, entry.trigger, entry.manual_due, _ = placement
        if self.restore is not None:
            due = self.restore.restored_due(entry, now, due)
        return due

    def schedule_or_release(self, entry: Entry, due: float | None, unfound: float | None = None) -> None:
        """Enter a placed entry; release one that never fires. ``unfound``: its search continues then."""
        if due is not None:
            self.schedule(entry, due)
            return
        if unfound is not None:
            self.search_again_at(entry, unfound)
            return
        if entry.limits is None or entry.limits.runs_left != 0:  # else it has had its runs, which was said
            log.warning("%s: it never fires: its last time is over", self._registry.label(entry))
        self._registry.release(entry)
        entry.state = EXHAUSTED

    def search_again_at(self, entry: Entry, until: float) -> None:
        """Continue the search for an entry's next fire time at ``until``: none was found before."""
        said = none_until_in_words(until, zones.zone(entry.task.timezone))
        label = self._registry.label(entry)
        log.warning("%s: it waits for a fire time: %s; its trigger is asked again then", label, said)
        entry.limited().unfound = until
        self._registry.agenda.put(entry, until)

    def reset_after_fork(self) -> None:
        """In a forked child: no loop runs here, and what is added waits for a start."""
        self.restore, self.catching_up, self.started, self.bell = None, {}, False, None

    # -- faults --------------------------------------------------------------------------------------------------

    def trigger_failed(self, error: BaseException, entry: Entry, due: float, batch: PlannedBatch) -> None:
        """Disable an entry whose trigger has raised; never end the loop."""
        if isinstance(error, MemoryError) or self.interrupted:  # the host's fault, not the trigger's
            raise error
        self.disable(entry, due, f"its trigger raised {brief(error)}", batch)

    def disable(self, entry: Entry, due: float, reason: str, batch: PlannedBatch) -> None:
        """Make an entry fire no more, and record the reason."""
        label = self._registry.label(entry)
        log.error("%s: %s; it does not fire any more", label, reason)
        run = Run(label, due, state=SKIPPED)
        run.reason, run.ended = reason, self._clock.now()
        batch.not_run.append(run)
        self._registry.release(entry)
        entry.state = EXHAUSTED


def check_due(due: float | None) -> float | None:
    """Return a trigger's result; raise InvalidValue unless it is a moment or None."""
    if due is not None and not -math.inf < due < math.inf:
        raise InvalidValue(f"expected a time in POSIX seconds, or None, got {due!r}")
    return due
