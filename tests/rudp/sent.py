"""
What a party sent, sorted so that timing and grouping do not show.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass, field

from p2pnet.wire.constants import (
    CHANNELED_HEADER_SIZE,
    FRAGMENTED_FLAG,
    FRAGMENTED_HEADER_SIZE,
    MAX_SEQUENCE,
    Address,
)
from p2pnet.wire.constants import PacketProperty as P
from p2pnet.wire.control import ConnectAccept
from p2pnet.wire.header import MalformedPacket
from p2pnet.wire.packets import CHANNELED, FRAGMENT
from p2pnet.wire.sequence import distance
from tests.rudp.excuses import Excuses
from tests.rudp.recording import is_request, parts

MERGE_OVERHEAD = 23
"""The library sends a packet alone, at once, if it is not this much smaller than the MTU."""


@dataclass(frozen=True)
class Datagram:
    """
    What passed the party's packet layer.

    :ivar at: milliseconds.
    :ivar out: it was sent; if not, it was received.
    :ivar layered: it passed the packet layer, too.
    """

    at: float
    out: bool
    address: Address
    data: bytes
    ttl: int | None = None
    layered: bool = False


@dataclass
class Stream:
    """
    What was sent on one connection, told by its connection time.
    """

    first_bytes: dict[str, set[int]] = field(default_factory=dict)
    """Of pings and pongs: kind and connection number."""
    pings: list[int] = field(default_factory=list)
    pongs: list[int] = field(default_factory=list)
    small: list[bytes] = field(default_factory=list)
    large: list[bytes] = field(default_factory=list)
    """Unreliable messages; the library lets large ones overtake small ones (BEHAVIOUR §10)."""
    channels: dict[int, dict[int, bytes]] = field(default_factory=dict)
    """Channel id -> position in the endless row of sequences -> packet, header and all."""
    sent_at: dict[tuple[int, int], list[float]] = field(default_factory=dict)
    """Channel id, position -> milliseconds of each transmission."""
    acks: dict[int, list[bytes]] = field(default_factory=dict)
    """By channel id, each only if it differs from the one before."""


@dataclass
class Batch:
    """
    What a party with ticks sent in one of them, without what was sent before.
    """

    packets: list[bytes] = field(default_factory=list)
    datagrams: list[bytes] = field(default_factory=list)
    is_pure: bool = True
    """Nothing in these datagrams had been sent before."""


@dataclass
class Sent:
    """
    Everything that a party sent, in an order that does not depend on timing.
    """

    streams: dict[tuple[Address, int], Stream] = field(default_factory=dict)
    control: dict[tuple[str, Address], list[bytes]] = field(default_factory=dict)
    nat: list[tuple[Address, bytes, int | None, bool]] = field(default_factory=list)
    """Each once: we repeat what gets a NAT open."""
    probes: dict[Address, set[int]] = field(default_factory=dict)
    """Sizes that were asked for.  We ask for all at once, so the order says nothing."""
    broadcasts: list[tuple[int, bytes]] = field(default_factory=list)
    batches: list[Batch] = field(default_factory=list)
    """For a party with ticks: the data and the news of acks, tick by tick."""


def summary(
    traffic: Iterable[Datagram],
    excuses: Excuses,
    ignored: list[tuple[float, float]],
    mtu: int,
    ticks: list[float],
) -> Sent:
    """
    Sort what was sent; what cannot be compared is left out.
    """
    sent = Sent()
    asked: set[tuple[Address, int]] = set()
    current: dict[Address, int] = {}
    newest: dict[tuple[Address, int, int], int] = {}
    batch = Batch()
    next_tick = 0
    for datagram in traffic:
        data, address, at = datagram.data, datagram.address, datagram.at
        while next_tick < len(ticks) and ticks[next_tick] <= at:
            next_tick += 1
            batch = Batch()
        if not data:
            continue
        prop = data[0] & 0x1F
        if datagram.out and is_request(data):
            asked.add((address, struct.unpack_from("<q", data, 5)[0]))
        if prop == P.CONNECT_ACCEPT:
            _follow(datagram, asked, current)
        if not datagram.out or excuses.is_cut(address, at):
            continue
        packets_before = len(batch.packets)
        for packet in parts(data):
            if any(start <= at < end for start, end in ignored):
                continue
            kind = packet[0] & 0x1F
            if kind > P.PONG:
                _sort_control(sent, packet, kind, datagram)
                continue
            time = current.get(address, 0)
            stream = sent.streams.setdefault((address, time), Stream())
            if kind == P.CHANNELED or kind == P.ACK:
                _, sequence, channel_id = CHANNELED.unpack_from(packet)
                if excuses.is_cut(address, at, channel_id):
                    continue
                if kind == P.CHANNELED:
                    key = address, time, channel_id
                    position = newest.get(key, 0)
                    position += distance(sequence, position % MAX_SEQUENCE)
                    newest[key] = max(newest.get(key, 0), position)
                    stream.sent_at.setdefault((channel_id, position), []).append(at)
                    packets = stream.channels.setdefault(channel_id, {})
                    if position in packets:
                        continue
                    packets[position] = packet
                else:
                    acks = stream.acks.setdefault(channel_id, [])
                    if acks[-1:] == [packet]:
                        continue
                    acks.append(packet)
                batch.packets.append(packet)
            elif kind == P.UNRELIABLE:
                alone = len(packet) >= mtu - MERGE_OVERHEAD
                (stream.large if alone else stream.small).append(packet)
                batch.packets.append(packet)
            else:
                stream.first_bytes.setdefault(P(kind).name, set()).add(packet[0])
                sequence = struct.unpack_from("<H", packet, 1)[0]
                (stream.pings if kind == P.PING else stream.pongs).append(sequence)
        added = len(batch.packets) - packets_before
        if added:
            batch.datagrams.append(data)
            batch.is_pure &= added == len(parts(data))
            if not sent.batches or sent.batches[-1] is not batch:
                sent.batches.append(batch)
    return sent


def _follow(
    datagram: Datagram, asked: set[tuple[Address, int]], current: dict[Address, int]
) -> None:
    """
    Note which connection an address has from now on.
    """
    try:
        accept = ConnectAccept.decode(datagram.data)
    except MalformedPacket:
        return
    if datagram.out or (datagram.address, accept.connection_time) in asked:
        current[datagram.address] = accept.connection_time


def _sort_control(sent: Sent, packet: bytes, kind: int, datagram: Datagram) -> None:
    address = datagram.address
    if kind == P.MTU_CHECK:
        sent.probes.setdefault(address, set()).add(len(packet))
        return
    if kind == P.MTU_OK:
        # The padding is whatever the library's buffer held (PITFALLS A1), the number its defect D5.
        packet = bytes((packet[0] & 0x9F,)) + len(packet).to_bytes(4, "little")
    if kind == P.BROADCAST:
        # One may go out over several paths.
        if sent.broadcasts[-1:] != [(address[1], packet)]:
            sent.broadcasts.append((address[1], packet))
    elif kind in (P.NAT_MESSAGE, P.EMPTY):
        ttl = datagram.ttl if datagram.ttl != 255 else None
        entry = address, packet, ttl, datagram.layered
        if entry not in sent.nat:
            sent.nat.append(entry)
    else:
        name = P(kind).name if kind < len(P) else str(kind)
        sent.control.setdefault((name, address), []).append(packet)


def whole(packets: list[bytes]) -> list[bytes]:
    """
    The messages in a channel's packets, without the last one if parts of it are missing.
    """
    messages: list[bytes] = []
    pieces: list[bytes] = []
    for packet in packets:
        if not packet[0] & FRAGMENTED_FLAG:
            messages.append(packet[CHANNELED_HEADER_SIZE:])
            continue
        _, _, total = FRAGMENT.unpack_from(packet, CHANNELED_HEADER_SIZE)
        pieces.append(packet[FRAGMENTED_HEADER_SIZE:])
        if len(pieces) == total:
            messages.append(b"".join(pieces))
            pieces = []
    return messages
