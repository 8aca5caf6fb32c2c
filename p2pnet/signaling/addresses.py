"""
What an IP or a host may look like, and which IP may be told to whom.  Pure.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING, Final

from p2pnet.text import is_host_name

if TYPE_CHECKING:
    from p2pnet.interfaces import Address

_PORT: Final = re.compile(r"(:[0-9]*)?")


def _parsed(host: str) -> IPv4Address | IPv6Address | None:
    try:
        ip = ip_address(host)
    except ValueError:
        return None
    return ip.ipv4_mapped or ip if isinstance(ip, IPv6Address) else ip


def literal_ip(host: str) -> str | None:
    """
    ``host`` in its shortest form if it is a literal IP, an IPv4-mapped one as IPv4; else None.
    """
    ip = _parsed(host)
    return None if ip is None else str(ip)


def host_of(authority: str) -> str | None:
    """
    The host of ``host[:port]`` as a Host header has it (RFC 9110 §7.2), without brackets.

    :return: a literal IP or a host name; None if it is neither.
    """
    if authority.startswith("["):
        host, bracket, rest = authority[1:].partition("]")
        ip = literal_ip(host)
        return ip if bracket and _is_port(rest) and ip is not None else None
    host, colon, port = authority.partition(":")
    if not _is_port(colon + port):
        return None
    ip = literal_ip(host)
    if ip is not None:
        return ip
    return host if is_host_name(host) else None


def _is_port(rest: str) -> bool:
    return _PORT.fullmatch(rest) is not None


def same_host(one: str, other: str) -> bool:
    """
    Whether two literal IPs are the same, however they are written.
    """
    return _parsed(one) == _parsed(other)


def is_inner(host: str) -> bool:
    """
    Whether ``host`` is an address somebody may have inside a network of their own (TRAPS T23).

    Multicast, broadcast, unspecified and public ones are not: a stranger could have others punch at
    them.
    """
    ip = _parsed(host)
    if ip is None or ip.is_global or ip.is_multicast or ip.is_unspecified:
        return False
    return isinstance(ip, IPv6Address) or not ip.is_reserved


def network_of(host: str) -> str:
    """
    The /24 or /64 that a literal IP is in; an IPv4-mapped one is IPv4.

    :raise ValueError: it is none.
    """
    ip = _parsed(host)
    if ip is None:
        raise ValueError(f"{host!r} is no literal IP")
    return ip.packed[: 3 if isinstance(ip, IPv4Address) else 8].hex()


def passed_on(internal: Address, external: Address, together: bool) -> Address:
    """
    What a stranger may be told of somebody's ``internal`` address: it itself between two who are
    seen at one public address, else ``external`` (TRAPS T23).
    """
    host = internal[0]
    # A public address must be the one we see, or others would be made to punch at a stranger.
    if together and (is_inner(host) or same_host(host, external[0])):
        return internal
    return external
