"""What is hidden in arguments, logs and tracebacks, and what is not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tgscheduler.views import HIDDEN, Redactor

REDACTOR = Redactor(["*iban*"])


@pytest.mark.parametrize(
    "text",
    [
        "password=hunter2",
        "password = 'hunter2'",
        'DB_PASSWORD: "hunter2 and more"',
        "{'api_key': 'hunter2', 'n': 1}",
        "Authorization: Bearer hunter2",
        "customer.iban=hunter2",
        "postgresql://app:hunter2@db/shop",
        "https://hunter2@host/path",
        "f(token='hunter\\'2', n=3)",
        "SECRET => hunter2",
        "connect(pwd='hunter2'",
        "RuntimeError: token=hunter2",
        "password='hunter2 without an end",
        'password="' + "x" * 5000 + " hunter2",
        "{'password': ('A', 'hunter2'), 'n': 1}",
        '{"passwords": ["A", "hunter2"]}',
        "{'password': {'old': 'A', 'new': 'hunter2'}}",
        '"passwords": [\n  "A",\n  "hunter2"\n]',
        "https://" + "t" * 300 + "hunter2@github.com",
        "postgres://u:hun/ter2hunter2@h",
        "postgres://u:p'hunter2@h",
        "postgres://u:p@hunter2@h",
        "Cookie: a=1; b=hunter2",
        "Authorization: ApiKey hunter2",
        'Authorization: Digest username="bob", response="hunter2"',
        "[('Authorization', 'Bearer hunter2')]",
        "['--password', 'hunter2']",
        "run --password hunter2 --verbose",
        r"{\"password\": \"hunter2\"}",
        "<password>hunter2</password>",
        "Pwd={a;hunter2}",
        "password=p)hunter2",
        "password='it''s hunter2'",
        'password="""a\nhunter2"""',
        "passwords:\n  - A\n  - hunter2\nnext: 1",
        "-----BEGIN RSA PRIVATE KEY-----\nhunter2\n-----END RSA PRIVATE KEY-----",
        "pw=hunter2&x=1",
        "signing_key: hunter2",
        "jwt=hunter2",
        "/file?sig=hunter2&page=2",
    ],
)
def test_values_of_secrets_are_hidden_in_texts(text):
    shown = REDACTOR.text(text)
    assert "hunter" not in shown
    assert HIDDEN in shown


@pytest.mark.parametrize(
    "text",
    [
        "rank=3, limit=100",
        "OperationalError: no such table rank",
        'File "jobs.py", line 41, in rank',
        "passenger list: 12 names",
        "at 09:00 on Monday",
        "http://host/path?page=2",
    ],
)
def test_other_texts_stay(text):
    assert Redactor().text(text).replace(HIDDEN, "12") == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("password='a' user='b'", f"password={HIDDEN} user='b'"),
        ('{"password": "a\\"b", "n": 1}', f'{{"password": {HIDDEN}, "n": 1}}'),
        ("/file?sig=abc&page=2", f"/file?sig={HIDDEN}&page=2"),
        ("passwords:\n  - A\nnext: 1", f"passwords:{HIDDEN}\nnext: 1"),
        ("token: ", "token: "),
        ("the token is here", "the token is here"),
    ],
)
def test_what_stands_around_a_secret_stays(text, shown):
    assert Redactor().text(text) == shown


def test_an_argument_is_hidden_by_its_name():
    assert REDACTOR.value("token", "abc") == HIDDEN
    assert REDACTOR.value("IBAN", "abc") == HIDDEN
    assert REDACTOR.value("limit", 100) == "100"
    assert Redactor().value("IBAN", "abc") == "'abc'"


class Named:
    def __repr__(self):
        return "Named(password='hunter2', n=1)"


@pytest.mark.parametrize(
    "value",
    [
        {"padding": "p" * 190, "password": "hunter2"},
        "x" * 190 + " postgres://bob:hunter2@host",
        {"a": [{"b": ({"api_key": "hunter2"},)}]},
        Named(),
        [Named()],
        "password=" + "hunter2" * 50,
    ],
)
def test_an_argument_is_cut_only_after_its_secrets_are_hidden(value):
    shown = REDACTOR.value("it", value)
    assert "hunter2" not in shown
    assert len(shown) <= 201


def test_of_a_large_argument_the_beginning_is_shown():
    assert REDACTOR.value("it", list(range(3_000_000))).startswith("[0, 1, 2, ")
    assert REDACTOR.value("it", {n: n for n in range(1000)}).startswith("{0: 0, 1: 1, ")


@given(st.text(max_size=300))
def test_any_text_can_be_shown(text):
    REDACTOR.text(text)


@given(st.sampled_from(["password", "api_key", "Token", "x-auth_id"]), st.text("abcdefgh0123XYZ-_.", min_size=6))
def test_a_word_after_a_secrets_name_never_shows(name, value):
    assert value not in REDACTOR.text(f"before {name}={value} after").removeprefix(f"before {name}=")
