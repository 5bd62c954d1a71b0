"""The schedulers that are compared, where they come from, and the ``pip install`` for a missing one."""

import os
import platform
import subprocess
import sys
from configparser import ConfigParser
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).parent.parent

#: What is measured, in the order of a round; distribution and version of those that are packages.
WHO = {
    "ours": ("tgscheduler", None),
    "sqlite": (None, None),
    "apscheduler": ("APScheduler", "3.11.3"),
    "tgs17": ("TGScheduler", "1.7.0"),
    "schedule": ("schedule", "1.2.2"),
    "bare": (None, None),
}
TITLES = {
    "ours": "tgscheduler",
    "sqlite": "tgscheduler, SQLite",
    "apscheduler": "APScheduler 3.11",
    "tgs17": "TGScheduler 1.7",
    "schedule": "schedule 1.2",
    "bare": "bare standard library",
}

_TGS17 = ("TGScheduler==1.7.0", "six", "python-dateutil")


class Missing(Exception):
    """A peer is not installed."""


def prepare(who: str) -> None:
    """Make sure that a peer is installed; TGScheduler 1.7, which has our import name, goes to a folder of its own."""
    package, version = WHO[who]
    if who == "tgs17":
        _prepare_tgs17()
    elif version is not None:
        try:
            metadata.version(package)
        except metadata.PackageNotFoundError:
            raise Missing(f"{package} is missing: pip install {package.lower()}=={version}, or -e '.[bench]'") from None


def environment(who: str) -> dict[str, str]:
    """Return the environment of a process that measures ``who``."""
    paths = [str(_tgs17_folder())] if who == "tgs17" else []
    return {**os.environ, "PYTHONPATH": os.pathsep.join([*paths, str(ROOT)])}


def versions(who: str) -> dict[str, str]:
    """Return the versions of what is measured; called in the process that measures."""
    found = {"python": platform.python_version()}
    found["tgscheduler"] = _own_version()
    package, version = WHO[who]
    if package is not None and version is not None:
        found[package] = metadata.version(package)
    return found


def _own_version() -> str:
    parser = ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    return parser["metadata"]["version"]


def _tgs17_folder() -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "tgscheduler-benchmarks" / f"TGScheduler-1.7.0-py{sys.version_info[0]}.{sys.version_info[1]}"


def _prepare_tgs17() -> None:
    folder = _tgs17_folder()
    if (folder / "tgscheduler" / "kronos.py").exists():
        return
    command = ["-m", "pip", "install", "--quiet", "--target", str(folder), *_TGS17]
    print(f"{TITLES['tgs17']}: pip install --target {folder}", file=sys.stderr)
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True, check=False)
    if done.returncode:
        raise Missing(f"TGScheduler 1.7.0 is missing: python {' '.join(command)} failed:\n{done.stderr.strip()}")
