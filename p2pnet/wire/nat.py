"""
NAT introduction messages: what stands behind byte 0x10 (WIRE §8).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from p2pnet.serialization.reader import NetDataReader, ReadError
from p2pnet.serialization.typehash import type_hash
from p2pnet.serialization.writer import NetDataWriter, encode_utf8
from p2pnet.wire.constants import Address
from p2pnet.wire.header import MalformedPacket
from p2pnet.wire.packets import NatMessage

MAX_TOKEN_LENGTH: Final = 256
"""In UTF-16 units; half of the longest UTF-8 form in bytes (NatPunchModule.MaxTokenLength)."""

_MODULE: Final = "LiteNetLib.NatPunchModule+"
_REQUEST: Final = type_hash(_MODULE + "NatIntroduceRequestPacket")
_RESPONSE: Final = type_hash(_MODULE + "NatIntroduceResponsePacket")
_PUNCH: Final = type_hash(_MODULE + "NatPunchPacket")


@dataclass(frozen=True)
class NatIntroduceRequest:
    """
    Introduce me to whoever else names this token.

    :ivar internal: the sender's address inside its own network.
    """

    internal: Address
    token: str

    def encode(self) -> bytes:
        """
        The datagram.

        :raise ValueError: see `check_token`.
        """
        writer = _begin(_REQUEST)
        writer.put_endpoint(self.internal)
        return _end(writer, self.token)


@dataclass(frozen=True)
class NatIntroduceResponse:
    """
    The one you look for is at these two addresses.
    """

    internal: Address
    external: Address
    token: str

    def encode(self) -> bytes:
        """
        The datagram.

        :raise ValueError: see `check_token`.
        """
        writer = _begin(_RESPONSE)
        writer.put_endpoint(self.internal)
        writer.put_endpoint(self.external)
        return _end(writer, self.token)


@dataclass(frozen=True)
class NatPunch:
    """
    From peer to peer: this address of yours reaches you.

    :ivar is_external: it went to the external address, not to the internal one.
    """

    token: str
    is_external: bool

    def encode(self) -> bytes:
        """
        The datagram.

        :raise ValueError: see `check_token`.
        """
        writer = _begin(_PUNCH)
        writer.put_string(check_token(self.token))
        writer.put_bool(self.is_external)
        return NatMessage(writer.data()).encode()


NatPacket = NatIntroduceRequest | NatIntroduceResponse | NatPunch
"""What `parse_nat` reads."""


def check_token(token: str) -> str:
    """
    ``token``, if every LiteNetLib peer can read it.

    :raise ValueError: longer than 256 UTF-16 units or 512 bytes of UTF-8.
    """
    units = len(token.encode("utf-16-le", "surrogatepass")) // 2
    if units > MAX_TOKEN_LENGTH or len(encode_utf8(token)) > 2 * MAX_TOKEN_LENGTH:
        raise ValueError(f"a NAT token of {units} characters; {MAX_TOKEN_LENGTH} are allowed")
    return token


def parse_nat(body: bytes) -> list[NatPacket]:
    """
    The packets in the body of a `NatMessage`: one, or several back to back.

    :raise MalformedPacket: any of them is cut off, of unknown type, or names no literal IP or
        port 0.
    """
    reader = NetDataReader(body)
    packets: list[NatPacket] = []
    try:
        while not packets or not reader.end_of_data:
            kind = reader.get_ulong()
            if kind == _REQUEST:
                internal = _address(reader)
                packets.append(NatIntroduceRequest(internal, _token(reader)))
            elif kind == _RESPONSE:
                internal, external = _address(reader), _address(reader)
                packets.append(NatIntroduceResponse(internal, external, _token(reader)))
            elif kind == _PUNCH:
                token = _token(reader)
                packets.append(NatPunch(token, reader.get_bool()))
            else:
                raise MalformedPacket(f"unknown NAT message {kind:#018x}")
    except ReadError as error:
        raise MalformedPacket(str(error)) from None
    return packets


def _begin(kind: int) -> NetDataWriter:
    writer = NetDataWriter()
    writer.put_ulong(kind)
    return writer


def _end(writer: NetDataWriter, token: str) -> bytes:
    writer.put_string(check_token(token))
    return NatMessage(writer.data()).encode()


def _address(reader: NetDataReader) -> Address:
    address = reader.get_endpoint()
    if address[1] == 0:
        # Nobody is reached there (PITFALLS B7).
        raise MalformedPacket(f"a NAT message with port 0 of {address[0]}")
    return address


def _token(reader: NetDataReader) -> str:
    return reader.get_string(MAX_TOKEN_LENGTH)
