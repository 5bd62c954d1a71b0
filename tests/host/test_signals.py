"""Signals and restarts: every server ends well, with the exit code that CherryPy gives, and leaves nobody behind."""

import ast
import os
import signal
import time

import pytest
from servers import Server, until

pytestmark = [pytest.mark.server, pytest.mark.slow]

#: One run of each kind that does not end by itself, and a stop that would wait for it.
BUSY = """
def work(name):
    mark(name, "begun", os.getpid())
    time.sleep(600)
    mark(name, "ended")

def start_work():
    for name in ("threaded", "forked"):
        scheduler.add_single_task(work, args=(name,), processmethod=name, taskname=name)

config.update({"tg.scheduler.stop_timeout": TIMEOUT})
startup.call_on_startup.append(start_work)
startup.call_on_shutdown.append(lambda: mark("down", sorted(run.state for run in scheduler.runs())))
serve()
"""


def busy(folder, timeout):
    """Start a server and wait until both of its tasks run."""
    server = Server(folder, BUSY.replace("TIMEOUT", str(timeout)))
    try:
        return server.up().see("threaded begun").see("forked begun")
    except BaseException:
        server.__exit__(True)
        raise


def seconds_to_end(server, code):
    """Return how long the server takes to end, with that exit code."""
    began = time.monotonic()
    assert server.end() == code
    return time.monotonic() - began


@pytest.mark.parametrize("sig", ["SIGTERM", "SIGHUP", "SIGINT"])
def test_a_signal_ends_running_tasks_within_the_bound(tmp_path, sig):
    with busy(tmp_path, 0.2) as server:
        server.kill(getattr(signal, sig))
        assert seconds_to_end(server, 0) < 5
    assert server.marks()[-1] == "down ['cancelled', 'cancelled']"
    assert not [line for line in server.marks() if "ended" in line]
    assert server.log().count("Scheduler stopped.") == 1


def test_a_running_child_has_five_seconds_unless_the_setting_says_otherwise(tmp_path):
    program = """
    def work():
        mark("begun")
        time.sleep(600)

    scheduler.add_single_task(work, processmethod="forked")
    startup.call_on_shutdown.append(lambda: mark("down", *(run.reason for run in scheduler.runs())))
    serve()
    """
    with Server(tmp_path, program) as server:
        server.see("begun").kill(signal.SIGTERM)
        assert 5 <= seconds_to_end(server, 0) < 8
    assert server.marks()[-1] == "down stopped; its child was ended"


@pytest.mark.parametrize("again", ["SIGTERM", "SIGINT"])
def test_a_second_signal_ends_the_drain_at_once(tmp_path, again):
    with busy(tmp_path, 30) as server:
        server.kill(signal.SIGTERM).see("Bus STOPPING")
        assert server.get() == "here", "HTTP is served during the drain"
        server.kill(getattr(signal, again))
        assert seconds_to_end(server, 0) < 5
    assert server.marks()[-1] == "down ['cancelled', 'cancelled']", "call_on_shutdown comes after the drain, once"
    assert "Traceback" not in server.log()


def test_two_ctrl_c(tmp_path):
    with busy(tmp_path, 30) as server:
        server.kill(signal.SIGINT).see("Bus STOPPING")
        server.kill(signal.SIGINT)
        assert seconds_to_end(server, 0) < 5
    assert server.marks()[-1] == "down ['cancelled', 'cancelled']"


def test_what_ends_by_itself_during_the_drain_is_whole(tmp_path):
    program = """
    def work(name):
        mark(name, "begun")
        time.sleep(0.4)
        mark(name, "ended")

    for name in ("sequential", "threaded", "forked"):
        scheduler.add_single_task(work, args=(name,), processmethod=name)
    startup.call_on_shutdown.append(lambda: mark("down", sorted(run.state for run in scheduler.runs())))
    serve()
    """
    with Server(tmp_path, program) as server:
        server.up().see("sequential begun").see("threaded begun").see("forked begun")
        assert server.stop() == 0
    assert server.marks()[-1] == "down ['ok', 'ok', 'ok']"
    assert sum(line.endswith("ended") for line in server.marks()) == 3


def test_sigterm_during_a_slow_hook(tmp_path):
    program = """
    def slow():
        scheduler.add_interval_task(lambda: mark("task"), 0.01)
        mark("slow")
        time.sleep(600)
        mark("not reached")

    startup.call_on_startup += [slow, lambda: mark("not reached")]
    startup.call_on_shutdown.append(lambda: mark("down", len(scheduler.get_tasks())))
    serve()
    """
    with Server(tmp_path, program) as server:
        server.see("slow").kill(signal.SIGTERM)
        assert server.end() == 70
    assert server.marks() == ["slow", "down 0"]


def test_ctrl_c_during_a_slow_hook(tmp_path):
    program = """
    import tgscheduler

    def slow():
        mark("slow")
        time.sleep(600)

    startup.call_on_startup.append(slow)
    startup.call_on_shutdown.append(lambda: mark("down"))
    tgscheduler.start_server(Root())
    """
    with Server(tmp_path, program) as server:
        server.see("slow").kill(signal.SIGINT)
        assert server.end() == 70  # as from any start that does not come to its end
    assert server.marks() == ["slow", "down"]


