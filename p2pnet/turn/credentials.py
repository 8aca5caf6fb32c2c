"""
Names and passwords of TURN servers (RFC 8489 §9.2).

Strings are used as they are, in UTF-8: they are not prepared as RFC 8265 says.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64encode
from typing import Final, NamedTuple

MAX_USERNAME: Final = 508
"""Bytes (RFC 8489 §14.3)."""


class Credentials(NamedTuple):
    """
    What a TURN server wants to hear.
    """

    username: str
    password: str


def time_limited_credentials(secret: str, identity: str, expires: int) -> Credentials:
    """
    What lets ``identity`` use, until ``expires``, a server that shares ``secret`` with us.

    The scheme of coturn's ``use-auth-secret`` (draft-uberti-behave-turn-rest-00 §2.2): the server
    needs no list of users.

    :param identity: anything that tells users apart; the server may put it in its log.
    :param expires: seconds since 1970.
    :raise ValueError: there is no secret or identity, or the name gets longer than 508 bytes.
    """
    if not secret:
        raise ValueError("a TURN secret must not be empty")
    if not identity:
        raise ValueError("the identity in a TURN user name must not be empty")
    if expires < 0:
        raise ValueError(f"credentials expire at {expires}, before 1970")
    username = checked_username(f"{expires}:{identity}")
    mac = hmac.digest(secret.encode(), username.encode(), "sha1")
    return Credentials(username, b64encode(mac).decode())


def long_term_key(username: str, realm: str, password: str) -> bytes:
    """
    What messages are sealed with (RFC 8489 §18.5.1, the MD5 of long-term credentials).
    """
    said = f"{username}:{realm}:{password}".encode()
    return hashlib.md5(said, usedforsecurity=False).digest()


def checked_username(username: str) -> str:
    """
    `username`, if a message can carry it.

    :raise ValueError: it is empty, longer than 508 bytes or no text.
    """
    if not 0 < len(username.encode()) <= MAX_USERNAME:
        raise ValueError(
            f"a TURN user name has 1 to {MAX_USERNAME} bytes, not {len(username.encode())}"
        )
    return username
