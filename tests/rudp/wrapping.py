"""
Datagrams and the packet layers around them.
"""

from __future__ import annotations

from dataclasses import dataclass

from p2pnet.wire.constants import PacketProperty as P
from p2pnet.wire.header import MalformedPacket
from p2pnet.wire.layers import Crc32cLayer, PacketLayer, XorEncryptLayer
from p2pnet.wire.nat import parse_nat
from p2pnet.wire.ntp import NTP_SIZE, NtpMode


@dataclass(frozen=True)
class Packet:
    """
    A datagram.

    :ivar data: without its packet layer; empty if that drops it.
    :ivar wire: as it passed the socket.
    :ivar layer: that packet layer; None if there is none, or it was passed by.
    :ivar is_ntp: it went to or came from a time server.
    """

    data: bytes
    wire: bytes
    layer: PacketLayer | None = None
    is_ntp: bool = False


def layer_of(text: str) -> PacketLayer | None:
    """
    The packet layer that an option names.
    """
    kind, _, key = text.partition(":")
    match kind:
        case "none" | "":
            return None
        case "crc32c":
            return Crc32cLayer()
        case "xor":
            return XorEncryptLayer(key)
        case "xorhex":
            return XorEncryptLayer(bytes.fromhex(key))
    raise ValueError(f"unknown layer {text}")


def unwrapped(layer: PacketLayer | None, wire: bytes) -> bytes:
    """
    A datagram without its packet layer, empty if that drops it.
    """
    return wire if layer is None else layer.inbound(wire) or b""


def is_nat(wire: bytes) -> bool:
    """
    Whether this is of the kinds that pass a packet layer by on their way out (PITFALLS D21).
    """
    if wire == bytes((P.EMPTY,)):
        return True
    try:
        return wire[:1] == bytes((P.NAT_MESSAGE,)) and len(parse_nat(wire[1:])) > 0
    except MalformedPacket:
        return False


def is_time_request(wire: bytes) -> bool:
    """
    Whether this asks a time server.
    """
    return len(wire) == NTP_SIZE and wire[0] & 7 == NtpMode.CLIENT
