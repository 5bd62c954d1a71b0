"""The plugin in a real server: what runs when, what is logged, and what is left when it stops."""

import re
import socket

import pytest
from servers import Server

from tgscheduler.clock import zone_data_version

pytestmark = [pytest.mark.server, pytest.mark.slow]


def lines_with(log, *words):
    """Return the log's lines that have one of these words."""
    return [line for line in log.splitlines() if any(word in line for word in words)]


def test_the_order_of_a_start_and_a_stop(tmp_path):
    program = """
    def hook(name):
        return lambda: mark(name, engine.state, scheduler._get_scheduler().running)

    def first_run():
        mark("task", engine.state)

    startup.call_on_startup += [hook("first"), lambda: scheduler.add_interval_task(first_run, 0.05), hook("second")]
    startup.call_on_shutdown += [hook("down1"), hook("down2")]
    for channel, priorities in {"start": (65, 75, 77, 79, 81), "stop": (19, 21, 25, 79, 81)}.items():
        for at in priorities:
            engine.subscribe(channel, lambda name=f"{channel}{at}": mark(name, len(scheduler.get_tasks())), at)
    scheduler.add_single_task(print, initialdelay=3600, taskname="added at import")
    engine.subscribe("start", lambda: time.sleep(0.2), 90)      # longer than the task's interval
    serve()
    """
    with Server(tmp_path, program) as server:
        assert server.up().get() == "here"
        assert "here" in server.get()
        server.see("task states.STARTED")
        code = server.stop()
    marks, log = server.marks(), server.log()
    assert code == 0
    assert set(marks) >= {"task states.STARTED"}
    assert not [line for line in marks if line.startswith("task") and line != "task states.STARTED"]
    assert [line for line in marks if not line.startswith("task")] == [
        "start65 1", "start75 1", "start77 1", "start79 1",
        "first states.STARTING False", "second states.STARTING False",
        "start81 1",
        "stop19 1", "stop21 1", "stop25 1", "stop79 1",
        "down1 states.STOPPING False", "down2 states.STOPPING False",
        "stop81 1",
    ]  # fmt: skip
    assert marks.index("start81 1") < marks.index("task states.STARTED") < marks.index("stop19 1")
    ours = [line.partition("] ")[2] for line in lines_with(log, "cheduler", "SCHEDULER")]
    assert ours == [
        f"ENGINE Scheduler started: 2 tasks, zone UTC (tz data {zone_data_version()}), up to 100 threads.",
        "ENGINE Scheduler stopped.",
    ]


@pytest.mark.parametrize("how", ["a later listener fails", "an earlier listener fails", "the port is taken"])
def test_a_start_that_fails_runs_no_task(tmp_path, how):
    program = """
    scheduler.add_interval_task(lambda: mark("task"), 0.01)
    startup.call_on_startup += [lambda: mark("up")]
    startup.call_on_shutdown += [lambda: mark("down")]
    def fail():
        raise RuntimeError("no database")
    serve()
    """
    priority = {"a later listener fails": 90, "an earlier listener fails": 50}.get(how)
    if priority:
        program = program.replace("    serve()", f"    engine.subscribe('start', fail, {priority})\n    serve()")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1] if how == "the port is taken" else None
        with Server(tmp_path, program, port=port) as server:
            assert server.end() == 70
    assert server.marks() == ["up", "down"]


def test_a_hook_that_raises_stops_the_start_with_its_name(tmp_path):
    program = """
    def schedule():
        scheduler.add_interval_task(lambda: mark("task"), 0.01, taskname="half")

    def broken():
        raise ValueError("no such\\n  table")

    def down_broken():
        raise SystemExit("enough")

    startup.call_on_startup += [schedule, broken, lambda: mark("not reached")]
    startup.call_on_shutdown += [lambda: mark("down1"), down_broken, lambda: mark("down2", scheduler.get_tasks())]
    serve()
    """
    with Server(tmp_path, program) as server:
        assert server.end() == 70
    assert server.marks() == ["down1", "down2 {}"]
    log = server.log()
    assert len(lines_with(log, "call_on_startup: __main__.broken raised ValueError: no such table")) == 1
    assert len(lines_with(log, "call_on_shutdown: __main__.down_broken raised SystemExit: enough")) == 1
    assert "Scheduler started" not in log


