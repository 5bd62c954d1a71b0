"""Each scheduler with its defaults, in one line; imports are inside the functions, as each process uses only one."""

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any


def ours() -> Any:
    """Return our scheduler, running."""
    from tgscheduler.scheduler import ThreadedScheduler

    scheduler = ThreadedScheduler()
    scheduler.start()
    return scheduler


def apscheduler(paused: bool = False, in_loop: bool = False) -> Any:
    """Return APScheduler's BackgroundScheduler, running; ``in_loop``: its DebugExecutor runs jobs in its own thread."""
    from apscheduler.executors.debug import DebugExecutor
    from apscheduler.schedulers.background import BackgroundScheduler

    scheduler = BackgroundScheduler(timezone=UTC, executors={"default": DebugExecutor()} if in_loop else {})
    scheduler.start(paused=paused)
    return scheduler


def at_once(scheduler: Any, action: Callable[[], object]) -> None:
    """Give APScheduler a job that is due, and is never dropped for being late."""
    scheduler.add_job(action, "date", run_date=datetime.now(UTC), misfire_grace_time=None)


def each_second(scheduler: Any, action: Callable[[], object], first: float) -> None:
    """Give APScheduler a job that is due each second, first at ``first`` (POSIX seconds), and never dropped."""
    moment = datetime.fromtimestamp(first, UTC)
    scheduler.add_job(action, "interval", seconds=1, start_date=moment, misfire_grace_time=None)


def tgs17() -> tuple[Any, Any]:
    """Return the kronos of TGScheduler 1.7 and its ThreadedScheduler, not started: once asleep it sleeps for 5 s."""
    from tgscheduler import kronos

    if not hasattr(kronos, "rrule"):
        raise ImportError("this is not TGScheduler 1.7")
    return kronos, kronos.ThreadedScheduler()


def schedule() -> Any:
    """Return a Scheduler of ``schedule``; the caller calls its ``run_pending``."""
    from schedule import Scheduler

    return Scheduler()


def poll(scheduler: Any, seconds: float) -> None:
    """Call ``run_pending`` of ``schedule`` in a thread, every ``seconds``, as its documentation shows."""

    def loop() -> None:
        while True:
            scheduler.run_pending()
            time.sleep(seconds)

    threading.Thread(target=loop, daemon=True).start()
