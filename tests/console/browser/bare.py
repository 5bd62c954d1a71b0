"""An application without tasks: ``python bare.py CONFIG``."""

import sys

import cherrypy

import tgscheduler


class Root:
    """A page."""

    @cherrypy.expose
    def index(self):
        """Say that it is there."""
        return "here"


if __name__ == "__main__":
    tgscheduler.update_config(configfile=sys.argv[1])
    tgscheduler.config.update({"tg.scheduler": True})
    tgscheduler.start_server(Root())
