"""The command that makes what is kept of a password."""

import subprocess
import sys

import pytest

from tgscheduler import passwords
from tgscheduler.console.passwords import main


@pytest.mark.parametrize(("typed", "status"), [(["x", "x"], 0), (["x", "y"], 1), ([""], 1)])
def test_the_command_asks_twice_and_prints_the_hash(monkeypatch, capsys, typed, status):
    monkeypatch.setattr(passwords, "N", 2)
    monkeypatch.setattr("getpass.getpass", lambda prompt: typed.pop(0))
    assert main() == status
    out, error = capsys.readouterr()
    assert passwords.verify("x", out.strip()) if status == 0 else "Expected" in error


def test_the_command_needs_neither_a_server_nor_its_packages():
    code = "import sys; sys.modules.update(dict.fromkeys(['cherrypy', 'jinja2'])); import runpy; runpy.run_module"
    run = f"{code}('tgscheduler.console.passwords')"
    assert subprocess.run([sys.executable, "-W", "error", "-c", run], check=True).returncode == 0
