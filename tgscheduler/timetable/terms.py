"""What a task has agreed to beyond its plain timetable: bounds, a zone, a policy, a pause; and what follows from it.

Most tasks have none (``task._terms`` is None) and pay nothing for it. Written under the engine's lock, but for
``open`` and ``line``, which belong to the loop's thread.
"""

import difflib
import math
from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TypedDict

from tgscheduler.errors import InvalidType, InvalidValue
from tgscheduler.timetable import zones
from tgscheduler.timetable.policy import CHOICES, PLAIN, Policy, Retry
from tgscheduler.timetable.run import Run
from tgscheduler.timetable.triggers import Trigger, check_moment, is_quick

if TYPE_CHECKING:
    from tgscheduler.timetable.tasks import Task


class Options(TypedDict, total=False):
    """What every function that adds a task takes besides its own arguments, each by its name."""

    start: float | datetime | None
    """The earliest fire time: POSIX seconds or a datetime, one without a zone in the task's or the scheduler's; an
    interval's grid begins there."""
    end: float | datetime | None
    """The last moment at which it may fire."""
    timezone: str | None
    """The IANA name of the zone in which its days and times are meant; None: the scheduler's."""
    misfire: str
    misfire_cap: int | None
    grace: float | timedelta | None
    overlap: str
    max_instances: int | None
    timeout: float | timedelta | None
    retry: int | Retry | None
    jitter: float | timedelta
    max_runs: int | None
    on_lost: str
    max_takeovers: int
    formerly: str | None
    """The name that it had before: with a store it takes over that one's history."""


_NAMES = (*CHOICES, "start", "end", "timezone", "formerly")


class Terms:
    """The terms of one task."""

    __slots__ = (
        "chosen", "end", "formerly", "left", "line", "open", "paused_until", "policy", "slow", "start", "timezone",
        "trigger", "unfound",
    )  # fmt: skip

    def __init__(self) -> None:
        #: What was chosen for this task, over its scheduler's policy; and the two together.
        self.chosen: dict[str, Any] = {}
        self.policy = PLAIN
        self.timezone: str | None = None
        #: What it was called before: its history is there.
        self.formerly: str | None = None
        self.start: float | None = None
        self.end = math.inf
        #: A trigger that was given, instead of what the task's class makes of its arguments.
        self.trigger: Trigger | None = None
        #: Whether asking the trigger may take long: it is asked without the engine's lock.
        self.slow = False
        #: Up to here the trigger found no fire. Where the task is due then it does not fire, but is asked again.
        self.unfound: float | None = None
        #: Until when nothing runs (minus infinity: it is not paused).
        self.paused_until = -math.inf
        #: How many runs are left, None: no bound.
        self.left: int | None = None
        #: Runs that have been started and have not ended; occurrences that wait for those.
        self.open: list[Run] = []
        self.line: deque[tuple[Task, Run]] = deque()

    def choose(self, options: Mapping[str, Any], default: Policy) -> None:
        """Take over options; raise InvalidValue or InvalidType and change nothing where one cannot be."""
        for name in options:
            if name not in _NAMES:
                near = difflib.get_close_matches(name, _NAMES, 1)
                mend = f"did you mean {near[0]!r}?" if near else f"expected one of {', '.join(_NAMES)}"
                raise InvalidType(f"{name!r} is no option of a task; {mend}")
        timezone = options.get("timezone", self.timezone)
        zones.zone(timezone)
        chosen = {**self.chosen, **{name: value for name, value in options.items() if name in CHOICES}}
        policy = _over(default, chosen)
        start, end = self.start, self.end
        if options.get("start") is not None:
            start = check_moment("start", options["start"], timezone)
        if options.get("end") is not None:
            end = check_moment("end", options["end"], timezone)
        if start is not None and end < start:
            raise InvalidValue(
                f"end: expected no earlier moment than start ({start!r}), got {options.get('end', end)!r}"
            )
        formerly = options.get("formerly")
        if formerly is not None and not isinstance(formerly, str):
            raise InvalidType(f"formerly: expected the name that the task had before, got {formerly!r}")
        self.timezone, self.start, self.end, self.chosen, self.policy = timezone, start, end, chosen, policy
        if "max_runs" in options:
            self.left = policy.max_runs
        if formerly is not None:
            self.formerly = formerly

    def adopt(self, default: Policy) -> None:
        """Stand on a scheduler's policy from now on."""
        before = self.policy.max_runs
        self.policy = _over(default, self.chosen)
        if self.policy.max_runs != before or self.left is None:
            self.left = self.policy.max_runs

    def take_trigger(self, trigger: Trigger) -> None:
        """Fire by another trigger."""
        self.trigger, self.slow, self.unfound = trigger, not is_quick(trigger), None

    @property
    def needless(self) -> bool:
        """Whether a task does as well without these terms."""
        return (
            self.policy == PLAIN
            and not self.chosen  # that stands against another policy of the scheduler, which may come
            and self.start is None
            and self.end == math.inf
            and self.timezone is None
            and self.trigger is None
            and self.formerly is None
            and self.paused_until == -math.inf
            and not self.line
        )

    def busy(self) -> list[Run]:
        """Return the runs that have been started and have not ended."""
        self.open = [run for run in self.open if run.ended is None]
        return self.open

    @property
    def over(self) -> bool:
        """Whether nothing of it runs or waits any more."""
        return all(run.ended is not None for run in self.open) and not self.line

    def forget_runs(self) -> None:
        """Drop what runs: in a forked copy it runs in the parent."""
        self.open = []
        self.line = deque()


def _over(default: Policy, chosen: Mapping[str, Any]) -> Policy:
    """Return a policy with what was chosen over the default; what only went with another choice falls."""
    if not chosen:
        return default
    changes = dict(chosen)
    if "misfire" in changes:
        changes.setdefault("misfire_cap", None)
    if "overlap" in changes:
        changes.setdefault("max_instances", None)
    return replace(default, **changes)
