"""
What an `p2pnet.rudp.endpoint.Endpoint` tells the application, as values.

Events name the connection that makes them, so this module is one that mypyc cannot compile: it
would have to exist before and after `p2pnet.rudp.connection`.  It stays plain Python.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, IntEnum, IntFlag
from typing import TYPE_CHECKING, Any

from p2pnet.wire.constants import Address, DeliveryMethod
from p2pnet.wire.ntp import NtpPacket

if TYPE_CHECKING:
    from p2pnet.rudp.connection import Connection
    from p2pnet.rudp.handshake import IncomingRequest


class ConnectionState(IntFlag):
    """
    Where a connection is in its life (BEHAVIOUR §2); values as in LiteNetLib.
    """

    OUTGOING = 2
    CONNECTED = 4
    SHUTDOWN_REQUESTED = 8
    DISCONNECTED = 16


class DisconnectReason(IntEnum):
    """
    Why a connection ended or never began (BEHAVIOUR §12); values as in LiteNetLib.
    """

    CONNECTION_FAILED = 0
    TIMEOUT = 1
    HOST_UNREACHABLE = 2
    NETWORK_UNREACHABLE = 3
    REMOTE_CONNECTION_CLOSE = 4
    DISCONNECT_PEER_CALLED = 5
    CONNECTION_REJECTED = 6
    INVALID_PROTOCOL = 7
    UNKNOWN_HOST = 8
    RECONNECT = 9
    PEER_TO_PEER_CONNECTION = 10
    # Ours, never on the wire: the reference has no bounds to exceed (PITFALLS B1).
    LIMIT_EXCEEDED = 100


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
    connection: Connection


@dataclass(frozen=True, slots=True)
class PeerDisconnected:
    connection: Connection
    info: DisconnectInfo


@dataclass(frozen=True, slots=True)
class ConnectionRequested:
    request: IncomingRequest


@dataclass(frozen=True, slots=True)
class MessageReceived:
    connection: Connection
    data: bytes
    channel: int
    method: DeliveryMethod


@dataclass(frozen=True, slots=True)
class MessageDelivered:
    """
    Every part of a message sent with user data has been acknowledged.
    """

    connection: Connection
    user_data: Any


@dataclass(frozen=True, slots=True)
class LatencyUpdated:
    connection: Connection
    latency: float
    """Half of the newest round trip, in seconds."""


@dataclass(frozen=True, slots=True)
class UnconnectedReceived:
    address: Address
    data: bytes
    kind: UnconnectedMessageType


@dataclass(frozen=True, slots=True)
class NatIntroductionRequested:
    """
    Somebody asked us, as facilitator, to be introduced.
    """

    internal: Address
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
    """Its kiss-of-death code, such as ``RATE``, or that there was no answer."""


Event = (
    PeerConnected
    | PeerDisconnected
    | ConnectionRequested
    | MessageReceived
    | MessageDelivered
    | LatencyUpdated
    | UnconnectedReceived
    | NatIntroductionRequested
    | NatIntroductionSucceeded
    | NtpResponseReceived
    | NtpFailed
)
