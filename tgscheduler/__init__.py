"""The scheduler of TurboGears 1, for CherryPy and Python 3.

``scheduler`` has the functions, ``startup`` the hooks, ``config`` the configuration; ``start_server(root)`` runs a
CherryPy server with all of it. What TGScheduler 1.7 offered at the top is here as well.
"""

import sys
from typing import Any

from tgscheduler import config, scheduler, startup
from tgscheduler.config import update_config
from tgscheduler.scheduler import (
    add_cron_like_task,
    add_interval_task,
    add_monthday_task,
    add_monthly_task,
    add_single_task,
    add_weekday_task,
    add_weekly_task,
    cancel,
    current_run,
    get_task,
    get_tasks,
    method,
    rename_task,
    start_scheduler,
    stop_scheduler,
)
from tgscheduler.timetable import policy, triggers

__version__ = "2.0.0.dev0"

__all__ = [
    "add_cron_like_task",
    "add_interval_task",
    "add_monthday_task",
    "add_monthly_task",
    "add_single_task",
    "add_weekday_task",
    "add_weekly_task",
    "cancel",
    "config",
    "current_run",
    "get_task",
    "get_tasks",
    "method",
    "policy",
    "rename_task",
    "schedule",
    "scheduler",
    "start_scheduler",
    "start_server",
    "startup",
    "stop_scheduler",
    "triggers",
    "update_config",
]

schedule = scheduler
kronos = scheduler

# The seed says turbogears.schedule as well as turbogears.scheduler, TGScheduler 1.7 has its classes in kronos.
sys.modules.update(
    {f"{__name__}.{name}": module for name, module in
     {"schedule": scheduler, "kronos": scheduler, "triggers": triggers, "policy": policy}.items()}
)  # fmt: skip


def __getattr__(name: str) -> Any:
    """Reach the host, and with it cherrypy, only when it is asked for."""
    if name == "start_server":
        from tgscheduler.host.server import start_server

        return start_server
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
