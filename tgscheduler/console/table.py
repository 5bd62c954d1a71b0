"""The one table of routes."""

from tgscheduler.console import api, openapi, public
from tgscheduler.console.pages import act, calendar, display, health, run, runs, schedule, simulate, task, why
from tgscheduler.console.routes import Table

_ROOMS = (public, api, openapi, schedule, task, runs, run, calendar, simulate, why, health, act, display)

TABLE = Table(route for room in _ROOMS for route in room.ROUTES)
