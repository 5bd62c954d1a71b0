"""Values in messages: without their secrets, printable, bounded.

A setting, an argument or another library's text goes into a message only through :func:`shown` or :func:`redact`;
:func:`without` removes known secrets.
"""

import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote, quote_plus

#: Maximum length of a value in a message (characters).
LONGEST = 100

#: Text that a secret may follow: the scheme of a URL other than a SQLite file's, or the name of a password.
_SECRETS = (
    re.compile(r"(?<!sqlite)(?::|%3a)(?:/|%2f){2}|(?::|%3a)(?:/|%2f){2}(?!/|%2f)", re.IGNORECASE),
    re.compile(r"pass\w{0,20}[\"']?\s{0,20}[=:,]|(?:pwd|secret|token)[\"']?\s{0,20}[=:,]", re.IGNORECASE),
)
_HIDDEN = "***"


def shown(value: Any) -> str:
    """Return the repr of a value for a message; never raise.

    >>> shown("postgresql://app:secret@db/shop")
    "'postgresql://***'"
    """
    try:
        text = repr(redact(value)) if isinstance(value, str) else redact(repr(value))
    except Exception:
        return f"<{type(value).__name__}>"
    return printable(text, LONGEST)


def redact(text: str) -> str:
    """Return a text up to where a secret may begin: where the secret ends is not known.

    >>> redact("host=db password=secret")
    'host=db password=***'
    """
    ends = [found.end() for secret in _SECRETS if (found := secret.search(text))]
    colon = text.find(":")
    if -1 < colon < text.rfind("@"):  # user:password@host
        ends.append(colon + (3 if text.startswith("://", colon) else 1))
    return f"{text[: min(ends)]}{_HIDDEN}" if ends else text


def printable(text: str, longest: int | None = None) -> str:
    """Return a text as one line of printable characters, cut to ``longest`` after others are escaped."""
    if not text.isprintable():
        text = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text[:longest])
    return text[:longest]


def clean(text: str, encoding: str = "utf-8") -> str:
    """Return text that a file or database accepts: NUL and characters outside its encoding are escaped."""
    if text.isascii():
        return text.replace("\0", "\\x00") if "\0" in text else text
    return text.replace("\0", "\\x00").encode(encoding, "backslashreplace").decode(encoding)


def without(text: str, secrets: Iterable[str]) -> str:
    """Return a text without secrets, whether they occur as given or in the forms of URLs, reprs and quotes."""
    forms = {form for secret in secrets for form in (secret, quote(secret, ""), quote_plus(secret), repr(secret)[1:-1])}
    for form in sorted(filter(None, forms), key=len, reverse=True):
        # One or two characters occur in every text: they are hidden only as a separate word.
        pattern = re.escape(form) if len(form) > 2 else rf"(?<!\w){re.escape(form)}(?!\w)"
        text = re.sub(pattern, _HIDDEN, text)
    return text
