"""Routes: one row each for a method and a path, with everything that serving and describing it needs.

::

    Route("POST", "tasks/{name}/pause", pause, "operator", "Pause a task.", body=(Parameter("until", "body", "time"),))

A path is relative to the mount. ``{name}`` is one decoded segment, so a name may hold ``/``; ``{file*}`` at the end is
all segments that are left. A segment that is spelled out goes before a parameter.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Literal, NamedTuple

from tgscheduler.console.console import Console
from tgscheduler.console.http import HTML, JSON, Problem, Request, Response, name_of

Handler = Callable[[Console, Request], Response]


class Parameter(NamedTuple):
    """A named value of a request, and what it may be."""

    name: str
    where: Literal["path", "query", "header", "body"] = "query"
    kind: str = "string"
    doc: str = ""
    required: bool = False
    many: bool = False
    default: Any = None
    least: float | None = None
    most: float | None = None
    choices: tuple[str, ...] = ()


class Route(NamedTuple):
    """A method and a path, who may ask for it, and what answers."""

    method: str
    path: str
    handler: Handler
    role: Literal["public", "viewer", "operator"]
    doc: str
    parameters: tuple[Parameter, ...] = ()
    body: tuple[Parameter, ...] = ()
    #: For the API's description: what each status means and holds.
    answers: Mapping[int, Any] = {}
    #: The media types of the answer; empty: JSON under the API, else HTML.
    makes: tuple[str, ...] = ()

    @property
    def is_api(self) -> bool:
        """Whether the route belongs to the API."""
        return self.path.startswith("api/")

    @property
    def is_unsafe(self) -> bool:
        """Whether the method may change something."""
        return self.method not in ("GET", "HEAD")

    @property
    def media_types(self) -> tuple[str, ...]:
        """The media types of the answer, without parameters."""
        made = self.makes or ((JSON,) if self.is_api else (HTML,))
        return tuple(each.partition(";")[0] for each in made)


class Table:
    """All routes; finds the one for a method and a path."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._patterns = [(tuple(route.path.split("/")), route) for route in routes]

    def __iter__(self) -> Iterator[Route]:
        return (route for _, route in self._patterns)

    def find(self, method: str, path: tuple[str, ...]) -> tuple[Route, dict[str, Any]]:
        """Return the route and the values of its path; raise a Problem 404, or 405 with the methods that there are."""
        found = [
            (pattern, route, values)
            for pattern, route in self._patterns
            if (values := _matched(pattern, path)) is not None
        ]
        if not found:
            raise Problem(404, "No such page", f"There is nothing at {'/'.join(path)[:200]!r}.")
        best = max(_rank(pattern) for pattern, _, _ in found)
        rows = {route.method: (route, values) for pattern, route, values in found if _rank(pattern) == best}
        row = rows.get("GET" if method == "HEAD" else method)
        if row is None:
            allowed = ", ".join(sorted({*rows, *(["HEAD"] if "GET" in rows else [])}))
            raise Problem(405, detail=f"Expected {allowed} here, got {method}.", headers={"Allow": allowed})
        return row


def _rank(pattern: tuple[str, ...]) -> tuple[bool, ...]:
    """Return what makes one pattern go before another that matches the same path."""
    return tuple(not part.startswith("{") for part in pattern)


def _matched(pattern: tuple[str, ...], path: tuple[str, ...]) -> dict[str, Any] | None:
    """Return the values of a path that matches, None for another one."""
    values: dict[str, Any] = {}
    for place, part in enumerate(pattern):
        if part.endswith("*}"):
            values[part[1:-2]] = path[place:]
            return values if len(path) > place else None
        if place >= len(path):
            return None
        if part.startswith("{"):
            if not path[place]:
                return None
            values[part[1:-1]] = name_of(path[place])
        elif part != path[place]:
            return None
    return values if len(path) == len(pattern) else None
