"""The configuration: what may be set, where from, and what is said of what may not."""

import json
import subprocess
import sys
import types

import pytest
from helpers import ROOT

from tgscheduler import config
from tgscheduler.errors import ConfigError

HASH = "scrypt$16384$8$1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

GOOD = {
    "tg.scheduler": (True, False),
    "tg.scheduler.timezone": ("Europe/Berlin", "UTC", None),
    "tg.scheduler.threads": (1, 5000),
    "tg.scheduler.children": (1, 64, None),
    "tg.scheduler.stop_timeout": (0, 2.5, 3600),
    "tg.scheduler.history": (1, 10**6),
    "tg.scheduler.store": (None, "sqlite:///scheduler.db", "postgresql://app@db/app", "memory"),
    "tg.scheduler.auto_migrate": (True, False),
    "tg.scheduler.history_days": (1, 3650, None),
    "tg.scheduler.history_per_task": (1, 10**6, None),
    "tg.scheduler.store_timeout": (0.5, 60),
    "tg.scheduler.on_store_down": ("run", "pause"),
    "tg.scheduler.on_lost": ("skip", "rerun"),
    "tg.scheduler.max_takeovers": (1, 10),
    "tg.scheduler.misfire": ("run_once", "skip", "run_all"),
    "tg.scheduler.misfire_cap": (1, 100, None),
    "tg.scheduler.grace": (0, 2.5, None),
    "tg.scheduler.overlap": ("skip", "queue", "allow"),
    "tg.scheduler.max_instances": (1, 10, None),
    "tg.scheduler.timeout": (0.5, 3600, None),
    "tg.scheduler.retry": (1, 5, None),
    "tg.scheduler.console": ("/scheduler", "/", "/ops/jobs-2", None),
    "tg.scheduler.console.users": ({}, {"ops": HASH, "Jürgen B.": HASH}),
    "tg.scheduler.console.operators": ([], ("ops",), ["ops", "dev"]),
    "tg.scheduler.console.tokens": ({}, {"ci": {"hash": HASH, "role": "viewer"}, "cd": {"hash": HASH}}),
    "tg.scheduler.console.auth": ("pkg.module:function", "pkg:Class.method", None),
    "tg.scheduler.console.read_only": (True, False),
    "tg.scheduler.console.hosts": (
        [],
        ["ops.example.com", "ops.example.com:8443", "Jobs", "192.0.2.7", "2001:db8::1", "[2001:db8::1]:80"],
    ),
    "tg.scheduler.console.redact": ([], ["*iban*"]),
}

