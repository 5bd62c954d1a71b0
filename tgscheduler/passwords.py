"""Passwords as what is kept of them: ``scrypt$n$r$p$salt$hash``, salt and hash in URL-safe base64."""

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable
from typing import NamedTuple

from tgscheduler.errors import InvalidValue

#: Cost of a new hash: 32 MiB and about a tenth of a second.
N, R, P = 2**15, 8, 1

#: Bytes of a new salt, and of a new hash.
_SALT, _DIGEST = 16, 32

#: Minimum n of a hash in a configuration: 16 MiB with the usual r.
LEAST_N = 2**14

#: Maximum memory of a check (bytes), so that a wrong line in a configuration cannot exhaust the host's.
_MOST_MEMORY = 256 * 2**20

#: Maximum n * r * p, for the same reason: about 1.5 s.
_MOST_WORK = 2**22

_TEXT = re.compile(r"scrypt\$([0-9]{1,10})\$([0-9]{1,2})\$([0-9]{1,2})\$([\w-]+)\$([\w-]+)", re.ASCII)
_FORM = "scrypt$n$r$p$salt$hash, as python -m tgscheduler.console.passwords prints it"


class _Hash(NamedTuple):
    n: int
    r: int
    p: int
    salt: bytes
    hash: bytes

    @property
    def work(self) -> int:
        return self.n * self.r * self.p

    def text(self) -> str:
        return f"scrypt${self.n}${self.r}${self.p}${_encoded(self.salt)}${_encoded(self.hash)}"

    def matches(self, password: str) -> bool:
        return hmac.compare_digest(_scrypt(password, self.n, self.r, self.p, self.salt, len(self.hash)), self.hash)


def hash_password(password: str) -> str:
    """Return what is kept of a password, with a new salt.

    >>> hash_password("open sesame").split("$")[:4]
    ['scrypt', '32768', '8', '1']
    """
    if not password:
        raise InvalidValue("Expected a password of one character or more.")
    salt = secrets.token_bytes(_SALT)
    return _Hash(N, R, P, salt, _scrypt(password, N, R, P, salt, _DIGEST)).text()


def verify(password: str, kept: str) -> bool:
    """Return whether a password is the one of which this is kept; takes as long for a wrong one."""
    return _parsed(kept).matches(password)


def decoy(kept: Iterable[str]) -> str:
    """Return a hash that no password has and that takes as long to verify as the dearest of some."""
    dearest = max(map(_parsed, kept), key=lambda each: each.work)
    return dearest._replace(salt=secrets.token_bytes(_SALT), hash=secrets.token_bytes(_DIGEST)).text()


def check(kept: str) -> None:
    """Raise InvalidValue, without the text, if it is not what :func:`hash_password` returns, or guessed too cheaply."""
    if _parsed(kept).n < LEAST_N:
        raise InvalidValue(f"expected {_FORM}, with an n of {LEAST_N} or more")


def _parsed(kept: str) -> _Hash:
    parts = _TEXT.fullmatch(kept)
    if parts is None:
        raise InvalidValue(f"expected {_FORM}")
    n, r, p, salt, digest = parts.groups()
    try:
        found = _Hash(int(n), int(r), int(p), _decoded(salt), _decoded(digest))
    except ValueError:  # a length that no base64 has
        raise InvalidValue(f"expected {_FORM}") from None
    is_power = found.n > 1 and found.n & (found.n - 1) == 0
    if not is_power or len(found.salt) < 8 or len(found.hash) < 16:
        raise InvalidValue(f"expected {_FORM}")
    if not (0 < found.r <= 64 and 0 < found.p <= 16 and _memory(found.n, found.r, found.p) <= _MOST_MEMORY):
        raise InvalidValue(f"expected {_FORM}, with a cost of at most {_MOST_MEMORY // 2**20} MiB")
    if found.work > _MOST_WORK:
        raise InvalidValue(f"expected {_FORM}, with an n * r * p of at most {_MOST_WORK}")
    return found


def _scrypt(password: str, n: int, r: int, p: int, salt: bytes, length: int) -> bytes:
    text = password.encode("utf-8", "surrogatepass")
    return hashlib.scrypt(text, salt=salt, n=n, r=r, p=p, maxmem=2 * _memory(n, r, p), dklen=length)


def _memory(n: int, r: int, p: int) -> int:
    return 128 * r * (n + p + 2)


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _decoded(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
