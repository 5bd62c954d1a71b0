"""What is wrong with the scheduler as a whole, and what to do about it, for banners and the page of its health."""

import re
from typing import NamedTuple

from tgscheduler.views import HealthView


class Finding(NamedTuple):
    """What is wrong, and what to do about it."""

    text: str
    advice: str


#: What to do, by how a reason of ``health()`` reads; the first that is found.
ADVICE = (
    (r"the store is down", "Tasks keep running, and their records wait in memory until the database is back."),
    (
        r"records were dropped",
        "The history has a gap; the log says since when. Bring the database back or give it room.",
    ),
    (r"holds the loop", "Everything waits for it. Run that action in a thread (method.threaded), or make it quicker."),
    (r"seconds? behind|s behind$", "Something holds the loop's thread or the machine is overloaded; see what runs."),
    (
        r"due runs wait",
        "Raise tg.scheduler.threads or tg.scheduler.children, or spread the timetable: see the calendar.",
    ),
    (r"the clock is", "Set the clocks of the hosts by NTP: tasks fire by this one."),
    (r"timetable is locked", "A trigger or action of the application does not return: see the log, then restart."),
    (r"fork|worker thread", "The host refuses processes or threads: see its limits (ulimit -u) and memory."),
)

#: What holds in each state, and what to do.
STATES = {
    "ok": "The loop is on time, and nothing waits that should not.",
    "degraded": "Tasks still fire, but not as they should.",
    "failed": "No task fires any more. The log has the traceback; restart the server once its cause is mended.",
    "stopped": "No task fires. Set tg.scheduler = True in app.cfg and restart the server, or call start_scheduler().",
}


def findings(health: HealthView) -> list[Finding]:
    """Return each reason of a health with what to do about it."""
    return [Finding(reason, _advice(reason)) for reason in health.reasons]


def _advice(reason: str) -> str:
    return next((advice for pattern, advice in ADVICE if re.search(pattern, reason)), "The log has more.")
