"""The identity of a process that writes to a store, and whether it is gone."""

import functools
import os
import socket
import sys
from pathlib import Path
from typing import NamedTuple

#: A node not seen for this time (seconds) is gone; each sends a heartbeat every ``BEAT`` seconds.
GONE_AFTER = 60.0
BEAT = 10.0
#: The ``seen`` of a node that has shut down cleanly.
LEFT = 0.0
#: Number of run ids of a node: an id is the node's number times this, plus a number that the node counts up.
NODE_IDS = 1 << 36


class Process(NamedTuple):
    """The identity of a process, unique even if its number is reused."""

    host: str
    #: The boot of the machine and the namespace of ``number``; empty if the platform does not report both.
    machine: str
    number: int
    #: Its start time, in the kernel's own unit; 0 if the platform does not report it.
    birth: int


def this_process() -> Process:
    """Return the identity of this process."""
    number = os.getpid()
    return Process(socket.gethostname(), _machine(), number, birth(number) or 0)


def is_gone(node: Process, seen: float, me: Process, now: float) -> bool:
    """Return whether no one works on a node's runs any more; ``seen`` and ``now`` are by the database's clock.

    For processes of this machine the kernel decides; for those of another machine, and for another store of this very
    process, the time since the last heartbeat does.
    """
    if seen == LEFT:
        return True
    lives = is_alive(node, me)
    return now - seen > GONE_AFTER if lives is None else not lives


def is_alive(node: Process, me: Process) -> bool | None:
    """Return whether a process is alive, None if the kernel of this machine does not know."""
    if node == me or (node.host, node.machine) != (me.host, me.machine):
        return None
    began = birth(node.number)
    if began is None:
        return False
    return began == node.birth if began and node.birth else None


def birth(number: int) -> int | None:
    """Return the start time of a process of this machine, None if there is no such process, 0 if it is unknown."""
    if sys.platform == "linux":
        try:
            state, *fields = Path(f"/proc/{number}/stat").read_text().rsplit(")", 1)[1].split()
        except OSError:  # there is none, or it belongs to another user and is hidden
            pass
        else:
            return None if state in "ZX" else int(fields[18])
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return None
    except OSError:  # it exists, and belongs to another user
        pass
    return 0


@functools.cache
def _machine() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""
