"""The console's part of the configuration, as one value."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields

from tgscheduler import config
from tgscheduler.errors import ConfigError
from tgscheduler.messages import shown


@dataclass(frozen=True, slots=True)
class ConsoleSettings:
    """The ``tg.scheduler.console.*`` settings; hashes of passwords stay out of the repr."""

    users: Mapping[str, str] = field(default_factory=dict, repr=False)
    operators: tuple[str, ...] = ()
    tokens: Mapping[str, Mapping[str, str]] = field(default_factory=dict, repr=False)
    auth: str | None = None
    read_only: bool = False
    hosts: tuple[str, ...] = ()
    redact: tuple[str, ...] = ()

    def check(self) -> None:
        """Raise ConfigError if the settings contradict each other."""
        for name in self.operators:
            if name not in self.users:
                raise ConfigError(
                    f"tg.scheduler.console.operators: {shown(name)} is no user; give it a password in "
                    "tg.scheduler.console.users"
                )


def configured() -> ConsoleSettings:
    """Return the settings as they are configured now."""
    return ConsoleSettings(
        **{each.name: config.get(f"tg.scheduler.console.{each.name}") for each in fields(ConsoleSettings)}
    )
