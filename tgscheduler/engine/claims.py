"""Claims: runs wait here until the store has committed their claim.

::

    submit(batch) -> store.claim -> (the store's own thread commits, and rings) -> take_results() -> the loop goes on

A run starts only after that, so that a process killed at any moment leaves no start without a record; what another
process has run is dropped. When the store does not answer in time, or is down, runs start all the same if
``run_unclaimed`` says so: the store writes their claims once it is back.
"""

import math
from collections import deque
from collections.abc import Sequence

from tgscheduler.clock import Clock
from tgscheduler.engine.planned import PlannedBatch
from tgscheduler.events import Events
from tgscheduler.executors.stage import Occurrence, Stage
from tgscheduler.logs import SafeLogger
from tgscheduler.stores.base import Claim, Claimed, Condition, LastingStore
from tgscheduler.timetable.run import Run

log = SafeLogger(__name__)

#: Maximum number of claims under way: a slow store makes for fewer runs, not for a long queue.
MAX_PENDING_CLAIMS = 2048

#: Why a run does not start whose claim was refused.
TAKEN = "it has run before, or in another process"


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

    __slots__ = ("batch", "closed", "refused")

    def __init__(self) -> None:
        self.batch = PlannedBatch()
        self.closed: list[Run] = []
        self.refused: list[Occurrence] = []


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
        self.down = False
        self._results: deque[list[Claimed]] = deque()
        self._pending: dict[int, PendingClaim] = {}  # by the identity of their claim
        self._timed_out: dict[int, PendingClaim] = {}  # gone on without an answer

    # -- called in the store's own thread ------------------------------------------------------------------------

    def on_committed(self, claimed: list[Claimed]) -> None:
        """Take what the store has committed."""
        self._results.append(claimed)
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
        return len(self._pending) >= MAX_PENDING_CLAIMS

    @property
    def patience_left(self) -> float:
        """Seconds until the oldest claim goes on without an answer, infinity if none does."""
        if not self._run_unclaimed or not self._pending:
            return math.inf
        oldest = next(iter(self._pending.values()))
        return max(0.0, oldest.since + self._timeout - self.clock.elapsed())

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
        for pending in claims.values():
            claim = pending.make_claim(beside_timetable or pending.is_unnamed_one_shot)
            self._pending[id(claim)] = pending
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
                    self._take(pending, claimed, results)
                else:
                    self._check_late_result(self._timed_out.pop(id(claimed.claim), None), claimed)
        if self._pending and self._run_unclaimed:
            results = self._time_out(results)
        return results

    def _publish_status(self) -> None:
        status = self._store.condition()
        down = status.down is not None
        if down != self.down:
            self.down = down
            self._events.publish("store-down" if down else "store-up", **status._asdict())

    def _take(self, pending: PendingClaim, claimed: Claimed, results: ClaimResults) -> None:
        if claimed.granted:
            results.batch.started += self._leaving(pending.started)
            results.batch.queued += self._leaving(pending.queued)
            results.closed += pending.closed
            return
        for entry, run in self._leaving(pending.occurrences):
            entry.high_water = max(entry.high_water, claimed.mark)
            results.refused.append((entry, run))
        log.debug("%s: due %.3f: %s", claimed.claim.task, claimed.claim.due, TAKEN)

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
