"""
Reads a datagram and writes it back; what may get lost on the way is said here.
"""

from __future__ import annotations

from p2pnet.wire.constants import FRAGMENTED_FLAG, RELIABLE_ACK_SIZE
from p2pnet.wire.constants import PacketProperty as P
from p2pnet.wire.control import MtuProbe
from p2pnet.wire.nat import parse_nat
from p2pnet.wire.packets import Ack, Merged, NatMessage, parse

_NUMBERED = frozenset(
    (
        *(P.UNRELIABLE, P.CHANNELED, P.ACK, P.PING, P.PONG, P.CONNECT_REQUEST, P.DISCONNECT),
        *(P.MTU_CHECK, P.MTU_OK, P.MERGED),
    )
)
"""Kinds whose bits 5 and 6 mean something; bit 7 does in Channeled only (WIRE §2)."""
_TRAILING = frozenset(
    (P.PING, P.PONG, P.SHUTDOWN_OK, P.INVALID_PROTOCOL, P.EMPTY, P.MERGED)
)
"""Kinds behind which a reader ignores more bytes; after Merged, what is no whole packet."""


def assert_survives(data: bytes) -> None:
    """
    Check that a datagram says the same after it has been read and written.

    :raise MalformedPacket: it is none.
    """
    packet = parse(data)
    again = packet.encode()
    assert parse(again) == packet
    kind = data[0] & 0x1F
    expected = bytearray(data)
    expected[0] &= 0x1F | (0x60 if kind in _NUMBERED else 0)
    expected[0] |= data[0] & FRAGMENTED_FLAG if kind == P.CHANNELED else 0
    if isinstance(packet, MtuProbe):
        # The reference pads with what its buffer held (PITFALLS A1).
        expected[5:-4] = bytes(len(expected) - 9)
    elif isinstance(packet, Ack) and len(data) == RELIABLE_ACK_SIZE:
        # The ninth byte of the bitmap has no bits (WIRE §4.3).
        expected[-1] = 0
    if kind in _TRAILING:
        del expected[len(again) :]
    assert again.hex() == expected.hex()
    if isinstance(packet, Merged):
        for inner in packet.packets:
            assert_survives(inner)
    if isinstance(packet, NatMessage):
        assert b"".join(part.encode()[1:] for part in parse_nat(packet.body)) == packet.body
