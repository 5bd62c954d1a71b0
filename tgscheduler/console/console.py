"""The console of one scheduler: what its handlers are given beside the request."""

import threading
from functools import cached_property
from typing import Any

from tgscheduler.console import render
from tgscheduler.console.http import Request, Response
from tgscheduler.console.notices import Notices
from tgscheduler.console.polling import Fragments
from tgscheduler.console.replays import Replays
from tgscheduler.console.settings import ConsoleSettings, configured
from tgscheduler.engine.scheduler import Scheduler
from tgscheduler.views import Reader


class Console:
    """Holds the scheduler, its read model and the settings (None: those of the configuration); renders pages."""

    def __init__(self, scheduler: Scheduler, settings: ConsoleSettings | None = None) -> None:
        self.scheduler = scheduler
        self.title = "Scheduler"
        self.notices = Notices()
        self.fragments = Fragments()
        #: Held while a client of the API changes what it has read.
        self.changing = threading.Lock()
        self.replays = Replays()
        self._settings = settings
        render.environment()

    @property
    def settings(self) -> ConsoleSettings:
        """The settings as they are now."""
        return configured() if self._settings is None else self._settings

    @cached_property
    def reader(self) -> Reader:
        """The read model of the scheduler."""
        return Reader(self.scheduler, redact=self.settings.redact)

    def render(self, request: Request, template: str, **values: Any) -> Response:
        """Return the page of a template, which sees ``console``, ``request`` and the values."""
        return render.page(request, template, {"console": self, **values})
