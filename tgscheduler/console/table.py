"""The one table of routes."""

from tgscheduler.console import public
from tgscheduler.console.pages import calendar, display, health, run, runs, schedule, simulate, why
from tgscheduler.console.routes import Table

_PAGES = (schedule, runs, run, calendar, simulate, why, health, display)

TABLE = Table((*public.ROUTES, *(route for page in _PAGES for route in page.ROUTES)))
