"""
What kind of NAT we are behind, from what several observers see (RFC 4787 §4.1, RFC 5780 §4.3).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from ipaddress import ip_address
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from p2pnet.wire.constants import Address


class NatMapping(Enum):
    """
    When a NAT gives one socket another public address.  Values are words for a person.
    """

    UNKNOWN = "unknown"
    NONE = "none"
    """No NAT: we are seen at an address of our own."""
    ENDPOINT_INDEPENDENT = "endpoint-independent"
    """Never: whoever we send to sees the same address."""
    PORT_INDEPENDENT = "port-independent"
    """Not for another port of the same host; no second host was there to ask."""
    ADDRESS_DEPENDENT = "address-dependent"
    """For another host."""
    ADDRESS_AND_PORT_DEPENDENT = "address-and-port-dependent"
    """For another port of the same host already; what used to be called symmetric."""

    @property
    def foreseeable(self) -> bool:
        """
        Whether the address that an observer sees is likely the one that a peer will see.
        """
        return self not in (NatMapping.ADDRESS_DEPENDENT, NatMapping.ADDRESS_AND_PORT_DEPENDENT)


@dataclass(frozen=True, slots=True)
class Observation:
    """
    One observer's word.

    :ivar observer: who was asked.
    :ivar seen: where it saw the question come from.
    """

    observer: Address
    seen: Address


def classify(observations: Sequence[Observation], own_hosts: Collection[str]) -> NatMapping:
    """
    What the observers' words, taken together, say about the NAT.

    Who sees us at an address of our own is not beyond the NAT, and says nothing of it if others
    are.  A NAT of IPv4 says nothing of IPv6: the version counts of who is named first.

    :param own_hosts: literal IPs of this machine; loopback need not be among them.
    """
    if not observations:
        return NatMapping.UNKNOWN
    outside = [each for each in observations if not _is_own(each.seen[0], own_hosts)]
    if not outside:
        return NatMapping.NONE
    first = outside[0]
    observations = [each for each in outside if _version(each) == _version(first)]
    # By another port of the same host first: if that makes a difference, all does.
    for one in observations:
        for other in observations:
            if one.observer[0] == other.observer[0] and one.seen != other.seen:
                return NatMapping.ADDRESS_AND_PORT_DEPENDENT
    if any(each.seen != first.seen for each in observations):
        return NatMapping.ADDRESS_DEPENDENT
    if any(each.observer[0] != first.observer[0] for each in observations):
        return NatMapping.ENDPOINT_INDEPENDENT
    if any(each.observer != first.observer for each in observations):
        return NatMapping.PORT_INDEPENDENT
    return NatMapping.UNKNOWN


def _is_own(host: str, own_hosts: Collection[str]) -> bool:
    return host in own_hosts or ip_address(host).is_loopback


def _version(observation: Observation) -> int:
    return ip_address(observation.seen[0]).version
