"""Static files: read once; their address has the version of all of them, so that browsers keep them for ever."""

import functools
import hashlib
from importlib import resources
from importlib.resources.abc import Traversable
from typing import NamedTuple

#: The media types of what is sent, by the end of the name; other files are for readers of the source.
TYPES = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "png": "image/png",
    "woff2": "font/woff2",
}


class Asset(NamedTuple):
    """A static file."""

    content: bytes
    type: str


@functools.cache
def assets() -> dict[str, Asset]:
    """Return all static files by their path below ``static/``."""
    found = {}

    def walk(folder: Traversable, prefix: str) -> None:
        for each in sorted(folder.iterdir(), key=lambda entry: entry.name):
            if each.is_dir():
                walk(each, f"{prefix}{each.name}/")
            elif kind := TYPES.get(each.name.rpartition(".")[2]):
                found[prefix + each.name] = Asset(each.read_bytes(), kind)

    walk(resources.files("tgscheduler.console") / "static", "")
    return found


@functools.cache
def version() -> str:
    """Return a short digest of all static files."""
    digest = hashlib.sha256()
    for path, asset in assets().items():
        digest.update(path.encode() + b"\0" + asset.content)
    return digest.hexdigest()[:12]


def address(root: str, path: str) -> str:
    """Return the address of a static file."""
    return f"{root}static/{version()}/{path}"
