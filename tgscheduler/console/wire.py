"""A WSGI environ as the parts of a request: decoded and parsed here, strictly, and by no one else.

What is malformed is a Problem. A part is parsed when it is asked for, so a refused request costs little.
"""

import json
import re
from collections.abc import Callable, Mapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import unquote_to_bytes

from tgscheduler.console.http import Problem

Environ = Mapping[str, Any]

#: Maximum size of a body (bytes).
LARGEST_BODY = 64 * 1024

FORM = "application/x-www-form-urlencoded"
JSON = "application/json"

_BROKEN_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://[^/]*", re.IGNORECASE)


def headers_of(environ: Environ) -> dict[str, str]:
    """Return the headers by their names in lower case."""
    named = {
        name.removeprefix("HTTP_").replace("_", "-").lower(): value
        for name, value in environ.items()
        if name.startswith("HTTP_")
    }
    for name in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        if environ.get(name):
            named[name.replace("_", "-").lower()] = environ[name]
    return named


def segments_of(environ: Environ) -> tuple[str, ...]:
    """Return the decoded segments of the path below the mount.

    They come from the URL as it was sent, because in PATH_INFO a ``/`` of a name is a separator; from PATH_INFO only if
    something in between has rewritten the path.
    """
    mount = _parts(environ.get("SCRIPT_NAME", ""))
    raw = _SCHEME.sub("", environ.get("REQUEST_URI") or environ.get("RAW_URI") or "", count=1).partition("?")[0]
    sent = [_decoded(part, "path") for part in raw.split("/")[1:]]
    if sent[: len(mount)] == mount:
        return tuple(sent[len(mount) :])
    return tuple(_utf8(environ.get("PATH_INFO", "").encode("latin-1", "replace"), "path").split("/")[1:])


def _parts(script_name: str) -> list[str]:
    decoded = _utf8(script_name.encode("latin-1", "replace"), "path")
    return decoded.split("/")[1:] if decoded.strip("/") else []


def query_of(environ: Environ) -> dict[str, list[str]]:
    """Return the values of the query by name."""
    return pairs(environ.get("QUERY_STRING", ""), "query")


def cookies_of(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the cookies; none if they are malformed, because they hold display choices only."""
    try:
        return {name: each.value for name, each in SimpleCookie(headers.get("cookie", "")).items()}
    except CookieError:
        return {}


def pairs(text: str, where: str) -> dict[str, list[str]]:
    """Return the values of ``a=1&b=2`` by name."""
    found: dict[str, list[str]] = {}
    for pair in filter(None, text.split("&")):
        name, _, value = (_decoded(part.replace("+", " "), where) for part in pair.partition("="))
        found.setdefault(name, []).append(value)
    return found


def body_of(environ: Environ) -> bytes:
    """Return the whole body; raise a Problem 413 if it is too large, 400 if it ends early."""
    stream = environ["wsgi.input"]
    if environ.get("HTTP_TRANSFER_ENCODING") or environ.get("wsgi.input_terminated"):
        body = _read(stream.read, LARGEST_BODY + 1)
        if len(body) > LARGEST_BODY:
            raise _too_large()
        return body
    text = environ.get("CONTENT_LENGTH") or "0"
    if not (text.isascii() and text.isdigit()):
        raise Problem(400, detail=f"Expected a Content-Length that is a whole number, got {text!r}.")
    if int(text) > LARGEST_BODY:
        raise _too_large()
    body = _read(stream.read, int(text))
    if len(body) < int(text):
        raise Problem(400, detail=f"Expected a body of {text} bytes (Content-Length), got {len(body)}.")
    return body


def _read(read: Callable[[int], bytes], size: int) -> bytes:
    try:
        return read(size) if size else b""
    except (OSError, ValueError) as error:  # a timeout, a lost connection, or chunks that are malformed
        raise Problem(400, detail="The body could not be read to its end.") from error


def _too_large() -> Problem:
    return Problem(413, "Body too large", f"Expected a body of at most {LARGEST_BODY} bytes.")


def form_of(body: bytes) -> dict[str, list[str]]:
    """Return the fields of a form."""
    return pairs(_utf8(body, "body"), "body")


def json_of(body: bytes) -> Any:
    """Return the value of a JSON body; raise a Problem 400 if it is malformed or has a key twice."""
    try:
        return json.loads(_utf8(body, "body"), object_pairs_hook=_object, parse_constant=_constant)
    except (ValueError, RecursionError) as error:
        raise Problem(400, "Malformed JSON", f"Expected a JSON object as the body: {error}.") from None


def _object(members: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(members)
    if len(found) < len(members):
        raise ValueError("a key occurs twice")
    return found


def _constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _decoded(text: str, where: str) -> str:
    if _BROKEN_PERCENT.search(text):
        raise Problem(400, detail=f"The {where} has a % that two hexadecimal digits do not follow; write %25 for a %.")
    return _utf8(unquote_to_bytes(text.encode("latin-1", "replace")), where)


def _utf8(data: bytes, where: str) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise Problem(400, detail=f"Expected UTF-8 in the {where}.") from None
