"""
What all ways to a port mapping have in common: what they tell, and what is worth telling.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, ip_address
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from p2pnet.wire.constants import Address

MAX_LIFETIME: Final = 86400.0
"""Seconds.  Whatever a router promises, it is asked again within a day (RFC 6887 §15 says the
same of servers)."""
MIN_LIFETIME: Final = 8.0
"""Seconds.  Two of the shortest pauses between renewals; nothing shorter can be kept."""

_NOT_PUBLIC: Final = tuple(
    (IPv4Network(network), what)
    for network, what in (
        ("0.0.0.0/8", "none at all"),
        ("10.0.0.0/8", "private"),
        ("100.64.0.0/10", "of a carrier's NAT"),
        ("127.0.0.0/8", "loopback"),
        ("169.254.0.0/16", "link-local"),
        ("172.16.0.0/12", "private"),
        ("192.0.0.0/24", "reserved"),
        ("192.168.0.0/16", "private"),
        ("198.18.0.0/15", "for benchmarks"),
        ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", "reserved"),
    )
)
"""
RFC 6890, without the networks for documentation: laboratories use them as their internet.
"""


@dataclass(frozen=True, slots=True)
class PortMapped:
    """
    What comes to `external` reaches us, for `lifetime` seconds from now; told anew at each renewal.
    """

    external: Address
    lifetime: float


@dataclass(frozen=True, slots=True)
class MappingFailed:
    """
    There is no mapping, or none any more, and nothing more is tried.

    :ivar reason: for a person; one line of printable characters.
    """

    reason: str


@dataclass(frozen=True, slots=True)
class PortUnmapped:
    """
    The mapping was given back, or the router does not say so in time.
    """


Event = PortMapped | MappingFailed | PortUnmapped


class MappingRefused(Exception):
    """
    A router gives no mapping; the text says why.
    """


class MappingUseless(MappingRefused):
    """
    A router gives a mapping, but nobody could make use of it.
    """


def not_public(host: str) -> str | None:
    """
    What a literal IPv4 address is if the internet cannot reach it; None if it can.
    """
    ip = ip_address(host)
    if not isinstance(ip, IPv4Address):
        return "not IPv4"
    return next((what for network, what in _NOT_PUBLIC if ip in network), None)


def check_host(host: str) -> None:
    """
    Look hard at the address that a router says it has outside.

    :raise MappingUseless: the internet cannot reach it.
    """
    what = not_public(host)
    if what is not None:
        raise MappingUseless(f"the router is behind another NAT: its address {host} is {what}")


def check_offer(external: Address, lifetime: float) -> float:
    """
    Look hard at the mapping that a router promises.

    :param external: the host is a literal IP.
    :return: for how many seconds to believe it.
    :raise MappingUseless: it is of no use to anybody.
    """
    host, port = external
    check_host(host)
    if not 0 < port < 65536:
        raise MappingUseless(f"the router offers port {port}")
    if lifetime < MIN_LIFETIME:
        raise MappingUseless(f"the router offers a mapping for {lifetime:g} s")
    return min(lifetime, MAX_LIFETIME)
