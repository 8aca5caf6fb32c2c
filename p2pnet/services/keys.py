"""
The file with a peer's own key.
"""

from __future__ import annotations

import os
from secrets import token_hex
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from p2pnet.signaling.identity import KeyPair

MAX_FILE: Final = 4096
"""Bytes; a key has some 120."""


def own_key(path: str) -> KeyPair:
    """
    The private Ed25519 key in a PEM file, which is made if it is not there.

    :raise ValueError: the file holds something else, or can be neither read nor made; the text
        names it.
    """
    try:
        return read_key(path)
    except FileNotFoundError:
        pass
    key = Ed25519PrivateKey.generate()
    text = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    # Whole or not at all, and never in place of another.
    draft = f"{path}.{token_hex(4)}"
    try:
        file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.write(file, text)
            os.fsync(file)
        finally:
            os.close(file)
        try:
            os.link(draft, path)
        finally:
            os.unlink(draft)
    except OSError as error:
        raise ValueError(f"{path!r} cannot be made: {error.strerror}") from None
    return KeyPair(key.private_bytes_raw())


def read_key(path: str) -> KeyPair:
    """
    The same, if it is there.

    :raise FileNotFoundError: it is not.
    :raise ValueError: as `own_key`.
    """
    try:
        if os.path.exists(path) and not os.path.isfile(path):
            raise ValueError(f"{path!r} is not a file")
        with open(path, "rb") as file:
            text = file.read(MAX_FILE)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ValueError(f"{path!r} cannot be read: {error.strerror}") from None
    try:
        key = load_pem_private_key(text, None)
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError(f"{path!r} does not hold an Ed25519 key in PEM, without a password")
    return KeyPair(key.private_bytes_raw())
