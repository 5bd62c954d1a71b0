"""app.cfg and dev.cfg: what is read, in which order, and what is said of a file that cannot be right."""

import logging
import sys
from pathlib import Path

import pytest

from tgscheduler import config, update_config
from tgscheduler.errors import ConfigError


@pytest.fixture
def write(tmp_path):
    """Write a file of a name with lines, and return its path."""

    def write_file(name, *lines):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return str(path)

    return write_file


@pytest.fixture
def package(write, tmp_path, monkeypatch):
    """An application of TurboGears 1's layout, which must not be imported; its name."""
    for name in ("", "sub/"):
        write(f"cfgpkg/{name}__init__.py", "raise SystemExit('reading its configuration has imported it')")
    monkeypatch.syspath_prepend(tmp_path)
    return "cfgpkg"


def error_of(path, **more):
    """Return what update_config says of a file; the line must be one, and nothing may have changed."""
    config.update({"before": 1})
    with pytest.raises(ConfigError) as caught:
        update_config(configfile=path, **more)
    assert str(caught.value).isprintable()
    assert config.host_settings() == {"before": 1}
    assert not config.settings()
    return str(caught.value).replace(str(Path(path).parent) + "/", "")


# -- what is read, and in which order ------------------------------------------------------------------------------


def test_the_applications_file_comes_first_and_the_deployments_over_it(write, package):
    write("cfgpkg/config/log.cfg", "[global]", "a = 'log'", "b = 'log'", "c = 'log'", '["/"]', "x = 'log'")
    write("cfgpkg/config/app.cfg", "[global]", "b = 'app'", "c = 'app'", '["/"]', "x = 'app'", "y = 'app'")
    dev = write("dev.cfg", "[global]", "c = 'dev'", "tg.scheduler = True", '["/"]', "y = 'dev'")
    update_config(configfile=dev, modulename="cfgpkg.config")
    assert [config.get(key) for key in "abc"] == ["log", "app", "dev"]
    assert config.get("tg.scheduler") is True
    assert config.app_sections() == {"/": {"x": "app", "y": "dev"}}


def test_config_cfg_is_read_where_there_is_no_app_cfg(write, package):
    write("cfgpkg/config.cfg", "[global]", "a = 'config'")
    write("cfgpkg/log.cfg", "[global]", "b = 'log'")
    update_config(modulename="cfgpkg.config")
    assert (config.get("a"), config.get("b")) == ("config", "log")
    write("cfgpkg/config/app.cfg", "[global]", "a = 'app'")
    update_config(modulename="cfgpkg.config")
    assert config.get("a") == "app"


def test_the_folders_of_the_packages(write, package, tmp_path):
    lines = (
        "[global]",
        "top = '%(top_level_dir)s/x'",
        "deep = ['%(package_dir)s', ('%(package_dir)s', {'k': '%(top_level_dir)s'})]",
    )
    write("cfgpkg/sub/config/app.cfg", *lines, '["/static"]', "tools.staticdir.dir = '%(package_dir)s/static'")
    dev = write("deploy/dev.cfg", "[global]", "dev = '%(top_level_dir)s'")
    update_config(configfile=dev, modulename="cfgpkg.sub.config")
    top, deep = str(tmp_path / "cfgpkg"), str(tmp_path / "cfgpkg" / "sub")
    assert config.get("top") == f"{top}/x"
    assert config.get("deep") == [deep, (deep, {"k": top})]
    assert config.get("dev") == top
    assert config.app_sections()["/static"] == {"tools.staticdir.dir": f"{deep}/static"}


def test_a_doubled_percent_before_a_name_stands_for_itself(write, tmp_path):
    lines = {
        "'%%(user)s'": "%(user)s",
        "'%%(top_level_dir)s'": "%(top_level_dir)s",
        "'%%%(top_level_dir)s'": f"%{tmp_path}",
        "'%%%%(x)s and 5%% of %d'": "%%(x)s and 5%% of %d",
        "['%%(a)s', {'b': '%%(c)s'}]": ["%(a)s", {"b": "%(c)s"}],
    }
    path = write("dev.cfg", "[global]", *(f"key{number} = {line}" for number, line in enumerate(lines)))
    update_config(configfile=path)
    assert [config.get(f"key{number}") for number in range(len(lines))] == list(lines.values())


def test_without_modulename_both_folders_are_the_files(write, tmp_path, monkeypatch):
    write("deploy/dev.cfg", "[global]", "a = '%(top_level_dir)s|%(package_dir)s'")
    monkeypatch.chdir(tmp_path / "deploy")
    update_config(configfile="dev.cfg")
    assert config.get("a") == f"{tmp_path}/deploy|{tmp_path}/deploy"


