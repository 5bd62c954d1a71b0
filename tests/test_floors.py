"""The architecture, as a failing test: who may import whom, who may read a clock.

A room imports only from floors below it, or from a sibling that stands before it in its row. A name that is needed for
type checking alone may come from a later sibling too, never from a floor above.
"""

import ast
import functools
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "tgscheduler"

#: The floors from the ground up; in each row, a room knows those that stand before it.
FLOORS = {
    "F0": [
        *("messages", "errors", "passwords", "clock", "forks", "interrupts", "logs", "timetable", "timetable.zones"),
        "timetable.cron",
        *("timetable.cronlike", "timetable.checks", "timetable.days", "timetable.search", "timetable.compose"),
        *(
            "timetable.intervals",
            "timetable.calendars",
            "timetable.actions",
            "timetable.fire_counts",
            "timetable.trigger_phrases",
        ),
        *("timetable.triggers", "timetable.policy", "timetable.options", "timetable.run"),
        "timetable.durations",
    ],
    "F1": [
        *("timetable.tasks", "timetable.calendar_tasks", "timetable.variants", "timetable.entry", "timetable.agenda"),
        "timetable.plan",
    ],
    "F2": ["events", "executors", "executors.stage", "executors.base", "stores.audit", "stores.base"],
    "F3": [
        *("executors.log_capture", "executors.child", "executors.sequential", "executors.threaded"),
        *("executors.bell", "executors.forked_child", "executors.forked"),
        *(
            "stores.run_counts",
            "stores.memory",
            "stores.sql",
            "stores.database",
            "stores.migrating",
            "stores.connections",
        ),
        *("stores.nodes", "stores.write_buffer", "stores.queries", "stores.peers", "stores.batch"),
        *(
            "stores.audit_pages",
            "stores.pruning",
            "stores.sums",
            "stores.totals",
            "stores.session",
            "stores.availability",
            "stores.writer",
        ),
        *("stores.database_store", "stores.sqlite_file", "stores.sqlite", "stores.postgres", "stores"),
    ],
    "F4": [
        *("engine", "engine.labels", "engine.registry", "engine.planned", "engine.backlog"),
        *("engine.claims", "engine.journal", "engine.restore", "engine.planner", "engine.placements"),
        *("engine.clock_step", "engine.dispatcher", "engine.loop", "engine.lifecycle", "engine.control"),
        *("engine.views", "engine.health"),
        # Text over views: Scheduler.explain and why are methods, so it stands below the facade.
        *("explain", "explain.phrases", "explain.preview", "explain.task", "explain.moment"),
        *("engine.reads", "engine.adding", "engine.scheduler", "engine.forked"),
    ],
    "F5": [
        *("startup", "configlogging", "configfile", "configtable", "config", "settings", "scheduler", "testing"),
        *(
            "rehearsal",
            "",
            "moments",
            "views.redaction",
            "views.timetables",
            "views.tasks",
            "views.coming",
            "views.days",
        ),
        *("views.health", "views.reader", "views", "pytest_plugin"),
    ],
    "F6": [
        *("console.passwords", "console.http", "console.settings", "console.wire", "console.notices"),
        *("console.times", "console.svg", "console.assets", "console.findings", "console.render", "console.polling"),
        *("console.replays", "console.console", "console.routes"),
        *("console.arguments", "console.guard", "console.logins", "console.access"),
        *("console.verbs", "console.actions", "console.patterns", "console.shapes", "console.api", "console.openapi"),
        *(
            "console.public",
            "console.pages",
            "console.pages.display",
            "console.pages.schedule",
            "console.pages.timetables",
            "console.pages.tracebacks",
            "console.pages.loglines",
            "console.pages.runs",
            "console.pages.run",
            "console.pages.calendar",
            "console.pages.simulate",
            "console.pages.why",
            "console.pages.health",
            "console.pages.task",
            "console.pages.act",
            "console.table",
            "console.service",
            "console.app",
            "console",
        ),
        *("host.plugin", "host", "host.server"),
    ],
}
#: Where each room stands: its floor, and its place in the row.
PLACES = {room: (floor, place) for floor, row in enumerate(FLOORS.values()) for place, room in enumerate(row)}

#: Whoever asks for these asks a clock or the host's time zone.
CLOCKS = {
    "time": None,  # all of the module
    "tzlocal": None,
    "datetime.datetime": {"now", "utcnow", "today", "fromtimestamp"},
    "datetime.date": {"today", "fromtimestamp"},
    "os": {"times"},
    "os.path": {"getmtime", "getctime", "getatime"},
}


def modules():
    """Yield the name of each room in the package, and its source."""
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path.read_text(encoding="utf-8")


