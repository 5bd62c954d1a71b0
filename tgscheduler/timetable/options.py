"""A task's options besides its timetable: bounds, a zone and a policy. Immutable."""

import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, TypedDict

from tgscheduler.errors import InvalidType, InvalidValue
from tgscheduler.timetable import zones
from tgscheduler.timetable.policy import CHOICES, DEFAULT_POLICY, Policy, Retry
from tgscheduler.timetable.triggers import check_moment


class Options(TypedDict, total=False):
    """The keyword arguments of every function that adds a task, besides its own."""

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
    """Its former name: with a store it takes over the history of that name."""


_NAMES = (*CHOICES, "start", "end", "timezone", "formerly")


@dataclass(frozen=True, slots=True)
class TaskOptions:
    """The options of one task, checked.

    ``choices``: the fields of a policy that it chose, by name. ``start``, ``end``: POSIX seconds. ``formerly``: the
    name under which a store has its history.
    """

    choices: Mapping[str, Any] = field(default_factory=dict)
    start: float | None = None
    end: float = math.inf
    timezone: str | None = None
    formerly: str | None = None

    def updated(self, options: Mapping[str, Any]) -> "TaskOptions":
        """Return these options with others over them; raise InvalidValue or InvalidType for an invalid one."""
        for name in options:
            if name not in _NAMES:
                near = difflib.get_close_matches(name, _NAMES, 1)
                mend = f"did you mean {near[0]!r}?" if near else f"expected one of {', '.join(_NAMES)}"
                raise InvalidType(f"{name!r} is no option of a task; {mend}")
        timezone = options.get("timezone", self.timezone)
        zones.zone(timezone)
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
        if formerly is None:
            formerly = self.formerly
        elif not isinstance(formerly, str):
            raise InvalidType(f"formerly: expected the name that the task had before, got {formerly!r}")
        choices = {**self.choices, **{name: value for name, value in options.items() if name in CHOICES}}
        updated = TaskOptions(choices, start, end, timezone, formerly)
        updated.policy(DEFAULT_POLICY)  # its values are checked there
        return updated

    def policy(self, default: Policy) -> Policy:
        """Return a policy with these choices over ``default``, without a default that does not go with them."""
        if not self.choices:
            return default
        changes = dict(self.choices)
        if "misfire" in changes:
            changes.setdefault("misfire_cap", None)
        if "overlap" in changes:
            changes.setdefault("max_instances", None)
        return replace(default, **changes)


#: The options of a task that has chosen nothing.
NO_OPTIONS = TaskOptions()
