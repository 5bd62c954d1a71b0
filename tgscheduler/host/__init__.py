"""CherryPy as the host: importing this makes ``cherrypy.engine.scheduler`` the plugin and registers the ``tg`` keys.

::

    import cherrypy
    import tgscheduler.host
    cherrypy.quickstart(Root(), config={"global": {"tg.scheduler": True}})
"""

from typing import Any, NoReturn

import cherrypy

from tgscheduler import config
from tgscheduler.errors import ConfigError
from tgscheduler.host.plugin import SchedulerPlugin

__all__ = ["SchedulerPlugin", "plugin"]

#: Exit status of a server that could not start; CherryPy uses the same.
EX_SOFTWARE = 70


def _take_over(key: str, value: Any) -> None:
    """Set ``tg.<key>``, as a CherryPy config namespace; before the engine starts a bad value ends the process."""
    name = f"tg.{key}"
    try:
        config.check(name, value, "cherrypy.config")
    except ConfigError as error:
        if cherrypy.engine.state is not cherrypy.engine.states.STOPPED:
            raise
        refuse(error)
    config.update({name: value}, "cherrypy.config")


def refuse(error: ConfigError) -> NoReturn:
    """End a process whose server cannot start: one line in CherryPy's log, exit status 70, no traceback."""
    cherrypy.log.error(str(error), "SCHEDULER", 40)
    raise SystemExit(EX_SOFTWARE)


plugin = cherrypy.engine.scheduler = SchedulerPlugin(cherrypy.engine)
plugin.subscribe()
for _key, _value in list(cherrypy.config.items()):
    if _key.startswith("tg."):
        _take_over(_key.removeprefix("tg."), _value)
cherrypy.config.namespaces["tg"] = _take_over
