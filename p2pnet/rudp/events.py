"""
What an `p2pnet.rudp.endpoint.Endpoint` tells the application, as values.

Events name the connection that makes them, so this module is one that mypyc cannot compile: it
would have to exist before and after `p2pnet.rudp.connection`.  It stays plain Python.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, IntEnum, IntFlag
from typing import TYPE_CHECKING, Any

from p2pnet.rudp.received import MessagesReceived
from p2pnet.wire.constants import Address
from p2pnet.wire.ntp import NtpPacket

if TYPE_CHECKING:
    from p2pnet.rudp.connection import Connection
    from p2pnet.rudp.handshake import IncomingRequest


class ConnectionState(IntFlag):
    """
    Where a connection is in its life (BEHAVIOUR §2); values as in LiteNetLib.
    """

    OUTGOING = 2
    """We have asked, and there is no answer yet."""
    CONNECTED = 4
    """Messages can be sent."""
    SHUTDOWN_REQUESTED = 8
    """We have said goodbye, and wait for the other side to confirm that."""
    DISCONNECTED = 16
    """Closed; remembered for a while, so that what still comes is not taken for new."""


class DisconnectReason(IntEnum):
    """
    Why a connection ended or never began (BEHAVIOUR §12); values as in LiteNetLib.
    """

    CONNECTION_FAILED = 0
    """Nobody has answered our requests."""
    TIMEOUT = 1
    """Nothing has come for `p2pnet.rudp.config.EndpointConfig.disconnect_timeout`."""
    HOST_UNREACHABLE = 2
    """The socket says so; see `p2pnet.rudp.config.EndpointConfig.disconnect_on_unreachable`."""
    NETWORK_UNREACHABLE = 3
    """The socket says so of the whole network; see there."""
    REMOTE_CONNECTION_CLOSE = 4
    """The other side has closed, or knows no such connection any more."""
    DISCONNECT_PEER_CALLED = 5
    """We have closed."""
    CONNECTION_REJECTED = 6
    """The other side has refused."""
    INVALID_PROTOCOL = 7
    """The other side speaks another version of the protocol."""
    UNKNOWN_HOST = 8
    """For who looks up names; the engine takes literal IPs."""
    RECONNECT = 9
    """The other side has connected anew, and was accepted."""
    PEER_TO_PEER_CONNECTION = 10
    """Our attempt has given way to the other side's (BEHAVIOUR §3.3)."""
    # Ours, never on the wire: the reference has no bounds to exceed (PITFALLS B1).
    LIMIT_EXCEEDED = 100
    """The other side wants more held for it than is allowed."""


class UnconnectedMessageType(Enum):
    """
    How a message without a connection came.
    """

    BASIC_MESSAGE = 0
    BROADCAST = 1


class NatAddressType(Enum):
    """
    Which of the two introduced addresses a punch was meant for.
    """

    INTERNAL = 0
    EXTERNAL = 1


@dataclass(frozen=True, slots=True)
class DisconnectInfo:
    """
    Why a connection ended, and what the other side said about it.
    """

    reason: DisconnectReason
    data: bytes = b""
    """The payload of the remote's Disconnect; empty otherwise."""
    detail: str = ""
    """For `LIMIT_EXCEEDED`: which limit."""


@dataclass(frozen=True, slots=True)
class PeerConnected:
    """
    A connection, ours or theirs, is open.
    """

    connection: Connection


@dataclass(frozen=True, slots=True)
class PeerDisconnected:
    """
    A connection ended, or an attempt of ours failed; it has no further events.
    """

    connection: Connection
    info: DisconnectInfo


@dataclass(frozen=True, slots=True)
class ConnectionRequested:
    """
    Somebody wants to connect: `p2pnet.rudp.endpoint.Endpoint.accept`, ``reject`` or
    ``reject_force`` decides.
    """

    request: IncomingRequest


@dataclass(frozen=True, slots=True)
class MessageDelivered:
    """
    Every part of a message sent with user data has been acknowledged.
    """

    connection: Connection
    user_data: Any


@dataclass(frozen=True, slots=True)
class LatencyUpdated:
    """
    A ping was answered.
    """

    connection: Connection
    latency: float
    """Half of the newest round trip, in seconds."""


@dataclass(frozen=True, slots=True)
class UnconnectedReceived:
    """
    A message came from somebody without a connection (WIRE §7).
    """

    address: Address
    data: bytes
    kind: UnconnectedMessageType


@dataclass(frozen=True, slots=True)
class NatIntroductionRequested:
    """
    Somebody asked us, as facilitator, to be introduced.
    """

    internal: Address
    """Where it is inside its own network, as it says."""
    external: Address
    """Where the request really came from."""
    token: str


@dataclass(frozen=True, slots=True)
class NatIntroductionSucceeded:
    """
    A punch from the introduced peer arrived: `target` can be dialled.
    """

    target: Address
    kind: NatAddressType
    token: str


@dataclass(frozen=True, slots=True)
class NtpResponseReceived:
    """
    A server has told the time.
    """

    address: Address
    packet: NtpPacket


@dataclass(frozen=True, slots=True)
class NtpFailed:
    """
    A server does not tell the time.
    """

    address: Address
    reason: str
    """Its kiss-of-death code, such as ``RATE``, or why else there is no time."""


Event = (
    PeerConnected
    | PeerDisconnected
    | ConnectionRequested
    | MessagesReceived
    | MessageDelivered
    | LatencyUpdated
    | UnconnectedReceived
    | NatIntroductionRequested
    | NatIntroductionSucceeded
    | NtpResponseReceived
    | NtpFailed
)
"""Whatever an Endpoint tells."""