def test_a_hook_that_makes_its_work_and_does_not_do_it_stops_the_start(tmp_path):
    program = """
    async def schedule():
        mark("never")

    startup.call_on_startup.append(schedule)
    serve()
    """
    with Server(tmp_path, program) as server:
        assert server.end() == 70
    assert server.marks() == []
    [line] = lines_with(server.log(), "call_on_startup: __main__.schedule raised tgscheduler.errors.UnfinishedAction")
    assert "it returned a coroutine" in line
    assert "never awaited" not in server.log()


def test_a_hook_that_stops_the_engine_starts_nothing(tmp_path):
    program = """
    startup.call_on_startup += [lambda: scheduler.add_single_task(print, taskname="x"), engine.stop, lambda: mark("no")]
    startup.call_on_shutdown.append(lambda: mark("down"))
    engine.unsubscribe("start", cherrypy.server.start)
    engine.start()
    mark(scheduler._get_scheduler().running, scheduler.get_tasks())
    engine.exit()
    """
    with Server(tmp_path, program) as server:
        assert server.end() == 0
    assert server.marks() == ["down", "False {}"]


def test_without_a_begun_start_nothing_is_shut_down(tmp_path):
    program = """
    startup.call_on_startup.append(lambda: mark("up"))
    startup.call_on_shutdown.append(lambda: mark("down"))
    engine.subscribe("start", lambda: os.kill(os.getpid(), signal.SIGTERM), 40)
    serve()
    """
    with Server(tmp_path, program) as server:
        assert server.end() == 70
    assert server.marks() == []


def test_start_stop_start_in_one_process(tmp_path):
    program = """
    import urllib.request
    runs = []

    def schedule():
        scheduler.add_interval_task(lambda: runs.append("hook"), 0.01, taskname="from the hook")
        scheduler.add_single_task(print, initialdelay=3600, taskname="another")

    def later():
        scheduler.add_interval_task(lambda: runs.append("late"), 0.01, taskname="added while it runs")

    def look(when):
        mark(when, sorted(scheduler.get_tasks()), scheduler._get_scheduler().running, len(os.listdir("/proc/self/fd")))

    startup.call_on_startup.append(schedule)
    startup.call_on_shutdown.append(lambda: mark("down"))
    scheduler.add_interval_task(lambda: runs.append("import"), 0.01, taskname="added at import")
    cherrypy.tree.mount(Root())
    for number in range(3):
        engine.start()
        mark(urllib.request.urlopen(f"http://127.0.0.1:{port}/").read().decode())
        if number == 0:
            later()
        runs.clear()
        while not {"hook", "import", "late"} <= set(runs):
            time.sleep(0.005)
        look("started")
        engine.stop()
        runs.clear()
        look("stopped")
        mark(runs, [t.name for t in threading.enumerate() if "tgscheduler" in t.name])
    engine.exit()
    """
    with Server(tmp_path, program) as server:
        assert server.end() == 0
    marks = server.marks()
    tasks = ["added at import", "added while it runs", "another", "from the hook"]
    assert len(marks) == 15
    for at in range(0, 15, 5):
        assert marks[at] == "here"
        assert marks[at + 1].startswith(f"started {tasks} True ")
        assert marks[at + 2] == "down"
        assert marks[at + 3].startswith(f"stopped {tasks[:2]} False ")
        assert marks[at + 4] == "[] []"
    assert marks[3].split()[-1] == marks[13].split()[-1], "no file descriptor is left by a start and a stop"


