"""Mounting the console: by the configuration, from code, once, and away again."""

import subprocess
import sys

import cherrypy
import pytest

import tgscheduler
import tgscheduler.host
from tgscheduler import config, console, passwords, scheduler
from tgscheduler.errors import ConfigError
from tgscheduler.testing import TickedScheduler


@pytest.fixture(autouse=True)
def tree(monkeypatch):
    """Give each test a tree of its own."""
    fresh = cherrypy._cptree.Tree()
    monkeypatch.setattr(cherrypy, "tree", fresh)
    return fresh


@pytest.fixture
def plugin():
    plugin = tgscheduler.host.SchedulerPlugin(cherrypy.process.wspbus.Bus())
    yield plugin
    plugin.stop()
    plugin.shut_down()


def ask(path, tree):
    """Ask CherryPy's tree for a path, as a peer on this host; return status and body."""
    begun = []
    environ = {
        "REQUEST_METHOD": "GET", "SCRIPT_NAME": "", "PATH_INFO": path, "REQUEST_URI": path, "QUERY_STRING": "",
        "REMOTE_ADDR": "127.0.0.1", "REMOTE_PORT": "1", "HTTP_HOST": "localhost", "SERVER_PROTOCOL": "HTTP/1.1",
        "SERVER_NAME": "localhost", "SERVER_PORT": "80", "wsgi.url_scheme": "http", "wsgi.input": None,
        "wsgi.multiprocess": False, "wsgi.multithread": True, "wsgi.errors": sys.stderr,
    }  # fmt: skip
    answer = tree(environ, lambda status, headers, *rest: begun.append(status))
    body = b"".join(answer)
    getattr(answer, "close", lambda: None)()
    return int(begun[0].split()[0]), body


class Root:
    @cherrypy.expose
    def default(self, *path):
        return f"the application: {'/'.join(path)}"


def test_it_is_beside_and_below_other_applications(tree):
    tree.mount(Root(), "")
    tree.mount(Root(), "/shop")
    console.mount("/shop/jobs")
    console.mount("/scheduler")
    for path in ("/shop/jobs/healthz", "/scheduler/healthz", "//scheduler/healthz"):
        assert ask(path, tree) == (503, b"stopped\n")
    assert ask("/shop/x", tree) == (200, b"the application: x")
    assert ask("/schedulers", tree) == (200, b"the application: schedulers")
    assert ask("/scheduler/healthz/", tree)[0] == 404


def test_it_may_have_the_whole_server(tree):
    console.mount("/")
    assert ask("/healthz", tree) == (503, b"stopped\n")
    assert ask("/nothing", tree)[0] == 404


def test_it_shows_the_default_scheduler_or_the_given_one(tree):
    ticked = TickedScheduler(start=0)
    assert console.mount("/a").scheduler is scheduler.configured_scheduler()
    assert tgscheduler.console.mount("/b", ticked).scheduler is ticked
    assert ask("/a/healthz", tree) == (503, b"stopped\n")
    assert ask("/b/healthz", tree) == (200, b"ok\n")


def test_mounting_again_takes_the_place_of_the_first(tree):
    first, second = console.mount("/a"), console.mount("/a", TickedScheduler(start=0))
    assert first is not second
    assert ask("/a/healthz", tree) == (200, b"ok\n")
    assert len(tree.apps) == 1


def test_unmounting_takes_away_the_console_and_nothing_else(tree):
    tree.mount(Root(), "/shop")
    console.mount("/a")
    assert console.is_mounted("/a")
    for path in ("/a", "/a", "/shop", "/never"):
        console.unmount(path)
        assert not console.is_mounted(path)
    assert list(tree.apps) == ["/shop"]


def test_the_path_of_another_application_is_not_taken(tree):
    tree.mount(Root(), "/shop")
    with pytest.raises(ConfigError, match="another application is mounted at '/shop'; expected a free path"):
        console.mount("/shop")


