"""A password stands in no message, whatever it is, wherever it was written, whoever says it."""

import string
from urllib.parse import quote, quote_plus

import psycopg
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tgscheduler import config, stores, update_config
from tgscheduler.errors import SchedulerError
from tgscheduler.messages import redact, shown, without

#: In the middle of each password: what is looked for, as a part of one is a leak as well.
MARK = "Hu5hHu5h"

_PARTS = st.one_of(
    st.text(max_size=6),
    st.text("@/:?#&=%'\" \\\n[](){}," + string.digits, max_size=6),
    st.sampled_from(["", "@", "/", "12/", "12?a=", "@h/", "://", "%40", "%(x)s", "; ", "' + '", "\0", "=", "#", ", "]),
)
PASSWORDS = st.builds(lambda before, after: f"{before}{MARK}{after}", _PARTS, _PARTS)

#: How a password is written into a value.
FORMS = {
    "url": "postgresql://app:{}@db/shop",
    "sqlalchemy": "postgresql+psycopg://app:{}@db:5432/shop",
    "upper case": "POSTGRESQL://app:{}@db/shop",
    "misspelt": "postgres://app:{}@db/shop",
    "other": "mysql://app:{}@db/shop",
    "no slashes": "postgresql:app:{}@db/shop",
    "no scheme": "app:{}@db/shop",
    "no host": "postgresql://app:{}",
    "no database": "postgresql:/app:{}@db",
    "no user": "postgresql://:{}@db/shop",
    "sqlite": "sqlite://app:{}@db/shop",
    "query": "postgresql://db/shop?password={}",
    "empty host": "postgresql:///shop?user=app&password={}&sslmode=require",
    "spelt": "postgresql://db/shop?p%61ssword={}",
    "ssl": "postgresql://db/shop?sslpassword={}",
    "file": "postgresql://db/shop?passfile=/{}",
    "sqlite query": "sqlite:///runs.db?password={}",
    "keywords": "host=db user=app password={} dbname=shop",
    "quoted keywords": "host = db password = '{}'",
    "ssl keywords": "host=db sslpassword={}",
    "spelt url": "postgresql%3A%2F%2Fapp%3A{}%40db",
}
WRITTEN = {"as it is": str, "quoted": quote, "fully quoted": lambda text: quote(text, ""), "plus": quote_plus}


def encodable(text):
    return text.encode("utf-8", "replace").decode("utf-8")


def values_of(password):
    """Yield values that have a password in them."""
    for form in FORMS.values():
        for write in WRITTEN.values():
            url = form.format(write(encodable(password)))
            yield url
    yield [url]
    yield {"url": url, "n": 1}
    yield ({"password": password},)
    yield url.encode()


def said_of(action, *args):
    """Return all that an action says: its error and that error's repr, and what is logged."""
    try:
        found = action(*args)
    except (SchedulerError, TypeError) as error:
        return [str(error), repr(error)]
    return [repr(found)]


@settings(derandomize=True, deadline=None, max_examples=30)
@given(password=PASSWORDS)
@example(password=f"12/{MARK}")
@example(password=f"pa@{MARK}@x")
@example(password=f"12?dbname={MARK}")
def test_a_password_is_in_no_message_about_a_value(password):
    for value in values_of(password):
        assert MARK not in shown(value)
        assert MARK not in redact(value if isinstance(value, str) else repr(value))


def open_store(url):
    store = stores.open(url)
    return store, getattr(store, "name", "")


@settings(derandomize=True, deadline=None, max_examples=20)
@given(password=PASSWORDS)
@example(password=f"12/{MARK}")
@example(password=f"12/{MARK}?")
@example(password=f"12?options={MARK}")
@example(password=f"@{MARK}")
@example(password=f"1,2/{MARK}")
def test_a_password_is_in_nothing_that_a_store_says(password):
    for value in values_of(password):
        if isinstance(value, str) and value.startswith("postgresql://app:") and "@db" not in value:
            continue  # all of it could be a host's name
        for said in said_of(open_store, value):
            assert MARK not in said, value