SOURCES = dict(modules())
parsed = functools.cache(ast.parse)


class Imports(ast.NodeVisitor):
    """Every import of a module, wherever it stands: (what, whether for types only)."""

    def __init__(self, room: str, source: str) -> None:
        self.room, self.found, self._for_types = room, [], False
        self.visit(parsed(source))

    def visit_Import(self, node):
        self.found.extend((alias.name, self._for_types) for alias in node.names)

    def visit_ImportFrom(self, node):
        base = node.module or ""
        if node.level:
            is_package = any(room.startswith(f"{self.room}.") for room in PLACES) or not self.room
            here = ["tgscheduler", *filter(None, self.room.split("."))]
            up = node.level - 1 if is_package else node.level
            base = ".".join([*here[: len(here) - up], *filter(None, [base])])
        self.found.extend((f"{base}.{alias.name}", self._for_types) for alias in node.names)

    def visit_If(self, node):
        before, self._for_types = self._for_types, "TYPE_CHECKING" in ast.unparse(node.test)
        for statement in node.body:
            self.visit(statement)
        self._for_types = before
        for statement in node.orelse:
            self.visit(statement)

    def visit_FunctionDef(self, node):
        if (self.room, node.name) != ("", "__getattr__"):  # the one exception: the top reaches the host lazily
            self.generic_visit(node)


def room_of(name):
    """Return the room that a dotted name of ours stands in, None for what is not ours."""
    if name.split(".")[0] != "tgscheduler":
        return None
    inner = name.partition(".")[2]
    while inner and inner not in PLACES:
        inner = inner.rpartition(".")[0]
    return inner


def broken_floors(room, source):
    """Return what a room imports though it must not."""
    floor, place = PLACES[room]
    broken = []
    for name, for_types in Imports(room, source).found:
        other = room_of(name)
        if other is None or other == room:
            continue
        there, its_place = PLACES[other]
        if there > floor or (there == floor and its_place > place and not for_types):
            broken.append(name)
    return broken


def clock_reads(source):
    """Return the dotted names by which source text reads a clock or the host's zone."""
    tree, known, reads = parsed(source), {}, []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                known[alias.asname or alias.name.split(".")[0]] = (
                    alias.name if alias.asname else alias.name.split(".")[0]
                )
                reads.extend([alias.name] if _reads(alias.name) else [])
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                known[alias.asname or alias.name] = name
                reads.extend([name] if _reads(name) else [])
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            parts = ast.unparse(node).split(".")
            name = ".".join([known.get(parts[0], ""), *parts[1:]])
            reads.extend([name] if _reads(name) else [])
        if (
            isinstance(node, ast.Call)
            and ast.unparse(node.func).endswith(".astimezone")
            and not node.args + node.keywords
        ):
            reads.append("datetime.astimezone()")
    return reads


def _reads(name):
    base, _, last = name.rpartition(".")
    return any(
        name == clock or name.startswith(f"{clock}.") if names is None else base == clock and last in names
        for clock, names in CLOCKS.items()
    )


def outside_imports(source):
    return {name.split(".")[0] for name, _ in Imports("errors", source).found}


# -- the package ------------------------------------------------------------------------------------------------------


def test_every_room_stands_on_a_floor():
    assert set(SOURCES) == set(PLACES)


@pytest.mark.parametrize("room", PLACES)
def test_a_room_imports_from_below_only(room):
    assert broken_floors(room, SOURCES[room]) == []


@pytest.mark.parametrize("room", PLACES)
def test_only_the_clock_reads_a_clock(room):
    reads = clock_reads(SOURCES[room])
    assert bool(reads) == (room == "clock"), reads


@pytest.mark.parametrize("room", PLACES)
def test_only_the_host_and_the_mount_of_the_console_import_cherrypy(room):
    assert ("cherrypy" in outside_imports(SOURCES[room])) == (room.split(".")[0] == "host" or room == "console.app")


@pytest.mark.parametrize("room", [room for room in PLACES if room.startswith("timetable")])
def test_the_timetable_starts_and_locks_nothing(room):
    world = {"threading", "multiprocessing", "subprocess", "concurrent", "asyncio", "socket", "signal", "os", "queue"}
    assert not outside_imports(SOURCES[room]) & world


