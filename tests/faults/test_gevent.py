"""A host that gevent has patched: it is not supported, is told so once, and a child runs nothing of its parent's."""

import pytest
from fault_injection import done

pytest.importorskip("gevent")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(60)]

PROGRAM = """
import collections, logging
from tgscheduler import stores

logging.basicConfig(stream=sys.stderr)
me, ran = os.getpid(), open("ran", "a", buffering=1)

def note(what):
    ran.write(f"{what} {os.getpid() == me}\\n")

def forked():
    note("forked")
    time.sleep(0.5)
    note("end")

def threaded():
    note("threaded")

def wait(seconds):
    time.sleep(seconds)
    while os.getpid() != me:  # a child has a copy of this greenlet, too
        time.sleep(60)

def enough():
    wait(0.01)
    return len([run for run in scheduler.runs("forked") if run.state == "ok"]) >= 2

scheduler = ThreadedScheduler(store=STORE, stop_timeout=0.5)
scheduler.subscribe(lambda event: note("event"), "run-finished")
scheduler.add_interval_task(threaded, 0.02)
scheduler.add_interval_task(lambda: note("sequential"), 0.02, processmethod="sequential")
scheduler.add_interval_task(forked, 0.1, processmethod="forked", taskname="forked")
for _ in range(2):
    scheduler.start()
    until(enough)
    if os.fork() == 0:
        time.sleep(0.3)
        os._exit(0)
    wait(0.5)
    scheduler.stop()
found = collections.Counter(open("ran").read().splitlines())
assert set(found) == {"threaded True", "sequential True", "event True", "forked False", "end False"}, found
"""


@pytest.mark.parametrize("store", ["None", "stores.open('sqlite:///runs.db')"], ids=["memory", "sqlite"])
def test_a_child_of_a_host_that_gevent_patched_runs_its_own_action_and_nothing_else(store, tmp_path):
    program = "from gevent import monkey; monkey.patch_all()\n" + PROGRAM.replace("STORE", store)
    output = done(tmp_path, program, bound=30)
    assert output.count("gevent has replaced threads in this process, which is not supported") == 1
