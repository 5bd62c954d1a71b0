"""The settings: each key with its check, what is expected, its default and a sentence about it.

The README's table, the console's page on health and ``check`` are made from it.
"""

import re
from collections.abc import Callable
from typing import Any, NamedTuple

from tgscheduler import passwords, stores
from tgscheduler.errors import ConfigError, SchedulerError
from tgscheduler.messages import shown
from tgscheduler.timetable import triggers, zones
from tgscheduler.timetable.policy import MISFIRES, ON_LOST, OVERLAPS

#: What a caller of the console may be.
ROLES = ("viewer", "operator")

#: A host as browsers name it: a name or an address, an IPv6 address in brackets or (here) without them; then a port.
_HOST = re.compile(
    r"([a-z0-9_-]+(\.[a-z0-9_-]+)*\.?|\[[0-9a-f:.]+\])(:[0-9]{1,5})?|[0-9a-f]*:[0-9a-f:.]+", re.IGNORECASE | re.ASCII
)


class Setting(NamedTuple):
    """One key: ``check(key, value)``, which raises for a bad value; what is ``expected``; the default; a sentence."""

    check: Callable[[str, Any], None]
    expected: str
    default: Any
    doc: str
    #: Whether no message may show the value.
    is_secret: bool = False


def _boolean(key: str, value: Any) -> None:
    if not isinstance(value, bool):
        _refuse(key, value)


