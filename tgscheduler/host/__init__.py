"""CherryPy as the host: importing this puts the plugin on ``cherrypy.engine.scheduler`` and takes ``tg.*`` keys over.

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

#: The exit status of a server that could not start, as CherryPy has it.
EX_SOFTWARE = 70


def _take_over(key: str, value: Any) -> None:
    """Set ``tg.<key>``, as CherryPy's config namespaces do; before the engine starts a bad one ends the process."""
    name = f"tg.{key}"
    try:
        config.check(name, value, "cherrypy.config")
    except ConfigError as error:
        if cherrypy.engine.state is not cherrypy.engine.states.STOPPED:
            raise
        refuse(error)
    config.update({name: value})


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