BAD = [
    ("tg.scheduler", "yes", "expected True or False, got 'yes'; write True"),
    ("tg.scheduler", "off", "expected True or False, got 'off'; write False"),
    ("tg.scheduler", "True", "expected True or False, got 'True'; write True"),
    ("tg.scheduler", 1, "expected True or False, got 1; write True"),
    ("tg.scheduler", 0, "expected True or False, got 0; write False"),
    ("tg.scheduler", None, "expected True or False, got None"),
    ("tg.scheduler", "", "expected True or False, got ''"),
    ("tg.scheduler.timezone", "Berlin", "'Berlin' is no time zone; did you mean 'Europe/Berlin'?"),
    ("tg.scheduler.timezone", 1, "expected an IANA name such as 'Europe/Berlin', or None, got 1"),
    ("tg.scheduler.timezone", ["UTC"], "expected an IANA name such as 'Europe/Berlin', or None, got ['UTC']"),
    ("tg.scheduler.timezone", "../../etc/passwd", "is no time zone"),
    ("tg.scheduler.timezone", "None", "write None"),
    ("tg.scheduler.threads", 0, "expected a whole number of 1 or more, got 0"),
    ("tg.scheduler.threads", True, "expected a whole number of 1 or more, got True"),
    ("tg.scheduler.threads", 2.5, "expected a whole number of 1 or more, got 2.5"),
    ("tg.scheduler.threads", "4", "expected a whole number of 1 or more, got '4'; write 4"),
    ("tg.scheduler.threads", None, "expected a whole number of 1 or more, got None"),
    ("tg.scheduler.children", -1, "expected a whole number of 1 or more, or None, got -1"),
    ("tg.scheduler.stop_timeout", -1, "expected 0 seconds or more, got -1"),
    ("tg.scheduler.stop_timeout", "5", "expected a number of seconds or a timedelta, got '5'; write 5"),
    ("tg.scheduler.stop_timeout", True, "expected a number of seconds or a timedelta, got True"),
    ("tg.scheduler.stop_timeout", float("inf"), "expected a finite number of seconds, got inf"),
    ("tg.scheduler.stop_timeout", float("nan"), "expected a finite number of seconds, got nan"),
    ("tg.scheduler.stop_timeout", None, "expected a number of seconds or a timedelta, got None"),
    ("tg.scheduler.history", "all", "expected a whole number of 1 or more, got 'all'"),
    ("tg.scheduler.misfire", "once", "expected one of 'run_once', 'skip', 'run_all', got 'once'"),
    ("tg.scheduler.misfire_cap", 0, "expected a whole number of 1 or more, or None, got 0"),
    ("tg.scheduler.grace", -1, "expected 0 seconds or more, got -1"),
    ("tg.scheduler.overlap", True, "expected one of 'skip', 'queue', 'allow', got True"),
    ("tg.scheduler.max_instances", "2", "expected a whole number of 1 or more, or None, got '2'; write 2"),
    ("tg.scheduler.timeout", 0, "expected more than 0 seconds, got 0"),
    ("tg.scheduler.store", "sqlite:scheduler.db", "expected 'sqlite:///file.db'"),
    ("tg.scheduler.store", "postgres://app:hush@db/app", "did you mean 'postgresql'?"),
    ("tg.scheduler.store", 5, "expected None, 'sqlite:///scheduler.db' or 'postgresql://user@host/database', got 5"),
    ("tg.scheduler.store_timeout", 0, "expected more than 0 seconds, got 0"),
    ("tg.scheduler.on_store_down", "wait", "expected 'run' or 'pause', got 'wait'"),
    ("tg.scheduler.on_lost", True, "expected one of 'skip', 'rerun', got True"),
    ("tg.scheduler.history_days", 0, "expected a whole number of 1 or more, or None, got 0"),
    ("tg.scheduler.retry", 1.5, "expected a whole number of 1 or more, or None, got 1.5"),
    ("tg.scheduler.console", True, "expected a path such as '/scheduler', or None, got True"),
    ("tg.scheduler.console", "scheduler", "expected a path such as '/scheduler', or None, got 'scheduler'"),
    ("tg.scheduler.console", "/scheduler/", "expected a path such as '/scheduler', or None, got '/scheduler/'"),
    ("tg.scheduler.console", "//evil.example", "expected a path such as '/scheduler', or None, got"),
    ("tg.scheduler.console", "/../x", "expected a path such as '/scheduler', or None, got '/../x'"),
    ("tg.scheduler.console", "None", "write None"),
    (
        "tg.scheduler.console.users",
        ["ops"],
        "expected a dict of names and hashes of passwords: {'ops': 'scrypt$…'}, got",
    ),
    ("tg.scheduler.console.users", {"ops": "hush"}, "the hash of 'ops': expected scrypt$n$r$p$salt$hash, as python -m"),
    ("tg.scheduler.console.users", {"ops": HASH.replace("16384", "1073741824")}, "with a cost of at most 256 MiB"),
    (
        "tg.scheduler.console.users",
        {"ops": HASH.replace("$1$", "$16$", 1).replace("16384", "65536")},
        "n * r * p of at",
    ),
    ("tg.scheduler.console.users", {"ops": HASH.replace("16384", "8192")}, "with an n of 16384 or more"),
    ("tg.scheduler.console.users", {"ops": HASH.replace("$8$", "$ 8$")}, "expected scrypt$n$r$p$salt$hash"),
    ("tg.scheduler.console.users", {"o:ps": HASH}, "expected names of printable characters other than ':', got 'o:"),
    ("tg.scheduler.console.users", {"": HASH}, "expected names of printable characters other than ':', got ''"),
    ("tg.scheduler.console.operators", "ops", "expected a list of names of users, got 'ops'"),
    ("tg.scheduler.console.operators", [1], "expected a list of names of users, got [1]"),
    ("tg.scheduler.console.tokens", {"ci": HASH}, "'ci': expected {'hash': 'scrypt$…', 'role': 'viewer'}"),
    ("tg.scheduler.console.tokens", {"ci": {"hash": "hush"}}, "'ci': its hash: expected scrypt$n$r$p$salt$hash"),
    (
        "tg.scheduler.console.tokens",
        {"ci": {"hash": HASH, "role": "root"}},
        "its role: expected 'viewer' or 'operator'",
    ),
    ("tg.scheduler.console.auth", "pkg.module", "expected 'pkg.module:function', or None, got 'pkg.module'"),
    ("tg.scheduler.console.auth", len, "expected 'pkg.module:function', or None, got <built-in function len>"),
    ("tg.scheduler.console.read_only", "yes", "expected True or False, got 'yes'; write True"),
    (
        "tg.scheduler.console.hosts",
        "ops.example.com",
        "expected a list of names of hosts, such as ['ops.example.com'], got",
    ),
    ("tg.scheduler.console.hosts", ["*"], "such as 'ops.example.com', got '*'; write each name as browsers send it"),
    ("tg.scheduler.console.hosts", ["a.com", ".example.com"], "got '.example.com'; write each name as browsers send"),
    ("tg.scheduler.console.hosts", ["*.example.com"], "got '*.example.com'; write each name as browsers send it"),
    ("tg.scheduler.console.hosts", ["a.com b.com"], "got 'a.com b.com'; write each name as browsers send it"),
    ("tg.scheduler.console.hosts", ["bücher.example"], "got 'bücher.example'; write each name as browsers send it"),
    ("tg.scheduler.console.hosts", ["https://x.com"], "got 'https://***'; write 'x.com'"),
    ("tg.scheduler.console.hosts", ["x.com:8443/scheduler"], "got 'x.com:8443/scheduler'; write 'x.com:8443'"),
]

