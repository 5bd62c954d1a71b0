"""Dispatcher: takes planned runs to where they wait or run, and ended ones to the journal.

::

    dispatch(batch)      with a persistent store: Journal.open, ClaimQueue.submit; otherwise start(batch)
    resume_claimed()     start(batch) for the claims that the store has granted; drop the others; take over lost runs
    start(batch)         Executor.submit | Backlog.hold | Journal.record_handed_back, as planned
    collect()            what stages have handed back: Journal.record_handed_back, Events.publish
    follow_up(entry)     a retry into the backlog; the next queued run; an exhausted entry is released
    release_retries()    those whose time has come go out as above, off schedule
"""

from collections import deque
from collections.abc import Iterable, Sequence

from tgscheduler.clock import Bell, Clock
from tgscheduler.engine.backlog import Backlog
from tgscheduler.engine.claims import ClaimQueue
from tgscheduler.engine.journal import Journal
from tgscheduler.engine.placements import Placements
from tgscheduler.engine.planned import PlannedBatch
from tgscheduler.engine.planner import Planner
from tgscheduler.engine.registry import Registry
from tgscheduler.engine.restore import lost_reason
from tgscheduler.events import Events
from tgscheduler.executors.base import Executor
from tgscheduler.executors.stage import Occurrence, Stage
from tgscheduler.logs import SafeLogger, describe
from tgscheduler.timetable import entry as entries
from tgscheduler.timetable.entry import DECIDING, EXHAUSTED, Entry
from tgscheduler.timetable.plan import max_concurrency
from tgscheduler.timetable.policy import method
from tgscheduler.timetable.run import CANCELLED, FAILED, LOST, MISSED, SKIPPED, Run

log = SafeLogger(__name__)


