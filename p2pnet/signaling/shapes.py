"""
What daemon and peer say to each other in JSON: REST bodies and association messages.

Both sides use these types, so neither can misspell a field.  Fields they do not know are ignored.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from p2pnet.signaling.records import MAX_PORT, Listing

MAX_TOKEN: Final = 256
"""Characters of a NAT token (WIRE §8)."""

Token = Annotated[str, Meta(min_length=1, max_length=MAX_TOKEN)]
"""What two introduced peers have in common; at most 256 characters."""
Port = Annotated[int, Meta(ge=1, le=MAX_PORT)]
"""A UDP port in 1..65535."""
Key = Annotated[str, Meta(pattern="^[0-9a-f]{32}$")]
"""Of a session's probes: 128 bits in hexadecimal digits."""
SeekId = Annotated[int, Meta(ge=0, le=2**31 - 1)]
"""Chosen by who seeks, repeated by the answer."""
MAX_SPOTS: Final = 16
"""Candidates in one message, and of one side of a session."""


class UdpEndpoint(Struct, frozen=True):
    """
    Where the daemon's engine listens; the host may be a name, or empty for the REST API's own.
    """

    port: Port
    host: str = ""


class Relay(Struct, frozen=True):
    """
    A TURN server that lets the peer in until `expires` (unix seconds).
    """

    host: str
    port: Port
    transport: Literal["udp", "tcp"]
    username: str
    password: str
    expires: float


class Registered(Struct, frozen=True):
    """
    Answer to ``POST /register``.

    :ivar public_ip: where the request came from, as HTTP shows it.
    :ivar lease: seconds after which the registration ends unless renewed.
    :ivar ticket: lets the peer associate; see `p2pnet.signaling.tickets.TicketOffice`.
    """

    status: Literal["success"]
    message: str
    """For a person."""
    peer_id: str
    public_ip: str
    lease: float
    udp: UdpEndpoint
    ticket: str
    secret: str | UnsetType = UNSET
    """Only for a new registration."""
    relays: list[Relay] = []
    """For whom no direct path opens."""


class Whereabouts(Struct, frozen=True):
    """
    Answer to ``GET /peer/{id}``.

    :ivar observed: `ip` and `port` were seen by the daemon, not claimed by the peer.
    """

    peer_id: str
    username: str
    ip: str
    port: int
    observed: bool


class Listings(Struct, frozen=True):
    """
    Answer to ``GET /peers``.

    :ivar count: how many there are.
    """

    peers: list[Listing]
    count: int


class Introduction(Struct, frozen=True):
    """
    Answer to ``POST /introduce``: the token, and who it leads to.
    """

    status: Literal["success"]
    token: Token
    peer_id: str
    username: str


class Probed(Struct, frozen=True):
    """
    Answer to ``POST /v1/probe``: what a stranger found at an address of the caller's.

    :ivar service: as `p2pnet.interfaces.Reachability.service`.
    :ivar round_trip: seconds.
    """

    status: Literal["success"]
    ip: str
    port: Port
    answered: bool
    service: str | None
    round_trip: float | None


class Problem(Struct, frozen=True, omit_defaults=True):
    """
    Any answer that is an error (RFC 9457 §3); of type ``about:blank`` the title is HTTP's own.
    """

    type: str = ""
    title: str = ""
    status: int = 0
    detail: str = ""
    """For a person."""
    field: str | None = None
    """Ours: which field of the request is to blame."""

    @classmethod
    def of(cls, status: int, detail: str, field: str | None = None) -> Problem:
        """
        A problem that its status and one sentence explain.
        """
        return cls("about:blank", HTTPStatus(status).phrase, status, detail, field)


class Spot(Struct, frozen=True):
    """
    One candidate: a literal IP and port, and how it came to be one (`CandidateKind`).
    """

    kind: Literal["host", "observed", "mapped", "relayed"]
    ip: str
    port: Port


