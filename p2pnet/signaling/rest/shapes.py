"""
What clients and the REST API say to each other: what no other room needs to know.

What is read is read strictly: ``forbid_unknown_fields`` stands in all of it that is of ``/v1``.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from p2pnet.signaling.locks import MAX_PASSWORD, MIN_PASSWORD
from p2pnet.signaling.records import MAX_ROOM, Record
from p2pnet.signaling.shapes import MAX_SPOTS, Port, Relay, Spot, Token, UdpEndpoint

# ------------------------------------------------------------ values

PeerId = Annotated[
    str,
    Meta(
        pattern="^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$",
        description="A UUID in small letters.",
        examples=["123e4567-e89b-42d3-a456-426614174000"],
    ),
]
AnyPeerId = Annotated[
    str,
    Meta(
        pattern="^[0-9a-fA-F]{8}(-?)([0-9a-fA-F]{4}\\1){3}[0-9a-fA-F]{12}$",
        description="A UUID, however it is written.",
    ),
]
Username = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=32,
        description="Printable, without characters that change the direction of text.",
        examples=["alice"],
    ),
]
RoomName = Annotated[
    str,
    Meta(
        pattern=rf"^[a-z0-9][a-z0-9._-]{{0,{MAX_ROOM - 1}}}$",
        description="Small letters, digits and ._- of ASCII.",
        examples=["tea"],
    ),
]
Password = Annotated[str, Meta(min_length=1, max_length=MAX_PASSWORD)]
NewPassword = Annotated[str, Meta(min_length=MIN_PASSWORD, max_length=MAX_PASSWORD)]
Cursor = Annotated[
    str, Meta(pattern="^[0-9]{1,18}$", description="From an answer; means nothing by itself.")
]
PublicKey = Annotated[
    str, Meta(pattern="^[0-9a-f]{64}$", description="An Ed25519 public key (RFC 8032).")
]
Signature = Annotated[
    str, Meta(pattern="^[0-9a-f]{128}$", description="Made by Ed25519 (RFC 8032).")
]

# ------------------------------------------------------------ before /v1


class Register(Struct, frozen=True):
    """
    Who registers.

    :ivar port: the UDP port the peer claims to have.
    """

    peer_id: AnyPeerId
    username: Username
    port: Port


class ToIntroduce(Struct, frozen=True, rename={"sender": "from"}):
    """
    Who wants to be introduced to whom, by their peer ids.
    """

    sender: AnyPeerId
    to: AnyPeerId


class Probe(Struct, frozen=True):
    """
    At whose observed address to knock.

    :ivar port: at another port of it.
    """

    peer_id: AnyPeerId
    port: Port | UnsetType = UNSET


class Listed(Struct, frozen=True):
    """
    Who is registered, in short.
    """

    peer_id: str
    username: str
    online: bool


class Daemon(Struct, frozen=True):
    """
    Answer to ``GET /status``.

    :ivar nat: how many associated peers are behind which sort of NAT.
    """

    status: Literal["running"]
    total_peers: int
    online_peers: int
    peer_list: list[Listed]
    nat: dict[str, int]


class Root(Struct, frozen=True):
    """
    Answer to ``GET /``, for programs.
    """

    service: str
    status: Literal["running"]
    peers_online: int


class Done(Struct, frozen=True):
    """
    It is done.

    :ivar message: for a person.
    """

    status: Literal["success"]
    message: str


# ------------------------------------------------------------ peers


class Endpoint(Struct, frozen=True):
    """
    Where a peer is by UDP.

    :ivar ip: a literal IP.
    :ivar observed: the server sees it there; else the peer claims the port.
    """

    ip: str
    port: Port
    observed: bool


class Peer(Struct, frozen=True, omit_defaults=True):
    """
    A registered peer, as those may see it who may see it at all.

    :ivar status: ``online`` can be introduced now; of ``away`` only the lease runs, or it says that
        nobody looks; the lease of ``offline`` has ended.
    :ivar room: which it is in; missing if none.
    :ivar key: the public key it is bound to; missing if none.
    :ivar endpoint: missing if it is offline.
    """

    peer_id: PeerId
    username: str
    status: Literal["online", "away", "offline"]
    room: str | None = None
    key: str | None = None
    endpoint: Endpoint | None = None

    @classmethod
    def of(cls, record: Record) -> Peer:
        """
        What there is to be seen of a registration.
        """
        endpoint = None
        if record.online:
            ip, port = record.endpoint
            endpoint = Endpoint(ip, port, record.observed is not None)
        return cls(
            record.peer_id,
            record.username,
            record.status.value,
            record.room,
            record.key.hex() if record.key is not None else None,
            endpoint,
        )


class Peers(Struct, frozen=True, omit_defaults=True):
    """
    A page of peers, in order of their registration.

    :ivar next: what ``after`` has to be for the next page; missing on the last.
    """

    peers: list[Peer]
    next: str | None = None


class PeersQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """
    Which page.

    :ivar limit: peers on a page.
    :ivar after: ``next`` of the page before.
    """

    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    after: Cursor = "0"


class Entry(Struct, frozen=True, forbid_unknown_fields=True):
    """
    Into which room.

    :ivar password: needed if the peer is not in it already.
    """

    name: RoomName
    password: Password | None = None


class Proof(Struct, frozen=True, forbid_unknown_fields=True):
    """
    That the peer holds a private key: a signature over the four lines
    ``p2pnet registration 1``, the Host header in small letters, the peer id and the challenge,
    with a line feed between each two.

    :ivar challenge: from ``POST /v1/challenge``, for this peer id.
    """

    key: PublicKey
    challenge: Annotated[str, Meta(max_length=256)]
    signature: Signature


class Wanted(Struct, frozen=True, forbid_unknown_fields=True):
    """
    A registration as its owner wants it.

    :ivar port: the UDP port the peer claims to have.
    :ivar room: to be in; null for none.
    :ivar away: nobody looks.
    :ivar proof: binds the registration to a key, or shows that it belongs to its holder.
    """

    username: Username
    port: Port
    room: Entry | None = None
    away: bool = False
    proof: Proof | None = None


class Enrolled(Struct, frozen=True):
    """
    What came of it.

    :ivar peer: as others see it.
    :ivar lease: seconds after which it ends unless renewed.
    :ivar udp: where the server's engine is, to associate with.
    :ivar ticket: for one association.
    :ivar relays: TURN servers that let the peer in.
    """

    peer: Peer
    lease: float
    udp: UdpEndpoint
    ticket: str
    relays: list[Relay]


class ForWhom(Struct, frozen=True, forbid_unknown_fields=True):
    """
    Whose registration a challenge is for.
    """

    peer_id: PeerId


class Challenge(Struct, frozen=True):
    """
    To be signed.

    :ivar expires_in: seconds for which it is good; it is good once.
    """

    challenge: str
    expires_in: float


class Relays(Struct, frozen=True):
    """
    TURN servers, with credentials.
    """

    relays: list[Relay]


# ------------------------------------------------------------ rooms


class RoomWanted(Struct, frozen=True, forbid_unknown_fields=True):
    """
    A room to open.

    :ivar password: that lets peers in; null has one made that nobody guesses.
    """

    name: RoomName
    password: NewPassword | None = None


class RoomOpened(Struct, frozen=True, omit_defaults=True):
    """
    A room, which ends a day after the last peer has left it.

    :ivar password: that was made, told once; missing if one was brought.
    """

    name: RoomName
    password: str | None = None


# ------------------------------------------------------------ sessions


class Seeking(Struct, frozen=True, forbid_unknown_fields=True):
    """
    Whom to be introduced to.
    """

    to: PeerId


class SessionSeen(Struct, frozen=True, omit_defaults=True):
    """
    An introduction, as one of the two sees it.

    :ivar token: names it.
    :ivar peer_id: of the other one.
    :ivar key: of the probes: 128 bits in hexadecimal digits.
    :ivar role: who is called connects to nobody; who calls does.
    :ivar observed: where the server sees the other one.
    :ivar together: both are seen at one public address.
    :ivar nat: what the other one says of its NAT.
    :ivar expires_in: seconds until it ends.
    """

    token: Token
    peer_id: PeerId
    username: str
    key: str
    role: Literal["caller", "callee"]
    observed: Spot
    together: bool
    nat: str
    expires_in: float


class Candidate(Struct, frozen=True, forbid_unknown_fields=True):
    """
    Where a peer can be reached.

    :ivar kind: an address of its own machine (``host``), one that its router forwards (``mapped``)
        or one on a TURN server (``relayed``).
    :ivar ip: a literal IP.
    """

    kind: Literal["host", "mapped", "relayed"]
    ip: Annotated[str, Meta(max_length=45)]
    port: Port


class Told(Struct, frozen=True, forbid_unknown_fields=True):
    """
    Where the asker can be reached.
    """

    candidates: Annotated[list[Candidate], Meta(max_length=MAX_SPOTS)]


class Heard(Struct, frozen=True):
    """
    Where the other one can be reached, as far as it has said so, and where it is seen.
    """

    candidates: list[Spot]
