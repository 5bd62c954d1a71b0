"""Hooks for the start and the stop of the server: two plain lists of functions without arguments, run in order.

::

    from tgscheduler import startup
    startup.call_on_startup.append(jobs.schedule)
"""

import functools
from collections.abc import Callable
from typing import Any

Hook = Callable[[], Any]

#: Run when the server starts, before the scheduler does; one that raises stops the start.
call_on_startup: list[Hook] = []

#: Run when the server stops, after the scheduler has; one that raises is logged, the rest run.
call_on_shutdown: list[Hook] = []


def name_of(hook: Hook) -> str:
    """Return ``module.qualname`` of a function, for the log; the repr of anything else."""
    while isinstance(hook, functools.partial):
        hook = hook.func
    if not callable(hook):  # append(jobs.schedule()) appends what schedule returned
        return repr(hook)
    kind = hook if hasattr(hook, "__qualname__") else type(hook)
    return f"{kind.__module__}.{kind.__qualname__}"
