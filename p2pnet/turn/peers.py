"""
How a peer's address is spelled.
"""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address

from p2pnet.wire.constants import Address


def peer_ip(ip: str, relayed: Address) -> str:
    """
    ``ip`` as answers of the server spell it; an IPv4 address mapped into IPv6 is an IPv4 address.

    :raise ValueError: it is no literal IP, has a scope, or the address relayed has another family.
    """
    address = ip_address(ip)
    if isinstance(address, IPv6Address):
        if address.scope_id is not None:
            raise ValueError(f"{ip} has a scope: no relay reaches it")
        address = address.ipv4_mapped or address
    family = ip_address(relayed[0]).version
    if address.version != family:
        raise ValueError(f"{ip} is not reached from {relayed[0]}: the relay is IPv{family} only")
    return str(address)


def peer_address(peer: Address, relayed: Address) -> Address:
    """
    `peer` as answers of the server spell it.

    :raise ValueError: as `peer_ip`, or the port is not in 1..65535.
    """
    ip, port = peer
    if not 1 <= port <= 65535:
        raise ValueError(f"the port of {ip} must be in 1..65535, not {port}")
    return peer_ip(ip, relayed), port
