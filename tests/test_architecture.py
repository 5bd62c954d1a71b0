"""The architecture, as failing tests: parts and their borders, names, words and sizes. Floors are in ``test_floors``.

Each check collects offenders, and there must be none. Where some are left, ``RATCHETS`` says how many: it goes down
only, and a check whose number is too high fails as well.
"""

import ast
import inspect
import re
import tomllib
from collections import Counter

import pytest
from helpers import NOON, ROOT
from moves import watched_moves
from source_tree import (
    ENGINE,
    PACKAGE,
    PATHS,
    TREES,
    classes,
    definitions,
    documented,
    functions,
    imports,
    module_of,
    place,
    prose,
    stored,
    tree,
)
from vocabulary import FILES, METAPHORS, NAMES, WORDING

from tgscheduler import scheduler
from tgscheduler.engine.forked import ForkedScheduler
from tgscheduler.engine.scheduler import Scheduler, ThreadedScheduler
from tgscheduler.testing import TickedScheduler
from tgscheduler.timetable.entry import MOVES, Entry, EntryState, Limits
from tgscheduler.timetable.run import Run

#: What is left to mend, by check; a check that is not here is at its target, which is none.
RATCHETS = {}

MAX_LINES = {"file": 450, "class": 320, "function": 60}

#: What may be longer, and why.
LONGER = {"engine.scheduler.Scheduler": 370}  # the facade: a third of it are the docstrings of its verbs

#: Attributes with an underscore that are documented as public: of ``os``, ``sys``, NamedTuple and ``sched``.
PUBLIC_UNDERSCORES = re.compile(r"os\._exit|sys\._current_frames|.*\._(asdict|replace|fields|make)|.*sched\._queue")

#: Functions of tgscheduler.scheduler that are no method of the default scheduler, and why.
OWN_FUNCTIONS = {
    "build": "makes a scheduler",
    "current_run": "is about the calling action, whatever its scheduler",
    "start_scheduler": "applies the current settings first",
    "stop_scheduler": "makes no scheduler only to stop it, and has no argument in TGScheduler 1.7",
    "timezone": "is a property of the Scheduler",
}


#: What looks at a scheduler from outside. They see views, events and the Scheduler's public verbs.
READERS = ("explain", "host", "console", "cli", "api", "metrics", "alerts", "rehearsal")


def held(check, offenders, mend):
    """Fail with the offenders, and what to do about them, unless there are as many as RATCHETS says."""
    offenders = sorted(set(offenders))
    allowed = RATCHETS.get(check, 0)
    listed = "\n  ".join(map(str, offenders))
    assert len(offenders) <= allowed, f"{check}: {len(offenders)} instead of {allowed}. {mend}\n  {listed}"
    assert len(offenders) == allowed, f"{check}: {len(offenders)} are left: lower its number in RATCHETS\n  {listed}"


# -- borders -----------------------------------------------------------------------------------------------------------


def foreign_privates(module, found):
    own = {name for _, name, _ in definitions(module, found)}
    for node in ast.walk(found):
        if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.endswith("__"):
            text = ast.unparse(node)
            if ast.unparse(node.value) in {"self", "cls", "super()"} or node.attr in own:
                continue
            if not PUBLIC_UNDERSCORES.fullmatch(text):
                yield f"{place(module, node)} {text}"
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if alias.name.startswith("_") and (node.module or "").startswith("tgscheduler"):
                    yield f"{place(module, node)} {node.module}.{alias.name}"


def test_no_module_reaches_for_the_privates_of_another():
    found = [each for module, found in TREES.items() for each in foreign_privates(module, found)]
    example = [
        each
        for path in sorted((ROOT / "example_app").rglob("*.py"))
        for each in foreign_privates(path.stem, tree(path))
    ]
    held("foreign privates", [*found, *example], "Give the attribute a public name, or its owner a method.")


#: Who may write an entry, and what belongs to the loop's thread.
WRITERS = {"timetable.entry", "timetable.agenda", *(f"engine.{name}" for name in (
    "registry", "planner", "placements", "clock_step", "control", "restore", "dispatcher"))}  # fmt: skip


