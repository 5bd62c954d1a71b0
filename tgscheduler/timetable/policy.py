"""A task's choices besides its trigger: where its action runs, and what happens to late, overlapping and failed runs.

==============  ===========================================================================================
misfire         occurrences that were missed (the process was busy, stopped, asleep): ``run_once`` makes up for
                all of them by one run, ``skip`` by none, ``run_all`` by one each, ``misfire_cap`` at most
grace           seconds after its due time within which an occurrence may still start; None: no limit
overlap         an occurrence while the task still runs: ``skip`` it, ``queue`` it, or ``allow`` up to
                ``max_instances`` runs at a time
timeout         seconds that one run may take
retry           how a failed run is tried again
jitter          seconds by which fires are spread, the same for the same task and due time
max_runs        how many runs there are at most
on_lost         a run whose process ended before it did, if a store has it on record: ``skip`` (it is recorded as lost)
                or ``rerun``, as another attempt, ``max_takeovers`` times at most: then it is lost
==============  ===========================================================================================

Every run that did not succeed is recorded with its reason.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any

from tgscheduler.errors import InvalidType, InvalidValue
from tgscheduler.timetable.triggers import check_seconds


class method:  # the seed's spelling: ``method.threaded``
    """Where an action runs; pass one as ``processmethod``."""

    sequential = "sequential"
    """In the scheduler's own thread, one after another: for quick tasks."""

    threaded = "threaded"
    """In a thread of its own from a pool; the default."""

    forked = "forked"
    """In a forked process of its own: for work that burns CPU, or that may crash."""


METHODS = (method.sequential, method.threaded, method.forked)

MISFIRES = ("run_once", "skip", "run_all")
OVERLAPS = ("skip", "queue", "allow")
ON_LOST = ("skip", "rerun")

#: Grace (seconds) of ``misfire='skip'`` if none is set.
SKIP_GRACE = 60.0


def unknown_method(value: object) -> InvalidValue:
    """Return the error for an unknown processmethod."""
    return InvalidValue(f"processmethod: expected one of {', '.join(METHODS)}, got {value!r}")


def jitter_fraction(name: str, due: float, salt: str = "") -> float:
    """Return a number from 0 up to 1 that looks random and is the same for the same name, due time and salt."""
    digest = hashlib.blake2b(f"{name}\0{due!r}\0{salt}".encode("utf-8", "surrogatepass"), digest_size=7).digest()
    return int.from_bytes(digest, "big") / (1 << 56)


@dataclass(frozen=True, slots=True)
class Retry:
    """Try a failed run again, at most ``times`` times.

    The first retry begins after ``delay`` seconds; each further delay is ``factor`` times the one before, at most
    ``longest`` seconds. Each is lengthened by up to ``jitter`` times itself. ``on``: the exceptions that are retried, a
    class or several. A child that crashed counts as ChildProcessError, a run past its timeout as TimeoutError.

    >>> [round(Retry(4, delay=10, longest=60, jitter=0).wait("name", 0.0, attempt)) for attempt in (1, 2, 3, 4)]
    [10, 20, 40, 60]
    """

    times: int
    delay: float = 1.0
    factor: float = 2.0
    longest: float = 600.0
    jitter: float = 0.1
    on: tuple[type[BaseException], ...] = (Exception,)

    def __post_init__(self) -> None:
        object.__setattr__(self, "times", check_whole("retry times", self.times))
        for name in ("delay", "longest"):
            object.__setattr__(self, name, check_seconds(f"retry {name}", getattr(self, name)))
        for name, low, high in (("factor", 1.0, 100.0), ("jitter", 0.0, 1.0)):
            value = check_seconds(f"retry {name}", getattr(self, name))
            if not low <= value <= high:
                raise InvalidValue(f"retry {name}: expected {low:g} to {high:g}, got {getattr(self, name)!r}")
            object.__setattr__(self, name, value)
        kinds = tuple(self.on) if isinstance(self.on, Iterable) else (self.on,)
        if not kinds or not all(isinstance(kind, type) and issubclass(kind, BaseException) for kind in kinds):
            raise InvalidType(f"retry on: expected exception classes such as (OSError, TimeoutError), got {self.on!r}")
        object.__setattr__(self, "on", kinds)

    def wait(self, name: str, due: float, attempt: int) -> float:
        """Return how many seconds after attempt number ``attempt`` (from 1) the next one begins."""
        try:
            seconds = min(self.delay * self.factor ** (attempt - 1), self.longest)
        except OverflowError:
            seconds = self.longest if self.delay else 0.0
        return (
            seconds * (1.0 + self.jitter * jitter_fraction(name, due, f"retry {attempt}")) if self.jitter else seconds
        )


@dataclass(frozen=True, slots=True)
class Policy:
    """The choices of a task; all tasks that have chosen nothing share one value."""

    misfire: str = "run_once"
    misfire_cap: int | None = None
    grace: float | None = None
    overlap: str = "skip"
    max_instances: int | None = None
    timeout: float | None = None
    retry: Retry | None = None
    jitter: float = 0.0
    max_runs: int | None = None
    on_lost: str = "skip"
    max_takeovers: int = 3

    def __post_init__(self) -> None:
        _check_choice("misfire", self.misfire, MISFIRES)
        _check_choice("overlap", self.overlap, OVERLAPS)
        _check_choice("on_lost", self.on_lost, ON_LOST)
        for name in ("misfire_cap", "max_instances", "max_runs"):
            if getattr(self, name) is not None:
                check_whole(name, getattr(self, name))
        check_whole("max_takeovers", self.max_takeovers)
        if self.misfire == "run_all" and self.misfire_cap is None:
            raise InvalidValue(
                "misfire 'run_all': expected misfire_cap as well, how many missed occurrences are made up for at "
                "most: after a long stop there may be thousands"
            )
        if self.misfire != "run_all" and self.misfire_cap is not None:
            raise InvalidValue(f"misfire_cap: goes with misfire='run_all', got misfire={self.misfire!r}")
        if self.overlap != "allow" and self.max_instances is not None:
            raise InvalidValue(f"max_instances: goes with overlap='allow', got overlap={self.overlap!r}")
        if self.grace is not None:
            object.__setattr__(self, "grace", check_seconds("grace", self.grace))
        if self.timeout is not None:
            object.__setattr__(self, "timeout", check_seconds("timeout", self.timeout, above_zero=True))
        object.__setattr__(self, "jitter", check_seconds("jitter", self.jitter))
        object.__setattr__(self, "retry", check_retry(self.retry))


#: The names of a policy's fields.
CHOICES = tuple(field.name for field in fields(Policy))


def check_retry(value: object) -> Retry | None:
    """Return a Retry from a Retry or a number of times; None if there is none (None or 0)."""
    if value is None or (type(value) is int and value == 0):
        return None
    if isinstance(value, Retry):
        return value
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidType(f"retry: expected a number of times, a Retry(...) or None, got {value!r}")
    return Retry(value)


def check_whole(what: str, value: Any) -> int:
    """Return a whole number of 1 or more; raise InvalidType or InvalidValue otherwise."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidType(f"{what}: expected a whole number, got {value!r}")
    if value < 1:
        raise InvalidValue(f"{what}: expected 1 or more, got {value}")
    return value


def _check_choice(what: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices or not isinstance(value, str):
        raise InvalidValue(f"{what}: expected one of {', '.join(choices)}, got {value!r}")


#: The policy of a task that has chosen nothing, in a scheduler that has set nothing.
DEFAULT_POLICY = Policy()