UNKNOWN = [
    ("tg.schedular", "tg.scheduler"),
    ("tg.sheduler", "tg.scheduler"),
    ("tg.scheduler.timezon", "tg.scheduler.timezone"),
    ("tg.scheduler.time_zone", "tg.scheduler.timezone"),
    ("tg.Scheduler.Threads", "tg.scheduler.threads"),
    ("tg.scheduler_threads", "tg.scheduler.threads"),
    ("tg.scheduler.stoptimeout", "tg.scheduler.stop_timeout"),
    ("tg.schedular.threads", "tg.scheduler.threads"),
    ("tg.schedulerr", "tg.scheduler"),
    ("tg_scheduler", "tg.scheduler"),
]


class Evil:
    """A value whose repr raises."""

    def __repr__(self):
        raise RuntimeError("no repr")


def test_every_setting_has_a_default_that_it_accepts_and_a_sentence():
    for key, setting in config.SETTINGS.items():
        setting.check(key, setting.default)
        assert setting.doc.endswith(".")
        assert setting.expected
        assert config.get(key) == setting.default
    assert set(GOOD) == set(config.SETTINGS)


@pytest.mark.parametrize(("key", "value"), [(key, value) for key, values in GOOD.items() for value in values])
def test_good_values_are_taken_as_they_are(key, value):
    config.update({key: value})
    assert config.get(key) is value


@pytest.mark.parametrize(("key", "value", "said"), BAD)
def test_bad_values_are_one_line_with_place_key_and_mend(key, value, said):
    with pytest.raises(ConfigError) as caught:
        config.update({"global": {key: value, "server.socket_port": 1}})
    text = str(caught.value)
    assert text.startswith(f"config.update() {key}: ")
    assert said in text
    assert "\n" not in text
    assert isinstance(caught.value, ValueError)
    assert config.get("server.socket_port") is None, "a failed update changes nothing"


