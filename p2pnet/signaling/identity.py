"""
Registrations that are bound to an Ed25519 key, and peer ids that are made from one.

Whoever holds the key is the owner, whatever became of the secret: the peer's process may be a new
one, and so may the daemon's.  It proves that by a signature over a statement that names the daemon
as the peer knows it, so that nobody in the middle can use it elsewhere, and a challenge that is
good for one registration within a minute, so that nobody can use it again.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

KEY_SIZE: Final = 32
"""Bytes of a key, be it public or private (RFC 8032 §5.1)."""
SIGNATURE_SIZE: Final = 64
"""Bytes (RFC 8032 §5.1)."""

_PURPOSE: Final = "p2pnet registration 1"
_ID_PURPOSE: Final = b"p2pnet peer id 1\n"


def id_of_key(public: bytes) -> str:
    """
    The peer id that is nobody's but the owner's of that public key: 122 bits of its SHA-256, as a
    UUID of version 8 (RFC 9562 §5.8).
    """
    digits = bytearray(sha256(_ID_PURPOSE + public).digest()[:16])
    digits[6] = digits[6] & 0x0F | 0x80
    digits[8] = digits[8] & 0x3F | 0x80
    text = digits.hex()
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


def statement(server: str, peer_id: str, challenge: str) -> bytes:
    """
    What the owner of a key signs.

    :param server: host, and port if the URL has one, by which the peer knows the daemon: what
        stands in the Host header.
    :param challenge: of the daemon.
    """
    return "\n".join((_PURPOSE, server.lower(), peer_id, challenge)).encode("utf-8", "replace")


def is_signed(public: bytes, signature: bytes, said: bytes) -> bool:
    """
    Whether the owner of the key has signed that.
    """
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, said)
    except (InvalidSignature, ValueError):
        return False
    return True


class KeyPair:
    """
    A peer's own key.

    :param private: `KEY_SIZE` random bytes.
    :ivar public: who we are.
    :raise ValueError: it has another size.
    """

    def __init__(self, private: bytes) -> None:
        self._private = Ed25519PrivateKey.from_private_bytes(private)
        self.public = self._private.public_key().public_bytes_raw()

    def sign(self, said: bytes) -> bytes:
        """
        Our signature under that.
        """
        return self._private.sign(said)
