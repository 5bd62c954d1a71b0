"""The API's description, OpenAPI 3.1: made from the routes that serve it and the shapes of their values."""

from importlib import metadata
from typing import Any

from tgscheduler import moments
from tgscheduler.console import api, patterns
from tgscheduler.console.api import PREFIX, tagged
from tgscheduler.console.arguments import LONGEST
from tgscheduler.console.console import Console
from tgscheduler.console.http import JSON, PROBLEM, Request, Response, json_response
from tgscheduler.console.routes import Parameter, Route
from tgscheduler.console.shapes import PROBLEM as PROBLEM_SHAPE
from tgscheduler.console.shapes import SHAPES, Schema
from tgscheduler.timetable import zones
from tgscheduler.views import timetables

_ABOUT = (
    "What there is to see and to steer of a scheduler. Times are ISO 8601 with the offset of the task's zone, with "
    "POSIX seconds beside them. Each answer to a GET has an ETag of its content, for If-None-Match; with If-Match, a "
    "change is refused if its task or run is not as it was read."
)

_TEXT: Schema = {"type": "string", "maxLength": LONGEST, "pattern": r"^[^\u0000]*$"}
_NUMBER: Schema = {"type": "number", "minimum": -moments.LARGEST, "maximum": moments.LARGEST}

#: The schema of each kind of parameter that is not a component.
_KINDS: dict[str, Schema] = {
    "string": _TEXT,
    "integer": {"type": "integer"},
    "number": {"type": "number"},
    "boolean": {"type": "boolean"},
    "cursor": {"type": "string", "pattern": patterns.CURSOR},
    "key": {"type": "string", "pattern": patterns.KEY},
}


def _components() -> dict[str, Schema]:
    """Return the kinds of parameters that several routes take."""
    return {
        "Moment": {"type": "string", "pattern": patterns.MOMENT, "description": f"{moments.FORMS}."},
        "Timetable": {"type": "string", "pattern": patterns.timetable(), "maxLength": timetables.LONGEST},
        "Timezone": {"type": "string", "enum": zones.names()},
    }


_COMPONENTS = {"time": "Moment", "timetable": "Timetable", "timezone": "Timezone"}

#: What each status means that refuses a request.
REFUSALS = {
    400: "A parameter, a header or the body is malformed or unknown.",
    401: "No one has logged in, or the password or token is wrong.",
    403: "The caller may not do this: another role is needed, the console only reads, or the request is a forged one.",
    404: "There is no such task or run.",
    406: "The client accepts no media type that there is.",
    409: "The state of the task or run does not allow it.",
    412: "The task or run has changed since the client has read it.",
    413: "The body is too large.",
    415: "The body is not JSON.",
    422: "A value is not what was expected.",
    429: "Too many logins have failed; wait.",
    503: "The store cannot be read, or the timetable is in another process.",
}


def describe(console: Console, request: Request) -> Response:
    """Answer with the API's description."""
    described = document(console.title, request.mount, needs_login=bool(console.settings.users))
    return tagged(request, json_response(described))


def document(title: str, mount: str = "", needs_login: bool = False) -> dict[str, Any]:
    """Return the description; ``mount``: the path of the console."""
    paths: dict[str, dict[str, Any]] = {}
    for route in (*api.ROUTES, *ROUTES):
        paths.setdefault(route.path.removeprefix(PREFIX), {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": title,
            "version": metadata.version("tgscheduler"),
            "description": _ABOUT,
        },
        "servers": [
            {"url": f"{mount}/{PREFIX}", "description": "As this server sees it."},
            {"url": "../v1", "description": "From this document: behind a proxy that shows another path."},
        ],
        "security": [{"bearer": []}, {"basic": []}, *([] if needs_login else [{}])],
        "paths": paths,
        "components": {
            "schemas": {**{shape.name: shape.schema for shape in SHAPES}, **_components()},
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "tg.scheduler.console.tokens"},
                "basic": {"type": "http", "scheme": "basic", "description": "tg.scheduler.console.users"},
            },
        },
    }


def _operation(route: Route) -> dict[str, Any]:
    words = route.path.removeprefix(f"{PREFIX}/").replace("-", "_").split("/")
    name = "_".join([route.method.lower(), *(word.strip("{}") for word in words)])
    operation: dict[str, Any] = {
        "operationId": name,
        "summary": route.doc,
        "tags": [words[0]],
        "description": f"For {route.role}s.",
        "parameters": [_parameter(each) for each in route.parameters],
        "responses": {str(status): answer for status, answer in sorted(_answers(route).items())},
    }
    if route.is_unsafe:
        operation["requestBody"] = {
            "required": any(each.required for each in route.body),
            "content": {JSON: {"schema": _body(route.body)}},
        }
    return operation


def _parameter(each: Parameter) -> dict[str, Any]:
    schema = _schema(each)
    if each.where == "path":
        schema["minLength"] = 1
    if each.many:
        schema = {"type": "array", "items": schema}
    if each.default is not None:
        schema["default"] = each.default
    return {"name": each.name, "in": each.where, "required": each.required, "description": each.doc, "schema": schema}


def _body(members: tuple[Parameter, ...]) -> Schema:
    required = [each.name for each in members if each.required]
    return {
        "type": "object" if required else ["object", "null"],
        "properties": {each.name: _member(each) for each in members},
        "required": required,
        "additionalProperties": False,
    }


def _member(each: Parameter) -> Schema:
    """Return the schema of a member of a body: a moment may be a number there, and null means that it is not given."""
    schema = _schema(each)
    forms = [schema, *([_NUMBER] if each.kind == "time" else []), *([] if each.required else [{"type": "null"}])]
    return {"anyOf": forms, "description": each.doc}


def _schema(each: Parameter) -> Schema:
    if each.kind in _COMPONENTS:
        return {"$ref": f"#/components/schemas/{_COMPONENTS[each.kind]}"}
    schema = dict(_KINDS[each.kind])
    if each.choices:
        schema = {"type": "string", "enum": list(each.choices)}
    if each.least is not None:
        schema["minimum"] = each.least
    if each.most is not None:
        schema["maximum"] = each.most
    return schema


def _answers(route: Route) -> dict[int, Any]:
    found: dict[int, Any] = {}
    for status, schema in route.answers.items():
        content = {kind: {"schema": schema} for kind in route.media_types}
        found[status] = {"description": "Done." if route.is_unsafe else "What was asked for.", "content": content}
        if not route.is_unsafe:
            found[status]["headers"] = {"ETag": {"schema": {"type": "string"}, "description": "Of the content."}}
            found[304] = {"description": "The client has the content already."}
    problem = {PROBLEM: {"schema": PROBLEM_SHAPE.reference}}
    for status in _refusals(route):
        found[status] = {"description": REFUSALS[status], "content": problem}
    return found


def _refusals(route: Route) -> set[int]:
    found = {400, 401, 403, 406, 429, 503}
    if "{" in route.path or any(each.name == "task" for each in route.parameters):
        found.add(404)
    if any(each.kind in ("time", "timetable", "timezone", "cursor") for each in route.parameters):
        found.add(422)
    return found | {409, 412, 413, 415, 422} if route.is_unsafe else found


ROUTES = (
    Route(
        "GET",
        f"{PREFIX}/openapi.json",
        describe,
        "viewer",
        "Return this description.",
        answers={200: {"type": "object"}},
    ),
)