def test_a_task_that_a_hook_puts_at_an_absolute_time_is_registered_afresh_too(tmp_path):
    program = """
    engine.unsubscribe("start", cherrypy.server.start)
    engine.unsubscribe("stop", cherrypy.server.stop)

    def schedule():
        task = scheduler.SingleTask("at noon", print)
        scheduler._get_scheduler().schedule_task_abs(task, time.time() + 3600)

    startup.call_on_startup.append(schedule)
    for _ in range(2):
        engine.start()
        mark(sorted(scheduler.get_tasks()))
        engine.stop()
        mark(sorted(scheduler.get_tasks()))
    engine.exit()
    """
    with Server(tmp_path, program) as server:
        assert server.end() == 0
    assert server.marks() == ["['at noon']", "[]"] * 2


@pytest.mark.parametrize("off", ['{"tg.scheduler": False}', '{"engine.scheduler.on": False}'])
def test_switched_off_nothing_fires(tmp_path, off):
    program = f"""
    cherrypy.config.update({off})
    startup.call_on_startup.append(lambda: mark("up", config.get("tg.scheduler")))
    startup.call_on_shutdown.append(lambda: mark("down"))
    scheduler.add_interval_task(lambda: mark("task"), 0.01, taskname="waits")

    def add():
        scheduler.add_single_task(lambda: mark("task"), taskname="waits as well")
        return sorted(scheduler.get_tasks())

    serve()
    """
    with Server(tmp_path, program) as server:
        assert server.up().do("add") == "['waits', 'waits as well']"
        assert server.stop() == 0
    said = lines_with(server.log(), "cheduler")
    if "engine" in off:
        assert server.marks() == []
        assert said == []
    else:
        assert server.marks() == ["up False", "down"]
        assert len(said) == 1
        assert "The scheduler is off and nothing fires; tg.scheduler = True under [global] switches it on." in said[0]


def test_the_plugin_is_switched_by_cherrypys_config_at_any_time(tmp_path):
    program = """
    startup.call_on_startup.append(lambda: scheduler.add_interval_task(lambda: mark("task"), 0.01))
    startup.call_on_shutdown.append(lambda: mark("down"))

    def switch(to):
        cherrypy.config.update({"engine.scheduler.on": to})
        return scheduler._get_scheduler().running, len(threading.enumerate())

    switch_off = lambda: switch(False)
    switch_on = lambda: switch(True)
    switch_off(), switch_on(), switch_on()
    serve()
    """
    with Server(tmp_path, program) as server:
        server.up().see("task")
        assert server.do("switch_off").startswith("(False, ")
        number = len(server.marks())
        assert server.marks()[-1] == "down", "as nobody would stop it later, it stops now"
        assert server.do("switch_on").startswith("(False, ")
        assert server.stop() == 0
    assert len(server.marks()) == number
    assert len(lines_with(server.log(), "Scheduler stopped.")) == 1


def test_tasks_are_added_from_requests_and_from_tasks(tmp_path):
    program = """
    def add(method, name):
        scheduler.add_single_task(lambda: mark("ran", name), processmethod=method, taskname=name)

    def in_a_task(method, name):
        try:
            add("threaded", name)
        except Exception as error:
            mark(type(error).__name__, error)

    def request():
        add("threaded", "by the request")
        for method in ("sequential", "threaded", "forked"):
            scheduler.add_single_task(in_a_task, args=(method, f"from {method}"), processmethod=method)

    def tasks():
        return scheduler.get_tasks()

    serve()
    """
    with Server(tmp_path, program) as server:
        server.up().do("request")
        for name in ("by the request", "from sequential", "from threaded"):
            server.see(f"ran {name}")
        server.see("WrongProcess")
        assert server.do("tasks") == "{}"
        assert server.stop() == 0
    (refused,) = [line for line in server.marks() if "WrongProcess" in line]
    assert re.match(r"WrongProcess .*child process of a forked run .*use method.threaded", refused)
    assert "ran from forked" not in server.marks()


