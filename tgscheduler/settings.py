"""Scheduler arguments from settings."""

import functools
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tgscheduler import config, stores
from tgscheduler.stores.base import Store

log = logging.getLogger("tgscheduler.store")

#: Arguments of the scheduler's constructor that have the name of their setting.
_SAME = ("timezone", "threads", "children", "stop_timeout", "history", "store_timeout", "on_store_down")

#: Arguments of a store, and the names of their settings.
_OF_STORE = {
    "days": "history_days",
    "per_task": "history_per_task",
    "timeout": "store_timeout",
    "auto_migrate": "auto_migrate",
}


def scheduler_arguments(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a Scheduler, or of ``configure``, from checked ``tg.scheduler.*`` settings."""
    chosen = {name: settings[f"tg.scheduler.{name}"] for name in _SAME if f"tg.scheduler.{name}" in settings}
    return {**chosen, "policy": config.policy(settings), "store": _store(settings)}


def _store(settings: Mapping[str, Any]) -> Store | None:
    """Return the configured store, None for the one in memory."""
    url = settings.get("tg.scheduler.store")
    if url is None:
        return None
    given = {
        argument: settings[f"tg.scheduler.{name}"]
        for argument, name in _OF_STORE.items()
        if f"tg.scheduler.{name}" in settings
    }
    folder = config.folder()
    path = stores.path_of(url, folder)
    if path is not None and is_installed(path):
        _warn(path)
    return stores.open(url, folder=folder, **given)


@functools.cache
def _warn(path: Path) -> None:
    """Log the warning once per path."""
    log.warning(
        "tg.scheduler.store: %s lies inside an installed package, where the next installation may remove it; give an "
        "absolute path, or a configfile: relative paths start at its folder",
        path,
    )


def is_installed(path: Path) -> bool:
    """Return whether a file lies inside an installed package."""
    return bool({"site-packages", "dist-packages"} & set(path.parts))
