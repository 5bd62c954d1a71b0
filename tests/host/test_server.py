"""start_server, CherryPy's own configuration, and what a user sees of a configuration that cannot be."""

import json
import subprocess
import sys

import pytest
from helpers import ROOT
from servers import Server

from tgscheduler.clock import zone_data_version

pytestmark = [pytest.mark.server, pytest.mark.slow]

COMMANDS = """
import os, sys
import tgscheduler

def start():
    tgscheduler.update_config(configfile="dev.cfg", modulename="srvpkg.config")
    from srvpkg import jobs
    tgscheduler.startup.call_on_startup.append(jobs.schedule)
    from srvpkg.controllers import Root
    tgscheduler.start_server(Root())

start()
"""

JOBS = """
import logging
from tgscheduler import config, scheduler
log = logging.getLogger("srvpkg.jobs")

def job():
    log.info("the job runs")

def failing():
    raise LookupError("the job fails")

def schedule():
    if config.get("tg.scheduler"):
        scheduler.add_interval_task(action=job, interval=0.05)
        scheduler.add_single_task(action=failing, taskname="failing")
"""

CONTROLLERS = """
import cherrypy
import tgscheduler

class Root:
    @cherrypy.expose
    def index(self):
        return f"{tgscheduler.scheduler._get_scheduler().timezone} {cherrypy.request.config.get('own.key')}"
"""

APP_CFG = """
[global]
tg.scheduler = True
tg.scheduler.timezone = 'Asia/Tokyo'
server.socket_host = '127.0.0.1'
server.socket_port = 1
engine.autoreload.on = False

["/"]
own.key = 'app'

["/static"]
tools.staticdir.on = True
tools.staticdir.dir = '%(package_dir)s/static'

[logging]
[[formatters]]
[[[short]]]
format = '*(levelname)s *(name)s *(message)s'
[[handlers]]
[[[out]]]
class = 'StreamHandler'
args = '(sys.stdout,)'
formatter = 'short'
[[loggers]]
[[[jobs]]]
qualname = 'srvpkg'
level = 'INFO'
handlers = ['out']
"""


def run(folder, program):
    """Run a short program; return its exit code, and what it writes."""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=folder, env={"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60,
    )  # fmt: skip
    return done.returncode, done.stdout


def test_an_application_of_turbogears_1s_layout(tmp_path):
    files = {
        "__init__.py": "", "config/app.cfg": APP_CFG, "config/__init__.py": "", "jobs.py": JOBS,
        "controllers.py": CONTROLLERS, "static/style.css": "body {}",
    }  # fmt: skip
    for name, text in files.items():
        path = tmp_path / "srvpkg" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    with Server(
        tmp_path, "", preamble="import os, time\nwhile not os.path.exists('dev.cfg'): time.sleep(0.01)\n" + COMMANDS
    ) as server:
        text = f"[global]\nserver.socket_port = {server.port}\n[\"/\"]\nown.key = 'dev'\n"
        (tmp_path / "dev.tmp").write_text(text)
        (tmp_path / "dev.tmp").rename(tmp_path / "dev.cfg")
        assert server.up().get() == "Asia/Tokyo dev"
        assert server.get("/static/style.css") == "body {}"
        server.see("INFO srvpkg.jobs the job runs").see("LookupError: the job fails")
        assert server.stop() == 0
    log = server.log()
    assert log.count("SCHEDULER failing: the action raised LookupError") == 1
    assert f"Scheduler started: 2 tasks, zone Asia/Tokyo (tz data {zone_data_version()}), up to 100 threads." in log


@pytest.mark.parametrize("moment", ["before the import", "after it", "in quickstart"])
def test_a_bad_key_in_cherrypys_config_is_one_line_and_exit_70(tmp_path, moment):
    bad = '{"global": {"tg.scheduler": "yes", "log.screen": True}}'
    program = {
        "before the import": f"import cherrypy; cherrypy.config.update({bad}); import tgscheduler.host; print('on')",
        "after it": f"import cherrypy, tgscheduler.host; cherrypy.config.update({bad}); print('on')",
        "in quickstart": f"import cherrypy, tgscheduler.host; cherrypy.quickstart(None, config={bad}); print('on')",
    }[moment]
    code, output = run(tmp_path, program)
    assert code == 70
    (line,) = output.splitlines()
    assert line.endswith("SCHEDULER cherrypy.config tg.scheduler: expected True or False, got 'yes'; write True")


