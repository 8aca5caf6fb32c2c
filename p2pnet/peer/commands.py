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
    """Let in everybody."""
    ACCEPT_IF_KEY = "acceptifkey"
    """Let in who gives the key."""
    REJECT = "reject"
    """Refuse, and again if asked again."""
    REJECT_FORCE = "rejectforce"
    """Refuse once; without data nothing is sent."""
    HOLD = "hold"
    """Leave it undecided, for `Solve`."""


@dataclass(frozen=True)
class Decision:
    """
    What becomes of requests to connect.

    :ivar key: for ACCEPT_IF_KEY.
    :ivar data: what a refusal tells.
    """

    how: How
    key: str = ""
    data: bytes = b""


# ------------------------------------------------------- commands


@dataclass(frozen=True)
class Start:
    """
    Create a NetManager and start it.

    :ivar settings: ``name=value`` each, as for `Set`.
    """

    settings: tuple[str, ...]


@dataclass(frozen=True)
class Stop:
    """
    Stop it.

    :ivar goodbye: tell the other sides.
    """

    goodbye: bool


@dataclass(frozen=True)
class Restart:
    """
    Start it again.

    :ivar port: None for the one that it had.
    """

    port: int | None


@dataclass(frozen=True)
class Set:
    """
    Change options now.

    :ivar settings: ``name=value`` each; see `p2pnet.peer.options.Options.read`.
    """

    settings: tuple[str, ...]


@dataclass(frozen=True)
class Connect:
    """
    Dial.
    """

    host: str
    port: int
    data: bytes | str
    """A string is a connection key, bytes are connection data."""


@dataclass(frozen=True)
class Send:
    """
    Send a message.

    :ivar user_data: what the ``delivered`` event has; None for no such event.
    """

    peer: PeerName
    method: DeliveryMethod
    channel: int
    data: bytes
    user_data: str | None = None


@dataclass(frozen=True)
class Burst:
    """
    Send numbered messages (`p2pnet.peer.payloads.burst_message`).

    :ivar count: how many.
    :ivar size: bytes of each.
    :ivar salt: what the pattern of their bytes begins with.
    """

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
    """
    Send to every connected peer.
    """

    method: DeliveryMethod
    channel: int
    data: bytes
    exclude: int | None
    """The peer that gets nothing; None for none."""


@dataclass(frozen=True)
class Disconnect:
    """
    Close a connection.

    :ivar data: what the other side is told.
    """

    peer: PeerName
    data: bytes


@dataclass(frozen=True)
class DisconnectForce:
    """
    Close a connection without telling the other side.
    """

    peer: PeerName


@dataclass(frozen=True)
class DisconnectAll:
    """
    Close every connection.

    :ivar data: what the other sides are told.
    """

    data: bytes


@dataclass(frozen=True)
class Policy:
    """
    Decide all requests to connect like this from now on.
    """

    decision: Decision


@dataclass(frozen=True)
class Solve:
    """
    Decide a request that is held.

    :ivar request: its number, as the ``connreq`` event has it.
    """

    request: int
    decision: Decision


@dataclass(frozen=True)
class Echo:
    """
    Send everything received back, or no more.

    :ivar channel: which one to send it on.
    """

    on: bool
    channel: int


@dataclass(frozen=True)
class Collect:
    """
    Count burst messages instead of telling each.

    :ivar mode: see `p2pnet.peer.bursts.Bursts`.
    :ivar idle: milliseconds without a message after which a burst is told; None changes nothing.
    """

    mode: str
    idle: int | None


@dataclass(frozen=True)
class Report:
    """
    Tell the bursts counted so far.
    """


@dataclass(frozen=True)
class Unconnected:
    """
    Send one datagram without a connection.
    """

    host: str
    port: int
    data: bytes


@dataclass(frozen=True)
class Broadcast:
    """
    Send one datagram to everybody on this link.
    """

    port: int
    data: bytes


@dataclass(frozen=True)
class NatSwitch:
    """
    Take NAT messages, or no more.
    """

    on: bool


@dataclass(frozen=True)
class NatFacilitator:
    """
    Introduce those to each other that name the same token, or no more.
    """

    on: bool


@dataclass(frozen=True)
class NatRequest:
    """
    Ask to be introduced.

    :ivar host: of the facilitator, as is `port`.
    """

    host: str
    port: int
    token: str


@dataclass(frozen=True)
class NatAutoconnect:
    """
    Dial whoever NAT introduction finds.

    :ivar key: the connection key; None dials nobody.
    """

    key: str | None


@dataclass(frozen=True)
class NatIntroduce:
    """
    Tell each of two peers where the other one is.
    """

    host_internal: Address
    host_external: Address
    client_internal: Address
    client_external: Address
    token: str


@dataclass(frozen=True)
class Ntp:
    """
    Ask a time server.
    """

    host: str
    port: int


@dataclass(frozen=True)
class Stats:
    """
    Tell counters.
    """

    peer: PeerName | None
    """None: the counters of the port alone."""


@dataclass(frozen=True)
class Peers:
    """
    List every peer.
    """


@dataclass(frozen=True)
class Mtu:
    """
    Tell the datagram size of a peer, and the largest messages in one.
    """

    peer: PeerName


@dataclass(frozen=True)
class Queue:
    """
    Tell how many packets of a channel wait for room in the window.
    """

    peer: PeerName
    channel: int


@dataclass(frozen=True)
class At:
    """
    Do something at a moment.
    """

    microseconds: int
    """Of unix time."""
    then: Typed


@dataclass(frozen=True)
class After:
    """
    Do something later.
    """

    milliseconds: int
    then: Typed


@dataclass(frozen=True)
class Trigger:
    """
    Wakes the logic thread in the C# library; there is none here.
    """


@dataclass(frozen=True)
class Poll:
    """
    Tell what has happened (manual mode).
    """


@dataclass(frozen=True)
class Block:
    """
    Poll nothing for a while (manual mode).
    """

    milliseconds: int


@dataclass(frozen=True)
class LocalIp:
    """
    Tell this machine's addresses.
    """


@dataclass(frozen=True)
class Quit:
    """
    Stop and exit.

    :ivar hard: at once, without goodbye.
    """

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
"""Whatever can be typed."""
