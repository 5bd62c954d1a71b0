"""The live API under generated requests: all checks of schemathesis."""

import re
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from helpers import ROOT, wait_for

#: Requests for each operation, and how many there must be in all.
EXAMPLES, CASES = 40, 2000


@pytest.fixture
def live(tmp_path):
    """Yield the address of a console in a process of its own, and fail if that has logged a fault."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = tmp_path / "server.log"
    with log.open("wb") as file:
        program = [sys.executable, str(Path(__file__).with_name("live.py")), str(port)]
        server = subprocess.Popen(program, cwd=ROOT, stdout=file, stderr=subprocess.STDOUT)
    try:
        url = f"http://127.0.0.1:{port}/scheduler/api/v1"
        wait_for(lambda: answers(f"{url}/health"), 30)
        yield url
    finally:
        server.terminate()
        server.wait(20)
    assert "The console failed" not in log.read_text(encoding="utf-8")


def answers(url):
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False


@pytest.mark.slow
@pytest.mark.server
@pytest.mark.timeout(300)
def test_no_generated_request_finds_a_failure(live, tmp_path):
    pytest.importorskip("schemathesis")
    program = Path(sys.executable).with_name("schemathesis")
    options = ["--checks", "all", "--max-examples", str(EXAMPLES), "--no-color", "--seed", "1"]
    done = subprocess.run(
        [str(program), "run", f"{live}/openapi.json", *options], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-10_000:] + done.stderr[-2000:]
    assert int(re.search(r"(\d+) generated", done.stdout)[1]) >= CASES
