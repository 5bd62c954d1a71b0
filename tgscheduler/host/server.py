"""``start_server(root)``: a CherryPy server with everything that the configuration says."""

from typing import Any

import cherrypy

import tgscheduler.host
from tgscheduler import config
from tgscheduler.errors import ConfigError


def start_server(root: Any, script_name: str = "") -> None:
    """Mount ``root`` and serve it until the server is stopped; the scheduler starts and stops with it.

    ``[global]`` keys of :mod:`tgscheduler.config` that are not ours go to CherryPy, ``["/path"]`` sections to the
    application. What is wrong with the configuration is one line in the log and exit status 70.
    """
    try:
        config.check_all()
    except ConfigError as error:
        cherrypy.log.error(str(error), "SCHEDULER", 40)
        raise SystemExit(tgscheduler.host.EX_SOFTWARE) from None
    cherrypy.config.update(config.host_settings())
    cherrypy.tree.mount(root, script_name, config.app_sections())
    cherrypy.engine.signals.subscribe()
    cherrypy.engine.start()
    cherrypy.engine.block()