def test_sigterm_while_tasks_are_being_added_on_the_main_thread(tmp_path):
    program = """
    def many():
        mark("adding")
        while True:
            scheduler.cancel(scheduler.add_interval_task(print, 60))

    startup.call_on_startup.append(many)
    startup.call_on_shutdown.append(lambda: mark("down"))
    serve()
    """
    with Server(tmp_path, program) as server:
        server.see("adding").kill(signal.SIGTERM)
        assert seconds_to_end(server, 70) < 5
    assert server.marks() == ["adding", "down"]


def test_graceful_leaves_the_timetable_as_it_is(tmp_path):
    program = """
    def tick():
        mark("tick", time.time())

    startup.call_on_startup.append(lambda: mark("up"))
    startup.call_on_shutdown.append(lambda: mark("down"))
    scheduler.add_interval_task(tick, 0.1, taskname="tick")
    scheduler.add_single_task(lambda: mark("far"), initialdelay=3600, taskname="far")

    def look():
        return [(name, task.next_due) for name, task in sorted(scheduler.get_tasks().items())]

    serve()
    """
    with Server(tmp_path, program) as server:
        before = ast.literal_eval(server.up().see("tick").do("look"))
        for count in (1, 2):
            server.kill(signal.SIGUSR1)
            assert until(lambda count=count: server.log().count("Bus graceful") == count)
        number = len(server.marks())
        assert until(lambda: len(server.marks()) > number + 3)
        after = ast.literal_eval(server.do("look"))
        assert server.stop() == 0
    assert [name for name, _ in after] == ["far", "tick"]
    assert after[0] == before[0]
    marks = server.marks()
    assert (marks[0], marks[-1]) == ("up", "down")
    assert marks.count("up") == marks.count("down") == 1
    times = [float(line.split()[1]) for line in marks[1:-1]]
    first = times[0]
    steps = [round((at - first) / 0.1) for at in times]
    assert len(set(steps)) >= len(steps) - 1, "no tick beside the rhythm"


RESTART = """
import uuid
me = uuid.uuid4().hex[:8]

def sleep_long():
    mark("forked", me, os.getpid())
    time.sleep(600)

def restart():
    threading.Thread(target=engine.restart).start()

startup.call_on_startup.append(lambda: scheduler.add_single_task(sleep_long, processmethod="forked"))
startup.call_on_startup.append(lambda: scheduler.add_single_task(time.sleep, args=(600,)))
startup.call_on_shutdown.append(lambda: mark("down", me))
config.update({"tg.scheduler.stop_timeout": 0.1})
"""


@pytest.mark.parametrize("how", ["restart", "autoreload"])
def test_a_restart_binds_the_port_again_and_leaves_no_child(tmp_path, how):
    reload = 'import helper\ncherrypy.config.update({"engine.autoreload.on": True, "engine.autoreload.frequency": 0.1})'
    (tmp_path / "helper.py").write_text("")
    with Server(tmp_path, RESTART + (reload if how == "autoreload" else "") + "\nserve()\n") as server:
        server.up().see("forked")
        if how == "restart":
            server.do("restart")
        else:
            time.sleep(0.15)  # the autoreloader notes the times of the files in its first look
            (tmp_path / "helper.py").write_text("changed = True\n")
        assert until(lambda: sum("forked" in line for line in server.marks()) == 2)
        assert server.get() == "here"
        assert len(server.family()) <= 2, "the first image's child is gone"
        assert server.stop() == 0
    first, down, second, down_again = [line.split() for line in server.marks()]
    assert [first[1], second[1]] == [down[1], down_again[1]]
    assert first[1] != second[1]
    assert "Error" not in server.log()


def test_a_daemon(tmp_path):
    program = """
    from cherrypy.process.plugins import Daemonizer, PIDFile
    folder = os.getcwd()
    cherrypy.config.update({"log.screen": False, "log.error_file": os.path.join(folder, "error.log")})
    Daemonizer(engine).subscribe()
    PIDFile(engine, os.path.join(folder, "pid")).subscribe()

    def failing():
        raise LookupError("in a daemon")

    startup.call_on_startup.append(lambda: mark("up", os.getpid()))
    startup.call_on_shutdown.append(lambda: mark("down", os.getpid()))
    scheduler.add_interval_task(lambda: mark("task", os.getpid()), 0.1)
    scheduler.add_single_task(failing, processmethod="forked")
    serve()
    """
    errors = tmp_path / "error.log"
    with Server(tmp_path, program) as server:
        assert server.process.wait(10) == 0, "the process that was started leaves"
        server.see("task")
        pid = int((tmp_path / "pid").read_text())
        assert server.get() == "here"
        assert until(lambda: "LookupError: in a daemon" in errors.read_text())
        os.kill(pid, signal.SIGHUP)  # a daemon restarts, and becomes one again
        assert until(lambda: sum("up" in line for line in server.marks()) == 2)
        assert until(lambda: "Bus STARTED" in errors.read_text().rpartition("Re-spawning")[2])
        assert server.get() == "here"
        second = int((tmp_path / "pid").read_text())
        os.kill(second, signal.SIGTERM)
        assert until(lambda: not server.family()), "nobody is left"
    marks = server.marks()
    assert pid != server.process.pid
    assert marks[0] == f"up {pid}"
    assert f"task {pid}" in marks
    assert [line for line in marks if "task" not in line] == [
        f"up {pid}", f"down {pid}", f"up {second}", f"down {second}"
    ]  # fmt: skip
    assert not (tmp_path / "pid").exists()
