"""
Datagrams that carry messages, and `parse`, which reads a datagram of any kind (WIRE §4, §7, §8).

Each kind writes itself with ``encode``.  The engine reads connection control through the classes of
`p2pnet.wire.control` and takes data packets apart in place, with the structs here.
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct
from typing import Final

from p2pnet.wire.constants import (
    CHANNELED_HEADER_SIZE,
    CONNECTION_NUMBER_SHIFT,
    FRAGMENTED_FLAG,
    FRAGMENTED_HEADER_SIZE,
    MAX_SEQUENCE,
    RELIABLE_ACK_SIZE,
    SEQUENCED_ACK_SIZE,
    PacketProperty,
)
from p2pnet.wire.control import (
    PING,
    PONG,
    ConnectAccept,
    ConnectRequest,
    Disconnect,
    InvalidProtocol,
    MtuProbe,
    PeerNotFound,
    Ping,
    Pong,
    ShutdownOk,
)
from p2pnet.wire.header import MalformedPacket, connection_number, first_byte, verify

CHANNELED: Final = Struct("<BHB")
"""First byte, sequence, channel id."""
FRAGMENT: Final = Struct("<HHH")
"""Fragment id, part, total."""
RELIABLE_ACK: Final = Struct("<BHBQx")
"""First byte, window start, channel id, bitmap by sequence modulo 64 (WIRE §4.3)."""
LENGTH: Final = Struct("<H")
"""Size of a packet inside a merged datagram."""


@dataclass(frozen=True)
class Unreliable:
    """
    A message without promises; it names no channel (WIRE §4.1).
    """

    connection_number: int
    data: bytes

    def encode(self) -> bytes:
        """
        The datagram: 1 byte and the data.
        """
        first = first_byte(PacketProperty.UNRELIABLE, self.connection_number)
        return bytes((first,)) + self.data


@dataclass(frozen=True)
class Fragment:
    """
    Which part of which message this is (WIRE §4.2).

    :ivar id: 0..65535, of the message; one counter for all channels of a peer.
    :ivar part: from 0.
    :ivar total: parts of the message.
    """

    id: int
    part: int
    total: int


@dataclass(frozen=True)
class Channeled:
    """
    A message or fragment on a channel (WIRE §4.2).
    """

    connection_number: int
    sequence: int
    channel_id: int
    """channel * 4 + delivery method."""
    data: bytes
    fragment: Fragment | None = None

    def encode(self) -> bytes:
        """
        The datagram: 4 bytes of header, 6 more for a fragment, and the data.
        """
        fragment = self.fragment
        first = first_byte(
            PacketProperty.CHANNELED, self.connection_number, fragment is not None
        )
        head = CHANNELED.pack(first, self.sequence, self.channel_id)
        if fragment is not None:
            head += FRAGMENT.pack(fragment.id, fragment.part, fragment.total)
        return head + self.data

    @classmethod
    def decode(cls, data: bytes) -> Channeled:
        """
        Read a datagram that `verify` has passed.

        :raise MalformedPacket: the sequence is over 32767.
        """
        first, sequence, channel_id = CHANNELED.unpack_from(data)
        if sequence >= MAX_SEQUENCE:
            raise MalformedPacket(f"sequence {sequence}")
        number = first >> CONNECTION_NUMBER_SHIFT & 3
        if not first & FRAGMENTED_FLAG:
            return cls(number, sequence, channel_id, data[CHANNELED_HEADER_SIZE:])
        fragment = Fragment(*FRAGMENT.unpack_from(data, CHANNELED_HEADER_SIZE))
        return cls(number, sequence, channel_id, data[FRAGMENTED_HEADER_SIZE:], fragment)


@dataclass(frozen=True)
class Ack:
    """
    What has arrived on a channel (WIRE §4.3).
    """

    connection_number: int
    sequence: int
    """Start of the receiver's window, or on a sequenced channel the last accepted sequence."""
    channel_id: int
    bitmap: int | None
    """Bit ``s % 64`` is set if sequence s arrived; None on a sequenced channel."""

    def encode(self) -> bytes:
        """
        The datagram: 13 bytes with a bitmap, 4 without.
        """
        first = first_byte(PacketProperty.ACK, self.connection_number)
        if self.bitmap is None:
            return CHANNELED.pack(first, self.sequence, self.channel_id)
        return RELIABLE_ACK.pack(first, self.sequence, self.channel_id, self.bitmap)

    @classmethod
    def decode(cls, data: bytes) -> Ack:
        """
        Read a datagram that `verify` has passed.

        :raise MalformedPacket: it has neither 13 nor 4 bytes.
        """
        if len(data) == SEQUENCED_ACK_SIZE:
            _, sequence, channel_id = CHANNELED.unpack(data)
            return cls(connection_number(data), sequence, channel_id, None)
        if len(data) != RELIABLE_ACK_SIZE:
            raise MalformedPacket(f"an Ack of {len(data)} bytes")
        _, sequence, channel_id, bitmap = RELIABLE_ACK.unpack(data)
        return cls(connection_number(data), sequence, channel_id, bitmap)