def _whole(key: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        _refuse(key, value)


def _whole_or_none(key: str, value: Any) -> None:
    if value is not None:
        _whole(key, value)


def _seconds(key: str, value: Any) -> None:
    triggers.check_seconds(key, value, above_zero=key.endswith("store_timeout"))


def _seconds_or_none(key: str, value: Any) -> None:
    if value is not None:
        triggers.check_seconds(key, value, above_zero=key.endswith(".timeout"))


def _choice(choices: tuple[str, ...]) -> Callable[[str, Any], None]:
    def check(key: str, value: Any) -> None:
        if not isinstance(value, str) or value not in choices:
            _refuse(key, value)

    return check


def _zone(key: str, value: Any) -> None:
    if value is not None and not isinstance(value, str):
        _refuse(key, value)
    try:
        zones.zone(value)
    except SchedulerError as error:
        raise ConfigError(f"{key}: {error}") from None


def _store(key: str, value: Any) -> None:
    if value is not None and not isinstance(value, str):
        _refuse(key, value)
    try:
        stores.check(value or "memory")
    except SchedulerError as error:
        raise ConfigError(f"{key}: {error}") from None


def _mount(key: str, value: Any) -> None:
    if value is not None and not (isinstance(value, str) and re.fullmatch(r"/|(/[\w.~-]*[\w~-])+", value)):
        _refuse(key, value)


def _function(key: str, value: Any) -> None:
    if value is not None and not (isinstance(value, str) and re.fullmatch(r"\w+(\.\w+)*:\w+(\.\w+)*", value)):
        _refuse(key, value)


def _texts(key: str, value: Any) -> None:
    if not isinstance(value, (list, tuple)) or not all(isinstance(each, str) and each.strip() for each in value):
        _refuse(key, value)


def _hosts(key: str, value: Any) -> None:
    _texts(key, value)
    for each in value:
        if _HOST.fullmatch(each) is None:
            bare = re.sub(r"^\w+://|/.*", "", each)
            mend = f"write {shown(bare)}" if _HOST.fullmatch(bare) else "write each name as browsers send it"
            raise ConfigError(f"{key}: expected names of hosts such as 'ops.example.com', got {shown(each)}; {mend}")


def _users(key: str, value: Any) -> None:
    if not isinstance(value, dict):
        _refuse(key, value)
    for name, kept in value.items():
        _check_name(key, name)
        _check_hash(f"{key}: the hash of {shown(name)}", kept)


def _tokens(key: str, value: Any) -> None:
    if not isinstance(value, dict):
        _refuse(key, value)
    for name, token in value.items():
        _check_name(key, name)
        where = f"{key}: {shown(name)}"
        if not isinstance(token, dict) or not {"hash"} <= set(token) <= {"hash", "role"}:
            raise ConfigError(f"{where}: expected {{'hash': 'scrypt$…', 'role': 'viewer'}}")
        _check_hash(f"{where}: its hash", token["hash"])
        if token.get("role", "viewer") not in ROLES:
            raise ConfigError(f"{where}: its role: expected {' or '.join(map(repr, ROLES))}")


def _check_name(key: str, name: Any) -> None:
    if not isinstance(name, str) or not name.isprintable() or not 0 < len(name) <= 100 or ":" in name:
        raise ConfigError(f"{key}: expected names of printable characters other than ':', got {shown(name)}")


def _check_hash(where: str, kept: Any) -> None:
    try:
        passwords.check(kept if isinstance(kept, str) else "")
    except SchedulerError as error:
        raise ConfigError(f"{where}: {error}") from None


def _refuse(key: str, value: Any) -> None:
    setting = SETTINGS[key]
    got = f"a {type(value).__name__}" if setting.is_secret else shown(value)
    raise ConfigError(f"{key}: expected {setting.expected}, got {got}")


SETTINGS: dict[str, Setting] = {
    "tg.scheduler": Setting(_boolean, "True or False", False, "Whether the scheduler starts with the server."),
    "tg.scheduler.timezone": Setting(
        _zone,
        "an IANA name such as 'Europe/Berlin', or None",
        None,
        "IANA name of the zone of calendar tasks; None: the host's.",
    ),
    "tg.scheduler.threads": Setting(
        _whole, "a whole number of 1 or more", 100, "How many threaded runs there are at a time."
    ),
    "tg.scheduler.children": Setting(
        _whole_or_none,
        "a whole number of 1 or more, or None",
        None,
        "How many forked runs there are at a time; None: twice the number of cores.",
    ),
    "tg.scheduler.stop_timeout": Setting(
        _seconds, "a number of seconds", 5.0, "Seconds that running actions have when the server stops."
    ),
    "tg.scheduler.history": Setting(
        _whole, "a whole number of 1 or more", 10_000, "How many runs are remembered in memory."
    ),
    "tg.scheduler.store": Setting(
        _store,
        "None, 'sqlite:///scheduler.db' or 'postgresql://user@host/database'",
        None,
        "Where runs and tasks are remembered over restarts; None: in memory, until the process ends.",
    ),
    "tg.scheduler.auto_migrate": Setting(
        _boolean, "True or False", True, "Whether a start brings the tables of the store up to date."
    ),
    "tg.scheduler.history_days": Setting(
        _whole_or_none,
        "a whole number of 1 or more, or None",
        90,
        "For how many days a store keeps a run; None: for ever.",
    ),
    "tg.scheduler.history_per_task": Setting(
        _whole_or_none,
        "a whole number of 1 or more, or None",
        10_000,
        "How many runs of each task a store keeps; None: all.",
    ),
    "tg.scheduler.store_timeout": Setting(
        _seconds, "a number of seconds", 2.0, "Seconds after which a store that does not answer counts as down."
    ),
    "tg.scheduler.on_store_down": Setting(
        _choice(("run", "pause")),
        "'run' or 'pause'",
        "run",
        "Whether runs start while the store is down, as long as no other process can be using it, or wait for it.",
    ),
    "tg.scheduler.on_lost": Setting(
        _choice(ON_LOST),
        f"one of {', '.join(map(repr, ON_LOST))}",
        "skip",
        "What becomes of a run whose process ended before it did: it is recorded as lost, or runs again.",
    ),
    "tg.scheduler.max_takeovers": Setting(
        _whole,
        "a whole number of 1 or more",
        3,
        "How often such a run is run again at most, before it is recorded as lost all the same.",
    ),
    "tg.scheduler.misfire": Setting(
        _choice(MISFIRES),
        f"one of {', '.join(map(repr, MISFIRES))}",
        "run_once",
        "What makes up for missed occurrences: one run, none, or one each.",
    ),
    "tg.scheduler.misfire_cap": Setting(
        _whole_or_none,
        "a whole number of 1 or more, or None",
        None,
        "With 'run_all': how many missed occurrences of a task are made up for at most.",
    ),
    "tg.scheduler.grace": Setting(
        _seconds_or_none,
        "a number of seconds, or None",
        None,
        "Seconds after its due time within which an occurrence may still start; None: no limit.",
    ),
    "tg.scheduler.overlap": Setting(
        _choice(OVERLAPS),
        f"one of {', '.join(map(repr, OVERLAPS))}",
        "skip",
        "What becomes of an occurrence while its task still runs.",
    ),
    "tg.scheduler.max_instances": Setting(
        _whole_or_none,
        "a whole number of 1 or more, or None",
        None,
        "With 'allow': how many runs of a task there are at a time; None: no bound.",
    ),
    "tg.scheduler.timeout": Setting(
        _seconds_or_none, "a number of seconds, or None", None, "Seconds that a run may take; None: no limit."
    ),
    "tg.scheduler.retry": Setting(
        _whole_or_none, "a whole number of 1 or more, or None", None, "How often a failed run is tried again."
    ),
    "tg.scheduler.console": Setting(
        _mount, "a path such as '/scheduler', or None", None, "Path at which the server has the console; None: nowhere."
    ),
    "tg.scheduler.console.users": Setting(
        _users,
        "a dict of names and hashes of passwords: {'ops': 'scrypt$…'}",
        {},
        "Who may log in to the console, each with the hash of a password; without users: this host only.",
        is_secret=True,
    ),
    "tg.scheduler.console.operators": Setting(
        _texts, "a list of names of users", (), "Which of the users may act; the others only look."
    ),
    "tg.scheduler.console.tokens": Setting(
        _tokens,
        "a dict such as {'ci': {'hash': 'scrypt$…', 'role': 'viewer'}}",
        {},
        "Bearer tokens of the console's API: the hash and the role ('viewer' or 'operator') of each.",
        is_secret=True,
    ),
    "tg.scheduler.console.auth": Setting(
        _function,
        "'pkg.module:function', or None",
        None,
        "Function of the application that says who sends a request to the console: a name and a role, or None.",
    ),
    "tg.scheduler.console.read_only": Setting(
        _boolean, "True or False", False, "Whether the console and its API refuse every action."
    ),
    "tg.scheduler.console.hosts": Setting(
        _hosts,
        "a list of names of hosts, such as ['ops.example.com']",
        (),
        "Names by which browsers reach the console, beside this host's loopback names and ``server.socket_host``.",
    ),
    "tg.scheduler.console.redact": Setting(
        _texts,
        "a list of patterns such as ['*iban*']",
        (),
        "Patterns of further names whose values are hidden in arguments, logs and tracebacks.",
    ),
}
