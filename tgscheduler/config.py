"""The configuration: app.cfg, and the values of all ``tg.*`` keys, whatever their source.

::

    update_config(modulename="yourpkg.config")   yourpkg/config/app.cfg (or yourpkg/config.cfg), log.cfg beside it
    update_config(configfile="dev.cfg")          a deployment's file, over the application's
    update({"tg.scheduler": True})               ready values, flat or under "global"
    cherrypy.config.update({...})                the same keys, once tgscheduler.host is imported

Files are read with ConfigObj in ``unrepr`` mode: a value is a Python literal, and nothing is ever evaluated. The last
value set wins; a file or a dict with one bad value changes nothing.
"""

import ast
import difflib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from tgscheduler.configtable import SETTINGS as SETTINGS
from tgscheduler.errors import ConfigError, SchedulerError
from tgscheduler.messages import LONGEST, printable, redact, shown
from tgscheduler.timetable.policy import Policy

Values = dict[str, Any]

#: Words that people write for True, False or None.
WORDS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False, "none": None}

_LITERAL = "a Python literal: a string in quotes, a number, True, False, None, a list or a dict on one line"


#: The settings of a scheduler's policy.
_POLICY = (
    "misfire",
    "misfire_cap",
    "grace",
    "overlap",
    "max_instances",
    "timeout",
    "retry",
    "on_lost",
    "max_takeovers",
)

_global: Values = {}
#: Where each value of ``_global`` comes from.
_origins: dict[str, str] = {}
_sections: dict[str, Values] = {}
#: The folder of the deployment's configfile, None if there is none.
_folder: str | None = None
_MISSING: Any = object()
#: Values that override all others within :func:`assuming`.
_assumed: ContextVar[Values] = ContextVar("tgscheduler_assumed", default={})  # noqa: B039 - never changed in place


def get(key: str, default: Any = _MISSING) -> Any:
    """Return the value of a ``[global]`` key; if it is not set, ``default``, else the setting's own default."""
    assumed = _assumed.get()
    if key in assumed:
        return assumed[key]
    if key in _global:
        return _global[key]
    if default is not _MISSING:
        return default
    return SETTINGS[key].default if key in SETTINGS else None


def origin(key: str) -> str | None:
    """Return where the value of a ``[global]`` key was set, None if it was not."""
    return "assuming()" if key in _assumed.get() else _origins.get(key)


def folder() -> str:
    """Return the folder at which relative paths start: that of the deployment's configfile, else the current one."""
    return _folder or os.getcwd()


def settings() -> Values:
    """Return the ``tg.*`` keys that are set."""
    return {key: value for key, value in (_global | _assumed.get()).items() if _is_ours(key)}


@contextmanager
def assuming(values: Mapping[str, Any], everywhere: bool = False) -> Iterator[None]:
    """Override ``[global]`` keys for the body of the ``with``: in this thread (this context), or in all threads."""
    for key, value in values.items():
        check(key, value, "assuming()")
    if everywhere:
        before = {key: _global[key] for key in values if key in _global}
        _global.update(values)
        try:
            yield
        finally:
            for key in values:
                if key in before:
                    _global[key] = before[key]
                else:
                    _global.pop(key, None)
        return
    token = _assumed.set({**_assumed.get(), **values})
    try:
        yield
    finally:
        _assumed.reset(token)


def host_settings() -> Values:
    """Return the ``[global]`` keys that do not belong to this package: CherryPy's."""
    return {key: value for key, value in _global.items() if not _is_ours(key)}


def app_sections() -> dict[str, Values]:
    """Return the ``["/path"]`` sections: CherryPy's application config."""
    return {path: values.copy() for path, values in _sections.items()}


def update(values: Mapping[str, Any], where: str = "config.update()") -> None:
    """Set ready values: a flat dict, or one with ``"global"`` and ``"/path"`` sections; ``where``: their source.

    Raises ConfigError, and changes nothing, if one of them is invalid.
    """
    if not isinstance(values, Mapping):
        raise ConfigError(f"{where}: expected a dict, got {shown(values)}")
    flat: Values = {}
    sections: dict[str, Values] = {}
    for key, value in values.items():
        if not isinstance(key, str):
            raise ConfigError(f"{where}: expected keys that are strings, got {shown(key)}")
        if key != "global" and not key.startswith("/"):
            flat[key] = value
        elif not isinstance(value, Mapping):
            raise ConfigError(f"{where} {redact(key)}: expected a dict of keys and values, got {shown(value)}")
        elif key != "global":
            sections[key] = dict(value)
    flat.update(values.get("global", {}))
    for key, value in flat.items():
        check(key, value, where)
    for path, section in sections.items():
        for key in section:
            check_section(key, f"{where} {path}")
    _merge(flat, sections, dict.fromkeys(flat, where))


