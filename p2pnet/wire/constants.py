"""
Numbers of protocol 11.

Source: WIRE §1 and §2.  Every name that LiteNetLib has is kept.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

Address = tuple[str, int]
"""
``(literal IP, UDP port)``.  IPv6 scopes are written as in ``fe80::1%3``.
"""

PROTOCOL_ID: Final = 11
"""What every ConnectRequest names: LiteNetLib 0.9.3 to 0.9.5.2."""

MAX_SEQUENCE: Final = 32768
"""Sequence numbers are counted modulo this."""
HALF_MAX_SEQUENCE: Final = 16384
"""What is as far ahead as this counts as behind."""
WINDOW_SIZE: Final = 64
"""Sequences a reliable channel may have unacknowledged; fixed by the layout of the Ack."""

HEADER_SIZE: Final = 1
"""Bytes before the data of an Unreliable packet, and of every other one at least."""
CHANNELED_HEADER_SIZE: Final = 4
"""Bytes: the first one, sequence, channel id (WIRE §4.2)."""
FRAGMENT_HEADER_SIZE: Final = 6
"""Bytes that follow the channeled header of a fragment."""
FRAGMENTED_HEADER_SIZE: Final = CHANNELED_HEADER_SIZE + FRAGMENT_HEADER_SIZE
"""Bytes before the data of a fragment."""
RELIABLE_ACK_SIZE: Final = 13
"""Bytes of an Ack on a reliable channel; one of another size is none (WIRE §4.3)."""
SEQUENCED_ACK_SIZE: Final = 4
"""Bytes of an Ack on the reliable sequenced channel."""
CONNECT_REQUEST_HEADER_SIZE: Final = 14
"""Bytes before the target address (WIRE §3.1)."""
CONNECT_ACCEPT_SIZE: Final = 11
"""Bytes; one of another size is ignored (WIRE §3.2)."""
DISCONNECT_HEADER_SIZE: Final = 9
"""Bytes before the data (WIRE §6)."""

MTU_LADDER: Final = (508, 1024, 1164, 1392, 1404, 1424, 1432)
"""Datagram sizes in bytes that a reference peer tries (NetConstants.PossibleMtu)."""
MAX_DATAGRAM_SIZE: Final = 1432
"""Bytes of the largest datagram a reference peer can read."""
MIN_MTU: Final = 508
"""Bytes; an MTU probe that is smaller is not answered (WIRE §5)."""

CONNECTION_NUMBERS: Final = 4
"""Successive connections of one pair of addresses count modulo this."""
MAX_CHANNELS: Final = 64
"""Per delivery method: a channel id, channel * 4 + method, has one byte."""

PROPERTY_MASK: Final = 0x1F
"""Bits of the first byte (WIRE §2)."""
CONNECTION_NUMBER_MASK: Final = 0x60
CONNECTION_NUMBER_SHIFT: Final = 5
FRAGMENTED_FLAG: Final = 0x80

DOTNET_UNIX_EPOCH_TICKS: Final = 621_355_968_000_000_000
"""0001-01-01 to 1970-01-01 in .NET ticks of 100 ns."""
TICKS_PER_SECOND: Final = 10_000_000


class PacketProperty(IntEnum):
    """
    The kind of a datagram: bits 0-4 of its first byte (WIRE §2).
    """

    UNRELIABLE = 0
    CHANNELED = 1
    ACK = 2
    PING = 3
    PONG = 4
    CONNECT_REQUEST = 5
    CONNECT_ACCEPT = 6
    DISCONNECT = 7
    UNCONNECTED_MESSAGE = 8
    MTU_CHECK = 9
    MTU_OK = 10
    BROADCAST = 11
    MERGED = 12
    SHUTDOWN_OK = 13
    PEER_NOT_FOUND = 14
    INVALID_PROTOCOL = 15
    NAT_MESSAGE = 16
    EMPTY = 17


class DeliveryMethod(IntEnum):
    """
    What is promised about a message.

    The first four values are also the low two bits of a channel id (WIRE §4.2).
    """

    RELIABLE_UNORDERED = 0
    """Arrives once, in any order."""
    SEQUENCED = 1
    """May be lost; never arrives late or twice."""
    RELIABLE_ORDERED = 2
    """Arrives once, in the order sent."""
    RELIABLE_SEQUENCED = 3
    """May be overtaken; the last message arrives, never late or twice."""
    UNRELIABLE = 4
    """May be lost, doubled or reordered."""
