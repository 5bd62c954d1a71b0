"""Bring the console's JavaScript libraries from npm again, as its manifest says.

::

    python tools/vendor.py            the files of manifest.json, checked against its checksums
    python tools/vendor.py --new      after a version was changed there: note the new checksums too

It needs npm; users of the package do not, because the files are committed.
"""

import argparse
import base64
import hashlib
import json
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

VENDOR = Path(__file__).parent.parent / "tgscheduler/console/static/vendor"
MANIFEST = VENDOR / "manifest.json"


def integrity(content: bytes) -> str:
    """Return the checksum of a file as npm and browsers write it."""
    return f"sha512-{base64.b64encode(hashlib.sha512(content).digest()).decode()}"


def packed(name: str, version: str, folder: Path) -> Path:
    """Return the archive that npm has of a version."""
    command = ["npm", "pack", f"{name}@{version}", "--pack-destination", str(folder), "--json"]
    found = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 - names of the manifest
    return folder / json.loads(found.stdout)[0]["filename"]


def bring(library: dict, new: bool) -> None:
    """Write the files of one library; stop if a checksum is another."""
    with tempfile.TemporaryDirectory() as folder:
        archive = packed(library["name"], library["version"], Path(folder))
        check(library, "integrity", integrity(archive.read_bytes()), new)
        with tarfile.open(archive) as opened:
            for each in library["files"]:
                content = opened.extractfile(f"package/{each['source']}").read()
                check(each, "integrity", integrity(content), new)
                target = VENDOR / each["file"]
                target.parent.mkdir(exist_ok=True)
                target.write_bytes(content)


def check(holder: dict, key: str, found: str, new: bool) -> None:
    """Stop if a checksum differs from the manifest's, or note it there."""
    if new:
        holder[key] = found
    elif holder[key] != found:
        sys.exit(f"{holder.get('file') or holder['name']}: expected {holder[key]}, got {found}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--new", action="store_true", help="note the checksums of what npm has")
    new = parser.parse_args().new
    manifest = json.loads(MANIFEST.read_text(encoding="utf-8"))
    for library in manifest:
        bring(library, new)
    if new:
        MANIFEST.write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