@pytest.mark.parametrize("key", [key for key, setting in config.SETTINGS.items() if setting.is_secret])
def test_a_password_that_is_no_hash_is_in_no_message(key, tmp_path):
    file = tmp_path / "app.cfg"
    for value in ({"ops": "hush"}, {"ops": {"hash": "hush"}}, "{'ops': 'hush'}", ["hush"], "hush"):
        file.write_text(f"[global]\n{key} = {value!r}\n")
        for update in (lambda value=value: config.update({key: value}), lambda: config.update_config(file)):
            with pytest.raises(ConfigError) as caught:
                update()
            assert key in str(caught.value)
            assert "hush" not in str(caught.value)
    file.write_text(f"[global]\n{key} = {{'ops': 'hush'\n")
    with pytest.raises(ConfigError) as caught:
        config.update_config(file)
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(("key", "near"), UNKNOWN)
def test_unknown_keys_are_told_the_nearest_spelling(key, near):
    with pytest.raises(ConfigError, match="unknown key") as caught:
        config.update({key: True})
    assert str(caught.value) == f"config.update() {key}: unknown key; did you mean {near}?"


def test_an_unknown_key_that_is_like_none_is_told_all_of_them():
    with pytest.raises(ConfigError) as caught:
        config.update({"tg.scheduler.9876543210_qqqqqqqqqqqqqqqqqqqqqqqq": 1})
    assert all(key in str(caught.value) for key in config.SETTINGS)


@pytest.mark.parametrize(
    "key", ["tg.defaultview", "tg.strict_parameters", "server.thread_pool", "visit.on", "schedule"]
)
def test_keys_that_are_not_the_schedulers_are_taken_as_they_are(key):
    config.update({key: Evil})
    assert config.get(key) is Evil


@pytest.mark.parametrize(
    "values",
    [
        {"tg.scheduler.threads": Evil()},
        {"tg.scheduler.threads": "a\nb\r\x1b[31m\u2028c"},
        {"tg.scheduler.thr\neads": 1},
        {"tg.scheduler.threads": "x" * 10**6},
        {7: 1},
        {"global": {7: 1}},
        {"global": None},
        {"global": [("tg.scheduler", True)]},
        {"/static": "x"},
        "tg.scheduler = True",
        None,
        [("tg.scheduler", True)],
    ],
    ids=lambda values: type(values).__name__,
)
def test_whatever_comes_the_error_is_one_short_line(values):
    with pytest.raises(ConfigError) as caught:
        config.update(values)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 400


def test_a_dict_may_be_flat_or_have_global_and_paths():
    config.update({"tg.scheduler": True, "a": 1, "b": {"x": 1}})
    config.update({"global": {"a": 2}, "/static": {"tools.staticdir.on": True}})
    config.update({"a": 3, "global": {"c": 4}, "/static": {"tools.staticdir.dir": "/x"}, "/": {"y": 1}})
    assert [config.get(key) for key in ("tg.scheduler", "a", "b", "c")] == [True, 3, {"x": 1}, 4]
    assert config.app_sections() == {
        "/static": {"tools.staticdir.on": True, "tools.staticdir.dir": "/x"},
        "/": {"y": 1},
    }


def test_any_mapping_will_do():
    config.update(types.MappingProxyType({"global": types.MappingProxyType({"a": 1}), "/": types.MappingProxyType({})}))
    assert config.get("a") == 1


def test_a_setting_under_a_path_would_do_nothing_and_is_an_error():
    with pytest.raises(ConfigError, match=r"config.update\(\) /: tg.scheduler|put it under \[global\]"):
        config.update({"a": 1, "/": {"tg.scheduler": True}})
    assert config.get("a") is None


def test_get_knows_the_callers_default_before_the_settings_own():
    assert config.get("tg.scheduler") is False
    assert config.get("tg.scheduler", None) is None
    assert config.get("nothing") is None
    assert config.get("nothing", 5) == 5
    config.update({"tg.scheduler": True})
    assert config.get("tg.scheduler", None) is True


