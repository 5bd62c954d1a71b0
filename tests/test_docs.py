"""The documents tell the truth: each code block runs, each table is what the code says, and all of it builds."""

import ast
import configparser
import importlib.util
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import textwrap
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import pytest
from helpers import ROOT, fixtures_plugin, rows, wait_for

import tgscheduler
from tgscheduler import config, scheduler
from tgscheduler.testing import TickedScheduler
from tgscheduler.timetable.variants import VARIANTS

README, GUIDE, MOVING, REHEARSAL = "README.rst", "docs/guide.rst", "docs/moving.rst", "docs/rehearsal.rst"
TRIGGERS, POLICIES, CLOCK_CHANGES = "docs/triggers.rst", "docs/policies.rst", "docs/clock-changes.rst"
STORES, CONSOLE, DEPLOYING = "docs/stores.rst", "docs/console.rst", "docs/console-deploying.rst"
DOCUMENTS = (README, GUIDE, MOVING, TRIGGERS, POLICIES, CLOCK_CHANGES, STORES, CONSOLE, DEPLOYING, REHEARSAL)

#: What makes a block a server: it is started, asked and stopped by a test of its own.
SERVES = ("quickstart(", "start_server(Root())")


class Block(NamedTuple):
    """A ``.. code-block::``, and the file that its first line names (None: it names none)."""

    document: str
    line: int
    language: str
    text: str

    @property
    def path(self):
        named = re.match(r"# (\S+\.(?:py|cfg))$", self.text.partition("\n")[0])
        return named and named[1]

    @property
    def serves(self):
        return self.path is None and any(sign in self.text for sign in SERVES)

    def __str__(self):
        return f"{Path(self.document).name}:{self.line}"


def blocks(document):
    """Yield a document's code blocks; docutils is not needed, as all of them stand under ``code-block``."""
    lines = (ROOT / document).read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines):
        directive = re.match(r"( *)\.\. code-block:: (\w+)$", line)
        if directive is None:
            continue
        body = []
        for following in lines[number + 1 :]:
            if following.strip() and not following.startswith(directive[1] + " "):
                break
            body.append(following)
        yield Block(document, number + 1, directive[2], textwrap.dedent("\n".join(body)).strip() + "\n")


BLOCKS = [block for document in DOCUMENTS for block in blocks(document)]
PYTHON = [block for block in BLOCKS if block.language == "python"]


def run(*command, cwd, timeout=60, **environment):
    return subprocess.run(
        command,
        cwd=cwd,
        timeout=timeout,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", **environment},
    )


def cases(chosen):
    return [pytest.param(block, id=str(block)) for block in chosen]


# -- code blocks ---------------------------------------------------------------------------------------------------


def test_every_block_has_a_language_that_is_tested_and_none_hides_behind_two_colons():
    assert {block.language for block in BLOCKS} == {"python", "ini", "sh"}
    for document in DOCUMENTS:
        text = (ROOT / document).read_text(encoding="utf-8")
        assert not re.search(r"^(?! *\.\. ).*::\s*$", text, re.MULTILINE), document
        assert ".. code::" not in text
        assert text.count(".. code-block::") == len([block for block in BLOCKS if block.document == document])


#: What makes a block need a process of its own: it starts threads, or sets up what all share.
ALONE = ("start_scheduler(", ".start()", "cherrypy", "logging", "raise RuntimeError")
PROGRAMS = [block for block in PYTHON if block.path is None and not block.serves]
OWN_PROCESS = [block for block in PROGRAMS if any(word in block.text for word in ALONE)]


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """Run the blocks that need a process of their own, a few beside each other, as most of them wait for a clock."""

    def outcome(block):
        folder = tmp_path_factory.mktemp("block")
        program = folder / "program.py"
        program.write_text(block.text, encoding="utf-8")
        return run(sys.executable, "-W", "error", str(program), cwd=folder)

    with ThreadPoolExecutor(4) as pool:
        return dict(zip(OWN_PROCESS, pool.map(outcome, OWN_PROCESS), strict=True))


@pytest.mark.parametrize("block", cases(block for block in PROGRAMS if block not in OWN_PROCESS))
def test_a_python_block_runs(block, capfd):
    exec(compile(block.text, str(block), "exec"), {"__name__": "__main__"})  # warnings are errors here as well
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize("block", cases(OWN_PROCESS))
def test_a_python_block_runs_as_a_program(block, outcomes):
    done = outcomes[block]
    assert done.returncode == 0, done.stderr
    expected = 1 if "raise RuntimeError" in block.text else 0  # the one that shows a failing action
    assert done.stderr.count("Traceback") == expected, done.stderr


