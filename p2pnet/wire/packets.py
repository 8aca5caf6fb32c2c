"""
Every datagram kind of protocol 11, as values (WIRE §2-§8).

`parse` reads any datagram; each kind writes itself with `encode`.  The engine reads connection
control through the classes here and takes data packets apart in place, with the same structs.
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct
from typing import Final

from p2pnet.wire.constants import (
    CHANNELED_HEADER_SIZE,
    CONNECT_ACCEPT_SIZE,
    CONNECT_REQUEST_HEADER_SIZE,
    CONNECTION_NUMBER_SHIFT,
    CONNECTION_NUMBERS,
    DISCONNECT_HEADER_SIZE,
    FRAGMENT_HEADER_SIZE,
    FRAGMENTED_FLAG,
    FRAGMENTED_HEADER_SIZE,
    MAX_DATAGRAM_SIZE,
    MAX_SEQUENCE,
    MIN_MTU,
    PROPERTY_MASK,
    PROTOCOL_ID,
    RELIABLE_ACK_SIZE,
    SEQUENCED_ACK_SIZE,
    PacketProperty,
)
from p2pnet.wire.sockaddr import IPV4_SIZE, IPV6_SIZE

CHANNELED: Final = Struct("<BHB")
"""First byte, sequence, channel id."""
FRAGMENT: Final = Struct("<HHH")
"""Fragment id, part, total."""
RELIABLE_ACK: Final = Struct("<BHBQx")
"""First byte, window start, channel id, bitmap by sequence modulo 64 (WIRE §4.3)."""
LENGTH: Final = Struct("<H")
PING: Final = Struct("<BH")
PONG: Final = Struct("<BHq")
_CONNECT_REQUEST: Final = Struct("<BiqB")
_CONNECT_ACCEPT: Final = Struct("<BqBB")
_DISCONNECT: Final = Struct("<Bq")
_PEER_NOT_FOUND: Final = Struct("<BBq")
_INT: Final = Struct("<i")
_TICKS: Final = Struct("<q")

_HEADER_SIZES: Final = (1, 4, 4, 3, 11, 14, 11, 9, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1)
"""Smallest datagram of each property, by its number (WIRE §2)."""


class MalformedPacket(ValueError):
    """
    Bytes that are no datagram of protocol 11.  Never leaves the Endpoint.
    """


def minimum_size(prop: int, fragmented: bool = False) -> int:
    """
    Bytes that a datagram of this property must have at least (WIRE §2.1).
    """
    return _HEADER_SIZES[prop] + (FRAGMENT_HEADER_SIZE if fragmented else 0)


def verify(data: bytes) -> int:
    """
    The property of a datagram that has a known one and the size for it.

    :raise MalformedPacket: property over 17 (PITFALLS D17), or too short (WIRE §2.1 rules 3, 4).
    """
    if not data:
        raise MalformedPacket("empty datagram")
    first = data[0]
    prop = first & PROPERTY_MASK
    if prop >= len(_HEADER_SIZES):
        raise MalformedPacket(f"unknown property {prop}")
    size = _HEADER_SIZES[prop]
    if first & FRAGMENTED_FLAG:
        size += FRAGMENT_HEADER_SIZE
    if len(data) < size:
        raise MalformedPacket(f"{len(data)} bytes of property {prop}, which takes {size}")
    return prop


def first_byte(prop: int, connection_number: int, fragmented: bool = False) -> int:
    """
    Property, connection number and fragmented flag in one byte.
    """
    flag = FRAGMENTED_FLAG if fragmented else 0
    return prop | connection_number << CONNECTION_NUMBER_SHIFT | flag


def connection_number(data: bytes) -> int:
    """
    Bits 5 and 6 of the first byte.
    """
    return data[0] >> CONNECTION_NUMBER_SHIFT & 3


@dataclass(frozen=True)
class ConnectRequest:
    """
    A proposal to connect (WIRE §3.1).
    """

    connection_number: int
    connection_time: int
    """.NET ticks when `connect` was called; the same in every retry."""
    target: bytes
    """The receiver's socket address as the sender sees it, 16 or 28 bytes."""
    data: bytes = b""
    protocol_id: int = PROTOCOL_ID

    def encode(self) -> bytes:
        head = _CONNECT_REQUEST.pack(
            first_byte(PacketProperty.CONNECT_REQUEST, self.connection_number),
            self.protocol_id,
            self.connection_time,
            len(self.target),
        )
        return head + self.target + self.data

    @staticmethod
    def protocol_of(data: bytes) -> int:
        """
        The protocol id, which is checked before anything behind it (WIRE §2.1 rule 5).
        """
        protocol: int = _INT.unpack_from(data, 1)[0]
        return protocol

    @classmethod
    def decode(cls, data: bytes) -> ConnectRequest:
        first, protocol, time, size = _CONNECT_REQUEST.unpack_from(data)
        if size not in (IPV4_SIZE, IPV6_SIZE):
            raise MalformedPacket(f"a target address of {size} bytes")
        end = CONNECT_REQUEST_HEADER_SIZE + size
        # The reference reads on into an old buffer here (PITFALLS A4).
        if len(data) < end:
            raise MalformedPacket("the target address is cut off")
        number = first >> CONNECTION_NUMBER_SHIFT & 3
        return cls(number, time, data[CONNECT_REQUEST_HEADER_SIZE:end], data[end:], protocol)


