"""One task as the engine knows it: an Entry, with one explicit state.

::

    PENDING --start--> SCHEDULED --due--> DECIDING --> SCHEDULED | EXHAUSTED
    any --cancel--> CANCELLED
    EXHAUSTED, CANCELLED --added again--> PENDING

    EXHAUSTED, CANCELLED: released when its last run has ended

==========  ==========================================================================================
PENDING     it waits for the scheduler's start, or for its first fire time
SCHEDULED   it waits for ``due``, in the agenda
DECIDING    it was taken out of the agenda: its trigger is called, or it reschedules itself later
EXHAUSTED   no occurrence follows the last one
CANCELLED   it was cancelled
==========  ==========================================================================================

Entries are written under the engine's lock, by the registry, the agenda, the planner, placements, the clock step,
control and restore. ``last_run``, ``limits.in_flight`` and ``limits.queue`` belong to the loop's thread. An entry with
a slow trigger is placed without the lock.
"""

import enum
import math
from collections import deque
from typing import Any

from tgscheduler import clock as clocks
from tgscheduler.timetable.intervals import Interval
from tgscheduler.timetable.policy import DEFAULT_POLICY, Policy
from tgscheduler.timetable.run import Run
from tgscheduler.timetable.tasks import IntervalTask, SchedulerContext, Task, options_of
from tgscheduler.timetable.triggers import Trigger, is_quick


class EntryState(enum.Enum):
    """The states of an entry; see the table above."""

    PENDING = "pending"
    SCHEDULED = "scheduled"
    DECIDING = "deciding"
    EXHAUSTED = "exhausted"
    CANCELLED = "cancelled"


PENDING, SCHEDULED, DECIDING, EXHAUSTED, CANCELLED = EntryState

#: The legal moves. A move to the same state is one as well: a waiting task is moved to another time.
MOVES: dict[EntryState, tuple[EntryState, ...]] = {
    PENDING: (PENDING, SCHEDULED, DECIDING, EXHAUSTED, CANCELLED),
    SCHEDULED: (SCHEDULED, DECIDING, PENDING, EXHAUSTED, CANCELLED),
    DECIDING: (SCHEDULED, PENDING, EXHAUSTED, CANCELLED),
    EXHAUSTED: (PENDING, EXHAUSTED, CANCELLED),
    CANCELLED: (PENDING, CANCELLED),
}


class Limits:
    """Bounds and counts of an entry that has any; most have none (``entry.limits`` is None)."""

    __slots__ = (
        "end", "given_trigger", "in_flight", "paused_until", "queue", "runs_left", "slow_trigger", "start", "unfound"
    )  # fmt: skip

    def __init__(self) -> None:
        #: The first and the last moment at which it may fire (POSIX seconds).
        self.start: float | None = None
        self.end = math.inf
        #: A trigger that was given, in place of what the task's class makes of its arguments.
        self.given_trigger: Trigger | None = None
        #: Whether that trigger may take long: a custom one, or one made of several.
        self.slow_trigger = False
        #: Up to here the trigger found no fire time. If the entry is due then, it does not fire: the search continues.
        self.unfound: float | None = None
        #: Nothing runs before this moment (minus infinity: it is not paused).
        self.paused_until = -math.inf
        #: How many runs are left; None: no bound.
        self.runs_left: int | None = None
        #: Runs that were taken from the timetable and have not ended: they count for overlap, whether they have begun
        #: or wait for a claim, a thread or their next attempt.
        self.in_flight: list[Run] = []
        #: Occurrences that wait for those.
        self.queue: deque[tuple[Entry, Run]] = deque()

    def give_trigger(self, trigger: Trigger) -> None:
        """Fire by this trigger."""
        self.given_trigger, self.slow_trigger, self.unfound = trigger, not is_quick(trigger), None

    def running(self) -> list[Run]:
        """Return the runs in flight."""
        self.in_flight = [run for run in self.in_flight if run.ended is None]
        return self.in_flight

    @property
    def idle(self) -> bool:
        """Whether nothing of it runs or waits any more."""
        return all(run.ended is not None for run in self.in_flight) and not self.queue