def test_a_path_object_will_do(write):
    update_config(Path(write("dev.cfg", "[global]", "a = 1")))
    assert config.get("a") == 1


def test_literals_of_every_kind(write):
    path = write(
        "dev.cfg",
        "\ufeff# begins with a byte order mark",
        "[global]",
        "tg.scheduler = True  # a comment",
        "none = None",
        "numbers = [1, -2.5, 0x10, 1e3]",
        "text = 'with # and = and ü'",
        "table = {'a.b': (1, 'x')}",
        "'quoted key' = 1",
        "percent = '100 % of 5%'",
        "date = '%Y-%m-%d %s %(a)d %%'",
    )
    update_config(path)
    assert config.get("numbers") == [1, -2.5, 16, 1000.0]
    assert config.get("text") == "with # and = and ü"
    assert config.get("table") == {"a.b": (1, "x")}
    assert config.get("quoted key") == 1
    assert config.get("percent") == "100 % of 5%", "a single % is literal"
    assert config.get("date") == "%Y-%m-%d %s %(a)d %%"
    assert config.get("none", 5) is None


def test_other_sections_get_one_warning_each(write, caplog):
    path = write(
        "dev.cfg", "[global]", "a = 1", "[[inner]]", "b = 2", "[visit]", "c = 3", "d = 4", "[tg.scheduler]", "on = 1"
    )
    update_config(path)
    assert [record.levelname for record in caplog.records] == ["WARNING"] * 3
    text = "\n".join(record.getMessage() for record in caplog.records)
    for where in ("line 3 [global] [[inner]]", "line 5 [visit]", "line 8 [tg.scheduler]"):
        assert f"dev.cfg {where}: is no section that is known here, and is left out" in text
    assert config.host_settings() == {"a": 1}


# -- what is said of a bad file ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("tg.scheduler = yes", "tg.scheduler: expected True or False, got yes; write True"),
        ("tg.scheduler = on   # please", "tg.scheduler: expected True or False, got on; write True"),
        ("tg.scheduler = true", "tg.scheduler: expected True or False, got true; write True"),
        ("tg.scheduler = OFF", "tg.scheduler: expected True or False, got OFF; write False"),
        ("tg.scheduler = 'true'", "tg.scheduler: expected True or False, got 'true'; write True"),
        ("tg.scheduler =", "tg.scheduler: expected True or False, got ''"),
        ("tg.scheduler.threads = yes", "tg.scheduler.threads: expected a whole number of 1 or more, got yes"),
        ("tg.scheduler.threads = '8'", "tg.scheduler.threads: expected a whole number of 1 or more, got '8'; write 8"),
        ("tg.scheduler.timezone = Europe/Berlin", "or None, got Europe/Berlin; write 'Europe/Berlin'"),
        ("tg.scheduler.timezone = Berlin", "or None, got Berlin; did you mean 'Europe/Berlin'?"),
        ("tg.scheduler.timezone = 'Berlin'", "timezone: 'Berlin' is no time zone; did you mean 'Europe/Berlin'?"),
        ("tg.scheduler.children = none", "expected a whole number of 1 or more, or None, got none; write None"),
        ("tg.scheduler.stop_timeout = 1e999", "stop_timeout: expected a finite number of seconds, got inf"),
        ("tg.schedular = True", "tg.schedular: unknown key; did you mean tg.scheduler?"),
        ("tg.schedular = yes", "tg.schedular: unknown key; did you mean tg.scheduler?"),
        ("tg.scheduler.zone = 'UTC'", "unknown key; did you mean tg.scheduler"),
        ("engine.autoreload.on = off", "engine.autoreload.on: expected a Python literal: a string in quotes, a number"),
        ("engine.autoreload.on = off", "got off; write False"),
        ("server.socket_host = localhost", "got localhost; write 'localhost'"),
        ("a = 'it's'", "a: expected a Python literal"),
        ("a = [1,", "a list or a dict on one line; got [1,"),
        ("a = '''x", "a: expected a Python literal"),
        ("a = 1; b = 2", "a: expected a Python literal"),
        ("a = " + "[" * 500 + "]" * 500, "a: expected a Python literal"),
        ("a = True\0", "a: expected a Python literal"),
        ("a = '%(home)s'", "a: %(home)s is not known; known are %(top_level_dir)s and %(package_dir)s"),
        ("a = '%(home)s'", "text that has it says %%(home)s"),
        ("a = '''x'''", "a: expected a Python literal: a string in quotes"),
        ("a = '''x'''", "got '''x'''; triple quotes are not read: write 'one line\\nand the next'"),
        ("a = '%(a)s'", "a: %(a)s is not known"),
        ("a = [{'x': '%()s'}]", "a: %()s is not known"),
        ("just words", "expected key = value or a [section], got 'just words'"),
        ("= 3", "expected key = value or a [section], got '= 3'"),
        ("a" * 500, "expected key = value or a [section]"),
    ],
)  # fmt: skip
def test_a_bad_line_is_named(write, line, said):
    text = error_of(write("dev.cfg", "# a comment", "[global]", "ok = 1", line))
    assert text.startswith("dev.cfg line 4 [global]")
    assert said in text
    assert len(text) < 400


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["[global]", "a = 1", "b = 2", "a = 3"], "line 4 [global] a: the key stands twice, first on line 2"),
        (["[global]", "a = 1", "[/]", "[global]"], "line 4 [global]: the section stands twice, first on line 1"),
        (["tg.scheduler = True", "[global]"], "line 1 tg.scheduler: stands before any section; put [global] above it"),
        (["[[global]]", "a = 1"], "line 1 [global]: expected a section such as [global], below it [[name]], got"),
        (["[global", "a = 1"], "line 1: expected key = value or a [section], got '[global'"),
        (["['/']", "a = 1", "tg.scheduler = True"], "line 3 [/] tg.scheduler: is a setting of the whole server"),
        (["[global]", "x = 1", '["/"]', "x = yes"], 'line 4 [/] x: expected a Python literal'),
        (["[global]", "x = 1", '["/"]', "x = '%(y)s'"], "line 4 [/] x: %(y)s is not known"),
        (["[global]", "a = 1", "b = '''", "one", "two'''", "c = 1"], "line 3 [global] b: expected a Python literal"),
        (["[global]", 'b = """one', "[/]", "c = 1", 'b = 2"""'], "line 2 [global] b: expected a Python literal"),
    ],
)  # fmt: skip
def test_a_bad_structure_is_named(write, lines, said):
    assert error_of(write("dev.cfg", *lines)).startswith(f"dev.cfg {said}")