def entry_writes(module, found):
    fields = {*Entry.__slots__, *Limits.__slots__, "trigger"}
    unique = fields - {
        *Run.__slots__,
        "paused_until",
        "policy",
        "context",
        "queue",
        "end",
        "start",
        "label",
        "task",
        "trigger",
    }
    for node in stored(found):
        receiver = ast.unparse(node.value).rpartition(".")[2]
        # What "twin" names is a copy, which is no entry of the registry.
        if node.attr not in fields or receiver in {"self", "twin"}:
            continue
        if node.attr in unique or re.fullmatch(r"(entry|limits|made|holder|owner)(\(\))?|limited\(\)", receiver):
            yield f"{place(module, node)} {ast.unparse(node)}"


def test_entries_are_written_in_few_places():
    found = [each for module, found in TREES.items() if module not in WRITERS for each in entry_writes(module, found)]
    held("entry writers", found, f"Entries are written by {', '.join(sorted(WRITERS))} only.")


def test_every_move_of_an_entry_is_in_the_table():
    assert set(MOVES) == set(EntryState)
    assert all(set(moves) <= set(EntryState) for moves in MOVES.values())
    with watched_moves() as seen:
        walk_through_states()
    assert len(seen) > 8


def walk_through_states():
    """Let entries go through what can happen to them."""
    ticked = TickedScheduler(start=NOON)
    every = ticked.add_interval_task(int, 10, taskname="every")
    once = ticked.add_single_task(int, initialdelay=5, taskname="once")
    limited = ticked.add_interval_task(int, 10, taskname="limited", max_runs=2, overlap="queue")
    never = ticked.add_single_task(int, initialdelay=500, taskname="never")
    ticked.tick(30)
    for task in (every, once, limited):
        ticked.schedule_task(task, 5)
    ticked.cancel(never)
    ticked.cancel(every)
    ticked.cancel("unknown")
    ticked.schedule_task(every, 1)
    ticked.schedule_task(never, 1)
    ticked.pause_all()
    ticked.tick(10)
    ticked.resume_all()
    ticked.stop()
    ticked.add_weekday_task(int, range(1, 8), (12, 0), taskname="later")
    ticked.cancel("later")
    ticked.start()
    ticked.clock.step_by(-7200)
    ticked.tick(60)
    ticked.stop()


def circles(edges):
    """Return the groups of modules that import each other in a circle."""

    def reached(start):
        seen, left = set(), [start]
        while left:
            for other in edges[left.pop()] - seen:
                seen.add(other)
                left.append(other)
        return seen

    reach = {module: reached(module) for module in edges}
    return {
        " <-> ".join(sorted(other for other in reach[module] if module in reach[other]))
        for module in edges
        if module in reach[module]
    }


def test_no_imports_in_circles():
    edges = {}
    for module, found in TREES.items():
        names = [module_of(name) for name, _ in imports(module, found)]
        if not module:  # the lazy __getattr__ of the package is the one exception
            names = []
        edges[module] = {name for name in names if name and name != module}
    held("import circles", circles(edges), "Move what both need below them; a Protocol breaks a circle of types.")


def test_readers_see_the_engine_through_its_views():
    allowed = {"engine.views", "engine.scheduler", "engine.forked", "engine"}
    found = [(module, each) for module, each in TREES.items() if module.split(".")[0] in READERS]
    found += [(f"example_app.{path.stem}", tree(path)) for path in sorted((ROOT / "example_app").rglob("*.py"))]
    offenders = [
        f"{module}:{line} {name}"
        for module, each in found
        for name, line in imports(module, each)
        if module_of(name).startswith("engine") and module_of(name) not in allowed
    ]
    held("readers", offenders, "Add what is missing to engine/views, or make it a public verb of the Scheduler.")


#: Of two parts, the first must not import the second, though it stands above it.
NEVERS = [
    (r"executors\..*", r"timetable\.tasks\.Task"),
    (r"engine\.(claims|backlog)", r"engine\.(planner|dispatcher)\..*|executors\.base\..*"),
    (r"engine\.(views|health)", r"engine\.loop\..*"),
    (r"explain\..*", r"executors\..*|stores\..*"),
]


