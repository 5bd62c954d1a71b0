"""The console: pages and a JSON API over a scheduler, below a path of a CherryPy server.

::

    tg.scheduler.console = "/scheduler"          under [global]: mounted from the server's start to its stop
    tgscheduler.console.mount("/scheduler")      the same from code, until unmount()
"""

from types import ModuleType
from typing import TYPE_CHECKING

from tgscheduler.errors import ConfigError

if TYPE_CHECKING:
    from tgscheduler.console.console import Console
    from tgscheduler.engine.scheduler import Scheduler

__all__ = ["check", "is_mounted", "mount", "unmount"]


def mount(path: str, scheduler: "Scheduler | None" = None) -> "Console":
    """Mount the console of a scheduler (None: the default one) at a path, in place of one that is there.

    Raises ConfigError if Jinja2 is not installed, another application is at the path, or the settings are wrong.
    """
    mounted: Console = _app().mount(path, scheduler)
    return mounted


def unmount(path: str) -> None:
    """Take the console away from a path."""
    _app().unmount(path)


def is_mounted(path: str) -> bool:
    """Return whether there is a console at a path."""
    return bool(_app().is_mounted(path))


def check() -> None:
    """Raise ConfigError if a console cannot be mounted: Jinja2 is not installed, or the settings are wrong."""
    _app().check()


def _app() -> ModuleType:
    """Import the application late: it needs CherryPy and Jinja2."""
    try:
        from tgscheduler.console import app
    except ModuleNotFoundError as error:
        if error.name != "jinja2":
            raise
        raise ConfigError("tg.scheduler.console: needs Jinja2; pip install 'tgscheduler[console]'") from None
    return app
