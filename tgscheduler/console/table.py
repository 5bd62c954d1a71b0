"""The one table of routes."""

from tgscheduler.console import probes
from tgscheduler.console.pages import display
from tgscheduler.console.routes import Table

TABLE = Table((*probes.ROUTES, *display.ROUTES))
