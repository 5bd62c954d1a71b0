"""Secrets in what surfaces show: arguments, logs and tracebacks, by the names that stand before the values.

::

    name=value   "name": value   ('name', value)   --name value   <name>value</name>   name: YAML below it
    scheme://user:password@host   private keys in PEM

A value in quotes or brackets is hidden to their end, and to the end of the line or text if that is missing. What has no
name, as in ``curl -u user:password``, cannot be known. Each text is gone through once.
"""

import fnmatch
import functools
import re
import reprlib
from collections.abc import Callable, Iterable
from typing import Any

#: Names whose values are hidden, as shell patterns without regard to case.
SECRET_NAMES = (
    *("*pass*", "*pwd*", "pw", "*secret*", "*token*", "*api*key*", "*private*key*", "*access*key*", "*signing*key*"),
    *("*encryption*key*", "*session*key*", "*ssh*key*", "*credential*", "*cookie*", "*authorization*", "*auth_*"),
    *("auth", "*dsn*", "*jwt*", "sig", "signature"),
)

HIDDEN = "•••"

#: Maximum length (characters) of a name, and of the text of an argument.
_LONGEST_NAME = 60
_LONGEST = 200
#: Maximum number of characters of an argument that are looked at.
_MOST_READ = 20_000

_NAME = re.compile(r"[A-Za-z_][\w.-]*")
#: What stands between a name and its value.
_SEPARATOR = re.compile(r"""\\{0,3}["']?\]?\s{0,4}(?:=>|:=|[=:>]|,\s{0,4}(?=[b\\]{0,4}["']))[ \t]{0,4}""")
_WORD = re.compile(r"[^\s,;&<]*")
_LINE = re.compile(r"[^\r\n]*")
#: The lines below ``name:`` that belong to it, as in YAML.
_BELOW = re.compile(r"(?:\r?\n(?:[ \t]+|- )[^\r\n]*)+")
_QUOTED = re.compile(r"""(\\{0,3})(?:[bBrRfFuU]{0,2})("{3}|'{3}|["'])""")
_PEM = re.compile(r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----.*?(?:-----END [A-Z ]{0,30}PRIVATE KEY-----|\Z)", re.DOTALL)
_CLOSING = {"(": ")", "[": "]", "{": "}"}
#: Names of headers whose value is the rest of the line.
_HEADERS = ("cookie", "authorization")


class Redactor:
    """Hides values by their names; ``names`` are added to those that are always hidden."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        patterns = [fnmatch.translate(name.lower()) for name in (*SECRET_NAMES, *names)]
        secret = re.compile("|".join(patterns))
        self.is_secret: Callable[[str], bool] = functools.lru_cache(10_000)(
            lambda name: secret.match(name[:_LONGEST_NAME].lower().rpartition(".")[2]) is not None
        )
        self._repr = _Repr(self)

    def value(self, name: str, value: object) -> str:
        """Return the text of an argument, hidden if its name is a secret's; never raise."""
        if self.is_secret(name):
            return HIDDEN
        try:
            text = self._repr.repr(value)
        except Exception:
            return f"<{type(value).__name__}>"
        return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"

    def text(self, text: str) -> str:
        """Return a text without the values of secrets."""
        if "://" in text:
            text = re.sub(r"\S+", _without_login, text)
        if "PRIVATE KEY-----" in text:
            text = _PEM.sub(HIDDEN, text)
        parts, place = [], 0
        for found in _NAME.finditer(text):
            if found.start() < place or not self.is_secret(found[0]):
                continue
            begin = self._value_after(text, found)
            if begin is not None:
                parts.append(text[place:begin])
                parts.append(HIDDEN)
                place = _end_of_value(text, begin, found[0].lower())
        return "".join(parts) + text[place:] if parts else text

    def _value_after(self, text: str, name: re.Match[str]) -> int | None:
        """Return where the value of a name begins, None if none follows."""
        separator = _SEPARATOR.match(text, name.end())
        if separator is not None:
            return separator.end() if separator.end() < len(text) else None
        if text[max(0, name.start() - 2) : name.start()] == "--" and text[name.end() : name.end() + 1] == " ":
            return name.end() + 1
        return None


def _without_login(word: re.Match[str]) -> str:
    """Return a word without what stands between the scheme and the last @ of a URL in it."""
    text = word[0]
    begin, end = text.find("://") + 3, text.rfind("@")
    return f"{text[:begin]}{HIDDEN}{text[end:]}" if 3 <= begin <= end else text


def _end_of_value(text: str, begin: int, name: str) -> int:
    """Return where the value that begins there ends."""
    if text[begin] in "\r\n":
        below = _BELOW.match(text, begin)
        return begin if below is None else below.end()
    quoted = _QUOTED.match(text, begin)
    if quoted is not None:
        return _end_of_quotes(text, quoted)
    if text[begin] in _CLOSING:
        return _end_of_brackets(text, begin)
    line = any(header in name for header in _HEADERS)
    found = (_LINE if line else _WORD).match(text, begin)
    assert found is not None
    return found.end()


def _end_of_quotes(text: str, opening: re.Match[str]) -> int:
    escape, quote = opening.groups()
    closing, place = escape + quote, opening.end()
    while True:
        end = text.find(closing, place)
        if end < 0:
            line = _LINE.match(text, opening.end())
            return len(text) if len(quote) == 3 or line is None else line.end()
        place = end + len(closing)
        slashes = len(text[opening.end() : end]) - len(text[opening.end() : end].rstrip("\\"))
        if not escape and slashes % 2:
            continue  # it is escaped
        if text.startswith(quote, place) and len(quote) == 1 and not escape:
            place += 1  # doubled, as in SQL
            continue
        return place


def _end_of_brackets(text: str, begin: int) -> int:
    opening = text[begin]
    closing, depth = _CLOSING[opening], 0
    for found in re.finditer(rf"[{re.escape(opening + closing)}]", text[begin:]):
        depth += 1 if found[0] == opening else -1
        if not depth:
            return begin + found.end()
    return len(text)


class _Repr(reprlib.Repr):
    """A bounded ``repr`` in which the values of secret names are hidden before anything is cut off."""

    def __init__(self, redactor: Redactor) -> None:
        super().__init__()
        self.maxlevel = 4
        self.maxlist = self.maxtuple = self.maxset = self.maxfrozenset = self.maxdeque = self.maxarray = 20
        self.maxdict = 20
        self._redactor = redactor

    def repr_str(self, value: str, level: int) -> str:
        return repr(self._redactor.text(value[:_MOST_READ])[: _LONGEST + 1])

    def repr_dict(self, value: dict[Any, Any], level: int) -> str:
        if level <= 0:
            return "{...}"
        items = []
        for place, (key, item) in enumerate(value.items()):
            if place == self.maxdict:
                items.append("...")
                break
            secret = isinstance(key, str) and self._redactor.is_secret(key)
            items.append(f"{self.repr1(key, level - 1)}: {HIDDEN if secret else self.repr1(item, level - 1)}")
        return f"{{{', '.join(items)}}}"

    def repr_instance(self, value: object, level: int) -> str:
        text = repr(value)[:_MOST_READ]
        return self._redactor.text("".join(char if char.isprintable() else " " for char in text))
