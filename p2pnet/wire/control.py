"""
Datagrams that open, watch and close a connection (WIRE §3, §5, §6).
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct
from typing import Final

from p2pnet.wire.constants import (
    CONNECT_ACCEPT_SIZE,
    CONNECT_REQUEST_HEADER_SIZE,
    CONNECTION_NUMBER_SHIFT,
    CONNECTION_NUMBERS,
    DISCONNECT_HEADER_SIZE,
    MAX_DATAGRAM_SIZE,
    MIN_MTU,
    PROPERTY_MASK,
    PROTOCOL_ID,
    PacketProperty,
)
from p2pnet.wire.header import MalformedPacket, connection_number, first_byte
from p2pnet.wire.sockaddr import IPV4_SIZE, IPV6_SIZE

PING: Final = Struct("<BH")
"""First byte, sequence."""
PONG: Final = Struct("<BHq")
"""First byte, sequence, .NET ticks."""
_CONNECT_REQUEST: Final = Struct("<BiqB")
_CONNECT_ACCEPT: Final = Struct("<BqBB")
_DISCONNECT: Final = Struct("<Bq")
_PEER_NOT_FOUND: Final = Struct("<BBq")
_INT: Final = Struct("<i")
_TICKS: Final = Struct("<q")


@dataclass(frozen=True)
class ConnectRequest:
    """
    A proposal to connect (WIRE §3.1).
    """

    connection_number: int
    connection_time: int
    """.NET ticks when ``connect`` was called; the same in every retry."""
    target: bytes
    """The receiver's socket address as the sender sees it, 16 or 28 bytes."""
    data: bytes = b""
    protocol_id: int = PROTOCOL_ID

    def encode(self) -> bytes:
        """
        The datagram: 14 bytes of header, the target address and the data.

        The size is for the caller to check: the reference reads no more than 1432 bytes.
        """
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
        """
        Read a datagram that `verify` has passed; its protocol id is not looked at.

        :raise MalformedPacket: the target address is cut off, or has neither 16 nor 28 bytes.
        """
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

    :ivar connection_time: .NET ticks, as in the request.
    :ivar connection_number: 0..3, which both sides use from now on.
    :ivar reused: sent as False by the reference, and of no use.
    """

    connection_time: int
    connection_number: int
    reused: bool = False

    def encode(self) -> bytes:
        """
        The datagram: 11 bytes.
        """
        return _CONNECT_ACCEPT.pack(
            PacketProperty.CONNECT_ACCEPT,
            self.connection_time,
            self.connection_number,
            self.reused,
        )

    @classmethod
    def decode(cls, data: bytes) -> ConnectAccept:
        """
        Read a datagram that `verify` has passed.

        :raise MalformedPacket: it has not 11 bytes, or a number that cannot be.
        """
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

    :ivar connection_time: .NET ticks of the ConnectRequest that began it.
    :ivar data: what the closing side has to say.
    """

    connection_number: int
    connection_time: int
    data: bytes = b""

    def encode(self) -> bytes:
        """
        The datagram: 9 bytes and the data, which must stay below the MTU together (WIRE §9).
        """
        first = first_byte(PacketProperty.DISCONNECT, self.connection_number)
        return _DISCONNECT.pack(first, self.connection_time) + self.data

    @classmethod
    def decode(cls, data: bytes) -> Disconnect:
        """
        Read a datagram that `verify` has passed.
        """
        first, time = _DISCONNECT.unpack_from(data)
        number = first >> CONNECTION_NUMBER_SHIFT & 3
        return cls(number, time, data[DISCONNECT_HEADER_SIZE:])


@dataclass(frozen=True)
class ShutdownOk:
    """
    A Disconnect has been seen (WIRE §6).
    """

    def encode(self) -> bytes:
        """
        The datagram: 1 byte.
        """
        return bytes((PacketProperty.SHUTDOWN_OK,))


@dataclass(frozen=True)
class InvalidProtocol:
    """
    The ConnectRequest was of another protocol (WIRE §3.3).
    """

    def encode(self) -> bytes:
        """
        The datagram: 1 byte.
        """
        return bytes((PacketProperty.INVALID_PROTOCOL,))


@dataclass(frozen=True)
class PeerNotFound:
    """
    No connection with you is known here; with a time, a question or answer about one (WIRE §6).

    :ivar connection_time: .NET ticks; None for the bare byte.
    :ivar confirmed: it is the answer: I know of no such connection.
    """

    connection_time: int | None = None
    confirmed: bool = False

    def encode(self) -> bytes:
        """
        The datagram: 1 byte, or 10 with a time.
        """
        if self.connection_time is None:
            return bytes((PacketProperty.PEER_NOT_FOUND,))
        return _PEER_NOT_FOUND.pack(
            PacketProperty.PEER_NOT_FOUND, self.confirmed, self.connection_time
        )

    @classmethod
    def decode(cls, data: bytes) -> PeerNotFound:
        """
        Read a datagram that `verify` has passed.

        :raise MalformedPacket: it has neither 1 nor 10 bytes, or is neither question nor answer.
        """
        if len(data) == 1:
            return cls()
        if len(data) != _PEER_NOT_FOUND.size or data[1] > 1:
            raise MalformedPacket(f"a PeerNotFound of {len(data)} bytes")
        return cls(_TICKS.unpack_from(data, 2)[0], data[1] == 1)


@dataclass(frozen=True)
class Ping:
    """
    Are you there? (WIRE §5)

    :ivar sequence: 0..65535 on the wire; we count modulo 32768 (PITFALLS D4).
    """

    connection_number: int
    sequence: int

    def encode(self) -> bytes:
        """
        The datagram: 3 bytes.
        """
        return PING.pack(first_byte(PacketProperty.PING, self.connection_number), self.sequence)


@dataclass(frozen=True)
class Pong:
    """
    The answer to a `Ping`, with the answering clock (WIRE §5).

    :ivar sequence: that of the ping.
    :ivar ticks: .NET ticks of UTC.
    """

    connection_number: int
    sequence: int
    ticks: int

    def encode(self) -> bytes:
        """
        The datagram: 11 bytes.
        """
        first = first_byte(PacketProperty.PONG, self.connection_number)
        return PONG.pack(first, self.sequence, self.ticks)


@dataclass(frozen=True)
class MtuProbe:
    """
    MtuCheck, or MtuOk if it is the `answer`: a datagram whose size is its message (WIRE §5).

    :ivar size: bytes, without what a packet layer adds.
    """

    connection_number: int
    size: int
    answer: bool = False

    def encode(self) -> bytes:
        """
        The datagram: `size` bytes, padded with zeros.
        """
        prop = PacketProperty.MTU_OK if self.answer else PacketProperty.MTU_CHECK
        size = _INT.pack(self.size)
        # The reference pads with whatever its buffer held before (PITFALLS A1).
        padding = bytes(self.size - 1 - 2 * len(size))
        return bytes((first_byte(prop, self.connection_number),)) + size + padding + size

    @classmethod
    def decode(cls, data: bytes) -> MtuProbe:
        """
        Read a datagram.

        :raise MalformedPacket: its size is not in 508..1432, or not the one that it announces.
        """
        size = len(data)
        if not MIN_MTU <= size <= MAX_DATAGRAM_SIZE:
            raise MalformedPacket(f"an MTU probe of {size} bytes")
        if _INT.unpack_from(data, 1)[0] != size or _INT.unpack_from(data, size - 4)[0] != size:
            raise MalformedPacket("an MTU probe that announces another size")
        answer = data[0] & PROPERTY_MASK == PacketProperty.MTU_OK
        return cls(connection_number(data), size, answer)
