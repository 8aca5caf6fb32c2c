"""
Every command as a value.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from p2pnet.interfaces import Address, DeliveryMethod
from p2pnet.peer.language import PeerName, Typed


class How(Enum):
    """
    What becomes of a request to connect; the values are the words of the events.
    """

    ACCEPT = "accept"
    ACCEPT_IF_KEY = "acceptifkey"
    REJECT = "reject"
    REJECT_FORCE = "rejectforce"
    HOLD = "hold"


@dataclass(frozen=True)
class Decision:
    how: How
    key: str = ""
    data: bytes = b""


# ------------------------------------------------------- commands


@dataclass(frozen=True)
class Start:
    settings: tuple[str, ...]


@dataclass(frozen=True)
class Stop:
    goodbye: bool


@dataclass(frozen=True)
class Restart:
    port: int | None


@dataclass(frozen=True)
class Set:
    settings: tuple[str, ...]


@dataclass(frozen=True)
class Connect:
    host: str
    port: int
    data: bytes | str
    """A string is a connection key."""


@dataclass(frozen=True)
class Send:
    peer: PeerName
    method: DeliveryMethod
    channel: int
    data: bytes
    user_data: str | None = None


@dataclass(frozen=True)
class Burst:
    peer: PeerName
    method: DeliveryMethod
    channel: int
    count: int
    size: int
    gap: int
    """Milliseconds between two messages."""
    salt: int
    first: int
    """Index of the first message."""
    prefix: str | None
    """Of the user data, which the index completes."""


@dataclass(frozen=True)
class SendAll:
    method: DeliveryMethod
    channel: int
    data: bytes
    exclude: int | None
    """The peer that gets nothing."""


@dataclass(frozen=True)
class Disconnect:
    peer: PeerName
    data: bytes


@dataclass(frozen=True)
class DisconnectForce:
    peer: PeerName


@dataclass(frozen=True)
class DisconnectAll:
    data: bytes


@dataclass(frozen=True)
class Policy:
    decision: Decision


@dataclass(frozen=True)
class Solve:
    request: int
    decision: Decision


@dataclass(frozen=True)
class Echo:
    on: bool
    channel: int


@dataclass(frozen=True)
class Collect:
    mode: str
    idle: int | None


@dataclass(frozen=True)
class Report:
    pass


@dataclass(frozen=True)
class Unconnected:
    host: str
    port: int
    data: bytes


@dataclass(frozen=True)
class Broadcast:
    port: int
    data: bytes


@dataclass(frozen=True)
class NatSwitch:
    on: bool


@dataclass(frozen=True)
class NatFacilitator:
    on: bool


@dataclass(frozen=True)
class NatRequest:
    host: str
    port: int
    token: str


@dataclass(frozen=True)
class NatAutoconnect:
    key: str | None


@dataclass(frozen=True)
class NatIntroduce:
    host_internal: Address
    host_external: Address
    client_internal: Address
    client_external: Address
    token: str


@dataclass(frozen=True)
class Ntp:
    host: str
    port: int


@dataclass(frozen=True)
class Stats:
    peer: PeerName | None
    """None: the counters of the port alone."""


@dataclass(frozen=True)
class Peers:
    pass


@dataclass(frozen=True)
class Mtu:
    peer: PeerName


@dataclass(frozen=True)
class Queue:
    peer: PeerName
    channel: int


@dataclass(frozen=True)
class At:
    microseconds: int
    """Of unix time."""
    then: Typed


@dataclass(frozen=True)
class After:
    milliseconds: int
    then: Typed


@dataclass(frozen=True)
class Trigger:
    pass


@dataclass(frozen=True)
class Poll:
    pass


@dataclass(frozen=True)
class Block:
    milliseconds: int


@dataclass(frozen=True)
class LocalIp:
    pass


@dataclass(frozen=True)
class Quit:
    hard: bool


Command = (
    Start
    | Stop
    | Restart
    | Set
    | Connect
    | Send
    | Burst
    | SendAll
    | Disconnect
    | DisconnectForce
    | DisconnectAll
    | Policy
    | Solve
    | Echo
    | Collect
    | Report
    | Unconnected
    | Broadcast
    | NatSwitch
    | NatFacilitator
    | NatRequest
    | NatAutoconnect
    | NatIntroduce
    | Ntp
    | Stats
    | Peers
    | Mtu
    | Queue
    | At
    | After
    | Trigger
    | Poll
    | Block
    | LocalIp
    | Quit
)
