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


def test_a_value_is_hidden_by_its_own_name():
    assert REDACTOR.value("token", "'abc'") == HIDDEN
    assert REDACTOR.value("IBAN", "'abc'") == HIDDEN
    assert REDACTOR.value("limit", "100") == "100"
    assert Redactor().value("IBAN", "'abc'") == "'abc'"


@given(st.text(max_size=300))
def test_any_text_can_be_shown(text):
    REDACTOR.text(text)


@given(st.sampled_from(["password", "api_key", "Token", "x-auth_id"]), st.text("abcdefgh0123XYZ-_.", min_size=6))
def test_a_word_after_a_secrets_name_never_shows(name, value):
    assert value not in REDACTOR.text(f"before {name}={value} after") or value in name
