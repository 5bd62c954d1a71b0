"""What every request must fulfil beside its caller's role, and the headers of every answer.

A foreign page can make a browser send requests to this server, with the browser's stored password or from this host.
Two facts that no page can forge tell them apart:

``Host``
    must be a known name, because the name of a foreign page may be made to resolve to this server (DNS rebinding).
``Sec-Fetch-Site``, or ``Origin`` if a browser does not send it
    of an unsafe method must be this server's own. A request with neither comes from no browser: the API takes it; a
    form is refused.
"""

import ipaddress
import re
from collections.abc import Mapping
from typing import Protocol

from tgscheduler.console.http import Problem, Request
from tgscheduler.console.routes import Route

#: Sent with every answer that does not set them itself.
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}

#: A Host header: an IPv6 address in brackets, or a name; then a port.
_HOST = re.compile(r"(?:\[([0-9a-f:.]+)\]|([^\s:/@\[\]?#,]+))(?::[0-9]{1,5})?")

_DEFAULT_PORTS = {"http": ":80", "https": ":443"}


class Server(Protocol):
    """What the console must know of the server that it is mounted in."""

    @property
    def host(self) -> str:
        """The name or address that the server listens on; empty or ``0.0.0.0``: all of this host's."""

    @property
    def is_behind_proxy(self) -> bool:
        """Whether the server takes addresses from a proxy's headers."""


def check_host(request: Request, hosts: tuple[str, ...], server: Server) -> None:
    """Raise a Problem 400 without a Host, 403 for one that is unknown."""
    name = _name(request.headers.get("host", ""))
    if not name:
        raise Problem(400, detail="Expected a Host header with a name or an address.")
    if is_loopback(name) or name in {_name(each) for each in (*hosts, server.host)}:
        return
    if _is_any(server.host) and _address(name) is not None:  # an address cannot be rebound as a name can
        return
    raise Problem(
        403,
        "Unknown host",
        f"The console is not known as {name[:200]!r}. If it should be, add the name to tg.scheduler.console.hosts.",
    )


def check_origin(request: Request, route: Route) -> None:
    """Raise a Problem 403 for an unsafe method that another site's page may have sent."""
    if not route.is_unsafe:
        return
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site is not None:
        is_ours = site in ("same-origin", "none")
    elif origin is not None:
        is_ours = is_own(origin, request.headers)
    else:
        is_ours = route.is_api
    if not is_ours:
        raise Problem(
            403,
            "Not from this site",
            "Expected a form of the console itself: Sec-Fetch-Site same-origin, or an Origin equal to the Host. "
            "A proxy must pass the Host on as it is.",
        )


def is_own(url: str, headers: Mapping[str, str]) -> bool:
    """Return whether a URL or an origin is at the Host of a request."""
    scheme, _, rest = url.lower().partition("://")
    default = _DEFAULT_PORTS.get(scheme, "")
    own = headers.get("host", "").lower()
    return bool(default) and rest.partition("/")[0].removesuffix(default) == own.removesuffix(default)


def is_loopback(name: str) -> bool:
    """Return whether a name or an address means this host and no other."""
    address = _address(name)
    return name == "localhost" if address is None else address.is_loopback


def _address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _is_any(host: str) -> bool:
    address = _address(host)
    return not host or (address is not None and address.is_unspecified)


def _name(host: str) -> str:
    """Return a host without its port, an address in its usual form; empty for what is neither."""
    host = host.strip().lower()
    address = _address(host)
    if address is None and (found := _HOST.fullmatch(host)) is not None:
        host = found[1] or found[2].removesuffix(".")
        address = _address(host)
        return host if address is None else str(address)
    return "" if address is None else str(address)
