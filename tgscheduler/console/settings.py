"""The console's part of the configuration, as one value."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ConsoleSettings:
    """The checked ``tg.scheduler.console.*`` settings; hashes of passwords stay out of the repr."""

    users: Mapping[str, str] = field(default_factory=dict, repr=False)
    operators: tuple[str, ...] = ()
    tokens: Mapping[str, Mapping[str, str]] = field(default_factory=dict, repr=False)
    auth: str | None = None
    read_only: bool = False
    hosts: tuple[str, ...] = ()
    redact: tuple[str, ...] = ()
