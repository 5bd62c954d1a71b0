"""Claims: runs wait here until the store has committed their claim.

::

    submit(batch) -> store.claim -> (the store's thread commits, and rings the bell) -> take_results() -> start

A run starts only after that, so that a process killed at any moment leaves no start without a record; a run that is on
record already, as in another process, is dropped. If the store does not answer in time, or is down, runs start without
their claim if ``run_unclaimed`` is set and no other process can be using the store: it writes their claims once it is
back.
"""

import math
from collections import deque
from collections.abc import Sequence
from typing import Any

from tgscheduler.clock import Clock
from tgscheduler.engine.planned import PlannedBatch, RefusedMark
from tgscheduler.events import Events
from tgscheduler.executors.stage import Occurrence, Stage
from tgscheduler.logs import SafeLogger
from tgscheduler.stores.base import Claim, ClaimResult, PersistentStore, StoreStatus
from tgscheduler.timetable.entry import Entry
from tgscheduler.timetable.run import Run
from tgscheduler.timetable.trigger_phrases import stamp
from tgscheduler.timetable.zones import zone

log = SafeLogger(__name__)

#: Maximum number of runs whose claims are pending: a slow store leads to fewer runs, not to a long queue.
MAX_PENDING_RUNS = 2048

#: Maximum number of runs in one claim: an entry that makes up for more gets several claims.
MAX_CLAIM_RUNS = 512

#: The reason of a run whose claim was refused, and of one that was refused as its claim was early.
TAKEN = "it has run before, or in another process"
EARLY = "this process's clock is ahead of the store's; it comes due again once it is not"

#: A mark that is more than this (seconds) in the future is reported: occurrences before it do not run.
FUTURE_TOLERANCE = 5.0


class PendingClaim:
    """The runs that one turn has planned for one task, until the store has committed their claim."""

    __slots__ = ("claim", "not_run", "since", "to_queue", "to_start")

    def __init__(self, since: float) -> None:
        self.claim: Claim | None = None
        self.since = since
        self.to_start: list[Occurrence] = []
        self.to_queue: list[Occurrence] = []
        self.not_run: list[Run] = []

    @property
    def occurrences(self) -> list[Occurrence]:
        """The occurrences to start or to queue."""
        return [*self.to_start, *self.to_queue] if self.to_queue else self.to_start

    def parts(self) -> "list[PendingClaim]":
        """Return it in parts of at most MAX_CLAIM_RUNS runs, in the order of their due times."""
        if len(self.to_start) + len(self.to_queue) + len(self.not_run) <= MAX_CLAIM_RUNS:
            return [self]
        filed: list[tuple[float, str, Any]] = [(run.due, "to_start", (entry, run)) for entry, run in self.to_start]
        filed += [(run.due, "to_queue", (entry, run)) for entry, run in self.to_queue]
        filed += [(run.due, "not_run", run) for run in self.not_run]
        filed.sort(key=lambda item: item[0])
        parts = []
        for place in range(0, len(filed), MAX_CLAIM_RUNS):
            part = PendingClaim(self.since)
            for _, kind, item in filed[place : place + MAX_CLAIM_RUNS]:
                getattr(part, kind).append(item)
            parts.append(part)
        return parts

    def make_claim(self, off_schedule: bool) -> Claim:
        """Return the claim for all its runs."""
        opened = [run for _, run in self.occurrences]
        runs = [*opened, *self.not_run] if self.not_run else opened
        first = runs[0]
        if len(runs) == 1:
            due, until = first.due, first.until
        else:
            due, until = min(run.due for run in runs), max(run.until for run in runs)
        self.claim = Claim(first.task, due, until, opened, self.not_run, off_schedule)
        return self.claim

    @property
    def is_unnamed_one_shot(self) -> bool:
        """Whether it belongs to a one-shot task without a name: the next task with that label is another one."""
        return bool(self.occurrences) and self.occurrences[0][0].task.name is None and self.occurrences[0][0].one_shot


class ClaimResults:
    """What the store has committed: runs to start or queue, runs that do not run, and claims that were refused."""

    __slots__ = ("batch", "due_again", "marks", "not_run", "orphans", "refused")

    def __init__(self) -> None:
        self.batch = PlannedBatch()
        #: Those that do not run, which their claim has put on record.
        self.not_run: list[Run] = []
        #: Each with the reason in its run.
        self.refused: list[Occurrence] = []
        #: The marks on record of entries whose claims were refused, in the order of the claims.
        self.marks: list[RefusedMark] = []
        #: Entries with occurrences after the mark on record, which were refused with the others.
        self.due_again: list[Entry] = []
        #: Runs that were in flight in processes that have ended.
        self.orphans: list[Run] = []


