"""
The serialized socket address inside a ConnectRequest (WIRE §10).

Opaque but for one use: it decides which of two simultaneous connects wins a tie.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address
from struct import Struct
from typing import Final

from p2pnet.wire.constants import Address

IPV4_SIZE: Final = 16
"""Bytes of the blob of an IPv4 address (WIRE §10)."""
IPV6_SIZE: Final = 28
"""Bytes of the blob of an IPv6 address."""

# Windows and mono write 23 for IPv6, .NET Core on Linux 10; readers must not care (TRAPS T15).
_FAMILY_IPV4: Final = 2
_FAMILY_IPV6: Final = 23

_IPV4: Final = Struct("<H2s4s8x")
_IPV6: Final = Struct("<H2s4x16sI")


def canonical(address: Address) -> Address:
    """
    ``address`` as sockets spell it, so that what comes from there compares equal.

    :raise ValueError: the host is no literal IP or the port not in 0..65535.
    """
    ip, port = _parsed(address)
    if isinstance(ip, IPv6Address) and ip.ipv4_mapped is not None:
        return f"::ffff:{ip.ipv4_mapped}", port
    return str(ip), port


def encode_sockaddr(address: Address) -> bytes:
    """
    The 16 or 28 bytes that stand for ``address``.

    :raise ValueError: the host is no literal IP or the port not in 0..65535.
    """
    ip, number = _parsed(address)
    port = number.to_bytes(2, "big")
    if isinstance(ip, IPv4Address):
        return _IPV4.pack(_FAMILY_IPV4, port, ip.packed)
    return _IPV6.pack(_FAMILY_IPV6, port, ip.packed, int(ip.scope_id or 0))


def decode_sockaddr(blob: bytes) -> Address:
    """
    The address in a blob of 16 or 28 bytes, whatever platform wrote it.

    :raise ValueError: another size.
    """
    if len(blob) == IPV4_SIZE:
        return str(IPv4Address(blob[4:8])), int.from_bytes(blob[2:4], "big")
    if len(blob) == IPV6_SIZE:
        scope = int.from_bytes(blob[24:28], "little")
        host = str(IPv6Address(blob[8:24]))
        return f"{host}%{scope}" if scope else host, int.from_bytes(blob[2:4], "big")
    raise ValueError(f"a socket address of {len(blob)} bytes")


def loses_tie(remote: bytes, received: bytes) -> bool:
    """
    Whether our own attempt gives way to a ConnectRequest with an equal connection time.

    :param remote: the blob of the remote's address, as we write it.
    :param received: the blob in its request: our address as it sees us.

    We lose as soon as any byte of ``remote`` is the smaller one; a byte that is missing
    counts as 0 (PITFALLS D12).  Both sides may lose; both then accept each other.
    """
    for i in range(len(remote)):
        theirs = received[i] if i < len(received) else 0
        if remote[i] < theirs:
            return True
    return False


def _parsed(address: Address) -> tuple[IPv4Address | IPv6Address, int]:
    host, port = address
    ip = ip_address(host)
    if not 0 <= port <= 65535:
        raise ValueError(f"port must be in 0..65535, not {port}")
    return ip, port
