"""
A stranger's knock at a UDP port, and what the answer says of who is there.

A LiteNetLib peer that is asked about a connection it does not have says so, whatever it thinks of
the one who asks: no connection is proposed, and its application hears nothing (WIRE §6).  The
versions answer in different forms.
"""

from __future__ import annotations

from typing import Final

from p2pnet.wire.control import InvalidProtocol, PeerNotFound

NONCE_BITS: Final = 63
"""Of a knock."""
PROTOCOL_11: Final = "LiteNetLib, protocol 11"
"""0.9.3 to 0.9.5.2, as we are."""
ANOTHER_PROTOCOL: Final = "LiteNetLib, another protocol"
"""1.x or 2.x."""
UNKNOWN_SERVICE: Final = "unknown service"

_NOT_FOUND_1: Final = b"\x0e\x01"
"""PeerNotFound of 1.x, which repeats nothing."""
_NOT_FOUND_2: Final = InvalidProtocol().encode()
"""2.x reads the knock as a ShutdownOk; its PeerNotFound has the number that InvalidProtocol has."""


def knock(nonce: int) -> bytes:
    """
    The datagram: 10 bytes.

    :param nonce: `NONCE_BITS` unguessable bits.
    """
    return PeerNotFound(nonce).encode()


def recognise(answer: bytes, nonce: int) -> str:
    """
    Who has answered a knock with ``nonce``, in words for a person.
    """
    if answer == PeerNotFound(nonce, confirmed=True).encode():
        return PROTOCOL_11
    if answer in (_NOT_FOUND_1, _NOT_FOUND_2):
        return ANOTHER_PROTOCOL
    return UNKNOWN_SERVICE