@pytest.mark.parametrize("method", ["sequential", "threaded"])
@pytest.mark.parametrize("verb", ["stop", "exit"])
def test_the_engine_is_stopped_by_a_task(tmp_path, method, verb):
    program = f"""
    def stop():
        engine.{verb}()
        mark("stopped")
        time.sleep({0.0 if verb == "exit" else 0.1})

    startup.call_on_shutdown.append(lambda: mark("down"))
    scheduler.add_single_task(stop, processmethod="{method}")
    serve()
    """
    with Server(tmp_path, program) as server:
        if verb == "stop":
            server.see("Bus STOPPED").see("stopped")
            server.kill(15)
        assert server.end() == 0
    assert server.marks()[0] == "down"
    assert server.marks().count("down") == 1
    assert "Error" not in server.log()


def test_a_child_of_the_application_does_not_shut_its_parent_down(tmp_path):
    program = """
    startup.call_on_shutdown.append(lambda: mark("down", os.getpid() == me))
    me = os.getpid()

    def fork_and_stop():
        pid = os.fork()
        if pid == 0:
            engine.scheduler.stop()
            engine.scheduler.shut_down()
            os._exit(0)
        os.waitpid(pid, 0)
        return scheduler._get_scheduler().running

    serve()
    """
    with Server(tmp_path, program) as server:
        assert server.up().do("fork_and_stop") == "True"
        assert server.stop() == 0
    assert server.marks() == ["down True"]


@pytest.mark.parametrize(
    ("where", "when"),
    [
        *(("bare", "import"), ("error_file", "hook"), ("root", "import"), ("root", "hook"), ("ours", "hook")),
        *(("disabling", "import"), ("disabling", "hook"), ("disabling", "running"), ("disabling_root", "running")),
    ],
)
def test_a_failing_task_is_seen_once_wherever_the_log_goes(tmp_path, where, when):
    program = f"""
    import logging.config

    def fail():
        raise LookupError("broken inside")

    def bare():
        pass

    def error_file():
        cherrypy.config.update({{"log.screen": False, "log.error_file": "error.log"}})

    def root(name=None):
        handler = logging.FileHandler("own.log")
        logging.getLogger(name).addHandler(handler)

    def ours():
        root("tgscheduler")

    def disabling():
        logging.config.dictConfig({{"version": 1}})

    def disabling_root():
        handlers = {{"own": {{"class": "logging.FileHandler", "filename": "own.log"}}}}
        logging.config.dictConfig({{"version": 1, "handlers": handlers, "root": {{"handlers": ["own"]}}}})

    engine.unsubscribe("start", cherrypy.server.start)
    engine.unsubscribe("stop", cherrypy.server.stop)
    if "{when}" == "hook":
        startup.call_on_startup.append({where})
    elif "{when}" == "running":
        scheduler.add_single_task({where}, processmethod="sequential")
    else:
        {where}()

    def add():
        for name in ("sequential", "threaded", "forked"):
            scheduler.add_single_task(fail, processmethod=name, taskname="a " + name + " one")

    if "{when}" != "running":
        add()
    engine.start()
    if "{when}" == "running":
        while scheduler.counts().get("ok") != 1:
            time.sleep(0.01)
        add()
    while scheduler.counts().get("failed") != 3:
        time.sleep(0.01)
    engine.stop()
    mark(len(logging.getLogger("tgscheduler").handlers))
    engine.exit()
    """
    with Server(tmp_path, program) as server:
        assert server.end() == 0
    names = {"bare": "log", "error_file": "error.log", "disabling": "log"}
    place = names.get(where, "own.log")
    for name in ("log", "error.log", "own.log"):
        path = tmp_path / name
        text = path.read_text() if path.exists() else ""
        expected = 1 if name == place else 0
        for kind in ("sequential", "threaded", "forked"):
            # CherryPy's own logger propagates, so that a root handler shows what its screen handler shows: not ours.
            assert len(lines_with(text, f"a {kind} one: ")) == expected, (name, kind, text)
        assert text.count("Traceback (most recent call last)") == 3 * expected
        assert text.count("LookupError: broken inside") == 3 * expected
    assert server.marks() == ["1" if where == "ours" else "0"], "after the stop only what the application put there"
    if where in ("bare", "error_file"):
        assert "SCHEDULER a threaded one: " in (tmp_path / place).read_text()