def test_a_bad_deployment_file_leaves_the_applications_unread(write, package):
    write("cfgpkg/config/app.cfg", "[global]", "a = 1", "tg.scheduler = True", '["/"]', "x = 1")
    error_of(write("dev.cfg", "[global]", "tg.scheduler.threads = 0"), modulename="cfgpkg.config")
    assert not config.app_sections()


def test_a_file_that_cannot_be_read(write, tmp_path):
    assert error_of(str(tmp_path / "none.cfg")) == "none.cfg: cannot be read: No such file or directory"
    (tmp_path / "folder.cfg").mkdir()
    assert error_of(str(tmp_path / "folder.cfg")) == "folder.cfg: cannot be read: Is a directory"
    (tmp_path / "latin.cfg").write_bytes("[global]\na = 'ü'\n".encode("latin-1"))
    assert error_of(str(tmp_path / "latin.cfg")).startswith("latin.cfg: cannot be read: it is not encoded in UTF-8")
    assert error_of(str(tmp_path / "new\nline.cfg")).startswith("new\\nline.cfg: cannot be read")


@pytest.mark.parametrize(
    ("modulename", "said"),
    [
        ("cfgpkg", "expected a dotted name such as 'yourpkg.config'"),
        ("", "expected a dotted name"),
        (".config", "expected a dotted name"),
        ("no_such_package.config", "there is no package 'no_such_package' on the import path"),
        ("cfgpkg.nothing.config", "there is no package 'cfgpkg.nothing' on the import path"),
        ("cfgpkg..config", "there is no package 'cfgpkg.' on the import path"),
        ("__main__.config", "there is no package '__main__'"),
        ("json.decoder.config", "there is no package 'json.decoder'"),
        ("cfgpkg.config", "expected one of "),
    ],
)
def test_a_modulename_that_leads_nowhere(package, modulename, said):
    with pytest.raises(ConfigError) as caught:
        update_config(modulename=modulename)
    assert str(caught.value).startswith(f"modulename {modulename!r}: ")
    assert said in str(caught.value)


def test_neither_file_nor_module():
    with pytest.raises(ConfigError, match="expected a configfile or a modulename, got neither"):
        update_config()


# -- [logging] -----------------------------------------------------------------------------------------------------

