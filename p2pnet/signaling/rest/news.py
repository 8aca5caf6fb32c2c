"""
What the REST API tells of itself: events and figures, in shapes that no other room needs to know.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Raw, Struct

from p2pnet.signaling.rest.shapes import Cursor, Peer, PeerId

# ------------------------------------------------------------ events


class PeerEvent(Struct, frozen=True, omit_defaults=True, tag_field="event", tag="peer"):
    """
    Something that can be seen of a peer has changed.

    :ivar id: where to go on from.
    :ivar peer: as it is now.
    """

    id: str
    peer: Peer


class GoneEvent(Struct, frozen=True, tag_field="event", tag="gone"):
    """
    A peer is not to be seen any more: it has unregistered, was forgotten, or has left the room.
    """

    id: str
    peer_id: PeerId


class Events(Struct, frozen=True):
    """
    What has happened.

    :ivar events: oldest first.
    :ivar next: what ``after`` has to be to go on.
    :ivar reset: some are not known any more: list the peers anew.
    """

    events: list[PeerEvent | GoneEvent]
    next: str
    reset: bool


class RawEvents(Struct, frozen=True):
    """
    The same, with events that are JSON already.
    """

    events: list[Raw]
    next: str
    reset: bool


class EventsQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """
    Which events.

    :ivar after: ``next`` of the answer before; without it, those from now on.
    :ivar wait: seconds to wait for one if there is none.
    """

    after: Cursor | None = None
    wait: Annotated[float, Meta(ge=0, le=60)] = 0.0


class StreamQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """
    Which events.

    :ivar figures: also ``figures`` events, every few seconds.
    """

    figures: bool = False


# ------------------------------------------------------------ the server itself


class Figures(Struct, frozen=True):
    """
    How the server fares; nothing in it says anything of a single peer.

    :ivar time: Unix seconds.
    :ivar registered: peers, those whose lease has ended included.
    :ivar online: peers whose lease runs.
    :ivar associated: peers with a UDP association.
    :ivar introductions: made since the server started.
    :ivar direct: introductions that led to a direct path, as far as callers say.
    :ivar relayed: introductions that led to a path through a relay, as far as callers say.
    :ivar failed: introductions that led nowhere, as far as callers say.
    :ivar received: bytes of UDP since the server started.
    :ivar sent: bytes of UDP since the server started.
    :ivar requests: over HTTP since the server started.
    :ivar listeners: of events.
    """

    time: float
    registered: int
    online: int
    associated: int
    rooms: int
    introductions: int
    direct: int
    relayed: int
    failed: int
    received: int
    sent: int
    requests: int
    listeners: int


class History(Struct, frozen=True):
    """
    The last minutes.

    :ivar interval: seconds between two samples.
    :ivar samples: oldest first.
    """

    interval: float
    samples: list[Figures]


class Service(Struct, frozen=True):
    """
    What this server is, and what it lets one do.

    :ivar lease: seconds after which a registration ends unless renewed.
    :ivar listing: who is listed: ``open``, ``rooms`` or ``off``.
    :ivar host: what a proof has to name: the Host header of this request.
    """

    service: Literal["p2pnet rendezvous"]
    lease: float
    listing: Literal["open", "rooms", "off"]
    host: str


class Well(Struct, frozen=True):
    """
    All is well.
    """

    status: Literal["ok", "ready"]
