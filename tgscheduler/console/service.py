"""The way of a request: receive, admit, read, answer; whatever goes wrong becomes a problem."""

import logging
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from tgscheduler.console import guard, wire
from tgscheduler.console.access import Access
from tgscheduler.console.arguments import arguments_of
from tgscheduler.console.console import Console
from tgscheduler.console.http import Problem, Request, Response, problem_response
from tgscheduler.console.routes import Route, Table
from tgscheduler.errors import StoreError, WrongProcess
from tgscheduler.messages import printable

log = logging.getLogger(__name__)

#: What holds while the store is down.
_GOES_ON = "Tasks keep running, and their records wait for it: the history can be read once it is back."

#: Headers that no handler, and so no page and no log, may see.
_SECRET_HEADERS = ("authorization", "cookie", "proxy-authorization")


class Service:
    """Answers the requests to one console."""

    def __init__(self, console: Console, table: Table, server: guard.Server) -> None:
        self.console = console
        self._table = table
        self._server = server
        self._access = Access()

    def answer(self, environ: wire.Environ) -> Response:
        """Return the answer to a request; every one has the headers of :mod:`~tgscheduler.console.guard`."""
        request = Request(
            method=environ["REQUEST_METHOD"].upper(),
            path=tuple(environ.get("PATH_INFO", "").split("/")[1:]),
            headers=wire.headers_of(environ),
            peer=environ.get("REMOTE_ADDR") or "",
            mount=quote(environ.get("SCRIPT_NAME", ""), encoding="latin-1"),
        )
        try:
            length = wire.length_of(environ)
            path = wire.segments_of(environ)
            if not path and request.method in ("GET", "HEAD"):
                raise _to_slash(environ)
            request = replace(request, path=path, root="../" * (len(path) - 1) or "./")
            route, found = self._table.find(request.method, request.path)
            request = self._admitted(request, route)
            body = wire.body_of(environ, length) if route.is_unsafe else b""
            request = self._read(request, route, found, environ.get("QUERY_STRING", ""), body)
            response = route.handler(self.console, request)
        except Problem as problem:
            response = self._refusal(request, problem)
        except StoreError as error:
            log.debug("The console could not read the store: %s", error)  # an outage is logged by the store itself
            response = self._refusal(request, Problem(503, "The store does not answer", f"{error}. {_GOES_ON}"))
        except WrongProcess as error:  # a ForkedScheduler, or the child of a fork
            response = self._refusal(request, Problem(503, "Out of reach", f"{error}."))
        except Exception:
            log.exception("The console failed at %s %s", request.method, printable("/".join(request.path), 200))
            response = self._refusal(request, Problem(500, detail="The log of the server has the reason."))
        response.headers = {**guard.HEADERS, **response.headers}
        return response

    def _admitted(self, request: Request, route: Route) -> Request:
        """Return the request with its caller, without its secrets; raise a Problem if it must not be answered."""
        request = replace(request, cookies=wire.cookies_of(request.headers))
        if route.role != "public":
            settings = self.console.settings
            guard.check_host(request, settings.hosts, self._server)
            guard.check_origin(request, route)
            caller = self._access.caller(request, settings, self._server)
            request = replace(request, caller=caller)
            if route.role == "operator" and settings.read_only:
                raise Problem(403, "Read only", "tg.scheduler.console.read_only is True: nothing can be changed here.")
            if route.role == "operator" and caller.role != "operator":
                raise Problem(403, "Operators only", f"{caller.name} is a viewer, who may look and not act.")
        headers = {name: value for name, value in request.headers.items() if name not in _SECRET_HEADERS}
        return replace(request, headers=headers)

    def _read(self, request: Request, route: Route, path: dict[str, Any], query: str, body: bytes) -> Request:
        """Return the request with its query, its body and the arguments that the route declares."""
        if not wire.accepts(request.headers, route.media_types):
            raise Problem(406, detail=f"This is made as {' or '.join(route.media_types)} only.")
        request = replace(request, query=wire.pairs(query, "query"))
        if body:
            wire.check_type(request.headers, wire.JSON if route.is_api else wire.FORM)
            parsed = {"json": wire.json_of(body)} if route.is_api else {"form": wire.form_of(body)}
            request = replace(request, **parsed)
        return replace(request, arguments=arguments_of(route, request, path))

    def _refusal(self, request: Request, problem: Problem) -> Response:
        if not request.is_api:
            try:
                page = self.console.render(request, "problem.html", problem=problem)
                page.status, page.headers = problem.status, {**page.headers, **problem.headers}
                return page
            except Exception:  # such as the failure that the problem is about
                log.debug("No page for %s", problem, exc_info=True)
        return problem_response(request, problem)


def _to_slash(environ: wire.Environ) -> Problem:
    """Return the redirect from ``/scheduler`` to ``/scheduler/``, below which all links are relative."""
    query = environ.get("QUERY_STRING")
    place = environ["SCRIPT_NAME"].rpartition("/")[2] + "/" + (f"?{query}" if query else "")
    return Problem(307, "The console is below this path", f"Go on to {place}", {"Location": place})