@dataclass(frozen=True)
class Merged:
    """
    Several packets in one datagram (WIRE §4.4).
    """

    connection_number: int
    packets: tuple[bytes, ...]

    def encode(self) -> bytes:
        """
        The datagram.  The reference sends no fewer than two packets in one.

        :raise struct.error: a packet has over 65535 bytes.
        """
        out = bytearray((first_byte(PacketProperty.MERGED, self.connection_number),))
        for packet in self.packets:
            out += LENGTH.pack(len(packet))
            out += packet
        return bytes(out)

    @classmethod
    def decode(cls, data: bytes) -> Merged:
        """
        Read a datagram; the packets are as `split_merged` finds them.
        """
        return cls(connection_number(data), tuple(split_merged(data)))


@dataclass(frozen=True)
class UnconnectedMessage:
    """
    A message outside any connection (WIRE §7).
    """

    data: bytes

    def encode(self) -> bytes:
        """
        The datagram: 1 byte and the data.
        """
        return bytes((PacketProperty.UNCONNECTED_MESSAGE,)) + self.data


@dataclass(frozen=True)
class Broadcast:
    """
    A message to everybody on the network (WIRE §7).
    """

    data: bytes

    def encode(self) -> bytes:
        """
        The datagram: 1 byte and the data.
        """
        return bytes((PacketProperty.BROADCAST,)) + self.data


@dataclass(frozen=True)
class NatMessage:
    """
    NAT introduction (WIRE §8); `p2pnet.wire.nat` reads the body.
    """

    body: bytes

    def encode(self) -> bytes:
        """
        The datagram: 1 byte and the body.
        """
        return bytes((PacketProperty.NAT_MESSAGE,)) + self.body


@dataclass(frozen=True)
class Empty:
    """
    One byte that opens a NAT mapping (WIRE §7).
    """

    def encode(self) -> bytes:
        """
        The datagram: 1 byte.
        """
        return bytes((PacketProperty.EMPTY,))


Packet = (
    Unreliable
    | Channeled
    | Ack
    | Ping
    | Pong
    | ConnectRequest
    | ConnectAccept
    | Disconnect
    | UnconnectedMessage
    | MtuProbe
    | Broadcast
    | Merged
    | ShutdownOk
    | PeerNotFound
    | InvalidProtocol
    | NatMessage
    | Empty
)
"""What `parse` returns."""


def split_merged(data: bytes) -> list[bytes]:
    """
    The packets inside a Merged datagram, as far as they are whole.

    Stops at a length of 0, at one that passes the end and at a lone last byte (PITFALLS A3).
    """
    packets = []
    position, end = 1, len(data)
    while position + 2 <= end:
        start = position + 2
        position = start + (data[position] | data[position + 1] << 8)
        if position == start or position > end:
            break
        packets.append(data[start:position])
    return packets


def parse(data: bytes) -> Packet:
    """
    Read one datagram of any kind.

    :raise MalformedPacket: it is none.
    """
    match verify(data):
        case PacketProperty.UNRELIABLE:
            return Unreliable(connection_number(data), data[1:])
        case PacketProperty.CHANNELED:
            return Channeled.decode(data)
        case PacketProperty.ACK:
            return Ack.decode(data)
        case PacketProperty.PING:
            return Ping(connection_number(data), PING.unpack_from(data)[1])
        case PacketProperty.PONG:
            _, sequence, ticks = PONG.unpack_from(data)
            return Pong(connection_number(data), sequence, ticks)
        case PacketProperty.CONNECT_REQUEST:
            return ConnectRequest.decode(data)
        case PacketProperty.CONNECT_ACCEPT:
            return ConnectAccept.decode(data)
        case PacketProperty.DISCONNECT:
            return Disconnect.decode(data)
        case PacketProperty.UNCONNECTED_MESSAGE:
            return UnconnectedMessage(data[1:])
        case PacketProperty.MTU_CHECK | PacketProperty.MTU_OK:
            return MtuProbe.decode(data)
        case PacketProperty.BROADCAST:
            return Broadcast(data[1:])
        case PacketProperty.MERGED:
            return Merged.decode(data)
        case PacketProperty.SHUTDOWN_OK:
            return ShutdownOk()
        case PacketProperty.PEER_NOT_FOUND:
            return PeerNotFound.decode(data)
        case PacketProperty.INVALID_PROTOCOL:
            return InvalidProtocol()
        case PacketProperty.NAT_MESSAGE:
            return NatMessage(data[1:])
        case _:
            return Empty()