@pytest.mark.parametrize("block", cases(block for block in BLOCKS if block.language == "ini"))
def test_an_ini_block_is_a_configuration_file(block, tmp_path):
    file = tmp_path / "app.cfg"
    # A file's loggers would stay with this process, so they get names that nobody else has.
    file.write_text(re.sub(r"qualname = '", "qualname = 'of.the.documents.", block.text), encoding="utf-8")
    config.update_config(configfile=str(file))
    assert config.get("tg.scheduler") == ("tg.scheduler = True" in block.text)
    assert "%(" not in repr([config.host_settings(), config.app_sections()])


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """A server process that a document tells to start; it is ended by SIGTERM, and must end well."""

    def __init__(self, program, cwd, port):
        self.url = f"http://127.0.0.1:{port}/"
        self.log = cwd / "server.log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, str(program)],
                cwd=cwd,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"},
            )

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        finally:
            self.process.kill()
            self.process.wait()
        if error == (None, None, None):
            assert self.process.returncode == 0, self.text()

    def text(self):
        return self.log.read_text()

    def get(self):
        assert self.process.poll() is None, self.text()
        try:
            with urllib.request.urlopen(self.url, timeout=5) as answer:
                return answer.read().decode()
        except OSError:
            return None


@pytest.mark.server
@pytest.mark.slow
@pytest.mark.parametrize("block", cases(block for block in PYTHON if block.serves))
def test_a_block_that_is_a_whole_application_serves_and_its_job_runs(block, tmp_path):
    port = free_port()
    program = tmp_path / "program.py"
    program.write_text(f"import cherrypy\ncherrypy.config.update({{'server.socket_port': {port}}})\n{block.text}")
    with Server(program, tmp_path, port) as server:
        page = wait_for(lambda: (text := server.get()) and ("ok" in text or text.startswith("1 runs")) and text, 20)
    assert "Hello world." in server.text()
    assert "Scheduler started" in server.text()
    assert "Scheduler stopped" in server.text()
    assert "Traceback" not in server.text()
    assert "do_something" in page or page == "1 runs so far"


def project(folder, port, *documents, first=True):
    """Write the documents' project; a file that is told twice is the first or the last that is told."""
    files = [block for document in documents for block in BLOCKS if block.document == document and block.path]
    for block in reversed(files) if first else files:
        path = folder / block.path
        path.parent.mkdir(parents=True, exist_ok=True)
        text = block.text.replace("server.socket_port = 8080", f"server.socket_port = {port}")
        path.write_text(text, encoding="utf-8")
    (folder / "yourpkg" / "__init__.py").touch()
    return folder / "start-yourpkg.py"


@pytest.mark.server
@pytest.mark.slow
@pytest.mark.parametrize("documents", [(GUIDE,), (MOVING, GUIDE)], ids=["guide", "moving"])
def test_the_usage_example_runs(documents, tmp_path):
    port = free_port()
    with Server(project(tmp_path, port, *documents), tmp_path, port) as server:
        runs = wait_for(lambda: (page := server.get()) and page != "[]" and '"ok"' in page and json.loads(page), 20)
    assert [[name, state] for name, state, _ in runs] == [["yourpkg.jobs.synchronize_stock", "ok"]]
    assert 0 <= runs[0][2] < 5
    assert "yourpkg.jobs INFO Synchronizing what has changed since 2" in server.text()
    assert "Scheduler started: 2 tasks, zone Europe/Berlin" in server.text()