@dataclass(frozen=True)
class ConnectAccept:
    """
    The answer that opens a connection (WIRE §3.2).
    """

    connection_time: int
    connection_number: int
    reused: bool = False

    def encode(self) -> bytes:
        return _CONNECT_ACCEPT.pack(
            PacketProperty.CONNECT_ACCEPT,
            self.connection_time,
            self.connection_number,
            self.reused,
        )

    @classmethod
    def decode(cls, data: bytes) -> ConnectAccept:
        if len(data) != CONNECT_ACCEPT_SIZE:
            raise MalformedPacket(f"a ConnectAccept of {len(data)} bytes")
        _, time, number, reused = _CONNECT_ACCEPT.unpack(data)
        if number >= CONNECTION_NUMBERS or reused > 1:
            raise MalformedPacket("ConnectAccept with impossible fields")
        return cls(time, number, reused == 1)


@dataclass(frozen=True)
class Disconnect:
    """
    The end of a connection, or the refusal of one (WIRE §6, §3.4).
    """

    connection_number: int
    connection_time: int
    data: bytes = b""

    def encode(self) -> bytes:
        first = first_byte(PacketProperty.DISCONNECT, self.connection_number)
        return _DISCONNECT.pack(first, self.connection_time) + self.data

    @classmethod
    def decode(cls, data: bytes) -> Disconnect:
        first, time = _DISCONNECT.unpack_from(data)
        number = first >> CONNECTION_NUMBER_SHIFT & 3
        return cls(number, time, data[DISCONNECT_HEADER_SIZE:])


@dataclass(frozen=True)
class ShutdownOk:
    """
    A Disconnect has been seen.
    """

    def encode(self) -> bytes:
        return bytes((PacketProperty.SHUTDOWN_OK,))


@dataclass(frozen=True)
class InvalidProtocol:
    """
    The ConnectRequest was of another protocol.
    """

    def encode(self) -> bytes:
        return bytes((PacketProperty.INVALID_PROTOCOL,))


@dataclass(frozen=True)
class PeerNotFound:
    """
    No connection with you is known here; with a time, a question or answer about one (WIRE §6).
    """

    connection_time: int | None = None
    confirmed: bool = False

    def encode(self) -> bytes:
        if self.connection_time is None:
            return bytes((PacketProperty.PEER_NOT_FOUND,))
        return _PEER_NOT_FOUND.pack(
            PacketProperty.PEER_NOT_FOUND, self.confirmed, self.connection_time
        )

    @classmethod
    def decode(cls, data: bytes) -> PeerNotFound:
        if len(data) == 1:
            return cls()
        if len(data) != _PEER_NOT_FOUND.size or data[1] > 1:
            raise MalformedPacket(f"a PeerNotFound of {len(data)} bytes")
        return cls(_TICKS.unpack_from(data, 2)[0], data[1] == 1)


