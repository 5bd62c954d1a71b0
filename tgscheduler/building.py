"""From settings to a scheduler's arguments."""

import functools
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tgscheduler import config, stores
from tgscheduler.stores.base import Store

log = logging.getLogger("tgscheduler.store")

#: Arguments of the scheduler's constructor that are settings of the same name.
_SAME = ("timezone", "threads", "children", "stop_timeout", "history", "store_timeout", "on_store_down")

#: Arguments of a store, and the settings that they are.
_OF_STORE = {
    "days": "history_days",
    "per_task": "history_per_task",
    "patience": "store_timeout",
    "auto_migrate": "auto_migrate",
}


def arguments(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a Scheduler is made with, or configured to, from ``tg.scheduler.*`` settings that are checked."""
    chosen = {name: settings[f"tg.scheduler.{name}"] for name in _SAME if f"tg.scheduler.{name}" in settings}
    return {**chosen, "policy": config.policy(settings), "store": _store(settings)}


def _store(settings: Mapping[str, Any]) -> Store | None:
    """Return the store that is set, None for the one in memory."""
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
    """Say it once."""
    log.warning(
        "tg.scheduler.store: %s lies inside an installed package, where the next installation may remove it; give an "
        "absolute path, or start with a configfile beside which it is to stand",
        path,
    )


def is_installed(path: Path) -> bool:
    """Say whether a file stands among installed packages."""
    return bool({"site-packages", "dist-packages"} & set(path.parts))
