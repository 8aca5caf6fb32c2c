"""
Which datagrams are STUN, told from LiteNetLib's on the same socket (TRAPS T19).

Knows no codec, so that a port without STUN need not load one.
"""

from __future__ import annotations

from typing import Final

STUN_PORT: Final = 3478
"""UDP and TCP port of STUN and TURN servers (RFC 8489 §18.6)."""
HEADER_SIZE: Final = 20
COOKIE: Final = b"\x21\x12\xa4\x42"
"""Bytes 4 to 7 of each message (RFC 8489 §5)."""
FINGERPRINT: Final = b"\x80\x28\x00\x04"
"""Type and length of the attribute that ends a message which shares its port (RFC 8489 §14.7)."""
FINGERPRINT_SIZE: Final = 8


def is_stun(data: bytes) -> bool:
    """
    Whether a datagram has the form of a STUN message (RFC 8489 §5, §6.3).
    """
    size = len(data)
    return (
        size >= HEADER_SIZE
        and data[4:8] == COOKIE
        and data[0] < 0x40
        and (data[2] << 8 | data[3]) == size - HEADER_SIZE
        and size % 4 == 0
    )


def is_marked_stun(data: bytes) -> bool:
    """
    Whether a datagram is a STUN message that says so twice.

    A LiteNetLib peer can send any bytes as payload; nothing but STUN ends in a fingerprint, whose
    value the codec checks.
    """
    return is_stun(data) and data[-FINGERPRINT_SIZE:-4] == FINGERPRINT