class Find(Struct, frozen=True, tag_field="type", tag="find"):
    """
    Association message to the daemon: who is meant?

    :ivar id: ours to choose; the answer, a `Found` or a `SeekRefused`, carries it.
    :ivar who: a peer id, a username, or a username with ``#`` and the begin of the id.
    """

    id: SeekId
    who: Annotated[str, Meta(min_length=1, max_length=96)]


class Found(Struct, frozen=True, tag_field="type", tag="found"):
    """
    Association message to who asked.
    """

    id: SeekId
    peer_id: str
    username: str


class Seek(Struct, frozen=True, tag_field="type", tag="seek"):
    """
    Association message to the daemon: introduce us to somebody.

    :ivar id: ours to choose; the answer, an `Offer` or a `SeekRefused`, carries it.
    :ivar to: a peer id.
    """

    id: SeekId
    to: str


class SeekRefused(Struct, frozen=True, tag_field="type", tag="refused"):
    """
    Association message to who sent a `Find` or `Seek`: why there is no answer.

    :ivar reason: as `DialFailed.reason`: ``unknown``, ``ambiguous``, ``offline``, ``self`` or
        ``unavailable``.
    :ivar detail: for a person.
    """

    id: SeekId
    reason: str
    detail: str


class Offer(Struct, frozen=True, omit_defaults=True, tag_field="type", tag="offer"):
    """
    Association message to both sides of an introduction: who is there, and how to find each other.

    :ivar token: names the session; goes in the clear.
    :ivar key: of the probes: 128 random bits in hexadecimal digits.
    :ivar role: who is called to connect: ``caller`` or ``callee``.
    :ivar observed: where the daemon sees the other one.
    :ivar together: both are seen at one public address.
    :ivar nat: the other one's `NatMapping`.
    :ivar id: of the `Seek` this answers.
    """

    token: Token
    peer_id: str
    username: str
    key: Key
    role: Literal["caller", "callee"]
    observed: Spot
    together: bool = False
    nat: str = "unknown"
    id: SeekId | None = None


class Candidates(Struct, frozen=True, tag_field="type", tag="candidates"):
    """
    Association message, passed on to the other side of a session: try these as well.
    """

    token: Token
    candidates: Annotated[list[Spot], Meta(max_length=MAX_SPOTS)]


class About(Struct, frozen=True, tag_field="type", tag="about"):
    """
    Association message to the daemon: what we found out about our NAT, a `NatMapping`, and whether
    somebody looks.
    """

    nat: Annotated[str, Meta(max_length=32)]
    away: bool = False


class Ended(Struct, frozen=True, tag_field="type", tag="ended"):
    """
    Association message to the daemon, from the caller: what became of a session.
    """

    token: Token
    result: Literal["direct", "relayed", "failed"]


class Leaving(Struct, frozen=True, tag_field="type", tag="leaving"):
    """
    Association message: the daemon is about to end.  Go elsewhere, or come back later.

    :ivar retry_after: seconds after which another one may run there.
    """

    retry_after: Annotated[float, Meta(ge=0, le=3600)]


class Welcome(Struct, frozen=True, omit_defaults=True, tag_field="type", tag="welcome"):
    """
    Association message: the daemon has proven the return path and observes the peer here.

    :ivar observers: where else to ask from where one is seen; an empty host is the engine's.
    """

    ip: str
    port: Port
    observers: list[UdpEndpoint] = []


class Refusal(Struct, frozen=True):
    """
    Data of a rejected association: why, for a person.
    """

    reason: str


def encode(value: object) -> bytes:
    """
    JSON, UTF-8.

    :raise TypeError: ``value`` holds what JSON has no form for.
    """
    return msgspec.json.encode(value)


def decode(data: bytes, shape: Any) -> Any:
    """
    Strictly typed JSON.

    :param shape: what msgspec takes for a type.
    :raise ValueError: malformed, not UTF-8, nested too deeply, or of another shape; the text says
        which and where.
    """
    try:
        return msgspec.json.decode(data, type=shape)
    except RecursionError:
        raise ValueError("JSON is nested too deeply") from None
