"""The way of a request: match, guard, identify, read, answer; and whatever goes wrong becomes a problem."""

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tgscheduler.console import guard, wire
from tgscheduler.console.access import caller_of
from tgscheduler.console.arguments import arguments_of
from tgscheduler.console.console import Console
from tgscheduler.console.http import Problem, Request, Response, problem_response
from tgscheduler.console.routes import Route, Table

log = logging.getLogger(__name__)


class Service:
    """Answers the requests to one console."""

    def __init__(self, console: Console, table: Table) -> None:
        self.console = console
        self.table = table

    def answer(self, environ: Mapping[str, Any]) -> Response:
        """Return the answer to a request; never raise."""
        request = Request(method=str(environ.get("REQUEST_METHOD", "")).upper())
        try:
            headers = wire.headers_of(environ)
            request = replace(request, headers=headers, peer=environ.get("REMOTE_ADDR") or "")
            path = wire.segments_of(environ)
            request = replace(request, path=path, root="../" * (len(path) - 1) or "./")
            response = self._respond(request, environ)
        except Problem as problem:
            response = self._refusal(request, problem)
        except Exception:
            log.exception("The console failed at %s %s", request.method, "/".join(request.path))
            response = self._refusal(request, Problem(500, detail="The server's log has the reason."))
        response.headers = {**guard.HEADERS, **response.headers}
        return response

    def _respond(self, request: Request, environ: Mapping[str, Any]) -> Response:
        route, path = self.table.find(request.method, request.path)
        caller = None if route.role == "public" else caller_of(self.console, request)
        request = replace(request, caller=caller, cookies=wire.cookies_of(request.headers))
        request = replace(request, query=wire.query_of(environ), **self._body(route, request, environ))
        request = replace(request, arguments=arguments_of(route, request, path))
        return route.handler(self.console, request)

    def _body(self, route: Route, request: Request, environ: Mapping[str, Any]) -> dict[str, Any]:
        body = wire.body_of(environ) if route.is_unsafe else b""
        if not body:
            return {}
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        expected = wire.JSON if route.is_api else wire.FORM
        if kind != expected:
            raise Problem(415, detail=f"Expected a body of type {expected}, got {kind[:100]!r}.")
        return {"json": wire.json_of(body)} if route.is_api else {"form": wire.form_of(body)}

    def _refusal(self, request: Request, problem: Problem) -> Response:
        if not request.is_api:
            try:
                page = self.console.render(request, "problem.html", problem=problem)
                page.status, page.headers = problem.status, {**page.headers, **problem.headers}
                return page
            except Exception:  # the page of a problem must not depend on what failed
                log.debug("No page for %s", problem, exc_info=True)
        return problem_response(request, problem)
