"""
Where a peer may be reached, and which of those addresses one dials on somebody else's word.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from p2pnet.wire.constants import Address

MAX_CANDIDATES: Final = 16
"""Addresses of one peer; an honest one with several interfaces has fewer."""

_PRIVATE: Final[tuple[IPv4Network | IPv6Network, ...]] = tuple(
    ip_network(network)
    for network in (
        "10.0.0.0/8",  # RFC 1918
        "172.16.0.0/12",
        "192.168.0.0/16",
        "100.64.0.0/10",  # RFC 6598: between a provider's NAT and its customers'
        "169.254.0.0/16",  # RFC 3927
        "fc00::/7",  # RFC 4193
        "fec0::/10",  # RFC 3879: nobody should have them any more
    )
)
"""Not `is_private` of the standard library, which counts addresses for documentation, too."""
_NOWHERE: Final[tuple[IPv4Network | IPv6Network, ...]] = (
    IPv4Network("0.0.0.0/8"),  # RFC 1122 §3.2.1.3
    IPv4Network("240.0.0.0/4"),  # RFC 1112 §4, and the broadcast address
    IPv6Network("100::/64"),  # RFC 6666; `p2pnet.net` gives them to what is behind a relay
)
_MAX_PORT: Final = 65535


class CandidateKind(Enum):
    """
    How an address came to be a candidate.
    """

    HOST = "host"
    """An address of the peer's own machine."""
    OBSERVED = "observed"
    """Where the rendezvous sees the peer's socket."""
    MAPPED = "mapped"
    """Where the peer's router promised to forward from."""
    RELAYED = "relayed"
    """On a relay, which the peer talks through."""
    SEEN = "seen"
    """Where a probe with the right key came from; nobody had told us."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """
    One address of a peer, literal IP and port.
    """

    kind: CandidateKind
    address: Address


@dataclass(frozen=True, slots=True)
class Path:
    """
    One way to a peer.

    :ivar remote: the peer's address at its end of the path.
    :ivar relayed: our end is our address on our relay, not our own socket.
    """

    remote: Address
    relayed: bool = False


def is_private(host: str) -> bool:
    """
    Whether a literal IP belongs to a network that anybody may have at home.
    """
    return _is_in(_unmapped(host), _PRIVATE)


def may_dial(candidate: Candidate, *, together: bool) -> bool:
    """
    Whether to send to an address that another one names as its own (TRAPS T23).

    Not to one that is spelled otherwise than sockets spell it: what comes from there would not be
    known to do so.

    :param together: the rendezvous sees both of us at one public address: we may be in one
        network, or on one machine, so that its private addresses may mean what they mean there.
    """
    host, port = candidate.address
    try:
        ip = _unmapped(host)
    except ValueError:
        return False
    if str(ip) != host or not 0 < port <= _MAX_PORT:
        return False
    if ip.is_multicast or ip.is_unspecified or _is_in(ip, _NOWHERE):
        return False
    if isinstance(ip, IPv6Address) and (ip.is_link_local or ip.scope_id is not None):
        # A scope is known to its own machine only.
        return False
    return together or not (ip.is_loopback or is_private(host))


def _is_in(ip: IPv4Address | IPv6Address, networks: tuple[IPv4Network | IPv6Network, ...]) -> bool:
    return any(ip in network for network in networks if network.version == ip.version)


def _unmapped(host: str) -> IPv4Address | IPv6Address:
    ip = ip_address(host)
    if isinstance(ip, IPv6Address) and ip.ipv4_mapped is not None:
        return ip.ipv4_mapped
    return ip
