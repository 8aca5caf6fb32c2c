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
Port = Annotated[int, Meta(ge=1, le=MAX_PORT)]


class UdpEndpoint(Struct, frozen=True):
    """
    Where the daemon's engine listens; the host may be a name, or empty for the REST API's own.
    """

    port: Port
    host: str = ""


class Registered(Struct, frozen=True):
    """
    Answer to ``POST /register``.
    """

    status: Literal["success"]
    message: str
    peer_id: str
    public_ip: str
    lease: float
    udp: UdpEndpoint
    ticket: str
    secret: str | UnsetType = UNSET
    """Only for a new registration."""


class Whereabouts(Struct, frozen=True):
    """
    Answer to ``GET /peer/{id}``.
    """

    peer_id: str
    username: str
    ip: str
    port: int
    observed: bool


class Listings(Struct, frozen=True):
    """
    Answer to ``GET /peers``.
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


class Problem(Struct, frozen=True, omit_defaults=True):
    """
    Any answer that is an error (RFC 9457 §3); of type ``about:blank`` the title is HTTP's own.
    """

    type: str = ""
    title: str = ""
    status: int = 0
    detail: str = ""
    field: str | None = None
    """Ours: which field of the request is to blame."""

    @classmethod
    def of(cls, status: int, detail: str, field: str | None = None) -> Problem:
        """
        A problem that its status and one sentence explain.
        """
        return cls("about:blank", HTTPStatus(status).phrase, status, detail, field)


class Offer(Struct, frozen=True, tag_field="type", tag="offer"):
    """
    Association message to both sides of an introduction: who is there, under which token.
    """

    token: Token
    peer_id: str
    username: str


class Welcome(Struct, frozen=True, tag_field="type", tag="welcome"):
    """
    Association message: the daemon has proven the return path and observes the peer here.
    """

    ip: str
    port: Port


class Refusal(Struct, frozen=True):
    """
    Data of a rejected association: why, for a person.
    """

    reason: str


def encode(value: object) -> bytes:
    """
    JSON, UTF-8.
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
