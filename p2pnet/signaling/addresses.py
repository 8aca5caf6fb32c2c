"""
What an IP or a host may look like, and which IP may be told to whom.  Pure.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

_LABEL: Final = r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)"
_HOST_NAME: Final = re.compile(rf"{_LABEL}(\.{_LABEL})*\.?", re.ASCII)
_PORT: Final = re.compile(r"(:[0-9]*)?")
_LONGEST_HOST_NAME: Final = 253
"""RFC 1035 §2.3.4, in presentation form."""


def _parsed(host: str) -> IPv4Address | IPv6Address | None:
    try:
        ip = ip_address(host)
    except ValueError:
        return None
    return ip.ipv4_mapped or ip if isinstance(ip, IPv6Address) else ip


def literal_ip(host: str) -> str | None:
    """
    `host` in its shortest form if it is a literal IP, an IPv4-mapped one as IPv4; else None.
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
    # A name whose last label is a number would be taken for an IPv4 address (WHATWG URL, "ends
    # in a number").
    if len(host) > _LONGEST_HOST_NAME or host.rstrip(".").rpartition(".")[2].isdigit():
        return None
    return host if _HOST_NAME.fullmatch(host) else None


def _is_port(rest: str) -> bool:
    return _PORT.fullmatch(rest) is not None


def same_host(one: str, other: str) -> bool:
    """
    Whether two literal IPs are the same, however they are written.
    """
    return _parsed(one) == _parsed(other)


def is_inner(host: str) -> bool:
    """
    Whether `host` is an address somebody may have inside a network of their own.

    Multicast, broadcast, unspecified and public ones are not: a stranger could have others punch
    at them.
    """
    ip = _parsed(host)
    if ip is None or ip.is_global or ip.is_multicast or ip.is_unspecified:
        return False
    return isinstance(ip, IPv6Address) or not ip.is_reserved