LOG_CFG = (
    "[logging]",
    "[[formatters]]",
    "[[[message_only]]]",
    "format='*(message)s'",
    "[[[full_content]]]",
    "format='*(levelname)s *(name)s *(message)s'",
    "datefmt='%H:%M'",
    "[[handlers]]",
    "[[[debug_out]]]",
    "class='StreamHandler'",
    "level='DEBUG'",
    "args='(sys.stdout,)'",
    "formatter='full_content'",
    "[[[access_out]]]",
    "class='FileHandler'",
    "args=\"('%(top_level_dir)s/access.log', 'w')\"",
    "formatter='message_only'",
)

DEV_CFG = (
    "[logging]",
    "[[loggers]]",
    "[[[cfgpkg]]]",
    "level='DEBUG'",
    "qualname='cfgpkg.logs'",
    "handlers=['debug_out']",
    "propagate=0",
    "[[[access]]]",
    "level='INFO'",
    "qualname='cfgpkg.access'",
    "handlers='access_out'",
    "propagate=False",
)


def test_logging_in_turbogears_1s_form(write, package, tmp_path, capsys):
    write("cfgpkg/config/app.cfg", "[global]")
    write("cfgpkg/config/log.cfg", *LOG_CFG)
    dev = write("dev.cfg", *DEV_CFG)
    for _ in range(3):  # once more, as a restart in the process does, doubles nothing
        update_config(configfile=dev, modulename="cfgpkg.config")
        logging.getLogger("cfgpkg.logs.x").debug("hello %s", "there")
        logging.getLogger("cfgpkg.access").info("GET /")
        logging.getLogger("cfgpkg.access").debug("below its level")
    assert capsys.readouterr().out == "DEBUG cfgpkg.logs.x hello there\n" * 3
    assert (tmp_path / "cfgpkg" / "access.log").read_text() == "GET /\n" * 3, "opened once, though its mode is 'w'"
    config.reset()
    assert logging.getLogger("cfgpkg.logs").handlers == []
    assert logging.getLogger("cfgpkg.logs").propagate


def test_a_later_call_may_name_the_handlers_of_an_earlier_one_and_change_them(write, package, tmp_path, capsys):
    write("cfgpkg/config.cfg", *LOG_CFG)
    update_config(modulename="cfgpkg.config")
    update_config(configfile=write("dev.cfg", *DEV_CFG))
    update_config(
        configfile=write("more.cfg", "[logging]", "[[handlers]]", "[[[debug_out]]]", "formatter='message_only'")
    )
    logging.getLogger("cfgpkg.logs").info("once")
    assert capsys.readouterr().out == "once\n"


def test_a_logger_without_qualname_is_the_root(write, capsys):
    lines = [*LOG_CFG[:13], "[[loggers]]", "[[[allinfo]]]", "level='INFO'", "handlers=['debug_out']"]
    root = logging.getLogger()
    level = root.level
    update_config(configfile=write("dev.cfg", *lines))
    logging.getLogger("cfgpkg.other").info("seen")
    logging.getLogger("cfgpkg.other").debug("not seen")
    assert capsys.readouterr().out == "INFO cfgpkg.other seen\n"
    config.reset()
    assert root.level == level


def test_other_handler_classes_and_plain_tuples(write, tmp_path):
    lines = (
        "[logging]", "[[handlers]]",
        "[[[turned]]]", "class='handlers.RotatingFileHandler'", "args=('%(package_dir)s/r.log', 'a', 9)", "level=20",
        "[[[err]]]", "args='(sys.stderr,)'", "[[[none]]]", "class='logging.NullHandler'",
        "[[loggers]]", "[[[a]]]", "qualname='cfgpkg.a'", "level='INFO'", "handlers=('turned', 'err', 'none')",
    )  # fmt: skip
    update_config(configfile=write("dev.cfg", *lines))
    names = [type(handler).__name__ for handler in logging.getLogger("cfgpkg.a").handlers]
    assert names == ["RotatingFileHandler", "StreamHandler", "NullHandler"]
    logging.getLogger("cfgpkg.a").info("x")
    assert (tmp_path / "r.log").read_text() == "x\n"


