"""
What the daemons that share a registry say to each other, in JSON.

They trust one another: whoever can write to the registry's bus can take every registration anyway.
What does not make sense is dropped all the same, for one may be newer than the other.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from p2pnet.signaling.shapes import Key, Offer, Port, Spot, Token

Number = Annotated[int, Meta(ge=0)]
"""Of a question, for its answer."""


class Party(Struct, frozen=True, tag_field="type", tag="party"):
    """
    One side of an introduction, by the daemon it is associated with.

    :ivar ip: where that daemon sees it, with `port`.
    :ivar inner_ip: its own address inside its network, with `inner_port`, as it claims.
    :ivar nat: its `NatMapping`.
    """

    peer_id: str
    username: str
    ip: str
    port: Port
    inner_ip: str
    inner_port: Port
    nat: str


class Invite(Struct, frozen=True, tag_field="type", tag="invite"):
    """
    A peer of mine looks for one of yours: make it an offer.  Answered by the `Party` it is.

    :ivar punch: tell it as LiteNetLib does, too.
    """

    token: Token
    key: Key
    caller: Party
    callee: str
    punch: bool


class Introduce(Struct, frozen=True, tag_field="type", tag="introduce"):
    """
    A peer of yours wants, by HTTP, to be introduced.  Answered by its `Offer`.
    """

    caller: str
    callee: str
    punch: bool


class Inspect(Struct, frozen=True, tag_field="type", tag="inspect"):
    """
    What does a peer of yours know of its session?  Answered by a `View`.
    """

    token: Token
    peer_id: str


class Tell(Struct, frozen=True, tag_field="type", tag="tell"):
    """
    A peer of yours tells the other side, by HTTP, where it can be reached.  Answered by `Done`.
    """

    token: Token
    peer_id: str
    candidates: list[Spot]


class Finish(Struct, frozen=True, tag_field="type", tag="finish"):
    """
    A peer of yours has ended its session.  Answered by `Done`.
    """

    token: Token
    peer_id: str


Question = Invite | Introduce | Inspect | Tell | Finish


class View(Struct, frozen=True, tag_field="type", tag="view"):
    """
    A session as one side sees it.

    :ivar offer: what it was told at the beginning, with where the other one is seen by now.
    :ivar heard: what the other one has said of where it can be reached.
    :ivar left: seconds until the session ends.
    """

    offer: Offer
    heard: list[Spot]
    left: float


class Done(Struct, frozen=True, tag_field="type", tag="done"):
    """
    So be it.
    """


class Failed(Struct, frozen=True, tag_field="type", tag="failed"):
    """
    Why a question has no answer.
    """

    why: Literal["unknown peer", "offline", "unknown session", "unavailable"]
    peer_id: str = ""


Answer = Party | Offer | View | Done | Failed


class Passed(Struct, frozen=True, tag_field="type", tag="passed"):
    """
    Candidates of a peer of mine for one of yours, or where it is seen by now.
    """

    token: Token
    sender: str
    to: str
    candidates: list[Spot]


class Asked(Struct, frozen=True, tag_field="type", tag="asked"):
    """
    A question.
    """

    number: Number
    question: Question


class Answered(Struct, frozen=True, tag_field="type", tag="answered"):
    """
    Its answer.
    """

    number: Number
    answer: Answer


Letter = Asked | Answered | Passed
"""What goes over the bus."""
