"""What stands between the scheduler and somebody who means harm, as far as the feature is there.

Rows: config and interpolation (also ``tests/test_config.py``, ``tests/test_configfile.py``), no pickle, log injection,
secrets, files, signals and children, dependencies.
"""

import ast
import configparser
import functools
import json
import logging
import os
import re
import socket
import time
from pathlib import Path

import pytest
from fault_injection import done
from helpers import ROOT, entry_of, wait_for
from probe import end_of, on_time, run_once

from tgscheduler.scheduler import ThreadedScheduler
from tgscheduler.testing import TickedScheduler

PACKAGE = ROOT / "tgscheduler"

# -- nothing is evaluated, nothing is unpickled --------------------------------------------------------------------

EVALUATE = {"eval", "exec", "compile", "__import__", "execfile"}
UNPICKLE = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "marshal", "shelve", "copyreg"}


def evaluates(source):
    """Return what a source text evaluates or unpickles with."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name.split(".")[0] in UNPICKLE]
        elif isinstance(node, ast.ImportFrom):
            found += [node.module] if (node.module or "").split(".")[0] in UNPICKLE else []
        elif isinstance(node, ast.Name) and node.id in EVALUATE:
            found.append(node.id)
        elif isinstance(node, ast.Attribute) and ast.unparse(node) in {"builtins.eval", "builtins.exec", "os.system"}:
            found.append(ast.unparse(node))
        elif isinstance(node, ast.keyword) and node.arg == "shell":
            found.append("shell=")
    return found


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_room_evaluates_or_unpickles(path):
    assert evaluates(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "source",
    [
        "eval('1')",
        "exec(text)",
        "run = compile",
        "import pickle",
        "from pickle import loads",
        "import marshal as m",
        "__import__(name)",
        "import os\nos.system('x')",
        "subprocess.run(x, shell=True)",
    ],
)
def test_a_planted_evaluation_is_found(source):
    assert evaluates(source)


def test_reading_a_value_is_allowed():
    assert evaluates("import ast\nast.literal_eval(text)\nre.compile(pattern)") == []


@pytest.mark.slow
def test_a_forked_run_unpickles_and_evaluates_nothing_on_either_side(tmp_path):
    done(
        tmp_path,
        """
        import json, logging
        class Evil:
            def __reduce__(self):
                return os.mkdir, ("unpickled",)
        class EvilError(Exception):
            def __reduce__(self):
                return os.mkdir, ("unpickled",)
        def fail():
            logging.getLogger("app").warning("%s", Evil())
            raise EvilError(Evil())
        scheduler = start(ThreadedScheduler())
        once(scheduler, fail, "warm", "forked")            # whatever is imported late is imported now
        seen = os.open("seen", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        def hook(event, args):
            if event == "compile" and args[1] == "<unknown>":
                return                                     # a traceback parses its own line, to underline it
            if event in ("exec", "compile", "os.system", "subprocess.Popen", "pickle.find_class", "marshal.loads"):
                os.write(seen, f"{event} {args!r:.100}\\n".encode())
        sys.addaudithook(hook)
        assert once(scheduler, fail, "fails", "forked").state == "failed"
        assert once(scheduler, lambda: Evil(), "returns", "forked").state == "ok"
        fires_again()
        scheduler.stop()
        assert open("seen").read() == "", open("seen").read()
        assert not os.path.exists("unpickled")
        """,
    )


# -- log injection -------------------------------------------------------------------------------------------------

FORGED = "fine\nERROR forged"


@pytest.mark.parametrize("name", [FORGED, "a\rb", "a\0b", "a\x1b[31mred", "a\u2028b", "a\u202eb", "a\tb"])
def test_a_name_that_is_not_printable_is_refused_wherever_it_is_given(name):
    ticked = TickedScheduler()
    task = ticked.add_interval_task(int, 60, taskname="it")
    with pytest.raises(ValueError, match="printable"):
        ticked.add_single_task(int, taskname=name)
    with pytest.raises(ValueError, match="printable"):
        ticked.rename("it", name)
    assert ticked.get_tasks() == {"it": task}


def test_the_name_of_an_action_cannot_forge_a_line():
    ticked = TickedScheduler()

    def action():
        pass

    action.__qualname__ = FORGED
    task = ticked.add_single_task(action)
    ticked.tick(1)
    [run] = ticked.runs(task)
    assert run.task.isprintable()


class Forging:
    def next_after(self, moment):
        raise ValueError(FORGED)


def test_reasons_and_health_stay_one_line_whatever_an_exception_says(caplog):
    ticked = TickedScheduler()
    task = ticked.add_interval_task(int, 60, initialdelay=1, taskname="it")
    entry_of(task).trigger = Forging()
    ticked.tick(2)
    [run] = ticked.runs("it")
    assert run.reason == "its trigger raised ValueError: fine ERROR forged"
    assert [message.count("\n") for message in caplog.messages] == [0]


def test_a_config_error_stays_one_line(tmp_path):
    from tgscheduler.errors import ConfigError

    assert "\n" not in str(ConfigError(FORGED))


# -- secrets -------------------------------------------------------------------------------------------------------


class Connection:
    """Something that shows its password to whoever prints it."""

    def __init__(self, password):
        self.password = password

    def __repr__(self):
        return f"Connection({self.password})"

    def use(self, *args, **kw):
        local = self.password
        raise LookupError(f"{len(local)} characters did not help")


SECRET = "hunter2-s3cr3t"


@pytest.mark.realtime
@pytest.mark.parametrize("processmethod", ["sequential", "threaded", "forked"])
def test_arguments_and_locals_are_in_no_log_no_run_and_no_health(processmethod, caplog):
    caplog.set_level(logging.DEBUG)
    connection = Connection(SECRET)
    with on_time(ThreadedScheduler()) as probe:
        scheduler = probe.scheduler
        actions = {"bound": connection.use, "partial": functools.partial(Connection.use, connection)}
        for name, action in actions.items():
            scheduler.add_single_task(
                action, args=(SECRET,), kw={"password": SECRET}, processmethod=processmethod, taskname=name
            )
            assert end_of(scheduler, name).state == "failed"
        unnamed = scheduler.add_single_task(actions["partial"], args=(connection,), processmethod=processmethod)
        run = end_of(scheduler, unnamed)
        assert run.state == "failed"
        assert "did not help" in run.error
        wrong = scheduler.add_single_task(int, args=(connection, 1, 2), processmethod=processmethod, taskname="wrong")
        end_of(scheduler, "wrong")
        shown = [scheduler.health(), scheduler.counts(), scheduler.runs(limit=1000), list(scheduler.get_tasks()), wrong]
        for run in scheduler.runs(limit=1000):
            shown += [run.task, run.error, run.reason, run.where]
    for record in caplog.records:
        shown += [record.getMessage(), record.exc_text, record.args]
    assert SECRET not in "\n".join(map(str, shown))
    assert len(caplog.records) == 4


# -- files ---------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_package_creates_no_file(tmp_path):
    output = done(
        tmp_path,
        """
        import tempfile
        os.umask(0)
        written = []
        def hook(event, args):
            if event == "open":
                path, mode, flags = args
                if (isinstance(flags, int) and flags & (os.O_CREAT | os.O_WRONLY | os.O_RDWR)) and path != os.devnull:
                    written.append(args)
            elif event in ("os.mkdir", "os.rename", "os.symlink", "os.link", "tempfile.mkstemp", "tempfile.mkdtemp"):
                written.append((event, args))
        sys.addaudithook(hook)
        scheduler = start(ThreadedScheduler())
        for method in ("sequential", "threaded", "forked"):
            assert once(scheduler, int, method, method).state == "ok"
            assert once(scheduler, lambda: 1 / 0, "bad " + method, method).state == "failed"
        on_time()
        scheduler.stop()
        # stdin, stdout and stderr of a child are opened by number, in the child.
        print([each for each in written if not isinstance(each[0], int)])
        """,
    )
    assert output.splitlines()[-1] == "[]"
    assert {path.name for path in tmp_path.iterdir()} == {"program.py", "process.out"}


# -- signals and children ------------------------------------------------------------------------------------------


@pytest.mark.realtime
def test_a_child_holds_no_listening_socket_and_no_pipe_of_its_siblings():
    scheduler = ThreadedScheduler(stop_timeout=0.1)
    with socket.create_server(("127.0.0.1", 0)) as server, on_time(scheduler):
        inode = os.readlink(f"/proc/self/fd/{server.fileno()}")
        for number in range(3):
            scheduler.add_single_task(time.sleep, args=(60,), processmethod="forked", taskname=str(number))
        kids = wait_for(
            lambda: (
                len(found := list(scheduler._lifecycle.dispatcher.executors["forked"]._children.values())) == 3
                and found
            )
        )
        wait_for(lambda: all(kid.spoke for kid in kids))
        held = {kid.pid: links(kid.pid) for kid in kids}
        assert not [pid for pid, found in held.items() if inode in found]
        mine = {kid.pid: os.readlink(f"/proc/self/fd/{kid.pipe}") for kid in kids}
        for kid in kids:  # the read ends of older siblings, never a write end: that would delay their end of file
            ends = write_ends(kid.pid)
            assert mine[kid.pid] in ends
            assert not [pid for pid, pipe in mine.items() if pid != kid.pid and pipe in ends]


def links(pid):
    found = []
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found.append(os.readlink(fd))
        except OSError:
            continue
    return found


def write_ends(pid):
    found = []
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        flags = re.search(r"flags:\s*(\d+)", Path(f"/proc/{pid}/fdinfo/{fd.name}").read_text())
        if flags and int(flags[1], 8) & os.O_WRONLY:
            found.append(os.readlink(fd))
    return found


@pytest.mark.realtime
def test_a_childs_environment_is_the_applications_own(tmp_path):
    path = tmp_path / "environment"
    with on_time(ThreadedScheduler()) as probe:
        assert run_once(
            probe.scheduler, lambda: path.write_text(json.dumps(dict(os.environ))), method="forked"
        ).state == "ok"  # fmt: skip
    assert json.loads(path.read_text()) == dict(os.environ)


# -- dependencies --------------------------------------------------------------------------------------------------

#: What each requirement must say at least, from DESIGN: a lower bound where an API is needed, an upper one for a host.
BOUNDS = {
    "cherrypy": {">=18.10", "<19"},
    "configobj": {">="},
    "cronsim": {">="},
    "tzdata": set(),
    "jinja2": {">="},
    "sqlalchemy": {">=", "<3"},
    "psycopg": {">="},
}


def requirements(text):
    """Return the names and version conditions that a setup.cfg asks for in production and by extras for it."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string(text)
    lines = parser["options"]["install_requires"].split("\n")
    extras = parser["options.extras_require"]
    for extra in ("console", "example", "postgres"):
        lines += extras[extra].replace("%(console)s", "").split("\n")
    found = {}
    for line in filter(None, map(str.strip, lines)):
        name, conditions = re.fullmatch(r"([\w.-]+)(?:\[\w+\])?\s*(.*)", line).groups()
        found[name.lower()] = {each.strip() for each in conditions.split(",") if each.strip()}
    return found


def unbounded(text):
    """Return what is asked for without the bounds that it needs, or that nobody has allowed."""
    found = requirements(text)
    wrong = [name for name in found if name not in BOUNDS]
    for name, bounds in BOUNDS.items():
        have = found.get(name, set())
        if name not in found or any(not any(each.startswith(bound) for each in have) for bound in bounds):
            wrong.append(name)
        if any(each.startswith(("@", "==", ">=0.dev")) for each in have):
            wrong.append(name)
    return wrong


def test_what_is_asked_for_is_bounded():
    assert unbounded((ROOT / "setup.cfg").read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("cherrypy>=18.10,<19", "cherrypy>=18.10"),
        ("cherrypy>=18.10,<19", "cherrypy"),
        ("configobj>=5.0.9", "configobj"),
        ("tzdata", "tzdata\n    leftpad"),
        ("cronsim>=2.8", "cronsim @ https://example.invalid/cronsim.zip"),
        ("SQLAlchemy>=2.0,<3", "SQLAlchemy"),
    ],
)
def test_a_planted_unbounded_requirement_is_found(old, new):
    text = (ROOT / "setup.cfg").read_text(encoding="utf-8")
    assert old in text
    assert unbounded(text.replace(old, new, 1))
