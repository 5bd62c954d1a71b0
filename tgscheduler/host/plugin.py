"""The plugin: its methods are named like the bus channels they listen to.

::

    start, 80   after the fork of a daemon, the bound port (75) and dropped privileges (77):
                call_on_startup, then the scheduler; its first turn waits until the bus is STARTED
    stop, 20    while HTTP (25) and the application's database (50) are still there: the drain
    stop, 80    call_on_shutdown
    graceful    nothing: a log rotation must not fire tasks
"""

import logging
from typing import Any

import cherrypy
from cherrypy.process.plugins import SimplePlugin

from tgscheduler import config
from tgscheduler.engine.schedulers import Scheduler
from tgscheduler.scheduler import _get_scheduler
from tgscheduler.startup import call_on_shutdown, call_on_startup, name_of
from tgscheduler.timetable.tasks import Task

#: CherryPy shows only its own loggers; ours go to it where nobody handles them.
_ours = logging.getLogger("tgscheduler")


class SchedulerPlugin(SimplePlugin):  # type: ignore[misc]
    """Starts the default scheduler with the server and stops it; ``bus`` is usually ``cherrypy.engine``."""

    def __init__(self, bus: Any) -> None:
        super().__init__(bus)
        self._scheduler: Scheduler | None = None
        self._added: list[Task] = []
        self._begun = False
        self._handler: logging.Handler | None = None

    def subscribe(self) -> None:
        """Listen to the bus."""
        super().subscribe()
        self.bus.subscribe("stop", self.shut_down, 80)

    def unsubscribe(self) -> None:
        """Listen no more."""
        super().unsubscribe()
        self.bus.unsubscribe("stop", self.shut_down)

    def start(self) -> None:
        """Run ``call_on_startup`` in order and, where ``tg.scheduler`` is true, start the scheduler."""
        self._show_our_log()
        config.check_all()
        self._begun = True
        scheduler = self._scheduler = _get_scheduler()
        with scheduler.collecting() as self._added:
            for hook in list(call_on_startup):
                try:
                    hook()
                except Exception as error:
                    self.bus.log(f"call_on_startup: {name_of(hook)} raised {type(error).__name__}: {error}", level=40)
                    raise
        if not config.get("tg.scheduler"):
            self.bus.log("The scheduler is off and nothing fires; tg.scheduler = True under [global] switches it on.")
            return
        if self._begun:  # else we were stopped meanwhile, by a signal inside a hook
            scheduler.start_scheduler(ready=self._bus_has_started)
            self.bus.log(
                f"Scheduler started: {scheduler.health()['tasks']} tasks, zone {scheduler.timezone}, "
                f"up to {config.get('tg.scheduler.threads')} threads."
            )

    start.priority = 80  # type: ignore[attr-defined]

    def stop(self) -> None:
        """Stop the scheduler within its bound, and take back the tasks that ``call_on_startup`` added."""
        scheduler = self._scheduler
        if scheduler is None:
            return
        was_running = scheduler.running
        scheduler.stop()
        added, self._added = self._added, []
        scheduler.discard(added)
        if was_running:
            self.bus.log("Scheduler stopped.")

    stop.priority = 20  # type: ignore[attr-defined]

    def shut_down(self) -> None:
        """Run ``call_on_shutdown``, where ``call_on_startup`` was begun."""
        begun, self._begun = self._begun, False
        if begun:
            for hook in list(call_on_shutdown):
                try:
                    hook()
                except Exception as error:
                    self.bus.log(
                        f"call_on_shutdown: {name_of(hook)} raised {type(error).__name__}: {error}", 40, traceback=True
                    )
        if self._handler is not None:
            _ours.removeHandler(self._handler)
            self._handler = None

    def _bus_has_started(self) -> bool:
        return bool(self.bus.state is self.bus.states.STARTED)

    def _show_our_log(self) -> None:
        if self._handler is None and not _ours.hasHandlers():
            self._handler = _CherryPyLog()
            _ours.addHandler(self._handler)


class _CherryPyLog(logging.Handler):
    """Hands records to CherryPy's error log, whatever handlers that has."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            cherrypy.log.error(self.format(record), "SCHEDULER", record.levelno)
        except Exception:
            self.handleError(record)
