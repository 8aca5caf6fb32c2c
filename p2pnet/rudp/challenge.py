"""
Somebody at an address of our peer's asks for a new connection: is our peer still there?
"""

from __future__ import annotations

from typing import Final

from p2pnet.wire.constants import Address
from p2pnet.wire.control import ConnectRequest

_MIN_PATIENCE: Final = 0.25
_MAX_PATIENCE: Final = 2.0
"""Seconds for which our peer may prove that it is still there; a client asks for 5.7 s."""


class Challenge:
    """
    A request that has its way if our peer stays silent: a restarted program cannot answer the ping
    of its predecessor (PITFALLS C2).

    :param usual: seconds within which our peer answers as a rule.
    :ivar patience: seconds for which it is waited for, from the first request on.
    :ivar until: when that is over.
    :ivar request: the latest of those that have come since.
    :ivar size: its size in bytes.
    :ivar address: where it came from.
    """

    __slots__ = ("_asked_at", "address", "patience", "request", "size", "until")

    def __init__(
        self, request: ConnectRequest, size: int, address: Address, now: float, usual: float
    ) -> None:
        self.request = request
        self.size = size
        self.address = address
        self.patience = min(max(_MIN_PATIENCE, usual), _MAX_PATIENCE)
        self.until = now + self.patience
        self._asked_at = now

    def follow(self, request: ConnectRequest, size: int, address: Address) -> None:
        """
        Another request has come; it counts unless it is older.
        """
        if self.request.connection_time <= request.connection_time:
            self.request, self.size, self.address = request, size, address

    def is_answered(self, round_trip: float, now: float) -> bool:
        """
        Whether a pong after so many seconds answers a ping of that time: who sends that is no stale
        entry that a newcomer could replace.
        """
        return round_trip <= now - self._asked_at
