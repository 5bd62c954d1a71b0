"""One config file: read as literals, interpolated, each key known by its line.

::

    [global]          dotted keys: tg.scheduler = True
    ["/static"]       CherryPy's application config
    [logging]         TurboGears 1's form: [[handlers]], [[loggers]], [[formatters]]

Other sections get one warning each.
"""

import ast
import importlib.util
import logging
import logging.handlers
import re
import sys
from pathlib import Path
from typing import Any

from configobj import ConfigObj, ConfigObjError

from tgscheduler.errors import ConfigError

log = logging.getLogger("tgscheduler.config")

_NAME = re.compile(r"%\(([^)]*)\)s")
_SECTION = re.compile(r"\s*(\[+)\s*(.*?)\s*\]+")
_KEY = re.compile(r"\s*([^#=\s][^=]*?)\s*=")
_WORDS = {"true": "True", "yes": "True", "on": "True", "false": "False", "no": "False", "off": "False", "none": "None"}


class ConfigFile:
    """A file's ``globals``, its ``sections`` by path, and its ``logging`` section (None: it has none)."""

    def __init__(self, path: Path, folders: dict[str, str]) -> None:
        self.path = path
        self.globals: dict[str, Any] = {}
        self.sections: dict[str, dict[str, Any]] = {}
        self.logging: dict[str, Any] | None = None
        self._folders = folders
        try:
            self._text = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path}: cannot be read: {error}") from None
        self._lines = _line_numbers(self._text)
        for name, value in self._parse().items():
            self._take(name, value)

    def where(self, section: str, key: str) -> str:
        """Return ``file line n [section]`` for an error."""
        line = self._lines.get((section, key))
        return f"{self.path}{f' line {line}' if line else ''} [{section}]"

    def _parse(self) -> dict[str, Any]:
        try:
            parsed: dict[str, Any] = ConfigObj(
                self._text, unrepr=True, interpolation=False, list_values=True, raise_errors=True
            ).dict()
        except ConfigObjError as error:
            raise ConfigError(self._explain(error)) from None
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError) as error:
            raise ConfigError(f"{self.path}: a value is no Python literal: {error}") from None
        return parsed

    def _explain(self, error: ConfigObjError) -> str:
        number = getattr(error, "line_number", None)
        line = self._text[number - 1] if number and number <= len(self._text) else ""
        match = _KEY.match(line)
        where = f"{self.path} line {number}" if number else str(self.path)
        if match is None:
            return f"{where}: {str(error).partition(' at line')[0]}: {line.strip()[:80]!r}"
        key, value = match[1].strip("'\""), line[match.end() :].strip()
        word = value.split("#")[0].strip()
        if word.lower() in _WORDS:
            return f"{where} {key}: expected True or False, got {word}; write {_WORDS[word.lower()]}"
        if "Duplicate" in type(error).__name__ or "Duplicate" in str(error):
            return f"{where} {key}: the key stands twice in its section"
        return (
            f"{where} {key}: expected a Python literal, got {word[:80]}; write a string in quotes, "
            "a number, True, False, None, a list or a dict"
        )

    def _take(self, name: str, value: Any) -> None:
        if name == "global" and isinstance(value, dict):
            self.globals = {key: self._interpolate("global", key, v) for key, v in value.items()}
        elif name == "logging" and isinstance(value, dict):
            self.logging = value
        elif name.startswith("/") and isinstance(value, dict):
            self.sections[name] = {key: self._interpolate(name, key, v) for key, v in value.items()}
        elif isinstance(value, dict):
            log.warning("%s: section [%s] is none that is known here, and is left out", self.path, name)
        else:
            log.warning("%s: %s stands before any section, and is left out; put it under [global]", self.path, name)

    def _interpolate(self, section: str, key: str, value: Any) -> Any:
        if isinstance(value, str):
            return _NAME.sub(lambda match: self._folder(section, key, match[1]), value)
        if isinstance(value, (list, tuple)):
            return type(value)(self._interpolate(section, key, item) for item in value)
        if isinstance(value, dict):
            return {name: self._interpolate(section, key, item) for name, item in value.items()}
        return value

    def _folder(self, section: str, key: str, name: str) -> str:
        if name not in self._folders:
            known = " and ".join(f"%({folder})s" for folder in self._folders)
            raise ConfigError(f"{self.where(section, key)} {key}: %({name})s is not known; known are {known}")
        return self._folders[name]


