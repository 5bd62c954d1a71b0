"""The libraries of the console: as npm has them, with their licences, and nothing else."""

import base64
import hashlib
import json

from helpers import ROOT

from tgscheduler.console import render
from tgscheduler.console.assets import assets

VENDOR = ROOT / "tgscheduler/console/static/vendor"
MANIFEST = json.loads((VENDOR / "manifest.json").read_text(encoding="utf-8"))
FILES = [each for library in MANIFEST for each in library["files"]]


def test_every_file_is_the_one_of_its_checksum():
    for each in FILES:
        digest = hashlib.sha512((VENDOR / each["file"]).read_bytes()).digest()
        assert f"sha512-{base64.b64encode(digest).decode()}" == each["integrity"], each["file"]


def test_there_is_no_other_file():
    there = {path.relative_to(VENDOR).as_posix() for path in VENDOR.rglob("*") if path.is_file()}
    assert there == {"manifest.json", *(each["file"] for each in FILES)}


def test_every_library_has_its_licence_beside_it():
    for library in MANIFEST:
        assert library["licence"] in ("0BSD", "MIT")
        assert any(each["source"] == "LICENSE" for each in library["files"]), library["name"]
        assert library["integrity"].startswith("sha512-")


def test_the_pages_use_the_versions_that_there_are():
    loader = render.environment().loader
    templates = [loader.get_source(render.environment(), name)[0] for name in render.environment().list_templates()]
    used = {each["file"] for each in FILES if any(f"vendor/{each['file']}" in text for text in templates)}
    assert used == {each["file"] for each in FILES if not each["file"].endswith("LICENSE")}
    assert {f"vendor/{name}" for name in used} <= set(assets())


def test_no_library_of_another_host_is_asked_for():
    for path in (ROOT / "tgscheduler/console").rglob("*"):
        if path.suffix in (".html", ".css", ".js") and "vendor" not in path.parts:
            text = path.read_text(encoding="utf-8").replace("http://www.w3.org/", "")
            assert "://" not in text, path
