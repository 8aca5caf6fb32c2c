"""
How large a datagram the path takes (BEHAVIOUR §9, WIRE §5).

The reference climbs its ladder one step a second.  We ask for all larger sizes at once and use the
largest that is answered; what is not answered is asked for twice more.
"""

from __future__ import annotations

from typing import Final

from p2pnet.rudp.config import EndpointConfig
from p2pnet.rudp.rtt import NEVER
from p2pnet.wire.constants import MIN_MTU, MTU_LADDER

_INTERVAL: Final = 1.0
_ROUNDS: Final = 3
_COURTESY: Final = 8.0
"""
Seconds for which we go on probing.  A reference peer gives up after three probes of its own unless
it receives some, and needs seven seconds for its ladder (WIRE §14).
"""
_BLACK_HOLE: Final = 6
"""Large packets lost in a row that make a path one that swallows them."""
_RETRY_AFTER_BLACK_HOLE: Final = 60.0


class MtuDiscovery:
    """
    The datagram size of one connection.

    Sizes are of the datagram without what a packet layer adds.

    :ivar mtu: the largest datagram to send now, in bytes.
    :ivar next_at: when `probes` is due.
    """

    def __init__(self, config: EndpointConfig, overhead: int) -> None:
        self._sizes = [size - overhead for size in MTU_LADDER if size - overhead >= MIN_MTU]
        self._smallest = MIN_MTU if overhead == 0 else MTU_LADDER[0] - overhead
        self._start = config.initial_mtu - (0 if config.mtu_override else overhead)
        self._fixed = config.mtu_override > 0
        self._rounds = 0
        self._courtesy_until = NEVER
        self._lost_in_a_row = 0
        self._asked: set[int] = set()
        self.mtu = self._start
        self.next_at = NEVER

    def start(self, now: float) -> None:
        """
        The connection is open and the peer's address proven.
        """
        if not self._fixed:
            self.next_at = now + _INTERVAL
            self._courtesy_until = now + _COURTESY

    def probes(self, now: float) -> list[int]:
        """
        Sizes to probe now.
        """
        self.next_at = now + _INTERVAL
        self._rounds += 1
        larger = [size for size in self._sizes if size > self.mtu]
        if larger and self._rounds <= _ROUNDS:
            self._asked.update(larger)
            return larger
        if now < self._courtesy_until:
            return self._sizes[:1]
        self.next_at = NEVER
        return []

    def answered(self, size: int) -> bool:
        """
        A probe of `size` bytes has come back; whether that is news.
        """
        # An answer to what was not asked is forged, or so late that it no longer says much.
        if size <= self.mtu or size not in self._asked:
            return False
        self.mtu = size
        self._lost_in_a_row = 0
        return True

    def lost(self, size: int, now: float) -> bool:
        """
        A packet of `size` bytes had to be sent again; whether the MTU has fallen for it.

        Falls back to where it started if many in a row were lost that are larger than that, and
        none of that size got through; then to the smallest size (RFC 8899 §4.3).
        """
        floor = self._start if self.mtu > self._start else self._smallest
        if self._fixed or size <= floor or self.mtu <= floor:
            return False
        self._lost_in_a_row += 1
        if self._lost_in_a_row < _BLACK_HOLE:
            return False
        self.mtu = floor
        self._lost_in_a_row = 0
        self._rounds = 0
        self._asked.clear()
        self.next_at = now + _RETRY_AFTER_BLACK_HOLE
        return True

    def delivered(self, size: int) -> None:
        """
        A packet of `size` bytes was acknowledged.
        """
        if size > (self._start if self.mtu > self._start else self._smallest):
            self._lost_in_a_row = 0
