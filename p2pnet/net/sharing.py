"""
Who else is on a manager's port: STUN, and the UDP servers of our relays (TRAPS T19).
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.logger import Logger

from p2pnet.stun.header import is_marked_stun
from p2pnet.wire.constants import Address

Receiver = Callable[[bytes, Address], bool]
"""Takes a datagram and where it came from; true if it was meant for it."""

_log = Logger(__name__)


class SharedPort:
    """
    Decides which arriving datagrams are none of the engine's.

    :ivar is_shared: there may be some; as long as it is false, nobody need ask.
    """

    def __init__(self) -> None:
        self.is_shared = False
        self._receiver: Receiver | None = None
        self._servers: dict[Address, Callable[[bytes], None]] = {}

    def share(self, receiver: Receiver | None) -> None:
        """
        Let ``receiver`` see STUN first; None: nobody.
        """
        self._receiver = receiver
        self._note()

    def claim(self, server: Address, received: Callable[[bytes], None]) -> None:
        """
        Give all that comes from an address to ``received``, and to nobody else.
        """
        self._servers[server] = received
        self._note()

    def is_claimed(self, server: Address) -> bool:
        """
        Somebody gets all that comes from there.
        """
        return server in self._servers

    def release(self, server: Address) -> None:
        """
        Claim it no longer.
        """
        del self._servers[server]
        self._note()

    def takes(self, data: bytes, address: Address) -> bool:
        """
        Give a datagram to whom it belongs; false if that is the engine.
        """
        received = self._servers.get(address)
        if received is not None:
            received(data)
            return True
        receiver = self._receiver
        return receiver is not None and is_marked_stun(data) and is_taken(receiver, data, address)

    def _note(self) -> None:
        self.is_shared = self._receiver is not None or bool(self._servers)


def is_taken(receiver: Receiver, data: bytes, address: Address) -> bool:
    """
    What ``receiver`` says; if it raises that is logged, and it has not taken it.
    """
    try:
        return receiver(data, address)
    except Exception:
        _log.failure("a receiver of datagrams raised")
        return False
