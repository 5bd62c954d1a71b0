"""Secrets in what surfaces show: arguments, logs and tracebacks, by the names that stand before the values."""

import fnmatch
import re
from collections.abc import Iterable

#: Names whose values are hidden, as shell patterns without regard to case.
SECRET_NAMES = (
    *("*pass*", "*pwd*", "*secret*", "*token*", "*api*key*", "*apikey*", "*private*key*", "*credential*"),
    *("*cookie*", "*authorization*", "*auth_*", "auth", "*dsn*", "*session*key*"),
)

HIDDEN = "•••"

#: A name, what separates it from its value, and the value: quoted, after the name of a scheme, or one word.
_NAMED = re.compile(
    r"""([A-Za-z_][\w.-]{0,60})(["']?\s{0,4}(?:=>|[=:])\s{0,4})"""
    r"""((?:(?:Basic|Bearer|Token|Digest)\s+)?(?:b?"(?:[^"\\]|\\.){0,4000}"|b?'(?:[^'\\]|\\.){0,4000}'|[^\s,;&)}\]"']+))"""
)
#: The name and password in a URL.
_IN_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]{1,20}://)[^\s/@'\"]{1,200}@")


class Redactor:
    """Hides values by their names; ``names`` are added to those that are always hidden."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        patterns = [fnmatch.translate(name.lower()) for name in (*SECRET_NAMES, *names)]
        self._secret = re.compile("|".join(patterns))

    def is_secret(self, name: str) -> bool:
        """Return whether the value of that name is hidden."""
        return self._secret.match(name.lower().rpartition(".")[2]) is not None

    def value(self, name: str, text: str) -> str:
        """Return the text of a value, hidden if its name is a secret's."""
        return HIDDEN if self.is_secret(name) else self.text(text)

    def text(self, text: str) -> str:
        """Return a text without the values of secrets, and without what stands before the @ of a URL."""
        text = _IN_URL.sub(rf"\1{HIDDEN}@", text)
        parts, place = [], 0
        while (found := _NAMED.search(text, place)) is not None:
            secret = self.is_secret(found[1])
            parts.append(text[place : found.end(2)])
            if secret:
                parts.append(HIDDEN)
            place = found.end() if secret else found.end(2)  # a value may have names in it
        return "".join(parts) + text[place:]