def test_a_bad_key_while_the_engine_runs_is_an_error_for_whoever_set_it(tmp_path):
    program = """if True:
        import cherrypy, tgscheduler.host
        from tgscheduler import config
        cherrypy.server.unsubscribe()
        cherrypy.engine.start()
        try:
            cherrypy.config.update({"tg.scheduler.threads": 0})
        except config.ConfigError as error:
            print("CAUGHT", error, config.get("tg.scheduler.threads"))
        cherrypy.engine.exit()
    """
    code, output = run(tmp_path, program)
    assert code == 0
    assert "CAUGHT cherrypy.config tg.scheduler.threads: expected a whole number of 1 or more, got 0 100\n" in output


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("environment = 'prod'", "[global]: CherryPy refuses one of environment, log.screen: KeyError: 'prod'"),
        ("engine.nothing.on = True", "refuses one of engine.nothing.on, log.screen: AttributeError: "),
    ],
)
def test_what_cherrypy_refuses_in_start_server_is_one_line_and_exit_70(tmp_path, key, said):
    (tmp_path / "dev.cfg").write_text(f"[global]\n{key}\nlog.screen = True\n")
    program = "import tgscheduler; tgscheduler.update_config('dev.cfg'); tgscheduler.start_server(None); print('on')"
    code, output = run(tmp_path, program)
    assert code == 70
    (line,) = output.splitlines()
    assert said in line


def test_a_bad_file_ends_a_script_with_the_one_line(tmp_path):
    (tmp_path / "dev.cfg").write_text("[global]\ntg.scheduler = yes\n")
    code, output = run(tmp_path, "import tgscheduler; tgscheduler.update_config('dev.cfg'); print('on')")
    assert code == 1
    assert output.splitlines()[-1] == (
        "tgscheduler.errors.ConfigError: dev.cfg line 2 [global] tg.scheduler: "
        "expected True or False, got yes; write True"
    )


def test_the_last_writer_wins_wherever_it_writes(tmp_path):
    program = """if True:
        import json
        import cherrypy
        from tgscheduler import config
        seen = []
        look = lambda: seen.append([config.get(f"tg.scheduler.{key}") for key in ("threads", "history", "children")])
        config.update({"tg.scheduler.history": 7})
        cherrypy.config.update({"tg.scheduler.threads": 1, "tg.other": "kept", "tools.gzip.on": True})
        look()
        import tgscheduler.host
        look()
        config.update({"tg.scheduler.threads": 2})
        look()
        cherrypy.config.update({"global": {"tg.scheduler.threads": 3}})
        cherrypy.config["tg.scheduler.children"] = 5
        look()
        config.update({"global": {"tg.scheduler.threads": 4}})
        look()
        print(json.dumps([seen, config.get("tg.other"), config.host_settings()]))
    """
    code, output = run(tmp_path, program)
    assert code == 0, output
    seen, other, host = json.loads(output)
    assert seen == [[100, 7, None], [1, 7, None], [2, 7, None], [3, 7, 5], [4, 7, 5]]
    assert other == "kept"
    assert host == {}, "what is CherryPy's own stays there"


def test_importing_the_package_loads_no_cherrypy_until_the_server_is_asked_for(tmp_path):
    program = """if True:
        import sys, tgscheduler
        tgscheduler.update_config, tgscheduler.startup, tgscheduler.config
        print("cherrypy" in sys.modules, "configobj" in sys.modules)
        tgscheduler.start_server
        import cherrypy
        print(cherrypy.engine.scheduler is sys.modules["tgscheduler.host"].plugin)
    """
    assert run(tmp_path, program) == (0, "False False\nTrue\n")


def test_settings_that_come_after_the_first_task_reach_the_scheduler(tmp_path):
    program = """
    def weekday():
        return scheduler.get_task("weekday").next_due % 86400

    scheduler.add_weekday_task(print, range(1, 8), 12, taskname="weekday")
    config.update({"tg.scheduler.timezone": "Asia/Tokyo", "tg.scheduler.stop_timeout": 0.1})

    def work():
        mark("work")
        time.sleep(600)

    def zone():
        return scheduler._get_scheduler().timezone

    startup.call_on_startup.append(lambda: scheduler.add_single_task(work))
    serve()
    """
    with Server(tmp_path, program) as server:
        server.up().see("work")
        assert server.do("zone") == "Asia/Tokyo"
        assert float(server.do("weekday")) == 3 * 3600
        assert server.kill(15).end(timeout=4) == 0