@dataclass(frozen=True)
class Ping:
    """
    Are you there? (WIRE §5)
    """

    connection_number: int
    sequence: int

    def encode(self) -> bytes:
        return PING.pack(first_byte(PacketProperty.PING, self.connection_number), self.sequence)


@dataclass(frozen=True)
class Pong:
    """
    The answer to a `Ping`, with the answering clock.
    """

    connection_number: int
    sequence: int
    ticks: int

    def encode(self) -> bytes:
        first = first_byte(PacketProperty.PONG, self.connection_number)
        return PONG.pack(first, self.sequence, self.ticks)


@dataclass(frozen=True)
class MtuProbe:
    """
    MtuCheck, or MtuOk if it is the `answer`: a datagram whose size is its message (WIRE §5).
    """

    connection_number: int
    size: int
    answer: bool = False

    def encode(self) -> bytes:
        prop = PacketProperty.MTU_OK if self.answer else PacketProperty.MTU_CHECK
        size = _INT.pack(self.size)
        # The reference pads with whatever its buffer held before (PITFALLS A1).
        padding = bytes(self.size - 1 - 2 * len(size))
        return bytes((first_byte(prop, self.connection_number),)) + size + padding + size

    @classmethod
    def decode(cls, data: bytes) -> MtuProbe:
        size = len(data)
        if not MIN_MTU <= size <= MAX_DATAGRAM_SIZE:
            raise MalformedPacket(f"an MTU probe of {size} bytes")
        if _INT.unpack_from(data, 1)[0] != size or _INT.unpack_from(data, size - 4)[0] != size:
            raise MalformedPacket("an MTU probe that announces another size")
        answer = data[0] & PROPERTY_MASK == PacketProperty.MTU_OK
        return cls(connection_number(data), size, answer)


@dataclass(frozen=True)
class Unreliable:
    """
    A message without promises; it names no channel (WIRE §4.1).
    """

    connection_number: int
    data: bytes

    def encode(self) -> bytes:
        first = first_byte(PacketProperty.UNRELIABLE, self.connection_number)
        return bytes((first,)) + self.data


@dataclass(frozen=True)
class Fragment:
    """
    Which part of which message this is.
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
        first = first_byte(PacketProperty.ACK, self.connection_number)
        if self.bitmap is None:
            return CHANNELED.pack(first, self.sequence, self.channel_id)
        return RELIABLE_ACK.pack(first, self.sequence, self.channel_id, self.bitmap)

    @classmethod
    def decode(cls, data: bytes) -> Ack:
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
        out = bytearray((first_byte(PacketProperty.MERGED, self.connection_number),))
        for packet in self.packets:
            out += LENGTH.pack(len(packet))
            out += packet
        return bytes(out)

    @classmethod
    def decode(cls, data: bytes) -> Merged:
        return cls(connection_number(data), tuple(split_merged(data)))


@dataclass(frozen=True)
class UnconnectedMessage:
    """
    A message outside any connection (WIRE §7).
    """

    data: bytes

    def encode(self) -> bytes:
        return bytes((PacketProperty.UNCONNECTED_MESSAGE,)) + self.data


@dataclass(frozen=True)
class Broadcast:
    """
    A message to everybody on the network (WIRE §7).
    """

    data: bytes

    def encode(self) -> bytes:
        return bytes((PacketProperty.BROADCAST,)) + self.data


@dataclass(frozen=True)
class NatMessage:
    """
    NAT introduction; `p2pnet.wire.nat` reads the body.
    """

    body: bytes

    def encode(self) -> bytes:
        return bytes((PacketProperty.NAT_MESSAGE,)) + self.body


@dataclass(frozen=True)
class Empty:
    """
    One byte that opens a NAT mapping (WIRE §7).
    """

    def encode(self) -> bytes:
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
