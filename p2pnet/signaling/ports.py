"""
UDP ports besides the engine's, as somebody else opens them for us.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred

    from p2pnet.interfaces import Address


class UdpPort(Protocol):
    """
    A bound UDP port.
    """

    @property
    def local_port(self) -> int:
        """
        Its number.
        """

    def send(self, data: bytes, address: Address) -> None:
        """
        Put a datagram on the wire; one that does not go is lost.
        """

    def close(self) -> Deferred[None]:
        """
        Hear nothing more, and free the port.
        """


OpenUdp = Callable[[str, int, Callable[[bytes, "Address"], None]], UdpPort]
"""
Binds a literal IP and port (0: a free one) and takes what is to hear of each datagram and its
sender.  Raises ``twisted.internet.error.CannotListenError``.
"""
