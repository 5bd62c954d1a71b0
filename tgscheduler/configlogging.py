"""``[logging]`` in TurboGears 1's form, applied.

::

    [logging]
    [[formatters]]                              [[loggers]]
    [[[full]]]                                  [[[yourpkg]]]
    format = '*(name)s *(message)s'             qualname = 'yourpkg'     (without it: the root)
    [[handlers]]                                level = 'INFO'
    [[[out]]]                                   handlers = ['out']
    class = 'StreamHandler'                     propagate = 0
    args = '(sys.stdout,)'
    level = 'DEBUG'
    formatter = 'full'

Definitions accumulate over files and calls, so that dev.cfg's loggers can name the handlers of log.cfg; a handler whose
definition is unchanged is kept, so that applying a file again neither duplicates lines nor opens a file twice.
"""

import ast
import logging
import logging.handlers
import sys
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from tgscheduler.errors import ConfigError
from tgscheduler.messages import redact, shown

log = logging.getLogger("tgscheduler.config")


class Entry(NamedTuple):
    """A value, and its place: file, line, section and key."""

    value: Any
    where: str


#: Maps kind (formatters, handlers, loggers) and name to the keys of that definition.
Definitions = dict[tuple[str, str], dict[str, Entry]]

_KEYS = {
    "formatters": ("format", "datefmt"),
    "handlers": ("class", "args", "level", "formatter"),
    "loggers": ("qualname", "level", "handlers", "propagate"),
}

_definitions: Definitions = {}
_handlers: dict[str, tuple[Any, logging.Handler]] = {}
_attached: list[tuple[logging.Logger, logging.Handler]] = []
_before: dict[logging.Logger, tuple[int, bool]] = {}


def read(section: Any, where: Callable[..., str], interpolate: Callable[..., Any]) -> Definitions:
    """Read a ``[logging]`` section; ``where`` returns a key's place, ``interpolate`` inserts folders into strings."""
    definitions: Definitions = {}
    for kind in (*section.scalars, *section.sections):
        at = ("logging", kind)
        if kind not in _KEYS or kind not in section.sections:
            place = where(at) if kind in section.sections else f"{where(('logging',), kind)} {redact(kind)}"
            raise ConfigError(f"{place}: expected one of [[formatters]], [[handlers]], [[loggers]]")
        for key in section[kind].scalars:
            raise ConfigError(f"{where(at, key)} {redact(key)}: expected a section [[[{redact(key)}]]], got a value")
        for name in section[kind].sections:
            entries = definitions[kind, name] = {}
            for key, value in section[kind][name].items():
                place = f"{where((*at, name), key)} {redact(key)}"
                if key not in _KEYS[kind]:
                    log.warning("%s: is no key that is known here, and is left out", place)
                    continue
                if key == "args":
                    value = _arguments(place, value)
                entries[key] = Entry(interpolate((*at, name), key, value), place)
    return definitions


def apply(sources: Iterable[Definitions]) -> None:
    """Set logging up from the definitions so far and ``sources``; later ones override earlier ones.

    An error raises ConfigError, and changes nothing.
    """
    given = [source for source in sources if source]
    if not given:
        return
    merged = {place: entries.copy() for place, entries in _definitions.items()}
    for source in given:
        for place, entries in source.items():
            merged.setdefault(place, {}).update(entries)
    formatters = {name: _formatter(entries) for (kind, name), entries in merged.items() if kind == "formatters"}
    handlers = {name: _Handler(entries, formatters) for (kind, name), entries in merged.items() if kind == "handlers"}
    loggers = [_Logger(entries, handlers) for (kind, _), entries in merged.items() if kind == "loggers"]
    made: dict[str, tuple[Any, logging.Handler]] = {}
    try:
        for name, handler in handlers.items():
            known = _handlers.get(name)
            made[name] = known if known and known[0] == handler.signature else (handler.signature, handler.make())
    except ConfigError:
        _close(handler for name, (_, handler) in made.items() if made[name] is not _handlers.get(name))
        raise
    _definitions.clear()
    _definitions.update(merged)
    _install(loggers, made)


def reset() -> None:
    """Undo what was set up: close the handlers, restore levels and propagation."""
    _install([], {})
    _definitions.clear()
    for logger, (level, propagate) in _before.items():
        logger.setLevel(level)
        logger.propagate = propagate
    _before.clear()


def _install(loggers: "list[_Logger]", made: dict[str, tuple[Any, logging.Handler]]) -> None:
    wanted: list[tuple[logging.Logger, logging.Handler]] = []
    for plan in loggers:
        logger = logging.getLogger(plan.qualname)
        _before.setdefault(logger, (logger.level, logger.propagate))
        if plan.level is not None:
            logger.setLevel(plan.level)
        logger.propagate = plan.propagate
        wanted += [(logger, made[name][1]) for name in plan.handlers]
    for logger, handler in wanted:
        logger.addHandler(handler)
    for logger, handler in _attached:
        if (logger, handler) not in wanted:
            logger.removeHandler(handler)
    _close(handler for name, (_, handler) in _handlers.items() if name not in made or made[name][1] is not handler)
    _attached[:] = wanted
    _handlers.clear()
    _handlers.update(made)


def _close(handlers: Iterable[logging.Handler]) -> None:
    for handler in handlers:
        handler.close()


# -- what is defined -----------------------------------------------------------------------------------------------


