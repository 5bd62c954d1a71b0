"""A WSGI environ as the parts of a request: decoded and parsed here, strictly, and by no one else.

What is malformed is a Problem. A part is parsed when it is asked for, so a refused request costs little.
"""

import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote_to_bytes

from tgscheduler.console.http import Problem

Environ = Mapping[str, Any]

#: Maximum size of a body (bytes).
LARGEST_BODY = 64 * 1024

#: Maximum length of a URL (characters).
LONGEST_URL = 16 * 1024

FORM = "application/x-www-form-urlencoded"
JSON = "application/json"

_LENGTH = re.compile("[0-9]*")
_BROKEN_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
#: What a proxy may send before the path.
_AUTHORITY = re.compile(r"^https?://[^/?]*", re.IGNORECASE)


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
    """Return the decoded segments of the path below the mount; raise a Problem 400 for a URL that is malformed.

    They come from the URL as it was sent, because in PATH_INFO a ``/`` of a name is a separator; from PATH_INFO only if
    something in between has rewritten the path.
    """
    mount = _parts(environ.get("SCRIPT_NAME", ""))
    sent_url = environ.get("REQUEST_URI") or environ.get("RAW_URI") or ""
    if max(len(sent_url), len(environ.get("PATH_INFO", "")), len(environ.get("QUERY_STRING", ""))) > LONGEST_URL:
        raise Problem(400, "URL too long", f"Expected a URL of at most {LONGEST_URL} characters.")
    raw = _AUTHORITY.sub("", sent_url).partition("?")[0]
    sent = [_decoded(part, "path") for part in raw.split("/")[1:]]
    if sent[: len(mount)] == mount:
        return tuple(sent[len(mount) :])
    return tuple(_utf8(environ.get("PATH_INFO", "").encode("latin-1", "replace"), "path").split("/")[1:])


def _parts(script_name: str) -> list[str]:
    decoded = _utf8(script_name.encode("latin-1", "replace"), "path")
    return decoded.split("/")[1:] if decoded.strip("/") else []


def cookies_of(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the cookies; what is malformed is left out, because they hold display choices only."""
    pairs = (pair.partition("=") for pair in headers.get("cookie", "").split(";"))
    return {name.strip(): value.strip().strip('"') for name, separator, value in pairs if separator}


def accepts(headers: Mapping[str, str], types: tuple[str, ...]) -> bool:
    """Return whether the Accept header allows one of some media types; without one all are."""
    wanted = _weighed(headers.get("accept", ""))
    return not wanted or any(_includes(each, made) for each in wanted for made in types)


def takes_gzip(environ: Environ) -> bool:
    """Return whether the answer may be compressed."""
    return "gzip" in _weighed(environ.get("HTTP_ACCEPT_ENCODING", ""))


def _weighed(text: str) -> list[str]:
    """Return what a list such as ``text/html, */*;q=0.8`` names, except by ``q=0``; no other ``q`` counts."""
    named = []
    for each in filter(None, text.lower().replace(" ", "").split(",")):
        name, *parameters = each.split(";")
        if not any(re.fullmatch(r"q=0(\.0*)?", parameter) for parameter in parameters):
            named.append(name)
    return named or ([""] if text.strip() else [])


def _includes(accepted: str, made: str) -> bool:
    return "*/*" in (accepted, made) or accepted in (made, f"{made.partition('/')[0]}/*")


def pairs(text: str, where: str) -> dict[str, list[str]]:
    """Return the values of ``a=1&b=2`` by name."""
    found: dict[str, list[str]] = {}
    for pair in filter(None, text.split("&")):
        name, _, value = (_decoded(part.replace("+", " "), where) for part in pair.partition("="))
        found.setdefault(name, []).append(value)
    return found


def is_chunked(environ: Environ) -> bool:
    """Return whether the body is sent in chunks, so that only reading it tells its end."""
    return bool(environ.get("HTTP_TRANSFER_ENCODING"))


def has_known_end(environ: Environ) -> bool:
    """Return whether the server knows where the body ends, whatever is read of it."""
    return not is_chunked(environ) and _LENGTH.fullmatch(environ.get("CONTENT_LENGTH") or "") is not None


def length_of(environ: Environ) -> int | None:
    """Return the length of the body, None in chunks; raise a Problem 400 or 413 before anything of it is read."""
    text = environ.get("CONTENT_LENGTH") or ""
    if is_chunked(environ):
        if text or not environ.get("wsgi.input_terminated"):
            raise Problem(400, detail="Expected a Content-Length or a Transfer-Encoding of HTTP/1.1, not both.")
        return None
    if _LENGTH.fullmatch(text) is None:
        raise Problem(400, detail=f"Expected a Content-Length that is a whole number, got {text[:100]!r}.")
    if len(text) > 10 or int(text or 0) > LARGEST_BODY:
        raise _too_large()
    return int(text or 0)


def body_of(environ: Environ, length: int | None) -> bytes:
    """Return the whole body; raise a Problem 413 if it is too large, 400 if it ends early."""
    try:
        body = environ["wsgi.input"].read(LARGEST_BODY + 1 if length is None else length) if length != 0 else b""
    except (OSError, ValueError):  # a timeout, a lost connection, or malformed chunks
        raise Problem(400, detail="The body could not be read to its end.") from None
    if len(body) > LARGEST_BODY:
        raise _too_large()
    if length is not None and len(body) < length:
        raise Problem(400, detail=f"Expected a body of {length} bytes (Content-Length), got {len(body)}.")
    return bytes(body)


def _too_large() -> Problem:
    return Problem(413, "Body too large", f"Expected a body of at most {LARGEST_BODY} bytes.")


def check_type(headers: Mapping[str, str], expected: str) -> None:
    """Raise a Problem 415 for a body of another media type, charset or encoding."""
    kind, _, parameters = headers.get("content-type", "").lower().replace(" ", "").partition(";")
    is_plain = parameters.strip('"') in ("", "charset=utf-8", 'charset="utf-8') and "content-encoding" not in headers
    if kind != expected or not is_plain:
        raise Problem(415, detail=f"Expected a body of type {expected}, in UTF-8 and without a Content-Encoding.")


def form_of(body: bytes) -> dict[str, list[str]]:
    """Return the fields of a form."""
    return pairs(_utf8(body, "body"), "body")


def json_of(body: bytes) -> dict[str, Any]:
    """Return the object of a JSON body; ``null`` is an empty one. Raise a Problem.

    It is a 400 if the body is malformed or has a key twice, a 422 if it is no object.
    """
    try:
        found = json.loads(_utf8(body, "body"), object_pairs_hook=_object, parse_constant=_constant)
    except (ValueError, RecursionError) as error:
        raise Problem(400, "Malformed JSON", f"Expected a JSON object as the body: {error}.") from None
    if found is None:  # as generated clients send where no member is required
        return {}
    if not isinstance(found, dict):
        raise Problem(422, detail="Expected a JSON object as the body.")
    return found


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
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise Problem(400, detail=f"Expected UTF-8 in the {where}.") from None
    if "\0" in text:
        raise Problem(400, detail=f"The {where} has a NUL, which no name and no value has.")
    return text
