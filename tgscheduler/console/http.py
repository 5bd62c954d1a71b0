"""A request, a response and a problem as plain values: what every handler of the console sees of HTTP."""

import html
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Literal, NamedTuple
from urllib.parse import quote

HTML = "text/html; charset=utf-8"
JSON = "application/json"
PROBLEM = "application/problem+json"
TEXT = "text/plain; charset=utf-8"

Role = Literal["viewer", "operator"]

#: Browsers resolve a segment of one or two dots, even an encoded one: such a name is written with a ``~`` before it.
_DOTS = re.compile(r"~*\.{1,2}")


class Caller(NamedTuple):
    """Who asks, what they may do, and how that is known."""

    name: str
    role: Role
    via: Literal["loopback", "user", "token", "application"]


@dataclass(frozen=True, slots=True)
class Request:
    """One request. ``path`` holds the decoded segments below the mount; ``arguments`` is what the route declares.

    ``root`` leads from this page to the mount, such as ``"../"``: every link and every form starts with it. ``mount``
    is its path as this server sees it, where a proxy may show another one.
    """

    method: str = "GET"
    path: tuple[str, ...] = ()
    query: Mapping[str, list[str]] = field(default_factory=dict)
    form: Mapping[str, list[str]] = field(default_factory=dict)
    json: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    peer: str = ""
    caller: Caller | None = None
    root: str = "./"
    mount: str = ""
    cookies: Mapping[str, str] = field(default_factory=dict, repr=False)
    arguments: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_api(self) -> bool:
        """Whether the path is one of the API."""
        return self.path[:1] == ("api",)


@dataclass(slots=True)
class Response:
    """What is sent: text (as UTF-8) or bytes."""

    body: str | bytes = ""
    status: int = 200
    type: str = HTML
    headers: dict[str, str] = field(default_factory=dict)

    def content(self) -> bytes:
        """Return the body as bytes."""
        return self.body if isinstance(self.body, bytes) else self.body.encode("utf-8", "backslashreplace")


class Problem(Exception):
    """A request that is refused: an ``application/problem+json`` of the API, a page elsewhere.

    ``detail`` says what was expected, what was given and how to mend it. Further members go into the JSON.
    """

    def __init__(
        self, status: int, title: str = "", detail: str = "", headers: Mapping[str, str] | None = None, **extra: Any
    ) -> None:
        self.status = status
        self.title = title or HTTPStatus(status).phrase
        self.detail = detail
        self.headers = dict(headers or {})
        self.extra = extra
        super().__init__(f"{status} {self.title}: {detail}")


def json_response(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return a value as JSON."""
    return Response(json.dumps(value, ensure_ascii=False, allow_nan=False), status, JSON, dict(headers or {}))


def see_other(request: Request, path: str) -> Response:
    """Return the redirect after a form: to a path below the mount, such as ``"tasks/a%2Fb"``."""
    return Response(status=303, headers={"Location": request.root + path})


def problem_response(request: Request, problem: Problem) -> Response:
    """Return a problem as JSON under the API, and as a page without any style elsewhere."""
    headers = dict(problem.headers)
    if request.is_api:
        members = {"type": "about:blank", "title": problem.title, "status": problem.status, "detail": problem.detail}
        answer = json_response({**members, **problem.extra}, problem.status, headers)
        answer.type = PROBLEM
        return answer
    title, detail = html.escape(problem.title), html.escape(problem.detail)
    page = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title></head>'
        f"<body><main><h1>{title}</h1><p>{detail}</p></main></body></html>"
    )
    return Response(page, problem.status, HTML, headers)


def segment(name: str) -> str:
    """Return a name as one segment of a URL.

    >>> segment("a/b %"), segment("..")
    ('a%2Fb%20%25', '~..')
    """
    return quote(f"~{name}" if _DOTS.fullmatch(name) else name, safe="~")


def name_of(text: str) -> str:
    """Return the name that a decoded segment stands for, which :func:`segment` has written."""
    return text[1:] if text.startswith("~") and _DOTS.fullmatch(text) else text
