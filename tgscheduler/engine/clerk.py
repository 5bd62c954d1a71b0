"""The clerk: what was decided waits here until a store that outlives the process has it on record.

::

    hand_in(turn) -> store.claim -> (the store's own thread commits, and rings) -> answered() -> the loop goes on

A run starts only after that, so that a process killed at any moment leaves no start that nobody knows of; what another
process has had is dropped. When the store does not answer in time, or is down, runs start all the same where
``run_anyway`` says so and no other process can be using the store: it writes their claims once it is back.
"""

import math
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any

from tgscheduler.clock import Clock
from tgscheduler.engine.deciding import Turn
from tgscheduler.executors.base import Executor, Occurrence, Voice
from tgscheduler.stores.base import Claim, Claimed, Condition, LastingStore
from tgscheduler.timetable.run import Run
from tgscheduler.timetable.tasks import Task
from tgscheduler.timetable.telling import stamp
from tgscheduler.timetable.zones import zone

log = Voice(__name__)

#: With so many runs in claims under way no others are made: a store that is slow makes for fewer runs, not for a long
#: line.
MOST = 2048
#: Maximum runs of one claim: a task that makes up for more of them makes several claims, one after another.
LARGEST = 512

#: Why a run does not start whose claim was refused.
TAKEN = "it has run before, or in another process"

#: A mark that is further (seconds) in the future is said: what lies before it does not run.
FUTURE = 5.0


class _Case:
    """What is decided, and waits for its claim."""

    __slots__ = ("claim", "closed", "since", "started", "waiting")

    def __init__(self, since: float) -> None:
        self.claim: Claim | None = None
        self.since = since
        self.started: list[Occurrence] = []
        self.waiting: list[Occurrence] = []
        self.closed: list[Run] = []

    @property
    def occurrences(self) -> list[Occurrence]:
        return [*self.started, *self.waiting] if self.waiting else self.started

    def parts(self) -> "list[_Case]":
        """Return cases of LARGEST runs at most, in the order of their due times."""
        if len(self.started) + len(self.waiting) + len(self.closed) <= LARGEST:
            return [self]
        filed: list[tuple[float, str, Any]] = [(run.due, "started", (task, run)) for task, run in self.started]
        filed += [(run.due, "waiting", (task, run)) for task, run in self.waiting]
        filed += [(run.due, "closed", run) for run in self.closed]
        filed.sort(key=lambda item: item[0])
        parts = []
        for place in range(0, len(filed), LARGEST):
            part = _Case(self.since)
            for _, kind, item in filed[place : place + LARGEST]:
                getattr(part, kind).append(item)
            parts.append(part)
        return parts

    def make_claim(self, by_hand: bool) -> Claim:
        opened = [run for _, run in self.occurrences]
        runs = [*opened, *self.closed] if self.closed else opened
        first = runs[0]
        if len(runs) == 1:
            due, until = first.due, first.until
        else:
            due, until = min(run.due for run in runs), max(run.until for run in runs)
        self.claim = Claim(first.task, due, until, opened, self.closed, by_hand)
        return self.claim


class Answer:
    """What came back from the store: what goes on, what was closed with its claim, what another process has had."""

    __slots__ = ("closed", "left", "orphans", "refused", "turn")

    def __init__(self) -> None:
        self.turn = Turn()
        self.closed: list[Run] = []
        self.refused: list[Occurrence] = []
        #: Tasks with occurrences behind the mark that were refused all the same: they are due again.
        self.left: list[Task] = []
        #: Runs that were in flight in processes that are gone.
        self.orphans: list[Run] = []


