"""
What wants sending.
"""

from __future__ import annotations

from dataclasses import dataclass

from p2pnet.wire.constants import Address


@dataclass(frozen=True, slots=True)
class Transmit:
    """
    One datagram for the socket.
    """

    address: Address
    data: bytes
    ttl: int | None = None
    """IP time to live, if it must not be the socket's own."""
    may_fragment: bool = False
    """IP may take it apart: it is larger than the path that it was made for has become."""
