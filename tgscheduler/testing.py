"""For tests: a virtual clock, and a scheduler that is ticked by hand.

::

    scheduler = TickedScheduler(start=datetime(2025, 3, 30, tzinfo=timezone.utc), timezone="Europe/Berlin")
    scheduler.add_weekday_task(rank, range(1, 8), (2, 30))
    scheduler.tick(86400)          # a day, in microseconds and without a thread
    scheduler.runs()

    with installed(scheduler):     # the module-level functions use it in the block
        jobs.schedule()

It reads no other clock than its own. To freeze the clock that an action reads (``datetime.now()``), start at the frozen
time and move both by the same steps::

    with freeze_time("2025-03-30") as frozen:        # freezegun
        scheduler = TickedScheduler(start=time.time())
        frozen.tick(60)
        scheduler.tick(60)

Real schedulers keep to real time.
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
from tgscheduler.executors.sequential import SLICE, SLOW_ACTION, SequentialExecutor
from tgscheduler.executors.stage import Occurrence
from tgscheduler.timetable.policy import METHODS
from tgscheduler.timetable.run import Where

#: Number of ended runs without a follow-up that are recorded in one batch. Readers see them as ended already.
COLLECT_BATCH = 100


class VirtualClock(Clock):
    """A clock that does not move by itself; it refuses to go back, but can be stepped."""

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
        """Advance both clocks by ``seconds``."""
        if not seconds >= 0:
            raise InvalidValue(f"time does not go back: {seconds!r}; step_by(...) steps the wall clock")
        self._now += seconds
        self._elapsed += seconds

    def advance_to(self, moment: float) -> None:
        """Advance both clocks to ``moment`` (POSIX seconds), exactly; do nothing if that is past."""
        if moment > self._now:
            self._elapsed += moment - self._now
            self._now = moment

    def step_by(self, seconds: float) -> None:
        """Step the wall clock, as an operator or NTP does; monotonic time does not change."""
        if abs(seconds) <= STEP:
            raise InvalidValue(f"a step is more than {STEP} s, got {seconds!r}")
        self._now += seconds
        self._stepped += seconds

    def step(self) -> float:
        """Return the seconds by which the wall clock was stepped since the last call, 0.0 if it was not."""
        stepped, self._stepped = self._stepped, 0.0
        return stepped

    def wait(self, bell: Bell, deadline: float | None) -> None:
        """Empty the bell, and do not sleep: a TickedScheduler moves this clock; a real loop must not use it."""
        try:
            while True:
                bell.get_nowait()
        except queue.Empty:
            pass


class TickedScheduler(Scheduler):
    """A scheduler without threads and processes: :meth:`tick` moves its clock and runs what is due, in this thread.

    Threaded and forked actions run in the calling thread as well. An action that takes time calls
    ``scheduler.clock.advance(seconds)``.
    """

    clock: VirtualClock
    _inline: "list[_InlineExecutor]"

    def __init__(self, start: float | datetime = 0.0, timezone: str = "UTC", **kw: Any) -> None:
        super().__init__(timezone=timezone, clock=VirtualClock(start), **kw)
        self.start()

    def start(self) -> None:
        """Start the timetable at the clock's present time."""
        loop = self._lifecycle.make_loop()
        if loop is not None:
            loop.dispatcher.collect_threshold = COLLECT_BATCH
            loop.begin_placing()
            while self._placements.pending:
                loop.place_waiting()

    def tick(self, seconds: float = 0.0) -> None:
        """Advance the clock by ``seconds``, and run everything that comes due meanwhile, each at its own time."""
        if not seconds >= 0:
            raise InvalidValue(f"time does not go back: {seconds!r}; clock.step_by(...) steps the wall clock")
        self.tick_to(self.clock.now() + seconds)

    def tick_to(self, moment: float) -> None:
        """Advance the clock to ``moment`` (POSIX seconds), as :meth:`tick` does."""
        loop = self._lifecycle.loop
        if loop is None:
            self.clock.advance_to(moment)
            return
        dispatcher, events = loop.dispatcher, self._events
        claims = dispatcher.claims
        clock, handed_back, collect, turn = self.clock, self._journal.handed_back, dispatcher.collect, loop.turn
        inline = self._inline
        seen: Occurrence | None = None
        where = here()  # it costs more than the rest of a run
        for executor in inline:
            executor.where = where
            executor.take_context()  # a test may set context variables at any time
        try:
            while not loop.stopping:
                turn()
                more = claims is not None and claims.flush()
                for executor in inline:
                    if executor.queue:
                        more = executor.work() or more
                for occurrence in reversed(handed_back):
                    if occurrence is seen:
                        break
                    # A run without a follow-up is recorded with others; one with a follow-up at its time.
                    entry = occurrence[0]
                    if entry.limits is not None or entry.ticket is None or events.wanted:
                        more = collect() or more  # its end may start the next run in its task's queue
                        break
                seen = handed_back[-1] if handed_back else None
                due = loop.earliest
                if clock._now > moment:
                    return  # an action has advanced the clock beyond it
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
        """Call ``callback(event)`` for each event of these names (None: of all); return a function that ends it."""
        if self._lifecycle.dispatcher is not None:
            self._lifecycle.dispatcher.collect()  # a listener gets no events of runs that ended before
        return super().subscribe(callback, names)

    def _make_executors(self) -> dict[str, Executor]:
        self._inline = [_InlineExecutor(self.clock, self._journal.handed_back) for _ in METHODS]
        return dict(zip(METHODS, self._inline, strict=True))

    def _make_events(self) -> Events:
        return Events(self.clock.now, inline=True)


class _InlineExecutor(SequentialExecutor):
    """A sequential executor whose place (``where``) is set once for many runs."""

    clock: VirtualClock

    def __init__(self, clock: VirtualClock, handed_back: deque[Occurrence]) -> None:
        super().__init__(clock, handed_back)
        self.queue = self._queue
        self.where: Where | None = None

    def work(self) -> bool:
        """Perform waiting runs; return whether more wait, as after an action that has advanced the clock."""
        queue = self._queue
        if not queue:
            return False
        where, clock = self.where or here(), self.clock
        began = clock._elapsed
        while queue:
            occurrence = queue.popleft()
            if self.run(occurrence, where) and (took := clock._elapsed - began) >= SLICE:
                if took >= SLOW_ACTION:
                    self._warn(occurrence, took)
                break
        return bool(queue)


@contextmanager
def installed(scheduler: Scheduler, everywhere: bool = True) -> Iterator[Scheduler]:
    """Make a scheduler the default one, which the module-level functions use, and set ``tg.scheduler`` to True.

    It applies to all threads, or (not ``everywhere``) only to the calling one, until the end of the block.
    """
    with functions.serving(scheduler, everywhere), config.assuming({"tg.scheduler": True}, everywhere):
        yield scheduler
