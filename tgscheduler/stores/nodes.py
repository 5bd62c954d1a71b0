"""Which process writes to a store, and whether another one that did is gone."""

import functools
import os
import socket
import sys
from pathlib import Path
from typing import NamedTuple

#: A node that was not seen for so long (seconds) is gone; each says every ``BEAT`` seconds that it is there.
GONE_AFTER = 60.0
BEAT = 10.0
#: What stands as ``seen`` of a node that has left in good order.
LEFT = 0.0


class Process(NamedTuple):
    """What tells a process apart from any other, also after its number was given to another."""

    host: str
    #: The boot of the machine and the namespace in which ``number`` is meant; empty where the platform tells neither.
    machine: str
    number: int
    #: When it began, in the kernel's own measure; 0 where the platform does not tell.
    birth: int


def this_process() -> Process:
    """Return what tells this process apart."""
    number = os.getpid()
    return Process(socket.gethostname(), _machine(), number, birth(number) or 0)


def is_gone(node: Process, seen: float, me: Process, now: float) -> bool:
    """Return whether no one works on a node's runs any more; ``seen`` and ``now`` are by the database's clock.

    On one machine the kernel knows; of another machine, and of another store of this very process, the time tells.
    """
    if seen == LEFT:
        return True
    lives = is_alive(node, me)
    return now - seen > GONE_AFTER if lives is None else not lives


def is_alive(node: Process, me: Process) -> bool | None:
    """Return whether a process lives, None where the kernel of this machine does not know."""
    if node == me or (node.host, node.machine) != (me.host, me.machine):
        return None
    began = birth(node.number)
    if began is None:
        return False
    return began == node.birth if began and node.birth else None


def birth(number: int) -> int | None:
    """Return when a process of this machine began, None when there is none of that number."""
    if sys.platform == "linux":
        try:
            state, *fields = Path(f"/proc/{number}/stat").read_text().rsplit(")", 1)[1].split()
        except OSError:  # there is none, or it is another user's and hidden
            pass
        else:
            return None if state in "ZX" else int(fields[18])
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return None
    except OSError:  # it is there, and another user's
        pass
    return 0


@functools.cache
def _machine() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""
