"""The CherryPy plugin: its methods are named after the bus channels they listen to.

::

    start, 80   after the fork of a daemon, the bound port (75) and dropped privileges (77):
                the console, call_on_startup, then the scheduler; its first turn waits until the bus is STARTED
    stop, 20    drain the scheduler, before HTTP (25) and the application's database (50) stop
    stop, 80    call_on_shutdown; the console is taken away
    graceful    nothing: a log rotation must not fire tasks

From its start to its stop it publishes the scheduler's events, each on its own channel (``CHANNELS``), as an ``Event``
in the thread ``tgscheduler-events``. If a channel has no listener, no event is made for it.
"""

import functools
import logging
import os
import threading
import traceback
from collections.abc import Callable, Iterable
from typing import Any

import cherrypy
from cherrypy.process.plugins import SimplePlugin
from cherrypy.process.wspbus import ChannelFailures

from tgscheduler import clock, config, console
from tgscheduler.engine.scheduler import Scheduler
from tgscheduler.errors import SchedulerError
from tgscheduler.events import NAMES, Event
from tgscheduler.interrupts import on_ctrl_c
from tgscheduler.scheduler import configured_scheduler, start_scheduler
from tgscheduler.startup import Hook, call_on_shutdown, call_on_startup, name_of
from tgscheduler.timetable.actions import check_result
from tgscheduler.timetable.tasks import Task

_ours = logging.getLogger("tgscheduler")

#: The bus channel of each event.
CHANNELS = {name: name if name.startswith(("scheduler-", "store-")) else f"scheduler-{name}" for name in NAMES}


