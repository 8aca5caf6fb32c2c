"""
What a datagram says, as names and values.  `p2pnet.wire` reads the bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from p2pnet.dissect.frames import Datagram
from p2pnet.dissect.runs import split
from p2pnet.serialization.typehash import type_hash
from p2pnet.text import written
from p2pnet.wire.constants import (
    DOTNET_UNIX_EPOCH_TICKS,
    MAX_SEQUENCE,
    PROPERTY_MASK,
    TICKS_PER_SECOND,
    WINDOW_SIZE,
    DeliveryMethod,
    PacketProperty,
)
from p2pnet.wire.control import (
    ConnectAccept,
    ConnectRequest,
    Disconnect,
    MtuProbe,
    PeerNotFound,
    Ping,
    Pong,
)
from p2pnet.wire.header import MalformedPacket, verify
from p2pnet.wire.layers import PacketLayer
from p2pnet.wire.nat import NatIntroduceRequest, NatIntroduceResponse, NatPacket, parse_nat
from p2pnet.wire.ntp import NTP_PORT, NTP_SIZE, NtpMode, NtpPacket, unix_time
from p2pnet.wire.packets import (
    Ack,
    Broadcast,
    Channeled,
    Merged,
    NatMessage,
    Packet,
    UnconnectedMessage,
    Unreliable,
    parse,
)
from p2pnet.wire.sockaddr import decode_sockaddr

_SIZED: Final = frozenset(
    (
        PacketProperty.ACK,
        PacketProperty.CONNECT_ACCEPT,
        PacketProperty.MTU_CHECK,
        PacketProperty.MTU_OK,
        PacketProperty.PEER_NOT_FOUND,
    )
)
"""Kinds that mean something in one size only, so that the beginning of one says nothing."""
_RELIABLE: Final = (DeliveryMethod.RELIABLE_UNORDERED, DeliveryMethod.RELIABLE_ORDERED)
_HASH_SIZE: Final = 8
_MAX_STRATUM: Final = 16
_MAX_POLL: Final = 17


class Ticks(int):
    """
    A moment in .NET ticks.
    """


Value = bool | int | str | bytes | Ticks | tuple[int, ...]
"""A tuple holds sequences, in their order."""


@dataclass(frozen=True, slots=True)
class Reading:
    """
    What a packet says.

    :ivar kind: its name in LiteNetLib; ``NTP``; ``Malformed`` if it cannot be told.
    :ivar fields: in the order to show them.  ``malformed`` says why a receiver drops it.
    :ivar inside: the packets in a Merged or NatMessage.
    """

    kind: str
    fields: dict[str, Value]
    inside: tuple[Reading, ...] = ()


class Dissector:
    """
    Reads datagrams.

    :param layer: what they passed on their way out.
    :param packet_names: CLR type names of NetPacketProcessor packets, which messages are told by.
    """

    def __init__(self, layer: PacketLayer | None = None, packet_names: Iterable[str] = ()) -> None:
        self._layer = layer
        self._names = {type_hash(name): name for name in packet_names}

    def split(self, datagram: Datagram) -> Sequence[Datagram]:
        """
        The datagrams in what a capture shows as one; see `p2pnet.dissect.runs`.
        """
        layer = self._layer or PacketLayer()
        return split(datagram, layer, lambda each: _is_sound(self.read(each)))

    def read(self, datagram: Datagram) -> Reading:
        """
        What a datagram says; whatever it holds, nothing is raised.
        """
        if _is_ntp(datagram):
            return _ntp(datagram.data)
        data = datagram.data
        if self._layer is not None and not _is_nat(data):
            inner = self._layer.inbound(data)
            if inner is None and datagram.is_cut:
                # What it checks stands at the end.
                inner = data[: datagram.length - self._layer.overhead]
            if inner is None:
                return Reading(
                    "Malformed", {"malformed": "the packet layer drops it", **_payload(data)}
                )
            data = inner
        return self._packet(data, is_cut=datagram.is_cut)

    def _packet(self, data: bytes, *, is_cut: bool = False, in_merged: bool = False) -> Reading:
        kind = "Malformed"
        try:
            number = data[0] & PROPERTY_MASK if data else len(PacketProperty)
            if number < len(PacketProperty):
                kind = clr_name(PacketProperty(number).name)
            prop = verify(data)
            if is_cut and prop in _SIZED:
                return Reading(kind, {})
            if in_merged and prop == PacketProperty.MERGED:
                raise MalformedPacket("a Merged inside a Merged")
            packet = parse(data)
            if isinstance(packet, NatMessage):
                return Reading(kind, {}, tuple(map(_nat, parse_nat(packet.body))))
        except MalformedPacket as error:
            reason = "cut off by the capture" if is_cut else str(error)
            return Reading(kind, {"malformed": reason, **_payload(data)})
        if isinstance(packet, Merged):
            return self._merged(kind, packet, data, is_cut)
        return Reading(kind, self._fields(packet))

    def _merged(self, kind: str, merged: Merged, data: bytes, is_cut: bool) -> Reading:
        fields: dict[str, Value] = {"connection": merged.connection_number}
        rest = len(data) - len(merged.encode())
        if rest and not is_cut:
            fields["malformed"] = f"{rest} bytes at the end are no packet"
        inside = tuple(self._packet(packet, in_merged=True) for packet in merged.packets)
        return Reading(kind, fields, inside)

    def _fields(self, packet: Packet) -> dict[str, Value]:
        match packet:
            case Unreliable(number, data):
                return {"connection": number, **self._message(data)}
            case Channeled(number, sequence, channel_id, data, fragment):
                fields = {"connection": number, **_channel(channel_id), "sequence": sequence}
                if fragment is None:
                    return {**fields, **self._message(data)}
                fields |= {"fragment": fragment.id, "part": fragment.part, "total": fragment.total}
                return {**fields, **(_payload(data) if fragment.part else self._message(data))}
            case Ack():
                return _ack(packet)
            case Ping(number, sequence):
                return {"connection": number, "sequence": sequence}
            case Pong(number, sequence, ticks):
                return {"connection": number, "sequence": sequence, "clock": Ticks(ticks)}
            case ConnectRequest(number, time, target, data, protocol):
                return {
                    "connection": number,
                    "protocol": protocol,
                    "connection_time": Ticks(time),
                    "target": written(decode_sockaddr(target)),
                    **_payload(data),
                }
            case ConnectAccept(time, number, reused):
                return {"connection": number, "connection_time": Ticks(time), "reused": reused}
            case Disconnect(number, time, data):
                return {"connection": number, "connection_time": Ticks(time), **_payload(data)}
            case PeerNotFound(time, confirmed) if time is not None:
                return {"connection_time": Ticks(time), "confirmed": confirmed}
            case MtuProbe(number, size):
                return {"connection": number, "mtu": size}
            case UnconnectedMessage(data) | Broadcast(data):
                return self._message(data)
        return {}

    def _message(self, data: bytes) -> dict[str, Value]:
        name = None
        if len(data) >= _HASH_SIZE:
            name = self._names.get(int.from_bytes(data[:_HASH_SIZE], "little"))
        return _payload(data) if name is None else {"packet": name, **_payload(data)}


def _is_sound(reading: Reading) -> bool:
    return "malformed" not in reading.fields and all(map(_is_sound, reading.inside))


def clr_name(name: str) -> str:
    """
    The name in LiteNetLib of what is called ``name`` in an enum here.
    """
    return "".join(word.capitalize() for word in name.split("_"))


def _payload(data: bytes) -> dict[str, Value]:
    return {"size": len(data), "data": data}


def _channel(channel_id: int) -> dict[str, Value]:
    method = DeliveryMethod(channel_id & 3)
    return {"channel": channel_id >> 2, "method": clr_name(method.name)}


def _ack(ack: Ack) -> dict[str, Value]:
    fields = {"connection": ack.connection_number, **_channel(ack.channel_id)}
    is_reliable = ack.channel_id & 3 in _RELIABLE
    if ack.sequence >= MAX_SEQUENCE:
        fields["malformed"] = f"sequence {ack.sequence}"
    elif (ack.bitmap is not None) != is_reliable:
        fields["malformed"] = "an Ack of the other kind of channel"
    if ack.bitmap is None:
        return {**fields, "sequence": ack.sequence}
    window = range(ack.sequence, ack.sequence + WINDOW_SIZE)
    arrived = tuple(
        sequence % MAX_SEQUENCE
        for sequence in window
        if ack.bitmap >> sequence % WINDOW_SIZE & 1
    )
    return {**fields, "window": ack.sequence, "arrived": arrived}


# ------------------------------------------------------- what passes a packet layer by


def _is_nat(data: bytes) -> bool:
    """
    Whether the reference sent this past its packet layer (PITFALLS D21).
    """
    if data == bytes((PacketProperty.EMPTY,)):
        return True
    try:
        return data[:1] == bytes((PacketProperty.NAT_MESSAGE,)) and bool(parse_nat(data[1:]))
    except MalformedPacket:
        return False


def _nat(packet: NatPacket) -> Reading:
    kind = type(packet).__name__
    if isinstance(packet, NatIntroduceRequest):
        return Reading(kind, {"internal": written(packet.internal), "token": packet.token})
    if isinstance(packet, NatIntroduceResponse):
        addresses = {"internal": written(packet.internal), "external": written(packet.external)}
        return Reading(kind, {**addresses, "token": packet.token})
    return Reading(kind, {"external": packet.is_external, "token": packet.token})


def _is_ntp(datagram: Datagram) -> bool:
    """
    Whether this is of a time server.  On another port than theirs it must look like it: 48 bytes
    that would be a Ping or Pong, which are shorter, or nothing.
    """
    data = datagram.data
    if datagram.length < NTP_SIZE or len(data) < NTP_SIZE:
        return False
    for end in (datagram.source, datagram.destination):
        if end is not None and end[1] == NTP_PORT:
            return True
    version, mode = data[0] >> 3 & 7, data[0] & 7
    return (
        datagram.length == NTP_SIZE
        and version in (3, 4)
        and mode in (NtpMode.CLIENT, NtpMode.SERVER)
        and data[1] <= _MAX_STRATUM
        and data[2] <= _MAX_POLL
    )


def _ntp(data: bytes) -> Reading:
    packet = NtpPacket.decode(data, 0)
    fields: dict[str, Value] = {
        "mode": clr_name(packet.mode.name),
        "version": packet.version_number,
        "stratum": packet.stratum,
    }
    if packet.mode is NtpMode.SERVER and packet.stratum == 0:
        fields["refused"] = packet.reference_id.to_bytes(4, "big")
    if packet.mode is NtpMode.CLIENT:
        # Any number, which the answer repeats as its origin.
        return Reading("NTP", {**fields, "transmit": f"{packet.transmit_timestamp:016x}"})
    fields["origin"] = f"{packet.origin_timestamp:016x}"
    if packet.receive_timestamp:
        fields["receive"] = _moment(packet.receive_timestamp)
    if packet.transmit_timestamp:
        fields["transmit"] = _moment(packet.transmit_timestamp)
    return Reading("NTP", fields)


def _moment(timestamp: int) -> Ticks:
    return Ticks(DOTNET_UNIX_EPOCH_TICKS + round(unix_time(timestamp) * TICKS_PER_SECOND))