def find(configfile: str | None, modulename: str | None) -> list[ConfigFile]:
    """Read the files that ``update_config`` means, in the order in which they override each other."""
    paths: list[Path] = []
    if modulename is not None:
        top, package = _package_folders(modulename)
        leaf = modulename.rpartition(".")[2]
        candidates = [package / leaf / "app.cfg", package / f"{leaf}.cfg"]
        found = next((path for path in candidates if path.is_file()), None)
        if found is None:
            raise ConfigError(f"modulename {modulename!r}: expected one of {', '.join(map(str, candidates))}")
        log_cfg = found.with_name("log.cfg")
        paths += [*([log_cfg] if log_cfg.is_file() else []), found]
    elif configfile is not None:
        top = package = Path(configfile).resolve().parent
    if configfile is not None:
        paths.append(Path(configfile))
    if not paths:
        raise ConfigError("update_config: expected a configfile or a modulename, got neither")
    folders = {"top_level_dir": str(top), "package_dir": str(package)}
    return [ConfigFile(path, folders) for path in paths]


def _package_folders(modulename: str) -> tuple[Path, Path]:
    package = modulename.rpartition(".")[0]
    if not package:
        raise ConfigError(f"modulename {modulename!r}: expected a dotted name such as 'yourpkg.config'")
    folders = []
    for name in (package.partition(".")[0], package):
        try:
            spec = importlib.util.find_spec(name)
        except (ImportError, ValueError) as error:
            raise ConfigError(f"modulename {modulename!r}: package {name!r} cannot be found: {error}") from None
        if spec is None or not spec.submodule_search_locations:
            raise ConfigError(f"modulename {modulename!r}: there is no package {name!r} on the import path")
        folders.append(Path(next(iter(spec.submodule_search_locations))).resolve())
    return folders[0], folders[1]


def _line_numbers(text: list[str]) -> dict[tuple[str, str], int]:
    numbers: dict[tuple[str, str], int] = {}
    section = ""
    for number, line in enumerate(text, 1):
        heading = _SECTION.match(line)
        if heading:
            if len(heading[1]) == 1:
                section = heading[2].strip("'\"")
            continue
        key = _KEY.match(line)
        if key:
            numbers.setdefault((section, key[1].strip("'\"")), number)
    return numbers


# -- [logging] -----------------------------------------------------------------------------------------------------


