"""Who asks: a peer on this host, a user, a token, or a login of the application."""

from tgscheduler.console.console import Console
from tgscheduler.console.http import Caller, Problem, Request


def caller_of(console: Console, request: Request) -> Caller:
    """Return who asks; raise a Problem 401 or 403 for anyone else."""
    if request.peer.startswith("127.") or request.peer == "::1":
        return Caller("local", "operator", "loopback")
    raise Problem(403, detail="Without users the console answers this host only.")