def test_parts_that_must_not_know_each_other():
    offenders = [
        f"{module}:{line} {name}"
        for module, found in TREES.items()
        for name, line in imports(module, found)
        for who, what in NEVERS
        if re.fullmatch(who, module) and re.fullmatch(what, name.removeprefix("tgscheduler."))
    ]
    held("nevers", offenders, "See NEVERS: hand over a value instead.")


# -- parts instead of mixins -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cls", [Scheduler, ThreadedScheduler, ForkedScheduler])
def test_a_scheduler_is_no_chain_of_mixins(cls):
    assert len(Scheduler.__mro__) <= 3, "Make a part of the engine, and let the facade call it."
    assert len(cls.__mro__) <= 5


def test_no_part_is_a_stub_and_none_is_named_after_an_activity():
    raised = [
        place(module, node)
        for module, found in ENGINE.items()
        for node in ast.walk(found)
        if isinstance(node, ast.Raise) and node.exc is not None and "NotImplementedError" in ast.unparse(node.exc)
    ]
    held("NotImplementedError", raised, "Hand the part what it calls.")
    named = [
        f"{place(module, node)} {node.name}" for module, found in ENGINE.items() for node in classes(found)
        if node.name.endswith("ing")
    ]  # fmt: skip
    held("classes in -ing", named, "A class is a thing: name it by its role.")


def test_no_module_asks_what_kind_an_executor_is():
    offenders = [
        f"{place(module, node)} {ast.unparse(node)}"
        for module, found in TREES.items()
        if not module.startswith("executors")
        for node in ast.walk(found)
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) in {"isinstance", "issubclass", "type"}
        and any(re.search(r"Executor\b", ast.unparse(argument)) for argument in node.args)
    ]
    held("type switches", offenders, "Ask an attribute: on_loop, enforces_timeouts, capacity, busy, places.")
    derived = [
        f"{place(module, node)} {node.name}" for module, found in ENGINE.items() for node in classes(found)
        if any(ast.unparse(base).endswith("Executor") for base in node.bases)
    ]  # fmt: skip
    held("executors in engine/", derived, "What only holds runs is a Stage.")


METHODS = {"rename_task": "rename", "add_weekly_task": "add_weekday_task", "add_monthly_task": "add_monthday_task"}


@pytest.mark.parametrize(
    "name",
    [name for name in scheduler.__all__ if inspect.isfunction(getattr(scheduler, name)) and name not in OWN_FUNCTIONS],
)
def test_a_public_function_is_the_schedulers_method(name):
    function, method = getattr(scheduler, name), getattr(Scheduler, METHODS.get(name, name))
    parameters = list(inspect.signature(method).parameters.values())[1:]
    expected = inspect.signature(method).replace(parameters=parameters)
    assert inspect.signature(function) == expected, "Delegate with the method's own signature."
    assert function.__doc__ is method.__doc__, "One docstring: the method's."
    assert function.__doc__


def test_functions_of_their_own_exist():
    assert set(OWN_FUNCTIONS) <= set(scheduler.__all__)


# -- words -------------------------------------------------------------------------------------------------------------


def old_names():
    """Return {name: owners, or None for all} of NAMES."""
    anywhere, owned = set(), {}
    for word in NAMES.split():
        owners, _, name = word.rpartition(".")
        if owners:
            owned.setdefault(name, set()).update(owners.split("|"))
        else:
            anywhere.add(word)
    return anywhere, owned


FOLDERS = ["engine", "timetable", "executors", "stores", "explain", "host", "top"]


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_definition_has_an_old_name(folder):
    anywhere, owned = old_names()
    offenders = []
    for module, found in TREES.items():
        if (module.split(".")[0] if PATHS[module].parent != PACKAGE else "top") != folder:
            continue
        offenders += {
            f"{module} {owner}.{name}"
            for owner, name, _ in definitions(module, found)
            if name in anywhere or owner in owned.get(name, ())
        }
    held(f"old names: {folder}", offenders, "See the table of names in tests/vocabulary.py.")


