"""
What is kept of a room's password: enough to know it again, too little to find it out.  Pure.
"""

from __future__ import annotations

import hmac
from hashlib import scrypt, sha256
from typing import Final

from p2pnet.signaling.records import InvalidField

MIN_PASSWORD: Final = 8
"""Characters (NIST SP 800-63B §5.1.1.1); who guesses is slowed down, too."""
MAX_PASSWORD: Final = 256
"""Characters."""
SALT_SIZE: Final = 16
"""Bytes."""

_COST: Final = 2**14
"""Iterations: with `_BLOCK` 16 MiB, and 30 to 60 ms of one processor (RFC 7914 §2)."""
_BLOCK: Final = 8
_SIZE: Final = 32


def valid_password(value: object, field: str = "password") -> str:
    """
    ``value`` as the password of a room: 8 to 256 characters.

    :param field: what to call it in the error.
    :raise InvalidField: it is none.
    """
    if not isinstance(value, str):
        raise InvalidField(field, "must be a string")
    if not MIN_PASSWORD <= len(value) <= MAX_PASSWORD:
        raise InvalidField(field, f"must have {MIN_PASSWORD} to {MAX_PASSWORD} characters")
    return value


def lock_for(password: str, salt: bytes) -> str:
    """
    The lock that ``password`` opens.  Takes long on purpose: not for the reactor's thread.
    """
    return _written(salt, _stretched(password, salt, _COST, _BLOCK))


def lock_of_nobody(random: bytes) -> str:
    """
    A lock that nothing opens, as far as anybody can find out.

    :param random: `SALT_SIZE` unguessable bytes.
    """
    return _written(random, sha256(random).digest())


def opens(password: str, lock: str) -> bool:
    """
    Whether ``password`` opens ``lock``.  Takes as long.

    :raise ValueError: ``lock`` is none.
    """
    kind, cost, block, salt, kept = lock.split(":")
    if kind != "scrypt":
        raise ValueError(f"{kind!r} is no lock")
    found = _stretched(password, bytes.fromhex(salt), int(cost), int(block))
    return hmac.compare_digest(found, bytes.fromhex(kept))


def _written(salt: bytes, stretched: bytes) -> str:
    return f"scrypt:{_COST}:{_BLOCK}:{salt.hex()}:{stretched.hex()}"


def _stretched(password: str, salt: bytes, cost: int, block: int) -> bytes:
    return scrypt(
        password.encode("utf-8", "replace"),
        salt=salt,
        n=cost,
        r=block,
        p=1,
        maxmem=256 * cost * block,
        dklen=_SIZE,
    )
