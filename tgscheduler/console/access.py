"""Who asks, and what they may do.

::

    a Bearer token, of the API       its role                                      tokens
    the application's own login      the name and role that its function returns   auth
    HTTP Basic                       operator or viewer                            users, operators
    a peer on this host              operator                                      without auth and users

The peer is the one of the connection, never of a header. A proxy makes every peer one of this host: where there are
traces of one, the last line does not hold. A proxy that adds no header leaves none, so users come before a proxy.
"""

import base64
import fnmatch
import importlib
import logging
import re
import traceback
from collections.abc import Callable, Mapping
from typing import Any, NoReturn, cast

from tgscheduler import passwords
from tgscheduler.configtable import ROLES
from tgscheduler.console.guard import Server, is_loopback, is_own
from tgscheduler.console.http import Caller, Problem, Request, Role
from tgscheduler.console.logins import Logins, Slowed
from tgscheduler.console.settings import ConsoleSettings
from tgscheduler.errors import ConfigError
from tgscheduler.messages import printable, shown

log = logging.getLogger(__name__)

#: Headers that proxies, load balancers and the like add; ``*`` stands for the rest of a name.
PROXY_HEADERS = (
    *("forwarded*", "x-forwarded*", "x-original-*", "x-proxy*", "proxy-connection", "via", "x-scheme", "cdn-loop"),
    *("client-ip", "x-client-ip", "x-real-ip", "x-cluster-client-ip", "true-client-ip", "cf-*", "fastly-*"),
    *("x-envoy-*", "x-amzn-trace-id", "x-azure-*", "x-appengine-*", "x-arr-*", "x-varnish", "wl-proxy-*"),
)

_OF_PROXY = re.compile("|".join(map(fnmatch.translate, PROXY_HEADERS)))

_REALM = 'realm="tgscheduler"'


class Access:
    """Identifies the callers of one console."""

    def __init__(self, logins: Logins | None = None) -> None:
        self._logins = logins or Logins()
        #: Why the application's login failed at last, so that the log has it once; None: it did not.
        self._fault: str | None = None

    def caller(self, request: Request, settings: ConsoleSettings, server: Server) -> Caller:
        """Return who asks; raise a Problem 401, 403, 429 or 503 for anyone else."""
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and (settings.tokens or settings.auth is None):
            return self._token(request, given.strip(), settings)
        if settings.auth is not None:
            caller = self._of_application(settings.auth, request)
            if caller is not None:
                return caller
            if not settings.users:
                raise Problem(403, "Not logged in", "Log in to the application first; it does not know you.")
        if settings.users:
            if scheme.lower() != "basic":
                _challenge(settings, "Expected the name and password of a user.")
            return self._user(request, given.strip(), settings)
        return _local(request, server)

    def _token(self, request: Request, given: str, settings: ConsoleSettings) -> Caller:
        if not request.is_api:
            _challenge(settings, "A Bearer token is for the API; the pages do not take one.")
        kept = {name: token["hash"] for name, token in settings.tokens.items()}
        name = self._find(request.peer, given, given, kept)
        if name is None:
            log.warning("A login to the console failed: a token, from %s", printable(request.peer))
            _challenge(settings, "Expected a token of tg.scheduler.console.tokens.")
        return Caller(name, cast(Role, settings.tokens[name].get("role", "viewer")), "token")

    def _user(self, request: Request, given: str, settings: ConsoleSettings) -> Caller:
        try:
            name, _, password = base64.b64decode(given, validate=True).decode("utf-8").partition(":")
        except ValueError:
            _challenge(settings, "Expected the name and password of a user, as HTTP Basic in UTF-8.")
        known = settings.users.get(name)
        kept = known or passwords.decoy(settings.users.values())
        if self._find(request.peer, name, password, {name: kept}) is None:
            who = printable(name) if known else "an unknown user"
            log.warning("A login to the console failed: %s, from %s", who, printable(request.peer))
            _challenge(settings, "The name or the password is wrong.")
        return Caller(name, "operator" if name in settings.operators else "viewer", "user")

    def _of_application(self, path: str, request: Request) -> Caller | None:
        try:
            caller = _caller_of(find_function(path)(request))
        except Exception as error:
            fault = _without_values(error)
            if fault != self._fault:
                log.error("The application's login to the console, %s, failed: %s", path, fault)
            self._fault = fault
            raise Problem(
                503,
                "The application's login failed",
                "The application's own login to the console failed, so it is not known who asks. The log of the server "
                "has the reason.",
            ) from None
        self._fault = None
        return caller

    def _find(self, peer: str, login: str, given: str, kept: Mapping[str, str]) -> str | None:
        try:
            return self._logins.find(peer, login, given, kept)
        except Slowed as slowed:
            raise Problem(
                429,
                "Too many logins",
                f"Wait for {slowed.seconds} s before the next try.",
                {"Retry-After": str(slowed.seconds)},
            ) from None


