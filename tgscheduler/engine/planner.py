"""Planner: from entries that are due to runs and next due times, and the fire times that entries get elsewhere.

::

    plan(now, batch)      what is due, at most 256 entries: plan.decide -> Agenda.put, under the engine's lock
    ask(entry, ...)       the same for a trigger from outside of this package, without the lock
    place(entry, ...)     a first fire time, at an add or a start
    schedule(entry, due)  into the agenda, with jitter and pause; the loop is woken if it would sleep too long

A trigger from outside of this package is only asked in :meth:`Planner.in_custom_code`.
"""

import functools
import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from tgscheduler.clock import Bell, Clock
from tgscheduler.engine.planned import PlannedBatch
from tgscheduler.engine.registry import Registry
from tgscheduler.engine.restore import Restore
from tgscheduler.errors import InvalidValue
from tgscheduler.logs import SafeLogger, brief, describe
from tgscheduler.timetable.entry import CANCELLED, DECIDING, EXHAUSTED, PENDING, Entry
from tgscheduler.timetable.plan import (
    Decision,
    Placement,
    apply_overlap,
    decide,
    fire_time,
    first_placement,
    next_due,
    placement_after_stop,
)
from tgscheduler.timetable.policy import PLAIN, method
from tgscheduler.timetable.realtime import Interval
from tgscheduler.timetable.run import SKIPPED, WAITING, Run
from tgscheduler.timetable.tasks import Rescheduler

log = SafeLogger(__name__)

T = TypeVar("T")

Find = Callable[..., float | None]
Placing = tuple[Entry, Find, tuple[Any, ...]]
"""An entry that is to be placed, and what finds its due time: a function of it and of these arguments."""

#: Maximum number of entries that a start places in one hold of the lock.
PLACE_BATCH = 1024


