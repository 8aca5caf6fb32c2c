"""
What a daemon may offer.
"""

from __future__ import annotations

from typing import Any

from p2pnet.interfaces import Address, INetManager
from p2pnet.reach.agent import PathNominated
from p2pnet.reach.candidates import CandidateKind, Path
from p2pnet.signaling.search import Search
from p2pnet.signaling.shapes import Offer, Spot
from tests.signaling.core import BOB

BOB_AT: Address = ("198.51.100.2", 61002)


def offer(token: str = "token1", **changes: Any) -> Offer:
    """
    Of Bob, whom we have asked for.
    """
    fields: dict[str, Any] = {
        "token": token,
        "peer_id": BOB,
        "username": "bob",
        "key": "0123456789abcdef" * 2,
        "role": "caller",
        "observed": Spot("observed", *BOB_AT),
    }
    return Offer(**(fields | changes))


def search_for(
    offered: Offer, manager: INetManager, *, now: float = 0.0, near: bool = False
) -> Search:
    """
    A search that nobody pushes on.
    """
    return Search(
        offered,
        manager,
        random=lambda bits: 7,
        now=now,
        patience=8.0,
        near=near,
        direct=True,
    )


def nominated(remote: Address = BOB_AT, *, relayed: bool = False) -> PathNominated:
    """
    What an agent says when both sides have agreed.
    """
    return PathNominated(Path(remote, relayed), CandidateKind.OBSERVED, 0.02)
