"""The values that a route declares, read from a request and checked."""

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from tgscheduler.console.http import Problem, Request
from tgscheduler.console.routes import Parameter, Route
from tgscheduler.moments import FORMS

#: Maximum length of a text (characters).
LONGEST = 4096


def arguments_of(route: Route, request: Request, path: Mapping[str, Any]) -> dict[str, Any]:
    """Return every declared value by name, the default where it is not given; raise a Problem 400 or 422."""
    found = dict(path)
    declared = [each for each in route.parameters if each.where == "query"]
    if route.is_api or route.is_unsafe:  # a page is shown whatever a mail service or a proxy adds to its link
        _refuse_unknown(request.query, declared, 400)
    for each in declared:
        found[each.name] = _value(each, _filled(route, request.query.get(each.name, [])), 400)
    if route.is_unsafe:
        given = _body(route, request)
        for each in route.body:
            found[each.name] = _value(each, _filled(route, given.get(each.name, [])), 422)
    return found


def _filled(route: Route, values: list[Any]) -> list[Any]:
    """Return the values that were given: a field of a form that is left empty is not."""
    return values if route.is_api else [value for value in values if value != ""]


def _body(route: Route, request: Request) -> Mapping[str, list[Any]]:
    """Return the values of the body by name, each in a list as those of a query are."""
    if not route.is_api:
        _refuse_unknown(request.form, list(route.body), 400)
        return request.form
    _refuse_unknown(request.json, list(route.body), 422)
    return {name: [value] for name, value in request.json.items() if value is not None}


def _refuse_unknown(given: Mapping[str, Any], declared: list[Parameter], status: int) -> None:
    names = [each.name for each in declared]
    for name in given:
        if name not in names:
            expected = f"one of {', '.join(names)}" if names else "none"
            raise Problem(
                status, detail=f"Unknown parameter {name[:100]!r}: expected {expected}.", parameter=name[:100]
            )


def _value(each: Parameter, given: list[Any], status: int) -> Any:
    if not given:
        if each.required:
            raise Problem(status, detail=f"Expected {each.name}: {each.doc}", parameter=each.name)
        return each.default
    if len(given) > 1 and not each.many:
        raise Problem(status, detail=f"Expected {each.name} once, got it {len(given)} times.", parameter=each.name)
    values = [_checked(each, value, status) for value in given]
    return values if each.many else values[0]


def _checked(each: Parameter, value: Any, status: int) -> Any:
    expected, parse = _KINDS.get(each.kind, _KINDS["string"])
    try:
        parsed = parse(value)
    except (ValueError, TypeError, OverflowError):
        parsed = None
    if each.choices:
        expected = f"one of {', '.join(each.choices)}"
        parsed = parsed if parsed in each.choices else None
    low, high = each.least, each.most
    if parsed is not None and not isinstance(parsed, str):
        if (low is not None and parsed < low) or (high is not None and parsed > high):
            parsed = None
        bounds = [f"{low:g} or more" if low is not None else "", f"{high:g} at most" if high is not None else ""]
        expected = ", ".join(filter(None, [expected, *bounds]))
    if parsed is None:
        raise Problem(
            status, detail=f"{each.name}: expected {expected}, got {str(value)[:100]!r}.", parameter=each.name
        )
    return parsed


def _string(value: Any) -> str | None:
    if not isinstance(value, str) or len(value) > LONGEST or "\0" in value:
        return None
    value.encode("utf-8")  # an error for half a surrogate pair, which JSON can spell
    return value


def _integer(value: Any) -> int | None:
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,18}", value):
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _number(value: Any) -> float | None:
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,18}(\.[0-9]{1,18})?", value):
        return float(value)
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if is_number else None


def _boolean(value: Any) -> bool | None:
    return value if isinstance(value, bool) else {"true": True, "1": True, "false": False, "0": False}.get(value)


def _time(value: Any) -> str | float | None:
    """Return a moment as it is written: the handler knows the zone."""
    return _string(value) if isinstance(value, str) else _number(value)


#: What each kind expects, and what parses it: None, or an error, if it is something else.
_KINDS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "string": (f"a text of at most {LONGEST} characters", _string),
    "integer": ("a whole number", _integer),
    "number": ("a number", _number),
    "boolean": ("true or false", _boolean),
    "time": (FORMS, _time),
}
