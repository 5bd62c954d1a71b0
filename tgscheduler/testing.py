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
from tgscheduler.engine.lobby import Lobby
from tgscheduler.engine.schedulers import Scheduler
from tgscheduler.errors import InvalidValue
from tgscheduler.events import Callback, Events
from tgscheduler.executors.base import Executor, Occurrence, here
from tgscheduler.executors.sequential import LONG, SLICE, SequentialExecutor
from tgscheduler.timetable.policy import METHODS
from tgscheduler.timetable.run import Where

#: So many runs that merely come again are booked together: the books show them as ended all the same.
SLACK = 100


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

    def __init__(self, start: float | datetime = 0.0, timezone: str = "UTC", **kw: Any) -> None:
        super().__init__(timezone=timezone, clock=VirtualClock(start), **kw)
        self.start()

    def start(self) -> None:
        """Start the timetable at the clock's present time."""
        loop = self._begin()
        if loop is not None:
            loop.slack = SLACK
            loop.place_waiting()

    def tick(self, seconds: float = 0.0) -> None:
        """Let so many seconds go by, running everything that comes due in them, each at its own time."""
        if not seconds >= 0:
            raise InvalidValue(f"time does not go back: {seconds!r}; clock.step_by(...) steps the wall clock")
        self.tick_to(self.clock.now() + seconds)

    def tick_to(self, moment: float) -> None:
        """Let time go by until ``moment`` (POSIX seconds)."""
        loop = self._loop
        if loop is None:
            self.clock.advance_to(moment)
            return
        clerk = loop.clerk
        clock, ended, settle, turn = self.clock, self._ledger.ended, loop.settle, loop.turn
        inline = [executor for executor in self._executors.values() if isinstance(executor, _InlineExecutor)]
        seen: Occurrence | None = None
        where = here()  # asking for it costs more than all else of a run
        for executor in inline:
            executor.where = where
            executor.take_context()  # a test sets up its surroundings when it likes
        try:
            while not loop.stopping:
                turn()
                more = clerk is not None and clerk.waits_for_store()
                for executor in inline:
                    if executor.line:
                        more = executor.work() or more
                for occurrence in reversed(ended):
                    if occurrence is seen:
                        break
                    task = occurrence[0]
                    # What merely comes again is booked with others; what leads to something is settled at its time.
                    if task._terms is not None or task._entry is None or self._events.wanted:
                        more = settle() or more  # what has ended lets the next in its task's line begin
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
            settle()
            for executor in inline:
                executor.where = None
        clock.advance_to(moment)

    def subscribe(self, callback: Callback, names: str | Iterable[str] | None = None) -> Callable[[], None]:
        """Call ``callback(event)`` for each event of these names (None: of all); return what ends that again."""
        if self._loop is not None:
            self._loop.settle()  # who subscribes inside of an action hears of nothing that has ended before
        return super().subscribe(callback, names)

    def _make_executors(self) -> dict[str, Executor]:
        ended = self._ledger.ended
        inline = {name: _InlineExecutor(self.clock, ended) for name in METHODS}
        return {Lobby.method: Lobby(self.clock, ended), **inline}

    def _make_events(self) -> Events:
        return Events(self.clock.now, inline=True)


class _InlineExecutor(SequentialExecutor):
    """A sequential executor that is told where it is, once for many runs."""

    clock: VirtualClock

    def __init__(self, clock: VirtualClock, ended: deque[Occurrence]) -> None:
        super().__init__(clock, ended)
        self.line = self._line
        self.where: Where | None = None

    def work(self) -> bool:
        """Perform what waits; say whether more waits, as after an action that has let time go by."""
        line = self._line
        if not line:
            return False
        where, clock = self.where or here(), self.clock
        began = clock._elapsed
        while line:
            occurrence = line.popleft()
            if self.carry_out(occurrence, where) and (took := clock._elapsed - began) >= SLICE:
                if took >= LONG:
                    self._warn(occurrence, took)
                break
        return bool(line)


@contextmanager
def installed(scheduler: Scheduler, everywhere: bool = True) -> Iterator[Scheduler]:
    """Make a scheduler the default one, which the module-level functions serve, and let ``tg.scheduler`` be True.

    In all threads, or (not ``everywhere``) for the calling one only. What was before comes back at the end.
    """
    if not everywhere:
        token = functions._here.set(scheduler)
        try:
            with config.assuming({"tg.scheduler": True}):
                yield scheduler
        finally:
            functions._here.reset(token)
        return
    with functions._making:
        before, functions._default = functions._default, scheduler
        switch = config._global.get("tg.scheduler")
        config._global["tg.scheduler"] = True
    try:
        yield scheduler
    finally:
        with functions._making:
            functions._default = before
            if switch is None:
                config._global.pop("tg.scheduler", None)
            else:
                config._global["tg.scheduler"] = switch
