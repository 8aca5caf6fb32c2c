"""
What an `p2pnet.turn.allocation.Allocation` tells its owner, as values.
"""

from __future__ import annotations

from dataclasses import dataclass

from p2pnet.wire.constants import Address


@dataclass(frozen=True, slots=True)
class Allocated:
    """
    Datagrams that permitted peers send to `relayed` arrive here.
    """

    relayed: Address
    mapped: Address
    """Where the server sees us."""
    lifetime: float
    """Seconds granted; renewed in time without a word."""


@dataclass(frozen=True, slots=True)
class AllocationFailed:
    """
    The server gave nothing.
    """

    code: int | None
    """Of the answer (RFC 8656 §19); None if there was none that could be used."""
    reason: str
    """For a person."""


@dataclass(frozen=True, slots=True)
class AllocationLost:
    """
    What was allocated is gone, with every permission and channel.
    """

    reason: str


@dataclass(frozen=True, slots=True)
class AllocationReleased:
    """
    After ``close``: the server has let go, or does not answer any more.
    """


@dataclass(frozen=True, slots=True)
class Permitted:
    """
    The server lets datagrams of this IP through, from now on.
    """

    ip: str


@dataclass(frozen=True, slots=True)
class PermissionRefused:
    """
    The server does not let this IP through, or does so no longer.  It can be permitted again.
    """

    ip: str
    reason: str


@dataclass(frozen=True, slots=True)
class DataReceived:
    """
    A peer has sent a datagram to the relayed address.
    """

    peer: Address
    data: bytes


Event = (
    Allocated
    | AllocationFailed
    | AllocationLost
    | AllocationReleased
    | Permitted
    | PermissionRefused
    | DataReceived
)
