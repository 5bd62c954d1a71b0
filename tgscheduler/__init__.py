"""The scheduler of TurboGears 1, for CherryPy and Python 3.

``scheduler`` has the functions, ``startup`` the hooks, ``config`` the configuration; ``start_server(root)`` runs a
CherryPy server with all of it. The top-level names of TGScheduler 1.7 are here as well.
"""

import sys
from typing import Any

from tgscheduler import config, events, scheduler, startup
from tgscheduler.config import update_config
from tgscheduler.scheduler import (
    add_cron_like_task,
    add_cron_task,
    add_interval_task,
    add_monthday_task,
    add_monthly_task,
    add_single_task,
    add_task,
    add_weekday_task,
    add_weekly_task,
    cancel,
    cancel_run,
    current_run,
    explain,
    get_task,
    get_tasks,
    method,
    pause,
    pause_all,
    rename_task,
    reschedule_task,
    resume,
    resume_all,
    run_now,
    start_scheduler,
    stop_scheduler,
    subscribe,
    why,
)
from tgscheduler.timetable import policy, triggers

__version__ = "2.0.0.dev0"

__all__ = [
    "add_cron_like_task",
    "add_cron_task",
    "add_interval_task",
    "add_monthday_task",
    "add_monthly_task",
    "add_single_task",
    "add_task",
    "add_weekday_task",
    "add_weekly_task",
    "cancel",
    "cancel_run",
    "config",
    "current_run",
    "events",
    "explain",
    "get_task",
    "get_tasks",
    "method",
    "pause",
    "pause_all",
    "policy",
    "rename_task",
    "reschedule_task",
    "resume",
    "resume_all",
    "run_now",
    "schedule",
    "scheduler",
    "start_scheduler",
    "start_server",
    "startup",
    "stop_scheduler",
    "subscribe",
    "triggers",
    "update_config",
    "why",
]

schedule = scheduler
kronos = scheduler

# TurboGears 1 has turbogears.schedule as well as turbogears.scheduler; TGScheduler 1.7 has its classes in kronos.
sys.modules.update(
    {f"{__name__}.{name}": module for name, module in
     {"schedule": scheduler, "kronos": scheduler, "triggers": triggers, "policy": policy}.items()}
)  # fmt: skip


def __getattr__(name: str) -> Any:
    """Import the console and the host, and with it cherrypy, only when it is used."""
    if name == "console":
        import tgscheduler.console

        return tgscheduler.console
    if name == "start_server":
        from tgscheduler.host.server import start_server

        return start_server
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