@settings(derandomize=True, deadline=None, max_examples=8)
@given(password=PASSWORDS, key=st.sampled_from([*config.SETTINGS, "tg.scheduler.stor", "tg.schedulr", "/"]))
def test_a_password_under_any_key_is_in_no_error(password, key):
    for value in values_of(password):
        for said in said_of(config.update, {key: value}):
            assert MARK not in said, (key, value)
        for said in said_of(config.update, {f"tg.scheduler {value!r}": 1}):
            assert MARK not in said, value
        for said in said_of(config.update, value):
            assert MARK not in said, value


LINES = [
    "tg.scheduler.store = '{}'",
    "tg.scheduler.store = {}",
    "tg.scheduler.stor = '{}'",
    "tg.scheduler.timezone = '{}'",
    "tg.scheduler.timezone = {}",
    "tg.scheduler.stop_timeout = ['{}']",
    "tg.scheduler.store '{}'",
    "tg.scheduler.store {}",
    "{}",
    "{} = 1",
    "[{}]",
    "[[{}]]",
    "a = '%(x)s{}'",
    "a = '''{}",
    "a = {}",
    "a = 1\na = '{}'",
    "[logging]\n[[handlers]]\n[[[out]]]\nargs = '{}'",
    "[logging]\n[[handlers]]\n[[[out]]]\nclass = 'HTTPHandler'\nargs = ('db', '/', 'NO', False, ('app', '{}'))",
    "[logging]\n[[handlers]]\n[[[out]]]\nlevel = '{}'",
    "[logging]\n[[loggers]]\n[[[out]]]\nhandlers = ['{}']",
    "[logging]\n[[{}]]",
    "[logging]\n{} = 1",
    "[logging]\n[[handlers]]\n[[[out]]]\n{} = 1",
]


@pytest.mark.parametrize("line", LINES)
@settings(derandomize=True, deadline=None, max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(password=PASSWORDS)
def test_a_password_on_any_line_is_in_no_error_and_no_log(tmp_path, caplog, line, password):
    caplog.clear()
    for form in ("url", "query", "keywords", "no scheme"):
        value = FORMS[form].format(encodable(password).replace("\n", " "))
        if form == "no scheme" and "=" in password:
            continue  # what stands before it is a key like any other
        path = tmp_path / "app.cfg"
        path.write_text(f"[global]\n{line.format(value)}\n", encoding="utf-8", newline="")
        config.reset()
        for said in said_of(update_config, path):
            assert MARK not in said, value
    assert MARK not in caplog.text


@pytest.mark.parametrize("secret", [f"{MARK}", f"a {MARK}  b", f'"{MARK}\\', f"{MARK}/@%", f"\t{MARK}'"])
def test_what_the_driver_says_is_without_the_password(secret):
    pytest.importorskip("psycopg")
    from tgscheduler.stores.postgres import PostgresDatabase

    database = PostgresDatabase(f"postgresql://app:{quote(secret, '')}@db/shop?sslpassword=x{MARK}")
    for text in (secret, repr(secret), quote(secret, ""), quote_plus(secret), f"x{MARK}"):
        assert MARK not in database.describe(psycopg.OperationalError(f'connection to "{text}" failed'))
    assert "failed" in database.describe(psycopg.OperationalError(f'connection to "{secret}" failed'))


@pytest.mark.parametrize(
    ("text", "secrets", "left"),
    [
        ('user "a" has no password "a1"', ["a"], 'user "***" has no password "a1"'),
        ("a server", ["server"], "a ***"),
        ("a server", ["", "x"], "a server"),
        ("p%40x and p@x", ["p@x"], "*** and ***"),
        ("p and pp", ["p", "ppp"], "*** and pp"),
    ],
)
def test_known_secrets_are_taken_out(text, secrets, left):
    assert without(text, secrets) == left


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("postgresql://app:x@db/shop", "'postgresql://***'"),
        ("host=db password=x", "'host=db password=***'"),
        ("sqlite:////var/lib/app/runs.db", "'sqlite:////var/lib/app/runs.db'"),
        ("Europe/Berlin", "'Europe/Berlin'"),
        ("12:30", "'12:30'"),
        (["a", 1], "['a', 1]"),
        ("x" * 500, "'" + "x" * 99),
        ("\ud800" * 500, "'" + r"\ud800" * 16 + r"\ud"),
    ],
)
def test_what_is_no_secret_is_shown(value, text):
    assert shown(value) == text
