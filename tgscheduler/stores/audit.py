"""The audit log: who changed what, when, from where, and what came of it."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from types import NoneType
from typing import NamedTuple

from tgscheduler.errors import InvalidType, InvalidValue
from tgscheduler.timetable.policy import check_whole

#: Maximum length of the texts of a record (characters), apart from the task's name.
LONGEST_TEXT = 500
#: Maximum number of records that are kept without a persistent store, or until it is open again.
MAX_WAITING = 1000

_CUT = ("who", "role", "action", "detail", "origin", "outcome")


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """One action on the timetable. Texts are cut to 500 characters.

    Raises InvalidType for a text that is none, InvalidValue unless ``at`` is a moment.
    """

    #: When it was done (POSIX seconds).
    at: float
    #: Who did it, and in which role.
    who: str
    role: str
    #: What was done: "pause", for example.
    action: str
    #: The name of the task, None for an action on all tasks.
    task: str | None = None
    #: What else matters: "until 2026-11-25 09:00".
    detail: str = ""
    #: From where: the surface and the address of the peer.
    origin: str = ""
    #: What came of it.
    outcome: str = "ok"
    #: Set by the store, None until it is on record: ``before`` for the next page.
    id: int | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if isinstance(self.at, bool) or not isinstance(self.at, (int, float)):
            raise InvalidType(f"at: expected POSIX seconds, got {self.at!r}")
        if not math.isfinite(self.at):
            raise InvalidValue(f"at: expected POSIX seconds, got {self.at!r}")
        if not isinstance(self.task, (str, NoneType)):
            raise InvalidType(f"task: expected the name of a task or None, got {self.task!r}")
        for name in _CUT:
            text = getattr(self, name)
            if not isinstance(text, str):
                raise InvalidType(f"{name}: expected a text, got {text!r}")
            object.__setattr__(self, name, text[:LONGEST_TEXT])


class AuditQuery(NamedTuple):
    """A query for audit records: of one task and of all tasks together, or (None) every one; before that of an id."""

    task: str | None = None
    before: int | None = None
    limit: int = 50

    def check(self) -> "AuditQuery":
        """Return self; raise InvalidValue or InvalidType for an invalid field."""
        if not isinstance(self.task, (str, NoneType)):
            raise InvalidType(f"task: expected the name of a task, got {self.task!r}")
        if isinstance(self.before, bool) or not isinstance(self.before, (int, NoneType)):
            raise InvalidType(f"before: expected the id of an audit record, got {self.before!r}")
        check_whole("limit", self.limit)
        return self

    def newest(self, records: Iterable[AuditRecord]) -> list[AuditRecord]:
        """Return at most ``limit`` matching records, newest first; none if that of ``before`` is not among them."""
        found = [record for record in records if self.task is None or record.task in (self.task, None)]
        found.sort(key=_place)
        found.reverse()  # those without an id, which are in their order, too
        if self.before is not None:
            ids = [record.id for record in found]
            found = found[ids.index(self.before) + 1 :] if self.before in ids else []
        return found[: self.limit]


def _place(record: AuditRecord) -> tuple[float, float]:
    return record.at, math.inf if record.id is None else record.id
