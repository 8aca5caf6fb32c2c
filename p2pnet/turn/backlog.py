"""
Datagrams that wait for the server to let them through.
"""

from __future__ import annotations

from typing import Final

from p2pnet.wire.constants import Address

_OVERHEAD: Final = 48
"""Counted with each datagram, so that empty ones are bounded, too."""


class Backlog:
    """
    In order for each peer, and bounded in sum.

    :param limit: bytes; what comes past it does not fit.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._size = 0
        self._waiting: dict[Address, list[bytes]] = {}

    def put(self, peer: Address, data: bytes) -> bool:
        """
        Whether it fits.
        """
        size = len(data) + _OVERHEAD
        if self._size + size > self._limit:
            return False
        self._size += size
        self._waiting.setdefault(peer, []).append(data)
        return True

    def take(self, peer: Address) -> list[bytes]:
        """
        What waited for one peer; it is here no longer.
        """
        taken = self._waiting.pop(peer, [])
        self._size -= sum(len(data) + _OVERHEAD for data in taken)
        return taken

    def peers(self, ip: str) -> list[Address]:
        """
        Those at ``ip`` for whom something waits.
        """
        return [peer for peer in self._waiting if peer[0] == ip]

    def count(self) -> int:
        """
        How many wait.
        """
        return sum(len(waiting) for waiting in self._waiting.values())
