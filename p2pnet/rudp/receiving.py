"""
What the packets of one connection mean to it: packets in, events out.
"""

from __future__ import annotations

from typing import Final

from p2pnet.rudp.connection import Connection
from p2pnet.rudp.events import (
    ConnectionState,
    DisconnectInfo,
    DisconnectReason,
    Event,
    LatencyUpdated,
    MessageDelivered,
)
from p2pnet.rudp.inbox import NO_CHANNEL
from p2pnet.rudp.received import MessagesReceived
from p2pnet.wire.constants import (
    CONNECTION_NUMBER_SHIFT,
    PROPERTY_MASK,
    DeliveryMethod,
    PacketProperty,
)
from p2pnet.wire.control import PING, PONG, MtuProbe
from p2pnet.wire.header import MalformedPacket, verify

OF_OPEN_CONNECTIONS: Final = bytes(
    property
    in (
        PacketProperty.UNRELIABLE,
        PacketProperty.CHANNELED,
        PacketProperty.ACK,
        PacketProperty.PING,
        PacketProperty.PONG,
        PacketProperty.MTU_CHECK,
        PacketProperty.MTU_OK,
        PacketProperty.MERGED,
        PacketProperty.EMPTY,
    )
    for property in PacketProperty
)
"""By number: 1 for the packets that `receive` takes."""
MAX_MERGE_DEPTH: Final = 4
"""The reference nests once at most; more is an attempt at recursion (PITFALLS B9, TRAPS T16)."""
# Of `ConnectionState` and `PacketProperty`, for where there is no time to look them up.
_CONNECTED: Final = ConnectionState.CONNECTED
_CHANNELED: Final = 1
_ACK: Final = 2
_MERGED: Final = 12
_METHODS: Final = tuple(DeliveryMethod)
"""By number; to look one up is ten times as fast as to make it."""


def receive(connection: Connection, data: bytes, now: float, depth: int = 0) -> list[Event]:
    """
    Take a verified packet of connected type and of the connection's number, in state CONNECTED.

    :param depth: of the merged datagrams that it comes out of.
    :raise MalformedPacket: the packet contradicts itself.
    """
    connection.last_heard = now
    prop = data[0] & PROPERTY_MASK
    if prop == _CHANNELED:
        return _receive_channeled(connection, data, now)
    if prop == _MERGED:
        return _receive_merged(connection, data, now, depth)
    if prop == _ACK:
        outbox = connection.outbox
        delivered = outbox.receive_ack(data, now, connection.rtt)
        connection.path.discovery.delivered(outbox.largest_confirmed)
        return [MessageDelivered(connection, user_data) for user_data in delivered]
    match prop:
        case PacketProperty.UNRELIABLE:
            if connection.inbox.held:
                connection.statistics.count_drop("unread messages")
                return []
            return [MessagesReceived(connection, [data[1:]], 0, DeliveryMethod.UNRELIABLE)]
        case PacketProperty.PING:
            connection.path.receive_ping(PING.unpack_from(data)[1], now)
        case PacketProperty.PONG:
            _, sequence, ticks = PONG.unpack_from(data)
            round_trip = connection.path.receive_pong(sequence, ticks, now)
            if round_trip is not None:
                connection.still_there(round_trip, now)
                return [LatencyUpdated(connection, round_trip / 2)]
        case PacketProperty.MTU_CHECK:
            if connection.path.receive_probe(MtuProbe.decode(data).size, now):
                connection.traffic.use_whole_window()
        case PacketProperty.MTU_OK:
            discovery = connection.path.discovery
            if discovery.answered(MtuProbe.decode(data).size, now):
                connection.outbox.mtu = discovery.mtu
    return []


def _receive_channeled(connection: Connection, data: bytes, now: float) -> list[Event]:
    events: list[Event] = []
    inbox = connection.inbox
    messages, channel_id = inbox.receive(data)
    if messages:
        events.append(_received(connection, messages, channel_id))
    if inbox.overflow:
        info = DisconnectInfo(DisconnectReason.LIMIT_EXCEEDED, detail=inbox.overflow)
        events += connection.disconnect(b"", now, info)
    return events


def _receive_merged(
    connection: Connection, data: bytes, now: float, depth: int
) -> list[Event]:
    if depth >= MAX_MERGE_DEPTH:
        raise MalformedPacket("merged too deep")
    events: list[Event] = []
    inbox = connection.inbox
    position, end = 1, len(data)
    while position + 2 <= end:
        messages: list[bytes] = []
        channel_id, position = inbox.receive_run(data, position, messages)
        if messages:
            events.append(_received(connection, messages, channel_id))
            continue
        start = position + 2
        position = start + (data[position] | data[position + 1] << 8)
        if position == start or position > end:
            # What stands there is no packet, and nothing behind it is one (PITFALLS A3).
            break
        packet = data[start:position]
        try:
            verify(packet)
            if packet[0] >> CONNECTION_NUMBER_SHIFT & 3 != connection.number:
                connection.statistics.count_drop("connection number")
                continue
            events += receive(connection, packet, now, depth + 1)
        except MalformedPacket:
            # It ends the datagram; what stood before it stays processed (WIRE §4.4).
            connection.statistics.count_drop("malformed")
            break
        if connection.state is not _CONNECTED:
            break
    return events


def _received(
    connection: Connection, messages: list[bytes], channel_id: int
) -> MessagesReceived:
    if channel_id == NO_CHANNEL:
        return MessagesReceived(connection, messages, 0, DeliveryMethod.UNRELIABLE)
    return MessagesReceived(connection, messages, channel_id >> 2, _METHODS[channel_id & 3])
