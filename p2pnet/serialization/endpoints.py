"""
What may stand for an IPEndPoint: a literal IP and a port (PITFALLS B7).
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import Final

from p2pnet.serialization.packing import shown

MAX_ENDPOINT_TEXT: Final = 64
"""An IPv6 literal with a scope has at most 45 + 1 + 10 characters."""


def endpoint_fault(host: object, port: object) -> str | None:
    """
    What keeps the two from being an IPEndPoint, else None.

    The host is an IPv4 or IPv6 literal, the latter with a numeric scope at most, never a name.
    The port is in 0..65535: 0 can be written and read, but it is nobody's.
    """
    if not isinstance(host, str) or not _is_literal_ip(host):
        return f"{shown(host)} is no IP"
    if not isinstance(port, int) or not 0 <= port <= 65535:
        return f"a port of {shown(port)}"
    return None


def _is_literal_ip(host: str) -> bool:
    scope = host.partition("%")
    if len(host) > MAX_ENDPOINT_TEXT or (scope[1] and not _is_number(scope[2])):
        return False
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _is_number(scope: str) -> bool:
    return scope.isascii() and scope.isdigit()
