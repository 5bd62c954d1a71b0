"""What an action logs is kept with its run, whatever logger it uses and wherever it runs."""

import logging

import pytest
from processes import Process

from tgscheduler import stores
from tgscheduler.testing import TickedScheduler

LOGS = """
import logging, sys, time
from tgscheduler import current_run, stores
from tgscheduler.engine.scheduler import ThreadedScheduler

def work():
    current_run().log.warning("by the run's own logger")
    logging.getLogger("jobs").warning("by another, %d", 2)

logging.basicConfig(stream=sys.stdout)
scheduler = ThreadedScheduler(store=stores.open(sys.argv[1]))
for method in ("sequential", "threaded", "forked"):
    scheduler.add_single_task(work, processmethod=method, taskname=method)
scheduler.start()
while scheduler.counts()["ok"] < 3:
    time.sleep(0.01)
scheduler.stop()
logging.getLogger("jobs").warning("by nobody")
"""


@pytest.mark.realtime
def test_the_lines_that_an_action_logs_are_kept_with_its_run(tmp_path):
    url = f"sqlite:///{tmp_path / 'scheduler.db'}"
    script = tmp_path / "logs.py"
    script.write_text(LOGS)
    assert Process(script, url, cwd=tmp_path).ended() == 0
    runs = {run.task: run.log for run in stores.open(url).runs()}
    assert set(runs) == {"sequential", "threaded", "forked"}
    for name, lines in runs.items():
        own, other = lines.splitlines()
        assert own.endswith(f"WARNING tgscheduler.action: {name}: by the run's own logger")
        assert other.endswith("WARNING jobs: by another, 2")


def test_a_run_in_memory_has_its_lines_too_and_only_the_last_ones():
    log = logging.getLogger("jobs")

    def work():
        for number in range(1000):
            log.warning("line %d", number)

    scheduler = TickedScheduler()
    scheduler.add_single_task(work, taskname="it", processmethod="sequential")
    scheduler.tick(1)
    [run] = scheduler.runs("it")
    scheduler.stop()
    assert len(run.log) <= 8_100
    assert run.log.startswith("…\n")
    assert run.log.endswith("line 999\n")
