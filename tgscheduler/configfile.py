"""One config file: read as literals, interpolated, with the line of each key.

::

    [global]          dotted keys: tg.scheduler = True
    ["/static"]       CherryPy's application config
    [logging]         TurboGears 1's form (tgscheduler.configlogging)

Other sections get one warning each.
"""

import importlib.machinery
import importlib.util
import logging
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from configobj import ConfigObj, ConfigObjError, Section

from tgscheduler import configlogging
from tgscheduler.errors import ConfigError
from tgscheduler.messages import redact, shown

log = logging.getLogger("tgscheduler.config")

#: Returns the error message for a value that is no literal, from its place, its key and its text.
Explain = Callable[[str, str, str], str]
#: The nested sections from the top of the file down to one section.
Place = tuple[str, ...]

_NAME = re.compile(r"(%+)\(([^)]*)\)s")
_TRIPLE = ("'''", '"""')
_SECTION = re.compile(r"\s*((?:\[\s*)+)(.*?)\s*\]")
_KEY = re.compile(r"\s*(\"[^\"]*\"|'[^']*'|[^#='\"\s][^=]*?)\s*=")


class ConfigFile:
    """A file's ``globals``, its ``sections`` by path, and the definitions of its ``logging`` section."""

    def __init__(self, path: Path, folders: dict[str, str], explain: Explain) -> None:
        self.path = path
        self.globals: dict[str, Any] = {}
        self.sections: dict[str, dict[str, Any]] = {}
        self.logging: configlogging.Definitions = {}
        self._folders = folders
        try:
            self._text = path.read_text(encoding="utf-8-sig").split("\n")
        except OSError as error:
            raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
        except UnicodeDecodeError as error:
            raise ConfigError(f"{path}: cannot be read: it is not encoded in UTF-8 ({error.reason})") from None
        self._lines: dict[tuple[Place, str], int] = {}
        self._places: list[Place] = []
        self._begins: dict[int, int] = {}
        self._index()
        self._take(self._parse(explain))

    def where(self, section: Place, key: str = "") -> str:
        """Return ``file line n [section]`` for an error about a key, or about the section itself."""
        line = self._lines.get((section, key))
        return f"{self.path}{f' line {line}' if line else ''}{_names(section)}"

    def interpolate(self, section: Place, key: str, value: Any) -> Any:
        """Insert the folders into every string of a value; raise ConfigError for another name.

        A doubled % before a name is a literal %, as with :mod:`configparser`; so is any other %.
        """
        if isinstance(value, str):
            return _NAME.sub(lambda match: self._folder(section, key, match), value)
        if isinstance(value, (list, tuple)):
            return type(value)(self.interpolate(section, key, item) for item in value)
        if isinstance(value, dict):
            return {name: self.interpolate(section, key, item) for name, item in value.items()}
        return value

    def _folder(self, section: Place, key: str, match: re.Match[str]) -> str:
        marks, name = match.groups()
        escaped = "%" * (len(marks) // 2)
        if len(marks) % 2 == 0:
            return f"{escaped}({name})s"
        if name in self._folders:
            return f"{escaped}{self._folders[name]}"
        known = " and ".join(f"%({folder})s" for folder in self._folders)
        name = name if match[0] in redact(match.string) else "..."  # it is part of a password
        mend = f"a format says *({name})s" if section[0] == "logging" else f"text that has it says %%({name})s"
        where = f"{self.where(section, key)} {redact(key)}"
        raise ConfigError(f"{where}: %({name})s is not known; known are {known}; {mend}")

    # -- reading -------------------------------------------------------------------------------------------------

    def _index(self) -> None:
        """Find the line of each section and key, and the section of each line.

        Lines within triple quotes belong to the line on which the quotes begin.
        """
        place: Place = ()
        opened = 0
        quotes = ""
        for number, line in enumerate(self._text, 1):
            if quotes:
                self._begins[number] = opened
                self._places.append(place)
                quotes = "" if quotes in line else quotes
                continue
            heading, key = _SECTION.match(line), _KEY.match(line)
            if heading:
                place = (*place[: heading[1].count("[") - 1], _unquote(heading[2]))
                self._lines.setdefault((place, ""), number)
            elif key:
                self._lines.setdefault((place, _unquote(key[1])), number)
                value = line[key.end() :].strip()
                if value.startswith(_TRIPLE) and value[:3] not in value[3:]:
                    opened, quotes = number, value[:3]
            self._places.append(place)

    def _parse(self, explain: Explain) -> ConfigObj:
        try:
            return ConfigObj(self._text, unrepr=True, interpolation=False, raise_errors=True)
        except ConfigObjError as error:
            number = error.line_number or 1
            number = self._begins.get(number, number)
        line, place = self._text[number - 1].strip(), self._places[number - 1]
        where = f"{self.path} line {number}{_names(place)}"
        heading, key = _SECTION.match(line), _KEY.match(line)
        if heading:
            first = self._lines[place, ""]
            if first != number:
                raise ConfigError(f"{where}: the section stands twice, first on line {first}; make them one")
            raise ConfigError(f"{where}: expected a section such as [global], below it [[name]], got {shown(line)}")
        if key is None:
            raise ConfigError(f"{where}: expected key = value or a [section], got {shown(line)}")
        name = _unquote(key[1])
        first = self._lines[place, name]
        if first != number:
            raise ConfigError(
                f"{where} {redact(name)}: the key stands twice, first on line {first}; take one of them out"
            )
        # Redact the whole line: the secret may begin in the part that looks like the key.
        text = redact(line)[key.end() :] or "***"
        raise ConfigError(explain(where, name, text.partition("#")[0].strip()))

    def _take(self, parsed: ConfigObj) -> None:
        for key in parsed.scalars:
            raise ConfigError(f"{self.where((), key)} {redact(key)}: stands before any section; put [global] above it")
        for name in parsed.sections:
            section = parsed[name]
            if name == "logging":
                self.logging = configlogging.read(section, self.where, self.interpolate)
            elif name == "global" or name.startswith("/"):
                self._warn_below(name, section)
                values = {key: self.interpolate((name,), key, section[key]) for key in section.scalars}
                if name == "global":
                    self.globals = values
                else:
                    self.sections[name] = values
            else:
                log.warning("%s: is no section that is known here, and is left out", self.where((name,)))

    def _warn_below(self, name: str, section: Section) -> None:
        for inner in section.sections:
            log.warning("%s: is no section that is known here, and is left out", self.where((name, inner)))


def find(configfile: str | os.PathLike[str] | None, modulename: str | None, explain: Explain) -> Iterator[ConfigFile]:
    """Read the files of an ``update_config`` call, in the order in which they override each other."""
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
    return iter([ConfigFile(path, folders, explain) for path in paths])


def _package_folders(modulename: str) -> tuple[Path, Path]:
    """Return the folders of the top package and of the one before the last dot; neither is imported."""
    package = modulename.rpartition(".")[0]
    if not package:
        raise ConfigError(f"modulename {modulename!r}: expected a dotted name such as 'yourpkg.config'")
    folders: list[Path] = []
    within: list[str] = []
    parts = package.split(".")
    for depth, part in enumerate(parts, 1):
        name = ".".join(parts[:depth])
        try:
            if depth == 1:
                spec = importlib.util.find_spec(part) if part else None
            else:
                spec = importlib.machinery.PathFinder.find_spec(name, within)
        except (ImportError, ValueError):  # ValueError: a module without a spec, such as __main__
            spec = None
        within = list(spec.submodule_search_locations or ()) if spec else []
        if not within:
            raise ConfigError(f"modulename {modulename!r}: there is no package {name!r} on the import path")
        folders.append(Path(within[0]).resolve())
    return folders[0], folders[-1]


def _names(place: Place) -> str:
    return "".join(" " + "[" * depth + redact(name) + "]" * depth for depth, name in enumerate(place, 1))


def _unquote(text: str) -> str:
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'" else text
