"""Events: what happens in a scheduler, reported to its listeners.

::

    run-started, run-finished, run-skipped (missed ones as well)        with their Run
    task-added, task-cancelled, task-paused, task-resumed               with the task's name
    clock-stepped                                                       with seconds, before and after
    scheduler-started, scheduler-stopped, store-down, store-up

Events are delivered in order, in a separate thread: a listener that raises is logged, one that blocks delays only other
listeners, and neither affects a task. The queue of events is bounded; events beyond the bound are dropped and counted
in ``dropped``.
"""

import logging
import queue
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from tgscheduler.errors import InvalidType, InvalidValue
from tgscheduler.timetable.actions import check_callable
from tgscheduler.timetable.run import Run

log = logging.getLogger(__name__)

NAMES = (
    "run-started", "run-finished", "run-skipped",
    "task-added", "task-cancelled", "task-paused", "task-resumed",
    "clock-stepped", "scheduler-started", "scheduler-stopped", "store-down", "store-up",
)  # fmt: skip

#: Maximum number of events in the queue.
LONGEST = 10_000


class Event(NamedTuple):
    """One event: its name, its time (POSIX seconds), its task and run if it has any, and further facts."""

    name: str
    at: float
    task: str | None = None
    run: Run | None = None
    facts: Mapping[str, Any] = {}


Callback = Callable[[Event], Any]

_Subscription = list[Callback]
"""A callback, or nothing once it has been unsubscribed; the same callback may be subscribed twice."""


class _Queue:
    """The events for one thread, which ends at None; what is put in after that has to be taken out again."""

    def __init__(self) -> None:
        # Made now, not derived from: a host may have replaced the class since the import.
        events: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        self.put, self.get, self.qsize = events.put, events.get, events.qsize
        #: Set by the thread when it has taken None, before it takes what was put in after it.
        self.closed = False

    def take_late(self) -> Event | None:
        """Return an event that was put in after None; None if there is none left."""
        try:
            return self.get(block=False)
        except queue.Empty:
            return None


class Events:
    """The listeners of one scheduler. ``inline``: call them in the thread that publishes, for virtual clocks."""

    def __init__(self, now: Callable[[], float], inline: bool = False) -> None:
        self._now = now
        self._inline = inline
        #: Subscriptions by event name; replaced as a whole, so that it is read without a lock.
        self.wanted: dict[str, tuple[_Subscription, ...]] = {}
        #: Number of events that were dropped, as the queue was full.
        self.dropped = 0
        self._lock = threading.RLock()  # a signal handler may stop the scheduler during a subscribe
        self._full = False
        self._queue = _Queue()
        self._thread: threading.Thread | None = None
        self._copies = 0  # number of forks that copied this: a host's "thread" may be in the copy, too

    def subscribe(self, callback: Callback, names: str | Iterable[str] | None = None) -> Callable[[], None]:
        """Call ``callback(event)`` for each event of these names (None: all); return a function that ends that."""
        check_callable("subscribe", callback)
        chosen = NAMES if names is None else (names,) if isinstance(names, str) else names
        if not isinstance(chosen, Iterable):
            raise InvalidType(f"subscribe: expected the names of events, got {names!r}")
        chosen = tuple(chosen)
        for name in chosen:
            if name not in NAMES:
                raise InvalidValue(f"subscribe: expected names among {', '.join(NAMES)}, got {name!r}")
        subscription: _Subscription = [callback]
        with self._lock:
            self.wanted = {
                name: self.wanted.get(name, ()) + ((subscription,) if name in chosen else ())
                for name in NAMES
                if name in chosen or name in self.wanted
            }

        def unsubscribe() -> None:
            subscription.clear()  # ends a delivery in progress as well
            with self._lock:
                left = {name: tuple(each for each in known if each) for name, known in self.wanted.items()}
                self.wanted = {name: known for name, known in left.items() if known}

        return unsubscribe

    def publish(self, name: str, task: str | None = None, run: Run | None = None, **facts: Any) -> None:
        """Publish an event without waiting for listeners. Frequent callers check ``wanted`` first."""
        if name not in self.wanted:
            return
        event = Event(name, self._now(), task, run, facts)
        if self._inline:
            self._deliver(event)
        elif (size := self._queue.qsize()) >= LONGEST:
            self.dropped += 1
            if not self._full:
                self._full = True
                log.warning("%d events are queued: a listener blocks; further events are dropped", LONGEST)
        else:
            if self._full and size <= LONGEST // 2:  # a slow listener makes one warning, not one for each event
                self._full = False
            self._put(event)
            if self._thread is None:
                self._start()

    def _put(self, event: Event | None) -> None:
        """Put an event into the queue; a drain may exchange it meanwhile, in another thread or a signal handler."""
        while event is not None:
            waiting = self._queue
            waiting.put(event)
            event = waiting.take_late() if waiting.closed else None

    def drain(self, timeout: float) -> None:
        """Wait at most ``timeout`` seconds until all events are delivered, and end the thread."""
        with self._lock:
            thread, self._thread = self._thread, None
            if thread is None:
                return
            waiting, self._queue = self._queue, _Queue()
        waiting.put(None)
        if thread is threading.current_thread():  # a listener stops the scheduler: the rest is delivered after it
            return
        thread.join(timeout)
        if thread.is_alive():
            log.warning("a listener of the scheduler's events did not return in time; its thread is left behind")

    def reset_after_fork(self) -> None:
        """In a forked child: drop the thread and the queue; the parent has both, and delivers the events."""
        self._lock = threading.RLock()  # a signal handler may stop the scheduler during a subscribe
        self._copies += 1
        self._queue = _Queue()
        self._thread = None

    def _start(self) -> None:
        with self._lock:
            if self._thread is not None:
                return
            work = self._queue, self._copies
            thread = threading.Thread(target=self._serve, args=work, name="tgscheduler-events", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # the host's limit on threads: the queue waits until a thread starts
                return
            self._thread = thread

    def _serve(self, waiting: _Queue, copies: int) -> None:
        while (event := waiting.get()) is not None and copies == self._copies:
            self._deliver(event)
        waiting.closed = True
        while (event := waiting.take_late()) is not None and copies == self._copies:
            self._deliver(event)

    def _deliver(self, event: Event) -> None:
        for subscription in self.wanted.get(event.name, ()):
            try:
                for callback in subscription:
                    callback(event)
            except BaseException as error:
                if self._inline and not isinstance(error, Exception):
                    raise  # a real Ctrl-C in the thread of a test
                try:
                    log.exception("a listener to %s raised %s", event.name, type(error).__name__)
                except Exception:  # noqa: S110  # an error in logging must not end the thread either
                    pass
