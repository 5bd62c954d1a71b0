"""What surfaces show of a scheduler as a whole: its health, its settings with their sources, versions."""

import functools
import platform
import sys
from contextlib import suppress
from dataclasses import dataclass
from importlib import metadata
from typing import Any, NamedTuple

from tgscheduler import clock as clocks
from tgscheduler import config
from tgscheduler.engine.scheduler import Scheduler
from tgscheduler.errors import StoreError
from tgscheduler.messages import shown
from tgscheduler.views.redaction import HIDDEN, Redactor

#: Distributions whose versions are shown if they are installed.
_DISTRIBUTIONS = ("tgscheduler", "CherryPy", "cronsim", "psycopg", "Jinja2")


class SettingView(NamedTuple):
    """A setting: its value as text without secrets, its default, where the value comes from, and what it means."""

    key: str
    value: str
    default: str
    #: None: it is not set.
    source: str | None
    doc: str


@dataclass(frozen=True, slots=True)
class HealthView:
    """How a scheduler is; the first fields are those of ``health()``."""

    state: str
    reasons: tuple[str, ...]
    #: Seconds by which the loop is behind.
    lag: float
    waiting: int
    running: int
    threads: int
    children: int
    abandoned: int
    tasks: int
    next_due: float | None
    buffered: int
    dropped: int
    #: The address of the store, without a password.
    store: str
    #: When the scheduler was started; None: it is stopped.
    started: float | None
    #: How many occurrences ever came due, by state; none while the store does not answer.
    counts: dict[str, int]
    settings: tuple[SettingView, ...]
    versions: dict[str, str]


def health_view(scheduler: Scheduler, redactor: Redactor) -> HealthView:
    """Return how a scheduler is."""
    found: dict[str, Any] = scheduler.health()
    counts: dict[str, int] = {}
    with suppress(StoreError):
        counts = scheduler.counts()
    found["reasons"] = tuple(redactor.text(reason) for reason in found["reasons"])
    return HealthView(
        **found,
        store=scheduler.store_name,
        started=scheduler.started,
        counts=counts,
        settings=tuple(_settings(redactor)),
        versions=versions(),
    )


def _settings(redactor: Redactor) -> list[SettingView]:
    found = []
    for key, setting in config.SETTINGS.items():
        value = config.get(key)
        text = shown(value)
        if value != setting.default:
            text = HIDDEN if redactor.is_secret(key) else redactor.text(text)
            text = _names(value) if isinstance(value, dict) else text
        found.append(SettingView(key, text, repr(setting.default), config.origin(key), setting.doc))
    return found


def _names(values: dict[Any, Any]) -> str:
    """Return the names in a dict of users or tokens: its values are secrets."""
    return "{" + ", ".join(f"{shown(name)}: {HIDDEN}" for name in values) + "}"


def versions() -> dict[str, str]:
    """Return the versions of what a scheduler runs on."""
    found = {"Python": platform.python_version(), "time zone data": clocks.zone_data_version(), **_installed()}
    sqlite = sys.modules.get("sqlite3")
    if sqlite is not None:
        found["SQLite"] = sqlite.sqlite_version
    return found


@functools.cache
def _installed() -> dict[str, str]:
    """Return the versions of the installed distributions, read once: every poll of a page shows its health."""
    found = {}
    for name in _DISTRIBUTIONS:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
