"""For tests: a clock that is moved by hand, and a scheduler that is ticked.

::

    scheduler = TickedScheduler(start=datetime(2025, 3, 30, tzinfo=timezone.utc), timezone="Europe/Berlin")
    scheduler.add_weekday_task(rank, range(1, 8), (2, 30))
    scheduler.tick(86400)          # a day, in microseconds and without a thread
    scheduler.runs()

    with installed(scheduler):     # the module-level functions serve it meanwhile
        jobs.schedule()

Its clock is the only one that it asks. To freeze what an action asks (``datetime.now()``), start at the frozen time and
move both by the same steps::

    with freeze_time("2025-03-30") as frozen:        # freezegun
        scheduler = TickedScheduler(start=time.time())
        frozen.tick(60)
        scheduler.tick(60)

Real schedulers go on in real time meanwhile.
"""

import queue
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from tgscheduler import config
from tgscheduler import scheduler as functions
from tgscheduler.clock import STEP, Bell, Clock
from tgscheduler.engine.scheduler import Scheduler
from tgscheduler.errors import InvalidValue
from tgscheduler.events import Callback, Events
from tgscheduler.executors.base import Executor, here
from tgscheduler.executors.sequential import LONG, SLICE, SequentialExecutor
from tgscheduler.executors.stage import Occurrence
from tgscheduler.timetable.policy import METHODS
from tgscheduler.timetable.run import Where

#: Number of ended runs without a follow-up that are recorded in one batch. Readers see them as ended already.
COLLECT_BATCH = 100


class VirtualClock(Clock):
    """A clock that stands still until it is moved; it refuses to go back, but can be stepped."""

    is_real = False

    def __init__(self, start: float | datetime = 0.0) -> None:
        if isinstance(start, datetime) and start.tzinfo is None:
            raise InvalidValue(f"start: expected POSIX seconds or a datetime with a zone, got {start!r}")
        self._now = start.timestamp() if isinstance(start, datetime) else float(start)
        self._elapsed = self._stepped = 0.0
        super().__init__()

    def now(self) -> float:
        """Return the virtual wall clock's time in POSIX seconds."""
        return self._now

    def elapsed(self) -> float:
        """Return virtual monotonic seconds."""
        return self._elapsed

    def advance(self, seconds: float) -> None:
        """Let time go by."""
        if not seconds >= 0:
            raise InvalidValue(f"time does not go back: {seconds!r}; step_by(...) steps the wall clock")
        self._now += seconds
        self._elapsed += seconds

    def advance_to(self, moment: float) -> None:
        """Let time go by until ``moment`` (POSIX seconds), exactly; nothing when that is over."""
        if moment > self._now:
            self._elapsed += moment - self._now
            self._now = moment

    def step_by(self, seconds: float) -> None:
        """Step the wall clock, as an operator or NTP does: monotonic time stands still."""
        if abs(seconds) <= STEP:
            raise InvalidValue(f"a step is more than {STEP} s, got {seconds!r}")
        self._now += seconds
        self._stepped += seconds

    def step(self) -> float:
        """Return by how many seconds the wall clock was stepped since the last call, 0.0 when it was not."""
        stepped, self._stepped = self._stepped, 0.0
        return stepped

    def wait(self, bell: Bell, deadline: float | None) -> None:
        """Do not sleep: real loops must not be given this clock, a TickedScheduler moves it."""
        try:
            while True:
                bell.get_nowait()
        except queue.Empty:
            pass


