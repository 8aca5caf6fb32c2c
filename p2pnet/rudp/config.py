"""
What can be set about an Endpoint.
"""

from __future__ import annotations

from dataclasses import dataclass

from p2pnet.rudp.statistics import NetStatistics
from p2pnet.wire.constants import (
    FRAGMENTED_HEADER_SIZE,
    MAX_CHANNELS,
    MAX_DATAGRAM_SIZE,
    WINDOW_SIZE,
)

_MIN_MTU_OVERRIDE = 64


@dataclass(frozen=True)
class EndpointConfig:
    """
    Options of an Endpoint; times in seconds, sizes in bytes.

    The first block has LiteNetLib's names and defaults (BEHAVIOUR §13).  The second bounds what a
    stranger can make us hold or send; the reference has no such bounds.

    :raise ValueError: a value that cannot work; the text names the field.
    """

    channels: int = 1
    """Channels per connection, 1..64, in each direction and for each reliable method."""
    ping_interval: float = 1.0
    """Between two pings."""
    disconnect_timeout: float = 5.0
    """Silence that ends a connection; also how long a closed one is remembered."""
    reconnect_delay: float = 0.5
    """Between two ConnectRequests."""
    max_connect_attempts: int = 10
    """ConnectRequests after the first."""
    mtu_override: int = 0
    """Datagram size to keep to, 64..1432 (PITFALLS D23); 0 finds out what the path takes."""
    use_safe_mtu: bool = False
    """Begin with datagrams of 508 bytes instead of 1024."""
    disconnect_on_unreachable: bool = False
    """End a connection when the socket says that its host or network cannot be reached."""
    unconnected_messages_enabled: bool = False
    """Take messages without a connection (WIRE §7)."""
    broadcast_receive_enabled: bool = False
    """Take broadcasts (WIRE §7)."""
    nat_punch_enabled: bool = False
    """Take NAT messages (WIRE §8)."""
    nat_through_layer: bool = False
    """
    Pass outgoing NAT messages through the packet layer, too.  The reference does not, and so cannot
    be introduced with one (PITFALLS D21); switch it on if no reference peer takes part.
    """

    max_in_flight: int = 56
    """
    Sequences a reliable channel normally has unacknowledged.  The rest of the 64 are kept to coax
    an ack out of a 0.9.5 receiver that has lost one (BEHAVIOUR §6.4); a peer that shows to be of
    our kind needs no coaxing, and gets all 64.
    """
    amplification_limit: float = 3.0
    """
    Bytes sent per byte received until an address has answered a ping (PITFALLS C1; QUIC's number,
    RFC 9000 §8.1).  0 says that nobody forges addresses here: then nothing is done against it,
    neither this nor what PITFALLS C2 and C4 ask for.
    """
    requests_per_second: float = 0.0
    """
    ConnectRequests heard from one network, a /24 or a /64; 0 hears all.  Off at first because a
    load test, a school or a carrier's NAT is one network, too.
    """
    stray_replies_per_second: float = 1000.0
    """PeerNotFound, InvalidProtocol and ShutdownOk to strangers (PITFALLS C11)."""
    send_queue_limit: int = 0
    """Bytes of reliable messages queued or under way per peer before ``send`` raises; 0: any."""
    receive_queue_limit: int = 0
    """
    Bytes received and unread per peer, for who polls (`ManualNetManager`); beyond it nothing more
    is taken from that peer.  0: no limit.
    """
    max_pending_requests: int = 1024
    """Undecided requests held at once (PITFALLS B2)."""
    max_pending_requests_per_host: int = 64
    """The same, of one IP."""
    request_lifetime: float = 12.0
    """An undecided request is forgotten after this; a client asks for 5.7 s (PITFALLS B2)."""
    max_closing: int = 1024
    """Closed connections remembered at once; more are forgotten early."""
    max_incomplete_messages: int = 64
    """Fragmented messages under way per connection (PITFALLS B1)."""
    max_incomplete_bytes: int = 64 * 1024 * 1024
    """Announced bytes of those."""
    max_nat_tokens: int = 1024
    """NAT tokens expected, and introductions under way."""
    nat_token_lifetime: float = 30.0
    """For which an introduction with a token is expected, and followed."""

    def __post_init__(self) -> None:
        _check("channels", self.channels, 1, MAX_CHANNELS)
        if self.mtu_override:
            _check("mtu_override", self.mtu_override, _MIN_MTU_OVERRIDE, MAX_DATAGRAM_SIZE)
        _check("max_in_flight", self.max_in_flight, 1, WINDOW_SIZE)
        _check("max_connect_attempts", self.max_connect_attempts, 0, 1_000_000)
        _check("max_closing", self.max_closing, 1, 1 << 31)
        _check("max_nat_tokens", self.max_nat_tokens, 1, 1 << 31)
        for name in (
            "ping_interval",
            "disconnect_timeout",
            "reconnect_delay",
            "request_lifetime",
            "nat_token_lifetime",
            "stray_replies_per_second",
        ):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be over 0, not {getattr(self, name)}")
        for name in (
            "amplification_limit",
            "max_pending_requests",
            "max_pending_requests_per_host",
            "max_incomplete_messages",
            "max_incomplete_bytes",
            "send_queue_limit",
            "requests_per_second",
            "receive_queue_limit",
        ):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, but is {getattr(self, name)}")

    @property
    def initial_mtu(self) -> int:
        """
        Datagram size of a new connection, packet layer included.
        """
        return self.mtu_override or (508 if self.use_safe_mtu else 1024)


@dataclass(frozen=True)
class Surroundings:
    """
    What an Endpoint tells each of its connections.
    """

    config: EndpointConfig
    epoch: int
    """.NET ticks when ``now`` is 0."""
    overhead: int
    """Bytes that the packet layer adds to each datagram."""
    total: NetStatistics
    """What all connections together do."""


def _check(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise ValueError(f"{name} must be in {low}..{high}, not {value}")


assert _MIN_MTU_OVERRIDE > FRAGMENTED_HEADER_SIZE
