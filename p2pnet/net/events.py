"""
What a manager tells its listener, as values: what its Endpoint tells, and what its socket says.
"""

from __future__ import annotations

from dataclasses import dataclass

from p2pnet.rudp.events import Event
from p2pnet.wire.constants import Address


@dataclass(frozen=True, slots=True)
class SocketFailed:
    """
    A datagram to `address` could not be sent; without an address, nothing could be read.
    """

    address: Address | None
    error: OSError


AnyEvent = Event | SocketFailed
"""Whatever a manager tells."""