class _Handler:
    """A handler's definition, checked; ``make`` creates the handler, and opens its file if it has one."""

    def __init__(self, entries: dict[str, Entry], formatters: "dict[str, _Formatter]") -> None:
        self.kind: type[logging.Handler] = logging.StreamHandler
        self.args: tuple[Any, ...] = entries["args"].value if "args" in entries else ()
        self.level = _level(entries.get("level")) or logging.NOTSET
        self.formatter: _Formatter | None = None
        self.where = next((entry.where for entry in entries.values()), "[logging] [[handlers]]")
        if "class" in entries:
            self.kind = _handler_class(entries["class"])
        if "formatter" in entries:
            self.formatter = _known(entries["formatter"], entries["formatter"].value, formatters, "formatter")
        definition = self.formatter.definition if self.formatter else None
        self.signature = (self.kind, self.args, self.level, definition)

    def make(self) -> logging.Handler:
        """Return the handler."""
        try:
            handler = self.kind(*self.args)
        except Exception as error:
            # Arguments of other classes may be a user and a password.
            is_plain = issubclass(self.kind, logging.StreamHandler)
            args = redact(", ".join(map(repr, self.args))) if is_plain else "..."
            raise ConfigError(
                f"{self.where}: {self.kind.__name__}({args}) cannot be made: {redact(str(error))}"
            ) from None
        handler.setLevel(self.level)
        if self.formatter is not None:
            handler.setFormatter(self.formatter)
        return handler


class _Logger:
    """A logger's definition, checked."""

    def __init__(self, entries: dict[str, Entry], handlers: dict[str, _Handler]) -> None:
        qualname = entries.get("qualname", Entry(None, ""))
        if not (qualname.value is None or isinstance(qualname.value, str)):
            raise ConfigError(f"{qualname.where}: expected a logger's name in quotes, got {shown(qualname.value)}")
        self.qualname: str | None = qualname.value
        self.level = _level(entries.get("level"))
        propagate = entries.get("propagate", Entry(1, ""))
        if propagate.value not in (0, 1):
            raise ConfigError(f"{propagate.where}: expected 0 or 1, got {shown(propagate.value)}")
        self.propagate = bool(propagate.value)
        names = entries.get("handlers", Entry([], ""))
        wanted = [names.value] if isinstance(names.value, str) else names.value
        if not isinstance(wanted, (list, tuple)):
            raise ConfigError(f"{names.where}: expected a list of handlers' names, got {shown(wanted)}")
        self.handlers = list(wanted)
        for name in wanted:
            _known(names, name, handlers, "handler")


class _Formatter(logging.Formatter):
    """A formatter that keeps its definition, by which two are compared."""

    def __init__(self, form: str | None, date: str | None) -> None:
        super().__init__(form, date)
        self.definition = form or None, date


def _formatter(entries: dict[str, Entry]) -> _Formatter:
    form = entries.get("format", Entry(None, ""))
    date = entries.get("datefmt", Entry(None, ""))
    for entry in (form, date):
        if not (entry.value is None or isinstance(entry.value, str)):
            raise ConfigError(f"{entry.where}: expected a string, got {shown(entry.value)}")
    try:
        # TurboGears writes *(message)s, as %(...)s is interpolation.
        return _Formatter(form.value and form.value.replace("*(", "%("), date.value)
    except ValueError as error:
        raise ConfigError(
            f"{form.where}: expected a format such as '*(message)s', got {shown(form.value)} ({redact(str(error))})"
        ) from None


def _level(entry: Entry | None) -> int | None:
    if entry is None:
        return None
    value, names = entry.value, logging.getLevelNamesMapping()
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and value.upper() in names:
        return names[value.upper()]
    raise ConfigError(
        f"{entry.where}: expected one of DEBUG, INFO, WARNING, ERROR, CRITICAL in quotes, got {shown(value)}"
    )


def _known(entry: Entry, name: Any, table: dict[str, Any], what: str) -> Any:
    if not isinstance(name, str) or name not in table:
        raise ConfigError(f"{entry.where}: there is no {what} {shown(name)}; defined are {', '.join(table) or 'none'}")
    return table[name]


def _handler_class(entry: Entry) -> type[logging.Handler]:
    plain = str(entry.value).removeprefix("logging.").removeprefix("handlers.")
    kind = getattr(logging, plain, None) or getattr(logging.handlers, plain, None)
    if isinstance(kind, type) and issubclass(kind, logging.Handler):
        return kind
    raise ConfigError(
        f"{entry.where}: expected one of logging's handlers such as 'StreamHandler', got {shown(entry.value)}"
    )


# -- args='(sys.stdout,)' ------------------------------------------------------------------------------------------


def _arguments(where: str, value: Any) -> tuple[Any, ...]:
    """Return a handler's arguments: literals and the two streams; read, never evaluated."""
    if isinstance(value, (tuple, list)):
        return tuple(value)
    try:
        tree = ast.parse(str(value).strip(), mode="eval").body
        if not isinstance(tree, ast.Tuple):
            raise ValueError("one argument is written with a comma behind it")
        texts = [(ast.unparse(item), item) for item in tree.elts]
        return tuple(_STREAMS.get(text) or ast.literal_eval(item) for text, item in texts)
    except (ValueError, SyntaxError, RecursionError, MemoryError) as error:
        raise ConfigError(
            f"{where}: expected literals, sys.stdout or sys.stderr, such as '(sys.stdout,)', got what is none ({error})"
        ) from None


class _Stream:
    """A standard stream, looked up at each write: it may be replaced after logging was set up."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return f"sys.{self._name}"

    def write(self, text: str) -> int:
        return int(getattr(sys, self._name).write(text))

    def flush(self) -> None:
        getattr(sys, self._name).flush()


_STREAMS = {"sys.stdout": _Stream("stdout"), "sys.stderr": _Stream("stderr")}