@pytest.mark.parametrize("path", ["scheduler", "", "/a/", "/a b", 1])
def test_a_path_that_is_none_is_refused(path):
    with pytest.raises(ConfigError, match="expected a path such as '/scheduler'"):
        console.mount(path)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"operators": ["ops"]}, "operators: 'ops' is no user; give it a password in tg.scheduler.console.users"),
        ({"auth": "nowhere.at:all"}, "auth: 'nowhere.at:all' cannot be imported: No module named 'nowhere'"),
        ({"auth": "tgscheduler:nothing"}, "'tgscheduler:nothing' cannot be imported: module 'tgscheduler' has no attr"),
        ({"auth": "tgscheduler:__all__"}, "expected a function, and 'tgscheduler:__all__' is \\['add_cron_like_task"),
    ],
)
def test_settings_that_cannot_work_are_refused_at_the_mount(tree, settings, said):
    config.update({f"tg.scheduler.console.{name}": value for name, value in settings.items()})
    with pytest.raises(ConfigError, match=said):
        console.mount("/scheduler")
    assert not tree.apps


def test_settings_that_come_later_hold(tree):
    mounted = console.mount("/scheduler")
    assert not mounted.settings.read_only
    config.update({"tg.scheduler.console.read_only": True, "tg.scheduler.console.hosts": ["ops.example.com"]})
    assert mounted.settings.read_only
    assert mounted.settings.hosts == ["ops.example.com"]


# -- by the configuration ----------------------------------------------------------------------------------------------


def test_the_configured_console_is_there_from_the_start_to_the_stop(tree, plugin):
    config.update({"tg.scheduler": True, "tg.scheduler.console": "/scheduler"})
    for _ in range(2):
        plugin.start()
        assert list(tree.apps) == ["/scheduler"]
        assert ask("/scheduler/healthz", tree) == (200, b"ok\n")
        plugin.stop()
        plugin.shut_down()
        assert not tree.apps


def test_without_the_key_there_is_none(tree, plugin):
    plugin.start()
    assert not tree.apps


def test_a_server_whose_scheduler_is_off_shows_that(tree, plugin):
    config.update({"tg.scheduler.console": "/scheduler"})
    plugin.start()
    assert ask("/scheduler/healthz", tree) == (503, b"stopped\n")
    status, page = ask("/scheduler/", tree)
    assert status == 200
    assert b"Set tg.scheduler = True" in page


def test_a_console_from_code_stays_where_it_is(tree, plugin):
    mounted = console.mount("/scheduler", TickedScheduler(start=0))
    config.update({"tg.scheduler.console": "/scheduler"})
    plugin.start()
    assert tree.apps["/scheduler"].console is mounted
    plugin.stop()
    plugin.shut_down()
    assert tree.apps["/scheduler"].console is mounted


def test_a_server_does_not_start_with_a_console_that_cannot_be(tree, plugin):
    said = []
    plugin.bus.subscribe("log", lambda text, level: said.append((level, text)))
    config.update({"tg.scheduler.console": "/scheduler", "tg.scheduler.console.auth": "nowhere.at:all"})
    with pytest.raises(ConfigError):
        plugin.start()
    assert said[0][0] == 40
    assert said[0][1].startswith("The console cannot be mounted: tg.scheduler.console.auth: 'nowhere.at:all'")


def test_without_jinja_the_key_is_an_error_with_the_line_that_mends_it():
    code = (
        "import sys; sys.modules['jinja2'] = None\n"
        "from tgscheduler import console\n"
        "try:\n    console.mount('/scheduler')\n"
        "except ValueError as error:\n    print(type(error).__name__, error)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said == "ConfigError tg.scheduler.console: needs Jinja2; pip install 'tgscheduler[console]'\n"


def test_a_server_that_cannot_have_its_console_does_not_start(capfd):
    """One line in the log and exit status 70, as with any other setting that is wrong."""
    code = (
        "import sys; sys.modules['jinja2'] = None\n"
        "import tgscheduler\n"
        "tgscheduler.config.update({'tg.scheduler.console': '/scheduler'})\n"
        "tgscheduler.start_server(object())"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 70
    said = capfd.readouterr()
    assert "SCHEDULER tg.scheduler.console: needs Jinja2; pip install 'tgscheduler[console]'" in said.out + said.err
    assert "Traceback" not in said.out + said.err


def test_the_console_comes_only_when_it_is_used():
    code = "import tgscheduler.host, sys; print('jinja2' in sys.modules, 'tgscheduler.console.app' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said == "False False\n"


def test_users_of_the_configuration_log_in(tree, monkeypatch):
    monkeypatch.setattr(passwords, "N", passwords.LEAST_N)
    config.update({"tg.scheduler.console.users": {"ops": passwords.hash_password("x")}})
    console.mount("/scheduler")
    assert ask("/scheduler/api/v1/tasks", tree)[0] == 401
    assert ask("/scheduler/healthz", tree)[0] == 503