def update_config(
    configfile: str | os.PathLike[str] | None = None,
    modulename: str | None = None,
) -> None:
    """Read config files: the application's by ``modulename`` first, then ``configfile`` over it.

    With ``modulename="yourpkg.config"`` that is ``yourpkg/config/app.cfg`` or ``yourpkg/config.cfg``, and ``log.cfg``
    beside it if there is one. In values ``%(top_level_dir)s`` is the folder of the top package and
    ``%(package_dir)s`` that of the package before modulename's last dot (without modulename: configfile's folder).
    ``[logging]`` is applied; applying it again duplicates nothing. An error raises ConfigError, one line, and changes
    nothing.
    """
    from tgscheduler import configfile as files
    from tgscheduler import configlogging

    flat: Values = {}
    sections: dict[str, Values] = {}
    origins: dict[str, str] = {}
    definitions = []
    for source in files.find(configfile, modulename, explain):
        for key, value in source.globals.items():
            origins[key] = source.where(("global",), key)
            check(key, value, origins[key])
        flat.update(source.globals)
        for path, values in source.sections.items():
            for key in values:
                check_section(key, source.where((path,), key))
            sections.setdefault(path, {}).update(values)
        definitions.append(source.logging)
    configlogging.apply(definitions)
    _merge(flat, sections, origins)
    global _folder
    if configfile is not None:
        _folder = os.path.dirname(os.path.abspath(configfile))


def check(key: Any, value: Any, where: str) -> None:
    """Raise ConfigError, one line with ``where``, for an invalid key or value; keys of other packages are valid."""
    if not isinstance(key, str):
        raise ConfigError(f"{where}: expected keys that are strings, got {shown(key)}")
    setting = SETTINGS.get(key)
    if setting is None:
        _check_spelling(key, where)
        return
    try:
        setting.check(key, value)
    except SchedulerError as error:
        raise ConfigError(f"{where} {error}{_mend(key, value)}") from None


def check_section(key: str, where: str) -> None:
    """Raise ConfigError for a key of this package under a path, where it has no effect."""
    if key in SETTINGS:
        raise ConfigError(f"{where} {key}: is a setting of the whole server; put it under [global]")


def policy(settings: Mapping[str, Any]) -> Policy:
    """Return the policy of settings; raise ConfigError if they contradict each other."""
    chosen = {name: settings[f"tg.scheduler.{name}"] for name in _POLICY if f"tg.scheduler.{name}" in settings}
    try:
        return Policy(**chosen)
    except SchedulerError as error:
        keys = ", ".join(f"tg.scheduler.{name}" for name in chosen)
        raise ConfigError(f"[global] {keys}: {error}") from None


def check_all() -> None:
    """Check all values that are set, each key alone and the policy as a whole."""
    for key, value in _global.items():
        check(key, value, "[global]")
    policy(_global)


def explain(where: str, key: str, text: str) -> str:
    """Return the error message for a value in a file that is no Python literal; raise ConfigError if the key is wrong.

    ``text`` is the value without its secrets.
    """
    mend = _mend(key, text)
    if text.startswith(("'''", '"""')):
        mend = r"; triple quotes are not read: write 'one line\nand the next'"
    if key in SETTINGS:
        try:
            SETTINGS[key].check(key, text)
        except SchedulerError as error:  # wrong in quotes as well: the error may suggest a value
            near = str(error).partition("; ")[2]
            mend = mend or (near and f"; {near}")
        got = "a text that is none" if SETTINGS[key].is_secret else f"{printable(text, LONGEST)}{mend}"
        return f"{where} {key}: expected {SETTINGS[key].expected}, got {got}"
    _check_spelling(key, where)
    return f"{where} {redact(key)}: expected {_LITERAL}; got {printable(text, LONGEST)}{mend}"


def reset() -> None:
    """Clear all values, and undo what ``[logging]`` has set up: for tests."""
    from tgscheduler import configlogging

    global _folder
    _folder = None
    _global.clear()
    _origins.clear()
    _sections.clear()
    configlogging.reset()


def _is_ours(key: str) -> bool:
    return key == "tg" or key.startswith("tg.")


def _check_spelling(key: str, where: str) -> None:
    """Raise ConfigError for an unknown key that is meant for the scheduler, with the nearest known one."""
    ours = key.lower().startswith("tg.scheduler")
    near = difflib.get_close_matches(key.lower(), SETTINGS, n=1, cutoff=0.6 if ours else 0.85)
    if near and (ours or key.lower().startswith("tg")):
        raise ConfigError(f"{where} {redact(key)}: unknown key; did you mean {near[0]}?")
    if ours:
        raise ConfigError(f"{where} {redact(key)}: unknown key; expected one of {', '.join(SETTINGS)}")


def _mend(key: str, value: Any) -> str:
    """Return ``; write ...`` if the intended value is clear, else an empty string."""
    if key in SETTINGS and SETTINGS[key].is_secret:
        return ""
    meant: list[Any] = [bool(value)] if type(value) is int and value in (0, 1) else []
    if isinstance(value, str):
        word = value.strip().lower()
        meant = [WORDS[word]] if word in WORDS else []
        try:
            meant.append(ast.literal_eval(value.strip()))
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            pass
        if value.replace("/", "").replace("_", "").replace("-", "").isalnum():
            meant.append(value)
    for candidate in meant:
        try:
            if key in SETTINGS:
                SETTINGS[key].check(key, candidate)
        except SchedulerError:
            continue
        return f"; write {shown(candidate)}"
    return ""


def _merge(flat: Values, sections: dict[str, Values], origins: Mapping[str, str]) -> None:
    _global.update(flat)
    _origins.update(origins)
    for path, values in sections.items():
        _sections.setdefault(path, {}).update(values)