class ClaimQueue(Stage):
    """Occurrences whose claim is not committed yet."""

    def __init__(
        self,
        clock: Clock,
        handed_back: deque[Occurrence],
        store: PersistentStore,
        events: Events,
        timeout: float,
        run_unclaimed: bool,
    ) -> None:
        super().__init__(clock, handed_back)
        self._store = store
        self._events = events
        self._timeout = timeout
        self._run_unclaimed = run_unclaimed
        self.down = self._clock_ahead = False
        self._results: deque[list[ClaimResult]] = deque()
        self._orphans: deque[list[Run]] = deque()
        self._too_early: set[Entry] = set()  # refused as our clock was ahead of the store's; due again after that
        self._future_marks: dict[str, float] = {}  # of tasks that are on record as run until a future time
        self._pending: dict[int, PendingClaim] = {}  # by the id() of their claim: the store returns the same objects
        self._runs_pending = 0
        self._timed_out: dict[int, PendingClaim] = {}  # continued without an answer
        #: Number of pending claims of more than one occurrence, by task.
        self.catching_up: dict[str, int] = {}

    # -- called in the store's own thread ------------------------------------------------------------------------

    def on_claimed(self, results: list[ClaimResult]) -> None:
        """Take the claims that the store has committed."""
        self._results.append(results)
        if self.bell is not None:
            self.bell.put(None)

    def on_orphans(self, runs: list[Run]) -> None:
        """Take runs whose process has ended."""
        self._orphans.append(runs)
        if self.bell is not None:
            self.bell.put(None)

    def on_status(self, status: StoreStatus) -> None:
        """Wake the loop, as the store went down or came back."""
        if self.bell is not None:
            self.bell.put(None)

    # -- called in the loop's thread -----------------------------------------------------------------------------

    @property
    def at_capacity(self) -> bool:
        """Whether so many runs wait for the store that nothing is planned; what comes due meanwhile is late."""
        return self._runs_pending >= MAX_PENDING_RUNS

    @property
    def timeout_left(self) -> float:
        """Seconds until the oldest claim times out and its runs start without it, infinity if none will."""
        if not self._pending or not self._starts_unclaimed:
            return math.inf
        oldest = next(iter(self._pending.values()))
        return max(0.0, oldest.since + self._timeout - self.clock.elapsed())

    @property
    def _starts_unclaimed(self) -> bool:
        """Whether runs start without their claim when the store does not answer."""
        return self._run_unclaimed and self._store.alone()

    def flush(self) -> bool:
        """Wait until the store has answered all claims, for virtual clocks; return whether there was any."""
        return bool(self._pending) and self._store.flush(10.0)

    def submit(self, batch: PlannedBatch, off_schedule: bool = False) -> None:
        """Submit claims for planned runs to the store, and empty the batch."""
        to_start, to_queue, not_run = batch.to_start, batch.to_queue, batch.not_run
        batch.to_start, batch.to_queue, batch.not_run = [], [], []
        if self._closed:  # stopped while custom code delayed this turn
            self.hold([*to_start, *to_queue])
            return
        now = self.clock.elapsed()
        claims: dict[object, PendingClaim] = {}

        def claim_of(run: Run) -> PendingClaim:
            key = id(run) if off_schedule else run.task
            found = claims.get(key)
            if found is None:
                found = claims[key] = PendingClaim(now)
            return found

        for occurrence in to_start:
            claim_of(occurrence[1]).to_start.append(occurrence)
            self.waiting[occurrence[1]] = occurrence
        for occurrence in to_queue:
            claim_of(occurrence[1]).to_queue.append(occurrence)
            self.waiting[occurrence[1]] = occurrence
        for run in not_run:
            claim_of(run).not_run.append(run)
        made: list[Claim] = []
        for whole in claims.values():
            for pending in whole.parts():
                claim = pending.make_claim(off_schedule or pending.is_unnamed_one_shot)
                self._pending[id(claim)] = pending
                self._runs_pending += _size(claim)
                if _is_catch_up(claim):
                    self.catching_up[claim.task] = self.catching_up.get(claim.task, 0) + 1
                made.append(claim)
        self._store.claim(made)
        if self._closed:
            self.close()

    def on_clock_step(self, seconds: float) -> None:
        """Follow a step of the wall clock: what may come due again is in no agenda now."""
        asked = {entry for pending in self._pending.values() for entry, _ in pending.occurrences}
        for entry in self._too_early | asked:
            entry.shift_unplaced(seconds)

    def take_results(self) -> ClaimResults | None:
        """Return the results since the last call, and what has timed out; None if there are none."""
        self._publish_status()
        results = None
        while self._results:
            results = results or ClaimResults()
            for result in self._results.popleft():
                pending = self._pending.pop(id(result.claim), None)
                if pending is not None:
                    self._note_answered(result.claim)
                    self._take(pending, result, results)
                else:
                    self._check_late_result(self._timed_out.pop(id(result.claim), None), result)
        if self._too_early and not self._clock_ahead:
            results = results or ClaimResults()
            results.due_again += self._too_early
            self._too_early.clear()
        while self._orphans:
            results = results or ClaimResults()
            results.orphans += self._orphans.popleft()
        if self._pending and self._starts_unclaimed:
            results = self._time_out(results)
        return results

    def _publish_status(self) -> None:
        status = self._store.status()
        down = status.down is not None
        self._clock_ahead = status.skew > 0.0
        if down != self.down:
            self.down = down
            self._events.publish("store-down" if down else "store-up", **status._asdict())

    def _note_answered(self, claim: Claim) -> None:
        """Note that a claim is no longer pending."""
        self._runs_pending -= _size(claim)
        if _is_catch_up(claim):
            self.catching_up[claim.task] -= 1
            if not self.catching_up[claim.task]:
                del self.catching_up[claim.task]

    def _take(self, pending: PendingClaim, result: ClaimResult, results: ClaimResults) -> None:
        claim = result.claim
        if result.granted:
            results.batch.to_start += self._release(pending.to_start)
            results.batch.to_queue += self._release(pending.to_queue)
            results.not_run += pending.not_run
            if self._future_marks and self._future_marks.pop(claim.task, None) is not None:
                self._report_future_marks()
            return
        beyond, reason = claim.until > result.high_water, EARLY if result.early else TAKEN
        for entry, run in self._release(pending.occurrences):
            if result.early or not claim.off_schedule:
                results.marks.append(RefusedMark(entry, result.high_water, beyond, result.early))
            if result.early:
                self._too_early.add(entry)
            elif not claim.off_schedule and beyond and entry not in results.due_again:
                results.due_again.append(entry)
            run.reason = reason
            results.refused.append((entry, run))
        log.debug("%s: due %.3f: %s", claim.task, claim.due, reason)
        now = self.clock.now()
        if not result.early and result.high_water > now + FUTURE_TOLERANCE and claim.task not in self._future_marks:
            self._future_marks[claim.task] = result.high_water
            log.warning("%s: %s", claim.task, in_the_future(result.high_water, now))
            self._report_future_marks()

    def _report_future_marks(self) -> None:
        """Set the reason for ``health()``: the tasks that do not run, as their mark is in the future."""
        names = list(self._future_marks)
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        mark = max(self._future_marks.values(), default=0.0)
        self.degraded = f"{names[0]}{more}: {in_the_future(mark, self.clock.now())}" if names else None

    def _time_out(self, results: ClaimResults | None) -> ClaimResults | None:
        """Continue with runs whose claim has timed out, and with all of them if the store is down."""
        latest = self.clock.elapsed() - self._timeout
        overdue = []
        for key, pending in self._pending.items():  # in the order in which they were submitted
            if not self.down and pending.since > latest:
                break
            overdue.append(key)
        for key in overdue:
            results = results or ClaimResults()
            pending = self._timed_out[key] = self._pending.pop(key)
            assert pending.claim is not None
            self._note_answered(pending.claim)
            results.batch.to_start += self._release(pending.to_start)
            results.batch.to_queue += self._release(pending.to_queue)
        return results

    def _check_late_result(self, pending: PendingClaim | None, result: ClaimResult) -> None:
        """Warn if a claim was refused after its run had started without it."""
        if pending is not None and pending.to_start and not result.granted:
            log.warning(
                "%s: due %.3f has run here while the store did not answer, and in another process as well",
                result.claim.task,
                result.claim.due,
            )

    def _release(self, occurrences: Sequence[Occurrence]) -> list[Occurrence]:
        """Remove and return those that were not cancelled meanwhile."""
        leave = self.waiting.pop
        return [occurrence for occurrence in occurrences if leave(occurrence[1], None) is not None]


def in_the_future(mark: float, now: float) -> str:
    """Return the message about a task whose mark is in the future."""
    return (
        f"it is on record as run until {stamp(mark, zone('UTC'))}, {mark - now:.0f} s in the future, "
        "as a clock was wrong: "
        "nothing of it runs until then, or until a restart with the right clock"
    )


def _is_catch_up(claim: Claim) -> bool:
    return claim.until > claim.due and not claim.off_schedule


def _size(claim: Claim) -> int:
    return len(claim.opened) + len(claim.closed)
