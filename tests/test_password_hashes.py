"""Passwords: what is kept of them."""

import pytest

from tgscheduler import passwords
from tgscheduler.errors import InvalidValue


@pytest.fixture
def cheap(monkeypatch):
    monkeypatch.setattr(passwords, "N", 2)


@pytest.mark.parametrize("password", ["a", "correct horse", "naïve 🎉", " ", "x" * 5000, "a$b"])
def test_a_password_is_verified_against_what_is_kept_of_it(cheap, password):
    kept = passwords.hash_password(password)
    assert passwords.verify(password, kept)
    assert not passwords.verify(password + "x", kept)
    assert not passwords.verify("", kept)
    assert password not in kept.split("$")[3:]


def test_each_hash_has_its_own_salt_and_says_its_cost(cheap):
    first, second = passwords.hash_password("x"), passwords.hash_password("x")
    assert first != second
    assert first.startswith("scrypt$2$8$1$")
    assert passwords.verify("x", second)


def test_the_cost_is_that_of_the_hash_and_not_of_today(cheap, monkeypatch):
    kept = passwords.hash_password("x")
    monkeypatch.setattr(passwords, "N", 4)
    assert passwords.verify("x", kept)


def test_the_usual_cost_is_worth_an_attackers_while():
    assert passwords.N * passwords.R * 128 >= 32 * 2**20


def test_a_hash_that_another_program_made_is_verified():
    """Made by ``hashlib.scrypt(b"password", salt=b"NaClNaCl", n=1024, r=8, p=1, dklen=32)``."""
    assert passwords.verify("password", "scrypt$1024$8$1$TmFDbE5hQ2w$8wGlwXmNXS2n1KDaxmhQaPHcojxLhIixEr3YNcqC-84")


@pytest.mark.parametrize(
    "kept",
    [
        "", "hush", "scrypt", "scrypt$2$8$1$AAAAAAAAAAAAAAAAAAAAAA", "bcrypt$2$8$1$AAAAAAAAAAAAAAAAAAAAAA$" + "A" * 43,
        "scrypt$3$8$1$AAAAAAAAAAAAAAAAAAAAAA$" + "A" * 43, "scrypt$0$8$1$AAAAAAAAAAAAAAAAAAAAAA$" + "A" * 43,
        "scrypt$-2$8$1$AAAAAAAAAAAAAAAAAAAAAA$" + "A" * 43, "scrypt$x$8$1$AAAAAAAAAAAAAAAAAAAAAA$" + "A" * 43,
        "scrypt$2$0$1$AAAAAAAAAAAAAAAAAAAAAA$" + "A" * 43, "scrypt$2$8$17$AAAAAAAAAAAAAAAAAAAAAA$" + "A" * 43,
        "scrypt$2$8$1$AA$" + "A" * 43, "scrypt$2$8$1$AAAAAAAAAAAAAAAAAAAAAA$AAAA",
        "scrypt$2$8$1$AAAAAAAAAAAAAAAAAAAAAA$" + "!" * 43, "scrypt$1073741824$8$1$AAAAAAAAAAAAAAAAAAAAAA$" + "A" * 43,
        "scrypt$2$8$1$AAAAAAAAAAAAAAAAAAAAAA$" + "A" * 43 + "$x", "scrypt$2$8$1$" + "é" * 22 + "$" + "A" * 43,
    ],
)  # fmt: skip
def test_what_is_no_hash_is_refused_and_not_shown(kept):
    with pytest.raises(InvalidValue, match=r"expected scrypt\$n\$r\$p\$salt\$hash") as caught:
        passwords.check(kept)
    assert kept in ("", "scrypt") or kept not in str(caught.value)


@pytest.mark.parametrize(
    ("cost", "said"),
    [
        ("8192$8$1", "with an n of 16384 or more"),
        ("2$8$1", "with an n of 16384 or more"),
        ("65536$8$16", r"with an n \* r \* p of at most 4194304"),
        ("524288$8$1", "with a cost of at most 256 MiB"),
        ("16384$8$17", "with a cost of at most"),
        (" 16384$8$1", "prints it$"),
        ("16384 $8$1", "prints it$"),
        ("16_384$8$1", "prints it$"),
        ("+16384$8$1", "prints it$"),
        ("\u0661\u0666\u0663\u0668\u0664$8$1", "prints it$"),
        ("16384$\uff18$1", "prints it$"),
    ],
)
def test_what_is_guessed_too_cheaply_or_checked_too_dearly_is_refused(cost, said):
    passwords.check(f"scrypt$16384$8$1${'A' * 22}${'A' * 43}")
    passwords.check(f"scrypt$131072$8$4${'A' * 22}${'A' * 43}")
    with pytest.raises(InvalidValue, match=said):
        passwords.check(f"scrypt${cost}${'A' * 22}${'A' * 43}")


def test_a_new_hash_is_one_that_a_configuration_takes():
    passwords.check(passwords.hash_password("x"))


def test_a_decoy_costs_as_much_as_the_dearest_and_has_no_password(cheap, monkeypatch):
    kept = [passwords.hash_password("x")]
    monkeypatch.setattr(passwords, "N", 8)
    kept.append(passwords.hash_password("x"))
    monkeypatch.setattr(passwords, "N", 4)
    kept.append(passwords.hash_password("x"))
    decoy = passwords.decoy(kept)
    assert decoy.split("$")[:4] == kept[1].split("$")[:4]
    assert decoy != passwords.decoy(kept)
    assert not passwords.verify("x", decoy)


def test_no_password_is_no_password():
    with pytest.raises(InvalidValue, match="one character or more"):
        passwords.hash_password("")