@pytest.mark.slow
def test_the_rehearsals_tests_pass(tmp_path):
    [block] = [block for block in BLOCKS if block.document == REHEARSAL and block.path]
    (tmp_path / "test_jobs.py").write_text(block.text, encoding="utf-8")
    done = run(sys.executable, "-m", "pytest", "-q", *fixtures_plugin(), str(tmp_path), cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    assert "2 passed" in done.stdout


@pytest.mark.server
@pytest.mark.slow
def test_the_guides_second_example_deletes_what_has_expired(tmp_path):
    pytest.importorskip("sqlalchemy")
    port = free_port()
    program = project(tmp_path, port, GUIDE, first=False)
    fill = (
        "import datetime\n"
        "from yourpkg.model import engine, visit_identity_table, visits_table\n"
        "now = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None)\n"
        "with engine().begin() as connection:\n"
        "    for key, minutes in (('old', 20), ('lately', 10), ('now', 0)):\n"
        "        expiry = now - datetime.timedelta(minutes=minutes)\n"
        "        connection.execute(visits_table.insert().values(visit_key=key, expiry=expiry))\n"
        "        connection.execute(visit_identity_table.insert().values(visit_key=key, user_id=1))\n"
    )
    filled = run(sys.executable, "-c", fill, cwd=tmp_path, PYTHONPATH=os.pathsep.join([str(ROOT), str(tmp_path)]))
    assert filled.returncode == 0, filled.stderr
    with Server(program, tmp_path, port) as server:
        wait_for(lambda: (page := server.get()) and '"ok"' in page, 20)
    assert "yourpkg.jobs INFO Scheduling background jobs." in server.text()
    assert "yourpkg.jobs INFO Deleted 1 expired visits and 1 identities." in server.text()


# -- tables --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("document", [README, GUIDE])
def test_the_settings_table_is_the_codes(document):
    expected = [[f"``{key}``", f"``{setting.default!r}``", setting.doc] for key, setting in config.SETTINGS.items()]
    assert rows(document, "\nSettings\n---") == expected


def test_the_guide_names_what_health_returns():
    told = re.search(r"``health\(\)``\n +Returns.*?\n(.*?)\n\n[^ ]", (ROOT / GUIDE).read_text(), re.DOTALL)[1]
    assert re.findall(r"^    ``(\w+)``", told, re.MULTILINE) == list(scheduler.health())


def test_the_reference_names_every_state():
    told = (ROOT / "docs/reference/runs.rst").read_text().partition("\nStates\n")[2]
    assert set(re.findall(r"^``(\w+)``", told, re.MULTILINE)) == set(scheduler.counts())


@pytest.mark.parametrize("document", [GUIDE, "docs/reference/tasks.rst"])
def test_the_table_of_classes_is_the_matrix(document):
    told = re.findall(r"^(\w+Task) +(Threaded\w+) +(Forked\w+)$", (ROOT / document).read_text(), re.MULTILINE)
    assert told == [tuple(kind.__name__ for kind in row.values()) for row in VARIANTS.values()]


def test_what_the_moving_page_calls_the_same_is_there():
    text = (ROOT / MOVING).read_text()
    same = text.partition("\nWhat is the same\n")[2].partition("\nWhat differs\n")[0]
    names = re.findall(r"``([A-Za-z_]+)``", same)
    assert len(names) > 30
    homes = (tgscheduler, scheduler, scheduler.Scheduler, scheduler.Task, scheduler.ThreadedTaskMixin)
    homes += (scheduler.DayTaskRescheduler,)
    assert [name for name in names if not any(hasattr(home, name) for home in homes)] == []
    for left, right in re.findall(r"^``turbogears\.([a-z_.]+)\b.*``tgscheduler\.([a-z_.]+)\b", text, re.MULTILINE):
        assert left == right
        target = tgscheduler
        for name in right.split("."):
            target = getattr(target, name)


# -- what the texts say --------------------------------------------------------------------------------------------


def noon(**start):
    clock = TickedScheduler(start=datetime(2026, 1, 5, 11, tzinfo=UTC), **start)
    clock.add_weekday_task(int, range(1, 8), 12, taskname="noon")
    clock.add_interval_task(int, 600, taskname="interval")
    return clock


@pytest.mark.parametrize(
    ("hours", "next_noon"), [(1.5, (6, 12)), (-1.5, (6, 12)), (-4, (5, 12))], ids=["forward", "back", "back 4 h"]
)
def test_clock_changes_row_by_row_the_clock_is_stepped_after_noon(hours, next_noon):
    clock = noon()
    clock.tick(75 * 60)
    clock.clock.step_by(hours * 3600)
    clock.tick(1)
    assert clock.get_task("noon").next_due == datetime(2026, 1, *next_noon, tzinfo=UTC).timestamp()
    assert clock.get_task("interval").next_due - clock.clock.now() == 299


def test_clock_changes_row_by_row_what_the_clock_jumped_over_runs_once_late():
    clock = noon()
    clock.clock.step_by(90 * 60)
    clock.tick(1)
    assert [(run.state, run.late) for run in clock.runs("noon")] == [("ok", 1800)]


def test_clock_changes_row_by_row_zones():
    clock = TickedScheduler(start=datetime(2025, 3, 30, 0, 10, tzinfo=UTC), timezone="Europe/Berlin")
    clock.add_cron_like_task(int, "*/15 2,3 * * *", taskname="quarter")
    clock.tick(3600)
    assert [run.due for run in clock.runs("quarter")] == [datetime(2025, 3, 30, 1, tzinfo=UTC).timestamp()]
    clock = TickedScheduler(start=datetime(2025, 10, 25, 23, 50, tzinfo=UTC), timezone="Europe/Berlin")
    clock.add_cron_like_task(int, "*/30 2 * * *", taskname="half")
    clock.add_monthday_task(int, [31], 0, taskname="31st")
    clock.tick(4 * 3600)
    assert len(clock.runs("half")) == 4
    clock.tick(400 * 86400)
    months = {datetime.fromtimestamp(run.due + 7200, UTC).month for run in clock.runs("31st")}
    assert months == {1, 3, 5, 7, 8, 10, 12}


def test_settings_count_from_the_next_start_on_whenever_tasks_were_added():
    task = scheduler.add_weekday_task(int, range(1, 8), 12)
    config.update({"tg.scheduler.timezone": "Asia/Tokyo"})
    scheduler.start_scheduler()
    assert wait_for(lambda: task.next_due) % 86400 == 3 * 3600  # noon in Tokyo


def test_what_comes_due_while_stopped_is_no_occurrence():
    clock = noon()
    clock.add_single_task(int, initialdelay=60, taskname="single")
    clock.stop()
    assert set(clock.get_tasks()) == {"noon", "interval", "single"}
    clock.clock.advance(2 * 3600 + 30)
    clock.start()
    clock.tick(1)
    assert [run.task for run in clock.runs()] == ["single"]
    assert clock.get_task("interval").next_due == datetime(2026, 1, 5, 13, 10, tzinfo=UTC).timestamp()


def test_one_run_makes_up_for_all_that_was_missed():
    clock = noon()
    clock.tick(1)
    clock.clock.advance(3000)
    clock.tick(1)
    (late,) = [run for run in clock.runs("interval") if run.count > 1]
    assert (late.count, late.until - late.due) == (5, 2400)
    assert clock.counts()["ok"] == 6


# -- the two commands ----------------------------------------------------------------------------------------------


def test_the_readmes_commands_are_well_formed():
    metadata = configparser.ConfigParser()
    metadata.read(ROOT / "setup.cfg", encoding="utf-8")
    extras = metadata["options.extras_require"]
    first, second, _ = [block.text.strip() for block in blocks(README) if block.language == "sh"]
    for command, module in ((first, "example_app"), (second, "pytest")):
        venv, install, start = (shlex.split(part) for part in command.split(" && "))
        assert venv == ["python3", "-m", "venv", ".venv"]
        assert install[:3] == [".venv/bin/pip", "install", "-e"]
        asked = re.fullmatch(r"\.\[(\w+)\]", install[3])[1]
        assert asked in extras
        assert start == [".venv/bin/python", "-m", module]
    assert (ROOT / "example_app" / "__main__.py").is_file()
    assert "pytest" in extras["test"]
    assert extras["example"].strip() in extras["test"]
    assert "sphinx" in extras["docs"]


def test_the_readmes_fifteen_lines_are_fifteen():
    (whole,) = [block for block in blocks(README) if block.language == "python"]
    lines = [line for line in whole.text.splitlines() if line.strip()]
    assert len(lines) == 15
    ast.parse(whole.text)


# -- building ------------------------------------------------------------------------------------------------------


def need_module(name, why):
    if importlib.util.find_spec(name) is None:
        if os.environ.get("CI"):
            pytest.fail(f"{name} is missing: {why}")
        pytest.skip(f"{name} is missing: {why}")


def test_the_readme_and_the_changes_are_plain_restructuredtext():
    need_module("docutils", "pip install -e '.[docs]' brings it")
    for document in (README, "CHANGES.rst"):
        done = run(
            sys.executable, "-m", "docutils", "--halt=2", "--syntax-highlight=none", document, os.devnull, cwd=ROOT
        )
        assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_sphinx_builds_without_a_warning(tmp_path):
    need_module("sphinx", "pip install -e '.[docs]' brings it")
    need_module("furo", "pip install -e '.[docs]' brings it")
    began = time.monotonic()
    done = run(
        sys.executable, "-m", "sphinx", "-q", "-E", "-W", "-n", "-b", "html", "docs", str(tmp_path / "html"),
        "-d", str(tmp_path / "trees"), cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "html" / "guide.html").is_file()
    assert time.monotonic() - began < 60