def loaded(code):
    """Return the modules that a fresh interpreter has loaded after ``code``."""
    found = subprocess.run(
        [sys.executable, "-c", f"{code}; import sys; print(*sys.modules)"],
        cwd=PACKAGE.parent,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(found.stdout.split())


@pytest.mark.parametrize(
    "code", ["import tgscheduler.scheduler", "import tgscheduler", "import tgscheduler.schedule, tgscheduler.testing"]
)
def test_the_scheduler_comes_without_what_it_may_not_need(code):
    modules = loaded(code)
    assert {"tgscheduler.scheduler", "tgscheduler.startup", "tgscheduler.config"} <= modules
    assert not modules & {"cherrypy", "configobj", "sqlite3", "psycopg", "tzlocal", "multiprocessing"}
    assert not modules & {"tgscheduler.host", "tgscheduler.stores.database_store"}


def test_start_server_brings_the_host():
    assert {"cherrypy", "tgscheduler.host"} <= loaded("import tgscheduler; tgscheduler.start_server")


# -- the checker itself fails when it should ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("room", "source", "broken"),
    [
        ("timetable.plan", "from tgscheduler.engine.loop import Loop", ["tgscheduler.engine.loop.Loop"]),
        ("timetable.plan", "from tgscheduler.engine import loop", ["tgscheduler.engine.loop"]),
        ("timetable.plan", "import tgscheduler.engine.loop as loop", ["tgscheduler.engine.loop"]),
        ("timetable.plan", "from ..engine import loop", ["tgscheduler.engine.loop"]),
        ("timetable.plan", "from .. import scheduler", ["tgscheduler.scheduler"]),
        ("timetable.plan", "import tgscheduler", ["tgscheduler"]),
        ("timetable.plan", "def late():\n    from tgscheduler import config", ["tgscheduler.config"]),
        ("timetable", "from .tasks import Task", ["tgscheduler.timetable.tasks.Task"]),
        ("timetable.zones", "from tgscheduler.timetable.triggers import Cron", ["tgscheduler.timetable.triggers.Cron"]),
        ("timetable.zones", "from .triggers import Cron", ["tgscheduler.timetable.triggers.Cron"]),
        ("engine.loop", "from tgscheduler.engine import scheduler", ["tgscheduler.engine.scheduler"]),
        ("scheduler", "from tgscheduler.host import plugin", ["tgscheduler.host.plugin"]),
        (
            "",
            "def other():\n    from tgscheduler.host.server import start_server",
            ["tgscheduler.host.server.start_server"],
        ),
        (
            "engine.loop",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from tgscheduler import scheduler",
            ["tgscheduler.scheduler"],
        ),
        # and what is allowed
        ("timetable.plan", "from tgscheduler.timetable.run import Run\nimport math", []),
        ("timetable.plan", "from .run import Run\nfrom ..errors import InvalidValue", []),
        ("engine.loop", "if TYPE_CHECKING:\n    from tgscheduler.engine.scheduler import Scheduler", []),
        ("", "def __getattr__(name):\n    from tgscheduler.host.server import start_server", []),
        ("host.server", "import tgscheduler.host\nfrom tgscheduler import config", []),
    ],
)
def test_a_planted_import_is_found(room, source, broken):
    assert broken_floors(room, source) == broken


@pytest.mark.parametrize(
    "source",
    [
        "import time\nnow = time.time()",
        "import time as t\nnow = t.monotonic()",
        "from time import sleep",
        "from time import monotonic as elapsed",
        "def late():\n    import time",
        "import datetime\ndatetime.datetime.now()",
        "import datetime as dt\ndt.date.today()",
        "from datetime import datetime\nstamp = datetime.now",
        "from datetime import datetime as when\nwhen.utcnow()",
        "from datetime import date\ndate.today()",
        "from datetime import datetime\ndatetime.fromtimestamp(0)",
        "from datetime import datetime\nwhen = datetime(2025, 1, 1).astimezone()",
        "import tzlocal",
        "from tzlocal import get_localzone_name",
        "import os\nos.times()",
    ],
)
def test_a_planted_look_at_a_clock_is_found(source):
    assert clock_reads(source)


@pytest.mark.parametrize(
    "source",
    [
        "from datetime import datetime, time, timedelta\ntime(3, 0)\ndatetime(2025, 1, 1)",
        "class A:\n    def f(self):\n        return self.clock.now()",
        "from tgscheduler.clock import pause\npause(1)",
        "from datetime import UTC, datetime\ndatetime(2025, 1, 1).astimezone(UTC)",
    ],
)
def test_what_reads_no_clock_is_not_accused(source):
    assert clock_reads(source) == []


def test_a_room_without_a_floor_is_found(tmp_path, monkeypatch):
    (tmp_path / "attic.py").write_text("import this_does_not_matter\n")
    monkeypatch.setitem(globals(), "PACKAGE", tmp_path)
    assert set(dict(modules())) - set(PLACES) == {"attic"}
