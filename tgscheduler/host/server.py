"""``start_server(root)``: a CherryPy server with the configuration applied."""

from typing import Any

import cherrypy

import tgscheduler.host
from tgscheduler import config, console
from tgscheduler.errors import ConfigError
from tgscheduler.messages import redact


def start_server(root: Any, script_name: str = "") -> None:
    """Mount ``root`` and serve it until the server is stopped; the scheduler starts and stops with it.

    ``[global]`` keys of :mod:`tgscheduler.config` that are not ours go to CherryPy, ``["/path"]`` sections to the
    application. An error in the configuration ends the process with one line in the log and exit status 70.
    """
    try:
        config.check_all()
        if config.get("tg.scheduler.console") is not None:
            console.check()
        _configure_cherrypy()
    except ConfigError as error:
        tgscheduler.host.refuse(error)
    cherrypy.tree.mount(root, script_name, config.app_sections() or None)
    cherrypy.engine.signals.subscribe()
    try:
        cherrypy.engine.start()
    except KeyboardInterrupt:  # the HTTP server's thread is no daemon: without exit() the process would never end
        cherrypy.log.error("Keyboard Interrupt: shutting down bus", "ENGINE")
        cherrypy.engine.exit()
        raise
    cherrypy.engine.block()


def _configure_cherrypy() -> None:
    values = config.host_settings()
    try:
        cherrypy.config.update(values)
    except Exception as error:
        raise ConfigError(
            f"[global]: CherryPy refuses one of {redact(', '.join(values))}: "
            f"{type(error).__name__}: {redact(str(error))}"
        ) from None
