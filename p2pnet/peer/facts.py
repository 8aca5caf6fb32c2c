"""
What a peer, its counters and a time server's answer say, as fields of an answer.
"""

from __future__ import annotations

from p2pnet.interfaces import DeliveryMethod, INetPeer
from p2pnet.peer.events import endpoint
from p2pnet.peer.language import dotnet
from p2pnet.rudp.statistics import NetStatistics
from p2pnet.wire.constants import DOTNET_UNIX_EPOCH_TICKS, TICKS_PER_SECOND
from p2pnet.wire.ntp import NtpPacket, unix_time


def state_of(peer: INetPeer) -> str:
    """
    Where a peer is in its life, as .NET names it.
    """
    return dotnet(peer.state.name or "")


def clocks(peer: INetPeer) -> dict[str, object]:
    """
    How far away a peer is, half of a round trip in milliseconds, and how much its clock is ahead.
    """
    return {
        "ping": int(peer.round_trip_time * 500),
        "remote_delta_ticks": round(peer.remote_time_delta * TICKS_PER_SECOND),
    }


def about(peer: INetPeer) -> dict[str, object]:
    """
    One element of what ``peers`` lists.
    """
    return {
        "peer": peer.id,
        "endpoint": endpoint(peer.address),
        "state": state_of(peer),
        "mtu": peer.mtu,
        "since_last": int(peer.time_since_last_packet * 1000),
        **clocks(peer),
    }


def sizes(peer: INetPeer) -> dict[str, object]:
    """
    The datagram size, and how long a message may be to fit into one.
    """
    return {
        "mtu": peer.mtu,
        "max_unreliable": peer.max_single_packet_size(DeliveryMethod.UNRELIABLE),
        "max_channeled": peer.max_single_packet_size(DeliveryMethod.SEQUENCED),
    }


def counted(statistics: NetStatistics) -> dict[str, object]:
    """
    Counters; ``packet_loss`` and its share of what was sent are reliable packets.
    """
    return {
        "packets_sent": statistics.packets_sent,
        "packets_received": statistics.packets_received,
        "bytes_sent": statistics.bytes_sent,
        "bytes_received": statistics.bytes_received,
        "packet_loss": statistics.packets_lost,
        "packet_loss_percent": int(statistics.packet_loss_percent),
        "packets_resent": statistics.packets_resent,
        "dropped": statistics.dropped,
    }


def time_told(packet: NtpPacket) -> dict[str, object]:
    """
    The fields of an ``ntp`` event; ticks are .NET's, of 100 ns.
    """
    arrived = unix_time(packet.destination_timestamp)
    return {
        "bytes": packet.encode().hex(),
        "stratum": packet.stratum,
        "mode": dotnet(packet.mode.name),
        "version": packet.version_number,
        "offset_ticks": round(packet.correction_offset * TICKS_PER_SECOND),
        "rtt_ticks": round(packet.round_trip_time * TICKS_PER_SECOND),
        "destination_ticks": DOTNET_UNIX_EPOCH_TICKS + round(arrived * TICKS_PER_SECOND),
    }