def test_an_unknown_key_in_logging_gets_a_warning(write, caplog):
    lines = "[logging]", "[[loggers]]", "[[[a]]]", "qualname='cfgpkg.a'", "channel='x'"
    update_config(configfile=write("dev.cfg", *lines))
    assert [record.getMessage().partition("dev.cfg ")[2] for record in caplog.records] == [
        "line 5 [logging] [[loggers]] [[[a]]] channel: is no key that is known here, and is left out"
    ]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["[[handler]]"], "line 2 [logging] [[handler]]: expected one of [[formatters]], [[handlers]], [[loggers]]"),
        (["handlers = 1"], "line 2 [logging] handlers: expected one of [[formatters]]"),
        (["[[handlers]]", "out = 1"], "line 3 [logging] [[handlers]] out: expected a section [[[out]]], got a value"),
        (["[[handlers]]", "[[[out]]]", "class = 'Nope'"], "class: expected one of logging's handlers such as"),
        (["[[handlers]]", "[[[out]]]", "class = 'Logger'"], "[[[out]]] class: expected one of logging's handlers"),
        (["[[handlers]]", "[[[out]]]", "args = '(open(1),)'"], "args: expected literals, sys.stdout or sys.stderr"),
        (["[[handlers]]", "[[[out]]]", "args = '(sys.stdout)'"], "args: expected literals, sys.stdout or sys.stderr"),
        (["[[handlers]]", "[[[out]]]", "args = '(1, 2, 3)'"], "StreamHandler(1, 2, 3) cannot be made"),
        (["[[handlers]]", "[[[out]]]", "args = '(\"%(x)s\",)'"], "args: %(x)s is not known"),
        (["[[handlers]]", "[[[out]]]", "level = 'LOUD'"], "level: expected one of DEBUG, INFO, WARNING, ERROR"),
        (["[[handlers]]", "[[[out]]]", "formatter = 'x'"], "formatter: there is no formatter 'x'; defined are none"),
        (["[[formatters]]", "[[[f]]]", "format = '%(message)s'"], "format: %(message)s is not known; known are"),
        (["[[formatters]]", "[[[f]]]", "format = '%(message)s'"], "a format says *(message)s"),
        (["[[formatters]]", "[[[f]]]", "format = '*(message)'"], "format: expected a format such as '*(message)s'"),
        (["[[formatters]]", "[[[f]]]", "datefmt = 1"], "datefmt: expected a string, got 1"),
        (["[[loggers]]", "[[[l]]]", "handlers = ['x']"], "handlers: there is no handler 'x'; defined are none"),
        (["[[loggers]]", "[[[l]]]", "handlers = 1"], "handlers: expected a list of handlers' names, got 1"),
        (["[[loggers]]", "[[[l]]]", "handlers = [[]]"], "handlers: there is no handler []"),
        (["[[loggers]]", "[[[l]]]", "qualname = 1"], "qualname: expected a logger's name in quotes, got 1"),
        (["[[loggers]]", "[[[l]]]", "propagate = '0'"], "propagate: expected 0 or 1, got '0'"),
        (["[[loggers]]", "[[[l]]]", "level = True"], "level: expected one of DEBUG"),
    ],
)  # fmt: skip
def test_bad_logging_is_named(write, lines, said):
    text = error_of(write("dev.cfg", "[logging]", *lines))
    assert text.startswith("dev.cfg line ")
    assert said in text


def test_bad_logging_changes_nothing_and_leaves_no_file_open(write, tmp_path):
    logger = logging.getLogger("cfgpkg.kept")
    good = [*LOG_CFG, "[[loggers]]", "[[[kept]]]", "qualname='cfgpkg.kept'", "handlers=['access_out']"]
    update_config(configfile=write("good.cfg", *good))
    before = logger.handlers[:]
    other = "[[[more]]]", "class='FileHandler'", "args=('%(package_dir)s/more.log',)"
    impossible = "[[[zz]]]", "class='FileHandler'", "args=('/no/such/folder/x.log',)"
    path = write("bad.cfg", "[global]", "tg.scheduler = True", "[logging]", "[[handlers]]", *other, *impossible)
    with pytest.raises(ConfigError, match=r"FileHandler\('/no/such/folder/x.log'\) cannot be made"):
        update_config(configfile=path)
    assert config.get("tg.scheduler") is False
    assert logger.handlers == before
    open_files = [Path(f"/proc/self/fd/{fd}") for fd in range(3, 64)] if sys.platform == "linux" else []
    assert not [link for link in open_files if link.is_symlink() and link.readlink() == tmp_path / "more.log"]


def test_stdout_is_the_one_there_is_when_something_is_written(write, monkeypatch):
    import io

    lines = [*LOG_CFG[:13], "[[loggers]]", "[[[a]]]", "qualname='cfgpkg.a'", "level='INFO'", "handlers=['debug_out']"]
    update_config(configfile=write("dev.cfg", *lines))
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    logging.getLogger("cfgpkg.a").info("x")
    assert sys.stdout.getvalue() == "INFO cfgpkg.a x\n"
