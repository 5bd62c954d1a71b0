"""The configuration: app.cfg, and the one truth for ``tg.*`` keys wherever they come from.

::

    update_config(modulename="yourpkg.config")   yourpkg/config/app.cfg (or yourpkg/config.cfg), log.cfg beside it
    update_config(configfile="dev.cfg")          a deployment's file, over the application's
    update({"tg.scheduler": True})               ready values, flat or under "global"
    cherrypy.config.update({...})                the same keys, once tgscheduler.host is imported

Files are read with ConfigObj in ``unrepr`` mode: a value is a Python literal, and nothing is ever evaluated. Whatever
was set last wins; a file or a dict with one bad value changes nothing.
"""

import difflib
import logging
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from tgscheduler.errors import ConfigError, SchedulerError
from tgscheduler.timetable import triggers, zones

log = logging.getLogger(__name__)

Values = dict[str, Any]


class Setting(NamedTuple):
    """One key: what a value must be (``check`` raises), its default, and a sentence of documentation."""

    check: Callable[[Any], Any]
    default: Any
    doc: str


def _boolean(value: Any) -> None:
    if not isinstance(value, bool):
        raise ConfigError("expected True or False")


def _whole(value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ConfigError("expected a whole number of 1 or more")


def _seconds(value: Any) -> None:
    if isinstance(value, str):
        raise ConfigError("expected a number of seconds, without quotes")
    triggers.check_seconds("value", value)


def _zone(value: Any) -> None:
    if value is not None:
        zones.zone(value)


SETTINGS: dict[str, Setting] = {
    "tg.scheduler": Setting(_boolean, False, "Whether the scheduler starts with the server."),
    "tg.scheduler.timezone": Setting(_zone, None, "IANA name of the zone of calendar tasks; None: the host's."),
    "tg.scheduler.threads": Setting(_whole, 100, "How many threaded runs there are at a time."),
    "tg.scheduler.children": Setting(
        lambda value: None if value is None else _whole(value),
        None,
        "How many forked runs there are at a time; None: twice the number of cores.",
    ),
    "tg.scheduler.stop_timeout": Setting(_seconds, 5.0, "Seconds that running actions have when the server stops."),
    "tg.scheduler.history": Setting(_whole, 10_000, "How many runs are remembered in memory."),
}

_global: Values = {}
_sections: dict[str, Values] = {}
_MISSING: Any = object()


def get(key: str, default: Any = _MISSING) -> Any:
    """Return the value of a ``[global]`` key; where it is not set, ``default``, else the setting's own default."""
    if key in _global:
        return _global[key]
    if default is not _MISSING:
        return default
    return SETTINGS[key].default if key in SETTINGS else None


def settings() -> Values:
    """Return the ``tg.*`` keys that are set."""
    return {key: value for key, value in _global.items() if key == "tg" or key.startswith("tg.")}


def host_settings() -> Values:
    """Return the ``[global]`` keys that are not ours: CherryPy's."""
    return {key: value for key, value in _global.items() if key != "tg" and not key.startswith("tg.")}


def app_sections() -> dict[str, Values]:
    """Return the ``["/path"]`` sections: CherryPy's application config."""
    return {path: values.copy() for path, values in _sections.items()}


def update(values: Mapping[str, Any]) -> None:
    """Set ready values: a flat dict, or one with ``"global"`` and ``"/path"`` sections.

    Raises ConfigError, and changes nothing, when one of them cannot be.
    """
    sections = {key: dict(value) for key, value in values.items() if key[:1] == "/" and isinstance(value, Mapping)}
    flat = {key: value for key, value in values.items() if key not in sections and key != "global"}
    flat.update(values.get("global", {}))
    for key, value in flat.items():
        check(key, value, "config.update()")
    _merge(flat, sections)


def update_config(configfile: str | None = None, modulename: str | None = None) -> None:
    """Read config files: the application's by ``modulename`` first, then ``configfile`` over it.

    With ``modulename="yourpkg.config"`` that is ``yourpkg/config/app.cfg`` or ``yourpkg/config.cfg``, and ``log.cfg``
    beside it where there is one. In values ``%(top_level_dir)s`` is the folder of the top package and
    ``%(package_dir)s`` that of the package before modulename's last dot (without modulename: configfile's folder).
    ``[logging]`` is applied. Raises ConfigError, one line, and changes nothing.
    """
    from tgscheduler import configfile as files

    flat: Values = {}
    sections: dict[str, Values] = {}
    logging_sections: list[files.ConfigFile] = []
    for source in files.find(configfile, modulename):
        for key, value in source.globals.items():
            check(key, value, source.where("global", key))
        flat.update(source.globals)
        for path, values in source.sections.items():
            sections.setdefault(path, {}).update(values)
        if source.logging is not None:
            logging_sections.append(source)
    files.apply_logging(logging_sections)
    _merge(flat, sections)


def check(key: str, value: Any, where: str) -> None:
    """Raise ConfigError, one line with ``where``, unless key and value can be; keys that are not ours always can."""
    if key != "tg.scheduler" and not key.startswith(("tg.scheduler.", "tg.scheduler_")):
        near = difflib.get_close_matches(key, SETTINGS, n=1, cutoff=0.85) if key.startswith("tg.sch") else []
        if near:
            raise ConfigError(f"{where} {key}: unknown key; did you mean {near[0]}?")
        return
    setting = SETTINGS.get(key)
    if setting is None:
        near = difflib.get_close_matches(key, SETTINGS, n=1) or ["one of " + ", ".join(SETTINGS)]
        raise ConfigError(f"{where} {key}: unknown key; did you mean {near[0]}?")
    try:
        setting.check(value)
    except (SchedulerError, ValueError, TypeError) as error:
        raise ConfigError(f"{where} {key}: {error}, got {value!r}") from None


def check_all() -> None:
    """Check everything that is set."""
    for key, value in _global.items():
        check(key, value, "[global]")


def reset() -> None:
    """Forget everything: for tests."""
    _global.clear()
    _sections.clear()


def _merge(flat: Values, sections: dict[str, Values]) -> None:
    _global.update(flat)
    for path, values in sections.items():
        _sections.setdefault(path, {}).update(values)
