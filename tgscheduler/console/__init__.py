"""The console: pages and a JSON API over a scheduler, below a path of a CherryPy server.

::

    tg.scheduler.console = "/scheduler"          under [global]: mounted at the server's start
    tgscheduler.console.mount("/scheduler")      the same from code
"""

from tgscheduler.console.app import mount
from tgscheduler.console.console import Console

__all__ = ["Console", "mount"]
