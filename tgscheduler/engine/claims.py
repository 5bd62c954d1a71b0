"""Claims: runs wait here until the store has committed their claim.

::

    submit(batch) -> store.claim -> (the store's own thread commits, and rings) -> take_results() -> the loop goes on

A run starts only after that, so that a process killed at any moment leaves no start without a record; what another
process has run is dropped. When the store does not answer in time, or is down, runs start all the same if
``run_unclaimed`` says so and no other process can be using the store: it writes their claims once it is back.
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
from tgscheduler.stores.base import Claim, Claimed, Condition, LastingStore
from tgscheduler.timetable.entry import Entry
from tgscheduler.timetable.run import Run
from tgscheduler.timetable.words import stamp
from tgscheduler.timetable.zones import zone

log = SafeLogger(__name__)

#: Maximum number of runs whose claims are under way: a slow store makes for fewer runs, not for a long queue.
MAX_PENDING_RUNS = 2048

#: Maximum number of runs of one claim: an entry that makes up for more makes several claims, one after another.
MAX_CLAIM_RUNS = 512

#: Why a run does not start whose claim was refused.
TAKEN = "it has run before, or in another process"

#: A mark further than this (seconds) in the future is reported: what lies before it does not run.
FUTURE_TOLERANCE = 5.0


class PendingClaim:
    """What is planned for one task in one turn, and waits for its claim."""

    __slots__ = ("claim", "closed", "queued", "since", "started")

    def __init__(self, since: float) -> None:
        self.claim: Claim | None = None
        self.since = since
        self.started: list[Occurrence] = []
        self.queued: list[Occurrence] = []
        self.closed: list[Run] = []

    @property
    def occurrences(self) -> list[Occurrence]:
        """All that are to be started or queued."""
        return [*self.started, *self.queued] if self.queued else self.started

    def parts(self) -> "list[PendingClaim]":
        """Return it in parts of MAX_CLAIM_RUNS runs at most, in the order of their due times."""
        if len(self.started) + len(self.queued) + len(self.closed) <= MAX_CLAIM_RUNS:
            return [self]
        filed: list[tuple[float, str, Any]] = [(run.due, "started", (entry, run)) for entry, run in self.started]
        filed += [(run.due, "queued", (entry, run)) for entry, run in self.queued]
        filed += [(run.due, "closed", run) for run in self.closed]
        filed.sort(key=lambda item: item[0])
        parts = []
        for place in range(0, len(filed), MAX_CLAIM_RUNS):
            part = PendingClaim(self.since)
            for _, kind, item in filed[place : place + MAX_CLAIM_RUNS]:
                getattr(part, kind).append(item)
            parts.append(part)
        return parts

    def make_claim(self, beside_timetable: bool) -> Claim:
        """Return the claim for all of it."""
        opened = [run for _, run in self.occurrences]
        runs = [*opened, *self.closed] if self.closed else opened
        first = runs[0]
        if len(runs) == 1:
            due, until = first.due, first.until
        else:
            due, until = min(run.due for run in runs), max(run.until for run in runs)
        self.claim = Claim(first.task, due, until, opened, self.closed, beside_timetable)
        return self.claim

    @property
    def is_unnamed_one_shot(self) -> bool:
        """Whether it belongs to a single task without a name: the next one of that label is another task."""
        return bool(self.occurrences) and self.occurrences[0][0].task.name is None and self.occurrences[0][0].one_shot


class ClaimResults:
    """What came back from the store: what goes on, what was closed with its claim, what another process has run."""

    __slots__ = ("batch", "closed", "due_again", "marks", "orphans", "refused")

    def __init__(self) -> None:
        self.batch = PlannedBatch()
        self.closed: list[Run] = []
        self.refused: list[Occurrence] = []
        #: The marks on record of entries whose claims were refused, in the order of the claims.
        self.marks: list[RefusedMark] = []
        #: Entries with occurrences behind the mark on record that were refused with the rest.
        self.due_again: list[Entry] = []
        #: Runs that were in flight in processes that are gone.
        self.orphans: list[Run] = []


class ClaimQueue(Stage):
    """Occurrences whose claim is not on record yet."""

    def __init__(
        self,
        clock: Clock,
        ended: deque[Occurrence],
        store: LastingStore,
        events: Events,
        timeout: float,
        run_unclaimed: bool,
    ) -> None:
        super().__init__(clock, ended)
        self._store = store
        self._events = events
        self._timeout = timeout
        self._run_unclaimed = run_unclaimed
        self.down = self._clock_ahead = False
        self._results: deque[list[Claimed]] = deque()
        self._orphans: deque[list[Run]] = deque()
        self._too_early: set[Entry] = set()  # refused while our clock is ahead of the store's; due again after that
        self._future_marks: dict[str, float] = {}  # of tasks that are on record as run until a moment to come
        self._pending: dict[int, PendingClaim] = {}  # by the identity of their claim
        self._runs_pending = 0
        self._timed_out: dict[int, PendingClaim] = {}  # gone on without an answer
        #: How many claims of more than one occurrence are under way, by task.
        self.catching_up: dict[str, int] = {}

    # -- called in the store's own thread ------------------------------------------------------------------------

    def on_committed(self, claimed: list[Claimed]) -> None:
        """Take what the store has committed."""
        self._results.append(claimed)
        if self.bell is not None:
            self.bell.put(None)

    def on_orphans(self, runs: list[Run]) -> None:
        """Take runs whose process is gone."""
        self._orphans.append(runs)
        if self.bell is not None:
            self.bell.put(None)

    def on_status(self, status: Condition) -> None:
        """Note that the store went down, or came back."""
        if self.bell is not None:
            self.bell.put(None)

    # -- called in the loop's thread -----------------------------------------------------------------------------

    @property
    def at_capacity(self) -> bool:
        """Whether so much waits for the store that the timetable waits as well: what comes due meanwhile is late."""
        return self._runs_pending >= MAX_PENDING_RUNS

    @property
    def patience_left(self) -> float:
        """Seconds until the oldest claim goes on without an answer, infinity if none does."""
        if not self._pending or not self._starts_unclaimed:
            return math.inf
        oldest = next(iter(self._pending.values()))
        return max(0.0, oldest.since + self._timeout - self.clock.elapsed())

    @property
    def _starts_unclaimed(self) -> bool:
        """Whether runs start without their claim if the store does not answer."""
        return self._run_unclaimed and self._store.alone()

    def flush(self) -> bool:
        """Wait until all claims are answered, for virtual clocks; return whether there was any."""
        return bool(self._pending) and self._store.flush(10.0)

    def submit(self, batch: PlannedBatch, beside_timetable: bool = False) -> None:
        """Have planned runs claimed, and leave the batch empty."""
        started, queued, closed = batch.started, batch.queued, batch.closed
        batch.started, batch.queued, batch.closed = [], [], []
        if self._closed:  # stopped while custom code held this turn up
            self.hold([*started, *queued])
            return
        now = self.clock.elapsed()
        claims: dict[object, PendingClaim] = {}

        def claim_of(run: Run) -> PendingClaim:
            key = id(run) if beside_timetable else run.task
            found = claims.get(key)
            if found is None:
                found = claims[key] = PendingClaim(now)
            return found

        for occurrence in started:
            claim_of(occurrence[1]).started.append(occurrence)
            self.waiting[occurrence[1]] = occurrence
        for occurrence in queued:
            claim_of(occurrence[1]).queued.append(occurrence)
            self.waiting[occurrence[1]] = occurrence
        for run in closed:
            claim_of(run).closed.append(run)
        made: list[Claim] = []
        for whole in claims.values():
            for pending in whole.parts():
                claim = pending.make_claim(beside_timetable or pending.is_unnamed_one_shot)
                self._pending[id(claim)] = pending
                self._runs_pending += _size(claim)
                if _is_catch_up(claim):
                    self.catching_up[claim.task] = self.catching_up.get(claim.task, 0) + 1
                made.append(claim)
        self._store.claim(made)
        if self._closed:
            self.close()

    def take_results(self) -> ClaimResults | None:
        """Return what goes on now, None if nothing does."""
        self._publish_status()
        results = None
        while self._results:
            results = results or ClaimResults()
            for claimed in self._results.popleft():
                pending = self._pending.pop(id(claimed.claim), None)
                if pending is not None:
                    self._note_answered(claimed.claim)
                    self._take(pending, claimed, results)
                else:
                    self._check_late_result(self._timed_out.pop(id(claimed.claim), None), claimed)
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
        status = self._store.condition()
        down = status.down is not None
        self._clock_ahead = status.skew > 0.0
        if down != self.down:
            self.down = down
            self._events.publish("store-down" if down else "store-up", **status._asdict())

    def _note_answered(self, claim: Claim) -> None:
        """Note that a claim is under way no more."""
        self._runs_pending -= _size(claim)
        if _is_catch_up(claim):
            self.catching_up[claim.task] -= 1
            if not self.catching_up[claim.task]:
                del self.catching_up[claim.task]

    def _take(self, pending: PendingClaim, claimed: Claimed, results: ClaimResults) -> None:
        claim = claimed.claim
        if claimed.granted:
            results.batch.started += self._leaving(pending.started)
            results.batch.queued += self._leaving(pending.queued)
            results.closed += pending.closed
            if self._future_marks and self._future_marks.pop(claim.task, None) is not None:
                self._report_future_marks()
            return
        beyond = claim.until > claimed.mark
        for entry, run in self._leaving(pending.occurrences):
            if claimed.early or not claim.by_hand:
                results.marks.append(RefusedMark(entry, claimed.mark, beyond, claimed.early))
            if claimed.early:
                self._too_early.add(entry)
            elif not claim.by_hand and beyond and entry not in results.due_again:
                results.due_again.append(entry)
            results.refused.append((entry, run))
        log.debug("%s: due %.3f: %s", claim.task, claim.due, TAKEN)
        now = self.clock.now()
        if not claimed.early and claimed.mark > now + FUTURE_TOLERANCE and claim.task not in self._future_marks:
            self._future_marks[claim.task] = claimed.mark
            log.warning("%s: %s", claim.task, in_the_future(claimed.mark, now))
            self._report_future_marks()

    def _report_future_marks(self) -> None:
        """Let health say which tasks do not run, as the store has them in the future."""
        names = list(self._future_marks)
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        mark = max(self._future_marks.values(), default=0.0)
        self.degraded = f"{names[0]}{more}: {in_the_future(mark, self.clock.now())}" if names else None

    def _time_out(self, results: ClaimResults | None) -> ClaimResults | None:
        """Let go on what has waited for too long, and all of it if the store is down."""
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
            results.batch.started += self._leaving(pending.started)
            results.batch.queued += self._leaving(pending.queued)
        return results

    def _check_late_result(self, pending: PendingClaim | None, claimed: Claimed) -> None:
        """Look at an answer that came too late."""
        if pending is not None and pending.started and not claimed.granted:
            log.warning(
                "%s: due %.3f has run here while the store did not answer, and in another process as well",
                claimed.claim.task,
                claimed.claim.due,
            )

    def _leaving(self, occurrences: Sequence[Occurrence]) -> list[Occurrence]:
        """Let out those that were not withdrawn meanwhile, and return them."""
        leave = self.waiting.pop
        return [occurrence for occurrence in occurrences if leave(occurrence[1], None) is not None]


def in_the_future(mark: float, now: float) -> str:
    """Return what is said of a task whose mark is in the future."""
    return (
        f"it is on record as run until {stamp(mark, zone('UTC'))}, {mark - now:.0f} s in the future, "
        "as a clock was wrong: "
        "nothing of it runs until then, or until a restart with the right clock"
    )


def _is_catch_up(claim: Claim) -> bool:
    return claim.until > claim.due and not claim.by_hand


def _size(claim: Claim) -> int:
    return len(claim.opened) + len(claim.closed)
