"""The one table of routes."""

from tgscheduler.console import public
from tgscheduler.console.pages import display, schedule
from tgscheduler.console.routes import Table

TABLE = Table((*public.ROUTES, *schedule.ROUTES, *display.ROUTES))