class Entry:
    """One task of one scheduler. A task that comes back to the same scheduler has the same entry again."""

    __slots__ = (
        "added_at", "context", "due", "high_water", "label", "label_pool", "last_run", "limits", "made_trigger",
        "manual_due", "policy", "state", "task", "ticket",
    )  # fmt: skip

    #: When it is due next, or was last (POSIX seconds); None: it had no fire time yet.
    due: float | None
    #: Its place in the agenda; None: it has none.
    ticket: list[Any] | None
    #: The name of a task that has none, and the pool that it comes from.
    label: str | None
    label_pool: Any
    last_run: Run | None
    #: Its trigger as far as it was made: an interval's is made at its first use.
    made_trigger: Trigger | None
    limits: Limits | None
    policy: Policy

    def __init__(self, task: Task, context: SchedulerContext, now: float) -> None:
        self.task = task
        self.context = context
        self.added_at = now
        self.state = PENDING
        #: Whether ``due`` was set by ``schedule_task``, and not by the trigger.
        self.manual_due = False
        #: The last due time that was planned: what came due until then does not run again.
        self.high_water = 0.0
        self.policy = DEFAULT_POLICY
        self.due = self.ticket = self.label = self.label_pool = self.last_run = self.made_trigger = self.limits = None
        if task.has_trigger or context.policy is not DEFAULT_POLICY or task.chosen_options is not None:
            self.adopt()

    def adopt(self) -> None:
        """Take over the scheduler's zone and policy as they are now: before the first fire time, and at each start."""
        task, context, limits = self.task, self.context, self.limits
        options = options_of(task)
        before = self.policy
        if options.choices or context.policy is not DEFAULT_POLICY or before is not DEFAULT_POLICY:
            self.policy = options.policy(context.policy)
        given = task.given_trigger
        if self.policy is not before or given is not None or options.start is not None or options.end != math.inf:
            limits = self.limited()
            limits.start, limits.end = options.start, options.end
            if given is not None and limits.given_trigger is None:
                limits.give_trigger(given)
            if self.policy.max_runs != before.max_runs or limits.runs_left is None:
                limits.runs_left = self.policy.max_runs
        if limits is not None and limits.given_trigger is not None:
            self.made_trigger = limits.given_trigger
        elif task.has_trigger:  # otherwise the host's zone, which is read from files, is not needed
            self.made_trigger = task.make_trigger(options.timezone or context.timezone or clocks.local_zone())

    def limited(self) -> Limits:
        """Return the limits; make them if there are none yet."""
        if self.limits is None:
            self.limits = Limits()
        return self.limits

    # -- when it fires -------------------------------------------------------------------------------------------

    @property
    def trigger(self) -> Trigger | None:
        """When it fires; None for what runs once, and for an interval that had no fire time yet.

        An interval's grid begins at its first due time and is made at its first use: most adds never pay for it
        (docs/design/0009).
        """
        trigger = self.made_trigger
        if trigger is None and self.due is not None and self.task.has_interval:
            trigger = self.made_trigger = self.grid(self.due)
        return trigger

    @trigger.setter
    def trigger(self, trigger: Trigger | None) -> None:
        self.made_trigger = trigger

    @property
    def begins_grid(self) -> bool:
        """Whether its first due time begins its grid: an interval task without another trigger."""
        return self.task.has_interval and (self.limits is None or self.limits.given_trigger is None)

    @property
    def one_shot(self) -> bool:
        """Whether it runs once."""
        return self.made_trigger is None and not self.task.has_interval and not self.task.self_rescheduling

    @property
    def counts_seconds(self) -> bool:
        """Whether its due time is a number of real seconds after it was added, and no time of day."""
        return self.trigger is None and not self.manual_due

    @property
    def handles_exceptions(self) -> bool:
        """Whether the task's class overrides ``handle_exception``."""
        return type(self.task).handle_exception is not Task.handle_exception

    @property
    def slow_trigger(self) -> bool:
        """Whether its trigger may take long: it is never called under the engine's lock."""
        return self.limits is not None and self.limits.slow_trigger

    @property
    def is_unfound(self) -> bool:
        """Whether its due time is no fire time: the search for one continues there."""
        return self.limits is not None and self.limits.unfound is not None and self.limits.unfound == self.due

    @property
    def next_due(self) -> float | None:
        """When it is due next; None while it waits for no time, or none is found yet."""
        return self.due if self.state is SCHEDULED and not self.is_unfound else None

    def interval_changed(self) -> None:
        """Follow a new ``interval`` of the task, from the next run on."""
        if self.begins_grid and self.due is not None:
            anchor = self.made_trigger.anchor if isinstance(self.made_trigger, Interval) else self.due
            self.made_trigger = self.grid(self.due if self.state is SCHEDULED else anchor)

    def shift_unplaced(self, seconds: float) -> None:
        """Follow a step of the wall clock while it has no place in the agenda, but may come due again."""
        if self.ticket is None and self.due is not None and self.counts_seconds:
            self.due += seconds

    def grid(self, anchor: float) -> Interval:
        """Return the grid of an interval task that begins at ``anchor``."""
        assert isinstance(self.task, IntervalTask)
        return Interval.sound(self.task.interval, anchor)

    # -- what runs -----------------------------------------------------------------------------------------------

    @property
    def paused(self) -> bool:
        """Whether it is paused at this moment."""
        return self.limits is not None and self.limits.paused_until > self.context.clock.now()

    def running(self) -> list[Run]:
        """Return the runs in flight: taken from the timetable, begun or not, and not ended."""
        running = [] if self.limits is None else self.limits.running()
        last = self.last_run
        if last is not None and last.ended is None and last not in running:
            running.append(last)  # from before it had limits
        return running

    def has_ended(self) -> bool:
        """Return whether no occurrence follows, and the last one has ended: its name is free."""
        return (
            (self.state is EXHAUSTED or self.state is CANCELLED)
            and (self.last_run is None or self.last_run.ended is not None)
            and (self.limits is None or self.limits.idle)
        )

    def forget_runs(self) -> None:
        """Drop the runs in flight: in a forked copy they belong to the parent."""
        if self.last_run is not None and self.last_run.ended is None:
            self.last_run = None
        if self.limits is not None:
            self.limits.in_flight, self.limits.queue = [], deque()
