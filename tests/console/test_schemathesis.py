"""The live API under generated requests: all checks of schemathesis."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

#: Requests for each operation, and how many there must be in all.
EXAMPLES, CASES = 40, 2000


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