class SchedulerPlugin(SimplePlugin):  # type: ignore[misc]
    """Starts the default scheduler with the server and stops it; ``bus`` is usually ``cherrypy.engine``."""

    def __init__(self, bus: Any) -> None:
        super().__init__(bus)
        self._scheduler: Scheduler | None = None
        self._added: list[Task] = []
        self._started = False
        self._on_air = False
        self._stopping = False
        self._pid = 0
        self._mounted: str | None = None
        self._handler = _CherryPyLog()
        self._publishing: dict[str, Callable[[], None]] = {}
        self._lock = threading.RLock()  # a signal handler may call stop() during a bus.subscribe
        for name, channel in CHANNELS.items():
            bus.listeners[channel] = _Channel(bus.listeners.get(channel, ()), functools.partial(self._follow, name))

    def subscribe(self) -> None:
        """Listen to the bus."""
        super().subscribe()
        self.bus.subscribe("stop", self.shut_down, 80)

    def unsubscribe(self) -> None:
        """Stop the scheduler, which the bus could not do later, and stop listening to the bus."""
        self.stop()
        self.shut_down()
        super().unsubscribe()
        self.bus.unsubscribe("stop", self.shut_down)

    def start(self) -> None:
        """Run ``call_on_startup`` in order and, if ``tg.scheduler`` is true, start the scheduler."""
        self._pid = os.getpid()
        _ours.addHandler(self._handler)
        self._started = True
        scheduler = self._scheduler = configured_scheduler()
        self._on_air = bool(config.get("tg.scheduler"))
        self._follow(*NAMES)
        self._mount_console(scheduler)
        with scheduler.noting_added() as self._added:
            for hook in list(call_on_startup):
                self._run("call_on_startup", hook)
                if not self._started:  # the hook, or a signal during it, has stopped the plugin
                    return
        if not config.get("tg.scheduler"):
            self.bus.log("The scheduler is off and nothing fires; tg.scheduler = True under [global] switches it on.")
            return
        try:
            start_scheduler(ready=self._bus_has_started)
        except SchedulerError as error:  # such as a store that cannot be opened
            self.bus.log(f"The scheduler cannot start: {error}", level=40)
            raise
        tasks, threads = scheduler.health()["tasks"], config.get("tg.scheduler.threads")
        self.bus.log(
            f"Scheduler started: {tasks} task{'' if tasks == 1 else 's'}, zone {scheduler.timezone} "
            f"(tz data {clock.zone_data_version()}), up to {threads} thread{'' if threads == 1 else 's'}."
        )

    start.priority = 80  # type: ignore[attr-defined]

    def stop(self) -> None:
        """Stop the scheduler within its ``stop_timeout``, and remove the tasks that ``call_on_startup`` added.

        Legal before ``start``. A second call during the first ends the drain at once.
        """
        scheduler = self._scheduler
        if scheduler is None:
            return
        if self._stopping:
            scheduler.stop()
            return
        self._stopping = True
        try:
            was_running = scheduler.running
            with on_ctrl_c(scheduler.stop):  # that ends the drain, as a second SIGTERM does
                scheduler.stop()
            self._on_air = False
            self._follow(*NAMES)
            added, self._added = self._added, []
            scheduler.discard(added)
        finally:
            self._stopping = False
        if was_running:
            self.bus.log("Scheduler stopped.")

    stop.priority = 20  # type: ignore[attr-defined]

    def shut_down(self) -> None:
        """Run ``call_on_shutdown``, if ``call_on_startup`` was begun."""
        # A second stop inside the first, which gets here itself later; or a child that the application forked.
        if self._stopping or self._pid != os.getpid():
            return
        started, self._started = self._started, False
        for hook in list(call_on_shutdown) if started else ():
            try:
                self._run("call_on_shutdown", hook)
            except (Exception, SystemExit):
                self.bus.log("The rest of call_on_shutdown runs all the same.", level=40, traceback=True)
        _ours.removeHandler(self._handler)
        if self._mounted is not None:
            console.unmount(self._mounted)
            self._mounted = None

    def _mount_console(self, scheduler: Scheduler) -> None:
        """Mount the configured console, unless the application has one at that path."""
        path = config.get("tg.scheduler.console")
        if path is None:
            return
        try:
            if console.is_mounted(path):
                return
            console.mount(path, scheduler)
        except SchedulerError as error:
            self.bus.log(f"The console cannot be mounted: {error}", level=40)
            raise
        self._mounted = path
        self.bus.log(f"The console of the scheduler is at {path}")

    def _run(self, when: str, hook: Hook) -> None:
        try:
            check_result(hook(), "it")
        except BaseException as error:
            what = " ".join("".join(traceback.format_exception_only(error)).split())
            self.bus.log(f"{when}: {name_of(hook)} raised {what}", level=40)
            raise

    def _follow(self, *names: str) -> None:
        """Subscribe to exactly those of the scheduler's events that have a listener on the bus."""
        with self._lock:
            for name in names:
                wanted = self._on_air and bool(self.bus.listeners[CHANNELS[name]])
                if wanted and name not in self._publishing and self._scheduler is not None:
                    self._publishing[name] = self._scheduler.subscribe(self._publish, name)
                elif not wanted and name in self._publishing:
                    self._publishing.pop(name)()

    def _publish(self, event: Event) -> None:
        channel = CHANNELS[event.name]
        try:
            try:
                self.bus.publish(channel, event)
            except (KeyError, RuntimeError):  # from wspbus.publish: a listener is being added or removed
                clock.pause(0.01)
                self.bus.publish(channel, event)
        except ChannelFailures:  # the bus has called the other listeners and logged this one, with its traceback
            pass

    def _bus_has_started(self) -> bool:
        return bool(self.bus.state is self.bus.states.STARTED)


class _Channel(set[Callable[..., Any]]):
    """The listeners of a channel; calls ``changed()`` when one is added or removed.

    The bus itself does not report that, and a check for listeners at each event would cost time in each run.
    """

    def __init__(self, listeners: Iterable[Callable[..., Any]], changed: Callable[[], None]) -> None:
        super().__init__(listeners)
        self._changed = changed

    def add(self, listener: Callable[..., Any]) -> None:
        super().add(listener)
        self._changed()

    def discard(self, listener: object) -> None:
        super().discard(listener)
        self._changed()


class _CherryPyLog(logging.Handler):
    """Passes our records to CherryPy's error log if no other handler takes them.

    CherryPy shows only its own loggers: without this, a bare server would not show that a task fails.
    """

    def emit(self, record: logging.LogRecord) -> None:
        if self._is_handled(record):
            return
        try:
            if not cherrypy.log.error_log.disabled:
                cherrypy.log.error(self.format(record), "SCHEDULER", record.levelno)
            elif logging.lastResort is not None and record.levelno >= logging.lastResort.level:
                logging.lastResort.handle(record)  # a dictConfig has disabled CherryPy's loggers
        except Exception:
            self.handleError(record)

    def _is_handled(self, record: logging.LogRecord) -> bool:
        """Return whether another handler takes a record; checked each time, as logging may be set up later."""
        logger: logging.Logger | None = logging.getLogger(record.name)
        while logger is not None:
            if any(handler is not self for handler in logger.handlers):
                return True
            logger = logger.parent if logger.propagate else None
        return False