@pytest.mark.parametrize("folder", ["tgscheduler", "tests"])
def test_no_file_has_an_old_name(folder):
    there = [name for name in FILES if name.startswith(f"{folder}/") and (ROOT / name).exists()]
    held(f"old files: {folder}", there, "A file is named by the role of what is in it.")


WORD_DATA = {"vocabulary.py", "test_architecture_checks.py"}
TEXTS = {
    "docs": [ROOT / "README.rst", *sorted((ROOT / "docs").rglob("*.rst"))],
    "tests": [path for path in sorted((ROOT / "tests").rglob("*.py")) if path.name not in WORD_DATA],
    "package": list(PATHS.values()),
}


@pytest.mark.parametrize("folder", TEXTS)
def test_no_text_speaks_in_metaphors(folder):
    offenders = [
        f"{path.relative_to(ROOT)}: {word}"
        for path in TEXTS[folder]
        for word in {found[0].lower() for found in METAPHORS.finditer(path.read_text(encoding="utf-8"))}
    ]
    held(f"metaphors: {folder}", offenders, "Use the field's word: see docs/architecture.rst.")


def test_prose_is_plain():
    offenders = [
        f"{path.relative_to(ROOT)}:{number} {found[0]}"
        for path in PATHS.values()
        for number, line in prose(path)
        if (found := WORDING.search(line))
    ]
    held("wording", offenders, 'Write "no one", "any caller", "Maximum number of …", "Return whether …".')


def test_a_boolean_is_returned_and_not_said():
    offenders = [
        f"{place(module, node)} {node.name}"
        for module, found in TREES.items()
        for node in documented(found)
        if isinstance(node, ast.FunctionDef)
        and node.returns is not None
        and ast.unparse(node.returns) == "bool"
        and ast.get_docstring(node).startswith("Say")
    ]
    held("booleans that say", offenders, 'Write "Return whether …".')


# -- sizes, types, pages ---------------------------------------------------------------------------------------------


def test_nothing_is_too_long():
    offenders = []
    for module, path in PATHS.items():
        lines = len(path.read_text(encoding="utf-8").splitlines())
        offenders += [f"{module}: {lines} lines"] if lines > MAX_LINES["file"] else []
        for kind, nodes in (("class", classes(TREES[module])), ("function", functions(TREES[module]))):
            for node in nodes:
                length = node.end_lineno - node.lineno + 1
                if length > LONGER.get(f"{module}.{node.name}", MAX_LINES[kind]):
                    offenders.append(f"{module}.{node.name}: {length} lines")
    held("sizes", offenders, f"At most {MAX_LINES} lines: cut it where it has two subjects.")


def test_mypy_is_strict_over_the_whole_package():
    mypy = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["mypy"]
    assert mypy["strict"] is True
    covered = [ROOT / name for name in mypy["files"]]
    offenders = [
        module for module, path in PATHS.items() if not any(each == path or each in path.parents for each in covered)
    ]
    held("modules without strict types", offenders, 'Put files = ["tgscheduler"] into [tool.mypy].')
    for override in mypy.get("overrides", []):
        modules = [override["module"]] if isinstance(override["module"], str) else override["module"]
        assert not any(name.startswith("tgscheduler") for name in modules), override


def test_every_class_of_the_engine_is_on_the_page():
    page = (ROOT / "docs/architecture.rst").read_text(encoding="utf-8")
    offenders = [
        f"{module} {node.name}" for module, found in ENGINE.items() for node in found.body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_") and f"``{node.name}``" not in page
    ]  # fmt: skip
    held("classes not on the page", offenders, "Add it to the table of docs/architecture.rst.")


def test_the_page_names_what_there_is():
    page = (ROOT / "docs/architecture.rst").read_text(encoding="utf-8")
    glossary = page.partition("Glossary\n")[2].partition("Where does")[0]
    terms = re.findall(r"^(\w[\w -]*)\n    \S", glossary, re.MULTILINE)
    assert 15 <= len(terms) <= 30
    assert [term for term, times in Counter(terms).items() if times > 1] == []
