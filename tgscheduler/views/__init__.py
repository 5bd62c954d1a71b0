"""The read model: frozen values for pages, API, command line and metrics, so that all of them say the same.

::

    reader = Reader(scheduler)
    reader.tasks()                       TaskSummary of each task; reader.version changes when they do
    reader.recent(names)                 the last runs of many tasks
    reader.fires(since, until, names)    FireView of each fire to come
    reader.days(first, number)           DayView of each day of a calendar
    reader.health()                      HealthView, with settings and versions
"""

from tgscheduler.engine.views import RunView, TaskView
from tgscheduler.views.coming import Collision, Fires, FireView
from tgscheduler.views.days import DayView
from tgscheduler.views.health import HealthView, SettingView
from tgscheduler.views.reader import Preview, Reader, RunPage
from tgscheduler.views.redaction import HIDDEN, SECRET_NAMES, Redactor
from tgscheduler.views.tasks import (
    BAD_STATES,
    STATUSES,
    UNRUN_STATES,
    Definition,
    Failures,
    TaskSummary,
    failures,
)

__all__ = [
    "BAD_STATES",
    "HIDDEN",
    "SECRET_NAMES",
    "STATUSES",
    "UNRUN_STATES",
    "Collision",
    "DayView",
    "Definition",
    "Failures",
    "FireView",
    "Fires",
    "HealthView",
    "Preview",
    "Reader",
    "Redactor",
    "RunPage",
    "RunView",
    "SettingView",
    "TaskSummary",
    "TaskView",
    "failures",
]