class TickedScheduler(Scheduler):
    """A scheduler without threads and processes: :meth:`tick` moves its clock and runs what is due, in this thread.

    Threaded and forked actions run in the calling thread as well. An action lets time go by with
    ``scheduler.clock.advance(seconds)``.
    """

    clock: VirtualClock
    _inline: "list[_InlineExecutor]"

    def __init__(self, start: float | datetime = 0.0, timezone: str = "UTC", **kw: Any) -> None:
        super().__init__(timezone=timezone, clock=VirtualClock(start), **kw)
        self.start()

    def start(self) -> None:
        """Start the timetable at the clock's present time."""
        loop = self._lifecycle.begin()
        if loop is not None:
            loop.dispatcher.collect_threshold = COLLECT_BATCH
            loop.begin()
            while self._planner.to_place:
                loop.place_waiting()

    def tick(self, seconds: float = 0.0) -> None:
        """Let so many seconds go by, running everything that comes due in them, each at its own time."""
        if not seconds >= 0:
            raise InvalidValue(f"time does not go back: {seconds!r}; clock.step_by(...) steps the wall clock")
        self.tick_to(self.clock.now() + seconds)

    def tick_to(self, moment: float) -> None:
        """Let time go by until ``moment`` (POSIX seconds)."""
        loop = self._lifecycle.loop
        if loop is None:
            self.clock.advance_to(moment)
            return
        dispatcher, events = loop.dispatcher, self._events
        claims = dispatcher.claims
        clock, ended, collect, turn = self.clock, self._journal.ended, dispatcher.collect, loop.turn
        inline = self._inline
        seen: Occurrence | None = None
        where = here()  # it costs more than all else of a run
        for executor in inline:
            executor.where = where
            executor.take_context()  # a test sets up its surroundings when it likes
        try:
            while not loop.stopping:
                turn()
                more = claims is not None and claims.flush()
                for executor in inline:
                    if executor.queue:
                        more = executor.work() or more
                for occurrence in reversed(ended):
                    if occurrence is seen:
                        break
                    # A run without a follow-up is recorded with others; one with a follow-up at its time.
                    entry = occurrence[0]
                    if entry.limits is not None or entry.ticket is None or events.wanted:
                        more = collect() or more  # what has ended lets the next in its task's queue begin
                        break
                seen = ended[-1] if ended else None
                due = loop.earliest
                if clock._now > moment:
                    return  # an action has let more time go by than was asked for
                if more:
                    continue
                if due > moment:
                    break
                clock.advance_to(due)
        finally:
            collect()
            for executor in inline:
                executor.where = None
        clock.advance_to(moment)

    def subscribe(self, callback: Callback, names: str | Iterable[str] | None = None) -> Callable[[], None]:
        """Call ``callback(event)`` for each event of these names (None: of all); return what ends that again."""
        if self._lifecycle.dispatcher is not None:
            self._lifecycle.dispatcher.collect()  # a listener that an action adds hears of nothing that ended before
        return super().subscribe(callback, names)

    def _make_executors(self) -> dict[str, Executor]:
        self._inline = [_InlineExecutor(self.clock, self._journal.ended) for _ in METHODS]
        return dict(zip(METHODS, self._inline, strict=True))

    def _make_events(self) -> Events:
        return Events(self.clock.now, inline=True)


class _InlineExecutor(SequentialExecutor):
    """A sequential executor that is told where it is, once for many runs."""

    clock: VirtualClock

    def __init__(self, clock: VirtualClock, ended: deque[Occurrence]) -> None:
        super().__init__(clock, ended)
        self.queue = self._queue
        self.where: Where | None = None

    def work(self) -> bool:
        """Perform what waits; say whether more waits, as after an action that has let time go by."""
        queue = self._queue
        if not queue:
            return False
        where, clock = self.where or here(), self.clock
        began = clock._elapsed
        while queue:
            occurrence = queue.popleft()
            if self.run(occurrence, where) and (took := clock._elapsed - began) >= SLICE:
                if took >= LONG:
                    self._warn(occurrence, took)
                break
        return bool(queue)


@contextmanager
def installed(scheduler: Scheduler, everywhere: bool = True) -> Iterator[Scheduler]:
    """Make a scheduler the default one, which the module-level functions serve, and let ``tg.scheduler`` be True.

    In all threads, or (not ``everywhere``) for the calling one only. What was before comes back at the end.
    """
    with functions.serving(scheduler, everywhere), config.assuming({"tg.scheduler": True}, everywhere):
        yield scheduler
