"""
By which way a conversation goes, for a person.  Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv6Network, ip_address
from typing import TYPE_CHECKING, Final

from p2pnet.reach.candidates import CandidateKind
from p2pnet.text import written

if TYPE_CHECKING:
    from p2pnet.interfaces import Address
    from p2pnet.reach.outcome import Outcome

_NOWHERE: Final = IPv6Network("100::/64")
"""RFC 6666: the engine's own names for who is reached through our relay; they mean nothing else."""


@dataclass(frozen=True, slots=True)
class Way:
    """
    How somebody is reached.

    :ivar relayed: through our relay, or theirs.
    :ivar where: their address, or that of the relay, as people write it.
    """

    relayed: bool
    where: str

    def __str__(self) -> str:
        return f"relayed through {self.where}" if self.relayed else self.where


def way_to(address: Address, outcome: Outcome | None) -> Way:
    """
    The way to a peer.

    :param address: where the engine sends to.
    :param outcome: of the last dial, which may have led elsewhere.
    """
    host = ip_address(address[0])
    path = None if outcome is None else outcome.path
    if host.version == 6 and host in _NOWHERE:
        if outcome is None or path is None or not path.relayed:
            return Way(True, "our relay")
        return Way(True, outcome.relay)
    theirs = outcome is not None and outcome.kind is CandidateKind.RELAYED
    return Way(theirs and path is not None and path.remote == address, written(address))