class Clerk(Executor):
    """Occurrences whose claim is not on record yet."""

    method = "clerk"

    def __init__(
        self, clock: Clock, ended: deque[Occurrence], store: LastingStore, patience: float, run_anyway: bool
    ) -> None:
        super().__init__(clock, ended)
        self.store = store
        self._patience = patience
        self._run_anyway = run_anyway
        self.down = self._wrong = False
        self._answers: deque[list[Claimed]] = deque()
        self._orphans: deque[list[Run]] = deque()
        self._early: set[Task] = set()  # refused as our clock is ahead; they are due again once it is right
        self._silent: dict[str, float] = {}  # tasks with a mark in the future, and that mark
        self._cases: dict[int, _Case] = {}  # by the identity of their claim
        self._under_way = 0  # runs of these
        self._overtaken: dict[int, _Case] = {}  # gone on without an answer
        #: How many claims of more than one occurrence are under way, by task.
        self.catching_up: dict[str, int] = {}

    def _enqueue(self, occurrence: Occurrence) -> None:
        """It is sent on by whoever has put it in."""

    def answer(self, claimed: list[Claimed]) -> None:
        """Take what the store has committed: called in its own thread."""
        self._answers.append(claimed)
        if self.bell is not None:
            self.bell.put(None)

    def note_orphans(self, runs: list[Run]) -> None:
        """Take runs whose process is gone: called in the store's thread."""
        self._orphans.append(runs)
        if self.bell is not None:
            self.bell.put(None)

    @property
    def full(self) -> bool:
        """Whether so much waits for the store that the timetable waits as well: what comes due meanwhile is late."""
        return self._under_way >= MOST

    @property
    def patience_left(self) -> float:
        """Seconds until what waits longest goes on without an answer, infinity where nothing does."""
        if not self._cases or not self.goes_on:
            return math.inf
        oldest = next(iter(self._cases.values()))
        return max(0.0, oldest.since + self._patience - self.clock.elapsed())

    @property
    def goes_on(self) -> bool:
        """Whether runs start without their claim where the store does not answer."""
        return self._run_anyway and self.store.alone()

    def note_condition(self, condition: Condition) -> None:
        """Take note that the store went down, or came back: called in its own thread."""
        if self.bell is not None:
            self.bell.put(None)

    def _tell_condition(self) -> None:
        condition = self.store.condition()
        down = condition.down is not None
        self._wrong = condition.skew > 0.0
        if down != self.down:
            self.down = down
            if self.events is not None:
                self.events.publish("store-down" if down else "store-up", **condition._asdict())

    def waits_for_store(self) -> bool:
        """Wait until all that was handed in is answered, for virtual clocks; say whether there was anything."""
        return bool(self._cases) and self.store.flush(10.0)

    def hand_in(self, turn: Turn, by_hand: bool = False) -> None:
        """Have what a turn has decided claimed, and leave the turn empty."""
        if self._closed:  # stopped while somebody's code held this turn up
            for occurrence in (*turn.started, *turn.waiting):
                self.waiting[occurrence[1]] = occurrence
            turn.started, turn.waiting, turn.closed = [], [], []
            self.close()
            return
        now = self.clock.elapsed()
        cases: dict[object, _Case] = {}

        def case_of(run: Run) -> _Case:
            key = id(run) if by_hand else run.task
            found = cases.get(key)
            if found is None:
                found = cases[key] = _Case(now)
            return found

        for occurrence in turn.started:
            case_of(occurrence[1]).started.append(occurrence)
            self.waiting[occurrence[1]] = occurrence
        for occurrence in turn.waiting:
            case_of(occurrence[1]).waiting.append(occurrence)
            self.waiting[occurrence[1]] = occurrence
        for run in turn.closed:
            case_of(run).closed.append(run)
        turn.started, turn.waiting, turn.closed = [], [], []
        claims: list[Claim] = []
        for whole in cases.values():
            for case in whole.parts():
                claim = case.make_claim(by_hand or _is_beside_the_timetable(case))
                self._cases[id(claim)] = case
                self._under_way += _size(claim)
                if _is_catch_up(claim):
                    self.catching_up[claim.task] = self.catching_up.get(claim.task, 0) + 1
                claims.append(claim)
        self.store.claim(claims)
        if self._closed:
            self.close()

    def answered(self) -> Answer | None:
        """Return what goes on now, None where nothing does."""
        self._tell_condition()
        answer = None
        while self._answers:
            answer = answer or Answer()
            for claimed in self._answers.popleft():
                case = self._cases.pop(id(claimed.claim), None)
                if case is not None:
                    self._let_out(claimed.claim)
                    self._take(case, claimed, answer)
                else:
                    self._compare(self._overtaken.pop(id(claimed.claim), None), claimed)
        if self._early and not self._wrong:
            answer = answer or Answer()
            answer.left += self._early
            self._early.clear()
        while self._orphans:
            answer = answer or Answer()
            answer.orphans += self._orphans.popleft()
        if self._cases and self.goes_on:
            answer = self._go_on(answer)
        return answer

    def _let_out(self, claim: Claim) -> None:
        """Take note that a claim is under way no more."""
        self._under_way -= _size(claim)
        if _is_catch_up(claim):
            self.catching_up[claim.task] -= 1
            if not self.catching_up[claim.task]:
                del self.catching_up[claim.task]

    def _take(self, case: _Case, claimed: Claimed, answer: Answer) -> None:
        if claimed.granted:
            answer.turn.started += self._leaving(case.started)
            answer.turn.waiting += self._leaving(case.waiting)
            answer.closed += case.closed
            if self._silent and self._silent.pop(claimed.claim.task, None) is not None:
                self._tell_silent()
            return
        claim = claimed.claim
        for task, run in self._leaving(case.occurrences):
            if claimed.early:
                task._mark, task._final = claimed.mark, False
                self._early.add(task)
            elif not claim.by_hand:
                task._mark = max(task._mark, claimed.mark) if claim.until <= claimed.mark else claimed.mark
                if claim.until > claimed.mark and task not in answer.left:
                    answer.left.append(task)
            answer.refused.append((task, run))
        log.debug("%s: due %.3f: %s", claim.task, claim.due, TAKEN)
        if not claimed.early and claimed.mark > self.clock.now() + FUTURE and claim.task not in self._silent:
            self._silent[claim.task] = claimed.mark
            log.warning("%s: %s", claim.task, in_the_future(claimed.mark, self.clock.now()))
            self._tell_silent()

    def _tell_silent(self) -> None:
        """Let health say which tasks do not run as the store has them in the future."""
        names = list(self._silent)
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        mark = max(self._silent.values(), default=0.0)
        self.trouble = f"{names[0]}{more}: {in_the_future(mark, self.clock.now())}" if names else None

    def _go_on(self, answer: Answer | None) -> Answer | None:
        """Let go on what has waited for too long, and all of it where the store is down."""
        latest = self.clock.elapsed() - self._patience
        overdue = []
        for key, case in self._cases.items():  # in the order in which they were handed in
            if not self.down and case.since > latest:
                break
            overdue.append(key)
        for key in overdue:
            answer = answer or Answer()
            case = self._overtaken[key] = self._cases.pop(key)
            assert case.claim is not None
            self._let_out(case.claim)
            answer.turn.started += self._leaving(case.started)
            answer.turn.waiting += self._leaving(case.waiting)
        return answer

    def _compare(self, case: _Case | None, claimed: Claimed) -> None:
        """Look at an answer that came too late."""
        if case is not None and case.started and not claimed.granted:
            log.warning(
                "%s: due %.3f has run here while the store did not answer, and in another process as well",
                claimed.claim.task,
                claimed.claim.due,
            )

    def _leaving(self, occurrences: Sequence[Occurrence]) -> Iterable[Occurrence]:
        """Return those that nobody has withdrawn meanwhile, and let them out."""
        leave = self.waiting.pop
        return [occurrence for occurrence in occurrences if leave(occurrence[1], None) is not None]


def _is_catch_up(claim: Claim) -> bool:
    return claim.until > claim.due and not claim.by_hand


def in_the_future(mark: float, now: float) -> str:
    """Return what is said of a task whose mark is in the future."""
    return (
        f"it is on record as run until {stamp(mark, zone('UTC'))}, {mark - now:.0f} s in the future, "
        "as a clock was wrong: "
        "nothing of it runs until then, or until a restart with the right clock"
    )


def _size(claim: Claim) -> int:
    return len(claim.opened) + len(claim.closed)


def _is_beside_the_timetable(case: _Case) -> bool:
    """Say whether it belongs to a single task without a name: the next one of that label is another task."""
    if not case.started and not case.waiting:
        return False
    task = case.occurrences[0][0]
    return task.name is None and task._trigger is None