class Dispatcher:
    """Moves runs between planner, stages, executors and journal; one for each start of a scheduler."""

    def __init__(
        self,
        clock: Clock,
        registry: Registry,
        planner: Planner,
        placements: Placements,
        journal: Journal,
        executors: dict[str, Executor],
        claims: ClaimQueue | None,
        events: Events,
    ) -> None:
        self._clock = clock
        self._registry = registry
        self._planner = planner
        self._placements = placements
        self.journal = journal
        self.executors = executors
        self.claims = claims
        self.backlog = Backlog(clock, journal.handed_back)
        self.events = events
        #: All stages: for a stop, a cancel and health.
        self.stages: list[Stage] = [self.backlog, *([] if claims is None else [claims]), *executors.values()]
        #: Runs that were requested beside the timetable, until a turn plans them.
        self.requests: deque[Occurrence] = deque()
        self._bell: Bell | None = None
        #: Ended runs are collected when there are more than this many; more than 0 only if another caller collects
        #: those that have a follow-up.
        self.collect_threshold = 0

    def connect(self, bell: Bell) -> None:
        """Let all stages ring this bell to wake the loop."""
        self._bell = bell
        for stage in self.stages:
            stage.bell = bell
        for executor in self.executors.values():
            executor.events = self.events

    # -- going out -----------------------------------------------------------------------------------------------

    def dispatch(self, batch: PlannedBatch) -> None:
        """Start, queue or record the planned runs. With a persistent store, claim them first."""
        if batch.to_start or batch.to_queue or batch.not_run:
            if self.claims is None:
                self.start(batch)
            else:
                self._claim(self.claims, batch, off_schedule=False)
        if batch.off_schedule is not None:
            off_schedule, batch.off_schedule = batch.off_schedule, None
            if self.claims is None:
                self.start(off_schedule)
            else:
                self._claim(self.claims, off_schedule, off_schedule=True)

    def _claim(self, claims: ClaimQueue, batch: PlannedBatch, off_schedule: bool) -> None:
        self.journal.open([*batch.to_start, *batch.to_queue])
        self.journal.discard(batch.not_run)  # open if it was requested
        claims.submit(batch, off_schedule)
        if claims.down:  # the store will not answer: they start now, if they may
            self.resume_claimed()

    def resume_claimed(self) -> None:
        """Start or drop the runs whose claims the store has answered."""
        results = None if self.claims is None else self.claims.take_results()
        if results is None:
            return
        if results.marks:  # first: what has run out, but was refused as early, is not released
            self._placements.correct_marks(results.marks)
        self.start(results.batch)
        if results.not_run and self.events.wanted:
            self._publish(results.not_run, ())
        if results.due_again:
            self._placements.put_again(results.due_again)
        if results.orphans:
            self.take_over(results.orphans, self._clock.now())
        if results.refused:
            self.journal.discard(run for _, run in results.refused)
            for _, run in results.refused:
                run.ended, run.state = self._clock.now(), SKIPPED
            self._follow_up_all(results.refused)

    def start(self, batch: PlannedBatch) -> None:
        """Submit the runs that start to their executors, hold those that are queued, record those that do not run."""
        if batch.to_start:
            to_start, batch.to_start = batch.to_start, []
            self.journal.open(to_start)  # open already if it was claimed
            self._submit(to_start)
        if batch.to_queue:
            to_queue, batch.to_queue = batch.to_queue, []
            self.journal.open(to_queue)
            for occurrence in to_queue:
                occurrence[0].limited().queue.append(occurrence)
            self.backlog.hold(to_queue)
        if batch.not_run:
            not_run, batch.not_run = batch.not_run, []
            self.collect(not_run)

    def _submit(self, started: Sequence[Occurrence]) -> None:
        """Submit runs to their executors: all runs of one method together."""
        method = started[0][0].task.method
        for entry, _ in started:
            if entry.task.method != method:
                by_method: dict[str, list[Occurrence]] = {}
                for occurrence in started:
                    by_method.setdefault(occurrence[0].task.method, []).append(occurrence)
                for occurrences in by_method.values():
                    self._submit(occurrences)
                return
        executor = self.executors[method]
        try:
            executor.submit(started)
        except Exception as error:
            text = describe(error)
            for occurrence in started:
                run = occurrence[1]
                executor.waiting.pop(run, None)
                run.error, run.ended, run.state = text, self._clock.now(), FAILED
                log.error("%s: it could not be started\n%s", run.task, text)
                self.journal.handed_back.append(occurrence)

    def release_retries(self, now: float) -> None:
        """Start the retries whose time has come; with a persistent store each is claimed before it starts."""
        retries = [occurrence for occurrence in self.backlog.ready(now) if self._release_from_backlog(occurrence)]
        if retries:
            batch = PlannedBatch()
            batch.off_schedule = PlannedBatch()  # the first attempt's claim has moved the mark
            batch.off_schedule.to_start = retries
            self.dispatch(batch)

    def _release_held(self, occurrence: Occurrence) -> None:
        """Submit an occurrence that the backlog has held, unless it was cancelled meanwhile."""
        if self._release_from_backlog(occurrence):
            self._submit([occurrence])

    def _release_from_backlog(self, occurrence: Occurrence) -> bool:
        entry, run = occurrence
        if entry.state is entries.CANCELLED:
            self.backlog.cancel_waiting(run, "its task was cancelled")
            return False
        return self.backlog.release(run)

    # -- coming back ---------------------------------------------------------------------------------------------

    def collect(self, not_run: Sequence[Run] = ()) -> bool:
        """Record what stages have handed back, and ``not_run``; do what follows. Return whether there was any."""
        taken = self.journal.record_handed_back(not_run)
        if self.events.wanted:
            self._publish(not_run, taken)
        self._follow_up_all(taken)
        return bool(taken)

    def _follow_up_all(self, taken: Sequence[Occurrence]) -> None:
        exhausted: list[Entry] = []
        for entry, run in taken:
            if entry.limits is None and entry.state is EXHAUSTED and run.ended is not None:
                exhausted.append(entry)  # a one-shot task, without the call
            elif entry.limits is not None or entry.ticket is None:
                self.follow_up(entry, run, exhausted)
        # If the lock cannot be acquired (a signal handler stops the scheduler inside an add), look-ups release them.
        if exhausted and self._registry.lock.acquire(timeout=0.05):
            try:
                self._registry.release_ended(exhausted)
            finally:
                self._registry.lock.release()

    def follow_up(self, entry: Entry, run: Run, exhausted: list[Entry]) -> None:
        """Do what follows the end of a run; append an entry that can be released to ``exhausted``."""
        limits = entry.limits
        if run.ended is None:
            if limits is not None and run not in limits.in_flight:
                limits.in_flight.append(run)  # the Run of another attempt
                entry.last_run = run
            self.backlog.hold_until(run.retry_due, (entry, run))
            return
        while limits is not None and limits.queue and len(limits.running()) < max_concurrency(entry.policy):
            occurrence = limits.queue.popleft()
            following = occurrence[1]
            if following.ended is None:
                entry.last_run = following
                limits.in_flight.append(following)
                self._release_held(occurrence)
        if entry.ticket is not None:
            return
        reschedules_itself = entry.task.self_rescheduling and entry.task.method == method.sequential
        if reschedules_itself and entry.state is DECIDING and (limits is not None or entry.last_run is run):
            self._planner.call_reschedule(entry)
        if entry.state is EXHAUSTED:
            exhausted.append(entry)

    def _publish(self, not_run: Sequence[Run], taken: Sequence[Occurrence]) -> None:
        publish = self.events.publish
        for run in not_run:
            publish("run-skipped", run.task, run)
        for _, run in taken:
            if run.ended is not None:
                publish("run-skipped" if run.state in (SKIPPED, MISSED) else "run-finished", run.task, run)

    # -- beside the timetable ------------------------------------------------------------------------------------

    def request(self, entry: Entry, run: Run) -> None:
        """Request a run beside the timetable, from any thread; the caller holds the engine's lock."""
        self.journal.add_requested(run)
        self.requests.append((entry, run))
        if self._bell is not None:
            self._bell.put(None)

    def take_over(self, orphans: Iterable[Run], now: float) -> None:
        """Rerun runs that were in flight when their process ended, if ``on_lost`` allows it; record others as lost."""
        batch = PlannedBatch()
        with self._registry.lock:
            by_label = {self._registry.label(entry): entry for entry in self._registry.entries()}
        for run in orphans:
            reason, what = lost_reason(run), "it runs again"
            refusal = self._plan_rerun(by_label.get(run.task), run, reason, now, batch)
            if refusal is not None:
                reason, what = f"{reason}{refusal}", "it is recorded as lost"
                run.reason, run.ended, run.state = reason, now, LOST
                batch.not_run.append(run)
            log.warning("%s: due %.3f: %s; %s", run.task, run.due, reason, what)
        if batch.not_run:
            self.collect(batch.not_run)
            batch.not_run = []
        self.dispatch(batch)

    def _plan_rerun(self, entry: Entry | None, run: Run, why: str, now: float, batch: PlannedBatch) -> str | None:
        """Plan the next attempt of a lost run; return None, or why there is none (empty: none was asked for)."""
        if entry is None or entry.state is entries.CANCELLED or entry.policy.on_lost != "rerun":
            return ""
        if run.takeovers >= entry.policy.max_takeovers:
            return f"; it was taken over {run.takeovers} times, as often as max_takeovers allows"
        attempt, requested = run.taken_over(why), PlannedBatch()
        self._planner.plan_request(entry, attempt, now, requested)
        planned = requested.off_schedule
        if planned is None or attempt.state == SKIPPED:  # it has begun, so it cannot have been skipped
            return f"; it does not run again: {attempt.reason}"
        if batch.off_schedule is None:
            batch.off_schedule = planned
        else:
            batch.off_schedule.to_start += planned.to_start
            batch.off_schedule.to_queue += planned.to_queue
        return None

    def cancel_requests(self, reason: str = "stopped before it began", only: Run | None = None) -> bool:
        """End the requested runs that no turn has planned, or only one; return whether there was any."""
        found = [occurrence for occurrence in list(self.requests) if only in (None, occurrence[1])]
        for occurrence in found:
            try:
                self.requests.remove(occurrence)
            except ValueError:  # another thread has cancelled it
                continue
            run = occurrence[1]
            run.reason, run.ended, run.state = reason, self._clock.now(), CANCELLED
            self.journal.handed_back.append(occurrence)
        return bool(found)

    def cancel_run(self, run: Run, reason: str) -> bool:
        """End a run that waits or runs as cancelled; return whether this call did."""
        with self._registry.lock:  # so that no turn takes it meanwhile
            if self.cancel_requests(reason, run):
                return True
        return any(stage.cancel(run, reason) for stage in self.stages)

    def cancel_queued(self, entry: Entry) -> None:
        """Cancel an entry's retries and queued runs."""
        for run, (owner, _) in list(self.backlog.waiting.items()):
            if owner is entry:
                self.backlog.cancel_waiting(run, "its task was cancelled")

    def reset_after_fork(self) -> None:
        """In a forked copy: start nothing, and publish no events."""
        self.events = Events(self._clock.now)  # without listeners
        for stage in self.stages:
            stage.reset_after_fork()