def apply_logging(sources: list[ConfigFile]) -> None:
    """Set up logging from the ``[logging]`` sections, later files over earlier ones; raise ConfigError first."""
    if not sources:
        return
    merged: dict[str, dict[str, dict[str, Any]]] = {"formatters": {}, "handlers": {}, "loggers": {}}
    for source in sources:
        for kind, entries in (source.logging or {}).items():
            if kind not in merged or not isinstance(entries, dict):
                expected = "[[formatters]], [[handlers]] or [[loggers]]"
                raise ConfigError(f"{source.path} [logging]: expected {expected}, got {kind!r}")
            for name, entry in entries.items():
                if not isinstance(entry, dict):
                    raise ConfigError(f"{source.path} [logging] {kind}: expected a section [[[{name}]]], got {entry!r}")
                merged[kind].setdefault(name, {}).update(entry)
    where = f"{sources[-1].path} [logging]"
    formatters = {
        name: logging.Formatter(
            # TurboGears writes *(message)s, as %(...)s is interpolation
            str(entry.get("format", "%(message)s")).replace("*(", "%("),
            entry.get("datefmt"),
        )
        for name, entry in merged["formatters"].items()
    }
    levels = {
        (kind, name): _level(f"{where} {kind} {name}", entry["level"])
        for kind in ("handlers", "loggers")
        for name, entry in merged[kind].items()
        if "level" in entry
    }
    handlers = {name: _handler(f"{where} handlers {name}", entry) for name, entry in merged["handlers"].items()}
    for name, handler in handlers.items():
        handler.setLevel(levels.get(("handlers", name), logging.NOTSET))
        wanted = merged["handlers"][name].get("formatter")
        if wanted is not None:
            handler.setFormatter(_known(f"{where} handlers {name} formatter", wanted, formatters))
    plans = []
    for name, entry in merged["loggers"].items():
        wanted_handlers = entry.get("handlers", [])
        if isinstance(wanted_handlers, str):
            wanted_handlers = [wanted_handlers]
        chosen = [_known(f"{where} loggers {name} handlers", wanted, handlers) for wanted in wanted_handlers]
        plans.append((logging.getLogger(entry.get("qualname")), name, chosen, bool(entry.get("propagate", 1))))
    for logger, name, chosen, propagate in plans:
        if ("loggers", name) in levels:
            logger.setLevel(levels["loggers", name])
        for handler in chosen:
            logger.addHandler(handler)
        logger.propagate = propagate


def _level(where: str, value: Any) -> int:
    names = logging.getLevelNamesMapping()
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and value.upper() in names:
        return names[value.upper()]
    raise ConfigError(f"{where} level: expected one of DEBUG, INFO, WARNING, ERROR, CRITICAL, got {value!r}")


def _known(where: str, name: Any, table: dict[str, Any]) -> Any:
    if name not in table:
        raise ConfigError(f"{where}: {name!r} is not defined; defined are {', '.join(table) or 'none'}")
    return table[name]


def _handler(where: str, entry: dict[str, Any]) -> logging.Handler:
    name = entry.get("class", "StreamHandler")
    plain = str(name).removeprefix("logging.").removeprefix("handlers.")
    kind = getattr(logging, plain, None) or getattr(logging.handlers, plain, None)
    if not (isinstance(kind, type) and issubclass(kind, logging.Handler)):
        raise ConfigError(f"{where} class: expected one of logging's handlers such as 'StreamHandler', got {name!r}")
    args = _literal_args(f"{where} args", entry.get("args", "()"))
    try:
        made: logging.Handler = kind(*args)
    except Exception as error:
        raise ConfigError(f"{where}: {plain}{args!r} cannot be made: {error}") from None
    return made


def _literal_args(where: str, value: Any) -> tuple[Any, ...]:
    """Return a handler's arguments: TurboGears writes ``args='(sys.stdout,)'``, which is read, never evaluated."""
    if isinstance(value, (tuple, list)):
        return tuple(value)
    try:
        tree = ast.parse(str(value), mode="eval").body
        if not isinstance(tree, ast.Tuple):
            raise ValueError("no tuple")
        return tuple(_STREAMS.get(ast.unparse(item)) or ast.literal_eval(item) for item in tree.elts)
    except (ValueError, SyntaxError) as error:
        raise ConfigError(
            f"{where}: expected literals, sys.stdout or sys.stderr, such as '(sys.stdout,)', got {value!r} ({error})"
        ) from None


class _Stream:
    """``sys.stdout`` or ``sys.stderr`` as they are when something is written."""

    def __init__(self, name: str) -> None:
        self._name = name

    def write(self, text: str) -> int:
        return int(getattr(sys, self._name).write(text))

    def flush(self) -> None:
        getattr(sys, self._name).flush()


_STREAMS = {"sys.stdout": _Stream("stdout"), "sys.stderr": _Stream("stderr")}
