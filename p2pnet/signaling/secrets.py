"""
Secrets of 128 bits or more, kept as digests.  Pure.
"""

from __future__ import annotations

import hmac
from hashlib import sha256
from typing import Final

_NOBODYS: Final = bytes(32)
"""A digest that no secret has, as far as anybody can find out."""


def digest(secret: str) -> bytes:
    """
    What is kept of a secret: its SHA-256.

    That is slow enough for what nobody can guess; passwords need `p2pnet.signaling.locks`.
    """
    return sha256(secret.encode("utf-8", "replace")).digest()


def is_secret(secret: str | None, kept: bytes | None) -> bool:
    """
    Whether ``kept`` is the digest of ``secret``.  Takes as long whatever they are.

    :param secret: None for none, which is nobody's.
    :param kept: None if there is nobody.
    """
    same = hmac.compare_digest(digest(secret or ""), kept or _NOBODYS)
    return same and secret is not None and kept is not None
