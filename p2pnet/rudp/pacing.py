"""
No more at once than the path can queue.
"""

from __future__ import annotations

from typing import Final

from p2pnet.rudp.rtt import NEVER

_BURST: Final = 16
"""Datagrams that may leave back to back; routers queue at least as many (RFC 9002 §7.7)."""
_GAIN: Final = 2.0
"""Faster than the window is emptied, so that pacing alone never bounds a transfer."""
SHORTEST_PATH: Final = 0.005
"""Below this round trip, in seconds, timers are too coarse and queues too short to matter."""


class Pacer:
    """
    A bucket that fills with the bytes a window of packets takes in one round trip.
    """

    def __init__(self) -> None:
        self._bytes = 0.0
        self._rate = 0.0
        self._filled_at = 0.0

    def room(self, now: float, round_trip: float, window: int, mtu: int) -> int:
        """
        Bytes that may be sent now.

        :param round_trip: smoothed, in seconds; `SHORTEST_PATH` or more.
        :param window: packets that may be under way at once.
        """
        burst = float(_BURST * mtu)
        if self._rate == 0.0:
            self._bytes = burst
        else:
            self._bytes += (now - self._filled_at) * self._rate
        self._rate = _GAIN * window * mtu / round_trip
        self._bytes = min(self._bytes, max(burst, self._rate * SHORTEST_PATH))
        self._filled_at = now
        return int(self._bytes)

    def rest(self) -> None:
        """
        The path is so short that there is nothing to pace.
        """
        self._rate = 0.0

    def spend(self, size: int) -> None:
        """
        ``size`` bytes have left.
        """
        if self._rate:
            self._bytes -= size

    def next_at(self, size: int) -> float:
        """
        When ``size`` bytes may be sent.
        """
        if not self._rate:
            return NEVER
        return self._filled_at + max(0.0, (size - self._bytes) / self._rate)
