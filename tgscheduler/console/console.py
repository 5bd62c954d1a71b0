"""The console of one scheduler: what its handlers are given beside the request."""

import importlib
from typing import Any

from tgscheduler.console.http import Request, Response
from tgscheduler.console.notices import Notices
from tgscheduler.console.settings import ConsoleSettings
from tgscheduler.engine.scheduler import Scheduler


class Console:
    """Holds the scheduler, its read model and the settings; renders pages."""

    def __init__(self, scheduler: Scheduler, settings: ConsoleSettings | None = None) -> None:
        self.scheduler = scheduler
        self.settings = settings or ConsoleSettings()
        self.title = "Scheduler"
        self.notices = Notices()
        self._reader: Any = None

    @property
    def reader(self) -> Any:
        """The read model of the scheduler."""
        if self._reader is None:
            views = importlib.import_module("tgscheduler.views")
            self._reader = views.Reader(self.scheduler, redact=self.settings.redact)
        return self._reader

    def render(self, request: Request, template: str, **values: Any) -> Response:
        """Return the page of a template, which sees ``console``, ``request`` and the values."""
        answer: Response = importlib.import_module("tgscheduler.console.render").page(
            request, template, {"console": self, **values}
        )
        return answer