def test_what_is_ours_and_what_is_the_hosts():
    config.update({"tg.scheduler": True, "tg.other": 1, "tgx": 2, "server.socket_port": 8080})
    assert config.settings() == {"tg.scheduler": True, "tg.other": 1}
    assert config.host_settings() == {"tgx": 2, "server.socket_port": 8080}


def test_the_sections_that_are_handed_out_are_copies():
    config.update({"/": {"a": 1}})
    config.app_sections()["/"]["a"] = 2
    assert config.app_sections() == {"/": {"a": 1}}


def test_the_settings_reach_the_default_scheduler():
    from tgscheduler import scheduler

    config.update({"tg.scheduler.timezone": "Asia/Tokyo", "tg.scheduler.stop_timeout": 0.25})
    assert scheduler._get_scheduler().timezone == "Asia/Tokyo"
    assert scheduler._get_scheduler().stop_timeout == 0.25


_AUDIT = """
import json, logging, sys
from tgscheduler import config, configfile, configlogging
open("warm.cfg", "w").write("[global]\\na = 'x'\\n[logging]\\n[[handlers]]\\n[[[o]]]\\nargs = '(sys.stdout,)'\\n")
config.update_config(configfile="warm.cfg")        # whatever is imported late is imported now
try:
    config.update({"tg.scheduler": "yes"})
except ValueError:
    pass
seen, errors = [], []
sys.addaudithook(lambda event, args: seen.append((event, args)))
for name in sys.argv[1:]:
    try:
        config.update_config(configfile=name)
    except ValueError as error:
        errors.append(str(error))
events, compiled = {event for event, args in seen}, {args[0] for event, args in seen if event == "compile"}
print(json.dumps([errors, sorted(events), [text if isinstance(text, str) else text.decode() for text in compiled]]))
"""


def test_reading_evaluates_nothing(tmp_path):
    hostile = [
        '__import__("os").system("touch pwned")',
        "(lambda: open('pwned', 'w'))()",
        "[].__class__.__base__.__subclasses__()",
        "f'{open(chr(112), chr(119))}'",
        "os.environ",
        "cos system (S'touch pwned' tR.",
    ]
    names = []
    for number, value in enumerate(hostile):
        names.append(f"{number}.cfg")
        (tmp_path / names[-1]).write_text(f"# a comment\n[global]\ntg.scheduler = {value}\n")
    args = "(__import__('os').system('touch pwned'),)"
    (tmp_path / "args.cfg").write_text(f'[logging]\n[[handlers]]\n[[[out]]]\nargs = "{args}"\n')
    done = subprocess.run(
        [sys.executable, "-c", _AUDIT, *names, "args.cfg"],
        cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    errors, events, compiled = json.loads(done.stdout)
    assert not (tmp_path / "pwned").exists()
    assert len(errors) == len(hostile) + 1
    for number, error in enumerate(errors[:-1]):
        assert error.startswith(f"{number}.cfg line 3 [global] tg.scheduler: expected True or False, got ")
    assert errors[-1].startswith("args.cfg line 4 [logging] [[handlers]] [[[out]]] args: expected literals, sys.stdout")
    # ast.literal_eval parses: a "compile" event with the text of one value. No exec, import, pickle, os.system, …
    assert set(events) <= {"open", "compile", "object.__getattr__"}
    assert {text.strip() for text in compiled} <= {*hostile, args, f'"{args}"'}


# -- assuming ----------------------------------------------------------------------------------------------------------


def test_what_is_assumed_counts_for_this_context_only():
    config.update({"tg.scheduler": False, "tg.scheduler.threads": 7})
    with config.assuming({"tg.scheduler": True}):
        with config.assuming({"tg.scheduler.threads": 9}):
            assert (config.get("tg.scheduler"), config.get("tg.scheduler.threads")) == (True, 9)
            assert config.settings() == {"tg.scheduler": True, "tg.scheduler.threads": 9}
        assert config.get("tg.scheduler.threads") == 7
    assert config.settings() == {"tg.scheduler": False, "tg.scheduler.threads": 7}


def test_what_is_assumed_is_checked():
    with pytest.raises(ConfigError, match="assuming"), config.assuming({"tg.scheduler": "yes"}):
        pass
