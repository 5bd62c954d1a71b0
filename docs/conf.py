"""Sphinx: built with ``-W -n``, and without a network, so the standard library's pages are not linked."""

from configparser import ConfigParser
from pathlib import Path

_metadata = ConfigParser()
_metadata.read(Path(__file__).parent.parent / "setup.cfg", encoding="utf-8")

project = "tgscheduler"
author = _metadata["metadata"]["author"]
project_copyright = author
release = version = _metadata["metadata"]["version"]

extensions = ["sphinx.ext.autodoc"]
exclude_patterns = ["_build"]
default_role = "any"
highlight_language = "none"

autodoc_default_options = {"members": True, "show-inheritance": True}
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True

html_theme = "furo"
html_title = f"tgscheduler {release}"
html_copy_source = False

nitpick_ignore_regex = [
    # The standard library, which could be linked over the network only.
    ("py:class", r"(collections|contextvars|datetime|logging|os|pathlib|_queue|zoneinfo)\..*"),
    # CherryPy's own classes; its documentation could be linked over the network only as well.
    ("py:class", r"cherrypy\..*"),
]

# Where a class is written, and where an application imports it from: annotations name the first, pages the second.
_PUBLIC = {
    "tgscheduler.timetable.policy": "tgscheduler.policy",
    "tgscheduler.timetable.run": "tgscheduler.scheduler",
    "tgscheduler.timetable.tasks": "tgscheduler.scheduler",
    "tgscheduler.timetable.calendar_tasks": "tgscheduler.scheduler",
    "tgscheduler.timetable.compose": "tgscheduler.triggers",
    "tgscheduler.timetable.intervals": "tgscheduler.triggers",
    "tgscheduler.timetable.calendars": "tgscheduler.triggers",
    "tgscheduler.timetable.triggers": "tgscheduler.triggers",
    "tgscheduler.timetable.variants": "tgscheduler.scheduler",
    "tgscheduler.engine.forked": "tgscheduler.scheduler",
    "tgscheduler.engine.scheduler": "tgscheduler.scheduler",
    "tgscheduler.host.plugin": "tgscheduler.host",
}


def _link_to_public_name(app, env, node, contnode):
    """Resolve a reference to the room where something is written by the name that applications import."""
    module, _, name = node.get("reftarget", "").rpartition(".")
    if node.get("refdomain") != "py" or module not in _PUBLIC:
        return None
    python = env.get_domain("py")
    target = f"{_PUBLIC[module]}.{name}"
    return python.resolve_xref(env, node["refdoc"], app.builder, node["reftype"], target, node, contnode)


def setup(app):
    """Connect what this file adds to Sphinx."""
    app.connect("missing-reference", _link_to_public_name)