class Planner:
    """Plans what is due, and gives entries their fire times."""

    def __init__(self, clock: Clock, registry: Registry, rescheduler: Rescheduler) -> None:
        self._clock = clock
        self._registry = registry
        self._rescheduler = rescheduler
        #: What a persistent store knows; None: nothing.
        self.restore: Restore | None = None
        #: Whether entries get fire times: from a start to the stop after it. Before, what is added waits.
        self.started = False
        #: The loop sleeps on this bell until then; minus infinity: it is awake, and will look by itself.
        self.bell: Bell | None = None
        self.wake_at = -math.inf
        #: Set by a stop: a task that reschedules itself waits for the next start.
        self.stopping = False
        #: A real Ctrl-C came: nothing that is raised is a trigger's fault any more.
        self.interrupted = False
        #: Whose code the loop's thread is in, since when (``clock.elapsed``), and what of it.
        self.in_user_code: tuple[str, float, str] | None = None
        #: How late (seconds) the first entry of the last turn was.
        self.lag = 0.0
        self._to_place: deque[Placing] = deque()

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
        i, all_paused_until, plan_entry = 0, registry.paused_until, self._plan_entry
        try:
            for entry in due:
                plan_entry(entry, now, all_paused_until, batch)
                i += 1
        except BaseException:
            for entry in due[i:]:
                assert entry.due is not None
                registry.agenda.put(entry, entry.due)
            raise

    def _plan_entry(self, entry: Entry, now: float, paused_until: float, batch: PlannedBatch) -> None:
        limits, due = entry.limits, entry.due
        assert due is not None
        if limits is not None:
            if limits.custom_trigger:
                batch.to_ask.append((entry, due))
                return
            if limits.paused_until > paused_until:
                paused_until = limits.paused_until
        label = entry.task.name or entry.label or self._registry.label(entry)
        try:
            decision = decide(entry, due, label, now, paused_until)
        except BaseException as error:
            self._trigger_failed(error, entry, due, batch)
            return
        self._apply(entry, decision, now, batch)

    def _apply(self, entry: Entry, decision: Decision, now: float, batch: PlannedBatch) -> None:
        """Do what was decided: what can fail is over, and the occurrence is disposed of as a whole."""
        runs, starts, following = decision
        itself, limits = entry.task.self_rescheduling, entry.limits
        if entry.ticket is None:  # else it has been moved while its trigger was asked
            entry.manual_due = entry.manual_due and following == entry.due
            if following is None:
                if not itself:
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
                batch.closed.append(run)
                continue
            if limits is not None and limits.runs_left is not None:
                limits.runs_left -= 1
            if starts:
                starts -= 1
                started = True
                entry.last_run = run
                if limits is not None:
                    limits.in_flight.append(run)
                batch.started.append((entry, run))
            else:
                batch.queued.append((entry, run))
        if entry.state is EXHAUSTED and entry.has_ended():  # it was missed
            self._registry.release(entry)
        if itself and not (started and entry.task.method == method.sequential):
            batch.to_reschedule.append(entry)

    def ask(self, entry: Entry, due: float, now: float, batch: PlannedBatch) -> None:
        """Plan an entry with a custom trigger, without the lock."""
        label, limits = self.name_of(entry), entry.limits
        paused_until = max(-math.inf if limits is None else limits.paused_until, self._registry.paused_until)
        self._ask_custom(
            entry,
            lambda: decide(entry, due, label, now, paused_until),
            lambda decision: self._apply(entry, decision, now, batch),
            due,
            batch,
        )

    def _ask_custom(
        self, entry: Entry, ask: Callable[[], T], then: Callable[[T], None], due: float, batch: PlannedBatch
    ) -> None:
        """Ask custom code without the lock; then do what follows under it, unless the entry was cancelled meanwhile."""
        try:
            with self.in_custom_code(entry, "trigger"):
                answer = ask()
        except BaseException as error:
            with self._registry.lock:
                self._trigger_failed(error, entry, due, batch)
            return
        with self._registry.lock:
            if entry.state is not CANCELLED:
                then(answer)

    def plan_request(self, entry: Entry, run: Run, now: float, batch: PlannedBatch) -> None:
        """Plan a run that was asked for beside the timetable: only its overlap counts."""
        if batch.requested is None:
            batch.requested = PlannedBatch()
        batch, limits, running = batch.requested, entry.limits, entry.running()
        waiting = 0 if limits is None else len(limits.queue)
        if apply_overlap([run], entry.policy, len(running), waiting, running[0] if running else None):
            entry.last_run = run
            if limits is not None:
                limits.in_flight.append(run)
            batch.started.append((entry, run))
        elif run.state == WAITING:
            entry.limited()
            batch.queued.append((entry, run))
        else:
            run.ended = now
            batch.closed.append(run)

    def call_reschedule(self, entry: Entry) -> None:
        """Let a task of a foreign class schedule itself; one that does not, or raises, has had its last occurrence."""
        registry, task = self._registry, entry.task
        if entry.state is not DECIDING:
            return
        if self.stopping:
            with registry.lock:
                entry.state = PENDING
                registry.pending_start[entry] = 0.0
            return
        try:
            with self.in_custom_code(entry, "reschedule"):
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
    def in_custom_code(self, entry: Entry, what: str) -> Iterator[None]:
        """Note that the thread is in code from outside of this package, which may take any time."""
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
            self._registry.agenda.put(entry, due)  # what nearly every call has
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

        ``asked``: what a custom trigger has answered (:meth:`ask_first`).
        """
        if not self.started:
            self.wait_for_start(entry, delay)
        elif entry.limits is None and delay is not None and self.restore is None and entry.begins_grid:
            entry.trigger = None  # its grid begins here, and is made at its first use
            self.schedule(entry, now + delay)
        else:
            if asked is None:
                due = self._find_first(entry, now, delay)
            else:
                entry.manual_due, due = asked.manual_due, asked.due
            if self.restore is not None:
                self.restore.flush_saves()
            self._put(entry, due)

    def wait_for_start(self, entry: Entry, delay: float | None) -> None:
        """Let an entry wait for the scheduler's start."""
        self._registry.agenda.cancel(entry)
        self._registry.pending_start[entry] = delay
        entry.state = PENDING

    def place_at(self, entry: Entry, due: float) -> None:
        """Enter an entry at an absolute time, under the lock, also before the start."""
        self._registry.pending_start.pop(entry, None)
        if entry.begins_grid:
            entry.trigger = None
            entry.due = due
        else:
            entry.manual_due = True
        self.schedule(entry, due)

    def ask_first(self, entry: Entry, delay: float | None) -> Placement:
        """Return the first fire time of an entry with a custom trigger, without the lock; raise InvalidValue."""
        now = self._clock.now()
        try:
            placement = first_placement(entry, now, delay)
            if self.started and self.restore is not None:
                with self._registry.lock:
                    self._registry.label(entry)  # what is known is looked up by it
                placement = placement._replace(due=self._restored(entry, placement, now))
            _check_due(placement.due)
        except Exception as error:
            raise InvalidValue(f"{entry.task!r}: its trigger raised {brief(error)}") from error
        return placement

    def _find_first(self, entry: Entry, now: float, delay: float | None) -> float | None:
        return self._restored(entry, first_placement(entry, now, delay), now)

    def _find_after_stop(self, entry: Entry, now: float) -> float | None:
        return self._restored(entry, placement_after_stop(entry, now), now)

    def _restored(self, entry: Entry, placement: Placement, now: float) -> float | None:
        """Return when an entry is due, as placed or as a persistent store knows better."""
        due, entry.trigger, entry.manual_due = placement
        if self.restore is not None:
            due = self.restore.restored_due(entry, now, due)
        return due

    def _put(self, entry: Entry, due: float | None) -> None:
        """Enter a placed entry; release one that never fires."""
        if due is not None:
            self.schedule(entry, due)
            return
        if entry.limits is None or entry.limits.runs_left != 0:  # else it has had its runs, which was said
            log.warning("%s: it never fires: its last time is over", self._registry.label(entry))
        self._registry.release(entry)
        entry.state = EXHAUSTED

    # -- many at a time: a start, a step of the clock ------------------------------------------------------------

    def begin_placing(self, now: float) -> int:
        """Begin to give every entry that waits its first fire time, under the lock; return how many there are.

        :meth:`place_waiting` does it, batch by batch: what is due fires before the last one is placed.
        """
        registry = self._registry
        # After a start that was stopped before it had placed all, the rest of those that had a time is still here.
        left = [entry for entry, find, _ in self._to_place if find == self._find_after_stop and entry.ticket is None]
        self._to_place = deque((entry, self._find_after_stop, (now,)) for entry in [*left, *registry.agenda.clear()])
        self._to_place.extend(
            (entry, self._find_first, (now, delay)) for entry, delay in registry.pending_start.items()
        )
        if self.restore is not None:  # labels are numbered in the order in which tasks were added, at each start
            for entry, _, _ in self._to_place:
                registry.label(entry)
        registry.uptimes.append([now, math.inf])
        self.started = True
        return len(self._to_place)

    @property
    def placing(self) -> bool:
        """Whether a start has not placed all entries yet."""
        return bool(self._to_place)

    def place_waiting(self, now: float, batch: PlannedBatch) -> list[Placing]:
        """Place the next entries of a start, under the lock; return those with a custom trigger."""
        pending, take, plain = self._registry.pending_start, self._to_place.popleft, self.restore is None
        default_policy = self._registry.context.policy is PLAIN
        waiting: list[Placing] = []
        for _ in range(min(PLACE_BATCH, len(self._to_place))):
            placing = take()
            entry, _, arguments = placing
            if entry.state is CANCELLED or entry.ticket is not None:
                continue  # it was cancelled or moved since the start began
            pending.pop(entry, None)
            if plain and len(arguments) == 2 and entry.limits is None and entry.begins_grid and default_policy:
                entry.trigger = None
                self.schedule(entry, arguments[0] + (arguments[1] or 0.0))
            else:
                entry.adopt()  # the zone and the policy may have been set since
                waiting.append(placing)
        return self.place_all(waiting, now, batch)

    def place_all(self, waiting: Iterable[Placing], now: float, batch: PlannedBatch) -> list[Placing]:
        """Place entries, under the lock; return those with a custom trigger, for :meth:`place_custom`."""
        custom: list[Placing] = []
        for placing in waiting:
            entry, find, arguments = placing
            if entry.custom_trigger:
                custom.append(placing)
                continue
            try:
                due = _check_due(find(entry, *arguments))
            except BaseException as error:
                self._trigger_failed(error, entry, entry.due or now, batch)
            else:
                self._put(entry, due)
        return custom

    def place_custom(self, waiting: Iterable[Placing], now: float, batch: PlannedBatch) -> None:
        """Place entries with a custom trigger, without the lock."""
        for entry, find, arguments in waiting:
            self._ask_custom(
                entry,
                functools.partial(find, entry, *arguments),
                functools.partial(self._put_unmoved, entry),
                entry.due or now,
                batch,
            )

    def _put_unmoved(self, entry: Entry, due: float | None) -> None:
        if entry.ticket is None:  # else it has been put elsewhere while its trigger was asked
            self._put(entry, _check_due(due))

    def adopt_anchor(self, entry: Entry, anchor: float) -> None:
        """Move a waiting interval onto the grid of another process, so that each occurrence is claimed by one."""
        with self._registry.lock:
            trigger = entry.trigger
            if entry.ticket is not None and isinstance(trigger, Interval):
                entry.trigger = trigger = Interval.sound(trigger.seconds, anchor)
                due = next_due(entry, trigger, math.nextafter(self._clock.now(), -math.inf))
                if due is not None:
                    self.schedule(entry, due)

    def reset_after_fork(self) -> None:
        """In a forked child: no loop runs here, and what is added waits for a start."""
        self.restore, self.started, self.bell = None, False, None

    # -- faults --------------------------------------------------------------------------------------------------

    def _trigger_failed(self, error: BaseException, entry: Entry, due: float, batch: PlannedBatch) -> None:
        """Disable an entry whose trigger has raised; never end the loop."""
        if isinstance(error, MemoryError) or self.interrupted:  # the host's fault, not the trigger's
            raise error
        self.disable(entry, due, f"its trigger raised {brief(error)}", batch)

    def disable(self, entry: Entry, due: float, reason: str, batch: PlannedBatch) -> None:
        """Let an entry fire no more, for a reason that is on record."""
        label = self._registry.label(entry)
        log.error("%s: %s; it does not fire any more", label, reason)
        run = Run(label, due, state=SKIPPED)
        run.reason, run.ended = reason, self._clock.now()
        batch.closed.append(run)
        self._registry.release(entry)
        entry.state = EXHAUSTED


def _check_due(due: float | None) -> float | None:
    if due is not None and not -math.inf < due < math.inf:
        raise InvalidValue(f"expected a time in POSIX seconds, or None, got {due!r}")
    return due