def _challenge(settings: ConsoleSettings, detail: str) -> NoReturn:
    schemes = [f'Basic {_REALM}, charset="UTF-8"'] if settings.users else []
    schemes += [f"Bearer {_REALM}"] if settings.tokens or not settings.users else []
    raise Problem(401, "Not logged in", detail, {"WWW-Authenticate": ", ".join(schemes)})


def _local(request: Request, server: Server) -> Caller:
    if not is_loopback(request.peer):
        raise Problem(
            403,
            "This host only",
            "Without users the console answers requests from its own host only. To open it to others, set "
            "tg.scheduler.console.users, or tg.scheduler.console.auth.",
        )
    sign = _sign_of_proxy(request, server)
    if sign is not None:
        raise Problem(
            403,
            "Behind a proxy",
            f"Without users the console answers requests from its own host only, and behind a proxy ({sign}) all of "
            "them seem to come from there. Set tg.scheduler.console.users, or tg.scheduler.console.auth.",
        )
    return Caller("local", "operator", "loopback")


def _sign_of_proxy(request: Request, server: Server) -> str | None:
    """Return what tells that the peer passes on the request of another one; None if nothing does."""
    headers = request.headers
    seen = sorted(name for name in headers if _OF_PROXY.match(name))
    if seen:
        return f"the header {', '.join(seen)}"
    if server.is_behind_proxy:
        return "tools.proxy, which is on"
    origins = {"origin": headers.get("origin")}
    if headers.get("sec-fetch-site") == "same-origin":
        origins["referer"] = headers.get("referer")
    for name, url in origins.items():
        if url not in (None, "", "null") and not is_own(url, headers):
            return f"the {name}, which is not the Host"
    return None


def find_function(path: str) -> Callable[[Request], Any]:
    """Return the function that ``pkg.module:function`` names; raise ConfigError if there is none."""
    module, _, name = path.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"tg.scheduler.console.auth: {shown(path)} cannot be imported: {error}") from None
    if not callable(found):
        raise ConfigError(f"tg.scheduler.console.auth: expected a function, and {shown(path)} is {shown(found)}")
    return found  # type: ignore[no-any-return]


def _caller_of(answer: Any) -> Caller | None:
    match answer:
        case None:
            return None
        case (str(name), str(role)) if role in ROLES and name and name.isprintable():
            return Caller(name, cast(Role, role), "application")
    roles = " or ".join(map(repr, ROLES))
    raise ConfigError(f"expected None or (name, role), where role is {roles}, got another {type(answer).__name__}")


def _without_values(error: Exception) -> str:
    """Return what failed and where; the message of a foreign error is left out, because it may hold a secret."""
    if isinstance(error, ConfigError):
        return str(error)
    places = "".join(traceback.format_tb(error.__traceback__))
    return f"{type(error).__name__}, whose message may hold a secret\n{places.rstrip()}"
