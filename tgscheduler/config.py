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
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple

from tgscheduler import stores
from tgscheduler.errors import ConfigError, SchedulerError
from tgscheduler.messages import LONGEST, printable, redact, shown
from tgscheduler.timetable import triggers, zones
from tgscheduler.timetable.policy import MISFIRES, ON_LOST, OVERLAPS, Policy

Values = dict[str, Any]

#: Words that people write for True, False or None.
WORDS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False, "none": None}

_LITERAL = "a Python literal: a string in quotes, a number, True, False, None, a list or a dict on one line"


class Setting(NamedTuple):
    """One key: ``check(key, value)``, which raises for a bad value; what is ``expected``; the default; a sentence."""

    check: Callable[[str, Any], None]
    expected: str
    default: Any
    doc: str


def _boolean(key: str, value: Any) -> None:
    if not isinstance(value, bool):
        _refuse(key, value)


def _whole(key: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        _refuse(key, value)


def _whole_or_none(key: str, value: Any) -> None:
    if value is not None:
        _whole(key, value)


def _seconds(key: str, value: Any) -> None:
    triggers.check_seconds(key, value, above_zero=key.endswith("store_timeout"))


def _seconds_or_none(key: str, value: Any) -> None:
    if value is not None:
        triggers.check_seconds(key, value, above_zero=key.endswith(".timeout"))


def _choice(choices: tuple[str, ...]) -> Callable[[str, Any], None]:
    def check(key: str, value: Any) -> None:
        if not isinstance(value, str) or value not in choices:
            _refuse(key, value)

    return check


def _zone(key: str, value: Any) -> None:
    if value is not None and not isinstance(value, str):
        _refuse(key, value)
    try:
        zones.zone(value)
    except SchedulerError as error:
        raise ConfigError(f"{key}: {error}") from None


def _store(key: str, value: Any) -> None:
    if value is not None and not isinstance(value, str):
        _refuse(key, value)
    try:
        stores.check(value or "memory")
    except SchedulerError as error:
        raise ConfigError(f"{key}: {error}") from None


def _refuse(key: str, value: Any) -> None:
    raise ConfigError(f"{key}: expected {SETTINGS[key].expected}, got {shown(value)}")


SETTINGS: dict[str, Setting] = {
    "tg.scheduler": Setting(_boolean, "True or False", False, "Whether the scheduler starts with the server."),
    "tg.scheduler.timezone": Setting(
        _zone,
        "an IANA name such as 'Europe/Berlin', or None",
        None,
        "IANA name of the zone of calendar tasks; None: the host's.",
    ),
    "tg.scheduler.threads": Setting(
        _whole, "a whole number of 1 or more", 100, "How many threaded runs there are at a time."
    ),
    "tg.scheduler.children": Setting(
        _whole_or_none,
        "a whole number of 1 or more, or None",
        None,
        "How many forked runs there are at a time; None: twice the number of cores.",
    ),
    "tg.scheduler.stop_timeout": Setting(
        _seconds, "a number of seconds", 5.0, "Seconds that running actions have when the server stops."
    ),
    "tg.scheduler.history": Setting(
        _whole, "a whole number of 1 or more", 10_000, "How many runs are remembered in memory."
    ),
    "tg.scheduler.store": Setting(
        _store,
        "None, 'sqlite:///scheduler.db' or 'postgresql://user@host/database'",
        None,
        "Where runs and tasks are remembered over restarts; None: in memory, until the process ends.",
    ),
    "tg.scheduler.auto_migrate": Setting(
        _boolean, "True or False", True, "Whether a start brings the tables of the store up to date."
    ),
    "tg.scheduler.history_days": Setting(
        _whole_or_none,
        "a whole number of 1 or more, or None",
        90,
        "For how many days a store keeps a run; None: for ever.",
    ),
    "tg.scheduler.history_per_task": Setting(
        _whole_or_none,
        "a whole number of 1 or more, or None",
        10_000,
        "How many runs of each task a store keeps; None: all.",
    ),
    "tg.scheduler.store_timeout": Setting(
        _seconds, "a number of seconds", 2.0, "Seconds after which a store that does not answer counts as down."
    ),
    "tg.scheduler.on_store_down": Setting(
        _choice(("run", "pause")),
        "'run' or 'pause'",
        "run",
        "Whether runs start while the store is down, as long as no other process can be using it, or wait for it.",
    ),
    "tg.scheduler.on_lost": Setting(
        _choice(ON_LOST),
        f"one of {', '.join(map(repr, ON_LOST))}",
        "skip",
        "What becomes of a run whose process ended before it did: it is recorded as lost, or runs again.",
    ),
    "tg.scheduler.max_takeovers": Setting(
        _whole,
        "a whole number of 1 or more",
        3,
        "How often such a run is run again at most, before it is recorded as lost all the same.",
    ),
    "tg.scheduler.misfire": Setting(
        _choice(MISFIRES),
        f"one of {', '.join(map(repr, MISFIRES))}",
        "run_once",
        "What makes up for missed occurrences: one run, none, or one each.",
    ),
    "tg.scheduler.misfire_cap": Setting(
        _whole_or_none,
        "a whole number of 1 or more, or None",
        None,
        "With 'run_all': how many missed occurrences of a task are made up for at most.",
    ),
    "tg.scheduler.grace": Setting(
        _seconds_or_none,
        "a number of seconds, or None",
        None,
        "Seconds after its due time within which an occurrence may still start; None: no limit.",
    ),
    "tg.scheduler.overlap": Setting(
        _choice(OVERLAPS),
        f"one of {', '.join(map(repr, OVERLAPS))}",
        "skip",
        "What becomes of an occurrence while its task still runs.",
    ),
    "tg.scheduler.max_instances": Setting(
        _whole_or_none,
        "a whole number of 1 or more, or None",
        None,
        "With 'allow': how many runs of a task there are at a time; None: no bound.",
    ),
    "tg.scheduler.timeout": Setting(
        _seconds_or_none, "a number of seconds, or None", None, "Seconds that a run may take; None: no limit."
    ),
    "tg.scheduler.retry": Setting(
        _whole_or_none, "a whole number of 1 or more, or None", None, "How often a failed run is tried again."
    ),
}

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


def update(values: Mapping[str, Any]) -> None:
    """Set ready values: a flat dict, or one with ``"global"`` and ``"/path"`` sections.

    Raises ConfigError, and changes nothing, if one of them is invalid.
    """
    where = "config.update()"
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
    _merge(flat, sections)


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
    definitions = []
    for source in files.find(configfile, modulename, explain):
        for key, value in source.globals.items():
            check(key, value, source.where(("global",), key))
        flat.update(source.globals)
        for path, values in source.sections.items():
            for key in values:
                check_section(key, source.where((path,), key))
            sections.setdefault(path, {}).update(values)
        definitions.append(source.logging)
    configlogging.apply(definitions)
    _merge(flat, sections)
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
        return f"{where} {key}: expected {SETTINGS[key].expected}, got {printable(text, LONGEST)}{mend}"
    _check_spelling(key, where)
    return f"{where} {redact(key)}: expected {_LITERAL}; got {printable(text, LONGEST)}{mend}"


def reset() -> None:
    """Clear all values, and undo what ``[logging]`` has set up: for tests."""
    from tgscheduler import configlogging

    global _folder
    _folder = None
    _global.clear()
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


def _merge(flat: Values, sections: dict[str, Values]) -> None:
    _global.update(flat)
    for path, values in sections.items():
        _sections.setdefault(path, {}).update(values)
